"""Damaged files and tables never stop a run: each is a study or a rejected file, with a reason that is listed."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from pedclip.curation.archive.files import FilmFile, PictureFile, ReportFile, find_files
from pedclip.curation.archive.reader import read_archive
from pedclip.curation.archive.report_table import ReportRow, read_report_rows
from pedclip.triplets.left_out import LeftOut
from pedclip.triplets.tabular import TableError
from tests.curation.archive.archive_files import film, report, structured_report

SHARED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    film(tmp_path / "good", 1, BodyPartExamined="KNEE", SeriesDescription="knee lat")
    return (tmp_path / "good").read_bytes()


@SHARED
@given(st.data())
def test_damaged_headers_are_films_or_rejected(tmp_path: Path, whole: bytes, data: st.DataObject) -> None:
    content = bytearray(whole)
    for position in data.draw(st.lists(st.integers(128, 900), max_size=12)):
        content[position] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(130, len(content))) :]
    folder = tmp_path / "damaged"
    folder.mkdir(exist_ok=True)
    (folder / "film").write_bytes(content)
    (found,) = find_files(folder)
    assert isinstance(found, FilmFile | LeftOut | ReportFile | PictureFile)


@SHARED
@given(st.binary(max_size=300) | st.text(alphabet='a,;"\n\r\t|é\x00 ', max_size=200).map(str.encode))
def test_rows_of_any_bytes_can_be_read_again_or_are_rejected(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(b"study_id,report\n" + content)
    for row in read_report_rows(path):
        if isinstance(row, ReportRow):
            assert row.location.read() == row.text != ""
        else:
            assert row.name.startswith("r.csv, row ")


@SHARED
@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_no_row_of_a_table_is_lost(tmp_path: Path, texts: list[str]) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text("\n".join(json.dumps({"report": text}) for text in texts))
    assert len(list(read_report_rows(path))) == len(texts)


def test_damaged_and_endless_structured_reports_are_rejected(tmp_path: Path) -> None:
    film(tmp_path / "x/film", 1)
    (tmp_path / "x/film.txt").write_text(report("knee"))
    nested = Dataset()
    nested.ValueType, nested.TextValue = "TEXT", "Clear."
    for _ in range(20):
        outer = Dataset()
        outer.ValueType, outer.ContentSequence = "CONTAINER", Sequence([nested])
        nested = outer
    structured_report(tmp_path / "x/deep", {}, StudyInstanceUID="1.2", ContentSequence=Sequence([nested]))
    structured_report(tmp_path / "x/cut", {"Findings": "Clear."}, StudyInstanceUID="1.3")
    (tmp_path / "x/cut").write_bytes((tmp_path / "x/cut").read_bytes()[:-9])
    archive = read_archive(tmp_path / "x")
    assert len(archive.studies) == 1
    assert {item.name: item.reason for item in archive.left_out} == dict.fromkeys(("cut", "deep"), "corrupt")


def test_an_unclosed_quote_in_a_large_table_costs_one_row(tmp_path: Path) -> None:
    rows = [f'S{number},"{"word " * 200}"' for number in range(2000)]
    rows[3] = f'S3,"{"word " * 200}'
    (tmp_path / "r.csv").write_text("study_id,report\n" + "\n".join(rows))
    found = list(read_report_rows(tmp_path / "r.csv"))
    assert len(found) == 2000
    assert [item.name for item in found if isinstance(item, LeftOut)] == ["r.csv, row 5"]


def test_a_table_of_another_encoding_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_bytes("study_id,report\nS1,text\n".encode("utf-16"))
    with pytest.raises(TableError, match="saved as UTF-16"):
        list(read_report_rows(tmp_path / "r.csv"))
