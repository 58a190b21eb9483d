"""Anyone's folder of images becomes triplets; what cannot is listed, what is ambiguous is an error that says where."""

import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pedclip.anatomy import REGIONS
from pedclip.data.folder import FolderReading, NothingUsable, read_folder
from pedclip.triplets.splits import split_of
from pedclip.triplets.tabular import TableError


def png(seed: int = 0, size: tuple[int, int] = (24, 20)) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, size, dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """A folder with `metadata.csv` of the given lines, and every image that a line begins with."""

    def make(*lines: str, name: str = "source", images: Sequence[str] | None = None) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
        for seed, image in enumerate([line.split(",")[0] for line in lines[1:]] if images is None else images):
            (folder / image).write_bytes(png(seed))
        return folder

    return make


def rows(reading: FolderReading) -> dict[str, dict[str, Any]]:
    """Every triplet by image id, with the name of its split."""
    return {row["image_id"]: {**row, "split": name} for name, data in reading.triplets.items() for row in data}


def reasons(reading: FolderReading) -> dict[int, str]:
    return {item.row: item.words for item in reading.left_out}


def test_every_field_is_read(make: Callable[..., Path]) -> None:
    folder = make(
        "File Name,Body-Part,Patient ID,study_id,image_id,text,view,side,age,boneage,sex,finding,label,split",
        'a.png,Tib/Fib,p1,s1,i1,"Cortex intact, no fracture.",AP (standing),L,7,90,female,no fracture,normal,dev',
    )
    triplet = rows(read_folder(folder, split="given"))["i1"]
    image = triplet.pop("image")
    assert image.mode == "L"
    assert np.array_equal(np.asarray(image), np.asarray(Image.open(folder / "a.png")))
    assert triplet == {
        "text": "Cortex intact, no fracture.",
        "region": REGIONS.index("tibia_fibula"),
        "laterality": "left",
        "view": "AP",
        "patient_id": "p1",
        "study_id": "s1",
        "image_id": "i1",
        "age_months": 84.0,
        "sex": "F",
        "findings": [],
        "uncertain": None,
        "boxes": [],
        "mask": None,
        "severity": None,
        "bone_age_months": 90.0,
        "structures": None,
        "text_source": "caption",
        "source": "source",
        "split": "validation",
    }


def test_bytes_of_grey_files_are_kept_and_deep_files_become_grey_png(make: Callable[..., Path]) -> None:
    folder = make("file,region,text", "a.png,knee,normal", "b.tif,knee,normal", images=["a.png"])
    deep = np.arange(400, dtype=np.uint16).reshape(20, 20) * 100
    Image.fromarray(deep).save(folder / "b.tif")
    reading = read_folder(folder, split="hash")
    stored = {
        row["image_id"]: row["image"]["bytes"]
        for data in reading.triplets.values()
        for row in data.with_format("arrow")[:].to_pylist()
    }
    assert stored["a.png"] == (folder / "a.png").read_bytes()
    with Image.open(io.BytesIO(stored["b.tif"])) as image:
        assert (image.format, image.mode, image.getextrema()) == ("PNG", "L", (0, 255))


def test_unusable_rows_are_listed_and_the_others_kept(make: Callable[..., Path]) -> None:
    folder = make(
        "file,region,text,label,patient_id",
        "good.png,chest,Clear lungs.,,p1",
        "absent.png,chest,Clear lungs.,,p2",
        "empty.png,chest,Clear lungs.,,p3",
        "black.png,chest,Clear lungs.,,p4",
        "e.png,,Clear lungs.,,p5",
        "f.png,thorax_or_spine,Clear lungs.,,p6",
        "g.png,chest,..,,p7",
        "h.png,chest,.. ,normal,p8",
        ",chest,Clear lungs.,,p9",
        "j.png,chest,Clear lungs.,,",
        images=["good.png", "e.png", "f.png", "g.png", "h.png", "j.png"],
    )
    (folder / "empty.png").write_bytes(b"")
    Image.new("L", (30, 30)).save(folder / "black.png")
    reading = read_folder(folder)
    assert set(rows(reading)) == {"good.png", "h.png", "j.png"}
    assert rows(reading)["j.png"]["patient_id"] == "image j.png"
    assert "1 films without a patient: each counts as its own" in reading.notes
    found = reasons(reading)
    assert list(found) == [3, 4, 5, 6, 7, 8, 10]
    for number, words in {
        3: "no such file",
        4: "empty file",
        5: "all black",
        6: "region is blank",
        7: "thorax_or_spine",
        8: "neither text nor a label",
        10: "no image file named",
    }.items():
        assert words in found[number]
    assert reading.left_out[0].file == "absent.png"
    assert reading.left_out[0].source == "source"


def test_all_rows_unusable_is_an_error(make: Callable[..., Path]) -> None:
    folder = make("file,region,text", "a.png,teeth,Caries.", "b.png,teeth,Caries.")
    with pytest.raises(NothingUsable, match=r"none of 2 rows can be used .2 × region: .*teeth") as error:
        read_folder(folder)
    assert [item.row for item in error.value.left_out] == [2, 3]


def test_unknown_region_is_an_error_with_the_place(make: Callable[..., Path]) -> None:
    folder = make("file,region,text", "a.png,chest,Clear.", "b.png,sholuder,Clear.")
    with pytest.raises(TableError, match=r"metadata.csv, row 3, column 'region': .*shoulder"):
        read_folder(folder)


@pytest.mark.parametrize(
    ("name", "text", "region"),
    [
        ("kids-cxr-notes", "The wrist is fine.", "chest"),
        ("left_knee.v2", "Clear.", "knee"),
        ("source", "Fracture of the distal radius near the forearm shaft.", "forearm"),
        ("source", "No body part named.", None),
        ("hip-and-knee", "Wrist and hand.", None),
    ],
)
def test_without_a_region_column_one_name_decides(
    make: Callable[..., Path], name: str, text: str, region: str | None
) -> None:
    folder = make("file,text", "ok.png,Lateral skull film.", f"a.png,{text}", name=name)
    found = rows(read_folder(folder))
    assert ("a.png" in found) == (region is not None)
    if region:
        assert REGIONS[found["a.png"]["region"]] == region


def test_side_comes_from_the_label_or_the_text_but_not_for_the_trunk(make: Callable[..., Path]) -> None:
    folder = make(
        "file,region,text",
        "a.png,right wrist,Clear.",
        "b.png,knee,Effusion of the left knee.",
        "c.png,knee,Left knee better than right knee.",
        "d.png,chest,The left chest wall is clear.",
    )
    sides = {key: row["laterality"] for key, row in rows(read_folder(folder)).items()}
    assert sides == {"a.png": "right", "b.png": "left", "c.png": "", "d.png": ""}


def test_text_wins_over_labels_and_labels_become_sentences(make: Callable[..., Path]) -> None:
    folder = make(
        "file,region,view,label,caption,age_group",
        "a.png,knee,AP,osteochondroma,Exostosis.,child",
        "b.png,knee,AP,osteochondroma,,child",
        "c.png,knee,AP,,Nobody labelled this.,",
    )
    found = rows(read_folder(folder))
    assert [found[key]["text_source"] for key in ("a.png", "b.png", "c.png")] == ["caption", "label-prompt", "caption"]
    assert found["a.png"]["text"] == "Exostosis."
    assert "steochondroma" in found["b.png"]["text"]
    assert "knee of a child." in found["b.png"]["text"]
    assert [found[key]["findings"] for key in ("a.png", "c.png")] == [["osteochondroma"], None]


@pytest.mark.parametrize("text", ["No report available.", "see report", "PENDING", "[object Object]", "None."])
def test_a_placeholder_is_no_text(make: Callable[..., Path], text: str) -> None:
    reading = read_folder(
        make("file,region,text,label,patient_id", "a.png,chest,Clear.,,p1", f"b.png,chest,{text},,p2")
    )
    assert set(rows(reading)) == {"a.png"}
    assert "neither text nor a label" in reasons(reading)[3]


def test_boxes_and_masks_belong_to_their_film(make: Callable[..., Path]) -> None:
    folder = make("file,region,label,mask_file", "a.png,knee,tumor,m.png", "b.png,knee,tumor,wide.png")
    (folder / "boxes.csv").write_text(
        "file,x,y,w,h,label\na.png,1,2,3,4,Giant_Cell\na.png,15,20,10,10,x\na.png,90,0,5,5,x\nother.png,1,1,1,1,x\n"
    )
    mask = np.zeros((24, 20), bool)
    mask[3:5] = True
    Image.fromarray(mask).save(folder / "m.png")
    Image.new("1", (30, 30)).save(folder / "wide.png")
    reading = read_folder(folder)
    found = rows(reading)
    assert [tuple(box.values()) for box in found["a.png"]["boxes"]] == [(1, 2, 3, 4, "giant cell"), (15, 20, 5, 4, "x")]
    assert np.array_equal(np.asarray(found["a.png"]["mask"]), mask * np.uint8(255))
    assert found["b.png"]["mask"] is None
    notes = "; ".join(reading.notes)
    assert "1 boxes cut at the edge" in notes
    assert "1 boxes outside their film left out (first: row 4)" in notes
    assert "1 masks left out, their films kept (first: wide.png: mask of 30×30 pixels on a film of 20×24)" in notes


def test_box_without_a_number_is_an_error(make: Callable[..., Path]) -> None:
    folder = make("file,region,label", "a.png,knee,tumor")
    (folder / "boxes.csv").write_text("file,x,y,w,h,label\na.png,1,two,3,4,x\n")
    with pytest.raises(TableError, match=r"boxes.csv, row 2, column 'y': expected a number"):
        read_folder(folder)


# --- splits ---


def test_split_words_and_their_synonyms(make: Callable[..., Path]) -> None:
    words = ["train", "training", "val", "valid", "dev", "Validation", "test", "holdout"]
    folder = make("file,region,text,split", *(f"{i}.png,knee,Clear.,{word}" for i, word in enumerate(words)))
    found = rows(read_folder(folder))
    splits = [found[f"{i}.png"]["split"] for i in range(8)]
    assert splits == ["train"] * 2 + ["validation"] * 4 + ["test"] * 2


def test_without_training_rows_the_patient_decides(make: Callable[..., Path]) -> None:
    lines = [f"{i}.png,knee,Clear.,p{i // 2},holdout" for i in range(40)]
    folder = make("file,region,text,patient_id,split", *lines)
    reading = read_folder(folder)
    assert any("no training rows" in note for note in reading.notes)
    assert all(row["split"] == split_of(row["patient_id"]) for row in rows(reading).values())
    patients = [set(data["patient_id"]) for data in reading.triplets.values()]
    assert len(set.union(*patients)) == sum(map(len, patients)) == 20
    assert {row["split"] for row in rows(read_folder(folder, split="given")).values()} == {"test"}
    assert rows(read_folder(folder, split="hash")).keys() == rows(reading).keys()


def test_given_split_can_be_ignored(make: Callable[..., Path]) -> None:
    folder = make("file,region,text,patient_id,split", *(f"{i}.png,knee,Clear.,p{i},train" for i in range(20)))
    assert {row["split"] for row in rows(read_folder(folder)).values()} == {"train"}
    assert all(row["split"] == split_of(key) for key, row in _by_patient(read_folder(folder, split="hash")).items())


def _by_patient(reading: FolderReading) -> dict[str, dict[str, Any]]:
    return {row["patient_id"]: row for row in rows(reading).values()}


def test_the_same_patient_in_two_given_splits_is_an_error(make: Callable[..., Path]) -> None:
    folder = make(
        "file,region,text,subject_id,split",
        "a.png,knee,Clear.,secret,train",
        "b.png,knee,Clear.,x,val",
        "c.png,knee,Clear.,secret,test",
    )
    with pytest.raises(TableError, match=r"row 2 and 4, column 'split': the same patient is in 'train'") as error:
        read_folder(folder)
    assert "secret" not in str(error.value)
    assert len(rows(read_folder(folder, split="hash"))) == 3


@pytest.mark.parametrize("value", ["trian", ""])
def test_unknown_split_is_an_error(make: Callable[..., Path], value: str) -> None:
    folder = make("file,region,text,split", "a.png,knee,Ok then.,train", f"b.png,knee,Ok then.,{value}")
    message = f"expected one of train.*got '{value}'" if value else "blank; fill it in, or pass split='hash'"
    with pytest.raises(TableError, match=f"row 3, column 'split': {message}"):
        read_folder(folder)


def test_given_split_that_is_not_there_is_an_error(make: Callable[..., Path]) -> None:
    with pytest.raises(TableError, match="pass split='hash'"):
        read_folder(make("file,region,text", "a.png,knee,Clear."), split="given")


def test_no_patient_column_is_noted(make: Callable[..., Path]) -> None:
    reading = read_folder(make("file,region,text", "a.png,knee,Clear."))
    assert "no patient column: every image counts as its own patient" in reading.notes
    assert rows(reading)["a.png"]["patient_id"] == "a.png"


# --- tables ---


def test_duplicate_image_id_is_an_error_with_both_rows(make: Callable[..., Path]) -> None:
    by_id = make("file,image_id,region,text", "a.png,i,knee,Ok.", "b.png,j,knee,Ok.", "c.png,i,knee,Ok.")
    with pytest.raises(TableError, match=r"row 2 and 4, column 'image_id': the same image id twice"):
        read_folder(by_id)
    by_file = make("file,region,text", "a.png,knee,Ok.", "a.png,hip,Ok.", name="two")
    with pytest.raises(TableError, match=r"row 2 and 3, column 'file'"):
        read_folder(by_file)


def test_missing_columns_are_named_with_the_close_spelling(make: Callable[..., Path]) -> None:
    folder = make("bild,region,note_text", "a.png,knee,Clear lungs.")
    with pytest.raises(TableError, match=r"metadata.csv has no image column; its columns are bild, region, note_text"):
        read_folder(folder)
    columns = {"image": "bild", "text": "note_txt"}
    with pytest.raises(TableError, match=r"no column 'note_txt' \(for 'text'\); did you mean 'note_text'"):
        read_folder(folder, columns=columns)
    with pytest.raises(TableError, match=r"'txt'.* did you mean 'text'"):
        read_folder(folder, columns={"txt": "note_text"})
    found = rows(read_folder(folder, columns={"image": "bild", "text": "note_text"}))
    assert found["a.png"]["text"] == "Clear lungs."


def test_the_table_may_be_json_lines_or_parquet(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    records = [
        {
            "report_id": "r1",
            "raw_text": "One.\u2028Line two.",
            "region": "hand",
            "image_files": ["a.png", "b.png"],
        },
        {"report_id": "r2", "raw_text": "No film.", "region": None, "image_files": []},
    ]
    for name in ("lines", "parquet"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "a.png").write_bytes(png())
        (folder / "texts_only.jsonl").write_text('{"report_id": "t", "image_files": []}\n')
        (folder / "words.csv").write_text("word,meaning\na,b\n")
        if name == "lines":
            lines = "\n".join(json.dumps(record, ensure_ascii=False) for record in records)
            (folder / "pairs.jsonl").write_text(lines + "\n", encoding="utf-8")
        else:
            parquet.write_table(pyarrow.Table.from_pylist(records), folder / "pairs.parquet")
        reading = read_folder(folder)
        assert list(rows(reading)) == ["r1"]
        assert rows(reading)["r1"]["text"] == "One.\u2028Line two."
        assert [(item.file, item.row) for item in reading.left_out] == [("b.png", 1), ("", 2)]


def test_a_broken_table_of_something_else_is_passed_over(make: Callable[..., Path]) -> None:
    folder = make("file,region,text", "1.png,wrist,Clear.")
    (folder / "metadata.csv").rename(folder / "list.csv")
    (folder / "words.csv").write_text("word,meaning\na,b,c\n")
    assert [*rows(read_folder(folder))] == ["1.png"]


def test_two_tables_to_choose_from_is_an_error(make: Callable[..., Path]) -> None:
    folder = make("file,region,text", "a.png,knee,Clear.")
    (folder / "metadata.csv").rename(folder / "one.csv")
    (folder / "two.csv").write_bytes((folder / "one.csv").read_bytes())
    with pytest.raises(TableError, match=r"one.csv and two.csv both list images"):
        read_folder(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file,text\na.png,one,two\n", "row 2: more cells than the header"),
        (b"file,text\na.png,\x81\n", "cannot be read .*UTF-8"),
        (b"file,text\n", "has no rows"),
    ],
)
def test_unreadable_table_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "metadata.csv").write_bytes(content)
    with pytest.raises(TableError, match=message):
        read_folder(tmp_path)


def test_no_table_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    with pytest.raises(FileNotFoundError, match=r"expected metadata.csv .*found a.png"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("column", "cell", "months"),
    [("age", "2.5", 30), ("age", "030Y", 360), ("age_months", "7", 7), ("age", "old", None), ("age", "900", None)],
)
def test_ages_are_months(make: Callable[..., Path], column: str, cell: str, months: float | None) -> None:
    reading = read_folder(make(f"file,region,text,{column}", f"a.png,knee,Clear.,{cell}"))
    assert rows(reading)["a.png"]["age_months"] == months
    assert any("ages not understood" in note for note in reading.notes) == (months is None)


# --- own tables: missing values, labels, paths, patients ---


@pytest.mark.parametrize("word", ["nan", "NaN", "None", "NULL", "N/A", "-", ".", "#N/A"])
def test_missing_values_spelt_out_are_blank_in_every_column(make: Callable[..., Path], word: str) -> None:
    lines = [f"{i}.png,wrist,No fracture {i}.,{word},{word},{word},{word}" for i in range(12)]
    folder = make("file,region,text,patient_id,sex,age,label", *lines, f"x.png,wrist,{word},p,F,5,{word}")
    reading = read_folder(folder)
    found = rows(reading)
    assert {row["patient_id"] for row in found.values()} == {f"image {i}.png" for i in range(12)}
    assert len({row["split"] for row in found.values()}) > 1
    assert all(row["findings"] is None for row in found.values())
    assert reasons(reading) == {14: "neither text nor a label"}
    assert not any("not understood" in note for note in reading.notes)


def test_a_table_whose_patient_column_has_an_unknown_name_stops(make: Callable[..., Path]) -> None:
    folder = make("file,region,text,kind_nr", *(f"{i}.png,knee,Clear.,p{i // 3}" for i in range(9)))
    with pytest.raises(
        TableError,
        match=r"no column of patients .* columns are file, text, region, kind_nr\. .* rename it 'patient_id'",
    ):
        read_folder(folder)
    told = read_folder(folder, columns={"patient_id": "kind_nr"})
    assert {row["patient_id"] for row in rows(told).values()} == {"p0", "p1", "p2"}
    stated = read_folder(folder, patients="independent")
    assert len({row["patient_id"] for row in rows(stated).values()}) == 9
    assert "columns not used: kind_nr" in stated.notes


def test_labels_that_are_no_findings_are_refused_all_at_once(make: Callable[..., Path]) -> None:
    folder = make(
        "file,region,label", "a.png,knee,1", "b.png,knee,zork; fracture", "c.png,knee,1", "d.png,knee,effusion"
    )
    with pytest.raises(TableError, match=r"column 'label': 2 labels .*: '1' \(2×\), 'zork' \(1×\)\. .*labels\.csv"):
        read_folder(folder)
    (folder / "labels.csv").write_text("label,finding\n1,joint effusion\nzork,\n")
    found = rows(read_folder(folder))
    assert [found[f"{name}.png"]["findings"] for name in "abcd"] == [
        ["joint effusion"],
        ["zork", "fracture"],
        ["joint effusion"],
        ["effusion"],
    ]


def test_sentences_in_a_column_of_labels_are_not_quoted(make: Callable[..., Path]) -> None:
    folder = make("file,region,findings", "a.png,knee,There is a fracture of the left distal radius of Anna Smith.")
    with pytest.raises(TableError, match=r"1 cells are sentences, not labels") as error:
        read_folder(folder)
    assert "Smith" not in str(error.value)


def test_columns_called_after_findings_are_labels(make: Callable[..., Path]) -> None:
    folder = make(
        "file,region,fracture,metal", "a.png,wrist,1,0", "b.png,wrist,0,0", "c.png,wrist,1,yes", "d.png,wrist,,"
    )
    reading = read_folder(folder)
    findings = {key: row["findings"] for key, row in rows(reading).items()}
    assert findings == {"a.png": ["fracture"], "b.png": [], "c.png": ["fracture", "metal"]}
    assert reasons(reading) == {5: "neither text nor a label"}


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("img\\1.png", "img/1.png"),
        ("D:\\study\\img\\1.png", "img/1.png"),
        ("/mnt/other/img/1.png", "img/1.png"),
        ("source/img/1.png", "img/1.png"),
        ("IMG/1.PNG", "img/1.png"),
        ("1", "1.png"),
        ("1.2.840.7", "1.2.840.7.dcm.png"),
        ("1.png", "img/1.png"),
        ("R\u00f6ntgen.png", "Ro\u0308ntgen.png"),
        ("['a.png', 'b.png']", "a.png"),
    ],
)
def test_a_film_is_found_however_its_name_is_written(tmp_path: Path, written: str, stored: str) -> None:
    folder = tmp_path / "source"
    (folder / "img").mkdir(parents=True)
    stored = stored.replace(".dcm.png", ".png")
    (folder / stored).write_bytes(png())
    quoted = f'"{written}"'
    (folder / "metadata.csv").write_text(f"file,region,text\n{quoted},knee,Clear.\n", encoding="utf-8")
    assert len(rows(read_folder(folder))) == 1


def test_a_name_of_several_films_is_listed_and_another_folder_is_not_guessed(make: Callable[..., Path]) -> None:
    folder = make("file,region,text", "1,knee,Clear.", "test/2.png,knee,Clear.", "3.png,knee,Clear.", images=["3.png"])
    for name in ("a/1.png", "b/1.png", "train/2.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(png(7))
    reading = read_folder(folder)
    assert list(rows(reading)) == ["3.png"]
    assert "2 files of this name" in reasons(reading)[2]
    assert "no such file" in reasons(reading)[3]


@pytest.mark.parametrize(
    ("delimiter", "encoding"),
    [(";", "utf-8"), ("\t", "utf-8-sig"), ("|", "utf-8"), ("\t", "utf-16"), (";", "cp1252"), (";", "utf-8-sig")],
)
def test_a_table_as_a_spreadsheet_saves_it(tmp_path: Path, delimiter: str, encoding: str) -> None:
    lines = ["file,region,text,age,patient_id", "a.png,knee,Kein Röntgen‑Befund.,5*5,p"]
    content = "\n".join(lines).replace(",", delimiter).replace("*", "," if delimiter == ";" else ".").replace("‑", "-")
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "metadata.csv").write_bytes(content.encode(encoding))
    row = rows(read_folder(tmp_path))["a.png"]
    assert (row["text"], row["age_months"]) == ("Kein Röntgen-Befund.", 66)


def test_repeated_rows_and_boxes_are_used_once_and_listed(make: Callable[..., Path]) -> None:
    folder = make(
        "file,region,text", "a.png,knee,Clear.", "b.png,knee,Clear.", "a.png,knee,Clear.", images=["a.png", "b.png"]
    )
    (folder / "boxes.csv").write_text("file,x,y,w,h,label\na.png,1,2,3,4,x\na.png,1,2,3,4,x\nc.png,1,2,3,4,x\n")
    reading = read_folder(folder)
    assert len(rows(reading)["a.png"]["boxes"]) == 1
    assert [(item.file, item.row, str(item.reason), item.detail) for item in reading.left_out] == [
        ("a.png", 4, "same-film", "repeats row 2"),
        ("boxes.csv", 3, "bad-annotation", "the same box a second time"),
        ("boxes.csv", 4, "bad-annotation", "no triplet of this file"),
    ]


@pytest.mark.parametrize("written", ["./a.png", "A.PNG", "a", ".\\a.png"])
def test_a_film_written_in_two_ways_is_one_film(make: Callable[..., Path], written: str) -> None:
    lines = ["file,region,text", "a.png,knee,Clear.", f"{written},knee,Clear."]
    reading = read_folder(make(*lines, images=["a.png"]))
    assert [*rows(reading)] == ["a.png"]
    assert reasons(reading)[3].endswith("repeats row 2")
    lines[-1] = f"{written},knee,Fracture."
    with pytest.raises(TableError, match="row 2 and 3, column 'file': the same image id twice"):
        read_folder(make(*lines, name="other", images=["a.png"]))


def test_number_of_a_patient_is_one_patient_with_and_without_its_point(make: Callable[..., Path]) -> None:
    header = "file,region,text,patient_id,split"
    folder = make(header, "a.png,knee,Clear.,12,train", "b.png,knee,Clear.,12.0,test")
    with pytest.raises(TableError, match="the same patient is in"):
        read_folder(folder)
    reading = read_folder(folder, split="hash")
    assert {row["patient_id"] for row in rows(reading).values()} == {"12"}


@pytest.mark.parametrize("remark", ["absent", "not seen", "excluded", "NO", "0", "?", "possible", "negative"])
def test_label_with_a_remark_that_takes_it_back_is_refused(make: Callable[..., Path], remark: str) -> None:
    folder = make("file,region,finding", f"a.png,knee,fracture ({remark})", "b.png,knee,fracture (grade 2)")
    with pytest.raises(
        TableError, match=rf"1 labels that are no known findings: 'fracture \({re.escape(remark.lower())}\)'"
    ):
        read_folder(folder)


def test_the_same_film_of_two_patients_is_in_one_part(make: Callable[..., Path]) -> None:
    big = io.BytesIO()
    smooth = np.add.outer(np.arange(64) ** 2 % 97, np.arange(64) * 3 % 89).astype(np.uint8)
    Image.fromarray(smooth).save(big, "PNG")
    names = [f"{i}.png" for i in range(8)]
    folder = make("file,region,text,patient_id", *(f"{name},knee,Clear.,d{name}" for name in names))
    for name in names[:6]:
        (folder / name).write_bytes(big.getvalue())
    assert len({split_of(f"d{name}") for name in names[:6]}) > 1
    reading = read_folder(folder)
    assert len({rows(reading)[name]["split"] for name in names[:6]}) == 1
    assert any(note.endswith("under two patients; such patients share a part") for note in reading.notes)
    splits = ["train", "test", "train", "val", "train", "train", "train", "train"]
    lines = [f"{name},knee,Clear.,p{name},{split}" for name, split in zip(names, splits, strict=True)]
    (folder / "metadata.csv").write_text("\n".join(["file,region,text,patient_id,split", *lines]))
    reading = read_folder(folder)
    assert sorted(rows(reading)) == ["1.png", "6.png", "7.png"]
    assert {str(item.reason) for item in reading.left_out} == {"same-film"}


def test_every_copy_that_a_patient_has_of_a_held_out_film_is_left_out(make: Callable[..., Path]) -> None:
    lines = ["a.png,knee,Clear.,p1,train", "b.png,knee,Clear.,p1,train", "c.png,knee,Clear.,p2,test"]
    folder = make("file,region,text,patient_id,split", *lines, "d.png,knee,Clear.,p3,train")
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes((folder / "c.png").read_bytes())
    reading = read_folder(folder)
    assert sorted(rows(reading)) == ["c.png", "d.png"]
    assert sorted(item.file for item in reading.left_out) == ["a.png", "b.png"]


@pytest.mark.parametrize("word", ["unk", "(null)", "[]", "['nan']", "#DIV/0!", "1.#QNAN", "not applicable", "...", "_"])
def test_other_spellings_of_missing_values_are_blank_too(make: Callable[..., Path], word: str) -> None:
    folder = make(
        "file,region,text,patient_id,label,age,sex,side,mask",
        f"a.png,knee,Ok then.,{word},{word},{word},{word},{word},{word}",
        f"b.png,knee,{word},{word},fracture,{word},{word},{word},{word}",
        f"c.png,{word},Ok then.,p,,,,,",
    )
    reading = read_folder(folder)
    found = rows(reading)
    assert {name: row["patient_id"] for name, row in found.items()} == {"a.png": "image a.png", "b.png": "image b.png"}
    assert found["a.png"]["findings"] is None
    assert found["b.png"]["text_source"] == "label-prompt"
    assert (found["a.png"]["sex"], found["a.png"]["laterality"], found["a.png"]["mask"]) == ("", "", None)
    assert reasons(reading) == {4: "region is blank"}


@pytest.mark.parametrize("words", [("ANONYMIZED", "x"), ("0000", "0000"), ("0000", "anon^anon")])
def test_what_a_program_writes_over_all_names_is_no_patient(make: Callable[..., Path], words: tuple[str, str]) -> None:
    folder = make("file,region,text,patient", *(f"{n}.png,knee,Ok then.,{word}" for n, word in enumerate(words)))
    reading = read_folder(folder)
    assert {row["patient_id"] for row in rows(reading).values()} == {"image 0.png", "image 1.png"}
    assert "2 films without a patient: each counts as its own" in reading.notes


def test_zeros_beside_other_identifiers_are_a_patient(make: Callable[..., Path]) -> None:
    folder = make("file,region,text,patient", "a.png,knee,Ok then.,0000", "b.png,knee,Ok then.,0001")
    assert {row["patient_id"] for row in rows(read_folder(folder)).values()} == {"0000", "0001"}


def test_films_of_one_study_are_of_one_patient(make: Callable[..., Path]) -> None:
    lines = [f"{number}.png,knee,Ok then.,s{number % 2}" for number in range(12)]
    reading = read_folder(make("file,region,text,study_id", *lines))
    splits = {(row["study_id"], row["split"]) for row in rows(reading).values()}
    assert len(splits) == 2
    assert "no patient column: every study counts as its own patient" in reading.notes


def test_a_column_may_be_told_to_be_the_patient_whatever_its_name(make: Callable[..., Path]) -> None:
    folder = make("file,region,text,ID", "a.png,knee,Ok then.,p", "b.png,knee,Ok then.,p")
    with pytest.raises(TableError, match=r"row 2 and 3, column 'ID'.*pass columns=\{'patient_id': 'ID'\}"):
        read_folder(folder)
    found = rows(read_folder(folder, columns={"patient_id": "ID"}))
    assert {name: row["patient_id"] for name, row in found.items()} == {"a.png": "p", "b.png": "p"}


def test_numbers_of_rows_are_no_patients(make: Callable[..., Path]) -> None:
    lines = [f"{name}.png,knee,Ok then.,{number}" for number, name in enumerate("ab")]
    assert len(rows(read_folder(make("file,region,text,Unnamed: 0", *lines)))) == 2
    # The same number twice may be a child.
    with pytest.raises(TableError, match="no column of patients"):
        read_folder(make("file,region,text,index", *(f"{line[:-1]}7" for line in lines), name="twice"))


def test_a_quote_left_open_swallows_no_rows(make: Callable[..., Path]) -> None:
    lines = ["a.png,knee,Ok then.", 'b.png,knee,"Ok then.', "c.png,knee,Ok then."]
    with pytest.raises(TableError, match=r"metadata\.csv, row 3: a quote that does not close"):
        read_folder(make("file,region,text", *lines, images=[]))


def test_two_columns_of_one_name_are_refused(make: Callable[..., Path]) -> None:
    with pytest.raises(TableError, match="two columns named 'patient'"):
        read_folder(make("file,region,text,patient,patient", "a.png,knee,Ok then.,p,q"))


@pytest.mark.parametrize("start", ["sep=;\n", "\n", "\ufeffsep=;\r\n\r\n"])
def test_lines_before_the_names_are_passed_over(tmp_path: Path, start: str) -> None:
    (tmp_path / "a.png").write_bytes(png())
    content = f"{start}file;region;text;patient\na.png;knee;Ok, then.;p"
    (tmp_path / "metadata.csv").write_text(content, encoding="utf-8")
    assert rows(read_folder(tmp_path))["a.png"]["text"] == "Ok, then."


def test_boxes_find_their_film_as_rows_do_and_blank_ones_are_none(make: Callable[..., Path]) -> None:
    folder = make("file,region,label", "C:\\x\\a.png,knee,fracture", "b.png,knee,normal", images=["a.png", "b.png"])
    lines = [
        "file,x,y,w,h,label",
        "a,1,1,4,4,unk",
        "./a.png,1,1,4,4,unk",
        "b.png,,,,,",
        "b.png,1,1,-2,3,",
        "b.png,nan,1,2,2,",
    ]
    (folder / "boxes.csv").write_text("\n".join(lines), encoding="utf-8")
    reading = read_folder(folder)
    assert rows(reading)["C:\\x\\a.png"]["boxes"] == [{"x": 1, "y": 1, "width": 4, "height": 4, "label": ""}]
    assert reasons(reading) == {
        3: "the same box a second time",
        5: "box without area (-2 wide, 3 high)",
        6: "box outside its film",
    }


def test_films_that_differ_by_their_suffix_are_their_own(make: Callable[..., Path]) -> None:
    names = ("a.png", "a.jpg", "a.tif")
    folder = make("file,region,text,patient", *(f"{name},knee,Text of {name}.,p{name}" for name in names))
    for seed, name in enumerate(names):
        pixels = np.random.default_rng(seed).integers(0, 255, (24, 24), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name, **({"quality": 100} if name.endswith("jpg") else {}))
    (folder / "boxes.csv").write_text("file,x,y,w,h,label\na.jpg,1,2,3,4,fracture\na,5,6,7,8,fracture\n")
    reading = read_folder(folder)
    found = rows(reading)
    assert {name: (row["text"], row["patient_id"], len(row["boxes"])) for name, row in found.items()} == {
        "a.png": ("Text of a.png.", "pa.png", 0),
        "a.jpg": ("Text of a.jpg.", "pa.jpg", 1),
        "a.tif": ("Text of a.tif.", "pa.tif", 0),
    }
    for seed, name in enumerate(names):
        pixels = np.random.default_rng(seed).integers(0, 255, (24, 24), dtype=np.uint8)
        assert np.abs(np.asarray(found[name]["image"]) - pixels.astype(int)).max() < 8  # JPEG rounds
    assert [(item.row, item.detail) for item in reading.left_out] == [(3, "no triplet of this file")]
    (folder / "boxes.csv").unlink()
    lines = ["file,region,text,patient", "a,knee,Text.,p", "a.jpg,knee,Text.,q"]
    (folder / "metadata.csv").write_text("\n".join(lines))
    reading = read_folder(folder)
    assert list(rows(reading)) == ["a.jpg"]
    assert reasons(reading)[2] == "3 files of this name could be meant; write the path of one"
    assert [item.file for item in reading.left_out if not item.row] == ["a.png", "a.tif"]


_NO_ROW = "no row of the table names this film"
_OF_A_LIST = "the row lists several films; its words go with the first alone"


def test_films_that_no_row_names_are_listed_and_noted(make: Callable[..., Path]) -> None:
    folder = make("file,region,text,mask", "./A.png,knee,Ok then.,m.png", images=["A.png", "m.png", "b.png"])
    (folder / "deep").mkdir()
    (folder / "deep/c.JPG").write_bytes(png(3))
    (folder / "IM1").write_bytes(bytes(128) + b"DICM")
    (folder / "readme.txt").write_text("no film")
    reading = read_folder(folder)
    found = [(item.file, item.reason, item.detail, item.source) for item in reading.left_out if not item.row]
    assert found == [(name, "no-text", _NO_ROW, "source") for name in ("IM1", "b.png", "deep/c.JPG")]
    assert "3 films that no row of the table names (IM1, b.png, deep/c.JPG)" in reading.notes


def test_films_that_no_row_names_are_listed_where_no_row_is_usable(make: Callable[..., Path]) -> None:
    folder = make("file,region,text", "a.png,knee,Ok then.", "b.png,knee,Ok then.", images=["c.png"])
    with pytest.raises(NothingUsable, match="none of 2 rows") as error:
        read_folder(folder)
    assert [item.file for item in error.value.left_out] == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize(
    "cell", ["\"['f1.png','f2.png']\"", "f1.png;f2.png", "f1.png | f2.png", '"[""f1.png"", ""f2.png""]"']
)
def test_of_a_list_of_films_the_first_is_read_and_the_others_are_listed(make: Callable[..., Path], cell: str) -> None:
    folder = make("file,region,text,mask", f"{cell},knee,Ok then.,{cell}", images=["f1.png", "f2.png"])
    reading = read_folder(folder)
    assert list(rows(reading)) == ["f1.png"]
    assert [(item.file, item.row, item.detail) for item in reading.left_out if item.reason == "no-text"] == [
        ("f2.png", 2, _OF_A_LIST)
    ]
    assert ("f2.png", "the row lists several masks; the first alone is read") in [
        (item.file, item.detail) for item in reading.left_out
    ]


def test_a_film_of_a_list_that_has_a_row_of_its_own_is_read(make: Callable[..., Path]) -> None:
    folder = make("file,region,text", "a.png;b.png,knee,Ok then.", "b.png,knee,Ok now.", images=["a.png", "b.png"])
    reading = read_folder(folder)
    assert (set(rows(reading)), reading.left_out) == ({"a.png", "b.png"}, [])


def test_boxes_are_found_in_any_case_and_one_table_of_them_is_read(make: Callable[..., Path]) -> None:
    folder = make("file,region,label", "a.png,knee,tumor")
    (folder / "Boxes.CSV").write_text("file,x,y,w,h,label\na.png,1,2,3,4,x\n")
    (folder / "Labels.csv").write_text("label,finding\ntumor,\n")
    assert len(rows(read_folder(folder))["a.png"]["boxes"]) == 1
    (folder / "boxes.csv").write_text("file,x,y,w,h,label\na.png,1,2,3,4,x\n")
    with pytest.raises(TableError, match=r"Boxes.CSV and boxes.csv.*one"):
        read_folder(folder)


@pytest.mark.parametrize("cell", ['"1,000"', "1_0", '"12,345"'])
def test_box_whose_number_may_be_another_is_refused(make: Callable[..., Path], cell: str) -> None:
    folder = make("file,region,label", "a.png,knee,tumor")
    (folder / "boxes.csv").write_text(f"file,x,y,w,h,label\na.png,{cell},2,3,4,x\n")
    with pytest.raises(TableError, match=r"boxes.csv, row 2, column 'x': expected a number of pixels.*without"):
        read_folder(folder)


def test_box_with_a_decimal_comma_is_read(make: Callable[..., Path]) -> None:
    folder = make("file,region,label", "a.png,knee,tumor")
    (folder / "boxes.csv").write_text("file;x;y;w;h;label\na.png;1,5;0,125;3;4;x\n")
    (box,) = rows(read_folder(folder))["a.png"]["boxes"]
    assert (box["x"], box["y"]) == (1.5, 0.125)


@pytest.mark.parametrize(
    "word", ["-1", "-999", "-9.0", "k.A.", "unbekannt", "inconnu", "desconocido", "TEST", "Unnamed", "xxxxx"]
)
def test_a_placeholder_beside_patients_is_none(make: Callable[..., Path], word: str) -> None:
    lines = [f"{n}.png,knee,Ok then.,{patient}" for n, patient in enumerate([word, word, "TEST1", "-12345"])]
    found = rows(read_folder(make("file,region,text,patient", *lines)))
    assert [row["patient_id"] for _, row in sorted(found.items())] == ["image 0.png", "image 1.png", "TEST1", "-12345"]
