"""Copies of training films among synthetic ones, told from the nearness of real films that the generator never saw.

A synthetic film near to a training film is no copy yet: films without detail are near to everything. So a film's
distance to its nearest training film is divided by its mean distance to the next ones, and the same ratio of real test
films says how small it is by chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.metrics.bootstrap import Floats, Interval, Record
from pedclip.evaluation.metrics.classification import auc
from pedclip.synthesis.quality.film_means import mean_interval
from pedclip.synthesis.quality.frechet import check_clouds

NEXT_NEIGHBOURS: Final = 50
QUANTILE: Final = 0.01  # of real test films, below which a synthetic film is listed
CHANCE: Final = 0.025  # of flagging a generator that copies nothing
_CHUNK: Final = 512  # films whose distances are held at once


@dataclass(frozen=True)
class Nearness:
    """Nearest training film of each of N films.

    Args:
        distance: (N,) Euclidean distance to it.
        relative: (N,) the same divided by the mean distance to the next 50 training films; near 1 where nothing is
            special about the nearest, 0 for a copy.
        which: (N,) position of that training film.
    """

    distance: Floats
    relative: Floats
    which: NDArray[np.intp]


@dataclass(frozen=True)
class NearCopy(Record):
    """A synthetic film that is nearer to a training film than nearly all real test films are to theirs.

    Args:
        synthetic: Its name.
        seed: Position of its generation seed.
        training: Name of the training film.
        distance: Between the two.
        relative: Distance divided by that to the next training films.
    """

    synthetic: str
    seed: int
    training: str
    distance: float
    relative: float


@dataclass(frozen=True)
class Memorisation(Record):
    """Nearness of synthetic films to the training films beside that of real test films.

    Args:
        space: Encoder that the distances are of, with its fingerprint.
        nearer: Chance that a synthetic film is nearer to its nearest training film than a real test film to its own;
            0.5 where nothing was learned by heart. Films without detail are near to everything and raise it, too.
        nearer_relative: The same of relative distances, which such films do not raise.
        seeds: `nearer_relative` of each generation seed.
        median_ratio: Median distance of synthetic films divided by that of real test films.
        median_training: Median distance of training films to their nearest other one, divided likewise.
        near_copies: Share of synthetic films whose relative distance is below the threshold.
        threshold: Relative distance that a share of real test films, `expected`, falls below.
        expected: Share of near copies without copying, about 0.01.
        limit: Share that is exceeded without copying in at most 2.5 % of all cases.
        is_flagged: More near copies than the limit.
        copies: The near copies, nearest first.
    """

    space: str
    nearer: Interval
    nearer_relative: Interval
    seeds: tuple[float, ...]
    median_ratio: float
    median_training: float
    near_copies: Interval
    threshold: float
    expected: float
    limit: float
    is_flagged: bool
    copies: tuple[NearCopy, ...]


def nearness(films: NDArray[Any], training: NDArray[Any], *, neighbours: int = NEXT_NEIGHBOURS) -> Nearness:
    """Nearest training film of films that are not among them.

    Args:
        films: (N, C) features.
        training: (T, C) features, T at least 2.
        neighbours: Next training films that a distance is related to; T − 1 where there are fewer.

    Raises:
        ValueError: As `check_clouds`.

    Source: Carlini et al., USENIX Security 2023, section 5.1, distance relative to the 50 nearest training images.
        Differs: the nearest one itself is not among these.
    """
    one, other = check_clouds(films, training)
    return _nearness(one, other, neighbours, is_same=False)


def training_nearness(training: NDArray[Any], *, neighbours: int = NEXT_NEIGHBOURS) -> Nearness:
    """Nearest other training film of each training film; a double of it counts, the film itself does not.

    Args:
        training: (T, C) features, T at least 3.
        neighbours: As for `nearness`.

    Raises:
        ValueError: As `check_clouds`, or fewer than three films.
    """
    cloud, _ = check_clouds(training, training)
    if len(cloud) < 3:
        raise ValueError(f"training films are compared with each other from 3 on, got {len(cloud)}")
    return _nearness(cloud, cloud, neighbours, is_same=True)


def _nearness(one: Floats, other: Floats, neighbours: int, *, is_same: bool) -> Nearness:
    from scipy.spatial.distance import cdist  # type: ignore[import-untyped]

    number = min(neighbours, len(other) - 1 - is_same)
    distance, relative, which = np.empty(len(one)), np.empty(len(one)), np.empty(len(one), dtype=np.intp)
    for start in range(0, len(one), _CHUNK):
        rows = slice(start, start + _CHUNK)
        found = cdist(one[rows], other)  # (n, T)
        if is_same:
            # By position: a double of a film is at distance 0, too, and stays.
            place = np.arange(len(found))
            found[place, start + place] = np.inf
        near = np.partition(found, number, axis=1)[:, : number + 1]
        near.sort(axis=1)
        following = near[:, 1:].mean(axis=1)
        distance[rows], which[rows] = near[:, 0], found.argmin(axis=1)
        # A film on top of all of them is a copy as well.
        relative[rows] = np.divide(near[:, 0], following, out=np.zeros(len(near)), where=following > 0)
    return Nearness(distance, relative, which)


def memorisation_of(
    training: NDArray[Any],
    test: NDArray[Any],
    synthetic: Sequence[NDArray[Any]],
    *,
    test_patients: Sequence[str],
    synthetic_patients: Sequence[str],
    space: str,
    training_names: Sequence[str] = (),
    synthetic_names: Sequence[str] = (),
    neighbours: int = NEXT_NEIGHBOURS,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Memorisation:
    """Nearness of synthetic films to training films, and the verdict whether some are copies.

    Threshold: of n real test films the r-th smallest relative distance, r = ⌊0.01 (n + 1)⌋ and at least 1. If
    synthetic films are to the training films what real test films are, one of them falls below it with a chance of
    r / (n + 1) (split conformal prediction), and the number among m follows a beta-binomial distribution with m, r and
    n + 1 − r, whose 97.5 % quantile is the limit. The limit is taken for as many patients as there are, on both sides,
    not for as many films: films of a patient are not independent, nor are those of one text.

    Films from the texts of training films have a training film of the very same text and are a little nearer to it than
    test films are, without copying; films from texts of test films are free of this, and training texts show more of
    what was learned by heart. Take both, and read a flag of the former beside its near copies.

    Args:
        training: (T, C) features of the generator's training films.
        test: (M, C) features of real films of other patients.
        synthetic: For each generation seed, (N, C) features of films of the same N texts.
        test_patients: (M,) patient of each real test film.
        synthetic_patients: (N,) patient of each text.
        space: Encoder, with its fingerprint.
        training_names: (T,) names of the training films; their positions where there are none.
        synthetic_names: (N,) names of the texts; their positions where there are none.
        neighbours: As for `nearness`.
        num_resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.

    Raises:
        ValueError: No seed, seeds of different length, names and patients of another length than the films, or real
            test films that are doubles of training films.

    Source: ours; nearest training film against real test films as in methods/field-2026.md, section 3.2.
    """
    _check_lengths(training, test, synthetic, test_patients, synthetic_patients, training_names, synthetic_names)
    known = nearness(test, training, neighbours=neighbours)
    # A leak: with a threshold of 0 no copy would ever be found.
    if num_doubles := int((known.distance == 0).sum()):
        raise ValueError(
            f"{num_doubles} of {len(test)} real test films are doubles of training films; remove them first"
        )
    found = [nearness(one, training, neighbours=neighbours) for one in synthetic]
    distance, relative = (np.concatenate([getattr(one, name) for one in found]) for name in ("distance", "relative"))
    owners = np.tile(np.asarray(synthetic_patients), len(synthetic))
    everyone = np.concatenate([np.asarray(test_patients), owners])
    is_synthetic = np.arange(len(everyone)) >= len(test)

    def nearer(of_test: Floats, of_synthetic: Floats) -> Interval:
        # Small distances score high, hence the sign.
        scores = -np.concatenate([of_test, of_synthetic])
        return auc.bootstrap(is_synthetic, scores, everyone, num_resamples=num_resamples, seed=seed)

    rank = _rank(len(test))
    threshold = float(np.sort(known.relative)[rank - 1])
    is_near = relative < threshold
    limit = chance_limit(len(np.unique(np.asarray(test_patients))), len(np.unique(owners)))
    truth = np.arange(len(test) + len(synthetic_patients)) >= len(test)
    return Memorisation(
        space,
        nearer(known.distance, distance),
        nearer(known.relative, relative),
        tuple(auc(truth, -np.concatenate([known.relative, one.relative])) for one in found),
        _ratio(distance, known.distance),
        _ratio(training_nearness(training, neighbours=neighbours).distance, known.distance),
        mean_interval(is_near.astype(np.float64), owners, num_resamples=num_resamples, seed=seed),
        threshold,
        rank / (len(test) + 1),
        limit,
        bool(is_near.mean() > limit),
        _copies(found, threshold, training_names, synthetic_names),
    )


def chance_limit(num_test: int, num_synthetic: int) -> float:
    """Share of near copies that is exceeded in at most 2.5 % of all cases where nothing is copied.

    Args:
        num_test: Independent real test films, at least 1: patients.
        num_synthetic: Independent synthetic films, at least 1: patients.

    Example:
        >>> chance_limit(99, 100), chance_limit(999, 1000)
        (0.04, 0.018)
    """
    from scipy.stats import betabinom  # type: ignore[import-untyped]

    rank = _rank(num_test)
    # Below the r-th smallest of n uniform numbers lies a share that is Beta(r, n + 1 − r).
    return float(betabinom.ppf(1 - CHANCE, num_synthetic, rank, num_test + 1 - rank)) / num_synthetic


def _rank(number: int) -> int:
    # A small tolerance, as 0.01 · 100 is not exactly 1 in every arithmetic.
    return max(1, int(QUANTILE * (number + 1) + 1e-9))


def _ratio(distance: Floats, reference: Floats) -> float:
    return float(np.median(distance) / np.median(reference))


def _copies(
    found: Sequence[Nearness], threshold: float, training_names: Sequence[str], synthetic_names: Sequence[str]
) -> tuple[NearCopy, ...]:
    copies = []
    for number, one in enumerate(found):
        for row in map(int, np.flatnonzero(one.relative < threshold)):
            training = int(one.which[row])
            copies.append(
                NearCopy(
                    synthetic_names[row] if len(synthetic_names) else str(row),
                    number,
                    training_names[training] if len(training_names) else str(training),
                    float(one.distance[row]),
                    float(one.relative[row]),
                )
            )
    return tuple(sorted(copies, key=lambda copy: (copy.relative, copy.synthetic, copy.seed)))


def _check_lengths(
    training: NDArray[Any],
    test: NDArray[Any],
    synthetic: Sequence[NDArray[Any]],
    test_patients: Sequence[str],
    synthetic_patients: Sequence[str],
    training_names: Sequence[str],
    synthetic_names: Sequence[str],
) -> None:
    if not len(synthetic):
        raise ValueError("expected synthetic films of at least one generation seed, got none")
    # Rows of all seeds belong together by their number alone.
    lengths = {len(one) for one in synthetic} | {len(synthetic_patients)}
    if len(lengths) > 1 or (len(synthetic_names) and len(synthetic_names) not in lengths):
        raise ValueError(
            f"every seed must have one film per text, its patient and its name, got lengths {sorted(lengths)} "
            f"and {len(synthetic_names)} names"
        )
    if len(test_patients) != len(test) or len(training_names) not in (0, len(training)):
        raise ValueError(
            f"expected {len(test)} patients of test films and {len(training)} names of training films, "
            f"got {len(test_patients)} and {len(training_names)}"
        )
