"""The numbers that the papers print, as data: what a reader puts beside our own."""

from functools import cache
from importlib.resources import files
from typing import Final

import pandas as pd

PAPERS: Final = {
    "pedclip": "PedCLIP, MICCAI 2025: section 2.1; Tables 1 and 2; Figures 1, 4 and 5 as read from the figures",
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


@cache
def _read(paper: str) -> pd.DataFrame:
    with (files("pedclip.evaluation") / "printed" / f"{paper}.csv").open(encoding="utf-8") as file:
        # A row may be called "NA" or "None"; only an empty number is one that the paper does not print.
        return pd.read_csv(file, keep_default_na=False, na_values={"value": [""], "change": [""]})
