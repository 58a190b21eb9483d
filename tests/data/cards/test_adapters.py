"""Every adapter on a miniature folder in the true layout: what it reads, and that its splits never share a patient."""

import builtins
import csv
import io
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import DatasetDict
from hypothesis import given, settings
from hypothesis import strategies as st

import pedclip.data
from pedclip.anatomy import REGIONS
from pedclip.data.adapters.build import stream_rows
from pedclip.data.adapters.reader import Reader
from pedclip.data.cards import read_card
from pedclip.triplets.schema import FEATURES, TEXT_SOURCES
from pedclip.triplets.storage import load_triplets, save_triplets
from tests.data.cards.layouts import FILMS, HEIGHT, LAYOUTS, WIDTH, Film, of_part, put, put_table, voc_file

WITHOUT_PATIENTS = {"object-cxr", "pedi-cxr", "radimagenet", "rsna-bone-age"}
WITHOUT_OFFICIAL_SPLIT = {"grazpedwri-dx", "rsna-pneumonia", "siim-acr-pneumothorax"}
PARTS = st.sampled_from(["train", "test"])


def load(name: str, root: Path, **arguments: Any) -> DatasetDict:
    LAYOUTS[name](root, FILMS)
    return pedclip.data.load(name, root=root, left_out=root.parent / "left_out.csv", **arguments)


def rows_of(data: DatasetDict) -> dict[str, dict[str, Any]]:
    return {row["image_id"]: row for part in data.values() for row in part}


def left_out(root: Path) -> list[list[str]]:
    with (root.parent / "left_out.csv").open() as file:
        return list(csv.reader(file))[1:]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_a_complete_folder_becomes_triplets_of_the_schema(name: str, root: Path, tmp_path: Path) -> None:
    data = load(name, root)
    assert left_out(root) == []
    rows = rows_of(data)
    assert len(rows) == len(FILMS) + (name == "rsna-bone-age")  # its layout has one validation hand
    for part in data.values():
        assert part.features == FEATURES
    for row in rows.values():
        assert row["image"].mode == "L"
        assert row["image"].size == (WIDTH, HEIGHT)
        assert row["text"]
        assert row["text_source"] in TEXT_SOURCES
        assert row["source"] == name
    if name not in WITHOUT_OFFICIAL_SPLIT:
        assert len(data["test"]) == len(of_part(FILMS, "test"))
    again = load_triplets(save_triplets(data, tmp_path / "triplets"))
    assert {key: row["text"] for key, row in rows_of(again).items()} == {key: row["text"] for key, row in rows.items()}


@pytest.mark.parametrize("name", sorted(LAYOUTS))
@pytest.mark.parametrize("mode", ["auto", "hash"])
@settings(max_examples=8, deadline=None)
@given(films=st.lists(st.tuples(st.integers(0, 4), PARTS), min_size=1, max_size=7))
def test_no_patient_is_in_two_splits(name: str, mode: str, films: list[Film]) -> None:
    """Also where the published parts share patients: then the later film is left out, listed, and never of the test."""
    with tempfile.TemporaryDirectory() as folder:
        LAYOUTS[name](Path(folder), films)
        reader = Reader(read_card(name), Path(folder))
        rows = [(split, row) for split, row in stream_rows(reader, split=mode) if row["image_id"] != "500"]
    splits: dict[str, set[str]] = {}
    for split, row in rows:
        splits.setdefault(row["patient_id"], set()).add(split)
    assert all(len(found) == 1 for found in splits.values())
    assert len(rows) + len(reader.left_out) == len(films)
    assert all("who is in the" in item.detail for item in reader.left_out)
    if mode == "hash" or name in WITHOUT_OFFICIAL_SPLIT or name in WITHOUT_PATIENTS:
        assert not reader.left_out
    if mode == "auto" and name not in WITHOUT_OFFICIAL_SPLIT:
        assert Counter(split for split, _ in rows)["test"] == len(of_part(films, "test"))
    if name not in WITHOUT_PATIENTS | {"covidx"}:  # two collections of covidx may use one number
        assert len(splits) == len({patient for patient, _ in films})


def test_graz_reads_flags_boxes_age_side_and_view(root: Path) -> None:
    row = rows_of(load("grazpedwri-dx", root))["0001_0000000001_01_WRI-L1_F010"]
    assert REGIONS[row["region"]] == "wrist"
    assert (row["laterality"], row["view"], row["sex"], row["age_months"]) == ("left", "AP", "F", 126)
    assert (row["patient_id"], row["study_id"], row["findings"]) == ("1", "1-1", ["fracture"])
    assert row["boxes"] == [{"x": 7.5, "y": 6, "width": 5, "height": 12, "label": "fracture"}]  # not the side marker
    normal = rows_of(load("grazpedwri-dx", root))["0000_0000000000_01_WRI-L1_F010"]
    assert (normal["findings"], normal["boxes"]) == ([], [])


def test_graz_reads_pascal_voc_where_there_is_no_yolo(root: Path) -> None:
    LAYOUTS["grazpedwri-dx"](root, FILMS)
    stem = "0001_0000000001_01_WRI-L1_F010"
    (root / "folder_structure" / "yolov5" / "labels" / f"{stem}.txt").unlink()
    voc_file(root / "folder_structure" / "pascalvoc" / f"{stem}.xml", "periostealreaction", (2, 3, 9, 11))
    row = rows_of(pedclip.data.load("grazpedwri-dx", root=root))[stem]
    assert row["boxes"] == [{"x": 2, "y": 3, "width": 7, "height": 8, "label": "periosteal reaction"}]
    assert row["findings"] == ["fracture", "periosteal reaction"]


def test_pedi_cxr_reads_corrected_diagnoses_boxes_and_the_header(root: Path) -> None:
    rows = rows_of(load("pedi-cxr", root))
    assert rows[f"{0:032x}"]["findings"] == []
    assert rows[f"{0:032x}"]["boxes"] == []
    row = rows[f"{2:032x}"]
    assert row["findings"] == ["bronchopneumonia"]
    assert row["boxes"] == [{"x": 2, "y": 3, "width": 8, "height": 9, "label": "lung hyperinflation"}]
    assert (row["age_months"], row["sex"], row["view"]) == (48, "F", "PA")


def test_bone_age_reads_months_and_sex_of_all_three_parts(root: Path) -> None:
    data = load("rsna-bone-age", root)
    assert data["test"][0]["bone_age_months"] == pytest.approx(66.4)
    assert data["test"][0]["text"] == "Radiograph of the left hand. Bone age 5 years 6 months."
    assert data["validation"][0]["sex"] == "M"
    assert data["train"][0]["findings"] is None
    assert data["train"][0]["sex"] == "F"
    for table in ("Validation Dataset.csv", "Bone age ground truth.csv"):
        (root / table).unlink()
    alone = pedclip.data.load("rsna-bone-age", root=root)
    assert sum(map(len, alone.values())) == len(of_part(FILMS, "train"))
    assert len(alone["train"]) < len(of_part(FILMS, "train"))  # by hash: the training part is all there is


def test_mimic_takes_the_report_without_its_history_else_the_labels(root: Path) -> None:
    rows = rows_of(load("mimic-cxr", root))
    read, labelled = rows["00000001-aaaa"], rows["00000000-aaaa"]
    assert read["text"] == "Small effusion 1 mm. Effusion."
    assert (read["text_source"], read["view"], read["findings"]) == ("rules", "lateral", ["edema"])
    assert labelled["text_source"] == "label-prompt"
    assert "edema" in labelled["text"]
    assert labelled["view"] == "PA"


def test_chexpert_keeps_certain_and_uncertain_labels_apart(root: Path) -> None:
    row = rows_of(load("chexpert", root))["patient00001/study2/view1_frontal.jpg"]
    assert (row["findings"], row["uncertain"]) == (["edema"], ["pneumonia"])
    assert (row["patient_id"], row["view"], row["sex"], row["age_months"]) == ("patient00001", "AP", "M", 816)
    assert "pneumonia" not in row["text"].lower()


def test_nih_reads_several_labels_the_list_of_boxes_and_the_age(root: Path) -> None:
    rows = rows_of(load("nih-chestxray14", root))
    row = rows["00000000_000.png"]
    assert row["findings"] == ["effusion", "pleural thickening"]
    assert row["boxes"] == [{"x": 2.5, "y": 3, "width": 10, "height": 11.5, "label": "infiltration"}]
    assert row["age_months"] == 17 * 12
    assert rows["00000001_001.png"]["findings"] == []


def test_rsna_pneumonia_tells_three_classes_apart_and_knows_the_patients(root: Path) -> None:
    rows = rows_of(load("rsna-pneumonia", root))
    assert rows["00000000-dddd"]["findings"] == ["abnormality other than lung opacity"]
    row = rows["00000007-dddd"]
    assert row["findings"] == ["lung opacity"]
    assert [(box["x"], box["width"]) for box in row["boxes"]] == [(2, 5), (10, 5)]
    assert row["patient_id"] == "00000001"  # of ChestX-ray14, through the mapping
    assert row["age_months"] == 480
    (root / "pneumonia-challenge-dataset-mappings_2018.json").unlink()
    without = rows_of(pedclip.data.load("rsna-pneumonia", root=root))
    assert without["00000007-dddd"]["patient_id"] == "00000007-dddd"


def test_siim_joins_the_masks_of_a_film(root: Path) -> None:
    rows = rows_of(load("siim-acr-pneumothorax", root))
    row = rows["1.2.276.0.7230010.3.1.4.8323329.1.1517875160.1"]
    expected = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    expected[2:4, 0] = 255  # down the first column
    expected[4, 1] = 255  # a whole column further: 24 pixels after pixel 3
    expected[0, 1] = 255  # the second mask
    assert np.array_equal(np.asarray(row["mask"]), expected)
    assert (row["findings"], row["patient_id"]) == (["pneumothorax"], "p1")
    normal = rows["1.2.276.0.7230010.3.1.4.8323329.0.1517875160.1"]
    assert (normal["findings"], normal["mask"]) == ([], None)


def test_covidx_keeps_the_numbers_of_its_collections_apart(root: Path) -> None:
    rows = rows_of(load("covidx", root))
    assert rows["train/2.png"]["findings"] == ["covid-19"]
    assert rows["train/2.png"]["patient_id"] == "cohen/2"
    assert rows["train/0.png"]["findings"] == []
    assert rows["train/1.png"]["findings"] == ["pneumonia"]


def test_object_cxr_gives_boxes_and_a_mask_of_the_shapes(root: Path) -> None:
    rows = rows_of(load("object-cxr", root))
    row = rows["train/00001.jpg"]
    assert row["findings"] == ["foreign object"]
    assert [(box["x"], box["y"], box["width"], box["height"]) for box in row["boxes"]] == [
        (2, 3, 6, 6),
        (10, 3, 6, 6),
        (4, 12, 4, 6),
    ]
    mask = np.asarray(row["mask"])
    assert mask[6, 5] == mask[6, 13] == mask[13, 6] == 255
    assert mask[22, 10] == 0
    assert (rows["train/00000.jpg"]["findings"], rows["train/00000.jpg"]["mask"]) == ([], None)


def test_mura_radimagenet_roco_and_chd_read_region_label_and_patient(tmp_path: Path) -> None:
    for name in ("mura", "radimagenet", "roco", "chd-cxr"):
        (tmp_path / name / "data").mkdir(parents=True)
    film = rows_of(load("mura", tmp_path / "mura" / "data"))["train/XR_FINGER/patient00001/study1_positive/image1.png"]
    assert (REGIONS[film["region"]], film["findings"], film["patient_id"]) == (
        "finger",
        ["abnormality"],
        "patient00001",
    )
    slices = rows_of(load("radimagenet", tmp_path / "radimagenet" / "data"))
    ct = slices["CT/abd/bowel_abnormality/image000001.png"]
    assert (REGIONS[ct["region"]], ct["text"]) == ("abdomen", "CT slice of the abdomen. Bowel abnormality.")
    figure = rows_of(load("roco", tmp_path / "roco" / "data"))["ROCO_00007"]
    assert (REGIONS[figure["region"]], figure["patient_id"], figure["findings"]) == ("knee", "PMC1", None)
    assert figure["text"] == 'Lateral radiograph of the knee with an effusion, "case" 7.'
    heart = rows_of(load("chd-cxr", tmp_path / "chd-cxr" / "data"))["train/VSD/1.dcm"]
    assert heart["findings"] == ["congenital heart disease", "ventricular septal defect"]
    assert (heart["patient_id"], heart["age_months"]) == ("p1", 18)


def test_mimic_refuses_what_it_does_not_know_and_passes_over_what_is_uncertain(root: Path) -> None:
    LAYOUTS["mimic-cxr"](root, FILMS)
    labels = read_card("mimic-cxr").labels
    values = ["-1.0", "2.0", *["1.0"] * (len(FILMS) - 2)]
    blank = [""] * (len(labels) - 2)
    rows = [["1", f"5{number:07d}", value, *blank, "-1.0"] for number, value in enumerate(values)]
    put_table(root / "mimic-cxr-2.0.0-chexpert.csv.gz", ["subject_id", "study_id", *labels], rows)
    split = [[f"{n:08x}-aaaa", f"5{n:07d}", f"1{p:07d}", part] for n, (p, part) in enumerate(FILMS)]
    split[2][3] = "holdout"
    put_table(root / "mimic-cxr-2.0.0-split.csv.gz", ["dicom_id", "study_id", "subject_id", "split"], split)
    data = pedclip.data.load("mimic-cxr", root=root, left_out=root.parent / "left_out.csv")
    known = [[row[1], row[2], row[4]] for row in left_out(root)]
    expected = "unknown label in " + labels[0] + ": '2.0'; expected one of 1, 0, -1, blank"
    assert known == [
        ["00000000-aaaa", "2", "neither a report nor a certain label"],  # film 0 has no report
        ["00000002-aaaa", "4", "unknown split 'holdout'; expected one of test, validate, train"],
        ["mimic-cxr-2.0.0-chexpert.csv", "3", expected],
    ]
    read = rows_of(data)
    assert [read["00000001-aaaa"][name] for name in ("findings", "uncertain")] == [None, None]
    assert read["00000003-aaaa"]["uncertain"] == [labels[-1].lower()]


def test_chd_takes_a_validation_folder_for_what_it_is(root: Path) -> None:
    patients = [(number, "train") for number in range(40)]
    LAYOUTS["chd-cxr"](root, patients)
    assert 0 < len(pedclip.data.load("chd-cxr", root=root)["validation"]) < 20  # cut from training by a hash
    for number in (1, 2):
        film = root / "train" / ("ASD", "VSD", "PDA")[number] / f"{number}.dcm"
        put(root / "val" / "VSD" / film.name, film.read_bytes())
    data = pedclip.data.load("chd-cxr", root=root, left_out=root.parent / "left_out.csv")
    assert [set(part["patient_id"]) for part in (data["validation"], data["test"])] == [{"p1", "p2"}, set()]
    assert len(data["train"]) == len(patients) - 2
    reasons = [row[4] for row in left_out(root)]
    assert reasons == ["patient of the train part who is in the validation part too"] * 2


@pytest.mark.parametrize("name", ["chd-cxr", "pedi-cxr", "rsna-pneumonia", "siim-acr-pneumothorax"])
def test_a_dicom_film_is_read_once_for_header_and_pixels(
    name: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    LAYOUTS[name](root, FILMS)
    for module in (io, builtins):  # pathlib opens through one, pydicom through the other
        original = module.open

        def counted(file: Any, *args: Any, original: Any = original, **kwargs: Any) -> Any:
            opened.append(str(file))
            return original(file, *args, **kwargs)

        monkeypatch.setattr(module, "open", counted)
    pedclip.data.load(name, root=root)
    counts = Counter(file for file in opened if file.endswith((".dcm", ".dicom")))
    assert len(counts) == len(FILMS)
    assert set(counts.values()) == {1}


def test_plain_films_stay_where_they_are_and_are_named_by_path(root: Path) -> None:
    from datasets import Image

    data = load("mura", root)
    stored = data["train"].cast_column("image", Image(decode=False))[0]["image"]
    assert stored["bytes"] is None
    assert Path(stored["path"]).is_relative_to(root.resolve())


def test_the_same_patient_gets_the_same_split_from_every_copy(root: Path) -> None:
    whole = {key: row["patient_id"] for key, row in rows_of(load("grazpedwri-dx", root)).items()}
    splits = {
        row["patient_id"]: name for name, part in pedclip.data.load("grazpedwri-dx", root=root).items() for row in part
    }
    table = root / "dataset.csv"
    header, *lines = table.read_text().splitlines()
    put_table(table, header.split(","), [line.split(",") for line in lines[:7]])
    some = pedclip.data.load("grazpedwri-dx", root=root)
    for name, part in some.items():
        for row in part:
            assert splits[row["patient_id"]] == name
            assert whole[row["image_id"]] == row["patient_id"]
