"""Settings of a quality report."""

from dataclasses import dataclass
from pathlib import Path

from pedclip.synthesis.quality.coverage import NEIGHBOURS
from pedclip.synthesis.quality.floors import FLOORS
from pedclip.synthesis.quality.frechet import NUM_SUBSETS, SUBSET_SIZE


@dataclass(frozen=True)
class QualitySettings:
    """Settings of a report.

    Args:
        seed: Of every random choice.
        num_resamples: Of each bootstrap, at least 1.
        subset_size: Films in a subset of the kernel distance, at least 2.
        num_subsets: Subsets of the kernel distance, at least 1.
        neighbours: k of precision, recall, density and coverage, at least 1.
        min_patients: Real training patients that a finding needs to be asked for, at least 2.
        floors: Kinds of bad films, of `FLOORS`.
        batch_size: Films at a time, at least 1.
        device: Where encoders compute.
        cache: Folder of cached features; None keeps them in memory only.

    Raises:
        ValueError: A value is out of its range.
    """

    seed: int = 0
    num_resamples: int = 1000
    subset_size: int = SUBSET_SIZE
    num_subsets: int = NUM_SUBSETS
    neighbours: int = NEIGHBOURS
    min_patients: int = 5
    floors: tuple[str, ...] = FLOORS
    batch_size: int = 64
    device: str = "cpu"
    cache: Path | None = None

    def __post_init__(self) -> None:
        # A finding of one patient has no interval, and no folds by patient.
        least = {"num_resamples": 1, "subset_size": 2, "num_subsets": 1, "neighbours": 1, "min_patients": 2}
        for name, bound in {**least, "batch_size": 1}.items():
            if getattr(self, name) < bound:
                raise ValueError(f"{name} must be at least {bound}, got {getattr(self, name)}")
        # A misspelt floor would be one that nothing was held against.
        if unknown := set(self.floors) - set(FLOORS):
            raise ValueError(f"floors must be of {', '.join(FLOORS)}, got {', '.join(sorted(unknown))}")
