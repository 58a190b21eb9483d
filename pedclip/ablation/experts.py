"""Experts of a trained model: knock-out, swap, and the similarity of what they answer."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pedclip.ablation.mixtures import Reweigh, blocks_with_experts, only, reweighed, without
from pedclip.ablation.scores import OWN_TEXT, embed_with, own_text_ranks
from pedclip.anatomy import REGIONS
from pedclip.evaluation.embeddings import embed_texts, evaluating
from pedclip.models.mobe_block import MoBEBlock
from pedclip.models.pedclip import PedCLIP
from pedclip.triplets.arrays import TripletArrays
from pedclip.triplets.transforms import to_pixels

Change = Literal["knock-out", "swap"]


def expert_changes(
    model: PedCLIP,
    films: TripletArrays,
    experts: Sequence[str],
    *,
    change: Change,
    batch_size: int = 64,
    device: str = "cpu",
) -> pd.DataFrame:
    """Change of each region when one expert is taken away, or when it answers alone.

    The measure is the rank of a film's own text among the texts of its region, a fraction in [0, 1] with chance 0.5.

    Args:
        model: With experts, frozen.
        films: N films, labelled by region.
        experts: Names of the E experts.
        change: "knock-out" removes an expert and lets the others share its weight, "swap" lets it answer alone.
        batch_size: Films at a time.
        device: Where to compute.

    Returns:
        `expert`, `region`, `films`, `value` (with the change), `before` (of the gate), `difference`; a row per expert
        and region that has at least two different texts.

    Raises:
        ValueError: The model has no experts, or another number of them.
    """
    require_experts(model, experts)
    # Texts have no experts, so that they are embedded once.
    texts = embed_texts(model, films.texts, device=device)  # (N, D)
    regions = [REGIONS[region] for region in films.regions]

    embed = _embedder(model, films, batch_size=batch_size, device=device)

    def ranks(reweigh: Reweigh) -> pd.Series:
        image = embed(reweigh)  # (N, D)
        found = own_text_ranks(image, texts, regions, films.texts)  # row → rank
        return pd.Series(found).groupby([regions[row] for row in found]).agg("mean")

    # How many films stand behind a cell of the matrix.
    counts = pd.Series(regions).value_counts()
    # The gate as it is, through the same computation.
    before = ranks(lambda gates: gates)
    parts = []
    for number, expert in enumerate(experts):
        after = ranks(without(number) if change == "knock-out" else only(number))
        parts.append(
            pd.DataFrame({"value": after, "before": before}).rename_axis("region").reset_index().assign(expert=expert)
        )
    table = pd.concat(parts, ignore_index=True)
    # The order of the anatomy, in which charts put neighbours side by side.
    table["place"] = table["region"].map({region: place for place, region in enumerate(REGIONS)})
    table = table.sort_values(["place"], kind="stable").drop(columns="place").reset_index(drop=True)
    table["films"] = table["region"].map(counts)
    return table.assign(difference=table["value"] - table["before"], question=OWN_TEXT)


def expert_outputs(
    model: PedCLIP, films: TripletArrays, *, batch_size: int = 64, device: str = "cpu"
) -> NDArray[np.float32]:
    """Outputs of every expert of the last mixture for every film's image token, (E, N, C), before the gate weighs them.

    Args:
        model: With experts, frozen.
        films: N films.
        batch_size: At a time.
        device: Where to compute.

    Raises:
        ValueError: The model has no experts.
    """
    mixture = require_experts(model)
    seen: list[Tensor] = []

    def hook(module: nn.Module, given: tuple[Any, ...]) -> None:
        seen.append(given[0][:, 0])  # (B, C) normalized image tokens

    # All experts get what the mixture gets, whatever the gate would do with it.
    handle = mixture.register_forward_pre_hook(hook)
    outputs = []
    try:
        with evaluating(model, device):
            for start in range(0, len(films), batch_size):
                stored = torch.from_numpy(np.array(films.images[start : start + batch_size])).to(device)
                model.encode_image(to_pixels(stored, model.preprocess))
                token = seen.pop()
                hidden = F.gelu(torch.einsum("bc,ehc->ebh", token, mixture.w1) + mixture.b1[:, None])  # (E, B, H)
                said = torch.einsum("ebh,ech->ebc", hidden, mixture.w2) + mixture.b2[:, None]  # (E, B, C)
                outputs.append(said.float().cpu().numpy())
    finally:
        handle.remove()
    return np.concatenate(outputs, axis=1)


def linear_cka(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Centred kernel alignment of two representations of the same items, in [0, 1]; 1 up to rotation and scale.

    Args:
        first: (N, D).
        second: (N, D'), of the same items.

    Raises:
        ValueError: Numbers of items differ, or a representation is the same for all of them.

    Source: Kornblith et al. 2019, linear CKA.

    Example:
        >>> linear_cka(np.eye(4), 3 * np.eye(4)[:, ::-1])
        1.0
    """
    if len(first) != len(second):
        raise ValueError(f"representations of {len(first)} and of {len(second)} items cannot be compared")
    # Centred: a constant output is no information.
    one, other = (np.asarray(part, np.float64) - np.mean(part, axis=0) for part in (first, second))
    own = np.linalg.norm(one.T @ one) * np.linalg.norm(other.T @ other)
    if own == 0:
        raise ValueError("a representation is the same for all items, so that nothing can be aligned with it")
    return float(round(np.linalg.norm(other.T @ one) ** 2 / own, 12))


def cka_matrix(first: NDArray[Any], second: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """Similarity of experts on the same films, of one model or of two seeds.

    Args:
        first: (E, N, C) outputs.
        second: (E', N, C') of another model; None compares the experts with each other.

    Returns:
        (E, E') of `linear_cka`.
    """
    # Against itself the matrix is symmetric with ones on its diagonal.
    others = first if second is None else second
    return np.array([[linear_cka(one, other) for other in others] for one in first])


def _embedder(
    model: PedCLIP, films: TripletArrays, *, batch_size: int, device: str
) -> Callable[[Reweigh], NDArray[np.float32]]:
    """Weights of the experts → (N, D) embeddings of all films."""
    encoder: Any = model.image_encoder  # a ViT, since it has experts
    last = encoder.vit.blocks[-1]
    if len(blocks_with_experts(model)) > 1 or not isinstance(last, MoBEBlock):
        rows = np.arange(len(films))
        return lambda reweigh: embed_with(model, films, rows, reweigh, batch_size=batch_size, device=device)[0]
    # Experts in the last block alone, as published: what enters it is the same under all weights.
    entering = []
    with evaluating(model, device):
        for start in range(0, len(films), batch_size):
            stored = torch.from_numpy(np.array(films.images[start : start + batch_size])).to(device)
            entering.append(model.encode_image(to_pixels(stored, model.preprocess)).dense)  # (B, 1+S, C)

    def embed(reweigh: Reweigh) -> NDArray[np.float32]:
        parts = []
        with evaluating(model, device), reweighed(model, reweigh):
            for dense in entering:
                token, _ = last.image_token(dense.to(device), None)  # (B, 1, C)
                pooled = encoder.normalize(token)[:, 0]
                parts.append(F.normalize(model.image_projection(pooled).float(), dim=1).cpu().numpy())
        return np.concatenate(parts)

    return embed


def require_experts(model: Any, experts: Sequence[str] | None = None) -> Any:
    """The last mixture of a model.

    Args:
        model: Of any kind.
        experts: Names that somebody gave its experts.

    Raises:
        ValueError: It has no experts, or another number of them.
    """
    blocks = blocks_with_experts(model)
    if not blocks:
        raise ValueError("this model has no experts; give one whose mobe_layers are not ()")
    if experts is not None and len(experts) != blocks[-1].w1.shape[0]:
        raise ValueError(f"{len(experts)} names were given for {blocks[-1].w1.shape[0]} experts")
    return blocks[-1]
