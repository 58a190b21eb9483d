"""CHD-CXR: DICOM (or PNG) films in one folder per diagnosis."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pedclip.data.adapters.reader import Reader, labels_of, one_of
from pedclip.data.adapters.sample import DEVELOPMENT, OF_PATIENT, Sample

_WORDS: Final = {
    "asd": ["congenital heart disease", "atrial septal defect"],
    "vsd": ["congenital heart disease", "ventricular septal defect"],
    "pda": ["congenital heart disease", "patent ductus arteriosus"],
    "normal": [],
}
_ENDINGS: Final = {".dcm", ".dicom", ".png", ".jpg", ".jpeg", ""}


def read_chd(reader: Reader) -> Iterator[Sample]:
    """Chest films of children; the folder is the diagnosis, a folder "test", "val" or "train" above it the split."""
    # A film directly in the root has no diagnosis.
    paths = (path for path in reader.root.glob("**/*") if path.is_file() and path.suffix.lower() in _ENDINGS)
    films = sorted(path.relative_to(reader.root) for path in paths if path.parent != reader.root)
    parts = {"test": "test", "train": DEVELOPMENT}
    if any(_part(film) == "val" for film in films):
        parts = {"test": "test", "val": "validation", "train": "train"}
    order = {part: place for place, part in enumerate(parts)}
    # Test first, so that its patients are known when the others come.
    films.sort(key=lambda film: order.get(_part(film), len(order)))

    def build(number: int, film: Path) -> Sample:
        label = one_of(film.parent.name.lower(), tuple(_WORDS), "folder")
        return Sample(
            path=reader.root / film,
            file=film.as_posix(),
            row=number,
            image_id=film.as_posix(),
            patient_id=film.as_posix(),
            region="chest",
            split=parts.get(_part(film), ""),
            labels=labels_of(_WORDS[label], absent=["congenital heart disease"]),
            header=("patient_id", *OF_PATIENT),
        )

    yield from reader.samples(((0, film) for film in films), build, Path.as_posix)  # no table, so no line


def _part(film: Path) -> str:
    return film.parts[0].lower() if len(film.parts) > 2 else ""
