"""Indices of reports and films: equal bits however they are built, rows that lead back to what was given, refusals."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from pedclip.retrieval.archive import build as build_module
from pedclip.retrieval.archive import index as index_module
from pedclip.retrieval.archive import index_files
from pedclip.retrieval.archive import items as items_module
from pedclip.retrieval.archive.build import ITEMS, BuiltIndex, build_film_index, build_index, build_report_index
from pedclip.retrieval.archive.description import FILES
from pedclip.retrieval.archive.encoding import Encoded, film_vectors, fingerprint, report_vectors
from pedclip.retrieval.archive.index import ArchiveIndex, DamagedIndex, OtherModel
from pedclip.retrieval.archive.items import GivenItems
from pedclip.retrieval.archive.search import search_all
from pedclip.triplets.left_out import LeftOut, Reason
from tests.retrieval.archive.tiny_models import REPORTS, films, tiny_clip, tiny_pecm

model, pecm = cache(tiny_clip), cache(tiny_pecm)
EMPTY = LeftOut("item 1", Reason.EMPTY_REPORT)
# Three of nine have no place.
MIXED = [REPORTS[0], "", *REPORTS[1:4], "…", None, *REPORTS[4:6]]
KEPT = [0, 2, 3, 4, 7, 8]


def content(index: ArchiveIndex) -> list[bytes]:
    """All numbers of an index, whichever parts they are in."""
    parts = [index.folder / part.name for part in index.description.parts]
    return [b"".join((part / name).read_bytes() for part in parts) for name in FILES]


def test_bits_are_the_same_at_once_in_pieces_and_extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports = build_report_index(tmp_path / "reports", model(), pecm(), MIXED)
    of_films = build_film_index(tmp_path / "films", model(), pecm(), films(7))
    assert len(reports.index) == 6
    assert len(of_films.index) == 7
    for size in (2, 5):
        with monkeypatch.context() as patched:
            patched.setattr(build_module, "ITEMS_AT_ONCE", size)
            pieces = build_report_index(tmp_path / "pieces", model(), pecm(), iter(MIXED))
            assert content(pieces.index) == content(reports.index)
            pieces = build_film_index(tmp_path / "pieces", model(), pecm(), films(7))
            assert content(pieces.index) == content(of_films.index)
    build_report_index(tmp_path / "longer", model(), pecm(), MIXED[:3])
    longer = build_report_index(tmp_path / "longer", model(), pecm(), MIXED[3:], extend=True)
    assert len(longer.index.parts) == 2
    assert content(longer.index) == content(reports.index)
    assert longer.numbers.tolist() == reports.numbers.tolist()
    assert longer.left_out == reports.left_out
    build_film_index(tmp_path / "longer films", model(), pecm(), films(7)[:4])
    longer = build_film_index(tmp_path / "longer films", model(), pecm(), films(7)[4:], extend=True)
    assert content(longer.index) == content(of_films.index)
    assert longer.numbers.tolist() == list(range(7))


def test_the_index_holds_the_vectors(tmp_path: Path) -> None:
    built = build_report_index(tmp_path / "index", model(), pecm(), REPORTS)
    vectors = report_vectors(model(), pecm(), REPORTS)
    assert np.array_equal(built.index.similarity, vectors.similarity.astype(np.float16))
    assert np.array_equal(built.index.take(np.arange(12))[1], vectors.confidence.astype(np.float16))
    assert np.array_equal(built.index.weight, vectors.weight)
    assert built.index.model == fingerprint(model(), pecm())
    built.index.check_contents()


def test_rows_lead_back_to_the_texts_given(tmp_path: Path) -> None:
    built = build_report_index(tmp_path / "index", model(), pecm(), MIXED)
    assert built.numbers.tolist() == KEPT
    assert built.left_out == (
        EMPTY,
        LeftOut("item 5", Reason.EMPTY_REPORT, "a text without a sentence"),
        LeftOut("item 6", Reason.EMPTY_REPORT),
    )
    # A text finds itself, or the first one that is equal.
    found = search_all(built.index, report_vectors(model(), pecm(), [MIXED[number] or "" for number in KEPT]), k=1)
    assert [MIXED[number] for number in built.numbers[found.rows[:, 0]]] == [MIXED[number] for number in KEPT]
    opened = BuiltIndex.open(tmp_path / "index", model=fingerprint(model(), pecm()))
    assert opened.numbers.tolist() == KEPT
    assert opened.left_out == built.left_out
    assert opened.num_given == 9
    # As an index alone, it is one.
    assert len(ArchiveIndex.open(tmp_path / "index")) == 6


def test_numbers_go_on_after_what_was_left_out(tmp_path: Path) -> None:
    build_report_index(tmp_path / "index", model(), pecm(), [REPORTS[0], ""])
    build_report_index(tmp_path / "index", model(), pecm(), ["", REPORTS[1]], extend=True)
    built = build_report_index(tmp_path / "index", model(), pecm(), [REPORTS[2]], extend=True)
    assert built.numbers.tolist() == [0, 3, 4]
    assert [one.file for one in built.left_out] == ["item 1", "item 2"]


def test_equal_texts_are_items_of_their_own_and_rank_by_number(tmp_path: Path) -> None:
    built = build_report_index(tmp_path / "index", model(), pecm(), [REPORTS[3], REPORTS[1], REPORTS[3]])
    found = search_all(built.index, film_vectors(model(), pecm(), films(2)), k=3)
    assert len(built.index) == 3
    for row in range(2):
        ranks = found.rows[row].tolist()
        assert ranks.index(2) == ranks.index(0) + 1


def test_another_model_is_refused(tmp_path: Path) -> None:
    folder, other = tmp_path / "index", tiny_pecm(proj_init="own")
    built = build_report_index(folder, model(), pecm(), REPORTS[:2])
    before = content(built.index)
    with pytest.raises(OtherModel, match="build an index with this model, or load the other one"):
        build_report_index(folder, model(), other, REPORTS, extend=True)
    with pytest.raises(OtherModel, match="is an index of model"):
        build_report_index(folder, model(), pecm(), REPORTS, layer="dense", extend=True)
    with pytest.raises(OtherModel, match="is an index of model"):
        BuiltIndex.open(folder, model=fingerprint(model(), other))
    assert content(BuiltIndex.open(folder).index) == before


def test_nothing_to_index_is_refused_and_what_was_there_stays(tmp_path: Path) -> None:
    built = build_report_index(tmp_path / "index", model(), pecm(), REPORTS[:2])
    build_film_index(tmp_path / "films", model(), pecm(), films(1))
    for extend in (False, True):
        with pytest.raises(ValueError, match=r"none of 3 items can be indexed, and an index needs one: 2 × empty-repo"):
            build_report_index(tmp_path / "index", model(), pecm(), ["", None, "a \udc00"], extend=extend)
        with pytest.raises(ValueError, match="an index needs at least one item, got none"):
            build_report_index(tmp_path / "index", model(), pecm(), [], extend=extend)
        with pytest.raises(ValueError, match="an index needs at least one item, got none"):
            build_film_index(tmp_path / "films", model(), pecm(), films(0), extend=extend)
        with pytest.raises(TypeError, match="a report is a int; expected texts"):
            build_report_index(tmp_path / "index", model(), pecm(), [REPORTS[0], 3], extend=extend)  # type: ignore[list-item]
    again = BuiltIndex.open(tmp_path / "index")
    assert content(again.index) == content(built.index)
    assert again.numbers.tolist() == [0, 1]
    with pytest.raises(TypeError, match="texts is a single text; pass a list of one"):
        build_report_index(tmp_path / "index", model(), pecm(), REPORTS[0])
    with pytest.raises(FileNotFoundError, match="holds no index"):
        build_report_index(tmp_path / "none", model(), pecm(), REPORTS, extend=True)
    assert not (tmp_path / "none").exists()


def test_an_extension_that_breaks_off_changes_nothing(tmp_path: Path) -> None:
    built = build_report_index(tmp_path / "index", model(), pecm(), MIXED[:3])

    def broken() -> Iterator[str]:
        yield from REPORTS[:4]
        raise OSError("the disk with the texts is gone")

    with pytest.raises(OSError, match="the disk with the texts is gone"):
        build_report_index(tmp_path / "index", model(), pecm(), broken(), extend=True)
    # Killed between the two files: the numbers are there, the part is not.
    stored = json.loads((tmp_path / "index" / ITEMS).read_text())
    stored["parts"].append(GivenItems(5, ()).to_dict())
    (tmp_path / "index" / ITEMS).write_text(json.dumps(stored))
    assert BuiltIndex.open(tmp_path / "index").numbers.tolist() == built.numbers.tolist() == [0, 2]
    longer = build_report_index(tmp_path / "index", model(), pecm(), MIXED[3:], extend=True)
    assert longer.numbers.tolist() == KEPT
    assert [one.name for one in (tmp_path).iterdir() if one.is_dir()] == ["index"]


def test_numbers_follow_the_parts_whoever_is_done_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_files, "_WAIT", 0.1)
    build_report_index(tmp_path / "index", model(), pecm(), [REPORTS[0], ""])

    def slow() -> Iterator[str]:
        yield REPORTS[1]
        # Another process adds its own in the meantime.
        build_report_index(tmp_path / "index", model(), pecm(), ["", REPORTS[2]], extend=True)
        yield ""

    built = build_report_index(tmp_path / "index", model(), pecm(), slow(), extend=True)
    assert [one.count for one in built.given] == [2, 2, 2]
    assert built.numbers.tolist() == [0, 3, 4]
    assert [one.file for one in built.left_out] == ["item 1", "item 2", "item 5"]
    expected = report_vectors(model(), pecm(), [REPORTS[0], REPORTS[2], REPORTS[1]])
    assert np.array_equal(built.index.similarity, expected.similarity.astype(np.float16))


def test_an_extension_killed_at_any_step_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = build_report_index(tmp_path / "index", model(), pecm(), MIXED[:3])
    # Before the numbers, and between the numbers and the description.
    for module in (items_module, index_module):
        with monkeypatch.context() as patch:
            patch.setattr(module, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                build_report_index(tmp_path / "index", model(), pecm(), MIXED[3:], extend=True)
        again = BuiltIndex.open(tmp_path / "index")
        assert (content(again.index), again.numbers.tolist()) == (content(built.index), built.numbers.tolist())
    longer = build_report_index(tmp_path / "index", model(), pecm(), MIXED[3:], extend=True)
    assert longer.numbers.tolist() == KEPT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "another"}, "is damaged .*'another'"),
        ({"parts": []}, r"tells of parts of \[\] items, the index has \[2\]"),
        ({"parts": [GivenItems(4, ()).to_dict()]}, r"tells of parts of \[4\] items, the index has \[2\]"),
        ({"parts": [{"given": 3}]}, "is damaged .*left_out"),
        ({"parts": [{"given": "3", "left_out": []}]}, "is damaged .*whole numbers"),
        (
            {"parts": [{"given": 3, "left_out": [{"number": 3, "reason": "corrupt", "detail": ""}]}]},
            "different ones of",
        ),
        ({"parts": [{"given": 3, "left_out": [{"number": 1, "reason": "why", "detail": ""}]}]}, "is damaged .*'why'"),
    ],
)
def test_numbers_of_another_index_are_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    build_report_index(tmp_path / "index", model(), pecm(), MIXED[:3])
    stored = json.loads((tmp_path / "index" / ITEMS).read_text())
    (tmp_path / "index" / ITEMS).write_text(json.dumps(stored | change))
    with pytest.raises(DamagedIndex, match=message):
        BuiltIndex.open(tmp_path / "index")


def test_a_folder_without_a_name_is_refused_before_anything_is_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def never() -> Iterator[str]:
        raise AssertionError("read although the folder is refused")
        yield ""

    for folder in ("", ".", Path()):
        for extend in (False, True):
            with pytest.raises(ValueError, match=r"folder='.*' is not allowed: an index is a folder with a name"):
                build_report_index(folder, model(), pecm(), never(), extend=extend)
    assert list(tmp_path.iterdir()) == []


def test_an_edited_number_is_noticed(tmp_path: Path) -> None:
    build_report_index(tmp_path / "index", model(), pecm(), MIXED[:3])
    path = tmp_path / "index" / ITEMS
    path.write_text(path.read_text().replace('"number": 1', '"number": 2'))
    with pytest.raises(DamagedIndex, match=r"items\.json is damaged .*checksum of a part differs"):
        BuiltIndex.open(tmp_path / "index")


def test_films_and_reports_do_not_share_an_index(tmp_path: Path) -> None:
    reports = build_report_index(tmp_path / "reports", model(), pecm(), REPORTS[:2])
    of_films = build_film_index(tmp_path / "films", model(), pecm(), films(2))
    assert (reports.items, of_films.items) == ("reports", "films")
    with pytest.raises(ValueError, match="reports is an index of reports, to which no films can be added"):
        build_film_index(tmp_path / "reports", model(), pecm(), films(2), extend=True)
    with pytest.raises(ValueError, match="films is an index of films, to which no reports can be added"):
        build_report_index(tmp_path / "films", model(), pecm(), REPORTS, extend=True)
    assert len(BuiltIndex.open(tmp_path / "films").index) == len(BuiltIndex.open(tmp_path / "reports").index) == 2
    # Whoever does not say is believed, and the index still knows.
    known = fingerprint(model(), pecm())
    encoded = [Encoded(1, film_vectors(model(), pecm(), films(1)))]
    assert build_index(tmp_path / "films", encoded, model=known, extend=True).items == "films"
    with pytest.raises(ValueError, match="items='texts' is not allowed: choose from films, reports"):
        build_index(tmp_path / "other", encoded, model=known, items="texts")  # type: ignore[arg-type]
    assert build_index(tmp_path / "other", encoded, model=known).items is None
    path = tmp_path / "other" / ITEMS
    path.write_text(path.read_text().replace("null", '"texts"'))
    with pytest.raises(DamagedIndex, match="items that are 'texts'"):
        BuiltIndex.open(tmp_path / "other")


def test_an_index_without_numbers_is_no_built_one(tmp_path: Path) -> None:
    vectors = report_vectors(model(), pecm(), REPORTS[:2])
    index = ArchiveIndex.create(tmp_path / "index", [vectors], model=fingerprint(model(), pecm()))
    with pytest.raises(FileNotFoundError, match=r"items.json is missing\): its rows are its items"):
        BuiltIndex.open(index.folder)
    (tmp_path / "cut").mkdir()
    built = build_report_index(tmp_path / "cut", model(), pecm(), REPORTS[:2])
    # Rows that came in another way have no number.
    built.index.extend([vectors])
    with pytest.raises(DamagedIndex, match=r"tells of parts of \[2\] items, the index has \[2, 2\]"):
        BuiltIndex.open(tmp_path / "cut")
    (tmp_path / "cut" / ITEMS).write_text("{")
    with pytest.raises(DamagedIndex, match="is damaged"):
        BuiltIndex.open(tmp_path / "cut")
