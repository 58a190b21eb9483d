"""Small films made on the spot: pictures and DICOM of every kind."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import compress
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

RAMP = np.tile(np.arange(32, dtype=np.uint8) * 8, (24, 1))  # (24, 32), 0..248 from left to right


def encoded(pixels: NDArray[Any] | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def dicom(
    pixels: NDArray[Any],
    *,
    bits: int = 16,
    syntax: str = ExplicitVRLittleEndian,
    frame: bytes = b"",  # the pixels as coded already in that syntax
    **elements: Any,
) -> bytes:
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = ComputedRadiographyImageStorage
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = "1.2.3"
    header.Rows, header.Columns = pixels.shape[:2]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated = 8 * pixels.itemsize
    header.BitsStored, header.HighBit = bits, bits - 1
    header.PixelRepresentation = int(pixels.dtype.kind == "i")
    header.add_new("PixelData", "OW" if pixels.itemsize > 1 else "OB", pixels.tobytes())
    for name, value in elements.items():
        if value is None:
            delattr(header, name)
        else:
            setattr(header, name, value)
    if frame:
        header.file_meta.TransferSyntaxUID = syntax
        header.PixelData = encapsulate([frame])
        header["PixelData"].VR = "OB"
    elif syntax != ExplicitVRLittleEndian:
        compress(header, syntax)
    file = io.BytesIO()
    header.save_as(file, enforce_file_format=True)
    return file.getvalue()
