"""Cells of a table turned into the values of the schema."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pedclip.anatomy import UnknownRegion, UnmappableRegion, find_laterality, find_mentions, find_region, is_paired
from pedclip.data.table import Table
from pedclip.triplets.left_out import Reason, Unusable
from pedclip.triplets.splits import split_of

GIVEN_NOTE: Final = "split as given"
GIVEN: Final = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "holdout": "test",
}


def read_region(table: Table, number: int, row: Mapping[str, str], folder_region: str) -> str:
    """Region of a row: its own column, else the name of the folder, else the only region that its text names.

    Args:
        table: The table, for the words of an error.
        number: Number of the row.
        row: Its cells by role.
        folder_region: As from `region_of_folder`.

    Raises:
        Unusable: Blank, coarser than or outside the 23 regions, or not to be told from the text; never guessed.
        TableError: A region name that nobody knows; names file, row and column.
    """
    # A column that is there decides, also where it is blank: a guess beside it would mix two sources.
    if "region" in row:
        if not row["region"]:
            raise Unusable(Reason.REGION_UNKNOWN, "region is blank")
        try:
            return find_region(row["region"])
        except UnmappableRegion as error:
            raise Unusable(Reason.REGION_UNKNOWN, f"region: {error}") from error
        except UnknownRegion as error:
            raise table.error("region", [number], str(error)) from error
    if folder_region:
        return folder_region
    # A text that names two regions does not say which one is shown.
    named = {mention.region for mention in find_mentions(row.get("text", ""))}
    if len(named) != 1:
        detail = f"no region column, and the text names {len(named)} regions instead of one"
        raise Unusable(Reason.REGION_UNKNOWN, detail)
    return named.pop()


def region_of_folder(folder: Path) -> str:
    """The one region that the name of a folder says ("knee-oa-kl"), "" where it says none or several."""
    named = {mention.region for mention in find_mentions(re.sub(r"[-_/.]+", " ", folder.resolve().name))}
    return named.pop() if len(named) == 1 else ""


def read_laterality(row: Mapping[str, str], region: str) -> str:
    """Side of a row: its own column, else its region label, else the only side its text gives to this region."""
    for cell in (row.get("laterality", ""), row.get("region", "")):
        if side := find_laterality(cell):
            return side
    if not is_paired(region):  # such a film shows both sides: "left cardiac border" says nothing about it
        return ""
    mentions = find_mentions(row.get("text", ""))
    sides = {mention.laterality for mention in mentions if mention.region == region and mention.laterality}
    return sides.pop() if len(sides) == 1 else ""


def read_splits(table: Table, mode: str) -> tuple[list[str], str]:
    """Split of every row, and a note on where it comes from.

    Args:
        table: The table; a patient or image without identifier is its own patient.
        mode: "given" (the column of the table), "hash" (of the patient; the column is ignored), or "auto": given where
            the column has training rows, else hash.

    Raises:
        TableError: Unknown value, a patient in two given splits, or no split column in mode "given".
    """
    # A column of blanks is no split.
    has_column = any(row.get("split") for _, row in table.rows)
    if mode == "given" and not has_column:
        raise table.error("split", [1], "there is no split given; pass split='hash' to split by patient.")
    if mode != "hash" and has_column:
        given = _given_splits(table)
        # Folders with a holdout alone are common; "auto" makes them usable for training.
        if mode == "given" or "train" in given:
            return given, GIVEN_NOTE
        note = "split by hash of the patient, because the given split has no training rows"
    else:
        note = "split by hash of the patient"
    return [split_of(patient_of(row)) if patient_of(row) else "" for _, row in table.rows], note


def patient_of(row: Mapping[str, str]) -> str:
    """Identifier of the patient of a row; of the study, else of the image, where nothing says who the patient is."""
    if patient := row.get("patient_id"):
        return patient
    if study := row.get("study_id"):
        # The films of one study are of one child.
        return f"study {study}"
    # Marked, as a patient may have the number of an image; an image that is not named is nobody's.
    image = image_id_of(row)
    return f"image {image}" if image and "patient_id" in row else image


def image_id_of(row: Mapping[str, str]) -> str:
    """Identifier of the image of a row: its own column, else the file as written in the table."""
    return row.get("image_id") or row["image"]


def _given_splits(table: Table) -> list[str]:
    first: dict[str, tuple[int, str]] = {}
    splits = []
    for number, row in table.rows:
        split = GIVEN.get(row["split"].lower())
        if not row["split"]:
            raise table.error("split", [number], "blank; fill it in, or pass split='hash' to split by patient.")
        if split is None:
            known = ", ".join(GIVEN)
            raise table.error("split", [number], f"expected one of {known}, got {row['split'][:40]!r}.")
        # A patient in two parts would be trained and tested on.
        if patient := patient_of(row):
            before, other = first.setdefault(patient, (number, split))
            if other != split:
                raise table.error(
                    "split",
                    [before, number],
                    f"the same patient is in {other!r} and in {split!r}; pass split='hash' to split by patient.",
                )
        splits.append(split)
    return splits
