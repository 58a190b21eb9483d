"""Grey levels: from stored DICOM values to the 8 bits of a film, and deep values of any kind scaled to 8 bits.

The values of an element that is absent, empty or meaningless are those of a film without it:

    Modality LUT            none; then slope (1) and intercept (0), each by itself
    VOI LUT                 none; the next item of the sequence, then the first window that has a centre and a width
    window                  none without a centre, with a width below 1 (linear) or 0 (others), or no number
    VOI LUT Function        LINEAR, whatever else is written than SIGMOID or LINEAR_EXACT (in any case)
    what leaves one value   none: a window beside all pixels of the film shows nothing, as does a slope of 0
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import zip_longest
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.triplets.pixels.dicom_header import integer, numbers, texts
from pedclip.triplets.pixels.film_bounds import BadImage

Pixels = NDArray[np.uint8]
Values = NDArray[np.floating[Any]]
Step = Callable[[Values], Values]
_CONSTANT: Final = "constant: every pixel has the same value"
_MAX_LEVELS: Final = 2**16  # values that are developed once each, instead of every pixel


def to_bytes(pixels: Values, used: NDArray[np.bool_] | None = None) -> Pixels:
    """Scale by the own range of the film (of its `used` pixels) to 0..255.

    Args:
        pixels: (H, W), or (levels,) of which each stands for pixels.
        used: Of the same shape; padding is not of the film and would take up the range.

    Returns:
        Of the same shape.

    Raises:
        BadImage: NaN or infinite pixels, or constant ones.
    """
    if not np.isfinite(pixels).all():
        raise BadImage("NaN or infinite pixels")
    inside = pixels if used is None else pixels[used]
    if inside.size == 0 or inside.min() == inside.max():
        raise BadImage(_CONSTANT)
    low, high = inside.min(), inside.max()
    levels: Pixels = np.rint((pixels - low).clip(0, high - low) * (255 / (high - low))).astype(np.uint8)
    return levels


def develop(stored: NDArray[Any], header: Any, used: NDArray[np.bool_] | None = None) -> Pixels:
    """Stored values of a DICOM film as 8 bits: modality, then window, then the own range of the film.

    Args:
        stored: (H, W) integers or floats.
        header: As from `dicom_header.read_header`.
        used: (H, W) False at padding; None where there is none.

    Returns:
        (H, W) with 0 for the lowest value that the film shows, whatever its photometric interpretation.

    Raises:
        BadImage: As in `to_bytes`.
    """
    if stored.dtype.kind == "f":
        return _developed(stored.astype(np.float64), header, used)
    low, high = int(stored.min()), int(stored.max())
    if high - low >= _MAX_LEVELS:
        return _developed(stored.astype(np.float64), header, used)
    # Each level once instead of each pixel: equal values stay equal. Without a sign the difference cannot overflow.
    unsigned = np.dtype(f"u{stored.dtype.itemsize}")
    number = stored.view(unsigned) - np.array(low).astype(unsigned)  # (H, W), of the level
    counts = np.bincount((number if used is None else number[used]).ravel(), minlength=high - low + 1)
    table = _developed(np.arange(low, high + 1, dtype=np.float64), header, counts > 0)
    return np.asarray(np.take(table, number))


def _developed(values: Values, header: Any, used: NDArray[np.bool_] | None) -> Pixels:
    # Numbers beyond the range of 32 bits become infinite, and are refused as such.
    with np.errstate(over="ignore", under="ignore"):
        measured = _modality(header)(values)
        # Of a slope of 0, or beside an intercept of 1e12, nothing of the film is left.
        if _has_levels(measured.astype(np.float32), used):
            values = measured
        for window in _windows(header):
            # A window beside all that the film holds would leave nothing of it.
            if _has_levels(shown := window(values).astype(np.float32), used):
                return to_bytes(shown, used)
        return to_bytes(values.astype(np.float32), used)


def _has_levels(values: Values, used: NDArray[np.bool_] | None) -> bool:
    inside = values if used is None else values[used]
    return bool(inside.size and inside.min() < inside.max())


def _modality(header: Any) -> Step:
    """From stored values to those of the machine."""
    for table in _tables(header, "ModalityLUTSequence"):
        return table
    slope, intercept = (next(iter(numbers(header, name)), None) for name in ("RescaleSlope", "RescaleIntercept"))
    factor, shift = 1.0 if slope is None else slope, intercept or 0.0
    return lambda values: values * factor + shift


def _windows(header: Any) -> Iterator[Step]:
    """All that the header offers for the display, the best first."""
    yield from _tables(header, "VOILUTSequence")
    function = next(iter(texts(header, "VOILUTFunction")), "").upper()
    # The first of several is the one that the maker prefers.
    for center, width in zip_longest(numbers(header, "WindowCenter"), numbers(header, "WindowWidth")):
        if center is None or width is None:
            continue
        if function == "SIGMOID" and width > 0:
            yield partial(_sigmoid, center=center, width=width)
        elif function == "LINEAR_EXACT" and width > 0:
            yield partial(_linear, center=center, width=width)
        elif function not in {"SIGMOID", "LINEAR_EXACT"} and width >= 1:
            # Half a level aside and a level narrower; width 1 is a threshold.
            yield partial(_linear, center=center - 0.5, width=max(width - 1, 1e-9))


def _linear(values: Values, *, center: float, width: float) -> Values:
    return ((values - center) / width + 0.5).clip(0, 1)


def _sigmoid(values: Values, *, center: float, width: float) -> Values:
    # Beyond 500 the exponential overflows, and the curve is flat.
    return np.asarray(1 / (1 + np.exp((-4 * (values - center) / width).clip(-500, 500))))


def _looked_up(values: Values, *, first: int, table: Values) -> Values:
    return np.asarray(table[(np.rint(values) - first).clip(0, len(table) - 1).astype(np.int64)])


def _tables(header: Any, name: str) -> Iterator[Step]:
    """Usable lookup tables of a sequence.

    Source: DICOM PS3.3, C.11.1.1 and C.11.2.1.1. Differs: 8-bit tables may be packed or in words; both are found.
    """
    for item in (header.get(name) if name in header else None) or ():
        descriptor = numbers(item, "LUTDescriptor")
        data = item.get_item("LUTData") if "LUTData" in item else None
        if len(descriptor) != 3 or None in descriptor or data is None:
            continue
        entries = int(descriptor[0] or 0) % _MAX_LEVELS or _MAX_LEVELS
        if (table := _entries(data, entries)) is not None:
            first = int(descriptor[1] or 0)
            # A type without sign beside signed pixels: the first value is meant to be signed too.
            first -= _MAX_LEVELS if first >= _MAX_LEVELS // 2 and integer(header, "PixelRepresentation") else 0
            yield partial(_looked_up, first=first, table=table)


def _entries(data: Any, count: int) -> Values | None:
    """A lookup table as numbers, None where it has fewer than it says."""
    if not isinstance(data.value, bytes):
        listed = numbers({data.keyword: data}, data.keyword) if data.value is not None else []
        return np.asarray(listed[:count], dtype=np.float64) if len(listed) >= count and None not in listed else None
    # In words, unless there are only bytes enough for bytes.
    is_packed = count <= len(data.value) < 2 * count
    kind = "u1" if is_packed else "<u2" if data.is_little_endian else ">u2"
    table = np.frombuffer(data.value, kind, count=min(count, len(data.value) // np.dtype(kind).itemsize))
    return table.astype(np.float64) if len(table) == count else None
