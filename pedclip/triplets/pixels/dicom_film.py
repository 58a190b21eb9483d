"""Pixels of a DICOM film: the stored words, and the one 8-bit grey film that they are."""

import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.triplets.pixels.codestreams import check_scans, coded_size, color_space, is_start
from pedclip.triplets.pixels.dicom_codecs import missing_decoder
from pedclip.triplets.pixels.dicom_header import Layout, integer, layout_of, read_header, texts
from pedclip.triplets.pixels.film_bounds import BadImage, bounded_memory
from pedclip.triplets.pixels.grey_levels import Pixels, develop
from pedclip.triplets.pixels.jpeg_end import check_end
from pedclip.triplets.pixels.picture_film import grey_of_channels

_SLACK: Final = 2**20  # bytes by which coded pixels may be larger than the pixels: tables, profiles, noise


def film_of_dicom(content: bytes) -> Pixels:
    """The film in a DICOM file; the rules are those of `pedclip.triplets.decoding.decode`.

    Args:
        content: The file.

    Returns:
        (H, W) uint8, 0 is black.

    Raises:
        BadImage: No single grey film, or one that cannot be decoded.
    """
    header = read_header(content)
    layout = layout_of(header)
    with bounded_memory(layout.frame_bytes):
        words = _words(header, layout)  # (H, W) or (H, W, 3)
        if layout.channels == 3:
            return grey_of_channels(words)
        stored = _without_unused_bits(words, layout)
        padding = _padding(words, stored, header, layout)
        pixels = develop(stored, header, None if padding is None else ~padding)
    is_inverse = "INVERSE" in (text.upper() for text in texts(header, "PresentationLUTShape"))
    if layout.photometric == "MONOCHROME1" or is_inverse:
        pixels = np.uint8(255) - pixels
    if padding is not None:
        pixels[padding] = 0
    return pixels


def _words(header: Any, layout: Layout) -> NDArray[Any]:
    """The stored pixels with all their bits; of colour in RGB."""
    from pydicom.pixels import get_decoder

    data, coded = header[layout.keyword].value or b"", b""
    syntax, photometric = _syntax(header, data), layout.photometric
    if syntax.is_compressed:
        if reason := missing_decoder(header):
            raise BadImage(reason)
        coded = _single_coded(data, syntax, layout)
        photometric = color_space(coded) or photometric
    else:
        data = _single_frame(data, layout)
    # Only what was checked, and every bit of it: what contradicts itself elsewhere is no business of a decoder.
    words = get_decoder(syntax).as_array(
        data,
        rows=layout.height,
        columns=layout.width,
        number_of_frames=1,
        samples_per_pixel=layout.channels,
        photometric_interpretation=photometric,
        planar_configuration=layout.planar,
        bits_allocated=layout.allocated,
        bits_stored=layout.stored,
        pixel_representation=int(layout.is_signed),
        pixel_keyword=layout.keyword,
        pixel_vr=header[layout.keyword].VR,
        allow_excess_frames=False,
        correct_unused_bits=False,
        validate=False,
    )[0]
    if coded.startswith(b"\xff\xd8") and words.dtype.itemsize == 1:
        check_end(coded, words[-1])
    # In the order of bytes of this machine, whose bits are masked below.
    return np.asarray(words, dtype=words.dtype.newbyteorder("="))


def _syntax(header: Any, data: bytes) -> Any:
    """The transfer syntax; of a file without its first group, the uncompressed one that was read."""
    from pydicom import uid

    named = header.file_meta.get("TransferSyntaxUID")
    if named:
        if not uid.UID(str(named)).is_transfer_syntax:
            raise BadImage("DICOM of a transfer syntax that nobody knows; export it uncompressed")
        return named
    if data[:4] == b"\xfe\xff\x00\xe0":
        raise BadImage("DICOM with coded pixels and without Transfer Syntax UID (0002,0010)")
    is_implicit, is_little = header.original_encoding
    if is_implicit:
        return uid.ImplicitVRLittleEndian
    return uid.ExplicitVRLittleEndian if is_little else uid.ExplicitVRBigEndian


def _single_frame(data: bytes, layout: Layout) -> bytes:
    """The bytes of one frame, and no more than padding behind them."""
    expected = layout.frame_bytes
    if len(data) < expected:
        raise BadImage(f"truncated or corrupt ({len(data):,} bytes of pixels, {expected:,} expected)")
    if (num_frames := len(data) // expected) > 1:
        raise BadImage(f"{num_frames} frames in one DICOM (its header says one); only single films are radiographs")
    # Less than a row is what writers fill up with.
    if (excess := len(data) - expected) > max(expected // layout.height, 512):
        raise BadImage(f"contradictory header: {excess:,} bytes more than its rows and columns need")
    return data[: expected + expected % 2]


def _single_coded(data: bytes, syntax: Any, layout: Layout) -> bytes:
    """The codestream of the one frame, of the size that the header says, before it is decoded."""
    from pydicom.encaps import generate_fragments, parse_basic_offsets
    from pydicom.uid import RLELossless

    buffer = io.BytesIO(data)
    offsets = parse_basic_offsets(buffer)  # leaves the buffer at the first fragment
    fragments = [*generate_fragments(buffer)]
    starts = len(fragments) if syntax == RLELossless else sum(map(is_start, fragments))
    if (num_frames := max(len(offsets), starts)) > 1:
        raise BadImage(f"{num_frames} frames in one DICOM (its header says one); only single films are radiographs")
    coded = b"".join(fragments)
    if len(coded) > 2 * layout.frame_bytes + _SLACK:
        raise BadImage(f"contradictory header: {len(coded):,} bytes of coded pixels for {layout.frame_bytes:,}")
    size = coded_size(coded)
    if size is None:
        return coded
    if (size.height, size.width) != (layout.height, layout.width):
        own, other = f"{size.width}×{size.height}", f"{layout.width}×{layout.height}"
        raise BadImage(f"contradictory header: a film of {own} pixels in a DICOM of {other}")
    if size.channels != layout.channels:
        raise BadImage(f"contradictory header: {size.channels} channels in a DICOM of {layout.channels}")
    check_scans(size)
    return coded


def _without_unused_bits(words: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """The values alone: the bits above and below them may hold an overlay, or anything."""
    if layout.keyword != "PixelData" or layout.stored == layout.allocated:
        return words
    size = 8 * words.dtype.itemsize
    unsigned = words.view(np.dtype(f"u{words.dtype.itemsize}"))
    # Where nothing is set above the stored bits they are the low ones, whatever High Bit says.
    shift = layout.high + 1 - layout.stored
    if not (0 < shift <= layout.allocated - layout.stored and bool((unsigned >> layout.stored).any())):
        shift = 0
    # To the top and back: a signed type brings its sign along.
    up = unsigned << np.array(size - layout.stored - shift, unsigned.dtype)
    return np.asarray(up.view(words.dtype) >> np.array(size - layout.stored, words.dtype))


def _padding(words: NDArray[Any], stored: NDArray[Any], header: Any, layout: Layout) -> NDArray[np.bool_] | None:
    """Pixels that are none of the film; None where there are none, or all are."""
    first = integer(header, "PixelPaddingValue")
    if first is None or words.dtype.kind == "f":
        return None
    last = integer(header, "PixelPaddingRangeLimit")
    # One value, or with a limit a range whose ends may come in either order; written with or without sign.
    ends = [_as_stored(value, layout) for value in (first, first if last is None else last)]
    low, high = min(ends), max(ends)
    padding = (stored >= low) & (stored <= high)
    if stored is not words:
        # A padding value may have more bits than the pixels.
        padding |= (words >= low) & (words <= high)
    return padding if padding.any() and not padding.all() else None


def _as_stored(value: int, layout: Layout) -> int:
    value %= 2**layout.allocated
    return value - 2**layout.allocated if layout.is_signed and value >= 2 ** (layout.allocated - 1) else value
