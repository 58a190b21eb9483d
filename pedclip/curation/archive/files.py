"""Every file under a folder: a film with what its header says, a picture, a report, or the reason why it is neither.

Only headers are read here, and only of files within bounds; nothing is unpacked, unpickled or followed out of the
folder. Pixels come later, in `pedclip.triplets.decoding`.
"""

import io
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from pedclip.curation.archive.image_region import is_radiograph, region_of_tags, region_of_words, side_of_words, view_of
from pedclip.curation.archive.report_location import MAX_REPORT_BYTES
from pedclip.curation.archive.studies import Film, RegionHint
from pedclip.triplets.left_out import LeftOut, Reason
from pedclip.triplets.pixels.dicom_header import inflated, integer, is_deflated, is_dicom, required
from pedclip.triplets.pixels.film_bounds import MAX_FILE_BYTES, MAX_PIXELS, MIN_SIZE, BadImage, read_file

_HEAD: Final = 4096  # bytes
_MAX_DEPTH: Final = 40  # folders
_PIXELS: Final = (0x7FE00008, 0x7FE00009, 0x7FE00010)  # float, double and integer pixel data
_SIGNATURES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*")
_TAGS: Final = (
    *("SOPClassUID", "Modality", "StudyInstanceUID", "AccessionNumber", "PatientID", "PatientAge", "PatientSex"),
    *("PatientBirthDate", "StudyDate", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BodyPartExamined"),
    *("PhotometricInterpretation", "AnatomicRegionSequence", "ViewPosition", "ImageLaterality", "Laterality"),
    *("SeriesDescription", "ProtocolName", "StudyDescription", "AcquisitionDeviceProcessingDescription"),
)
_ERRORS: Final = (
    *(OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, EOFError, OverflowError),
    *(MemoryError, struct.error, zlib.error, NotImplementedError),
)


@dataclass(frozen=True, slots=True)
class FilmFile:
    """A DICOM film, and the identifiers in its header ("" where it has none).

    Args:
        film: The film.
        study: Study Instance UID.
        accession: Accession number.
        patient: Patient ID.
        is_unnamed: True where the Patient ID was taken away.
    """

    film: Film
    study: str
    accession: str
    patient: str
    is_unnamed: bool = False


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A PNG, JPEG or TIFF file, with what its path says."""

    film: Film


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A text file or a DICOM structured report, with the identifiers in its header."""

    path: Path
    is_structured: bool
    study: str = ""
    accession: str = ""
    patient: str = ""


Found = FilmFile | PictureFile | ReportFile | LeftOut


def find_files(root: Path, *, without: frozenset[Path] = frozenset()) -> Iterator[Found]:
    """Every file below a folder and what it is, in the order of the paths.

    Args:
        root: An existing folder, without links in its path.
        without: Resolved paths that are not looked at (the table of reports).
    """
    for path in _walk(root, root, without, 0):
        yield path if isinstance(path, LeftOut) else _classify(path, root)


def _walk(folder: Path, root: Path, without: frozenset[Path], depth: int) -> Iterator[Path | LeftOut]:
    try:
        # Sorted, so that a run on another machine meets the files in the same order.
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield LeftOut(_name(folder, root), Reason.NOT_A_FILE, f"cannot be listed ({error.strerror})")
        return
    for entry in entries:
        path = Path(entry.path)
        if path in without:
            continue
        # A link to a folder could lead in a circle, one outside to files that nobody meant to share.
        if entry.is_symlink():
            yield from _link(path, root)
        elif entry.is_dir():
            if depth < _MAX_DEPTH:
                yield from _walk(path, root, without, depth + 1)
            else:
                yield LeftOut(_name(path, root), Reason.TOO_LARGE, f"folders nested more than {_MAX_DEPTH} deep")
        else:
            yield path


def _link(path: Path, root: Path) -> Iterator[Path | LeftOut]:
    """A link to a file inside the folder is that file; any other link is refused."""
    try:
        # The end of a chain of links counts.
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        yield LeftOut(_name(path, root), Reason.NOT_A_FILE, "broken link")
        return
    if not target.is_relative_to(root):
        yield LeftOut(_name(path, root), Reason.NOT_A_FILE, "link that leads out of the archive")
    elif not target.is_file():
        yield LeftOut(_name(path, root), Reason.NOT_A_FILE, "link to a folder, which is read where it is")
    else:
        yield path


def _classify(path: Path, root: Path) -> Found:
    name = _name(path, root)
    try:
        status = path.stat()
        # Opening a pipe would wait for ever.
        if not stat.S_ISREG(status.st_mode):
            return LeftOut(name, Reason.NOT_A_FILE, "a pipe, socket or device")
        if status.st_size == 0:
            return LeftOut(name, Reason.EMPTY_FILE)
        with path.open("rb") as file:
            # The content decides, not the name: archives rarely have suffixes.
            head = file.read(_HEAD)
    except OSError as error:
        return LeftOut(name, Reason.NOT_A_FILE, f"cannot be opened ({error.strerror})")
    if status.st_size > MAX_FILE_BYTES:
        return LeftOut(name, Reason.TOO_LARGE, f"{status.st_size:,} bytes")
    if is_dicom(head):
        return _read_header(path, name, head)
    if head.startswith(_SIGNATURES):
        # A picture has no tags; its path is all that people wrote about it.
        hint = RegionHint(words=region_of_words(path.stem, *_folders(path, root)))
        return PictureFile(
            Film(path, hint, view_of("", path.stem), side_of_words("", path.stem, *_folders(path, root)))
        )
    # A text has no signature, so that here the name decides.
    if path.suffix.lower() == ".txt":
        if status.st_size > MAX_REPORT_BYTES:
            return LeftOut(name, Reason.TOO_LARGE, f"a text of {status.st_size:,} bytes is no report")
        return ReportFile(path, is_structured=False)
    what = f"the content is not PNG, JPEG, TIFF or DICOM ({path.suffix or 'no suffix'})"
    return LeftOut(name, Reason.NOT_AN_IMAGE, what)


def _read_header(path: Path, name: str, head: bytes) -> Found:
    import pydicom

    try:
        with warnings.catch_warnings(), pydicom.config.disable_value_validation():  # each value is checked below
            warnings.simplefilter("ignore")
            with path.open("rb") if not is_deflated(head) else io.BytesIO(inflated(read_file(path))) as file:
                header = pydicom.dcmread(
                    file, force=head[128:132] != b"DICM", stop_before_pixels=True, specific_tags=list(_TAGS)
                )
                # The reader stops at the pixels: what stands there next is their tag, or nothing.
                has_pixels = _tag(file.read(4), header) in _PIXELS
                is_whole = has_pixels or _is_whole(file)
            return _from_header(header, path, name, has_pixels=has_pixels, is_whole=is_whole)
    except BadImage as error:
        return LeftOut(name, error.reason, str(error))
    except (*_ERRORS, pydicom.errors.InvalidDicomError, pydicom.errors.BytesLengthException) as error:
        return LeftOut(name, Reason.CORRUPT, f"DICOM header ({type(error).__name__})")


def _tag(code: bytes, header: Any) -> int:
    """Group and element of four bytes, 0 at the end of a file."""
    # Little or big endian, as the file was written.
    group, element = struct.unpack("<HH" if header.original_encoding[1] else ">HH", code.ljust(4, b"\0"))
    return int(group << 16 | element)


def _is_whole(file: BinaryIO) -> bool:
    """True where a DICOM object without pixels says what it is and ends where its last element does."""
    import pydicom

    file.seek(0)
    # Values are skipped: one that the file no longer holds puts the position behind its end.
    header = pydicom.dcmread(file, force=True, defer_size=0)
    end = file.tell()
    kind = header.file_meta.get("MediaStorageSOPClassUID") or header.get("SOPClassUID")
    if not kind or not len(header):
        return False
    last = header.get_item(list(header.keys())[-1], keep_deferred=True)
    if isinstance(last, pydicom.dataelem.RawDataElement) and last.length != 0xFFFFFFFF:
        end = last.value_tell + last.length
    return bool(end == file.seek(0, os.SEEK_END))


def _from_header(header: Any, path: Path, name: str, *, has_pixels: bool, is_whole: bool) -> Found:
    ids = (_text(header, "StudyInstanceUID"), _text(header, "AccessionNumber"), _text(header, "PatientID"))
    modality = _text(header, "Modality").upper()
    # Reports are no films and have no pixels: before any check of a film.
    if modality == "SR":
        return ReportFile(path, True, *ids)
    # A film cut off before its pixels looks like an object that never had any.
    if not is_whole:
        return LeftOut(name, Reason.CORRUPT, "DICOM that ends too early")
    if problem := _problem(header, modality, has_pixels):
        return LeftOut(name, *problem)
    # In the order of how near they are to the single film.
    series = [_text(header, tag) for tag in ("SeriesDescription", "ProtocolName", _TAGS[-1])]
    # A code with its meaning in words; only the meaning is read.
    anatomy = header.get("AnatomicRegionSequence") or []
    meaning = str(anatomy[0].get("CodeMeaning", "")) if anatomy else ""
    study, code = _text(header, "StudyDescription"), _text(header, "ImageLaterality") or _text(header, "Laterality")
    film = Film(
        path,
        RegionHint(
            region_of_tags(_text(header, "BodyPartExamined"), meaning),
            region_of_words(*series, study, path.stem),
        ),
        view_of(_text(header, "ViewPosition"), *series, path.stem),
        side_of_words(code, *series, study, path.stem),
        _age_months(header),
        {"F": "F", "M": "M"}.get(_text(header, "PatientSex").upper(), ""),
    )
    return FilmFile(film, *ids)


def _problem(header: Any, modality: str, has_pixels: bool) -> tuple[Reason, str] | None:
    """Reason and detail, where the header alone says that this is no film.

    Raises:
        BadImage: The header does not say how large the film is.
    """
    if not is_radiograph(modality):
        return Reason.NOT_A_RADIOGRAPH, f"modality {modality[:16]}" if modality else "no modality"
    if not has_pixels:
        return Reason.NOT_A_RADIOGRAPH, "DICOM without pixels"
    height, width = required(header, "Rows"), required(header, "Columns")
    # As the header promises; the pixels are not there yet.
    if height * width > MAX_PIXELS:
        return Reason.TOO_LARGE, f"{width}×{height} pixels"
    if min(height, width) < MIN_SIZE:
        return Reason.BAD_IMAGE, f"{width}×{height} pixels, smaller than {MIN_SIZE} on a side"
    if (num_frames := integer(header, "NumberOfFrames") or 1) > 1:
        return Reason.NOT_A_RADIOGRAPH, f"{num_frames} frames"
    # Grey films are sent as RGB too: what is coloured shows when the pixels are decoded.
    return None


def _age_months(header: Any) -> float | None:
    """Patient's Age (0010,1010), else the time from birth to the study."""
    from pedclip.triplets.values import read_age

    # The age at the study is written by the device; a birth date may be a stand-in.
    if (age := read_age({"age": _text(header, "PatientAge")})) is not None:
        return age
    born, taken = _text(header, "PatientBirthDate"), _text(header, "StudyDate")
    if not (len(born) == len(taken) == 8 and born.isdecimal() and taken.isdecimal()):
        return None
    # Whole months: one less where the day of birth has not come in the last one.
    months = 12 * (int(taken[:4]) - int(born[:4])) + int(taken[4:6]) - int(born[4:6]) - (taken[6:] < born[6:])
    return read_age({"age_months": str(months)})


def _text(header: Any, tag: str) -> str:
    value = header.get(tag)
    return "" if value is None else str(value).strip().strip("\0")


def _folders(path: Path, root: Path) -> list[str]:
    """Names of the folders above a file inside the archive, the nearest first."""
    return [parent.name for parent in path.relative_to(root).parents if parent.name]


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
