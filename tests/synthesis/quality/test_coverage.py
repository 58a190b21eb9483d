"""Precision, recall, density and coverage against literal loops, with ties and doubles."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedclip.synthesis.quality import coverage
from pedclip.synthesis.quality.coverage import manifold_coverage


def by_loops(real, synthetic, k):
    def apart(x, y):
        return math.dist(x, y)

    def radius(cloud, i):
        return sorted(apart(cloud[i], cloud[j]) for j in range(len(cloud)) if j != i)[k - 1]

    real_radius = [radius(real, i) for i in range(len(real))]
    synthetic_radius = [radius(synthetic, j) for j in range(len(synthetic))]
    precision = [any(apart(y, real[i]) <= real_radius[i] for i in range(len(real))) for y in synthetic]
    recall = [any(apart(x, synthetic[j]) <= synthetic_radius[j] for j in range(len(synthetic))) for x in real]
    density = [sum(apart(y, real[i]) <= real_radius[i] for i in range(len(real))) / k for y in synthetic]
    covered = [any(apart(real[i], y) <= real_radius[i] for y in synthetic) for i in range(len(real))]
    return [float(np.mean(one)) for one in (precision, recall, density, covered)]


def values(found):
    return [found.precision.value, found.recall.value, found.density.value, found.coverage.value]


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.sampled_from([2, 5]))
def test_equals_loops(seed, k, width):
    rng = np.random.default_rng(seed)
    # Few places, so that distances are often equal and films often doubles.
    real, synthetic = rng.integers(0, 4, (13, width)), rng.integers(1, 6, (9, width))
    found = manifold_coverage(real, synthetic, neighbours=k, num_resamples=2)
    assert values(found) == pytest.approx(by_loops(real.tolist(), synthetic.tolist(), k))
    assert (found.neighbours, found.num_real, found.num_synthetic) == (k, 13, 9)


def test_parts_of_the_real_films_give_the_same_as_all_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    real, synthetic = rng.normal(size=(40, 3)), rng.normal(size=(30, 3))
    whole = manifold_coverage(real, synthetic, num_resamples=2)
    monkeypatch.setattr(coverage, "_CHUNK", 7)
    assert manifold_coverage(real, synthetic, num_resamples=2) == whole
    # Radii that are given are those that would be computed.
    assert manifold_coverage(real, synthetic, real_radii=coverage.ball_radii(real), num_resamples=2) == whole


def test_doubles_of_real_films_are_inside_their_own_balls():
    # Seven films at two places each: every ball of k = 5 has no extent.
    real = np.repeat([[0.0, 0], [4, 4]], 7, axis=0)
    found = manifold_coverage(real, real[:7], num_resamples=2)
    assert values(found) == pytest.approx([1, 0.5, 7 / 5, 0.5])
    elsewhere = manifold_coverage(real, real + 1, num_resamples=2)
    assert values(elsewhere) == [0, 0, 0, 0]


def test_a_collapsed_generator_is_precise_and_covers_nothing():
    rng = np.random.default_rng(1)
    real, same = rng.normal(size=(300, 8)), rng.normal(size=(200, 8))
    collapsed = real[:1] + 0.01 * rng.normal(size=(200, 8))
    fair, poor = manifold_coverage(real, same), manifold_coverage(real, collapsed)
    assert poor.precision.value == 1
    assert poor.recall.value < 0.02 < 0.5 < fair.recall.value
    assert poor.coverage.high < 0.2 < 0.8 < fair.coverage.low
    assert fair.density.value == pytest.approx(1, abs=0.25)
    noise = manifold_coverage(real, 10 + same)
    assert values(noise) == [0, 0, 0, 0]


def test_the_order_of_the_films_does_not_matter():
    rng = np.random.default_rng(2)
    real, synthetic = rng.normal(size=(30, 4)), rng.normal(size=(25, 4))
    patients, others = rng.integers(0, 9, 30).astype(str), rng.integers(0, 9, 25).astype(str)
    order, other = rng.permutation(30), rng.permutation(25)
    found = manifold_coverage(real, synthetic, real_patients=patients, synthetic_patients=others)
    again = manifold_coverage(
        real[order], synthetic[other], real_patients=patients[order], synthetic_patients=others[other]
    )
    for name in ("precision", "recall", "density", "coverage"):
        one, two = getattr(found, name), getattr(again, name)
        assert (one.low, one.value, one.high) == pytest.approx((two.low, two.value, two.high))
        assert one.num_groups == len(set((patients if name in ("recall", "coverage") else others).tolist()))


@pytest.mark.parametrize("k", [0, 9])
def test_more_neighbours_than_films_are_refused(k):
    cloud = np.random.default_rng(0).normal(size=(20, 2))
    with pytest.raises(ValueError, match=f"fewer than the 9 films of the smaller set, got {k}"):
        manifold_coverage(cloud, cloud[:9], neighbours=k)
