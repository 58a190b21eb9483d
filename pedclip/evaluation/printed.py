"""The numbers that the papers print, as data: what a reader puts beside our own."""

from functools import cache
from importlib.resources import files
from typing import Final

import pandas as pd

PAPERS: Final = {
    "pedclip": "PedCLIP, MICCAI 2025: Tables 1 and 2; Figures 1, 4 and 5 as read from the figures",
    "pecm": "PECM, cross-modal image-report retrieval: Tables 1 to 5",
    "synthetic": "Synthetic data for medical vision-language pre-training: Tables 1 to 3",
    "survey": "CLIP in medical imaging, a survey: accuracies of Figure 16 that the text states",
}


def printed(paper: str) -> pd.DataFrame:
    """Every printed number of a paper, one row each, in the order of its tables.

    Args:
        paper: A key of `PAPERS`.

    Returns:
        Columns `table`, `group` (as the table groups its rows), `row`, `column`, `unit` (AUC is a share in
        pedclip's tables and per cent where the unit says so), `value` (NaN where a dash is printed), `change` (the
        printed difference to another row, NaN where none is).

    Raises:
        ValueError: Another name.
    """
    if paper not in PAPERS:
        raise ValueError(f"there is no paper {paper!r}; expected one of {', '.join(PAPERS)}")
    return _read(paper).copy()


def beside(paper: str, table: str, ours: dict[tuple[str, str], float], *, group: str = "") -> pd.DataFrame:
    """Printed numbers with ours next to them.

    Args:
        paper: A key of `PAPERS`.
        table: As in the column `table`.
        ours: (row, column) to our number, in the printed unit.
        group: Only this group; "" for all.

    Returns:
        Columns `group`, `row`, `column`, `unit`, `paper`, `ours` (NaN where we have none).

    Raises:
        ValueError: No such table, or a number of ours that the table has no place for.
    """
    numbers = printed(paper)
    chosen = numbers[(numbers["table"] == table) & ((numbers["group"] == group) | (group == ""))]
    if chosen.empty:
        known = ", ".join(dict.fromkeys(numbers["table"]))
        raise ValueError(f"{paper} has no {table!r} with group {group!r}; its tables are {known}")
    places = list(zip(chosen["row"], chosen["column"], strict=True))
    if unknown := [place for place in ours if place not in places]:
        raise ValueError(f"{paper}, {table} has no row and column {unknown[0]}")
    table_beside = chosen.rename(columns={"value": "paper"})[["group", "row", "column", "unit", "paper"]]
    table_beside["ours"] = [ours.get(place, float("nan")) for place in places]
    return table_beside


@cache
def _read(paper: str) -> pd.DataFrame:
    with (files("pedclip.evaluation") / "printed" / f"{paper}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, keep_default_na=False, na_values={"value": [""], "change": [""]})
