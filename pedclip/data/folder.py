"""A folder of images with a table, read into triplets; what cannot be used is listed with the reason."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from datasets import DatasetDict

from pedclip.anatomy import REGIONS
from pedclip.data.folder_annotations import FolderRow, add_boxes, add_masks, place_of
from pedclip.data.label_terms import read_labels, unknown_terms
from pedclip.data.label_text import label_text, patient_words
from pedclip.data.same_films import Fingerprint, fingerprint, in_one_part
from pedclip.data.table import BOXES, LABELS, TABLE, Table, find_table
from pedclip.data.table_rows import (
    GIVEN_NOTE,
    image_id_of,
    patient_of,
    read_laterality,
    read_region,
    read_splits,
    region_of_folder,
)
from pedclip.data.unnamed_films import unnamed_films
from pedclip.triplets.decoding import StoredFilm, read_film_and_pixels
from pedclip.triplets.film_paths import FilmPaths
from pedclip.triplets.left_out import LeftOut, Reason, Unusable
from pedclip.triplets.splits import SPLITS
from pedclip.triplets.storage import make_split
from pedclip.triplets.tabular import TableError
from pedclip.triplets.values import is_placeholder, read_age, read_bone_age, read_sex, read_view

_THREADS: Final = 8
_MIN_LETTERS: Final = 3
_LABEL_WORDS: Final = 8  # a label has fewer
_MOST_LABELS: Final = 100  # in one message


@dataclass(frozen=True)
class FolderReading:
    """Result of reading: the triplets, the rows left out, and what else there is to know.

    Attributes:
        triplets: By part.
        left_out: Rows and annotations.
        notes: In words.
        fingerprints: Of the films by image id, where they were decoded; else none.
        is_drawn: True where the parts are drawn by the patient.
    """

    triplets: DatasetDict
    left_out: list[LeftOut]
    notes: list[str]
    fingerprints: Mapping[str, Fingerprint] = field(default_factory=dict)
    is_drawn: bool = False


class NothingUsable(ValueError):
    """A folder of which no row can become a triplet; `left_out` says why, row by row."""

    def __init__(self, folder: Path, left_out: list[LeftOut], unused: Sequence[str] = ()) -> None:
        reasons = Counter(item.words for item in left_out).most_common(3)
        listed = "; ".join(f"{count} × {words}" for words, count in reasons)
        hint = f" Columns without a role, to be named in `columns`: {', '.join(unused)}." if unused else ""
        # A film without a row has none.
        num_rows = len({(item.source, item.row) for item in left_out if item.row})
        super().__init__(f"{folder}: none of {num_rows} rows can be used ({listed}).{hint}")
        self.left_out = left_out


def read_folder(
    path: str | Path, *, columns: Mapping[str, str] | None = None, split: str = "auto", patients: str = "column"
) -> FolderReading:
    """Triplets from a folder of images and a table (`metadata.csv`, or the one file that lists images).

    Columns are recognized by the names in columns.json. Every image is decoded once, so that nothing unusable is found
    later. Rows with text keep it; the others get sentences made from their labels. `boxes.csv` and masks are read.

    Args:
        path: The folder; image files are named relative to it.
        columns: Role to column name, e.g. {"text": "note"}, for tables with other names.
        split: "auto", "given" or "hash", see `pedclip.data.load`.
        patients: "column", or "independent" where no two films are of one patient: then a table may have columns that
            nobody recognizes and none for patients.

    Returns:
        The triplets and what was left out.

    Raises:
        TableError: No table, a missing column (of patients too), an unknown region, split or label, a duplicate image
            id, or a patient in two given splits; names file, row and column.
        NothingUsable: All rows were left out.
    """
    folder = Path(path)
    table = find_table(folder, columns)
    if table is None:
        raise table_missing(folder)
    # Before an image is opened: decoding takes minutes, and these are errors of the table.
    _check_patients(table, patients)
    paths, source = FilmPaths(folder), folder.resolve().name
    unnamed, unnamed_notes = unnamed_films(table, paths)
    table, left_out = _without_repeated(table, paths)
    _check_labels(table)
    splits, split_note = read_splits(table, split)
    notes = [split_note]
    rows, prints, unusable = _read_rows(table, splits, paths)
    by_image = {row.record["image_id"]: found for row, found in zip(rows, prints, strict=True)}
    is_given = split_note == GIVEN_NOTE
    rows, same, same_notes = in_one_part(rows, prints, is_given=is_given, source=source)
    left_out += unusable + same + unnamed
    if not rows:
        raise NothingUsable(folder, left_out, table.unused)
    for problems, words in (add_masks(paths, rows, source), add_boxes(paths, rows, source)):
        left_out += problems
        notes += words
    notes += [*same_notes, *unnamed_notes, *_counts(table, rows), *_unread(table)]
    triplets = DatasetDict({name: make_split([row.record for row in rows if row.split == name]) for name in SPLITS})
    left_out.sort(key=lambda item: (item.file == BOXES, item.row))
    return FolderReading(triplets, left_out, notes, by_image, not is_given)


def table_missing(folder: Path) -> FileNotFoundError:
    """The error for a folder without a table of images."""
    found = ", ".join(sorted(item.name for item in folder.iterdir())[:8]) or "nothing"
    return FileNotFoundError(
        f"{folder} has no table of images: expected {TABLE} (or one .csv, .jsonl or .parquet file with a column of "
        f"image files), Parquet shards of triplets, or subfolders with these; found {found}."
    )


def _check_patients(table: Table, patients: str) -> None:
    """Refuse a table in which a column that nobody recognized may say who the patients are."""
    if "patient_id" in table.columns or patients == "independent" or not table.unused:
        return
    names = ", ".join([*table.columns.values(), *table.unused])
    raise TableError(
        f"{table.path} has no column of patients that is recognized; its columns are {names}. If one says "
        "who the patient is, rename it 'patient_id' (or name it in pedclip.data.load: columns={'patient_id': 'x'}), so "
        "that no patient is trained and tested on; or pass patients='independent' if no two films are of one patient."
    )


def _check_labels(table: Table) -> None:
    """Refuse labels that no sentence can be made of, all of them at once."""
    unknown: Counter[str] = Counter()
    num_sentences = 0
    for _, row in table.rows:
        for role in ("finding", "label"):
            for term in unknown_terms(row.get(role, ""), table.own):
                is_sentence = len(term.split()) > _LABEL_WORDS
                num_sentences += is_sentence
                unknown[term] += not is_sentence
    columns = " and ".join(repr(table.columns[role]) for role in ("finding", "label") if role in table.columns)
    # Sentences are never quoted: they may be of a report.
    if num_sentences:
        raise TableError(
            f"{table.path}, column {columns}: {num_sentences} cells are sentences, not labels; if they are the text, "
            "pass columns={'text': …} and rename the column, as its name stands for labels."
        )
    if +unknown:
        listed = ", ".join(f"{term[:40]!r} ({count}×)" for term, count in unknown.most_common(_MOST_LABELS))
        rest = f" and {len(unknown) - _MOST_LABELS} more" if len(unknown) > _MOST_LABELS else ""
        raise TableError(
            f"{table.path}, column {columns}: {len(+unknown)} labels that are no known findings: {listed}{rest}. "
            f"Correct them, or write what they mean into {LABELS} beside the table, columns label,finding: for example "
            "'1,fracture', '0,normal', or 'my word,' for a finding of your own; known ones are in findings.json."
        )


def _without_repeated(table: Table, paths: FilmPaths) -> tuple[Table, list[LeftOut]]:
    """The table without rows that repeat another in every cell; these are listed.

    One file written in two ways ("a.png", "./A.PNG") is the same cell.

    Raises:
        TableError: Two rows with one image id that differ.
    """
    first: dict[str, tuple[int, Mapping[str, str]]] = {}
    kept, left_out, source = [], [], table.path.parent.resolve().name
    for number, row in table.rows:
        cells = {**row, "image": place_of(paths, row["image"])} if row["image"] else row
        before, other = first.setdefault(image_id_of(cells), (number, cells)) if row["image"] else (number, row)
        if before == number:
            kept.append((number, row))
        elif cells == other:
            left_out.append(LeftOut(row["image"], Reason.SAME_FILM, f"repeats row {before}", number, source))
        else:
            # Both rows are named, as either may be the wrong one.
            role = "image_id" if row.get("image_id") else "image"
            hint = "; if it says who the patient is, pass columns={'patient_id': '" + table.columns[role] + "'}"
            detail = f"the same image id twice; each row needs one of its own{hint if role == 'image_id' else ''}."
            raise table.error(role, [before, number], detail)
    return replace(table, rows=kept), left_out


def _read_rows(
    table: Table, splits: list[str], paths: FilmPaths
) -> tuple[list[FolderRow], list[Fingerprint], list[LeftOut]]:
    source, folder_region = paths.folder.resolve().name, region_of_folder(paths.folder)
    usable, left_out = [], []
    for (number, row), split in zip(table.rows, splits, strict=True):
        try:
            # The words first: no film is decoded for a row that has none.
            usable.append((number, row, split, _describe(table, number, row, folder_region)))
        except Unusable as error:
            left_out.append(LeftOut(row["image"], error.reason, str(error), number, source))
    rows, prints = [], []
    # Decoding leaves Python's lock, so that threads do it side by side.
    with ThreadPoolExecutor(_THREADS) as pool:
        films = pool.map(lambda item: _try_film(paths, item[1]["image"]), usable)
        for (number, row, split, described), film in zip(usable, films, strict=True):
            if isinstance(film, Unusable):
                left_out.append(LeftOut(row["image"], film.reason, str(film), number, source))
                continue
            stored, found = film
            record = {**described, "image": {"bytes": stored.content, "path": None}, "source": source}
            size = stored.height, stored.width
            rows.append(FolderRow(number, split, row["image"], row.get("mask", ""), size, record))
            prints.append(found)
    return rows, prints, left_out


def _try_film(paths: FilmPaths, file: str) -> tuple[StoredFilm, Fingerprint] | Unusable:
    try:
        film, pixels = read_film_and_pixels(paths.find(file))
    except Unusable as error:
        return error
    return film, fingerprint(pixels)


def _describe(table: Table, number: int, row: Mapping[str, str], folder_region: str) -> dict[str, Any]:
    """Everything of a triplet but its picture, boxes and mask."""
    if not row["image"]:
        raise Unusable(Reason.NO_FILM, "no image file named")
    if not patient_of(row):
        raise Unusable(Reason.NO_PATIENT, "neither a patient nor an image is named")
    region = read_region(table, number, row, folder_region)
    labels = read_labels(row.get("finding", ""), row.get("label", ""), table.own)
    age, view, laterality = read_age(row), read_view(row.get("view", "")), read_laterality(row, region)
    image_id = image_id_of(row)
    text, text_source = row.get("text", ""), "caption"
    # A cell such as "-", "1" or "see report" is no text.
    if len(re.findall(r"[^\W\d_]", text)) < _MIN_LETTERS or is_placeholder(text):
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


def _counts(table: Table, rows: list[FolderRow]) -> Iterator[str]:
    by_region = Counter(REGIONS[row.record["region"]] for row in rows)
    yield f"{len(by_region)} of {len(REGIONS)} regions: " + ", ".join(f"{k} {n}" for k, n in by_region.most_common())
    num_prompts = sum(row.record["text_source"] == "label-prompt" for row in rows)
    if num_prompts:
        yield f"{num_prompts} texts made from labels"


def _unread(table: Table) -> Iterator[str]:
    """Notes on cells that were not understood, and on columns that were not used."""
    has_study = "study_id" in table.columns
    of_study = ", those of one study as one" if has_study else ""
    patients = {row.get("patient_id", "") for _, row in table.rows}
    if "patient_id" not in table.columns:
        yield f"no patient column: every {'study' if has_study else 'image'} counts as its own patient"
    elif num_blank := sum(not row["patient_id"] for _, row in table.rows):
        yield f"{num_blank} films without a patient: each counts as its own{of_study}"
    elif len(patients) == 1 and len(table.rows) > 1:
        yield f"all {len(table.rows)} films are of one patient, and so in one part"
    num_ages = sum(bool(row.get("age") or row.get("age_months")) and read_age(row) is None for _, row in table.rows)
    if num_ages:
        yield f"{num_ages} ages not understood, left blank"
    num_sexes = sum(bool(row.get("sex")) and not read_sex(row["sex"]) for _, row in table.rows)
    if num_sexes:
        yield f"{num_sexes} sexes not understood, left blank (expected F or M)"
    if table.unused:
        yield f"columns not used: {', '.join(table.unused[:_MOST_LABELS])}"
