"""Triplet directories come back as they were, are complete or absent, and say what differs."""

import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest
from datasets import Dataset, DatasetDict, Value, load_dataset
from PIL import Image

from pedclip.triplets import storage as module
from pedclip.triplets.schema import FEATURES, OPTIONAL
from pedclip.triplets.storage import TripletsError, load_triplets, make_split, save_triplets
from tests.triplets.triplet_rows import picture, triplet


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))


def triplets(num_train: int = 3) -> DatasetDict:
    return DatasetDict(
        train=make_split([triplet(number) for number in range(num_train)]),
        validation=make_split([]),
        test=make_split([triplet(99, findings=None, mask=None, age_months=None)]),
    )


def test_what_is_saved_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pedclip.triplets.storage._ROWS_PER_SHARD", 2)
    monkeypatch.setattr("pedclip.triplets.storage._ROWS_PER_PIECE", 1)
    path = save_triplets(triplets(), tmp_path / "set")
    assert sorted(file.name for file in path.iterdir()) == [
        "test-00000-of-00001.parquet",
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]
    loaded = load_triplets(path)
    for split, expected in triplets().items():
        assert loaded[split].features == FEATURES
        assert loaded[split].with_format("arrow")[:].to_pylist() == expected.with_format("arrow")[:].to_pylist()
    assert loaded["test"][0]["findings"] is None
    assert loaded["train"][0]["findings"] == ["fracture"]
    assert loaded["train"][1]["image"].mode == "L"


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    save_triplets(triplets(3), save_triplets(triplets(), tmp_path / "set"))
    (tmp_path / "set" / "thesis.docx").touch()
    with pytest.raises(FileExistsError, match=r"set is not replaced, because it holds thesis\.docx"):
        save_triplets(triplets(), tmp_path / "set")
    assert len(load_triplets(tmp_path / "set")["train"]) == 3


def test_optional_columns_come_back_and_may_be_absent(tmp_path: Path) -> None:
    filled = {"uncertain": ["edema"], "severity": [0.25], "bone_age_months": 61.5, "structures": picture(7)}
    rows = make_split([triplet(0, **filled), triplet(1)])
    empty = make_split([])
    loaded = load_triplets(save_triplets(DatasetDict(train=rows, validation=empty, test=empty), tmp_path / "new"))
    assert np.array_equal(np.asarray(loaded["train"][0]["structures"]), np.asarray(rows[0]["structures"]))
    assert loaded["train"]["uncertain"] == [["edema"], None]
    assert loaded["train"]["severity"] == [[0.25], None]
    assert loaded["train"]["bone_age_months"] == [61.5, None]
    folder = tmp_path / "old"
    folder.mkdir()
    older = rows.remove_columns(list(OPTIONAL))
    older.to_parquet(folder / "train-00000-of-00001.parquet")
    for data in (load_triplets(folder), load_triplets(_saved(older, tmp_path / "again"))):
        assert data["train"].features == FEATURES
        assert data["train"]["text"] == rows["text"]
        assert [data["train"][0][name] for name in OPTIONAL] == [None] * 4


def _saved(train: Dataset, path: Path) -> Path:
    return save_triplets(DatasetDict(train=train, validation=make_split([]), test=make_split([])), path)


def test_few_rows_are_in_memory_at_once_however_large_their_films(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, live, most = 100_000, 0, 0

    def counted(dataset: Dataset) -> Iterator[Any]:
        nonlocal live, most
        for piece in pieces(dataset):
            live += len(piece)
            most = max(most, live)
            weakref.finalize(piece, released, len(piece))
            yield piece

    def released(rows: int) -> None:
        nonlocal live
        live -= rows

    pieces = module._pieces
    monkeypatch.setattr(module, "_pieces", counted)
    monkeypatch.setattr(module, "_ROWS_PER_PIECE", 8)
    monkeypatch.setattr(module, "_BYTES_PER_SHARD", 30 * size)
    film = {"bytes": np.random.default_rng(0).bytes(size), "path": None}
    rows = make_split([triplet(number, image=film) for number in range(200)])
    path = _saved(rows, tmp_path / "set")
    assert live == 0
    assert 24 <= most <= 40  # a shard of three pieces, and the piece that did not fit
    assert max(file.stat().st_size for file in path.iterdir()) < 31 * size
    assert load_triplets(path)["train"]["image_id"] == [f"i{number}" for number in range(200)]


def test_the_hub_reader_opens_it_too(tmp_path: Path) -> None:
    path = save_triplets(triplets(), tmp_path / "set")
    assert load_dataset(str(path), split="train", cache_dir=str(tmp_path / "hub")).features == FEATURES


def test_image_files_are_embedded_without_their_folder(tmp_path: Path) -> None:
    pixels = np.arange(400, dtype=np.uint8).reshape(20, 20) // 2
    Image.fromarray(pixels).save(tmp_path / "secret.png")
    rows = make_split([triplet(0, image={"bytes": None, "path": str(tmp_path / "secret.png")})])
    empty = make_split([])
    path = save_triplets(DatasetDict(train=rows, validation=empty, test=empty), tmp_path / "set")
    (tmp_path / "secret.png").unlink()
    assert np.array_equal(np.asarray(load_triplets(path)["train"][0]["image"]), pixels)
    assert str(tmp_path).encode() not in (path / "train-00000-of-00001.parquet").read_bytes()


def test_saving_replaces_the_whole_set(tmp_path: Path) -> None:
    save_triplets(triplets(3), tmp_path / "set")
    save_triplets(triplets(1), tmp_path / "set")
    assert len(load_triplets(tmp_path / "set")["train"]) == 1


def test_other_schemas_are_refused_with_the_difference(tmp_path: Path) -> None:
    wrong = triplets()
    for name, data in wrong.items():
        wrong[name] = data.remove_columns("view").cast_column("age_months", Value("float64"))
    with pytest.raises(TripletsError, match=r"missing view; age_months is Value\('float64'\), expected .*float32"):
        save_triplets(wrong, tmp_path / "set")
    assert not (tmp_path / "set").exists()
    folder = tmp_path / "foreign"
    folder.mkdir()
    triplets()["train"].rename_column("text", "note").to_parquet(folder / "train-00000-of-00001.parquet")
    with pytest.raises(TripletsError, match=r"train-00000-of-00001.parquet differs .*missing text; unexpected note"):
        load_triplets(folder)


def test_splits_must_be_the_three(tmp_path: Path) -> None:
    data = triplets()
    del data["test"]
    with pytest.raises(TripletsError, match="expected the splits train, validation, test, got train, validation"):
        save_triplets(data, tmp_path / "set")
    with pytest.raises(TripletsError, match="all splits are empty"):
        save_triplets(DatasetDict({name: make_split([]) for name in triplets()}), tmp_path / "set")


def test_missing_and_truncated_shards_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pedclip.triplets.storage._ROWS_PER_SHARD", 1)
    monkeypatch.setattr("pedclip.triplets.storage._ROWS_PER_PIECE", 1)
    path = save_triplets(triplets(), tmp_path / "set")
    shard = path / "train-00001-of-00003.parquet"
    content = shard.read_bytes()
    shard.write_bytes(content[:-100])
    with pytest.raises(TripletsError, match=r"train-00001-of-00003.parquet is no complete Parquet file"):
        load_triplets(path)
    shard.unlink()
    with pytest.raises(TripletsError, match=r"is incomplete: train-00001-of-00003.parquet is missing"):
        load_triplets(path)
    shard.write_bytes(content)
    (path / "train-00000-of-00001.parquet").write_bytes(content)
    with pytest.raises(TripletsError, match="shards of two sets"):
        load_triplets(path)


_KILLED = """
import os, sys
import pyarrow.parquet as parquet
from pedclip.triplets import storage
write = parquet.write_table
def dies(*args, **kwargs):
    write(*args, **kwargs)
    os._exit(9)
parquet.write_table = dies
storage.save_triplets(storage.load_triplets(sys.argv[1]), sys.argv[2])
"""


def test_killed_in_the_middle_leaves_no_set(tmp_path: Path) -> None:
    whole = save_triplets(triplets(), tmp_path / "whole")
    environment = {**os.environ, "HF_DATASETS_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _KILLED, str(whole), str(tmp_path / "set")]
    assert subprocess.run(command, check=False, env=environment).returncode == 9
    assert not (tmp_path / "set").exists()
    save_triplets(triplets(), tmp_path / "set")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cache", "set", "whole"]


@pytest.mark.parametrize("region", [-1, 23, None])
def test_a_region_outside_the_23_is_refused_with_its_rows(tmp_path: Path, region: int | None) -> None:
    save_triplets(triplets(4), tmp_path / "t")
    file = tmp_path / "t/train-00000-of-00001.parquet"
    table = parquet.read_table(file)
    values = [0, region, 2, region]
    column = pyarrow.array(values, type=table.schema.field("region").type)
    parquet.write_table(table.set_column(table.column_names.index("region"), "region", column), file)
    with pytest.raises(TripletsError, match=rf"{file.name}: 2 regions outside 0 to 22, in rows 2 \({region}\), 4 "):
        load_triplets(tmp_path / "t")
