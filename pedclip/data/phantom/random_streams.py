"""Streams of random numbers that one seed gives, so that no two choices share one."""

from typing import Final

import numpy as np

_STREAMS: Final = {
    "deck": 1, "patient": 2, "study": 3, "anatomy": 4, "pose": 5, "text": 6, "equipment": 7, "incidental": 8,
    "retake": 9,
}  # fmt: skip


def stream(name: str, seed: int, *place: int) -> np.random.Generator:
    """Random numbers for one purpose and one place; equal calls give equal generators.

    Args:
        name: "deck", "patient", "study", "anatomy", "pose", "text", "equipment", "incidental" or "retake".
        seed: Of the whole set, 0 or more.
        place: Number of the study, then that of the part; of the block or the patient where it is about these.

    Raises:
        KeyError: There is no such stream.
    """
    # A list is hashed as a whole (NumPy's SeedSequence): neighbouring seeds and places give independent streams.
    return np.random.default_rng([seed, _STREAMS[name], *place])
