"""Masks and boxes of stored films in the square crop that the image encoder sees."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.metrics.detection import Boxes
from pedclip.evaluation.tasks.task import Task
from pedclip.triplets.splits import SPLITS
from pedclip.triplets.transforms import Preprocess, square

if TYPE_CHECKING:
    from datasets import Dataset


def mask_in_crop(mask: NDArray[Any], preprocess: Preprocess) -> NDArray[np.bool_]:
    """A mask padded, resized and cropped as `square` and `to_pixels` do with its film.

    Args:
        mask: (H, W) of the stored film; above 0 is inside. Of `structures`, pass `structures & flag`.
        preprocess: Of the model.

    Returns:
        (size, size).
    """
    # Smoothed and cut at one half, so that a thin structure does not fall between the pixels of the nearest neighbour.
    resized = square((np.asarray(mask) > 0).astype(np.uint8) * 255, preprocess.resize)
    first = (preprocess.resize - preprocess.size) // 2
    # The same crop from the middle as `to_pixels` takes of the film.
    return resized[first : first + preprocess.size, first : first + preprocess.size] >= 128


def boxes_in_crop(
    boxes: Sequence[Mapping[str, Any]], size: tuple[int, int], preprocess: Preprocess, classes: Sequence[str]
) -> Boxes:
    """The true boxes of a film, as fractions of the model's square input.

    Args:
        boxes: As in the triplet schema; those of other labels, and those outside the crop, are left out.
        size: (H, W) of the stored film, pixels.
        preprocess: Of the model.
        classes: Labels by class number.

    Returns:
        Boxes with corners in [0, 1].
    """
    # A box that the crop cut to nothing cannot be found by anybody.
    corners, labels = [], []
    for box in boxes:
        left, top, right, bottom = box_in_crop(box, size, preprocess)
        if box["label"] in classes and right > left and bottom > top:
            corners.append((left, top, right, bottom))
            # The class number is the place of the label among the classes of the task.
            labels.append(list(classes).index(box["label"]))
    return Boxes(np.array(corners).reshape(-1, 4), np.array(labels, dtype=np.int64))


def box_array(boxes: Sequence[Boxes]) -> NDArray[Any]:
    """(N,) object array of the boxes of N images, as `Part.truth` takes it."""
    # numpy would make a table of boxes of equal number.
    array = np.empty(len(boxes), dtype=object)
    array[:] = boxes
    return array


def fill_boxes(boxes: Sequence[Mapping[str, Any]], size: tuple[int, int], classes: Sequence[str]) -> NDArray[np.bool_]:
    """Boxes as a mask: every pixel whose centre lies in a box of the wanted labels.

    Args:
        boxes: As in the triplet schema, pixels of the stored film.
        size: (H, W) of the stored film, pixels.
        classes: The labels wanted.

    Returns:
        (H, W) of the stored film.

    Source: PedCLIP's masks of GRAZPEDWRI-DX (methods of PedCLIP, P22: boxes are public, the paper says only "Dice"),
        and those of RSNA Pneumonia in MGCA's public code, which the synthetic-image study uses.

    Example:
        >>> box = {"x": 1, "y": 0, "width": 2, "height": 1, "label": "fracture"}
        >>> fill_boxes([box], (2, 3), ["fracture"]).astype(int).tolist()
        [[0, 1, 1], [0, 0, 0]]
    """
    # Overlapping boxes are joined, as a mask cannot count.
    mask = np.zeros(size, dtype=np.bool_)
    for box in boxes:
        if box["label"] in classes:
            # A negative index would count from the other end of the film.
            left, top = max(box["x"], 0), max(box["y"], 0)
            right, bottom = box["x"] + box["width"], box["y"] + box["height"]
            mask[round(top) : round(bottom), round(left) : round(right)] = True
    return mask


def read_masks(
    triplets: "Dataset", preprocess: Preprocess, *, column: str = "mask", flag: int = 0, classes: Sequence[str] = ()
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The masks of a set of triplets in the crop.

    Args:
        triplets: N rows.
        preprocess: Of the model.
        column: "mask" (findings), "structures" (normal anatomy) or "boxes" (filled, see `fill_boxes`).
        flag: Bit of `pedclip.triplets.annotations` that is wanted of "structures"; 0 takes whatever is above 0.
        classes: Labels of the boxes that are filled, for "boxes".

    Returns:
        (N, size, size) masks, and (N,) whether the row has one (for "boxes": a box of these labels); whether none means
        "nothing there" or "not drawn" is for the caller to know.
    """
    # Booleans: 50 kB per film at 224², so that a data set of ten thousand fits into memory.
    masks = np.zeros((len(triplets), preprocess.size, preprocess.size), dtype=np.bool_)
    is_given = np.zeros(len(triplets), dtype=np.bool_)
    drawn = (
        _filled(triplets, classes)
        if column == "boxes"
        else (entry[column] for entry in triplets.select_columns([column]))
    )
    # A row without a mask keeps zeros, and `is_given` tells it from an empty mask.
    for row, mask in enumerate(drawn):
        if mask is not None:
            values = np.asarray(mask)
            # One picture holds several structures, each a bit.
            masks[row] = mask_in_crop(values & flag if flag else values, preprocess)
            is_given[row] = True
    return masks, is_given


def _filled(triplets: "Dataset", classes: Sequence[str]) -> Iterator[NDArray[np.bool_] | None]:
    films = triplets.select_columns(["image"])
    for row, boxes in enumerate(triplets["boxes"]):
        has_box = any(box["label"] in classes for box in boxes or ())
        # Only the size of the film is needed, and only where there is a box.
        yield fill_boxes(boxes, _size(films[row]["image"]), classes) if has_box else None


def read_true_boxes(triplets: "Dataset", preprocess: Preprocess, classes: Sequence[str]) -> NDArray[Any]:
    """(N,) object array of the true boxes of a set of triplets; arguments as for `boxes_in_crop`."""
    found = []
    for entry in triplets.select_columns(["image", "boxes"]):
        # No boxes and an empty list of boxes are the same to a detector.
        found.append(boxes_in_crop(entry["boxes"] or [], _size(entry["image"]), preprocess, classes))
    return box_array(found)


def _size(film: Any) -> tuple[int, int]:
    """(H, W) of a picture, which counts its width first."""
    return int(film.height), int(film.width)


def read_truth(task: Task, triplets: Mapping[str, "Dataset"], preprocess: Preprocess) -> dict[str, NDArray[Any]]:
    """The masks (N, size, size) or boxes (N,) of a task, by split, in the crop that the image encoder sees.

    Raises:
        ValueError: A task that is not of masks or boxes.
    """
    if task.kind not in ("masks", "boxes"):
        raise ValueError(f"{task.name} is of {task.kind}; only masks and boxes are read from the triplets")
    # Only pictures of the task are decoded.
    chosen = {split: triplets[split].select(task.rows[split]) for split in SPLITS}
    if task.kind == "boxes":
        return {split: read_true_boxes(part, preprocess, task.classes) for split, part in chosen.items()}
    return {
        split: read_masks(part, preprocess, column=task.column, flag=task.flag, classes=task.classes)[0]
        for split, part in chosen.items()
    }


def box_in_crop(
    box: Mapping[str, Any], size: tuple[int, int], preprocess: Preprocess
) -> tuple[float, float, float, float]:
    """A box of the stored film in coordinates of the model's input.

    Args:
        box: ``x``, ``y``, ``width``, ``height`` in pixels of the stored film.
        size: (H, W) of the stored film.
        preprocess: Of the model; squares, resizes, crops the middle.

    Returns:
        Left, top, right, bottom as fractions of the model's square input, cut to [0, 1].
    """
    height, width = size
    longest = max(size)
    # As `square` does: pad the shorter side, resize, then crop the middle.
    scale = preprocess.resize / longest
    # Cut off on each side by the crop, pixels of the resized square.
    margin = (preprocess.resize - preprocess.size) // 2
    left = (box["x"] + (longest - width) // 2) * scale - margin
    top = (box["y"] + (longest - height) // 2) * scale - margin
    # Pixels of the crop.
    edges = (left, top, left + box["width"] * scale, top + box["height"] * scale)
    first, second, third, fourth = (float(np.clip(edge / preprocess.size, 0, 1)) for edge in edges)
    return first, second, third, fourth
