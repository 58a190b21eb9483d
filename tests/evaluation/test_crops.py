"""Masks and boxes land where the pixels of the film land."""

import numpy as np
import pytest
import torch

from pedclip.data.transforms import Preprocess, square, to_pixels
from pedclip.evaluation.crops import box_array, boxes_in_crop, mask_in_crop

CROP = Preprocess(size=80, resize=100)


@pytest.mark.parametrize("shape", [(200, 102), (122, 200), (100, 100), (50, 50)])
def test_a_mask_lies_where_its_pixels_are(shape: tuple[int, int]) -> None:
    film = np.zeros(shape, np.uint8)
    film[shape[0] // 4 : shape[0] // 2, shape[1] // 3 : shape[1] // 2] = 255
    seen = to_pixels(torch.from_numpy(square(film, 100).copy())[None], CROP)[0, 0].numpy() > 0  # above mid-gray
    mask = mask_in_crop(film, CROP)
    assert mask.shape == (80, 80)
    assert mask.sum() > 100
    np.testing.assert_array_equal(mask, seen)


def test_boxes_of_the_wanted_classes_inside_the_crop() -> None:
    def box(x: float, y: float, side: float, label: str) -> dict[str, object]:
        return {"x": x, "y": y, "width": side, "height": side, "label": label}

    found = boxes_in_crop(
        [box(10, 10, 40, "b"), box(0, 0, 5, "a"), box(50, 50, 20, "other"), box(0, 0, 50, "a")],
        (100, 100),
        CROP,
        ["a", "b"],
    )
    assert found.labels.tolist() == [1, 0]
    assert found.corners == pytest.approx(np.array([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5]]))
    assert boxes_in_crop([], (10, 10), CROP, ["a"]).corners.shape == (0, 4)
    array = box_array([found, found])
    assert array.shape == (2,)
    assert array[1] is found
