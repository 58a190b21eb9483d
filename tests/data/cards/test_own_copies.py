"""Public data sets as people have them: lists with blanks, tables in folders of their own, boxes given twice."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pedclip.data import load
from pedclip.data.loading import read_source
from pedclip.triplets.arrays import TripletArrays
from pedclip.triplets.left_out import LeftOut, Reason, write_left_out
from tests.data.cards.layouts import LAYOUTS, dicom, load_listed, put_table


def film(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 32), dtype=np.uint8)).save(path)


def test_covidx_lists_with_blanks_in_patient_and_file_keep_all_rows(tmp_path: Path) -> None:
    lines = [
        "COVID 1 COVID(1).png COVID-19 sirm",
        "77 a b.png pneumonia cohen",
        "6 six.png normal",
        "seven.png normal rsna",
    ]
    for seed, name in enumerate(("COVID(1).png", "a b.png", "six.png", "seven.png")):
        film(tmp_path / "train" / name, seed)
    film(tmp_path / "test/nine.png", 9)
    (tmp_path / "train.txt").write_text("\n".join(lines))
    (tmp_path / "test.txt").write_text("9 nine.png normal rsna\n")
    data = load("covidx", root=tmp_path)
    found = {row["image_id"]: row["patient_id"] for split in data.values() for row in split}
    assert found == {
        "train/COVID(1).png": "sirm/COVID 1",
        "train/a b.png": "cohen/77",
        "train/six.png": "/6",
        "train/seven.png": "train/seven.png",
        "test/nine.png": "rsna/9",
    }


@pytest.mark.parametrize("name", ["Validation Dataset.csv", "validation dataset.CSV", "Validation_Dataset.csv"])
def test_an_official_table_in_a_folder_of_its_own_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "boneage-training-dataset.csv").write_text("id,boneage,male\n1,180,False\n")
    film(tmp_path / "boneage-training-dataset/1.png", 1)
    film(tmp_path / "Bone Age Validation Set/images/2.png", 2)
    (tmp_path / "Bone Age Validation Set" / name).write_text("Image ID,male,Bone Age (months)\n2,TRUE,148\n")
    data = load("rsna-bone-age", root=tmp_path)
    assert {split: list(rows["image_id"]) for split, rows in data.items()} == {
        "train": ["1"],
        "validation": ["2"],
        "test": [],
    }


def test_a_table_like_an_official_one_with_other_columns_is_listed(tmp_path: Path) -> None:
    (tmp_path / "boneage-training-dataset.csv").write_text("id,boneage,male\n1,180,False\n")
    film(tmp_path / "boneage-training-dataset/1.png", 1)
    (tmp_path / "val").mkdir()
    (tmp_path / "val/Validation Dataset.csv").write_text("a,b\n2,TRUE\n")
    load("rsna-bone-age", root=tmp_path, left_out=tmp_path / "left_out.csv")
    rows = list(csv.DictReader((tmp_path / "left_out.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == ["val/Validation Dataset.csv"]


def test_a_name_that_a_spreadsheet_would_run_is_text(tmp_path: Path) -> None:
    path = write_left_out(tmp_path / "left_out.csv", [LeftOut("=cmd|' /C calc'!A0", Reason.CORRUPT, "@x")])
    row = next(csv.DictReader(path.read_text().splitlines()))
    assert (row["file"], row["detail"]) == ("'=cmd|' /C calc'!A0", "'@x")


@pytest.mark.parametrize("region", [-1, 23])
def test_a_region_outside_the_23_is_refused_with_its_row(region: int) -> None:
    images = np.zeros((2, 4, 4), np.uint8)
    with pytest.raises(ValueError, match=rf"1 regions outside 0 to 22, in rows 1 \({region}\)"):
        TripletArrays(images, ["a", "b"], np.array([0, region]), ["p", "q"])


FILMS = [(1, "train"), (1, "train"), (2, "train"), (3, "test"), (4, "test"), (5, "train")]


@pytest.mark.parametrize("name", ["chexpert", "mura", "object-cxr", "radimagenet"])
def test_windows_paths_in_an_official_table_cost_no_film(tmp_path: Path, name: str) -> None:
    LAYOUTS[name](tmp_path, FILMS)
    before = load_listed(name, tmp_path)
    for path in tmp_path.glob("*.csv"):
        path.write_text(
            path.read_text()
            .replace("/", "\\")
            .replace("Frontal\\Lateral", "Frontal/Lateral")
            .replace("AP\\PA", "AP/PA")
        )
    assert load_listed(name, tmp_path) == before


def test_missing_values_spelt_out_in_an_official_table_are_blank(tmp_path: Path) -> None:
    LAYOUTS["grazpedwri-dx"](tmp_path, FILMS)
    before = load_listed("grazpedwri-dx", tmp_path)
    header, *rows = csv.reader((tmp_path / "dataset.csv").read_text().splitlines())
    put_table(tmp_path / "dataset.csv", header, [[cell or "NaN" for cell in row] for row in rows])
    assert load_listed("grazpedwri-dx", tmp_path) == before
    # A patient that is missing is no patient of several films.
    put_table(tmp_path / "dataset.csv", header, [[row[0], "None", *row[2:]] for row in rows])
    reading = read_source("grazpedwri-dx", root=tmp_path)
    patients = {row["patient_id"] for rows in reading.triplets.values() for row in rows}
    assert (len(patients), reading.left_out) == (len(rows), [])
    assert f"{len(rows)} films without a patient: each counts as its own" in reading.notes
    # Only films that become triplets are counted: not one listed twice, not one that cannot be read.
    put_table(tmp_path / "dataset.csv", header, [[row[0], "None", *row[2:]] for row in (*rows, rows[0])])
    next(tmp_path.glob(f"**/{rows[1][0]}*.png")).write_bytes(b"")
    reading = read_source("grazpedwri-dx", root=tmp_path)
    assert f"{len(rows) - 1} films without a patient: each counts as its own" in reading.notes


def test_an_open_quote_in_an_official_table_costs_its_row(tmp_path: Path) -> None:
    LAYOUTS["grazpedwri-dx"](tmp_path, FILMS)
    lines = (tmp_path / "dataset.csv").read_text().splitlines()
    lines[2] = f'"{lines[2]}'
    (tmp_path / "dataset.csv").write_text("\n".join(lines))
    assert load_listed("grazpedwri-dx", tmp_path) == (5, [["dataset.csv", "3", "a quote that does not close"]])


def test_annotations_in_another_encoding_stop_no_run(tmp_path: Path) -> None:
    LAYOUTS["grazpedwri-dx"](tmp_path, FILMS)
    first, second, *_ = sorted(tmp_path.glob("**/labels/*.txt"))
    first.write_bytes(b"\xff\xfe" + "3 0.5 0.5 0.25 0.5\n".encode("utf-16-le"))
    second.write_bytes(b"3 0.5 0.5 0.25 0.5 \x81\n")
    count, listed = load_listed("grazpedwri-dx", tmp_path)
    assert (count, listed) == (6, [[second.name, "", "annotation cannot be read (UnicodeDecodeError)"]])


def test_a_name_given_to_all_patients_of_a_data_set_is_none(tmp_path: Path) -> None:
    LAYOUTS["chd-cxr"](tmp_path, FILMS)
    for path in tmp_path.glob("**/*.dcm"):
        path.write_bytes(dicom(patient="Anonymized"))
    data = load("chd-cxr", root=tmp_path)
    assert len({row["patient_id"] for split in data.values() for row in split}) == len(FILMS)
