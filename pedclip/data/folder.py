"""A folder of images with a table, read into triplets; what cannot be used is listed with the reason."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from datasets import DatasetDict

from pedclip.anatomy import REGIONS
from pedclip.data.label_text import label_text, patient_words, read_labels
from pedclip.data.table import TABLE, Table, find_table, read_box_table
from pedclip.data.table_rows import (
    image_id_of,
    patient_of,
    read_laterality,
    read_region,
    read_splits,
    region_of_folder,
)
from pedclip.findings import finding_name
from pedclip.triplets.annotations import clip_box
from pedclip.triplets.decoding import BadImage, StoredFilm, read_film, read_mask
from pedclip.triplets.left_out import LeftOut, Reason, Unusable
from pedclip.triplets.splits import SPLITS
from pedclip.triplets.storage import make_split
from pedclip.triplets.values import read_age, read_bone_age, read_sex, read_view

_THREADS: Final = 8
_MIN_LETTERS: Final = 3


@dataclass(frozen=True)
class FolderReading:
    """Result of reading: the triplets, the rows left out, and what else there is to know."""

    triplets: DatasetDict
    left_out: list[LeftOut]
    notes: list[str]


class NothingUsable(ValueError):
    """A folder of which no row can become a triplet; `left_out` says why, row by row."""

    def __init__(self, folder: Path, left_out: list[LeftOut]) -> None:
        reasons = Counter(item.words for item in left_out).most_common(3)
        listed = "; ".join(f"{count} × {words}" for words, count in reasons)
        super().__init__(f"{folder}: none of {len(left_out)} rows can be used ({listed}).")
        self.left_out = left_out


def read_folder(path: str | Path, *, columns: Mapping[str, str] | None = None, split: str = "auto") -> FolderReading:
    """Triplets from a folder of images and a table (`metadata.csv`, or the one file that lists images).

    Columns are recognized by the names in columns.json. Every image is decoded once, so that nothing unusable is found
    later. Rows with text keep it; the others get sentences made from their labels. `boxes.csv` and masks are read.

    Args:
        path: The folder; image files are named relative to it.
        columns: Role to column name, e.g. {"text": "note"}, for tables with other names.
        split: "auto", "given" or "hash", see `pedclip.data.load`.

    Returns:
        The triplets and what was left out.

    Raises:
        TableError: No table, a missing column, an unknown region or split, a duplicate image id, or a patient in two
            given splits; names file, row and column.
        NothingUsable: All rows were left out.
    """
    folder = Path(path)
    table = find_table(folder, columns)
    if table is None:
        raise table_missing(folder)
    # Before an image is opened: decoding takes minutes, and this is an error of the table.
    _check_image_ids(table)
    splits, split_note = read_splits(table, split)
    notes = [split_note]
    if "patient_id" not in table.columns:
        notes.append("no patient column: every image counts as its own patient")
    rows, left_out = _read_rows(table, splits)
    if not rows:
        raise NothingUsable(folder, left_out)
    notes += _add_masks(folder, rows) + _add_boxes(folder, rows)
    notes += _counts(table, rows)
    triplets = DatasetDict({name: make_split([row.record for row in rows if row.split == name]) for name in SPLITS})
    return FolderReading(triplets, left_out, notes)


def table_missing(folder: Path) -> FileNotFoundError:
    """The error for a folder without a table of images."""
    found = ", ".join(sorted(item.name for item in folder.iterdir())[:8]) or "nothing"
    return FileNotFoundError(
        f"{folder} has no table of images: expected {TABLE} (or one .csv, .jsonl or .parquet file with a column of "
        f"image files), Parquet shards of triplets, or subfolders with these; found {found}."
    )


@dataclass(frozen=True)
class _Row:
    """A usable row: what becomes the triplet, and what is still needed from the table."""

    split: str
    file: str
    mask_file: str
    size: tuple[int, int]  # height, width
    record: dict[str, Any]


def _check_image_ids(table: Table) -> None:
    first: dict[str, int] = {}
    for number, row in table.rows:
        if not row["image"]:
            continue
        # Both rows are named, as either may be the wrong one.
        before = first.setdefault(image_id_of(row), number)
        if before != number:
            role = "image_id" if row.get("image_id") else "image"
            raise table.error(role, [before, number], "the same image id twice; each row needs one of its own.")


def _read_rows(table: Table, splits: list[str]) -> tuple[list[_Row], list[LeftOut]]:
    folder = table.path.parent
    source, folder_region = folder.resolve().name, region_of_folder(folder)
    usable, left_out = [], []
    for (number, row), split in zip(table.rows, splits, strict=True):
        try:
            # The words first: no film is decoded for a row that has none.
            usable.append((number, row, split, _describe(table, number, row, folder_region)))
        except Unusable as error:
            left_out.append(LeftOut(row["image"], error.reason, str(error), number, source))
    # Decoding leaves Python's lock, so that threads do it side by side.
    with ThreadPoolExecutor(_THREADS) as pool:
        films = pool.map(_try_film, [folder / row["image"] for _, row, _, _ in usable])
        rows = []
        for (number, row, split, described), film in zip(usable, films, strict=True):
            if isinstance(film, BadImage):
                left_out.append(LeftOut(row["image"], film.reason, str(film), number, source))
                continue
            record = {**described, "image": {"bytes": film.content, "path": None}, "source": source}
            rows.append(_Row(split, row["image"], row.get("mask", ""), (film.height, film.width), record))
    return rows, sorted(left_out, key=lambda item: item.row)


def _try_film(path: Path) -> StoredFilm | BadImage:
    try:
        return read_film(path)
    except BadImage as error:
        return error


def _describe(table: Table, number: int, row: Mapping[str, str], folder_region: str) -> dict[str, Any]:
    """Everything of a triplet but its picture, boxes and mask."""
    if not row["image"]:
        raise Unusable(Reason.NO_FILM, "no image file named")
    if not patient_of(row):
        raise Unusable(Reason.NO_PATIENT, "patient is blank; without it the split could leak")
    region = read_region(table, number, row, folder_region)
    labels = read_labels(row.get("finding", ""), row.get("label", ""))
    age, view, laterality = read_age(row), read_view(row.get("view", "")), read_laterality(row, region)
    image_id = image_id_of(row)
    text, text_source = row.get("text", ""), "caption"
    # A cell such as "-" or "1" is no text.
    if len(re.findall(r"[^\W\d_]", text)) < _MIN_LETTERS:
        if labels is None:
            raise Unusable(Reason.NO_TEXT, "neither text nor a label")
        patient = patient_words(age, row.get("age_group", ""))
        text = label_text(labels, key=image_id, region=region, laterality=laterality, view=view, patient=patient)
        text_source = "label-prompt"
    return {
        "text": text,
        "region": REGIONS.index(region),
        "laterality": laterality,
        "view": view,
        "patient_id": patient_of(row),
        "study_id": row.get("study_id") or image_id,
        "image_id": image_id,
        "age_months": age,
        "sex": read_sex(row.get("sex", "")),
        "findings": None if labels is None else list(labels.findings),
        "boxes": [],
        "mask": None,
        "bone_age_months": read_bone_age(row),
        "text_source": text_source,
    }


def _add_masks(folder: Path, rows: list[_Row]) -> list[str]:
    problems = []
    for row in rows:
        if not row.mask_file:
            continue
        try:
            row.record["mask"] = {"bytes": read_mask(folder / row.mask_file, size=row.size), "path": None}
        except BadImage as error:
            problems.append(f"{row.mask_file}: {error}")
    return [f"{len(problems)} masks left out, their films kept (first: {problems[0]})"] if problems else []


def _add_boxes(folder: Path, rows: list[_Row]) -> list[str]:
    by_file = defaultdict(list)
    for row in rows:
        # A file may be listed in several rows, under several image ids.
        by_file[row.file].append(row)
    num_clipped, outside = 0, []
    for number, file, box, label in read_box_table(folder):
        for row in by_file.get(file, ()):
            # Boxes drawn by hand often reach a pixel over the edge.
            clipped = clip_box(box, row.size)
            if clipped is None:
                outside.append(number)
                continue
            num_clipped += clipped != box
            row.record["boxes"].append({**clipped._asdict(), "label": finding_name(label)})
    notes = [f"{num_clipped} boxes cut at the edge of their film"] if num_clipped else []
    return notes + ([f"{len(outside)} boxes outside their film left out (first: row {outside[0]})"] if outside else [])


def _counts(table: Table, rows: list[_Row]) -> Iterator[str]:
    by_region = Counter(REGIONS[row.record["region"]] for row in rows)
    yield f"{len(by_region)} of {len(REGIONS)} regions: " + ", ".join(f"{k} {n}" for k, n in by_region.most_common())
    num_prompts = sum(row.record["text_source"] == "label-prompt" for row in rows)
    if num_prompts:
        yield f"{num_prompts} texts made from labels"
    num_unread = sum(bool(row.get("age") or row.get("age_months")) and read_age(row) is None for _, row in table.rows)
    if num_unread:
        yield f"{num_unread} ages not understood, left blank"
