"""Similarity of disease names, against loops; the centred cosine and the paraphrase AUC against a shifted encoder."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from pedclip.evaluation import disease_similarity, paraphrase_auc, similarity_summary

DISEASES = {"chest": ["effusion", "nodule", "opacity"], "knee": ["effusion of the knee", "fracture"]}


class Encoder:
    """Random directions, with a shift that all texts share."""

    def __init__(self, shift: float) -> None:
        self.shift = shift

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        vectors = [np.random.default_rng(sum(map(ord, text))).normal(size=16) for text in texts]
        return np.array(vectors) + self.shift


def test_pairs_lie_within_a_region_or_across_two() -> None:
    within = disease_similarity(Encoder(0), DISEASES)
    across = disease_similarity(Encoder(0), DISEASES, pairs="across")
    assert (len(within), len(across)) == (3 + 1, 3 * 2)
    assert set(within["region"]) == {"chest", "knee"}
    assert set(across["region"]) == {"chest / knee"}
    one, other = (vector / np.linalg.norm(vector) for vector in Encoder(0)(["effusion", "nodule"]))
    assert within["cosine"][0] == pytest.approx(one @ other)


def test_a_shared_shift_raises_cosines_and_not_centred_ones() -> None:
    plain, shifted = (disease_similarity(Encoder(shift), DISEASES) for shift in (0.0, 20.0))
    assert shifted["cosine"].min() > 0.9
    assert plain["cosine"].max() < 0.9
    assert similarity_summary(shifted)["high"].tolist() == [1.0, 1.0]
    assert abs(shifted["centred"] - plain["centred"]).max() < 0.3


def test_paraphrases_are_told_apart_whatever_the_shift() -> None:
    def speak(texts: Sequence[str]) -> NDArray[np.float64]:
        # The second word tells the disease, the first its wording.
        return np.array([np.eye(4)["abcd".index(text[1])] * 3 + np.eye(4)["xy".index(text[0])] for text in texts]) + 50

    assert paraphrase_auc(speak, {"a": ["xa", "ya"], "b": ["xb", "yb"], "c": ["xc"]}) == 1.0
    with pytest.raises(ValueError, match="two wordings"):
        paraphrase_auc(speak, {"a": ["xa"], "b": ["xb"]})


def test_a_prompt_without_a_place_for_the_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"needs \{\} where the name stands"):
        disease_similarity(Encoder(0), DISEASES, prompt="a radiograph")
    with pytest.raises(ValueError, match="make no pair"):
        disease_similarity(Encoder(0), {"chest": ["effusion"]})
