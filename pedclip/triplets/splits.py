"""Patient-level splits by a salted hash: anyone gets the same split without a file."""

import hashlib
import math
from collections.abc import Sequence
from typing import Final

SPLITS: Final = ("train", "validation", "test")
_BYTES: Final = 6  # 48 bits divide exactly in a float, so the position stays below 1


def split_of(patient_id: str, *, salt: str = "pedclip", fractions: Sequence[float] = (0.7, 0.15, 0.15)) -> str:
    """The split to which a patient belongs, the same on every machine and in every version of Python.

    Args:
        patient_id: Identifier of the patient, not of the image: two films of one patient never part.
        salt: Text that is hashed with the identifier; another salt gives another, equally stable split.
        fractions: Expected shares of (train, validation, test), each in [0, 1], sum 1.

    Returns:
        "train", "validation" or "test".

    Raises:
        TypeError: The identifier is not a text (7 and "007" would be two patients).
        ValueError: The identifier is blank, or the fractions are not three shares that sum to 1.

    Source: PedCLIP states no split; 70/15/15 by patient is ours (methods/pedclip.md, P23).

    Example:
        >>> split_of("patient-1")
        'train'
    """
    # A number would hash differently from its text, and a patient would be in two splits.
    if not isinstance(patient_id, str):
        raise TypeError(f"patient_id must be a text, not {type(patient_id).__name__}; convert it once, at the source.")
    if not patient_id.strip():
        raise ValueError("patient_id is blank; give every image an identifier of its patient.")
    bounds = _bounds(fractions)
    # Not Python's `hash`, which differs between two runs.
    digest = hashlib.sha256(f"{salt}\0{patient_id}".encode()).digest()
    position = int.from_bytes(digest[:_BYTES], "big") / 256**_BYTES  # in [0, 1)
    return next(name for name, bound in zip(SPLITS, bounds, strict=True) if position < bound)


def _bounds(fractions: Sequence[float]) -> tuple[float, float, float]:
    if (
        len(fractions) != 3
        or not all(0 <= share <= 1 for share in fractions)
        or not math.isclose(sum(fractions), 1, abs_tol=1e-9)
    ):
        raise ValueError(
            f"fractions must be three shares in [0, 1] with sum 1 (train, validation, test), got {tuple(fractions)}; "
            "for example (0.7, 0.15, 0.15)."
        )
    train, _, test = fractions
    # From the end, as 0.7 + 0.15 + 0.15 is not exactly 1.
    return train, 1 - test, 1.0
