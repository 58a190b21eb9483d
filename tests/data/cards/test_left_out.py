"""What is left out: listed with file, row and reason, and nothing else is lost."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import pedclip.data
from pedclip.data.cards import read_card
from pedclip.triplets.splits import SPLITS
from tests.data.cards.layouts import FILMS, LAYOUTS, load_listed, png, put, voc_file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


# Data set, what is damaged, and the file, row and reason that the list gives; one film is lost or none.
DAMAGES: list[tuple[str, Callable[[Path], None], int, list[str]]] = [
    (
        "grazpedwri-dx",
        lambda root: change(root / "dataset.csv", ",L,1,1,", ",X,1,1,"),
        1,
        ["0000_0000000000_01_WRI-L1_F010", "2", "unknown laterality 'X'; expected one of L, R"],
    ),
    (
        "grazpedwri-dx",
        lambda root: change(
            root / "folder_structure/yolov5/labels/0001_0000000001_01_WRI-L1_F010.txt", "3 0.5", "17 0.5"
        ),
        0,
        ["0001_0000000001_01_WRI-L1_F010.txt", "1", "unknown label: class '17'; expected 0 to 8"],
    ),
    (
        "grazpedwri-dx",
        lambda root: change(
            root / "folder_structure/yolov5/labels/0001_0000000001_01_WRI-L1_F010.txt", "3 0.5", "3 1.9"
        ),
        0,
        ["0001_0000000001_01_WRI-L1_F010", "1", "box outside the image of 20×24 pixels"],
    ),
    (
        "pedi-cxr",
        lambda root: change(root / "annotations_train.csv", "Lung hyperinflation", "Hyperinflation"),
        0,
        ["annotations_train.csv", "3", "unknown label 'Hyperinflation'; see box_labels of the card pedi-cxr"],
    ),
    (
        "pedi-cxr",
        lambda root: change(root / "annotations_test.csv", "2,3,10,12", "200,3,210,12"),
        0,
        [f"test/{4:032x}.dicom", "2", "box outside the image of 20×24 pixels"],
    ),
    (
        "pedi-cxr",
        lambda root: change(root / "image_labels_train.csv", "1.0", "7"),
        1,
        [f"{0:032x}", "2", "No finding: unknown label '7'; expected 1 or 0"],
    ),
    (
        "rsna-bone-age",
        lambda root: change(root / "boneage-training-dataset.csv", "1000,12,", "1000,twelve,"),
        1,
        ["1000.png", "2", "boneage: expected 0 to 240 months, got 'twelve'"],
    ),
    (
        "chexpert",
        lambda root: change(root / "train.csv", "-1.0", "2.0"),
        1,
        [
            "CheXpert-v1.0-small/train/patient00000/study1/view1_frontal.jpg",
            "2",
            "unknown label in Pneumonia: '2.0'; expected one of 1, 0, -1, blank",
        ],
    ),
    (
        "nih-chestxray14",
        lambda root: change(root / "Data_Entry_2017_v2020.csv", "Effusion|", "Effussion|"),
        1,
        [
            "00000000_000.png",
            "2",
            f"unknown label 'Effussion'; expected one of {', '.join(read_card('nih-chestxray14').labels)}",
        ],
    ),
    (
        "rsna-pneumonia",
        lambda root: change(root / "stage_2_train_labels.csv", "2.0,3.0,5.0,6.0", "2.0,3.0,0.0,6.0"),
        0,
        ["stage_2_train_labels.csv", "3", "box without area (0 wide, 6 high)"],
    ),
    (
        "rsna-pneumonia",
        lambda root: change(root / "stage_2_train_labels.csv", "2.0,3.0,5.0,6.0", "2000,3.0,5.0,6.0"),
        0,
        ["00000001-dddd.dcm", "3", "box outside the image of 20×24 pixels"],
    ),
    (
        "siim-acr-pneumothorax",
        lambda root: change(root / "train-rle.csv", "2 2 24 1", "2 2 24"),
        0,
        [
            "1.2.276.0.7230010.3.1.4.8323329.1.1517875160.1.dcm",
            "3",
            "unreadable mask: 3 run lengths; expected pairs of gap and run; the image is kept without it",
        ],
    ),
    (
        "siim-acr-pneumothorax",
        lambda root: change(root / "train-rle.csv", " -1", ""),
        1,
        [
            "1.2.276.0.7230010.3.1.4.8323329.0.1517875160.1.dcm",
            "2",
            "EncodedPixels is blank; expected run lengths, or -1 for no pneumothorax",
        ],
    ),
    (
        "covidx",
        lambda root: change(root / "train.txt", "normal", "healthy"),
        1,
        [
            "train/0.png",
            "1",
            "unknown label 'healthy'; expected one of normal, pneumonia, COVID-19, positive, negative",
        ],
    ),
    (
        "object-cxr",
        lambda root: change(root / "train.csv", "0 2 3 8 9", "7 2 3 8 9"),
        0,
        ["00001.jpg", "3", "unknown label: shape '7'; expected 0, 1 or 2"],
    ),
    (
        "radimagenet",
        lambda root: change(root / "RadiologyAI_train.csv", "MR/knee", "MR/af"),
        1,
        ["radiology_ai/MR/af/acl_pathology/image000000.png", "2", "anatomy 'af' is none of the 23 regions"],
    ),
    (
        "mura",
        lambda root: change(root / "train_labeled_studies.csv", "_negative/,0", "_negative/,2"),
        1,
        [
            "MURA-v1.1/train/XR_ELBOW/patient00000/study0_negative/image1.png",
            "1",
            "unknown label '2'; expected one of 1, 0",
        ],
    ),
    (
        "roco",
        lambda root: change(
            root / "data/train/radiology/captions.txt", "radiograph of the knee", "radiograph and CT of the knee"
        ),
        1,
        ["ROCO_00000", "1", "the caption does not say that it is a radiograph alone"],
    ),
    (
        "roco",
        lambda root: change(root / "data/train/radiology/licences.txt", "ROCO_00000,", "ROCO_99999,"),
        1,
        ["ROCO_00000", "1", "no article in licences.txt; without it the split could leak"],
    ),
    (
        "chd-cxr",
        lambda root: put(root / "train" / "TOF" / "99.png", png()),
        0,
        ["train/TOF/99.png", "", "unknown folder 'tof'; expected one of asd, vsd, pda, normal"],
    ),
    (
        "mura",
        lambda root: (root / "train/XR_ELBOW/patient00000/study0_negative/image1.png").unlink(),
        1,
        ["MURA-v1.1/train/XR_ELBOW/patient00000/study0_negative/image1.png", "1", "no such file"],
    ),
]


@pytest.mark.parametrize(("name", "damage", "lost", "expected"), DAMAGES)
def test_what_cannot_be_used_is_listed_with_file_row_and_reason(
    name: str, damage: Callable[[Path], None], lost: int, expected: list[str], root: Path
) -> None:
    LAYOUTS[name](root, FILMS)
    damage(root)
    count, listed = load_listed(name, root)
    assert listed == [expected]
    assert count == len(FILMS) - lost + (name == "rsna-bone-age")


def test_a_box_over_the_edge_is_cut_and_bad_xml_is_listed(root: Path) -> None:
    LAYOUTS["grazpedwri-dx"](root, FILMS)
    shutil.rmtree(root / "folder_structure" / "yolov5")
    voc = root / "folder_structure" / "pascalvoc"
    voc_file(voc / "0001_0000000001_01_WRI-L1_F010.xml", "fracture", (15, 3, 90, 11))
    put(voc / "0002_0000000002_01_WRI-L1_F010.xml", b"<annotation>")
    count, listed = load_listed("grazpedwri-dx", root)
    assert count == len(FILMS)
    assert [row[0] for row in listed] == ["0002_0000000002_01_WRI-L1_F010.xml"]
    data = pedclip.data.load("grazpedwri-dx", root=root)
    boxes = [box for split in SPLITS for row in data[split] for box in row["boxes"]]
    assert boxes == [{"x": 15, "y": 3, "width": 5, "height": 8, "label": "fracture"}]


def test_truncated_coloured_and_repeated_films_are_listed(root: Path) -> None:
    LAYOUTS["covidx"](root, FILMS)
    put(root / "train" / "0.png", png()[:150])
    Image.new("RGB", (40, 40), (200, 10, 10)).save(root / "train" / "1.png")
    change(root / "train.txt", "2 2.png COVID-19 cohen", "2 6.png COVID-19 cohen")
    change(root / "train.txt", "3 3.png normal rsna\n", "3 3.png rsna\n")
    count, listed = load_listed("covidx", root)
    reasons = {row[0]: row[2] for row in listed}
    assert reasons["train/0.png"].startswith("truncated or corrupt")
    assert reasons["train/1.png"] == "coloured picture (100% of the pixels), not a radiograph"
    assert reasons["train/6.png"] == "the same image id a second time"
    assert reasons["train/3.png"] == "line of 3 words; expected patient, file, class and collection"
    assert count == len(FILMS) - 4


def test_a_patient_of_two_published_parts_stays_in_the_test_part(root: Path) -> None:
    LAYOUTS["mura"](root, [(1, "train"), (1, "test"), (2, "train")])
    count, listed = load_listed("mura", root)
    assert count == 2
    ((file, row, reason),) = listed
    assert (file.split("/")[1], row) == ("train", "1")
    assert reason in {f"patient of the {part} part who is in the test part too" for part in ("train", "validation")}


def _again(path: Path, line: str) -> None:
    path.write_text(path.read_text().rstrip("\n") + f"\n{line}\n")


def _twice_voc(root: Path) -> None:
    shutil.rmtree(root / "folder_structure" / "yolov5")
    path = root / "folder_structure" / "pascalvoc" / "0001_0000000001_01_WRI-L1_F010.xml"
    voc_file(path, "fracture", (2, 3, 9, 11))
    content = path.read_text()
    item = content[content.index("<object>") : content.index("</annotation>")]
    path.write_text(content.replace(item, item * 2))


DOUBLED: list[tuple[str, Callable[[Path], None]]] = [
    (
        "grazpedwri-dx",
        lambda root: _again(
            root / "folder_structure/yolov5/labels/0001_0000000001_01_WRI-L1_F010.txt", "3 0.5 0.5 0.25 0.5"
        ),
    ),
    ("grazpedwri-dx", _twice_voc),
    (
        "pedi-cxr",
        lambda root: _again(root / "annotations_train.csv", f"{1:032x},R2,Lung hyperinflation,2,3,10,12"),
    ),
    (
        "nih-chestxray14",
        lambda root: _again(root / "BBox_List_2017.csv", "00000000_000.png,Infiltrate,2.5,3,10,11.5,,,"),
    ),
    ("rsna-pneumonia", lambda root: _again(root / "stage_2_train_labels.csv", "00000001-dddd,2.0,3.0,5.0,6.0,1")),
    ("object-cxr", lambda root: change(root / "train.csv", "0 2 3 8 9;", "0 2 3 8 9;0 2 3 8 9;")),
    (
        "siim-acr-pneumothorax",
        lambda root: _again(root / "train-rle.csv", f"1.2.276.0.7230010.3.1.4.8323329.1.1517875160.1,{24} 1"),
    ),
]


@pytest.mark.parametrize(("name", "double"), DOUBLED)
def test_a_box_or_mask_given_twice_is_kept_once_and_listed(
    name: str, double: Callable[[Path], None], root: Path
) -> None:
    LAYOUTS[name](root, FILMS)
    double(root)
    count, listed = load_listed(name, root)
    assert count == len(FILMS) + (name == "rsna-bone-age")
    ((_, _, reason),) = listed
    assert reason in {"the same box a second time", "the same mask a second time"}


def test_control_characters_leave_the_text_of_a_card(root: Path) -> None:
    LAYOUTS["roco"](root, FILMS)
    change(root / "data/train/radiology/captions.txt", "radiograph of the knee", "radio\x00graph of \x1bthe\x85 knee")
    data = pedclip.data.load("roco", root=root)
    assert sum(map(len, data.values())) == len(FILMS)
    assert all(text.isprintable() for split in SPLITS for text in data[split]["text"])
