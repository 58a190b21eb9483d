"""Distances of clouds against matrix roots, loops and the truth of known distributions."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from pedclip.synthesis.quality.frechet import frechet_distance, frechet_value, kernel_distance, kernel_value


def clouds(seed, count=60, other=45, width=6):
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(width, width))
    return rng.normal(size=(count, width)) @ mix, rng.normal(0.4, 1.5, size=(other, width))


def by_matrices(one, other):
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    shift = one.mean(axis=0) - other.mean(axis=0)
    # The eigenvalues of a product of two covariances are those of the symmetric form.
    roots = np.sqrt(np.linalg.eigvals(first @ second).real.clip(0))
    return shift @ shift + np.trace(first) + np.trace(second) - 2 * roots.sum()


def test_the_frechet_distance_equals_matrix_roots():
    one, other = clouds(0)
    assert frechet_value(one, other) == pytest.approx(by_matrices(one, other), rel=1e-9)
    product = sqrtm(np.cov(one, rowvar=False) @ np.cov(other, rowvar=False))
    shift = one.mean(axis=0) - other.mean(axis=0)
    spread = np.cov(one, rowvar=False) + np.cov(other, rowvar=False) - 2 * product.real
    assert frechet_value(one, other) == pytest.approx(shift @ shift + np.trace(spread), rel=1e-9)


def test_the_frechet_distance_of_known_moments():
    # Means 1 and 4, variances 2 and 18 of the samples: 9 + (3√2 − √2)².
    assert frechet_value(np.array([[0.0], [2.0]]), np.array([[1.0], [7.0]])) == pytest.approx(9 + 8)
    # Two axes do not interact.
    one = np.array([[0.0, 0], [2, 0], [0, 0], [2, 0]])
    other = np.array([[0.0, 1], [0, 3], [0, 1], [0, 3]])
    assert frechet_value(one, other) == pytest.approx(1 + 4 + 4 / 3 + 4 / 3)


def test_fewer_films_than_features_need_no_ridge():
    one, other = clouds(1, count=9, other=7, width=30)
    assert frechet_value(one, other) == pytest.approx(by_matrices(one, other), rel=1e-6)
    found = frechet_distance(one, other)
    assert "not of full rank" in found.note
    assert found.note.startswith("7 films for 30 features")
    assert found.extrapolated is None


@pytest.mark.parametrize("count", [5, 60])
def test_the_frechet_distance_of_a_cloud_from_itself_is_nothing(count):
    one, _ = clouds(2, count=count)
    assert frechet_value(one, one[::-1]) == pytest.approx(0, abs=1e-10)
    assert frechet_value(one, one) >= 0


def test_the_frechet_distance_does_not_change_with_order_sides_or_a_rotation():
    one, other = clouds(3)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    value = frechet_value(one, other)
    assert frechet_value(other, one) == pytest.approx(value)
    assert frechet_value(one[::-1], np.roll(other, 3, axis=0)) == pytest.approx(value)
    assert frechet_value(one @ turn, other @ turn) == pytest.approx(value)
    assert frechet_value(3 * one, 3 * other) == pytest.approx(9 * value)


def test_the_extrapolation_takes_the_bias_away():
    width, plain, extrapolated = 12, [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        # Equal distributions: the truth is 0.
        found = frechet_distance(rng.normal(size=(200, width)), rng.normal(size=(200, width)), seed=seed)
        plain.append(found.value)
        extrapolated.append(found.extrapolated)
        assert found.note == ""
    assert np.mean(plain) > 0.3
    assert abs(np.mean(extrapolated)) < 0.06
    assert min(extrapolated) < 0 < min(plain)
    rng = np.random.default_rng(0)
    far = frechet_distance(rng.normal(size=(300, width)), 2 * rng.normal(size=(300, width)) + 0.5)
    assert far.extrapolated == pytest.approx(width * (0.25 + 1), rel=0.08)


def test_the_bias_falls_with_the_number_of_films():
    rng = np.random.default_rng(5)
    one, other = rng.normal(size=(800, 20)), rng.normal(size=(800, 20))
    values = [frechet_value(one[:count], other[:count]) for count in (25, 50, 200, 800)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 10 * values[-1]


def kernel_by_loops(one, other):
    def kernel(x, y):
        return (sum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3

    def within(cloud):
        pairs = [kernel(x, y) for i, x in enumerate(cloud) for j, y in enumerate(cloud) if i != j]
        return sum(pairs) / len(pairs)

    between = [kernel(x, y) for x in one for y in other]
    return within(one) + within(other) - 2 * sum(between) / len(between)


def test_the_kernel_distance_equals_loops():
    one, other = clouds(4, count=12, other=9, width=3)
    assert kernel_value(one, other) == pytest.approx(kernel_by_loops(one, other))
    # x = (1), (3) and y = (0), (1): (3 + 1)³ + 1 − 2 · (1 + 8 + 1 + 64) / 4.
    assert kernel_value(np.array([[1.0], [3.0]]), np.array([[0.0], [1.0]])) == pytest.approx(64 + 1 - 37)


def test_the_kernel_distance_is_the_mean_over_its_subsets():
    rng = np.random.default_rng(6)
    one, other = rng.normal(size=(40, 6)), rng.normal(1, 1, size=(30, 6))
    found = kernel_distance(one, other, subset_size=10, num_subsets=200, seed=3)
    assert (found.subset_size, found.num_subsets) == (10, 200)
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(kernel_value(one, other), rel=0.15)
    assert kernel_distance(one, other, subset_size=10, num_subsets=200, seed=3) == found
    assert kernel_distance(one, other, subset_size=10, num_subsets=200, seed=4) != found
    whole = kernel_distance(one[:30], other, subset_size=30, num_subsets=1)
    assert whole.value == whole.low == pytest.approx(kernel_value(one[:30], other))


def test_the_kernel_distance_has_no_bias():
    values = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        values.append(kernel_value(rng.normal(size=(10, 4)), rng.normal(size=(10, 4))))
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(60)
    assert min(values) < 0 < max(values)


def test_the_kernel_sees_more_than_means_at_the_length_of_film_features():
    rng = np.random.default_rng(0)
    half = rng.normal(size=(2, 200, 50)) * np.stack([np.ones(50), np.linspace(0, 2, 50)])[:, None]
    unit = [np.concatenate([cloud, -cloud]) for cloud in half / np.linalg.norm(half, axis=2, keepdims=True)]
    # The means are equal, and of vectors of length 1 the kernel is almost linear.
    blind = kernel_distance(*unit)
    seeing = kernel_distance(*(cloud * np.sqrt(50) for cloud in unit))
    assert blind.low < 0 < blind.high
    assert seeing.low > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subset_size": 31}, r"from 2 to the number of films, here 30, .* got 31"),
        ({"subset_size": 1}, r"got 1 and"),
        ({"subset_size": 5, "num_subsets": 0}, r"got 5 and 0"),
    ],
)
def test_subsets_that_cannot_be_drawn_are_refused(options, message):
    one, other = clouds(7, count=40, other=30)
    with pytest.raises(ValueError, match=message):
        kernel_distance(one, other, **options)


def test_subsets_that_are_all_the_same_are_refused():
    one, other = clouds(8, count=30, other=30)
    with pytest.raises(ValueError, match="every one of 50 subsets would be all 30 films"):
        kernel_distance(one, other, subset_size=30, num_subsets=50)


@pytest.mark.parametrize("measure", [frechet_distance, kernel_distance, frechet_value, kernel_value])
def test_clouds_that_do_not_compare_are_refused(measure):
    one, other = clouds(9)
    with pytest.raises(ValueError, match=r"at least 2 films each, got \(60, 6\) and \(45, 5\)"):
        measure(one, other[:, :5])
    with pytest.raises(ValueError, match="at least 2 films"):
        measure(one, other[:1])
    other[3, 2] = np.nan
    with pytest.raises(ValueError, match="features must be finite"):
        measure(one, other)
