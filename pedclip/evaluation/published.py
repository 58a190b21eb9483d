"""The numbers that the papers print, as data, and the way in which each printed model is run here."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import pandas as pd

from pedclip.models.released.release import find_release

PAPERS: Final = {
    "pedclip": "PedCLIP, MICCAI 2025: section 2.1; Tables 1 and 2; Figures 1, 4 and 5 as read from the figures",
    "pecm": "PECM, cross-modal image-report retrieval: Tables 1 to 5",
    "synthetic": "Synthetic data for medical vision-language pre-training: Tables 1 to 3",
    "survey": "CLIP in medical imaging, a survey: accuracies of Figure 16 that the text states",
}
# Tables of PedCLIP whose rows are models, each with an entry in models.csv.
_ROUNDING: Final = 0.051
MODEL_TABLES: Final = ("Table 1", "Table 2", "Figure 5")


@dataclass(frozen=True)
class PrintedModel:
    """A row that PedCLIP prints, and how its model is run here; one of the last three says it.

    Attributes:
        group: Of the row: "generalist", "adult" or "pediatric"; "" in a figure.
        row: Name of the model, as printed.
        objective: That a model of this row is trained with here, "" where it is not trained here.
        released: Name of its authors' weights for ``pedclip.models.released.load_released``, "" for none.
        missing: Why it cannot be run, "" where it can.

    Raises:
        ValueError: None of the three ways is named, or several are.
    """

    group: str
    row: str
    objective: str
    released: str
    missing: str

    def __post_init__(self) -> None:
        # Read from a file, where a forgotten comma would move one field into the next.
        named = [way for way in (self.objective, self.released, self.missing) if way]
        if len(named) != 1:
            raise ValueError(
                f"models.csv, {self.group} {self.row}: expected one of objective, released and missing, got {named}"
            )

    @property
    def way(self) -> str:
        """The objective, or "released NAME"; "" where the model cannot be run. A model of that way fills the row."""
        return f"released {self.released}" if self.released else self.objective

    @property
    def reason(self) -> str:
        """Reason for an empty row, as long as no model of its way is given."""
        if self.objective:
            return f"no model trained with objective='{self.objective}' was given"
        if self.released:
            release = find_release(self.released)
            # Where the file is, the door itself says when it is knocked at.
            return f"its authors' weights were not given: {release.files[0]} (licence: {release.licence})"
        return self.missing


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


def recomputed_changes(paper: str, *, reference: str) -> pd.DataFrame:
    """The differences that a paper prints beside its numbers, each with what the numbers themselves give.

    Args:
        paper: As for `printed`.
        reference: Group of the rows that the others are compared with, such as "real images".

    Returns:
        The printed rows that have a change, with `expected`, the value minus that of the reference in the same row and
        column of the table, and `is_slip`: both differ by more than rounding explains.

    Raises:
        ValueError: Another paper, or a group that it does not print.

    Example:
        >>> int(recomputed_changes("synthetic", reference="real images")["is_slip"].sum())
        5
    """
    numbers = printed(paper)
    if reference not in set(numbers["group"]):
        raise ValueError(f"{paper} has no group {reference!r}; it has {', '.join(pd.unique(numbers['group']))}")
    place = ["table", "row", "column"]
    base = numbers[numbers["group"] == reference].set_index(place)["value"]
    # A number without a change, such as a dash, claims nothing.
    changed = numbers[numbers["change"].notna()].reset_index(drop=True)
    expected = changed["value"].to_numpy() - base.loc[pd.MultiIndex.from_frame(changed[place])].to_numpy()
    # Numbers and change are rounded to one digit; half a digit would be too strict for a difference of two.
    is_slip = abs(expected - changed["change"]) > _ROUNDING
    return changed.assign(expected=expected.round(6), is_slip=is_slip)


def models_of(table: str) -> tuple[PrintedModel, ...]:
    """The models of one of PedCLIP's tables, in the order of its rows.

    Args:
        table: One of `MODEL_TABLES`.

    Raises:
        ValueError: Another table.

    Example:
        >>> [model.way for model in models_of("Figure 5")]
        ['clip', '', 'pedclip']
    """
    if table not in MODEL_TABLES:
        raise ValueError(f"the rows of {table!r} are not mapped to models; expected one of {', '.join(MODEL_TABLES)}")
    numbers = _read("pedclip")
    # A row occurs once per column.
    rows = numbers.loc[numbers["table"] == table, ["group", "row"]].drop_duplicates()
    return tuple(_models()[group, row] for group, row in rows.itertuples(index=False))


@cache
def _models() -> dict[tuple[str, str], PrintedModel]:
    with (files("pedclip.evaluation") / "printed" / "models.csv").open(encoding="utf-8") as file:
        entries = pd.read_csv(file, keep_default_na=False, dtype=str)  # an empty field is "", not NaN
    models = [PrintedModel(*map(str, entry)) for entry in entries.itertuples(index=False)]
    return {(model.group, model.row): model for model in models}


@cache
def _read(paper: str) -> pd.DataFrame:
    with (files("pedclip.evaluation") / "printed" / f"{paper}.csv").open(encoding="utf-8") as file:
        # A row may be called "NA" or "None"; only an empty number is one that the paper does not print.
        return pd.read_csv(file, keep_default_na=False, na_values={"value": [""], "change": [""]})
