"""Formats of compressed DICOM pixels: which can be decoded here, and what a user may install for the others.

Read with what is installed with this package: RLE, JPEG (8 bits), JPEG 2000 and its high-throughput form, and deflated
files. Lossless JPEG, JPEG-LS and JPEG of 12 bits need a codec under the GPL, which would bind whoever passes it on
together with this package; so it is no dependency, and is used where a user has installed it.
"""

from typing import Any, Final

_ADVICE: Final = "export it uncompressed, or pip install pylibjpeg-libjpeg (GPL-3, hence your own choice)"


def missing_decoder(header: Any) -> str:
    """Reason for which the pixels of a DICOM data set cannot be decoded, "" where they can."""
    from pydicom.pixels import get_decoder
    from pydicom.uid import JPEGExtended12Bit

    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax is None or not syntax.is_compressed:
        return ""
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        return f"coded as {syntax.name}, which no decoder reads; export it uncompressed"
    # Pillow offers itself for this one too, but has 8 bits only.
    is_deep = syntax == JPEGExtended12Bit and int(header.BitsStored) > 8
    if decoder.is_available and not (is_deep and "pylibjpeg" not in decoder.available_plugins):
        return ""
    return f"coded as {syntax.name}, for which no decoder is installed; {_ADVICE}"
