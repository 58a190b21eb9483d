"""Images of a triplet folder come from its shards or from files inside it: never from a URL, a device or elsewhere."""

import io
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from datasets import DatasetDict
from PIL import Image

from pedclip.triplets.schema import FEATURES
from pedclip.triplets.storage import TripletsError, load_triplets, make_split, save_triplets
from tests.triplets.films import RAMP
from tests.triplets.triplet_rows import triplet


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def film() -> bytes:
    file = io.BytesIO()
    Image.fromarray(RAMP).save(file, "PNG")
    return file.getvalue()


def folder_with(tmp_path: Path, path: str | None, *, column: str = "image") -> Path:
    """A set of three rows, of which the second names a file instead of holding it."""
    folder = save_triplets(
        DatasetDict(
            train=make_split([triplet(number) for number in range(3)]),
            validation=make_split([]),
            test=make_split([triplet(9)]),
        ),
        tmp_path / "set",
    )
    shard = folder / "train-00000-of-00001.parquet"
    table = pyarrow.parquet.read_table(shard)
    rows = table.to_pylist()
    rows[1][column] = {"bytes": None, "path": path}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=table.schema), shard, row_group_size=2)
    return folder


OUTSIDE = {
    "http": ("http://127.0.0.1:9/x.png", "is a URL"),
    "https": ("https://example.org/x.png", "is a URL"),
    "hub": ("hf://datasets/a/b/x.png", "is a URL"),
    "s3": ("s3://bucket/x.png", "is a URL"),
    "file": ("file:///etc/passwd", "is a URL"),
    "data": ("data:image/png;base64,AAAA", "is a URL"),
    "chained": ("x.png::zip.zip", "is a URL"),
    "absolute": ("/etc/hostname", "a file at an absolute path"),
    "device": ("/dev/zero", "a file at an absolute path"),
    "home": ("~/x.png", "a file at an absolute path"),
    "drive": ("C:\\films\\x.png", "a file at an absolute path"),
    "share": ("\\\\server\\films\\x.png", "a file at an absolute path"),
    "above": ("../secret.png", "leads out of"),
    "through": ("films/../../secret.png", "leads out of"),
    "link": ("link.png", "leads out of"),
    "link to a folder": ("linked/secret.png", "leads out of"),
    "link to a device": ("zero.png", "leads out of"),
    "pipe": ("pipe.png", "a folder, pipe or device"),
    "folder": ("films", "a folder, pipe or device"),
    "absent": ("absent.png", "a file that is not in"),
    "null character": ("x\0.png", "cannot be opened"),
}


CASES = [("image", name) for name in OUTSIDE] + [
    (c, n) for c in ("mask", "structures") for n in ("http", "above", "pipe")
]


@pytest.mark.parametrize(("column", "name"), CASES)
def test_image_from_elsewhere_is_refused_with_its_row(tmp_path: Path, column: str, name: str) -> None:
    path, reason = OUTSIDE[name]
    folder = folder_with(tmp_path, path, column=column)
    (tmp_path / "secret.png").write_bytes(film())
    (folder / "films").mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "zero.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(TripletsError, match=rf"train-00000-of-00001.parquet, row 2: the {column} .*{reason}"):
        load_triplets(folder)


def test_row_without_an_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TripletsError, match="row 2 holds no image"):
        load_triplets(folder_with(tmp_path, None))


@pytest.mark.parametrize("path", ["films/x.png", "./films/x.png", "films/../films/x.png"])
def test_file_inside_the_folder_is_read_from_wherever_the_program_runs(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_with(tmp_path, path)
    (folder / "films").mkdir()
    (folder / "films/x.png").write_bytes(film())
    monkeypatch.chdir("/")
    loaded = load_triplets(folder)
    assert loaded["train"].features == FEATURES
    assert np.array_equal(np.asarray(loaded["train"][1]["image"]), RAMP)
    assert loaded["train"][2]["image"].size == loaded["test"][0]["image"].size
    # Saved again the set holds it.
    again = save_triplets(loaded, tmp_path / "again")
    (folder / "films/x.png").unlink()
    assert np.array_equal(np.asarray(load_triplets(again)["train"][1]["image"]), RAMP)


def test_embedded_images_may_remember_their_names(tmp_path: Path) -> None:
    row = triplet(0)
    row["image"] = {"bytes": film(), "path": "/archive/film of Quillfeather.png"}
    data = DatasetDict(train=make_split([row]), validation=make_split([]), test=make_split([]))
    folder = save_triplets(data, tmp_path / "set")
    assert np.array_equal(np.asarray(load_triplets(folder)["train"][0]["image"]), RAMP)


WRONG: dict[str, Any] = {"none": None, "number": 7, "list": ["a"], "bytes": b"set"}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_type_is_the_error_of_triplets(tmp_path: Path, name: str) -> None:
    with pytest.raises(TripletsError, match="expected the folder of a set of triplets, got"):
        load_triplets(WRONG[name])
    with pytest.raises(TripletsError, match="expected"):
        save_triplets(WRONG[name], tmp_path / "set")
    with pytest.raises(TripletsError, match=f"split 'train' is a {type(WRONG[name]).__name__}"):
        save_triplets(dict.fromkeys(("train", "validation", "test"), WRONG[name]), tmp_path / "set")


def test_folder_without_triplets_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(TripletsError, match="holds no triplets"):
            load_triplets(folder)


@pytest.mark.parametrize(
    "description", [b"{", b'{"info": 7}', b'{"info": {"features": {"image": {"_type": "Nothing"}}}}']
)
def test_damaged_description_of_the_columns_is_refused(tmp_path: Path, description: bytes) -> None:
    folder = folder_with(tmp_path, "x.png")
    shard = folder / "train-00000-of-00001.parquet"
    table = pyarrow.parquet.read_table(shard)
    pyarrow.parquet.write_table(table.replace_schema_metadata({b"huggingface": description}), shard)
    with pytest.raises(TripletsError, match=r"columns of unknown types|differs from the triplet schema"):
        load_triplets(folder)


@pytest.mark.parametrize("column", ["text", "region", "image", "boxes", "age_months"])
def test_column_of_another_type_than_described_is_refused(tmp_path: Path, column: str) -> None:
    folder = folder_with(tmp_path, "x.png")
    shard = folder / "train-00000-of-00001.parquet"
    table = pyarrow.parquet.read_table(shard)
    number = table.schema.get_field_index(column)
    wrong = pyarrow.array([{"a": [1]}, {"a": [2]}, {"a": None}])
    changed = table.set_column(number, pyarrow.field(column, wrong.type), wrong)
    pyarrow.parquet.write_table(changed.replace_schema_metadata(table.schema.metadata), shard)
    with pytest.raises(TripletsError, match="train-00000-of-00001"):
        load_triplets(folder)
