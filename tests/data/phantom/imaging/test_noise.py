import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pedclip.data.phantom.imaging.noise import normals, texture

SEEDS = range(64)
COUNT = 128 * 128


@pytest.fixture(scope="module")
def fields() -> np.ndarray:
    return normals(SEEDS, COUNT, stream=0).numpy().astype(np.float64)


def test_moments_of_the_normal_distribution(fields: np.ndarray) -> None:
    error = 1 / np.sqrt(fields.size)  # standard error of the mean; five of them each
    assert abs(fields.mean()) < 5 * error
    assert abs(fields.var() - 1) < 5 * np.sqrt(2) * error
    assert abs((fields**3).mean()) < 5 * np.sqrt(15) * error
    assert abs((fields**4).mean() - 3) < 5 * np.sqrt(96) * error
    # Means of whole fields: their spread must be that of independent pixels.
    assert fields.mean(1).std() * np.sqrt(COUNT) == pytest.approx(1, abs=5 / np.sqrt(2 * len(SEEDS)))


@pytest.mark.parametrize("lag", [1, 2, 127, 128, 129, COUNT // 2])
def test_pixels_are_not_correlated(fields: np.ndarray, lag: int) -> None:
    first, second = fields[:, lag:], fields[:, :-lag]
    bound = 5 / np.sqrt(first.size)
    assert abs((first * second).mean()) < bound
    assert abs(((first**2 - 1) * (second**2 - 1)).mean()) < 2 * bound


def test_seeds_and_streams_are_not_correlated(fields: np.ndarray) -> None:
    others = fields @ fields.T / COUNT - np.eye(len(SEEDS))
    assert np.abs(others - np.diag(np.diag(others))).max() < 5 / np.sqrt(COUNT)
    stream = normals(SEEDS, COUNT, stream=1).numpy()
    assert np.abs((stream * fields).mean(1)).max() < 5 / np.sqrt(COUNT)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**64 - 1), other=st.integers(0, 2**64 - 1), count=st.integers(2, 99))
def test_a_row_depends_on_its_seed_only(seed: int, other: int, count: int) -> None:
    alone, beside = normals([seed], count, stream=3), normals([other, seed], count, stream=3)
    assert torch.equal(alone[0], beside[1])
    assert torch.equal(beside[0], beside[1]) == (seed == other)
    assert alone.abs().max() < 4.9


def test_texture_is_smooth_and_keeps_its_scale() -> None:
    coarse, fine = (texture(range(40), 128, cells=(cells, cells), stream=0) for cells in (8, 64))

    def neighbours(field: torch.Tensor) -> float:
        return float((field[:, 1:] * field[:, :-1]).mean() / field.square().mean())

    assert neighbours(coarse) > 0.98 > 0.8 > neighbours(fine)
    assert 0.55 < float(coarse.std()) < 1.0
    # The same grid at another resolution: halving by averages gives nearly the same field.
    half = torch.nn.functional.avg_pool2d(coarse[:, None], 2)[:, 0]
    torch.testing.assert_close(texture(range(40), 64, cells=(8, 8), stream=0), half, atol=0.05, rtol=0)
