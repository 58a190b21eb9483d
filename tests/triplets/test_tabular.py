"""Tables: every row is read, read again, or named with its problem; nothing of it is quoted."""

import gzip
import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from pedclip.triplets.columns import find_roles, usual_names
from pedclip.triplets.encoding import cell_text
from pedclip.triplets.tabular import TableError, TableRow, open_table


def saved(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


CSV = b'\xef\xbb\xbfid;text\n1;"two\nlines"\n\n4;\x81\n3;a;b\n2;"open\n5;last'
JSON = b'{"id": 1, "text": "one"}\n\n{bad\n[1]\n{"id": 5}\n{"id": 6, "id": 7}\n'


def test_a_broken_row_costs_only_itself_and_its_number_is_kept(tmp_path: Path) -> None:
    rows = list(open_table(saved(tmp_path / "t.csv", CSV)).rows())
    assert [(row.number, row.cells) for row in rows if row.cells] == [
        (2, {"id": "1", "text": "two\nlines"}),
        (7, {"id": "5", "text": "last"}),
    ]
    assert [(row.number, row.problem) for row in rows if row.cells is None] == [
        (4, "not UTF-8"),
        (5, "3 cells under 2 names; is a quote open, or a comma not quoted?"),
        (6, "a quote that does not close"),
    ]
    rows = list(open_table(saved(tmp_path / "t.ndjson", JSON)).rows())
    assert [(row.number, bool(row.cells), row.problem) for row in rows] == [
        (1, True, ""),
        (3, False, "not JSON (JSONDecodeError)"),
        (4, False, "expected a JSON object, got list"),
        (5, True, ""),
        (6, False, "not JSON (RepeatedKey)"),
    ]


def good(path: Path) -> list[TableRow]:
    return [row for row in open_table(path).rows() if row.cells is not None]


def test_every_row_is_read_again_by_its_position_until_the_file_changes(tmp_path: Path) -> None:
    content = pyarrow.table({"id": ["1", "2", "3"], "text": ["a", None, "c"]})
    parquet.write_table(content, tmp_path / "t.parquet", row_group_size=2)
    paths = [tmp_path / "t.parquet", saved(tmp_path / "t.csv", CSV), saved(tmp_path / "t.JSONL", JSON)]
    for path in paths:
        table = open_table(path)
        rows = good(path)
        assert len(rows) >= 2
        for row in reversed(rows):
            assert table.read_again(row.position, ["text"]) == {"text": (row.cells or {}).get("text")}
        path.write_bytes(path.read_bytes() + b"\n")
        with pytest.raises(ValueError, match="the table was changed"):
            table.read_again(rows[0].position, ["text"])


def test_a_line_without_end_is_not_held_in_memory(tmp_path: Path) -> None:
    huge = b'{"text": "' + b"x" * 5_000_000 + b'"}\n{"text": "short"}\n'
    rows = list(open_table(saved(tmp_path / "t.jsonl", huge)).rows())
    assert [row.cells for row in rows if row.cells] == [{"text": "short"}]
    rows = list(open_table(saved(tmp_path / "t.csv", b"a,b\n" + b"x" * 5_000_000 + b",y\nc,d\n")).rows())
    assert [row.cells for row in rows if row.cells] == [{"a": "c", "b": "d"}]


def test_lenient_rows_may_be_short_spaced_long_or_packed(tmp_path: Path) -> None:
    content = b'a, b ,c\n1, "x, y"\n\n2,3,4,5\n'
    for path in (saved(tmp_path / "t.csv", content), saved(tmp_path / "t.csv.gz", gzip.compress(content))):
        rows = list(open_table(path, is_strict=False).rows())
        assert [(row.number, row.cells, bool(row.problem)) for row in rows] == [
            (2, {"a": "1", "b": "x, y", "c": ""}, False),
            (4, {"a": "2", "b": "3", "c": "4"}, True),
        ]
    with pytest.raises(TableError, match=r"t\.csv\.gz is no table"):
        open_table(tmp_path / "t.csv.gz")  # of an archive nothing is unpacked


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.xlsx", b"PK", r"t\.xlsx is no table that can be read; save it as one of \.csv, \.tsv"),
        ("t.csv", b"", "must name every column once"),
        ("t.csv", b"a,b,a\n1,2,3\n", "must name every column once"),
        ("t.csv", "a,b\n".encode("utf-16"), "is saved as UTF-16 .*save it as 'CSV UTF-8'"),
        ("t.parquet", b"PAR1 no", "cannot be read .*it is damaged"),
    ],
)
def test_a_file_that_is_no_table_is_an_error_with_its_name(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    with pytest.raises(TableError, match=message):
        open_table(saved(tmp_path / name, content))


def test_cells_are_text() -> None:
    assert [cell_text(value) for value in (None, float("nan"), 7.0, 7.5, " a ", ["a", None, " b "], True)] == (
        ["", "", "7", "7.5", "a", "a; b", "True"]
    )


def test_columns_are_found_by_their_usual_names_and_by_what_is_told(tmp_path: Path) -> None:
    names = ["Report Text", "MRN", "Files", "note", "Patient-Age"]
    expected = {"report": "Report Text", "patient_id": "MRN", "image": "Files", "age": "Patient-Age"}
    assert find_roles(tmp_path, names, {}, "reports") == expected
    assert find_roles(tmp_path, names, {"report": "note"}, "reports") == expected | {"report": "note"}
    with pytest.raises(TableError, match=r"no column 'nota' \(for 'report'\); did you mean 'note'\? its columns: Rep"):
        find_roles(tmp_path, names, {"report": "nota"}, "reports")
    with pytest.raises(TableError, match=r"'reprot': …\}: unknown role; did you mean 'report'\? expected one of"):
        find_roles(tmp_path, names, {"reprot": "note"}, "reports")
    assert {"age", "sex", "view"} <= set(usual_names("images")) & set(usual_names("reports"))


def test_a_cell_too_large_for_a_report_breaks_its_row_in_every_format(tmp_path: Path) -> None:
    huge = "x" * 200_000
    parquet.write_table(pyarrow.table({"id": ["1", "2"], "text": [huge, "b"]}), tmp_path / "t.parquet")
    saved(tmp_path / "t.jsonl", json.dumps({"id": "1", "text": huge}).encode() + b'\n{"id": "2", "text": "b"}\n')
    saved(tmp_path / "t.csv", f"id,text\n1,{huge}\n2,b\n".encode())
    for name in ("t.parquet", "t.jsonl", "t.csv"):
        assert [row.cells is None for row in open_table(tmp_path / name).rows()] == [True, False]


def test_windows_tables_and_commas_at_the_end_of_lines_are_read(tmp_path: Path) -> None:
    table = saved(tmp_path / "t.csv", "id;text\n1;Größe normal\n2;b;\n".encode("cp1252"))
    assert [row.cells for row in open_table(table).rows()] == [
        {"id": "1", "text": "Größe normal"},
        {"id": "2", "text": "b"},
    ]
    assert cell_text("a\x00b\x07\x9fc\n\td") == "abc\n\td"


def test_an_open_quote_costs_its_row_alone_in_lenient_tables(tmp_path: Path) -> None:
    content = b'a,b\n1,"two\nlines"\n2,"open\n3,"x" y\n4,' + b"z" * 140_000 + b'\n5,end\n6,"last'
    rows = list(open_table(saved(tmp_path / "t.csv", content), is_strict=False).rows())
    assert [(row.number, row.cells) for row in rows if row.cells] == [
        (2, {"a": "1", "b": "two\nlines"}),
        (4, {"a": "3", "b": "x y"}),
        (6, {"a": "5", "b": "end"}),
        (7, {"a": "6", "b": "last"}),
    ]
    assert [(row.number, row.problem) for row in rows if row.problem] == [
        (3, "a quote that does not close"),
        (5, "a cell of more than 131,072 characters"),
    ]


def test_a_line_with_the_delimiter_before_the_names_is_no_header(tmp_path: Path) -> None:
    table = open_table(saved(tmp_path / "t.csv", b"\xef\xbb\xbfsep=;\r\nid;text\r\n1;a\r\n2;b\r\n"))
    assert table.names == ("id", "text")
    rows = list(table.rows())
    assert [row.cells for row in rows] == [{"id": "1", "text": "a"}, {"id": "2", "text": "b"}]
    assert table.read_again(rows[1].position, ["text"]) == {"text": "b"}
