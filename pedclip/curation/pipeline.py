"""From an archive to triplets, in parts that survive a killed run.

Beside the output lies a hidden work folder with one part per 64 studies; a restart does only what is missing, and a
part whose files or settings changed is done again. No part with an identifier in an excerpt is written before a person
has acknowledged what was found. `triplets/` and `datasheet.json` may be shared as the licence allows; the `.csv` lists
name files of the archive and stay with it, as does the salt.
"""

import logging
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from pedclip.artefacts import write_csv, write_json
from pedclip.curation.archive.studies import Archive, Study
from pedclip.curation.datasheet import data_sheet
from pedclip.curation.duplicates import joined_groups, near_images, near_texts
from pedclip.curation.excerpts import Extractor
from pedclip.curation.shards import CurationSettings, fingerprint_of, is_done, load_chunk, read_chunk, save_chunk
from pedclip.triplets.left_out import LEFT_OUT_FILE, LeftOut, Reason, reason_counts, write_left_out
from pedclip.triplets.pseudonyms import read_salt
from pedclip.triplets.splits import SPLITS, split_of

STUDIES_PER_CHUNK: Final = 64  # about 100 films, a few hundred MB of pixels at most
_WITHOUT_PIXELS: Final = (
    *("text", "region", "laterality", "view", "patient_id", "study_id", "age_months", "sex", "text_source"),
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CurationResult:
    """Result of a run.

    Args:
        triplets: Folder for `pedclip.data.load`.
        datasheet: Content of `datasheet.json`.
        num_left_out: Rows of `left_out.csv`.
        reasons: How often each reason is in it, in words.
    """

    triplets: Path
    datasheet: dict[str, Any]
    num_left_out: int
    reasons: tuple[str, ...] = ()


class IdentifiersFound(ValueError):
    """Excerpts hold what may tell who a patient is, and nobody has said yet that this is known."""


class NothingCurated(ValueError):
    """No film became a triplet."""


def curate(
    archive: Archive,
    *,
    output: str | Path,
    extractor: str | Extractor = "rules",
    acknowledge_identifiers: bool = False,
    source: str = "",
    salt: str | Path | None = None,
) -> CurationResult:
    """Make triplets, and list everything that became none.

    Films of one patient are in one split; so are patients who share a (nearly) equal film, as one of the two
    identities is wrong or the film was copied.

    Args:
        archive: As from `pedclip.curation.archive.reader.read_archive`.
        output: Folder for `triplets/`, `left_out.csv`, `conflicts.csv`, `identifiers.csv`, `duplicates.csv` and
            `datasheet.json`.
        extractor: "rules", or an object such as `pedclip.curation.llm.extractor.LLMExtractor`.
        acknowledge_identifiers: Write although excerpts hold dates, names or the like.
        source: Name of the data set in every triplet; "" takes the name of the folder.
        salt: File with the key of the pseudonyms, made if absent; None puts it beside the output as `<output>.salt`.

    Raises:
        IdentifiersFound: Excerpts hold identifiers. Only `identifiers.csv` is written: kinds and counts per report.
        NothingCurated: No film became a triplet; `left_out.csv` says why.
        ReportChanged: The archive was changed during the run.
        ValueError: Output or salt lie where they must not.
    """
    folder = Path(output).resolve()
    # Beside the output, so that whoever packs the output does not pack the key.
    key_file = Path(salt).resolve() if salt is not None else folder.with_name(f"{folder.name}.salt")
    _check_folders(archive.root, folder, key_file)
    settings = CurationSettings(
        archive.root, extractor, read_salt(key_file), source or archive.root.name, acknowledge_identifiers
    )
    work = folder.with_name(f".{folder.name}.work")
    # Numbered by their first study: a restart finds what is done by name.
    parts = [
        (work / f"{start // STUDIES_PER_CHUNK:06d}", archive.studies[start : start + STUDIES_PER_CHUNK])
        for start in range(0, len(archive.studies), STUDIES_PER_CHUNK)
    ]
    blocked = _do_parts(parts, settings)
    # One look at all that was found, instead of a stop at each.
    if blocked:
        write_csv(folder / "identifiers.csv", _IDENTIFIER_COLUMNS, (item.values() for item in blocked))
        raise IdentifiersFound(_blocked_message(blocked, folder))
    result = _finish(archive, [part for part, _ in parts], folder, settings)
    # Only after everything is written: until then a killed run loses nothing.
    shutil.rmtree(work)
    return result


_IDENTIFIER_COLUMNS: Final = ("study", "report", "kind", "in_report", "in_excerpts")


def _check_folders(root: Path, folder: Path, key_file: Path) -> None:
    # Inside, the next run would read its own output as an archive.
    if folder.is_relative_to(root) or root.is_relative_to(folder):
        raise ValueError(f"{folder} and the archive {root} lie in each other; give an output folder of its own.")
    if key_file.is_relative_to(folder):
        raise ValueError(f"{key_file} lies in the output; whoever gets the triplets must not get the salt.")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; expected a folder to write into.")


def _do_parts(parts: Sequence[tuple[Path, Sequence[Study]]], settings: CurationSettings) -> list[dict[str, Any]]:
    """Make the missing parts; the identifiers of those that were not written because of them."""
    blocked = []
    for number, (part, studies) in enumerate(parts, start=1):
        fingerprint = fingerprint_of(studies, settings)
        if is_done(part, fingerprint):
            record, _ = load_chunk(part)
            # A part of an acknowledged run is not taken over by one that is not.
            if settings.is_acknowledged or not any(item["in_excerpts"] for item in record["identifiers"]):
                continue
        chunk = read_chunk(studies, settings)
        if chunk.is_identifying and not settings.is_acknowledged:
            blocked += chunk.identifiers
        elif not blocked:  # once blocked, a run only goes on to list all that a person must know
            save_chunk(chunk, part, fingerprint=fingerprint)
        _log.info("studies: part %d of %d", number, len(parts))
    return blocked


def _blocked_message(blocked: Iterable[dict[str, Any]], folder: Path) -> str:
    kinds: Counter[str] = Counter()
    for item in blocked:
        kinds[item["kind"]] += item["in_excerpts"]
    listed = ", ".join(f"{count} × {kind}" for kind, count in kinds.most_common() if count)
    return (
        f"the excerpts hold what may tell who a patient is: {listed}. Nothing was written but "
        f"{folder / 'identifiers.csv'}, which says in which reports. De-identify the reports and run again, or pass "
        "acknowledge_identifiers=True (--acknowledge-identifiers) if this is known and allowed."
    )


def _finish(archive: Archive, parts: Sequence[Path], folder: Path, settings: CurationSettings) -> CurationResult:
    from datasets import DatasetDict, concatenate_datasets

    from pedclip.triplets.storage import make_split, save_triplets

    records, datasets = zip(*(load_chunk(part) for part in parts), strict=True)
    # The reasons of all parts in one list with those of the archive.
    lost = (LeftOut(file, Reason[name], detail) for r in records for file, name, detail in r["left_out"])
    left_out = [replace(item, source=settings.source) for item in (*archive.left_out, *lost)]
    write_left_out(folder / LEFT_OUT_FILE, left_out)
    rows = concatenate_datasets(list(datasets))
    if not len(rows):
        # They say what is wrong with the archive as a whole.
        listed = "; ".join(reason_counts(left_out))
        raise NothingCurated(f"no film became a triplet ({listed}); {folder / LEFT_OUT_FILE} lists all.")
    patients = list(rows["patient_id"])
    duplicates = list(_duplicates(parts, records, patients))
    _write_lists(folder, records, duplicates)
    # Films only: two patients with the same report are common, with the same film they are one.
    pairs = ((one, two) for kind, _, _, one, two, _ in duplicates if kind == "film")
    groups = joined_groups(sorted(set(patients)), pairs)
    # The group decides, so that a film never stands in two splits.
    splits = [split_of(groups[patient]) for patient in patients]
    # By number: the rows stay mapped and are not copied.
    chosen = {name: [number for number, split in enumerate(splits) if split == name] for name in SPLITS}
    triplets = DatasetDict({n: rows.select(numbers) if numbers else make_split([]) for n, numbers in chosen.items()})
    save_triplets(triplets, folder / "triplets")
    sheet = data_sheet(
        _without_pixels(triplets),
        source=settings.source,
        left_out=[item.reason for item in left_out],
        identifiers=_kinds(records),
        duplicates={
            "films": sum(kind == "film" for kind, *_ in duplicates),
            "reports of different patients": sum(kind == "report" for kind, *_ in duplicates),
            "patients joined": sum(name != group for name, group in groups.items()),
        },
    )
    write_json(folder / "datasheet.json", sheet)  # last: where it is, everything is
    return CurationResult(folder / "triplets", sheet, len(left_out), tuple(reason_counts(left_out)))


def _without_pixels(triplets: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for split, data in triplets.items():
        for batch in data.select_columns(list(_WITHOUT_PIXELS)).iter(batch_size=1000):
            yield from ((split, dict(zip(batch, values, strict=True))) for values in zip(*batch.values(), strict=True))


def _duplicates(
    parts: Sequence[Path], records: Sequence[dict[str, Any]], patients: Sequence[str]
) -> Iterator[tuple[str, str, str, str, str, float]]:
    """Kind, both files, both patients and similarity; of reports only those of different patients."""
    arrays = []
    for part in parts:
        with np.load(part / "hashes.npz", allow_pickle=False) as file:
            arrays.append((file["images"], file["thumbnails"], file["texts"]))
    # (N,) and (N, 256) of films, (M, 64) of texts, in the order of the records.
    images, thumbnails, texts = (np.concatenate(column) for column in zip(*arrays, strict=True))
    paths = [path for record in records for path in record["paths"]]
    for pair in near_images(images, thumbnails):
        one, two = pair.first, pair.second
        yield "film", paths[one], paths[two], patients[one], patients[two], pair.similarity
    texts_of = [(patient, name) for record in records for patient, name in record["texts"]]
    for pair in near_texts(texts):
        (owner, name), (other, copy) = texts_of[pair.first], texts_of[pair.second]
        # A patient's own reports resemble each other, and nothing leaks.
        if owner != other:
            yield "report", name, copy, owner, other, pair.similarity


def _write_lists(
    folder: Path, records: Sequence[dict[str, Any]], duplicates: Iterable[tuple[str, str, str, str, str, float]]
) -> None:
    # Sorted, as parts may have been made in several runs.
    conflicts = sorted(tuple(item) for record in records for item in record["conflicts"])
    write_csv(folder / "conflicts.csv", ("path", "decision"), conflicts)
    found = [tuple(item.values()) for record in records for item in record["identifiers"]]
    # Burned-in text is an identifier of the pixels; it has no study of its own here.
    found += [("", item["path"], "burned-in text", item["score"], 0) for r in records for item in r["burned_in"]]
    write_csv(folder / "identifiers.csv", _IDENTIFIER_COLUMNS, found)
    names = ("kind", "first", "second", "first_patient", "second_patient", "similarity")
    write_csv(folder / "duplicates.csv", names, duplicates)


def _kinds(records: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Passages by kind in the written excerpts, and films with burned-in text."""
    kinds: Counter[str] = Counter()
    for record in records:
        for item in record["identifiers"]:
            kinds[item["kind"]] += item["in_excerpts"]
        kinds["burned-in text"] += len(record["burned_in"])
    return {kind: count for kind, count in kinds.most_common() if count}
