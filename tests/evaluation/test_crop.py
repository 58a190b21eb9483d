"""Masks and boxes land where the pixels of the film land."""

import numpy as np
import pytest
import torch
from datasets import Dataset, Features
from PIL import Image

from pedclip.evaluation.crop import box_array, boxes_in_crop, fill_boxes, mask_in_crop, read_masks, read_true_boxes
from pedclip.triplets.annotations import BONE, LUNG
from pedclip.triplets.schema import FEATURES
from pedclip.triplets.transforms import Preprocess, square, to_pixels

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
    def box(x: float, y: float, size: float, label: str) -> dict[str, object]:
        return {"x": x, "y": y, "width": size, "height": size, "label": label}

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
    filled, has_box = read_masks(triplets, CROP, column="boxes", classes=["fracture"])
    assert has_box.tolist() == [True, False]
    assert filled.nonzero()[1].max() == filled.nonzero()[2].max() == 39
    assert filled.sum() == 40 * 40
    assert read_masks(triplets, CROP, column="boxes", classes=["cast"])[1].tolist() == [False, False]
    first, second = read_true_boxes(triplets, CROP, ["fracture"])
    assert first.corners.tolist() == [[0, 0, 0.5, 0.5]]
    assert len(second.labels) == 0


@pytest.mark.parametrize("size", [(102, 200), (200, 122), (100, 100)])
def test_filled_boxes_lie_where_the_boxes_of_the_detection_task_lie(size: tuple[int, int]) -> None:
    box = {"x": size[1] / 4, "y": size[0] / 3, "width": size[1] / 4, "height": size[0] / 6, "label": "fracture"}
    other = box | {"x": 0.0, "label": "cast"}
    mask = mask_in_crop(fill_boxes([box, other], size, ["fracture"]), CROP)
    left, top, right, bottom = (boxes_in_crop([box], size, CROP, ["fracture"]).corners * CROP.size)[0]
    rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
    assert mask.sum() > max(50, 0.95 * len(rows) * len(columns))  # a rectangle; its corners may be smoothed away
    # Within a pixel: the edge is rounded once on the film and once in the crop.
    assert (columns[0], rows[0]) == pytest.approx((left, top), abs=1)
    assert (columns[-1] + 1, rows[-1] + 1) == pytest.approx((right, bottom), abs=1)


def test_filled_boxes_end_with_the_film_and_may_be_none() -> None:
    box = {"x": -3.0, "y": 8.4, "width": 5.0, "height": 40.0, "label": "fracture"}
    mask = fill_boxes([box, box | {"x": 1.0, "width": 4.0}], (12, 10), ["fracture"])
    expected = np.zeros((12, 10), dtype=bool)
    expected[8:, :5] = True  # overlapping boxes are joined
    np.testing.assert_array_equal(mask, expected)
    assert not fill_boxes([box], (12, 10), ["cast"]).any()
