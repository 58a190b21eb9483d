"""Speed of decoding per film type, of this tree or of two trees against each other.

    python -m benchmarks.decoding                          # this tree
    python -m benchmarks.decoding --before /path/to/tree   # ratio to another one, processes taking turns

Each process decodes the same films and prints its times on the processor; with two trees they alternate, so that a busy
machine slows both alike. The fastest of all rounds counts.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SHAPE = (1100, 900)  # pixels; a hand of a child on a common detector
REPEATS = 2


def make_films(folder: Path) -> None:
    """One film per type; the same content, as each type can hold it."""
    import pydicom
    from pydicom import uid
    from pydicom.encaps import encapsulate
    from pydicom.pixels import compress

    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (40, 32), dtype=np.uint8))
    smooth = np.asarray(coarse.resize(SHAPE[::-1], Image.Resampling.BICUBIC)).astype(np.int32) * 14
    deep = (smooth + rng.integers(0, 60, SHAPE)).clip(0, 4095).astype(np.uint16)  # (H, W), 12 bits
    grey = (deep >> 4).astype(np.uint8)
    for name, pixels, options in (
        ("grey.png", grey, {}),
        ("deep.png", deep, {}),
        ("grey.jpg", grey, {"quality": 90}),
        ("rgb.jpg", np.repeat(grey[..., None], 3, 2), {"quality": 90}),
        ("rgb.png", np.repeat(grey[..., None], 3, 2), {}),
        ("grey.tif", grey, {}),
        ("deep.tif", deep, {}),
    ):
        Image.fromarray(pixels).save(folder / name, **options)

    def dicom(name: str, pixels: Any, syntax: str = uid.ExplicitVRLittleEndian, **elements: Any) -> None:
        data = pydicom.Dataset()
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        data.SOPClassUID, data.SOPInstanceUID = uid.ComputedRadiographyImageStorage, "1.2.3"
        data.Rows, data.Columns, data.SamplesPerPixel = *pixels.shape, 1
        data.PhotometricInterpretation, data.PixelRepresentation = "MONOCHROME2", 0
        data.BitsAllocated = 8 * pixels.itemsize
        data.BitsStored = 12 if pixels.itemsize > 1 else 8
        data.HighBit = data.BitsStored - 1
        data.add_new("PixelData", "OW" if pixels.itemsize > 1 else "OB", pixels.tobytes())
        for key, value in elements.items():
            setattr(data, key, value)
        if syntax == uid.JPEGBaseline8Bit:
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "JPEG", quality=90)
            data.PixelData, data.file_meta.TransferSyntaxUID = encapsulate([file.getvalue()]), syntax
        elif syntax != uid.ExplicitVRLittleEndian:
            compress(data, syntax)
        data.save_as(folder / name, enforce_file_format=True)

    window = {"WindowCenter": 2000, "WindowWidth": 3000, "RescaleSlope": 1, "RescaleIntercept": 0}
    dicom("native.dcm", deep)
    dicom("8 bits.dcm", grey)
    dicom("window.dcm", deep, **window)
    dicom("sigmoid.dcm", deep, VOILUTFunction="SIGMOID", **window)
    dicom("padding.dcm", deep, PixelPaddingValue=0)
    dicom("rle.dcm", deep, uid.RLELossless)
    dicom("j2k.dcm", deep, uid.JPEG2000Lossless)
    dicom("jpeg.dcm", grey, uid.JPEGBaseline8Bit)


def time_films(folder: Path) -> dict[str, float]:
    """Fastest time by file, in ms."""
    from pedclip.triplets.decoding import read_film

    times = {}
    for path in sorted(folder.iterdir()):
        read_film(path)  # loads the codec
        rounds = []
        for _ in range(REPEATS):
            started = time.process_time()
            read_film(path)
            rounds.append(1000 * (time.process_time() - started))
        times[path.name] = min(rounds)
    return times


def run(tree: Path, folder: Path) -> dict[str, float]:
    """Times of one process on a tree."""
    command = [sys.executable, str(Path(__file__).resolve()), "--films", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=tree)
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description="Time decoding, film type by film type.")
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="another tree to compare with")
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="processes per tree (default: 4)")
    parser.add_argument("--films", type=Path, help=argparse.SUPPRESS)  # a process of ours
    arguments = parser.parse_args()
    if arguments.films:
        print(json.dumps(time_films(arguments.films)))
        return
    here = Path(__file__).resolve().parents[1]
    trees = [arguments.before.resolve(), here] if arguments.before else [here]
    with tempfile.TemporaryDirectory() as name:
        make_films(Path(name))
        rounds = [[run(tree, Path(name)) for tree in trees] for _ in range(arguments.rounds)]
    best = [{film: min(turn[place][film] for turn in rounds) for film in rounds[0][0]} for place in range(len(trees))]
    print(f"{'ms per film':16}" + ("  before   after   ratio" if len(trees) > 1 else "    time"))
    for film, *_ in best[0].items():
        values = [times[film] for times in best]
        ratio = f"{values[-1] / values[0]:8.2f}" if len(values) > 1 else ""
        print(f"{film:16}" + "".join(f"{value:8.1f}" for value in values) + ratio)
    totals = [sum(times.values()) for times in best]
    ratio = f"{totals[-1] / totals[0]:8.2f}" if len(totals) > 1 else ""
    print(f"{'all':16}" + "".join(f"{total:8.1f}" for total in totals) + ratio)


if __name__ == "__main__":
    main()
