"""Masks and boxes land where the pixels of the film land."""

import numpy as np
import pytest
import torch
from datasets import Dataset, Features
from PIL import Image

from pedclip.data.schema import FEATURES
from pedclip.data.structures import BONE, LUNG
from pedclip.data.transforms import Preprocess, square, to_pixels
from pedclip.evaluation.crops import box_array, boxes_in_crop, mask_in_crop, read_boxes, read_masks

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


def test_masks_and_boxes_of_triplets() -> None:
    structures = np.zeros((100, 100), np.uint8)
    structures[20:50] = BONE
    structures[40:70] |= LUNG
    film = Image.fromarray(np.zeros((100, 100), np.uint8))
    columns = ("image", "boxes", "mask", "structures")
    box = {"x": 10.0, "y": 10.0, "width": 40.0, "height": 40.0, "label": "fracture"}
    rows = {
        "image": [film, film],
        "boxes": [[box], []],
        "mask": [None, film],
        "structures": [Image.fromarray(structures), None],
    }
    triplets = Dataset.from_dict(rows, features=Features({name: FEATURES[name] for name in columns}))
    lungs, is_given = read_masks(triplets, CROP, column="structures", flag=LUNG)
    assert is_given.tolist() == [True, False]
    assert lungs[0].any(axis=1).nonzero()[0].tolist() == list(range(30, 60))
    assert not lungs[1].any()
    bones = read_masks(triplets, CROP, column="structures", flag=BONE)[0]
    assert bones[0].sum() == lungs[0].sum() == 30 * 80
    assert read_masks(triplets, CROP)[1].tolist() == [False, True]
    first, second = read_boxes(triplets, CROP, ["fracture"])
    assert first.corners.tolist() == [[0, 0, 0.5, 0.5]]
    assert len(second.labels) == 0
