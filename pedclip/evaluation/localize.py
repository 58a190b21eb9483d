"""Where on the film a sentence points: patch-text similarity, and how often it points into the box."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pedclip.data.transforms import Preprocess, to_pixels
from pedclip.evaluation.embed import embed_texts
from pedclip.evaluation.intervals import Floats
from pedclip.evaluation.zero_shot import ensemble, patch_similarity
from pedclip.models.pedclip import PedCLIP


@torch.no_grad()
def similarity_maps(
    model: PedCLIP, images: NDArray[np.uint8], positive: Sequence[str], negative: Sequence[str]
) -> list[Floats]:
    """Patch-wise cosine with the positive prompts minus that with the negative ones.

    Args:
        model: Without a projection, or with one, which is applied to the patches.
        images: (N, R, R) squared films.
        positive: Prompts that affirm the finding.
        negative: Prompts that deny it.

    Returns:
        N maps (h, w) over the centre crop, in [-2, 2].
    """
    device = next(model.parameters()).device
    pixels = to_pixels(torch.from_numpy(np.array(images)).to(device), model.preprocess)
    patches = model.image_projection(model.encode_image(pixels).tokens)
    wanted = [ensemble(embed_texts(model, prompts, device=str(device))) for prompts in (positive, negative)]
    grid = model.image_encoder.grid
    return [
        patch_similarity(tokens, wanted[0], grid=grid) - patch_similarity(tokens, wanted[1], grid=grid)
        for tokens in patches.cpu().numpy()
    ]


def box_in_crop(
    box: Mapping[str, Any], size: tuple[int, int], preprocess: Preprocess
) -> tuple[float, float, float, float]:
    """A box of the stored film in coordinates of the model's input.

    Args:
        box: ``x``, ``y``, ``width``, ``height`` in pixels of the stored film.
        size: Width and height of the stored film.
        preprocess: Of the model; squares, resizes, crops the middle.

    Returns:
        Left, top, right, bottom as shares of the input's side, cut to [0, 1].
    """
    width, height = size
    longest = max(size)
    scale = preprocess.resize / longest
    margin = (preprocess.resize - preprocess.size) // 2
    left = (box["x"] + (longest - width) // 2) * scale - margin
    top = (box["y"] + (longest - height) // 2) * scale - margin
    edges = (left, top, left + box["width"] * scale, top + box["height"] * scale)
    first, second, third, fourth = (float(np.clip(edge / preprocess.size, 0, 1)) for edge in edges)
    return first, second, third, fourth


def pointing(map_: Floats, boxes: Sequence[tuple[float, float, float, float]]) -> tuple[bool, float]:
    """Whether the brightest patch lies in a box, and how often a random patch would.

    Args:
        map_: (h, w) similarity.
        boxes: As from ``box_in_crop``.

    Returns:
        The hit, and the share of patches whose centre lies in a box (the patch that holds the centre of a box counts
        for boxes smaller than a patch). A box outside the crop cannot be hit.
    """
    rows, columns = map_.shape
    inside = np.zeros(map_.shape, dtype=bool)
    y, x = (np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns
    for left, top, right, bottom in boxes:
        inside |= ((y >= top) & (y <= bottom))[:, None] & ((x >= left) & (x <= right))[None]
        middle = min(int((top + bottom) / 2 * rows), rows - 1), min(int((left + right) / 2 * columns), columns - 1)
        if right > left and bottom > top:  # a box outside the crop was cut to nothing
            inside[middle] = True
    return bool(inside.ravel()[map_.argmax()]), float(inside.mean())
