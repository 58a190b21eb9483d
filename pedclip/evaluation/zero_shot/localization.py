"""Localization by sentences: similarity of patches and text, and how often it points into the box."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pedclip.evaluation.embeddings import embed_texts
from pedclip.evaluation.metrics.bootstrap import Floats
from pedclip.evaluation.zero_shot.scoring import cosines, ensemble, unit_vectors
from pedclip.models.pedclip import PedCLIP
from pedclip.objectives.trained import ObjectiveModel
from pedclip.triplets.transforms import to_pixels


@torch.no_grad()
def similarity_maps(
    model: PedCLIP | ObjectiveModel, images: NDArray[np.uint8], positive: Sequence[str], negative: Sequence[str]
) -> list[Floats]:
    """Patch-wise cosine with the positive prompts minus that with the negative ones.

    Args:
        model: Its ``embed_patches`` says which patches.
        images: (N, R, R) squared films.
        positive: Prompts that affirm the finding.
        negative: Prompts that deny it.

    Returns:
        N maps (h, w) over the centre crop, in [-2, 2].
    """
    device = next(model.parameters()).device
    # A copy, because a memory map is read-only.
    pixels = to_pixels(torch.from_numpy(np.array(images)).to(device), model.preprocess)
    patches = model.embed_patches(model.encode_image(pixels)).cpu().numpy()  # (N, S, D)
    wanted = [ensemble(embed_texts(model, prompts, device=str(device))) for prompts in (positive, negative)]
    return [
        patch_similarity(film, wanted[0], grid=model.grid) - patch_similarity(film, wanted[1], grid=model.grid)
        for film in patches
    ]


def patch_similarity(patches: NDArray[Any], text: NDArray[Any], *, grid: tuple[int, int]) -> Floats:
    """Cosine of each image patch with a text, laid out as on the image.

    Args:
        patches: (S, D) patches of one image in the joint space.
        text: (D,) embedding.
        grid: Rows and columns of patches.

    Returns:
        (h, w) in [-1, 1], top row first.

    Raises:
        ValueError: Widths differ, or the patches do not fill the grid.
    """
    if patches.ndim != 2 or text.ndim != 1 or patches.shape[1] != len(text):
        raise ValueError(
            f"patch_similarity compares patches (S, D) with one text embedding (D,) of the same width, got "
            f"{patches.shape} and {text.shape}; see PedCLIP.embed_patches"
        )
    rows, columns = grid
    # A wrong grid would shear the map without any error.
    if len(patches) != rows * columns or not len(patches):
        raise ValueError(f"expected {rows} x {columns} patches, got {len(patches)}; pass grid=(rows, columns)")
    return cosines(unit_vectors(patches, "patches"), unit_vectors(text[None], "text")[0]).reshape(rows, columns)


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
