"""From samples to triplets, one image at a time: decode, boxes, mask, text, split, list of what was left out."""

import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from datasets import Dataset, DatasetDict
from datasets.arrow_writer import ArrowWriter
from datasets.fingerprint import get_temporary_cache_files_directory

from pedclip.anatomy import REGIONS
from pedclip.data.adapters import find_adapter
from pedclip.data.adapters.reader import Reader, dicom_facts
from pedclip.data.adapters.sample import DEVELOPMENT, BadAnnotation, Sample, Size
from pedclip.data.cards import Card, FolderDiffers, check_folder, check_table, require_folder
from pedclip.data.folder import FolderReading, NothingUsable
from pedclip.data.label_text import label_text, patient_words
from pedclip.triplets.decoding import BadImage, read_film
from pedclip.triplets.encoding import without_control
from pedclip.triplets.left_out import Reason, Unusable
from pedclip.triplets.pixels.film_bounds import read_file
from pedclip.triplets.schema import FEATURES
from pedclip.triplets.splits import SPLITS, split_of
from pedclip.triplets.storage import make_split
from pedclip.triplets.values import names_nobody

_THREADS: Final = 8
_AHEAD: Final = 64  # images decoded before they are asked for; bounds the memory
_MANY: Final = 50  # folders, of which none can be told to be the data set
_AT_ONCE: Final = 100  # rows held before they are written


class Made(NamedTuple):
    """A sample after its file was read.

    Args:
        sample: With what the header of its file says.
        row: Of the schema but for its source, None where the image cannot be used.
        problems: Line of the image, boxes or mask left out, and why.
    """

    sample: Sample
    row: dict[str, Any] | None
    problems: list[tuple[int, Unusable]]


def read_card_folder(card: Card, root: str | Path, *, split: str = "auto") -> FolderReading:
    """Triplets of a data set in the layout of its card.

    Rows go to disk as they come, into the cache of `datasets` for the length of the session; images that already are
    8-bit grey PNG or JPEG stay where they are and are named by path. `save_triplets` makes a lasting set.

    Args:
        card: As from `pedclip.data.cards.read_card`; its loader is one of `pedclip.data.adapters.ADAPTERS`.
        root: Where the data set was unpacked.
        split: "auto" and "given" take the official split where there is one; "hash" splits all by patient.

    Returns:
        The triplets, what was left out, and notes.

    Raises:
        FolderDiffers: Something required is missing; with the table of the card's rules.
        NothingUsable: Not one image can be used.
    """
    inner = Path(root)
    try:
        checks = require_folder(card, inner)
    except FolderDiffers:
        # Counting the files of a large set takes seconds: a second time only where the first look fails.
        if (inner := _inner(card, Path(root))) == Path(root):
            raise
        checks = require_folder(card, inner)
    reader = Reader(card, inner)
    folder = Path(get_temporary_cache_files_directory()) / f"{card.name}-{uuid.uuid4().hex}"
    triplets = write_rows(stream_rows(reader, split=split), folder)
    if not any(len(part) for part in triplets.values()):
        raise NothingUsable(Path(root), reader.left_out)
    notes = [f"{card.pretty_name}, official split: {card.official_split}"]
    notes += [f"{len(reader.nobody)} films without a patient: each counts as its own"] if reader.nobody else []
    notes += [f"read from {inner}"] if inner != Path(root) else []
    # Tables stand for films that nobody listed: they are named, not only counted.
    notes += [f"{item.file}: {item.detail}" for item in reader.left_out if item.file in reader.not_read]
    if any(check.state == "differs" for check in checks):
        notes.append(f"not the published number of files:\n{check_table(checks)}")
    return FolderReading(triplets, reader.left_out, notes)


def _inner(card: Card, root: Path) -> Path:
    """The folder that holds the data set: the one given, or the only one in it that does, as archives unpack."""
    if not root.is_dir():
        return root
    folders = [path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    found = [path for path in folders if _is_complete(card, path)] if len(folders) <= _MANY else []
    return found[0] if len(found) == 1 else root


def _is_complete(card: Card, root: Path) -> bool:
    return all(check.state != "missing" for check in check_folder(card, root))


def stream_rows(reader: Reader, *, split: str = "auto") -> Iterator[tuple[str, dict[str, Any]]]:
    """Split and row of the schema for every usable image, in the order of the tables; nothing is kept in memory.

    A film without a patient is its own, and noted in `reader.nobody`. A patient who turns up in a second split, or an
    image listed twice, is left out there and listed in `reader.left_out`; adapters give test before validation before
    training, so that no test patient is trained on.

    Args:
        reader: Card, folder and list of what was left out.
        split: As in `read_card_folder`.
    """
    for part, made in _once(_ahead(find_adapter(reader.card.loader)(reader)), reader, split):
        for line, error in made.problems:
            reader.leave_out(made.sample.file, line, error)
        if made.row is not None:
            yield part, {**made.row, "source": reader.card.source}


def write_rows(rows: Iterable[tuple[str, dict[str, Any]]], folder: Path) -> DatasetDict:
    """Write rows to one Arrow file per split, a few at a time, and map them.

    Args:
        rows: Split and row.
        folder: Made here; it has to outlive the result.

    Returns:
        Splits "train", "validation" and "test"; a split may be empty.
    """
    folder.mkdir(parents=True)
    writers: dict[str, ArrowWriter] = {}
    with ExitStack() as stack:
        for split, row in rows:
            if split not in writers:
                writer = ArrowWriter(path=str(folder / f"{split}.arrow"), features=FEATURES, writer_batch_size=_AT_ONCE)
                writers[split] = stack.enter_context(writer)
            writers[split].write(FEATURES.encode_example({name: row.get(name) for name in FEATURES}))
        for writer in writers.values():
            writer.finalize()
    return DatasetDict(
        {
            split: Dataset.from_file(str(folder / f"{split}.arrow")) if split in writers else make_split([])
            for split in SPLITS
        }
    )


def final_split(sample: Sample, mode: str) -> str:
    """The split of a sample: as published, with 15 % of an undivided training part for validation, else by hash."""
    by_hash = split_of(sample.patient_id)
    if mode == "hash" or not sample.split:
        return by_hash
    if sample.split == DEVELOPMENT:
        return "validation" if by_hash == "validation" else "train"
    return sample.split


def _once(rows: Iterable[Made], reader: Reader, mode: str) -> Iterator[tuple[str, Made]]:
    """Split and row of each image that is new and whose patient is in no other split."""
    images: set[str] = set()
    first: dict[str, str] = {}
    for made in rows:
        sample = made.sample
        is_unnamed = names_nobody(sample.patient_id)
        if is_unnamed:
            # Its own patient, as in a folder with a table: a name for nobody would be one patient of many films.
            sample = replace(sample, patient_id=f"film {sample.image_id}")
            made = made._replace(sample=sample, row=made.row and {**made.row, "patient_id": sample.patient_id})
        if sample.image_id in images:
            error = Unusable(Reason.SAME_FILM, "the same image id a second time")
            reader.leave_out(sample.file, sample.row, error)
        else:
            images.add(sample.image_id)
            split = final_split(sample, mode)
            before = first.setdefault(sample.patient_id, split)
            if before == split:
                # Of films that become triplets: what else is wrong with the others is listed.
                if is_unnamed and made.row is not None:
                    reader.nobody.append(sample.file)
                yield split, made
            else:
                detail = f"patient of the {split} part who is in the {before} part too"
                reader.leave_out(sample.file, sample.row, Unusable(Reason.SEVERAL_SPLITS, detail))


def _ahead(samples: Iterable[Sample]) -> Iterator[Made]:
    """The row of each sample, in order, made before it is asked for."""
    waiting: deque[Future[Made]] = deque()
    # Decoding leaves Python's lock, so that threads do it side by side.
    with ThreadPoolExecutor(_THREADS) as pool:
        for sample in samples:
            waiting.append(pool.submit(make_row, sample))
            if len(waiting) >= _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def make_row(sample: Sample) -> Made:
    """The row of a sample; its file is read once, for header and pixels."""
    try:
        content = read_file(sample.path)
    except BadImage:
        content = b""  # the reason comes with the picture
    if sample.header:
        facts = dicom_facts(content)
        sample = replace(sample, **{name: facts[name] for name in sample.header if name in facts})
    try:
        image, size = _image(sample.path, content)
    except BadImage as error:
        return Made(sample, None, [(sample.row, error)])
    problems: list[tuple[int, Unusable]] = []
    text = without_control(sample.text).strip()
    row = {
        "image": image,
        "text": text or _sentences(sample),
        "region": REGIONS.index(sample.region),
        "laterality": sample.laterality,
        "view": sample.view,
        "patient_id": sample.patient_id,
        "study_id": sample.study_id or sample.image_id,
        "image_id": sample.image_id,
        "age_months": sample.age_months,
        "sex": sample.sex,
        "findings": None if sample.labels is None else list(sample.labels.findings),
        "uncertain": list(sample.uncertain) or None,
        "boxes": _boxes(sample, size, lambda line, error: problems.append((line, error))),
        "mask": _mask(sample, size, lambda line, error: problems.append((line, error))),
        "bone_age_months": sample.bone_age_months,
        "text_source": sample.text_source if text else "label-prompt",
    }
    if not row["text"]:
        return Made(sample, None, [(sample.row, Unusable(Reason.NO_TEXT, "neither text nor a label"))])
    return Made(sample, row, problems)


def _image(path: Path, content: bytes) -> tuple[dict[str, Any], Size]:
    film = read_film(content or path)  # the path says why it cannot be opened
    is_plain = film.content == content  # nothing had to be decoded anew or left out
    image = {"bytes": None, "path": str(path.resolve())} if is_plain else {"bytes": film.content, "path": None}
    return image, (film.height, film.width)


def _sentences(sample: Sample) -> str:
    if sample.labels is None:
        return ""
    return label_text(
        sample.labels,
        key=sample.image_id,
        region=sample.region,
        laterality=sample.laterality,
        view=sample.view,
        patient=patient_words(sample.age_months),
    )


def _boxes(sample: Sample, size: Size, refuse: Callable[[int, BadAnnotation], None]) -> list[dict[str, Any]]:
    boxes = []
    seen = set()
    for box in (box.in_pixels(size) for box in sample.boxes):
        if (key := replace(box, row=0)) in seen:
            refuse(box.row, BadAnnotation("the same box a second time"))
            continue
        seen.add(key)
        inside = box.clipped(size)
        if inside is None:
            refuse(box.row, BadAnnotation(f"box outside the image of {size[1]}×{size[0]} pixels"))
            continue
        edges = {"x": inside.x, "y": inside.y, "width": inside.width, "height": inside.height}
        boxes.append({**edges, "label": inside.label})
    return boxes


def _mask(sample: Sample, size: Size, refuse: Callable[[int, BadAnnotation], None]) -> dict[str, Any] | None:
    if sample.mask is None:
        return None
    try:
        mask = sample.mask(size)
    except BadAnnotation as error:
        refuse(sample.row, BadAnnotation(f"{error}; the image is kept without it"))
        return None
    encoded: dict[str, Any] = FEATURES["mask"].encode_example(np.where(mask, 255, 0).astype(np.uint8))  # a PNG
    return encoded
