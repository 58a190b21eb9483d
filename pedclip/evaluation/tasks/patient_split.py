"""Training, validation and test parts of a downstream task, with no patient in two of them."""

from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray


class PatientLeak(ValueError):
    """A patient is in two parts of a split, so that a score would measure recognition of the patient."""


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a split.

    Args:
        inputs: (N, …) what is learned from: features (N, C), patch tokens (N, S, C), or films (N, R, R).
        truth: (N, …) what is to be predicted: labels, months, masks, or an object array of `Boxes`.
        patients: (N,) patient of each image, unique over data sets.

    Raises:
        ValueError: Lengths differ.
    """

    inputs: NDArray[Any]
    truth: NDArray[Any]
    patients: NDArray[Any]

    def __post_init__(self) -> None:
        # A frozen dataclass is set through its base.
        object.__setattr__(self, "patients", np.asarray(self.patients))
        lengths = {len(self.inputs), len(self.truth), len(self.patients)}
        if len(lengths) > 1:
            raise ValueError(
                f"inputs, truth and patients must be one per image, got {len(self.inputs)}, {len(self.truth)} "
                f"and {len(self.patients)}"
            )

    def __len__(self) -> int:
        return len(self.patients)

    def take(self, index: NDArray[Any]) -> "Part":
        """The images at these positions (M,), or where a mask (N,) is true."""
        return Part(self.inputs[index], self.truth[index], self.patients[index])

    @property
    def num_patients(self) -> int:
        """Distinct patients."""
        return len(np.unique(self.patients))


@dataclass(frozen=True, eq=False)
class PatientSplit:
    """A split by patient.

    Args:
        train: To fit on; at least one image.
        validation: To choose on; may be empty where a task says so.
        test: To score on; no fitting function takes it. At least one image.
        fraction: Of the training and validation patients that `subsample` has left, in (0, 1]; the product where it was
            called twice.
        seed: Of the last subsample.

    Raises:
        PatientLeak: A patient is in two parts.
        ValueError: No image to fit or to score on.
    """

    train: Part
    validation: Part
    test: Part
    fraction: float = field(default=1.0, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        parts = {"training": self.train, "validation": self.validation, "test": self.test}
        for (name, one), (other_name, other) in combinations(parts.items(), 2):
            # Compared as text: one part may hold numbers and another one strings.
            num_shared = len(np.intersect1d(one.patients.astype(str), other.patients.astype(str)))
            if num_shared:
                raise PatientLeak(
                    f"{num_shared} patients are in both the {name} and the {other_name} part; split by patient first"
                )
        if not len(self.train) or not len(self.test):
            raise ValueError(f"a task needs training and test images, got {len(self.train)} and {len(self.test)}")

    def subsample(
        self,
        fraction: float,
        *,
        seed: int,
        strata: NDArray[Any] | None = None,
        validation_strata: NDArray[Any] | None = None,
    ) -> "PatientSplit":
        """A split with a fraction of the training and of the validation patients; test stays whole.

        Who has a tenth of the labels has a tenth to choose the settings on, too.

        With one seed, the patients of a smaller fraction are among those of a larger one, and every stratum keeps its
        part to within one patient; a small fraction may keep none of a rare stratum. A fraction of a fraction is the
        product: half of a half is reported as 0.25.

        Args:
            fraction: In (0, 1], of the patients of either part; at least one of each is kept.
            seed: Of the choice of patients.
            strata: (N,) stratum of each training image, as from `rarest_label`; a patient belongs to the rarest of
                the strata of their images. None draws from all alike.
            validation_strata: The same of each validation image.

        Returns:
            The smaller task.

        Raises:
            ValueError: A fraction out of range, or strata of another length.
        """
        if not 0 < fraction <= 1:
            raise ValueError(f"fraction must be in (0, 1], got {fraction}")
        for part, name, given in (
            (self.train, "training", strata),
            (self.validation, "validation", validation_strata),
        ):
            if given is not None and len(given) != len(part):
                raise ValueError(f"strata must name one per {name} image: {len(part)}, got {len(given)}")
        if fraction == 1:
            return replace(self, seed=seed)
        # One generator each, so that the training patients do not depend on the validation part.
        train = _head(self.train, fraction, np.random.default_rng(seed), strata)
        validation = _head(self.validation, fraction, np.random.default_rng([seed, 1]), validation_strata)
        return replace(self, train=train, validation=validation, fraction=self.fraction * fraction, seed=seed)


def _head(part: Part, fraction: float, rng: np.random.Generator, strata: NDArray[Any] | None) -> Part:
    """A fraction of the patients, at least one where there are any; smaller fractions are part of larger ones."""
    if not len(part):
        return part
    names, index = np.unique(part.patients, return_inverse=True)  # (P,), (N,) patient of each image
    of_patient = _rarest(np.zeros(len(index), int) if strata is None else np.asarray(strata), index, len(names))
    place = np.zeros(len(names))  # in [0, 1), evenly spread within each stratum
    for stratum in np.unique(of_patient):
        # The m patients of a stratum get one place in each of m equal bins of [0, 1): the first places of all
        # strata together hold every stratum in proportion, whatever the fraction.
        members = rng.permutation(np.flatnonzero(of_patient == stratum))
        place[members] = (np.arange(len(members)) + rng.random()) / len(members)
    # A smaller fraction is a shorter head of the same order, hence nested.
    kept = np.argsort(place, kind="stable")[: max(1, round(fraction * len(names)))]
    return part.take(np.isin(index, kept))


def rarest_label(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Strata for multi-label images: the rarest finding that an image has.

    Args:
        labels: (N, L) 1, 0 or NaN.

    Returns:
        (N,) label number, -1 for images without any.
    """
    is_positive = labels == 1
    # (N, L) films of each finding that an image has; more than there are images where it has not.
    rarity = np.where(is_positive, is_positive.sum(axis=0)[None], len(labels) + 1)
    return np.where(is_positive.any(axis=1), rarity.argmin(axis=1), -1)


def _rarest(strata: NDArray[Any], patient: NDArray[np.intp], num_patients: int) -> NDArray[np.intp]:
    """(P,) stratum of each patient: of the strata of their images the one with the fewest images."""
    number, counts = np.unique(strata, return_inverse=True, return_counts=True)[1:]
    order = np.argsort(-counts[number], kind="stable")  # the rarest last, so that it stays
    of_patient = np.zeros(num_patients, dtype=np.intp)
    of_patient[patient[order]] = number[order]
    return of_patient
