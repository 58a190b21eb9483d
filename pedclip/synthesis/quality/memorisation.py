"""Copies of training films among synthetic ones, told from the nearness of real films that the generator never saw.

A synthetic film near to a training film is no copy yet: films without detail are near to everything. So a film's
distance to its nearest training film is divided by its mean distance to the next ones, and the same ratio of real test
films says how small it is by chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.metrics.bootstrap import Floats, Interval, Record
from pedclip.evaluation.metrics.classification import auc
from pedclip.synthesis.quality.film_means import mean_interval
from pedclip.synthesis.quality.nearness import NEXT_NEIGHBOURS, Nearness, nearness, training_nearness

QUANTILE: Final = 0.01  # of real test films, below which a synthetic film is listed
CHANCE: Final = 0.025  # of flagging a generator that copies nothing


@dataclass(frozen=True, eq=False)
class KnownFilms:
    """Training films, and how near to them real films are that the generator never saw.

    Args:
        space: Encoder that the distances are of, with its fingerprint.
        training: (T, C) features.
        names: (T,) names of the training films.
        test: Of M real test films.
        test_patients: (M,) patient of each real test film.
        between: Median distance of training films to their nearest other one.
        neighbours: As for `nearness`.
    """

    space: str
    training: Floats
    names: tuple[str, ...]
    test: Nearness
    test_patients: NDArray[Any]
    between: float
    neighbours: int

    def take(self, rows: NDArray[Any]) -> "KnownFilms":
        """The same with some of the test films: at these positions (m,), or where a mask (M,) is true."""
        # Distances were measured to all training films, so a part of them is still right.
        test = Nearness(self.test.distance[rows], self.test.relative[rows], self.test.which[rows])
        return replace(self, test=test, test_patients=self.test_patients[rows])


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

    An encoder of what films mean is blind to copies: all films of one meaning are near to each other. Pixels and a
    neutral encoder find copies that it misses, so ask several spaces.

    Args:
        space: Encoder that the distances are of, with its fingerprint.
        nearer: Chance that a synthetic film is nearer to its nearest training film than a real test film to its own;
            0.5 where nothing was learned by heart. Films without detail are near to everything and raise it, too.
        nearer_relative: The same of relative distances, which such films do not raise.
        seeds: `nearer_relative` of each generation seed.
        median_ratio: Median distance of synthetic films divided by that of real test films.
        median_training: Median distance of training films to their nearest other one, divided likewise.
        near_copies: Share of synthetic films whose relative distance is below the threshold.
        near_patients: The same of one film per patient, drawn at random: what the limit is for.
        threshold: Relative distance that a share of real test patients, `expected`, falls below.
        expected: Share of patients with a near copy without copying, about 0.01 from 99 test patients on.
        limit: Share that `near_patients` exceeds without copying in at most 2.5 % of all cases.
        is_flagged: `near_patients` is above the limit.
        copies: The near copies, nearest first.
    """

    space: str
    nearer: Interval
    nearer_relative: Interval
    seeds: tuple[float, ...]
    median_ratio: float
    median_training: float
    near_copies: Interval
    near_patients: float
    threshold: float
    expected: float
    limit: float
    is_flagged: bool
    copies: tuple[NearCopy, ...]


def known_films(
    training: NDArray[Any],
    test: NDArray[Any],
    *,
    test_patients: Sequence[str],
    space: str,
    training_names: Sequence[str] = (),
    neighbours: int = NEXT_NEIGHBOURS,
) -> KnownFilms:
    """The films that synthetic ones are held against; computed once for all generators.

    Args:
        training: (T, C) features of the generator's training films, T at least 3.
        test: (M, C) features of real films of other patients.
        test_patients: (M,) patient of each real test film.
        space: Encoder, with its fingerprint.
        training_names: (T,) names of the training films; their positions where there are none.
        neighbours: As for `nearness`.

    Raises:
        ValueError: As `nearness`, names or patients of another length than the films, or real test films that are
            doubles of training films.
    """
    if len(test_patients) != len(test) or len(training_names) not in (0, len(training)):
        raise ValueError(
            f"expected {len(test)} patients of test films and {len(training)} names of training films, "
            f"got {len(test_patients)} and {len(training_names)}"
        )
    found = nearness(test, training, neighbours=neighbours)  # one nearest training film per test film
    # A leak: with a threshold of 0 no copy would ever be found.
    if num_doubles := int((found.distance == 0).sum()):
        raise ValueError(
            f"{num_doubles} of {len(test)} real test films are doubles of training films; remove them first"
        )
    # What the training films are to each other: patients with several films lie below test films.
    between = float(np.median(training_nearness(training, neighbours=neighbours).distance))
    # A near copy must be looked at, and for that it must be found.
    names = tuple(training_names) or tuple(map(str, range(len(training))))
    cloud = np.asarray(training, dtype=np.float64)
    return KnownFilms(space, cloud, names, found, np.asarray(test_patients), between, neighbours)


def memorisation_of(
    known: KnownFilms,
    synthetic: Sequence[NDArray[Any]],
    *,
    patients: Sequence[str],
    names: Sequence[str] = (),
    num_resamples: int = 1000,
    seed: int = 0,
) -> Memorisation:
    """Nearness of synthetic films to training films, and the verdict whether some are copies.

    Threshold: of one film each of n real test patients the r-th smallest relative distance, r = ⌊0.01 (n + 1)⌋ and at
    least 1. If synthetic films are to the training films what real test films are, one of them falls below it with a
    chance of r / (n + 1) (split conformal prediction), and the number among m follows a beta-binomial distribution with
    m, r and n + 1 − r, whose 97.5 % quantile is the limit. The verdict is of one film per patient, drawn at random, on
    both sides: films of a patient are not independent, nor are those of one text.

    Films from the texts of training films have a training film of the very same text and are a little nearer to it than
    test films are, without copying; films from texts of test films are free of this, and training texts show more of
    what was learned by heart. Take both, and read a flag of the former beside its near copies.

    Args:
        known: Real films, as from `known_films`.
        synthetic: For each generation seed, (N, C) features of films of the same N texts.
        patients: (N,) patient of each text.
        names: (N,) names of the texts; their positions where there are none.
        num_resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.

    Raises:
        ValueError: No seed, seeds of different length, or names and patients of another length than the films.

    Source: ours; nearest training film against real test films as in methods/field-2026.md, section 3.2.
    """
    # Everything below pairs films and patients by position.
    _check_lengths(synthetic, patients, names)
    found = [nearness(one, known.training, neighbours=known.neighbours) for one in synthetic]  # one per generation seed
    # All seeds together: S · N films, of N texts.
    distance, relative = (np.concatenate([getattr(one, name) for one in found]) for name in ("distance", "relative"))
    num_test, owners = len(known.test.distance), np.tile(np.asarray(patients), len(synthetic))
    # A patient of both sides, where texts of test films were used, is drawn with all films.
    everyone = np.concatenate([known.test_patients, owners])
    is_synthetic = np.arange(len(everyone)) >= num_test

    def nearer(of_test: Floats, of_synthetic: Floats) -> Interval:
        # Small distances score high, hence the sign.
        scores = -np.concatenate([of_test, of_synthetic])
        return auc.bootstrap(is_synthetic, scores, everyone, num_resamples=num_resamples, seed=seed)

    # The threshold is one of the real test films, so its chance is known without any model of distances.
    of_test, asked, drawn = known.test.relative, *(_one_each(of, seed) for of in (known.test_patients, owners))
    rank = _rank(len(asked))
    threshold = float(np.sort(of_test[asked])[rank - 1])  # r-th smallest
    is_near = relative < threshold
    near_patients, limit = float(is_near[drawn].mean()), chance_limit(len(asked), len(drawn))
    # Of one seed at a time, to see how much they differ.
    truth = np.arange(num_test + len(patients)) >= num_test
    middle = float(np.median(known.test.distance))
    return Memorisation(
        known.space,
        nearer(known.test.distance, distance),
        nearer(of_test, relative),
        tuple(auc(truth, -np.concatenate([of_test, one.relative])) for one in found),
        float(np.median(distance)) / middle,
        known.between / middle,
        mean_interval(is_near.astype(np.float64), owners, num_resamples=num_resamples, seed=seed),
        near_patients,
        threshold,
        rank / (len(asked) + 1),
        limit,
        near_patients > limit,
        _copies(found, threshold, known.names, names),
    )


def chance_limit(num_test: int, num_synthetic: int) -> float:
    """Share of near copies that is exceeded in at most 2.5 % of all cases where nothing is copied.

    Args:
        num_test: Independent real test films, at least 1: patients.
        num_synthetic: Independent synthetic films, at least 1: patients.

    Example:
        >>> chance_limit(99, 100), chance_limit(999, 1000)
        (0.05, 0.02)
    """
    from scipy.stats import betabinom  # type: ignore[import-untyped]

    rank = _rank(num_test)  # r
    # Below the r-th smallest of n uniform numbers lies a share that is Beta(r, n + 1 − r).
    return float(betabinom.ppf(1 - CHANCE, num_synthetic, rank, num_test + 1 - rank)) / num_synthetic


def _one_each(owners: NDArray[Any], seed: int) -> NDArray[np.intp]:
    """(P,) position of one film of each patient, drawn at random."""
    order = np.random.default_rng(seed).permutation(len(owners))
    # Of a shuffled list the first of each name.
    return order[np.unique(owners[order], return_index=True)[1]]


def _rank(number: int) -> int:
    # A small tolerance, as 0.01 · 100 is not exactly 1 in every arithmetic.
    return max(1, int(QUANTILE * (number + 1) + 1e-9))


def _copies(
    found: Sequence[Nearness], threshold: float, training_names: Sequence[str], names: Sequence[str]
) -> tuple[NearCopy, ...]:
    copies = []
    for number, one in enumerate(found):
        # Every one of them, as a hundred copies of one film are a finding of their own.
        for row in map(int, np.flatnonzero(one.relative < threshold)):
            copies.append(
                NearCopy(
                    names[row] if len(names) else str(row),
                    number,
                    training_names[int(one.which[row])],
                    float(one.distance[row]),
                    float(one.relative[row]),
                )
            )
    return tuple(sorted(copies, key=lambda copy: (copy.relative, copy.synthetic, copy.seed)))


def _check_lengths(synthetic: Sequence[NDArray[Any]], patients: Sequence[str], names: Sequence[str]) -> None:
    if not len(synthetic):
        raise ValueError("expected synthetic films of at least one generation seed, got none")
    # Rows of all seeds belong together by their number alone.
    lengths = {len(one) for one in synthetic} | {len(patients)}
    if len(lengths) > 1 or (len(names) and len(names) not in lengths):
        raise ValueError(
            f"every seed must have one film per text, its patient and its name, got lengths {sorted(lengths)} "
            f"and {len(names)} names"
        )
