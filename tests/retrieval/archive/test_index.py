"""The index on disk: what is written is read, longer indices keep the old parts, damage is refused by name."""

import json
import os
import socket

import numpy as np
import pytest

from pedclip.retrieval.archive import index as index_module
from pedclip.retrieval.archive import index_files
from pedclip.retrieval.archive.index import ArchiveIndex, DamagedIndex, IndexInUse, OtherModel
from pedclip.retrieval.vectors import PairVectors
from tests.retrieval.drawn_vectors import drawn


def batch(seed, num_items=5):
    return drawn(np.random.default_rng(seed), num_items, is_short=True)[0]


def both(*batches):
    return [np.concatenate([getattr(one, name) for one in batches]) for name in ("similarity", "confidence", "weight")]


@pytest.fixture
def made(tmp_path):
    return ArchiveIndex.create(tmp_path / "index", [batch(0), batch(1, 3)], model="abc")


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    (documents := tmp_path / "documents").mkdir()
    for name in ("index.json", "thesis.docx"):
        (documents / name).write_text("mine")
    with pytest.raises(FileExistsError, match=r"documents is not replaced, because it holds thesis\.docx"):
        ArchiveIndex.create(documents, [batch(0)], model="abc")
    assert sorted(os.listdir(documents)) == ["index.json", "thesis.docx"]


def assert_holds(index, *batches):
    similarity, confidence, weight = both(*batches)
    assert len(index) == len(weight)
    assert np.array_equal(index.weight, weight)
    assert np.array_equal(index.similarity, similarity.astype(np.float16).astype(np.float32))
    rows = np.random.default_rng(0).permutation(np.repeat(np.arange(len(index)), 2))
    taken = index.take(rows)
    assert np.array_equal(taken[0], similarity[rows].astype(np.float16))
    assert np.array_equal(taken[1], confidence[rows].astype(np.float16))
    for start in (0, 4, len(index)):
        pieces = [(begin, one.copy(), other.copy()) for begin, one, other in index.blocks(start=start)]
        assert [begin for begin, _, _ in pieces] == [
            start + sum(len(p[1]) for p in pieces[:n]) for n in range(len(pieces))
        ]
        assert np.array_equal(
            np.concatenate([confidence[:0], *(p[2] for p in pieces)]), confidence[start:].astype(np.float16)
        )
        assert np.array_equal(
            np.concatenate([similarity[:0], *(p[1] for p in pieces)]), similarity[start:].astype(np.float16)
        )


def test_what_is_written_is_read_in_half_precision(made):
    assert_holds(made, batch(0), batch(1, 3))
    opened = ArchiveIndex.open(made.folder, model="abc")
    assert_holds(opened, batch(0), batch(1, 3))
    assert (opened.model, opened.dimension, opened.width) == ("abc", 16, 48)
    opened.check_contents()


def test_a_longer_index_keeps_the_parts_and_the_old_one_still_reads(made):
    first = made.folder / "part-00000" / "confidence.f16"
    before = first.stat()
    longer = made.extend([batch(2, 4)]).extend([batch(3, 1), batch(4, 2)])
    assert_holds(longer, batch(0), batch(1, 3), batch(2, 4), batch(3, 1), batch(4, 2))
    assert_holds(made, batch(0), batch(1, 3))
    after = first.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert longer.checksums[:1] == made.checksums
    assert len(set(longer.checksums)) == 3
    longer.check_contents()
    # An old view extends what is there by now, not what it saw.
    assert_holds(made.extend([batch(5)]), batch(0), batch(1, 3), batch(2, 4), batch(3, 1), batch(4, 2), batch(5))


@pytest.mark.parametrize("weight", [0, -0.5, 1.5, np.nan, np.inf])
def test_weights_that_cannot_be_are_damage(made, weight):
    path = made.folder / "part-00000" / "weight.f32"
    values = np.fromfile(path, np.float32)
    values[3] = weight
    values.tofile(path)
    with pytest.raises(DamagedIndex, match=r"weight\.f32 is damaged: a weight is not above 0 and at most 1"):
        ArchiveIndex.open(made.folder)


@pytest.mark.parametrize("folder", ["", ".", "..", "./", "index/..", "/"])
def test_a_folder_without_a_name_is_refused(made, folder, monkeypatch):
    monkeypatch.chdir(made.folder.parent)
    with pytest.raises(ValueError, match=r"folder='.*' is not allowed: an index is a folder with a name"):
        ArchiveIndex.create(folder, [batch(0)], model="abc")
    monkeypatch.chdir(made.folder)
    with pytest.raises(ValueError, match=r"folder='.*' is not allowed: an index is a folder with a name"):
        ArchiveIndex.open(folder)
    assert sorted(path.name for path in made.folder.iterdir()) == ["index.json", "part-00000"]
    assert [path.name for path in made.folder.parent.iterdir() if path.is_dir()] == ["index"]


def test_blocks_smaller_than_a_part(made, monkeypatch):
    monkeypatch.setattr(index_module, "BLOCK_ELEMENTS", 2 * (16 + 48))
    assert_holds(made.extend([batch(2, 5)]), batch(0), batch(1, 3), batch(2, 5))
    assert [len(rows) for _, rows, _ in made.blocks()] == [2, 2, 2, 2]


def test_an_index_of_another_model_is_refused(made):
    with pytest.raises(OtherModel, match="index is an index of model abc, and the queries are of model xyz; build an"):
        ArchiveIndex.open(made.folder, model="xyz")
    ArchiveIndex.create(made.folder, [batch(0)], model="xyz")
    with pytest.raises(OtherModel, match="of model xyz"):
        made.extend([batch(1)])
    wide = PairVectors(np.eye(1, 16), np.eye(1, 50))
    with pytest.raises(OtherModel, match=r"widths \(16, 50\) do not fit an index of widths \(16, 48\)"):
        ArchiveIndex.open(made.folder).extend([wide])
    with pytest.raises(OtherModel, match=r"widths \(16, 50\) do not fit an index of widths \(16, 48\)"):
        ArchiveIndex.create(made.folder, [batch(0), wide], model="xyz")


@pytest.mark.parametrize("name", ["similarity.f16", "confidence.f16", "weight.f32"])
def test_a_truncated_or_missing_file_is_refused_by_name(made, name):
    path = made.folder / "part-00000" / name
    size = path.stat().st_size
    os.truncate(path, size - 1)
    with pytest.raises(
        DamagedIndex, match=rf"part-00000/{name} has {size - 1} bytes, expected {size}; build the index"
    ):
        ArchiveIndex.open(made.folder)
    path.unlink()
    with pytest.raises(DamagedIndex, match=rf"part-00000/{name} is missing"):
        ArchiveIndex.open(made.folder)


@pytest.mark.parametrize("name", ["similarity.f16", "confidence.f16", "weight.f32"])
def test_a_changed_byte_is_found_by_the_checksums(made, name):
    path = made.folder / "part-00000" / name
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedIndex, match=rf"part-00000/{name} is damaged: its checksum differs"):
        ArchiveIndex.open(made.folder).check_contents()


def changed(**values):
    return lambda content: content | values


def change_part(**values):
    return lambda content: content | {"parts": [content["parts"][0] | values]}


@pytest.mark.parametrize(
    "change",
    [
        changed(version=2),
        changed(format="something else"),
        changed(model=""),
        changed(model=3),
        changed(width="48"),
        changed(width=True),
        changed(dimension=0),
        changed(parts=[]),
        changed(parts=None),
        changed(parts=["part-00000"]),
        change_part(count=-1),
        change_part(count=1.5),
        change_part(name="../index/part-00000"),
        change_part(checksums={}),
        lambda content: {key: value for key, value in content.items() if key != "width"},
        lambda content: content | {"parts": content["parts"] * 2},
        lambda content: [content],
        lambda content: None,
    ],
)
def test_a_description_that_cannot_be_is_refused_by_name(made, change):
    path = made.folder / "index.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(DamagedIndex, match=r"index/index\.json is (damaged|a )"):
        ArchiveIndex.open(made.folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_description_that_is_no_json_is_refused_by_name(made, content):
    (made.folder / "index.json").write_bytes(content)
    with pytest.raises(DamagedIndex, match=r"index/index\.json is damaged"):
        ArchiveIndex.open(made.folder)


def test_a_wider_description_does_not_fit_the_files(made):
    path = made.folder / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"width": 49}))
    with pytest.raises(DamagedIndex, match=r"confidence\.f16 has \d+ bytes, expected \d+"):
        ArchiveIndex.open(made.folder)


def test_no_index_and_no_items_are_said(tmp_path, made):
    with pytest.raises(FileNotFoundError, match=r"holds no index \(index\.json is missing\); build it"):
        ArchiveIndex.open(tmp_path)
    with pytest.raises(ValueError, match="at least one item, got none"):
        ArchiveIndex.create(tmp_path / "empty", [], model="abc")
    assert not (tmp_path / "empty").exists()
    with pytest.raises(ValueError, match="at least one item, got none"):
        made.extend([])
    with pytest.raises(ValueError, match="model='' is not allowed"):
        ArchiveIndex.create(tmp_path / "empty", [batch(0)], model="")


def test_a_failed_batch_leaves_the_old_index(made, monkeypatch):
    def failing():
        yield batch(7)
        raise RuntimeError("the reader failed")

    with pytest.raises(RuntimeError, match="the reader failed"):
        ArchiveIndex.create(made.folder, failing(), model="xyz")
    with pytest.raises(RuntimeError, match="the reader failed"):
        made.extend(failing())
    assert_holds(ArchiveIndex.open(made.folder, model="abc"), batch(0), batch(1, 3))
    # Killed after the part was written and before the description named it.
    with monkeypatch.context() as patch:
        patch.setattr(index_module, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            made.extend([batch(8)])
    assert (made.folder / "part-00001").is_dir()
    assert_holds(ArchiveIndex.open(made.folder), batch(0), batch(1, 3))
    assert_holds(made.extend([batch(9)]), batch(0), batch(1, 3), batch(9))


def test_nothing_is_pickled(made):
    files = {path.name for path in made.folder.rglob("*") if path.is_file()}
    assert files == {*index_files.FILES, "index.json"}
    assert (made.folder / "part-00000" / "confidence.f16").stat().st_size == 8 * 48 * 2


def listed(folder):
    """Folders beside and in an index."""
    return {str(path.relative_to(folder.parent)) for path in folder.parent.rglob("*") if path.is_dir()}


def test_two_processes_extend_one_index_at_once(made, monkeypatch):
    monkeypatch.setattr(index_files, "_WAIT", 0.1)
    joined = []

    def slow():
        yield batch(2, 4)
        # Another one begins later and is done earlier.
        ArchiveIndex.open(made.folder).extend([batch(3, 2)], before_joining=joined.append)
        yield batch(4, 1)

    longer = made.extend(slow(), before_joining=joined.append)
    assert_holds(longer, batch(0), batch(1, 3), batch(3, 2), batch(2, 4), batch(4, 1))
    assert joined == [1, 2]
    longer.check_contents()
    assert listed(made.folder) == {"index", *(f"index/part-0000{number}" for number in range(3))}


def test_an_index_that_was_replaced_meanwhile_takes_the_part_or_refuses_it(made):
    def replaced(batches, model):
        yield batch(2, 4)
        ArchiveIndex.create(made.folder, batches, model=model)

    assert_holds(made.extend(replaced([batch(5)], "abc")), batch(5), batch(2, 4))
    with pytest.raises(OtherModel, match="is an index of model xyz, and the queries are of model abc"):
        made.extend(replaced([batch(6)], "xyz"))
    assert_holds(ArchiveIndex.open(made.folder), batch(6))
    wide = PairVectors(np.eye(1, 16), np.eye(1, 50))
    with pytest.raises(OtherModel, match=r"widths \(16, 48\) do not fit .*index, by now of widths \(16, 50\)"):
        made.extend(replaced([wide], "abc"))
    assert len(ArchiveIndex.open(made.folder, model="abc")) == 1
    assert listed(made.folder) == {"index", "index/part-00000"}


def test_an_index_that_nobody_lets_go_of_is_named(made, monkeypatch):
    monkeypatch.setattr(index_files, "_WAIT", 0.05)
    with index_files.locked(made.folder):
        for change in (
            lambda: made.extend([batch(2)]),
            lambda: ArchiveIndex.create(made.folder, [batch(2)], model="b"),
        ):
            with pytest.raises(IndexInUse, match=r"index has been in the hands of another process for 0\.05 s"):
                change()
    assert_holds(ArchiveIndex.open(made.folder, model="abc"), batch(0), batch(1, 3))
    assert listed(made.folder) == {"index", "index/part-00000"}
    assert_holds(made.extend([batch(2)]), batch(0), batch(1, 3), batch(2))


def test_a_link_to_an_index_is_another_name_of_it(made, tmp_path, monkeypatch):
    monkeypatch.setattr(index_files, "_WAIT", 0.05)
    (tmp_path / "link").symlink_to(made.folder)
    linked = ArchiveIndex.open(tmp_path / "link")
    with index_files.locked(made.folder), pytest.raises(IndexInUse, match="link has been in the hands"):
        linked.extend([batch(2)])
    linked.extend([batch(2)])
    assert_holds(ArchiveIndex.open(made.folder), batch(0), batch(1, 3), batch(2))
    ArchiveIndex.create(tmp_path / "link", [batch(3)], model="b")
    assert (tmp_path / "link").is_symlink()
    assert_holds(ArchiveIndex.open(made.folder), batch(3))


def test_what_a_killed_extension_left_is_deleted(made):
    # Of a number that no process of this machine has.
    left = made.folder.with_name(f".index.{socket.gethostname()}-{2**22 + 1}-0000.partial")
    left.mkdir()
    (left / "weight.f32").write_bytes(b"half")
    half = made.folder / "part-00001"
    half.mkdir()
    (half / "weight.f32").write_bytes(b"half")
    assert_holds(made.extend([batch(2)]), batch(0), batch(1, 3), batch(2))
    assert listed(made.folder) == {"index", "index/part-00000", "index/part-00001"}
