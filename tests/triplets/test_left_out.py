"""The list of what was left out: sorted, complete, and harmless in a spreadsheet."""

import csv
import re
from pathlib import Path

import pytest

from pedclip.triplets.decoding import BadImage
from pedclip.triplets.left_out import COLUMNS, LeftOut, Reason, Unusable, write_left_out


def read(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_the_list_is_sorted_and_a_whole_file_has_no_row(tmp_path: Path) -> None:
    items = [
        LeftOut("b.csv", Reason.NO_FILM, row=10, source="two"),
        LeftOut("b.csv", Reason.NO_FILM, row=9, source="two"),
        LeftOut("a.png", Reason.BAD_IMAGE, "all black", source="two"),
        LeftOut("z.png", Reason.NO_REPORT, source="one"),
    ]
    write_left_out(tmp_path / "left_out.csv", items)
    assert read(tmp_path / "left_out.csv") == [
        [*COLUMNS],
        ["one", "z.png", "", "no-report", ""],
        ["two", "a.png", "", "bad-image", "all black"],
        ["two", "b.csv", "9", "no-film", ""],
        ["two", "b.csv", "10", "no-film", ""],
    ]


@pytest.mark.parametrize("name", ["=1+1.png", "+a", "-a", "@a", "\ta"])
def test_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe(tmp_path: Path, name: str) -> None:
    write_left_out(tmp_path / "list.csv", [LeftOut(name, Reason.CORRUPT, "=cmd()", 3)])
    assert read(tmp_path / "list.csv")[1] == ["", f"'{name}", "3", "corrupt", "'=cmd()"]


def test_a_list_without_rows_is_written_and_an_old_one_replaced(tmp_path: Path) -> None:
    write_left_out(tmp_path / "run" / "list.csv", [LeftOut("a", Reason.CORRUPT)])
    write_left_out(tmp_path / "run" / "list.csv", [])
    assert read(tmp_path / "run" / "list.csv") == [[*COLUMNS]]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["list.csv"]


def test_every_reason_has_a_code_and_a_meaning_of_its_own() -> None:
    assert len({reason.meaning for reason in Reason}) == len(Reason)
    assert all(re.fullmatch("[a-z-]+", reason) and reason.name == reason.upper().replace("-", "_") for reason in Reason)


def test_errors_carry_their_reason_and_the_words_of_the_list() -> None:
    error: Unusable = BadImage("empty file (0 bytes)")
    assert (error.reason, str(error)) == (Reason.BAD_IMAGE, "empty file (0 bytes)")
    assert LeftOut("a", Reason.EMPTY_FILE).words == "0 bytes"
    assert LeftOut("a", Reason.EMPTY_FILE, "nothing in it", 2).words == "nothing in it"
    assert (LeftOut("a.csv", Reason.NO_FILM, row=2).name, LeftOut("a.png", Reason.NO_REPORT).name) == (
        "a.csv, row 2",
        "a.png",
    )
