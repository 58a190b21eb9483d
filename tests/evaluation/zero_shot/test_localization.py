"""Boxes on the crop by hand and on real pixels, the pointing game by hand, maps of a tiny model."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pedclip.evaluation.crop import box_in_crop
from pedclip.evaluation.zero_shot.localization import patch_similarity, pointing, similarity_maps
from pedclip.training.loop import build_model
from pedclip.triplets.transforms import Preprocess, square, to_pixels
from tests.training.tiny import tiny_arrays, tiny_config

CROP = Preprocess(size=80, resize=100)  # a margin of 10 pixels


@pytest.mark.parametrize(
    ("size", "box", "expected"),
    [
        ((100, 50), (10, 20, 20, 30), (25 / 80, 10 / 80, 45 / 80, 40 / 80)),  # portrait: 25 pixels of padding
        ((100, 200), (40, 20, 60, 40), (10 / 80, 25 / 80, 40 / 80, 45 / 80)),  # landscape, halved: 50 above
        ((100, 200), (0, 0, 200, 100), (0, 15 / 80, 1, 65 / 80)),  # the whole film, cut left and right
        ((100, 100), (0, 0, 10, 10), (0, 0, 0, 0)),  # outside the crop
    ],
)
def test_a_box_by_hand(
    size: tuple[int, int], box: tuple[int, int, int, int], expected: tuple[float, float, float, float]
) -> None:
    named = dict(zip(("x", "y", "width", "height"), box, strict=True))
    assert box_in_crop(named, size, CROP) == pytest.approx(expected, abs=1e-12)  # float64 sums


@pytest.mark.parametrize("shape", [(100, 51), (61, 100), (100, 100)])
def test_a_box_lies_where_its_pixels_are(shape: tuple[int, int]) -> None:
    film = np.zeros(shape, np.uint8)
    film[25:40, 22:31] = 255
    pixels = to_pixels(torch.from_numpy(square(film, 100).copy())[None], CROP)[0, 0]
    rows, columns = ((pixels > 0).any(axis).nonzero() for axis in (1, 0))
    seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    box = {"x": 22, "y": 25, "width": 9, "height": 15}
    assert box_in_crop(box, shape, CROP) == pytest.approx([float(edge) / 80 for edge in seen], abs=1e-12)


@pytest.mark.parametrize(
    ("brightest", "boxes", "expected"),
    [
        ((1, 1), [(0, 0, 0.5, 0.5)], (True, 4 / 16)),
        ((1, 2), [(0, 0, 0.5, 0.5)], (False, 4 / 16)),
        ((0, 3), [(0.5, 0, 1, 0.25)], (True, 2 / 16)),  # wide: columns are x
        ((3, 0), [(0.5, 0, 1, 0.25)], (False, 2 / 16)),
        ((2, 1), [(0.26, 0.51, 0.3, 0.55)], (True, 1 / 16)),  # smaller than a patch, away from its centre
        ((1, 2), [(0.26, 0.51, 0.3, 0.55)], (False, 1 / 16)),
        ((3, 3), [(0, 0, 0.5, 0.5), (0.8, 0.8, 1, 1), (0, 0, 0.25, 0.25)], (True, 5 / 16)),  # overlap counts once
        ((3, 3), [(1, 1, 1, 1)], (False, 0)),  # outside the crop, cut to nothing
        ((3, 2), [(0.5, 1, 0.9, 1)], (False, 0)),
        ((0, 0), [], (False, 0)),
    ],
)
def test_pointing_by_hand(
    brightest: tuple[int, int], boxes: list[tuple[float, float, float, float]], expected: tuple[bool, float]
) -> None:
    heat = np.full((4, 4), -0.5)
    heat[brightest] = 0.1
    assert pointing(heat, boxes) == expected


@pytest.mark.parametrize("projection", [0, 24])
def test_maps_are_cosine_differences_of_the_patches(projection: int) -> None:
    arrays = tiny_arrays(6)
    torch.manual_seed(0)
    model = build_model(tiny_config({"projection_dim": projection}), arrays).eval()
    positive, negative = ["Film 1 of the chest.", "Film 2 of the chest."], ["Film of the pelvis."]
    maps = similarity_maps(model, arrays.images[:3], positive, negative)
    assert [map_.shape for map_ in maps] == [(2, 2)] * 3

    with torch.no_grad():
        pixels = to_pixels(torch.from_numpy(arrays.images[:3]), model.preprocess)
        dense = model.image_encoder.vit.norm(model.encode_image(pixels).dense)
        patch = model.image_projection(dense)[2, 1 + 2]  # row 1, column 0 of the last film
        prompts = [
            model.encode_text(**model.tokenize(sentences)).embedding.mean(0) for sentences in (positive, negative)
        ]
        cosines = [torch.nn.functional.cosine_similarity(patch, prompt, dim=0) for prompt in prompts]
    assert maps[2][1, 0] == pytest.approx(float(cosines[0] - cosines[1]), abs=1e-5)  # float32

    swapped = similarity_maps(model, arrays.images[:3], negative, positive)
    np.testing.assert_allclose(swapped, [-map_ for map_ in maps], rtol=0, atol=1e-12)


def test_maps_do_not_read_what_no_patch_has_trained() -> None:
    arrays = tiny_arrays(4)
    model = build_model(tiny_config(), arrays).eval()
    before = similarity_maps(model, arrays.images, ["Effusion."], ["No effusion."])
    with torch.no_grad():
        for weight in model.image_encoder.vit.blocks[-1].parameters():
            weight.add_(torch.randn_like(weight))
    np.testing.assert_array_equal(similarity_maps(model, arrays.images, ["Effusion."], ["No effusion."]), before)


def test_patches_keep_their_place() -> None:
    patches = np.array([[1.0, 0], [0, 1], [-1, 0], [1, 1], [0, 2], [3, 0]])
    similarity = patch_similarity(patches, np.array([2.0, 0.0]), grid=(2, 3))
    assert similarity == pytest.approx(np.array([[1, 0, -1], [np.sqrt(0.5), 0, 1]]), abs=1e-12)


@pytest.mark.parametrize(
    ("patches", "grid", "words"),
    [
        (np.ones((4, 4)), (2, 2), "of the same width"),
        (np.ones((5, 3)), (2, 2), "expected 2 x 2 patches, got 5"),
        (np.ones((0, 3)), (0, 0), "got 0"),
    ],
)
def test_patches_that_do_not_fit_are_errors(patches: NDArray[np.float64], grid: tuple[int, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        patch_similarity(patches, np.ones(3), grid=grid)
