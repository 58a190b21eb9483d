"""Pairs, and what is between them: literal windows for the similarity, hand-made films for the rest."""

import numpy as np
import pytest

from pedclip.synthesis.quality.diversity import (
    num_scales,
    pair_diversity,
    prompt_pairs,
    region_pairs,
    structural_similarity,
)
from pedclip.synthesis.quality.encoders import pixel_features
from tests.synthesis.quality.drawn_films import drawn_films, redrawn

FILMS = drawn_films(60, 0)


def test_pairs_of_a_prompt_are_all_pairs_of_it():
    prompts = np.random.default_rng(0).integers(0, 5, 14)
    expected = {(i, j) for i in range(14) for j in range(i + 1, 14) if prompts[i] == prompts[j]}
    found = prompt_pairs(prompts)
    assert {tuple(pair) for pair in found.tolist()} == expected
    assert len(found) == len(expected)
    with pytest.raises(ValueError, match="a prompt with at least 2 films"):
        prompt_pairs(["a", "b"])


def test_pairs_of_a_region_are_of_two_patients_who_are_in_no_other():
    rng = np.random.default_rng(1)
    regions, patients = rng.integers(0, 6, 200), rng.integers(0, 40, 200).astype(str)
    found = region_pairs(regions, patients, seed=2)
    first, second = found.T
    assert (regions[first] == regions[second]).all()
    assert (patients[first] != patients[second]).all()
    assert len(np.unique(patients[found])) == found.size
    # At most one patient of a region is left without a partner.
    assert found.size >= 40 - 6
    assert region_pairs(regions, patients, seed=2).tolist() == found.tolist()
    assert region_pairs(regions, patients, seed=3).tolist() != found.tolist()
    with pytest.raises(ValueError, match="films of at least 2 patients"):
        region_pairs(np.zeros(3, int), ["p"] * 3)


def test_the_only_pair_of_a_region_is_found_whatever_the_seed():
    # Two patients share the knee; one of them has a wrist, too.
    for seed in range(8):
        assert region_pairs(np.array([0, 0, 1]), ["a", "b", "a"], seed=seed).shape == (1, 2)


def similarity_by_windows(one, other):
    """SSIM of two films, and its contrast part, with a Gaussian window of 11 pixels that lies inside the film."""
    axis = np.arange(-5, 6)
    window = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for row in range(one.shape[0] - 10):
        for column in range(one.shape[1] - 10):
            x, y = (film[row : row + 11, column : column + 11].astype(float) for film in (one, other))
            mean_x, mean_y = (window * x).sum(), (window * y).sum()
            var_x, var_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
            shared = (window * (x - mean_x) * (y - mean_y)).sum()
            c1, c2 = 0.01**2, 0.03**2
            contrast = (2 * shared + c2) / (var_x + var_y + c2)
            values.append(((2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1) * contrast, contrast))
    return np.array(values).mean(axis=0)


def test_the_similarity_equals_literal_windows():
    films = FILMS.images[:6] / 255
    pairs = list(zip(films[:3], films[3:], strict=True))
    # One scale at 21 pixels.
    expected = [max(0, similarity_by_windows(one[:21, :21], other[:21, :21])[0]) for one, other in pairs]
    assert structural_similarity(films[:3, :21, :21], films[3:, :21, :21]) == pytest.approx(expected)
    # Two scales at 24: contrast at the fine one, everything at the coarse one, each to its weight.
    total = 0.0448 + 0.2856
    for (one, other), found in zip(pairs, structural_similarity(films[:3, :24, :24], films[3:, :24, :24]), strict=True):
        coarse = [film[:24, :24].reshape(12, 2, 12, 2).mean(axis=(1, 3)) for film in (one, other)]
        fine, all_of_it = similarity_by_windows(one[:24, :24], other[:24, :24])[1], similarity_by_windows(*coarse)[0]
        assert found == pytest.approx(max(0, fine) ** (0.0448 / total) * max(0, all_of_it) ** (0.2856 / total))


def test_scales_are_as_many_as_the_window_fits():
    assert [num_scales(size) for size in (11, 21, 22, 44, 64, 88, 112, 176, 512)] == [1, 1, 2, 3, 3, 4, 4, 5, 5]
    with pytest.raises(ValueError, match="at least 11 pixels, got 10"):
        num_scales(10)


@pytest.mark.parametrize("size", [16, 22, 32, 44, 64, 88, 112, 176])
def test_the_similarity_can_be_computed_at_every_size(size):
    rng = np.random.default_rng(size)
    films = rng.random((2, size, size))
    assert structural_similarity(films, films) == pytest.approx([1, 1], abs=1e-5)
    assert structural_similarity(films, rng.random((2, size, size))).max() < 0.5


def test_equal_films_have_no_diversity():
    films = np.repeat(FILMS.images[:5], 3, axis=0)
    found = pair_diversity(
        films, prompt_pairs(np.repeat(np.arange(5), 3)), features=pixel_features(films, compared_at=32)
    )
    assert found.similarity.value == pytest.approx(1, abs=1e-5)
    assert found.pixels.value == found.features.value == 0
    assert (found.num_scales, found.num_pairs) == (2, 15)


def test_differences_of_hand_made_films():
    films = np.zeros((3, 16, 16), np.uint8)
    films[1], films[2, :8] = 51, 255
    found = pair_diversity(films, np.array([[0, 1], [0, 2]]), features=np.array([[0.0, 0], [3, 4], [0, 2]]))
    assert found.pixels.value == pytest.approx((0.2 + np.sqrt(0.5)) / 2)
    assert found.features.value == pytest.approx((5 + 2) / 2 / np.sqrt(2))
    assert pair_diversity(films, np.array([[0, 1], [0, 2]])).features is None


def test_films_of_a_text_are_more_alike_than_films_of_a_region():
    count = len(FILMS)
    films = np.concatenate([redrawn(FILMS.texts, seed) for seed in range(3)])
    pairs = prompt_pairs(np.tile(np.arange(count), 3))
    owners = np.asarray(FILMS.patients)[pairs[:, 0] % count]
    of_text = pair_diversity(films, pairs, groups=owners)
    of_region = pair_diversity(FILMS.images, region_pairs(FILMS.regions, FILMS.patients))
    assert of_text.num_pairs == 3 * count
    assert of_text.similarity.num_groups == len(set(FILMS.patients))
    assert of_text.similarity.low > of_region.similarity.value
    assert of_text.pixels.high < of_region.pixels.value


def test_many_pairs_are_computed_in_parts(monkeypatch):
    pairs = prompt_pairs(FILMS.regions)[:40]
    whole = pair_diversity(FILMS.images, pairs, num_resamples=2)
    monkeypatch.setattr("pedclip.synthesis.quality.diversity._CHUNK", 7)
    parts = pair_diversity(FILMS.images, pairs, num_resamples=2)
    assert parts.similarity.value == pytest.approx(whole.similarity.value, abs=1e-6)
    assert parts.pixels.value == pytest.approx(whole.pixels.value)
