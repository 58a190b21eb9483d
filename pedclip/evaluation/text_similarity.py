"""Similarity of disease names in a text encoder: the second quantitative analysis of the survey."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pedclip.evaluation.metrics import auc
from pedclip.evaluation.zero_shot.scoring import unit_vectors

Pairs = Literal["within", "across"]
HIGH: Final = 0.9  # cosine above which two diseases count as mixed up

EncodeText = Callable[[Sequence[str]], NDArray[Any]]  # P sentences -> (P, D)


def disease_similarity(
    encode_text: EncodeText, diseases: Mapping[str, Sequence[str]], *, prompt: str = "{}", pairs: Pairs = "within"
) -> pd.DataFrame:
    """Cosines of the names of diseases with each other, as they are and centred.

    Cosines of two encoders are not on one scale: where all texts lie in a narrow cone every pair is similar, and the
    order of pairs may be right all the same. Centred cosines have the mean of all names subtracted first.

    Args:
        encode_text: Sentences to embeddings of any length.
        diseases: Region to the names of its diseases.
        prompt: "{}" is replaced by the name; a template makes every cosine larger.
        pairs: "within" a region, or of two regions.

    Returns:
        `region` (of both, or "A / B"), `first`, `second`, `cosine`, `centred`; a row per pair.

    Raises:
        ValueError: Fewer than two names in all, or a prompt without "{}".

    Source: "CLIP in medical imaging", Fig. 17, read as pairs within an organ, as its caption says. Differs: centred
        cosines are ours.
    """
    if "{}" not in prompt:
        raise ValueError(f"prompt={prompt!r} is not allowed: it needs {{}} where the name stands")
    names = [(region, name) for region, found in diseases.items() for name in dict.fromkeys(found)]
    if len(names) < 2:
        raise ValueError(f"{len(names)} names of diseases make no pair")
    vectors = unit_vectors(encode_text([prompt.format(name) for _, name in names]), "text")  # (M, D)
    raw, centred = vectors @ vectors.T, _centred(vectors)
    rows = []
    for (i, (region, first)), (j, (other, second)) in combinations(enumerate(names), 2):
        if (region == other) == (pairs == "within"):
            where = region if region == other else f"{region} / {other}"
            rows.append((where, first, second, float(raw[i, j]), float(centred[i, j])))
    return pd.DataFrame(rows, columns=["region", "first", "second", "cosine", "centred"])


def paraphrase_auc(encode_text: EncodeText, wordings: Mapping[str, Sequence[str]]) -> float:
    """Chance that two wordings of one disease are more similar than wordings of two, in [0, 1]; 0.5 knows no disease.

    Unlike the height of cosines it can be compared between encoders.

    Args:
        encode_text: Sentences to embeddings.
        wordings: Disease to at least one wording; two diseases must have two or more.

    Raises:
        ValueError: Fewer than two diseases, or none with two wordings.
    """
    names = [(disease, text) for disease, found in wordings.items() for text in dict.fromkeys(found)]
    vectors = unit_vectors(encode_text([text for _, text in names]), "text")  # (M, D)
    pairs = list(combinations(range(len(names)), 2))
    same = np.array([names[i][0] == names[j][0] for i, j in pairs])
    if not same.any() or same.all():
        raise ValueError("expected at least two diseases, one of them with two wordings")
    cosines = np.array([float(vectors[i] @ vectors[j]) for i, j in pairs])
    return float(auc(same, cosines))


def similarity_summary(pairs: pd.DataFrame) -> pd.DataFrame:
    """Mean, deviation and fraction above 0.9 of the cosines of each region.

    Args:
        pairs: Of `disease_similarity`.
    """
    groups = pairs.groupby("region", sort=False)
    return groups.agg(
        pairs=("cosine", "size"),
        mean=("cosine", "mean"),
        deviation=("cosine", "std"),
        high=("cosine", lambda values: float((values > HIGH).mean())),
        centred=("centred", "mean"),
    ).reset_index()


def _centred(vectors: NDArray[Any]) -> NDArray[Any]:
    apart = vectors - vectors.mean(axis=0)
    lengths = np.linalg.norm(apart, axis=1, keepdims=True)
    # A name at the very mean has no direction; its cosines are 0.
    unit = np.divide(apart, lengths, out=np.zeros_like(apart), where=lengths > 1e-12)
    cosines: NDArray[Any] = unit @ unit.T
    return cosines
