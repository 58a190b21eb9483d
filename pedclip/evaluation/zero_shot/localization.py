"""Localization by sentences: similarity of patches and text, and how often it points into the box."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pedclip.evaluation.embeddings import embed_texts
from pedclip.evaluation.metrics.bootstrap import Floats
from pedclip.evaluation.zero_shot.scoring import cosines, ensemble, unit_vectors
from pedclip.models.pedclip import PedCLIP
from pedclip.triplets.transforms import to_pixels


@torch.no_grad()
def similarity_maps(
    model: PedCLIP, images: NDArray[np.uint8], positive: Sequence[str], negative: Sequence[str]
) -> list[Floats]:
    """Patch-wise cosine with the positive prompts minus that with the negative ones.

    The patches are those that enter the last block, under the final normalization: the loss reads the image token
    alone, so that the patch rows behind the last block come from expert weights that no patch has trained.

    Args:
        model: Without a projection, or with one, which is applied to the patches.
        images: (N, R, R) squared films.
        positive: Prompts that affirm the finding.
        negative: Prompts that deny it.

    Returns:
        N maps (h, w) over the centre crop, in [-2, 2].
    """
    device = next(model.parameters()).device
    # A copy, because a memory map is read-only.
    pixels = to_pixels(torch.from_numpy(np.array(images)).to(device), model.preprocess)
    # (N, 1+S, D): normalization and projection of the image token take the patches to the joint space as well.
    patches = model.image_projection(model.image_encoder.vit.norm(model.encode_image(pixels).dense))
    wanted = [ensemble(embed_texts(model, prompts, device=str(device))) for prompts in (positive, negative)]
    grid = model.image_encoder.grid
    return [
        patch_similarity(tokens, wanted[0], grid=grid) - patch_similarity(tokens, wanted[1], grid=grid)
        for tokens in patches.cpu().numpy()
    ]


def patch_similarity(tokens: NDArray[Any], text: NDArray[Any], *, grid: tuple[int, int] | None = None) -> Floats:
    """Cosine of each image patch with a text, laid out as on the image.

    Args:
        tokens: (1+S, C) tokens of one image, the image token first; project them to the joint space before, where
            C is not D.
        text: (D,) embedding.
        grid: Rows and columns of patches; None means a square.

    Returns:
        (h, w) in [-1, 1], top row first.

    Raises:
        ValueError: Widths differ, or the patches do not fill the grid.
    """
    if tokens.ndim != 2 or text.ndim != 1 or tokens.shape[1] != len(text):
        raise ValueError(
            f"patch_similarity compares tokens (1+S, C) with one text embedding (D,) of the same width, got "
            f"{tokens.shape} and {text.shape}; project the tokens to the joint space first"
        )
    # The image token is no place on the film.
    num_patches = len(tokens) - 1
    size = math.isqrt(max(num_patches, 0))
    rows, columns = (size, size) if grid is None else grid
    # A wrong grid would shear the map without any error.
    if num_patches < 1 or rows * columns != num_patches:
        wanted = "a square number" if grid is None else f"{rows} x {columns}"
        raise ValueError(
            f"expected {wanted} of patches after the image token, got {num_patches}; pass grid=(rows, columns)"
        )
    return cosines(unit_vectors(tokens[1:], "tokens"), unit_vectors(text[None], "text")[0]).reshape(rows, columns)


def pointing(map_: Floats, boxes: Sequence[tuple[float, float, float, float]]) -> tuple[bool, float]:
    """Pointing game: a hit where the brightest patch lies in a box, and how often a random patch would.

    Args:
        map_: (h, w) similarity.
        boxes: As from ``box_in_crop``.

    Returns:
        The hit, and the fraction of patches whose centre lies in a box (the patch that holds the centre of a box counts
        for boxes smaller than a patch). A box outside the crop cannot be hit.
    """
    rows, columns = map_.shape
    inside = np.zeros(map_.shape, dtype=bool)
    # Centres of the patches, in the same fractions of the crop as the boxes.
    y, x = (np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns
    for left, top, right, bottom in boxes:
        # (h, 1) and (1, w) make the rectangle (h, w).
        inside |= ((y >= top) & (y <= bottom))[:, None] & ((x >= left) & (x <= right))[None]
        middle = min(int((top + bottom) / 2 * rows), rows - 1), min(int((left + right) / 2 * columns), columns - 1)
        if right > left and bottom > top:  # a box outside the crop was cut to nothing
            inside[middle] = True
    return bool(inside.ravel()[map_.argmax()]), float(inside.mean())
