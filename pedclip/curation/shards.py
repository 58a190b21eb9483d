"""Some studies at a time: regions, excerpts, identifiers and pixels, in that order, kept as one part of a run."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pedclip.anatomy import REGIONS
from pedclip.artefacts import atomic_folder, write_json
from pedclip.curation.archive.image_region import Undecided, decisions_of, side_of
from pedclip.curation.archive.studies import Archive, Film, Study
from pedclip.curation.duplicates import as_matrix, image_hash, text_hash, thumbnail
from pedclip.curation.excerpts import Excerpt, Extractor, is_useless
from pedclip.curation.extract import excerpts_or_refusal
from pedclip.curation.privacy.burned_in_text import burned_in_text
from pedclip.curation.privacy.identifiers import find_identifiers
from pedclip.curation.report.language import OtherLanguage
from pedclip.curation.report.parse import ParsedReport
from pedclip.triplets.decoding import BadImage, decode, read_film
from pedclip.triplets.left_out import LeftOut, Reason
from pedclip.triplets.pseudonyms import pseudonym
from pedclip.triplets.tabular import state_of
from pedclip.version import __version__

if TYPE_CHECKING:
    from datasets import Dataset

BURNED_IN: Final = 0.5  # score of `burned_in_text` from which a film is listed
_THREADS: Final = 8
_OLDEST: Final = 90 * 12  # months; an exact age above 89 years is an identifier (HIPAA Safe Harbor)


@dataclass(frozen=True)
class CurationSettings:
    """Everything that decides the content of a run.

    Args:
        root: The archive.
        extractor: A name in `pedclip.curation.extract.EXTRACTORS`, or an object.
        salt: Key of the pseudonyms.
        source: Name of the data set, written in every triplet.
        is_acknowledged: True where excerpts with identifiers are written.
    """

    root: Path
    extractor: str | Extractor
    salt: bytes
    source: str
    is_acknowledged: bool


@dataclass
class Chunk:
    """Triplets of some studies, and what became none.

    Args:
        rows: Triplets without the columns that need the pixels.
        left_out: Films that became no triplet.
        conflicts: Film, and which evidence was overruled.
        identifiers: Per study and kind, how many the report and the excerpts hold; never the passage.
        reports: Pseudonym of the patient, location of the report, its hash.
    """

    rows: list[tuple[Film, dict[str, Any]]] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    conflicts: list[tuple[str, str]] = field(default_factory=list)
    identifiers: list[dict[str, Any]] = field(default_factory=list)
    reports: list[tuple[str, str, Any]] = field(default_factory=list)

    @property
    def is_identifying(self) -> bool:
        """True where a text that would be written holds an identifier."""
        return any(item["in_excerpts"] for item in self.identifiers)


def read_chunk(studies: Sequence[Study], settings: CurationSettings) -> Chunk:
    """Regions, excerpts and identifiers of some studies; pixels are not touched, nothing is written.

    Raises:
        ReportChanged: A report is no longer where it was.
        ValueError: The extractor returned what is not in the report.
    """
    chunk = Chunk()
    planned = []
    for study in studies:
        report = study.read_report()
        films = list(_films_with_regions(study, report.filmed_regions, settings.root, chunk))
        planned.append((study, report, films))
    # Each region once per report, however many films show it.
    asked = [(report, tuple(dict.fromkeys(region for _, region in films))) for _, report, films in planned]
    for (study, report, films), excerpts in zip(planned, _extract(asked, settings.extractor), strict=True):
        used = _add_rows(study, report.filmed_regions, films, excerpts, settings, chunk)
        _add_identifiers(study, report, used, settings, chunk)
        chunk.reports.append(
            (pseudonym(study.patient_id, settings.salt), study.location.name(settings.root), text_hash(report.text))
        )
    return chunk


def items_of(archive: Archive) -> Iterator[tuple[ParsedReport, tuple[str, ...]]]:
    """Each report with the regions of its films, as `batch.extract_many` takes them and `read_chunk` asks for them.

    Raises:
        ReportChanged: A report is no longer where it was.
    """
    for study in archive.studies:
        report = study.read_report()
        # Into a chunk of its own, as this pass only asks what the real one will ask.
        films = _films_with_regions(study, report.filmed_regions, archive.root, Chunk())
        yield report, tuple(dict.fromkeys(region for _, region in films))


def save_chunk(chunk: Chunk, folder: Path, *, fingerprint: str) -> None:
    """Decode the films of a chunk and write everything that is needed of it, at once or not at all."""
    import numpy as np
    import pyarrow  # type: ignore[import-untyped]

    from pedclip.triplets.storage import make_split

    rows, hashes, thumbnails, burned = [], [], [], []
    # Decoding leaves Python's lock, so that threads do it side by side.
    with ThreadPoolExecutor(_THREADS) as pool:
        reads = pool.map(_read_pixels, [film for film, _ in chunk.rows])
        for (_, row), read in zip(chunk.rows, reads, strict=True):
            # The film alone is lost; its study goes on.
            if isinstance(read, BadImage):
                chunk.left_out.append(LeftOut(row["_path"], read.reason, str(read)))
                continue
            content, code, small, score = read
            # Listed for a person to look at, and still written: markers look like text too.
            if score >= BURNED_IN:
                burned.append({"path": row["_path"], "score": round(score, 2)})
            hashes.append(code)
            thumbnails.append(small)
            rows.append({**row, "image": {"bytes": content, "path": None}})
    # Short reports have no hash: "Normal." twice says nothing.
    texts = [(patient, name, code) for patient, name, code in chunk.reports if code is not None]
    record = {
        "fingerprint": fingerprint,
        "left_out": [[item.file, item.reason.name, item.detail] for item in chunk.left_out],
        "conflicts": chunk.conflicts,
        "identifiers": chunk.identifiers,
        "burned_in": burned,
        "paths": [row["_path"] for row in rows],
        "texts": [[patient, name] for patient, name, _ in texts],
    }
    with atomic_folder(folder, holds=("chunk.json", "rows.arrow", "hashes.npz")) as partial:
        # Arrow rather than Parquet: it is read once, by mapping, and needs no unpacking.
        table = make_split(rows).with_format("arrow")[:]
        with pyarrow.OSFile(str(partial / "rows.arrow"), "wb") as sink:
            with pyarrow.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table, max_chunksize=100)
        np.savez(
            partial / "hashes.npz",
            images=np.array(hashes, dtype=np.uint64),
            thumbnails=as_matrix(thumbnails, 256, np.uint8),
            texts=as_matrix([code for _, _, code in texts], 64, np.uint32),
        )
        write_json(partial / "chunk.json", record)


def load_chunk(folder: Path) -> tuple[dict[str, Any], "Dataset"]:
    """Record that `save_chunk` wrote, and its triplets, memory-mapped."""
    from datasets import Dataset

    record: dict[str, Any] = json.loads((folder / "chunk.json").read_text(encoding="utf-8"))
    return record, Dataset.from_file(str(folder / "rows.arrow"))


def is_done(folder: Path, fingerprint: str) -> bool:
    """True where a chunk was written, from the same files with the same settings."""
    file = folder / "chunk.json"
    return file.is_file() and json.loads(file.read_text(encoding="utf-8"))["fingerprint"] == fingerprint


def fingerprint_of(studies: Iterable[Study], settings: CurationSettings) -> str:
    """A hash of everything that a chunk depends on; file contents by size and time of change."""
    name = settings.extractor if isinstance(settings.extractor, str) else _identity(settings.extractor)
    # Another version may decode or excerpt differently.
    parts = [__version__, name, settings.source, hashlib.sha256(settings.salt).hexdigest()]
    digest = hashlib.sha256("\0".join(parts).encode())
    for study in studies:
        at = study.location
        # The row too: a table that grew has its reports elsewhere.
        digest.update(repr((study.study_id, study.patient_id, at.position, at.row, state_of(at.path))).encode())
        for film in study.images:
            digest.update(repr((film, state_of(film.path))).encode())
    return digest.hexdigest()


def _films_with_regions(study: Study, sides: Mapping[str, str], root: Path, chunk: Chunk) -> Iterator[tuple[Film, str]]:
    filmed = [region for region in sides if region in REGIONS]
    for film, found in decisions_of(study.images, filmed):
        name = film.path.relative_to(root).as_posix()
        if isinstance(found, Undecided):
            chunk.left_out.append(LeftOut(name, found.reason, str(found)))
            continue
        if found.note:
            chunk.conflicts.append((name, found.note))
        yield film, found.region


def _extract(
    asked: Sequence[tuple[ParsedReport, tuple[str, ...]]], extractor: str | Extractor
) -> Iterator[Mapping[str, Excerpt] | OtherLanguage]:
    if hasattr(extractor, "extract_async"):  # a language model answers many reports at once
        from pedclip.curation.llm.batch import extract_many

        yield from extract_many(asked, extractor)  # type: ignore[arg-type]
        return
    for report, regions in asked:
        yield excerpts_or_refusal(report, regions, extractor) if regions else {}


def _add_rows(
    study: Study,
    sides: Mapping[str, str],
    films: Iterable[tuple[Film, str]],
    excerpts: Mapping[str, Excerpt] | OtherLanguage,
    settings: CurationSettings,
    chunk: Chunk,
) -> list[str]:
    """Rows of one study; the different excerpts that they use."""
    used: dict[str, None] = {}
    for film, region in films:
        name = film.path.relative_to(settings.root).as_posix()
        if isinstance(excerpts, OtherLanguage):
            chunk.left_out.append(LeftOut(name, Reason.OTHER_LANGUAGE, str(excerpts)))
            continue
        excerpt = excerpts[region]
        # A film whose excerpt says "see above" would teach that text looks like it.
        if not excerpt.text.strip() or is_useless(excerpt.text):
            reason = Reason.USELESS_EXCERPT if excerpt.text.strip() else Reason.NO_EXCERPT
            chunk.left_out.append(LeftOut(name, reason, f"region {region}"))
            continue
        side, note = side_of(region, film.laterality, sides.get(region, ""))
        if note:
            chunk.conflicts.append((name, note))
        used[excerpt.text] = None
        chunk.rows.append((film, _row(study, film, region, side, excerpt, settings) | {"_path": name}))
    return list(used)


def _row(
    study: Study, film: Film, region: str, side: str, excerpt: Excerpt, settings: CurationSettings
) -> dict[str, Any]:
    return {
        "text": excerpt.text,
        "region": REGIONS.index(region),
        "laterality": side,
        "view": film.view,
        "patient_id": pseudonym(study.patient_id, settings.salt),
        "study_id": pseudonym(f"study {study.study_id}", settings.salt),
        "image_id": pseudonym(f"film {film.path.relative_to(settings.root).as_posix()}", settings.salt),
        # Capped, as HIPAA counts a greater age as an identifier.
        "age_months": None if film.age_months is None else min(film.age_months, _OLDEST),
        "sex": film.sex,
        "findings": None,
        "boxes": [],
        "mask": None,
        "text_source": excerpt.source,
        "source": settings.source,
    }


def _add_identifiers(
    study: Study, report: ParsedReport, used: Sequence[str], settings: CurationSettings, chunk: Chunk
) -> None:
    whole = Counter(found.kind for found in report.identifiers)
    written = Counter(found.kind for text in used for found in find_identifiers(text))
    for kind in sorted(whole | written):
        chunk.identifiers.append(
            {
                "study": pseudonym(f"study {study.study_id}", settings.salt),
                "report": study.location.name(settings.root),
                "kind": kind,
                "in_report": whole[kind],
                "in_excerpts": written[kind],
            }
        )


def _read_pixels(film: Film) -> tuple[bytes, int, Any, float] | BadImage:
    try:
        content = read_film(film.path).content
        # From what is stored, so that the hash is of the film that others will load.
        pixels = decode(content)
        return content, image_hash(pixels), thumbnail(pixels), burned_in_text(pixels)
    except BadImage as error:
        return error


def _identity(extractor: Extractor) -> str:
    """Identity of an extractor: its class and, for a language model, its procedure and model."""
    backend = getattr(extractor, "backend", None)
    parts = [type(extractor).__name__, repr(getattr(extractor, "procedure", ""))]
    return " ".join([*parts, repr(backend.identity) if backend is not None else ""])
