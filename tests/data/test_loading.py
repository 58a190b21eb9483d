"""`load` finds sources by name, path, parent folder or list, and joins them without collisions."""

import csv
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import DatasetDict
from PIL import Image

import pedclip.data
from pedclip.data.folder import FolderReading, NothingUsable
from pedclip.data.loading import read_source
from pedclip.triplets.schema import FEATURES
from pedclip.triplets.splits import split_of
from pedclip.triplets.storage import make_split, save_triplets
from pedclip.triplets.tabular import TableError
from tests.triplets.triplet_rows import triplet


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))


def make_source(folder: Path, *lines: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "metadata.csv").write_text("\n".join(("file,region,text,patient_id,split", *lines)))
    for seed, line in enumerate(lines):
        if (name := line.split(",")[0]) != "absent.png":
            pixels = np.random.default_rng([seed, *folder.name.encode()]).integers(0, 255, (20, 20), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name)
    return folder


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """Two sources with the same ids, a triplet directory, and a folder without images."""
    root = tmp_path / "parent"
    make_source(root / "one", "a.png,knee,Clear.,p1,train", "b.png,hip,Clear.,p2,test", "absent.png,hip,Clear.,p3,test")
    make_source(root / "two", "a.png,chest,Clear.,p1,val", "c.png,wrist,Clear.,p9,train")
    empty = make_split([])
    save_triplets(DatasetDict(train=make_split([triplet(1)]), validation=empty, test=empty), root / "three")
    (root / "reports").mkdir()
    (root / "reports" / "reports.jsonl").write_text('{"report_id": "r", "raw_text": "x", "image_files": []}\n')
    return root


def ids(data: DatasetDict) -> dict[str, list[str]]:
    return {name: data[name]["image_id"] for name in data}


def test_a_parent_folder_joins_its_sources(parent: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="pedclip.data.loading"):
        data = pedclip.data.load(parent)
    assert ids(data) == {
        "train": ["one/a.png", "three/i1", "two/c.png"],
        "validation": ["two/a.png"],
        "test": ["one/b.png"],
    }
    assert data["train"]["patient_id"] == ["one/p1", "three/p1", "two/p9"]
    assert data["train"]["source"] == ["one", "made", "two"]
    assert data["train"].features == FEATURES
    assert data["train"][2]["image"].mode == "L"
    assert "no table of images in reports; skipped" in caplog.text
    assert "train 3, validation 1, test 1; 1 rows left out" in caplog.text


def test_a_list_and_a_text_with_commas_name_several(parent: Path) -> None:
    expected = {"train": ["two/c.png", "one/a.png"], "validation": ["two/a.png"], "test": ["one/b.png"]}
    assert ids(pedclip.data.load([parent / "two", str(parent / "one")])) == expected
    assert ids(pedclip.data.load(f"{parent / 'two'}, {parent / 'one'}")) == expected


def test_a_single_source_keeps_its_ids(parent: Path) -> None:
    assert ids(pedclip.data.load(parent / "one")) == {"train": ["a.png"], "validation": [], "test": ["b.png"]}
    assert ids(pedclip.data.load(parent / "three"))["train"] == ["i1"]


def test_the_hash_split_of_a_patient_is_the_same_alone_and_joined(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_source(tmp_path / name, *(f"{i}.png,knee,Clear.,p{i},holdout" for i in range(25)))
    alone, joined = pedclip.data.load(tmp_path / "one"), pedclip.data.load(tmp_path)
    for split, names in ids(alone).items():
        assert [f"one/{name}" for name in names] == [name for name in ids(joined)[split] if name.startswith("one/")]
    patients = [set(data["patient_id"]) for data in joined.values()]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 50


def test_the_list_names_what_was_left_out(parent: Path, tmp_path: Path) -> None:
    pedclip.data.load(parent, left_out=tmp_path / "run" / "left_out.csv")
    with (tmp_path / "run" / "left_out.csv").open() as file:
        assert list(csv.reader(file)) == [
            ["source", "file", "row", "reason", "detail"],
            ["one", "absent.png", "4", "bad-image", "no such file"],
        ]
    pedclip.data.load(parent / "two", left_out=tmp_path / "none.csv")
    assert (tmp_path / "none.csv").read_text() == "source,file,row,reason,detail\n"


def test_a_source_without_a_usable_row_is_an_error_alone_and_a_note_in_a_union(parent: Path, tmp_path: Path) -> None:
    bad = make_source(tmp_path / "bad", "absent.png,knee,Clear.,p,train")
    with pytest.raises(NothingUsable, match="none of 1 rows can be used"):
        pedclip.data.load(bad, left_out=tmp_path / "alone.csv")
    assert "no such file" in (tmp_path / "alone.csv").read_text()
    data = pedclip.data.load([bad, parent / "two"], left_out=tmp_path / "union.csv")
    assert ids(data)["train"] == ["two/c.png"]
    assert "bad,absent.png,2,bad-image,no such file" in (tmp_path / "union.csv").read_text()
    other = make_source(tmp_path / "worse", "absent.png,knee,Clear.,p,train")
    with pytest.raises(NothingUsable, match="none of 2 rows"):
        pedclip.data.load([bad, other])


def test_errors_name_the_next_step(parent: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"phantm does not exist.*Did you mean 'phantom'"):
        pedclip.data.load("phantm")
    with pytest.raises(FileNotFoundError, match=r"metadata.csv is a file, not a folder"):
        pedclip.data.load(parent / "one" / "metadata.csv")
    with pytest.raises(FileNotFoundError, match=r"expected metadata.csv"):
        pedclip.data.load(parent / "reports")
    with pytest.raises(ValueError, match="expected one of auto, given, hash, got 'random'"):
        pedclip.data.load(parent, split="random")
    with pytest.raises(ValueError, match="studies: only 'phantom' takes such arguments"):
        pedclip.data.load(parent, studies=3)
    with pytest.raises(TableError, match="did you mean 'text'"):
        pedclip.data.load(parent, columns={"txt": "text"})
    with pytest.raises(ValueError, match="no data given"):
        pedclip.data.load(" , ")
    make_source(tmp_path / "elsewhere" / "one", "a.png,knee,Clear.,p1,train")
    with pytest.raises(ValueError, match="both named 'one'"):
        pedclip.data.load([parent / "one", tmp_path / "elsewhere" / "one"])


def test_the_phantom_is_generated_with_its_arguments_alone_and_beside_others(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def generate(studies: int) -> DatasetDict:
        empty = make_split([])
        return DatasetDict(train=make_split(list(map(triplet, range(studies)))), validation=empty, test=empty)

    monkeypatch.setitem(sys.modules, "pedclip.data.phantom", SimpleNamespace(generate=generate))
    assert ids(pedclip.data.load("phantom", studies=2))["train"] == ["i0", "i1"]
    assert ids(pedclip.data.load(f"phantom,{parent / 'two'}", studies=1))["train"] == ["phantom/i0", "two/c.png"]


def test_columns_with_other_names_are_passed_on(parent: Path) -> None:
    table = parent / "one" / "metadata.csv"
    table.write_text(table.read_text().replace("file,", "bild,").replace("text", "befund"))
    with pytest.raises(TableError, match="has no image column"):
        pedclip.data.load(parent / "one")
    data = pedclip.data.load(parent / "one", columns={"image": "bild", "text": "befund"})
    assert data["train"]["text"] == ["Clear."]


def copied(source: Path, film: str, other: Path, name: str) -> None:
    (other / name).write_bytes((source / film).read_bytes())


def parts(reading: FolderReading) -> dict[str, str]:
    return {image: split for split, data in reading.triplets.items() for image in data["image_id"]}


def test_a_film_of_two_sources_with_given_parts_is_kept_in_the_held_out_one(tmp_path: Path) -> None:
    one = make_source(tmp_path / "one", "a.png,knee,Clear.,p1,train", "b.png,hip,Clear.,p2,test")
    two = make_source(tmp_path / "two", "c.png,knee,Clear.,p1,test", "d.png,hip,Clear.,p2,train")
    copied(one, "a.png", two, "c.png")
    reading = read_source([one, two], left_out=tmp_path / "left_out.csv")
    assert parts(reading) == {"one/b.png": "test", "two/c.png": "test", "two/d.png": "train"}
    (row,) = csv.DictReader((tmp_path / "left_out.csv").read_text().splitlines())
    expected = "the same film, or nearly so, under another patient in the test part"
    assert (row["source"], row["file"], row["reason"], row["detail"]) == ("one", "a.png", "same-film", expected)
    note = "1 films are the same, or nearly so, in two sources; 0 films moved into the part of the other, 1 left out"
    assert note in reading.notes


def test_patients_of_two_sources_who_share_a_film_share_a_drawn_part(tmp_path: Path) -> None:
    # Of these patients the first four are held out.
    lines = [f"{n}.png,knee,Clear.,p{patient}," for n, patient in enumerate((9, 19, 20, 23, 1, 2, 3, 4, 5))]
    one, two = make_source(tmp_path / "one", *lines), make_source(tmp_path / "two", *lines[:8], "9.png,hip,Clear.,p19,")
    for first, second in ((0, 1), (1, 2), (2, 3), (3, 4)):
        copied(one, f"{first}.png", two, f"{second}.png")
    reading = read_source([one, two])
    found = parts(reading)
    assert reading.left_out == []
    assert len(found) == 18
    alone = parts(read_source(one)) | {f"two {name}": part for name, part in parts(read_source(two)).items()}
    assert any(alone[f"{n}.png"] != alone[f"two {n + 1}.png"] for n in range(4))
    assert all(found[f"one/{n}.png"] == found[f"two/{n + 1}.png"] == alone[f"{n}.png"] for n in range(4))
    assert all(found[f"one/{n}.png"] == alone[f"{n}.png"] for n in range(4, 9))
    assert found["two/9.png"] == found["two/1.png"] != split_of("p19")


def test_a_drawn_patient_follows_a_triplet_directory_with_all_films(tmp_path: Path) -> None:
    folder = make_source(tmp_path / "one", *(f"{n}.png,knee,Clear.,p{n % 6}," for n in range(12)))
    drawn = parts(read_source(folder))
    moved = next(n for n in range(6) if drawn[f"{n}.png"] != "test")
    content = {"bytes": (folder / f"{moved}.png").read_bytes(), "path": None}
    empty = make_split([])
    test = make_split([triplet(1) | {"image": content, "patient_id": ""}])
    save_triplets(DatasetDict(train=empty, validation=empty, test=test), tmp_path / "made")
    found = parts(read_source([folder, tmp_path / "made"]))
    changed = {name for name, part in drawn.items() if found[f"one/{name}"] != part}
    assert changed == {f"{moved}.png", f"{moved + 6}.png"}
    assert {found[f"one/{name}"] for name in changed} == {"test"} == {found["made/i1"]}
