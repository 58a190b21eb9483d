"""Prototypes: a film as regional means and one global vector, a report as groups of sentences and one global vector.

Index 0…K−2 is a region in raster order or a group in reading order, index K−1 the global prototype. Region k and group
k are compared with each other although nothing but their number relates them (decision E13 of PECM).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pedclip.evaluation.embeddings import evaluating
from pedclip.models.pedclip import PedCLIP
from pedclip.retrieval.config import Grid, ShortReports, check_layer
from pedclip.retrieval.config import PatchLayer as PatchLayer
from pedclip.retrieval.report_groups import NUM_GROUPS, Group, split_groups
from pedclip.triplets.transforms import to_pixels

_WINDOW: Final = 3  # patches, side of a region
_ADAPTIVE_SIDE: Final = 5  # regions, side of the grid that "adaptive5" makes of every film


@dataclass(frozen=True, eq=False)
class Prototypes:
    """Prototypes of N reports.

    Attributes:
        values: (N, K, C), the global one last; zero where absent.
        mask: (N, K) True where the report has this prototype.
        distinct: (N, K) True at the first of equal prototypes: repeats count as such in the diversity loss only.
    """

    values: Tensor
    mask: Tensor
    distinct: Tensor

    def __len__(self) -> int:
        return len(self.values)


def regions_per_side(side: int, grid: Grid = "ceil5") -> int:
    """Regions along one side of a film; the film has the square of it.

    Args:
        side: Patches along one side, at least 1.
        grid: See `image_prototypes`.

    Raises:
        ValueError: The grid leaves no region, or has fewer patches than regions.

    Example:
        >>> [regions_per_side(side, grid) for side in (14, 7) for grid in ("ceil5", "floor4", "adaptive5")]
        [5, 4, 5, 3, 2, 5]
    """
    # 14/3 is not whole: rounded up it gives the printed 5 × 5 (decision E1).
    sides = {"ceil5": -(-side // _WINDOW), "floor4": side // _WINDOW, "adaptive5": min(side, _ADAPTIVE_SIDE)}
    if grid not in sides:
        raise ValueError(f"grid={grid!r} is not allowed: one of {tuple(sides)}")
    if sides[grid] < 1 or (grid == "adaptive5" and side < _ADAPTIVE_SIDE):
        raise ValueError(f"grid={grid!r} on {side} x {side} patches is not allowed: too few patches for its regions")
    return sides[grid]


def image_prototypes(patches: Tensor, global_token: Tensor, *, grid: Grid = "ceil5") -> Tensor:
    """Regional means of patch tokens in raster order, then the global token.

    "ceil5" and "floor4" take windows of 3 × 3 patches, and are named by what they make of the printed 14 × 14; the last
    windows of "ceil5" hold what is left, down to one patch. 7 × 7 patches become 3 × 3 and 2 × 2 regions.
    "adaptive5" makes 5 × 5 regions of any film, which overlap where the side is no multiple of 5.

    Args:
        patches: (B, S, C) patch tokens, S a square number.
        global_token: (B, C) of the whole film.
        grid: How patches become regions (decision E1).

    Returns:
        (B, K, C) with K − 1 regions and the global token last.

    Raises:
        ValueError: Shapes do not fit, S is no square, or the grid leaves no region.

    Source: PECM, section 2.1. Differs: 3 × 3 groups of 14 × 14 patches are not 25; see the grids.
    """
    if patches.dim() != 3 or global_token.shape != (patches.shape[0], patches.shape[2]):
        raise ValueError(
            f"patches {tuple(patches.shape)} and global_token {tuple(global_token.shape)} must be (B, S, C) and (B, C)"
        )
    batch, num_patches, width = patches.shape
    # Square films have square grids; a number that is no square has a prefix token among the patches.
    side = round(num_patches**0.5)
    if side * side != num_patches:
        raise ValueError(f"S={num_patches} patches are no square; leave out the image token and other prefixes")
    regions_per_side(side, grid)
    planes = patches.transpose(1, 2).reshape(batch, width, side, side)  # (B, C, side, side)
    if grid == "adaptive5":
        pooled = F.adaptive_avg_pool2d(planes, _ADAPTIVE_SIDE)
    else:
        # Padding is not counted: a window over the edge is the mean of the patches that it has.
        pooled = F.avg_pool2d(planes, _WINDOW, ceil_mode=grid == "ceil5", count_include_pad=False)
    regions = pooled.flatten(2).transpose(1, 2)  # (B, K-1, C)
    return torch.cat([regions, global_token[:, None]], dim=1)


def film_prototypes(
    model: PedCLIP,
    films: NDArray[np.uint8],
    *,
    grid: Grid = "ceil5",
    layer: PatchLayer = "final",
    batch_size: int = 64,
    device: str = "cpu",
) -> Tensor:
    """Prototypes of films by a frozen PedCLIP, in its joint space.

    Args:
        model: Computes in evaluation mode, without gradients.
        films: (N, R, R) stored films.
        grid: See `image_prototypes`.
        layer: Patch tokens "final" after the last block, in the space of the texts, or "dense" before it. The published
            PedCLIP trains no patches in its last block (its methods, P25).
        batch_size: Films at a time.
        device: To compute on.

    Returns:
        (N, K, D) float32 on the CPU; the global prototype is the film's unit embedding.

    Raises:
        ValueError: Another layer.
    """
    found = []  # (B, K, D) each
    with evaluating(model, device):
        for start in range(0, len(films), batch_size):
            # A copy, because torch warns of films that are mapped for reading only.
            stored = torch.from_numpy(np.array(films[start : start + batch_size])).to(device)
            found.append(encode_films(model, stored, grid=grid, layer=layer).cpu())
    # A copy made outside: tensors of inference mode may not enter a training.
    return torch.cat(found).clone()


def encode_films(model: PedCLIP, films: Tensor, *, grid: Grid = "ceil5", layer: PatchLayer = "final") -> Tensor:
    """Prototypes of a batch of films as the model is now, with gradients unless the caller turns them off.

    Args:
        model: In whatever mode and on whatever device it is.
        films: (B, R, R) uint8 stored films on that device; the crop is from the middle.
        grid: See `image_prototypes`.
        layer: See `film_prototypes`.

    Returns:
        (B, K, D) float32.

    Raises:
        ValueError: Another layer.
    """
    check_layer(layer)
    features = model.encode_image(to_pixels(films, model.preprocess))
    tokens = features.dense if layer == "dense" else features.tokens
    # The head of the image token serves its patches: one width, and one space with the texts.
    patches = model.image_projection(tokens[:, 1:])  # (B, S, D)
    return image_prototypes(patches.float(), features.embedding.float(), grid=grid)


def collect(groups: Sequence[Sequence[Group]], vectors: Mapping[Group, Tensor], whole: Tensor) -> Prototypes:
    """Prototypes from the vectors of groups.

    Args:
        groups: K − 1 groups for each of N reports, () where absent.
        vectors: (C,) of each group that occurs.
        whole: (N, C) global prototypes.

    Returns:
        (N, K, C) with their masks.
    """
    # Absent prototypes stay zero, so that they add nothing to a sum.
    values = whole.new_zeros(len(groups), len(groups[0]) + 1, whole.shape[1])  # (N, K, C)
    mask = torch.zeros(values.shape[:2], dtype=torch.bool)
    distinct = mask.clone()
    number_of = {group: number for number, group in enumerate(vectors)}
    numbers = []
    for row, found in enumerate(groups):
        for index, group in enumerate(found):
            if group:
                numbers.append(number_of[group])
                mask[row, index] = True
                # Also two equal sentences of one report: their cosine is 1 whatever is learned.
                distinct[row, index] = group not in found[:index]
    # All at once, in the order of the loops: a graph of one step, not of one per group. Numbers of the places, because
    # the mask itself changes below, and the gradient would look at it again.
    values[mask.nonzero(as_tuple=True)] = torch.stack(list(vectors.values()))[numbers]
    # The whole report is no repeat even where it is one sentence: [CLS] is another vector than the token mean.
    values[:, -1], mask[:, -1], distinct[:, -1] = whole, True, True
    return Prototypes(values, mask.to(whole.device), distinct.to(whole.device))


def report_prototypes(
    model: PedCLIP,
    reports: Sequence[str],
    *,
    num_groups: int = NUM_GROUPS,
    short: ShortReports = "mask",
    batch_size: int = 64,
    device: str = "cpu",
) -> Prototypes:
    """Prototypes of reports by the text encoder of a frozen PedCLIP, in its joint space.

    A group is the mean of its token features, each sentence read on its own: only the end of a sentence longer than the
    encoder's longest text is lost, and a sentence has the same features wherever it stands. The global prototype is
    [CLS] of the whole report, which sees as many tokens as the encoder takes.

    Args:
        model: Computes in evaluation mode, without gradients.
        reports: N texts, such as findings sections.
        num_groups: K − 1.
        short: See `sentence_groups`.
        batch_size: Texts at a time.
        device: To compute on.

    Returns:
        (N, K, D) prototypes, float32 on the CPU.

    Raises:
        ValueError: No report, or reports without a sentence.

    Source: PECM, section 2.1, with BERT as in its section 3.4 (decision E11).
    """
    if not reports:
        raise ValueError("reports is empty: at least one is needed")
    groups = split_groups(reports, num_groups, short=short)
    with evaluating(model, device):
        found = encode_reports(model, reports, groups, batch_size=batch_size, storage="cpu")
    # Copies made outside: tensors of inference mode may not enter a training.
    return Prototypes(found.values.clone(), found.mask.clone(), found.distinct.clone())


def encode_reports(
    model: PedCLIP,
    reports: Sequence[str],
    groups: Sequence[Sequence[Group]],
    *,
    batch_size: int = 64,
    storage: str | torch.device | None = None,
) -> Prototypes:
    """Prototypes of reports as the model is now, with gradients unless the caller turns them off.

    Args:
        model: In whatever mode and on whatever device it is.
        reports: N texts, at least one.
        groups: Their K − 1 groups of sentences, by `split_groups`.
        batch_size: Texts at a time.
        storage: Device of the result; None leaves it where the model is.

    Returns:
        (N, K, D) prototypes, float32.
    """
    # Normal sentences recur in thousands of reports, and each is encoded once.
    sentences = sorted({sentence for row in groups for group in row for sentence in group})
    sums, counts, _ = _encode(model, sentences, batch_size, storage)
    row_of = {sentence: row for row, sentence in enumerate(sentences)}
    vectors = {}
    # In the order of the texts: that of a set differs between processes, and the order of gradients with it.
    for group in dict.fromkeys(group for row in groups for group in row if group):
        rows = [row_of[sentence] for sentence in group]
        # Every token counts alike, so that a long sentence weighs more than a short one.
        vectors[group] = sums[rows].sum(0) / counts[rows].sum()
    return collect(groups, vectors, _encode(model, reports, batch_size, storage)[2])


def _encode(
    model: PedCLIP, texts: Sequence[str], batch_size: int, storage: str | torch.device | None
) -> tuple[Tensor, Tensor, Tensor]:
    # Sum over the tokens (N, D), their number (N,) and [CLS] (N, D). Texts of one length together waste no padding.
    order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    device = next(model.parameters()).device
    sums, counts, firsts = [], [], []
    for start in range(0, len(order), batch_size):
        tokens = model.tokenize([texts[number] for number in order[start : start + batch_size]])
        ids, attention = tokens["input_ids"].to(device), tokens["attention_mask"].to(device)  # (B, T)
        features = model.text_projection(model.text_encoder(ids, attention)[-1]).float()  # (B, T, D)
        # [CLS] and [SEP] frame every text and say nothing of this one.
        # A text of unknown signs has [UNK], which is a word here.
        frame = torch.tensor([model.tokenizer.cls_token_id, model.tokenizer.sep_token_id], device=device)
        words = attention * ~torch.isin(ids, frame)
        # What the tokenizer leaves empty is the mean of its frame, not a division by zero.
        words = torch.where(words.any(1, keepdim=True), words, attention)[..., None]  # (B, T, 1)
        sums.append((features * words).sum(1).to(storage or device))
        counts.append(words.sum((1, 2)).to(storage or device))
        firsts.append(features[:, 0].to(storage or device))
    back = torch.tensor(order).argsort().to(storage or device)
    return torch.cat(sums)[back], torch.cat(counts)[back], torch.cat(firsts)[back]
