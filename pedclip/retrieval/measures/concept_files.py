"""Files of concepts: UMLS codes (CUIs) by film, as ROCO publishes them or as a table in JSON Lines."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pedclip.triplets.columns import first_of, usual_names
from pedclip.triplets.csv_rows import MAX_LINE_BYTES
from pedclip.triplets.encoding import without_control
from pedclip.triplets.tabular import TableError, open_table, unreadable

_CONCEPTS: Final = ("umls_cuis", "cuis", "cui", "concepts")  # usual names of a column, the most telling first
_CUI: Final = re.compile(r"C\d{7}", re.ASCII)
# What an id of ROCO never holds. PMC1234567 is an id, and no code.
_NO_ID: Final = re.compile(r"[,;]|(?<!\w)C\d{7}(?!\w)", re.ASCII)
_MOST_ID: Final = 1000  # characters; no file name is longer
_JSON: Final = (".jsonl", ".ndjson")


def read_concepts(path: str | Path, *, id_column: str = "", concepts_column: str = "") -> dict[str, frozenset[str]]:
    r"""Concepts by film, for `concept_overlap`.

    ROCO's own files (`data/<part>/radiology/cuis*.txt`) have a line per figure: its id, then its CUIs, between tabs. A
    file in JSON Lines (.jsonl, .ndjson) has an object per film, with its id and a list of CUIs.

    Args:
        path: The file; its ending says which of the two it is, and any other ending is read as ROCO's.
        id_column: Of JSON Lines; "" takes the first usual name of an image id that the file has (columns.json), as
            `pedclip.data.load` does, so that the ids are those of the triplets.
        concepts_column: Of JSON Lines; "" takes the first of `umls_cuis`, `cuis`, `cui` and `concepts`.

    Returns:
        CUIs by id, in the order of the file. A film without any has an empty set: somebody looked and found none. In
        a union of sources, `pedclip.data.load` puts "<source>/" before the ids; these have no such prefix.

    Raises:
        TableError: The file cannot be read, holds no film or no such column, or has a line without an id, an id twice,
            a key twice, or a code that is no CUI; or a file of ROCO's has no tab, or codes within an id. The message
            names the file and the line, never what the line says.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "cuis.txt"
        ...     _ = path.write_text("ROCO_00001\t\tC0043299\tC1306645\nROCO_00002\t")
        ...     found = read_concepts(path)
        >>> {name: sorted(codes) for name, codes in found.items()}
        {'ROCO_00001': ['C0043299', 'C1306645'], 'ROCO_00002': []}
    """
    file = Path(path)
    is_json = file.suffix.lower() in _JSON
    if not is_json and (id_column or concepts_column):
        raise TableError(f"{file} has no names of columns; id_column and concepts_column are for {' and '.join(_JSON)}")
    rows = _json_rows(file, id_column, concepts_column) if is_json else _text_rows(file)
    found: dict[str, frozenset[str]] = {}
    first: dict[str, int] = {}
    for number, name, codes in rows:
        where = f"{file}, line {number}"
        # An id of thousands of letters is a file of another kind, not a film.
        if not isinstance(name, str) or not name.strip() or len(name) > _MOST_ID:
            raise TableError(f"{where}: no image id; expected a text of 1 to {_MOST_ID} characters")
        name = name.strip()
        # Neither of two answers is the right one for whoever reads the file only.
        if name in found:
            raise TableError(f"{where}: the same image id as in line {first[name]}; each film needs one line")
        if not all(isinstance(code, str) and _CUI.fullmatch(code) for code in codes):
            raise TableError(f"{where}: a code that is no CUI; expected C and seven digits, such as C0043299")
        found[name], first[name] = frozenset(codes), number
    if not found:
        raise TableError(f"{file} holds no film; expected a line per film with its id and its CUIs")
    return found


def _text_rows(path: Path) -> Iterator[tuple[int, Any, Sequence[Any]]]:
    """Number, id and codes of each line of ROCO's files that is not blank."""
    try:
        with path.open("rb") as file:
            number, has_tab = 0, False
            # Bounded, because a file without line ends would be read as one line of any size.
            while line := file.readline(MAX_LINE_BYTES):
                number += 1
                if len(line) == MAX_LINE_BYTES:
                    raise TableError(f"{path}, line {number}: longer than {MAX_LINE_BYTES:,} bytes; no concepts")
                has_tab |= b"\t" in line
                name, *codes = (cell.strip() for cell in without_control(line.decode("utf-8-sig")).split("\t"))
                # ROCO writes two tabs after the id, and an id with nothing behind it where no concept was found.
                if name or any(codes):
                    # Other delimiters would make the whole line an id, of a film without a concept.
                    if _NO_ID.search(name):
                        raise TableError(f"{path}, line {number}: codes or commas in the image id; put tabs between")
                    yield number, name, [code for code in codes if code]
            if number and not has_tab:
                raise TableError(f"{path} has no tab; expected a line per film with its id and its CUIs, between tabs")
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error


def _json_rows(path: Path, id_column: str, concepts_column: str) -> Iterator[tuple[int, Any, Sequence[Any]]]:
    """Number, id and codes of each object of a file in JSON Lines."""
    table = open_table(path, is_strict=False)
    name_of = _column(path, table.names, id_column, usual_names("images")["image_id"], "id_column")
    codes_of = _column(path, table.names, concepts_column, _CONCEPTS, "concepts_column")
    for row in table.rows():
        # A row that cannot be read may be that of any film, so that leaving it out would not show.
        if row.cells is None:
            raise TableError(f"{path}, line {row.number}: {row.problem}")
        codes = row.cells.get(codes_of)
        # An absent list says that nobody looked; counting it as empty would call the film free of concepts.
        if not isinstance(codes, list):
            raise TableError(f"{path}, line {row.number}: column {codes_of!r} holds no list of CUIs, such as []")
        yield row.number, row.cells.get(name_of), codes


def _column(path: Path, names: Sequence[str], asked: str, usual: Sequence[str], option: str) -> str:
    """The column as told, else the first usual one.

    Raises:
        TableError: There is none; names the option that tells it.
    """
    found = asked if asked in names else "" if asked else first_of(usual, names)
    if not found:
        expected = repr(asked) if asked else f"any of {', '.join(usual)}"
        raise TableError(f"{path} has no column {expected}; name it with {option}, one of {', '.join(names)[:500]}")
    return found
