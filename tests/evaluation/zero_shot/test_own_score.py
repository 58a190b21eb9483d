"""Answers from scores of pairs: those of the embeddings where the score is a cosine, and what differs elsewhere."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from pedclip.evaluation.embeddings import embed
from pedclip.evaluation.metrics.classification import auc
from pedclip.evaluation.tasks.findings import discover_findings
from pedclip.evaluation.tasks.prompts import region_prompts
from pedclip.evaluation.zero_shot import own_score
from pedclip.evaluation.zero_shot.own_score import own_findings, own_regions, own_retrieval, pair_score_matrix
from pedclip.evaluation.zero_shot.scoring import retrieval, score_pairs, zero_shot_findings, zero_shot_regions
from pedclip.objectives.clip import CLIPObjective
from pedclip.objectives.gloria import GLoRIAObjective
from pedclip.objectives.trained import ObjectiveModel
from pedclip.triplets.transforms import Preprocess, to_pixels
from tests.objectives.tiny_features import tiny_model

RNG = np.random.default_rng(0)
FILMS = RNG.integers(0, 256, (20, 18, 18), dtype=np.uint8)
REGIONS = ("hip", "knee", "hand")


def rows(num: int = 20) -> list[dict]:
    """Films of two patients in a row; every other one has a fracture."""
    return [
        {
            "findings": ["fracture"] if i % 2 else [],
            "region": REGIONS[i // 2 % 3],
            "source": "a",
            "patient_id": str(i // 2),
        }
        for i in range(num)
    ]


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


IMAGE = unit(RNG.normal(size=(20, 5)))


def encode(sentences: list[str]) -> np.ndarray:
    """A direction for each sentence."""
    return unit(np.stack([np.random.default_rng(list(text.encode())).normal(size=5) for text in sentences]))


def encode_alike(sentences: list[str]) -> np.ndarray:
    """One direction for all wordings of a region, or of a finding's presence or absence."""
    keys = []
    for text in sentences:
        region = next((name for name in REGIONS if text in region_prompts(name)), None)
        keys.append(region or ("absent" if text.startswith(("No ", "There is no")) else "present"))
    return encode(keys)


def score_with(encoder: object) -> object:
    return lambda texts: IMAGE @ encoder(texts).T


def test_findings_and_regions_are_those_of_the_embeddings_where_wordings_agree() -> None:
    tasks = discover_findings(rows())
    options = {"num_resamples": 30, "seed": 2}
    found = own_findings(score_with(encode_alike), rows(), tasks, method="own", **options)
    expected = zero_shot_findings(IMAGE, rows(), encode_alike, tasks, method="own", **options)
    assert [result.to_dict() for result in found] == [result.to_dict() for result in expected]
    assert len(found) > 0
    for candidates in (None, ["hip", "knee"]):
        region = own_regions(score_with(encode_alike), rows(), candidates=candidates, **options)
        wanted = zero_shot_regions(IMAGE, rows(), encode_alike, candidates=candidates, **options)
        assert region.to_dict() == wanted.to_dict()
        assert region.confusion == wanted.confusion


def test_retrieval_is_that_of_the_embeddings() -> None:
    texts = [f"text {i % 7}" for i in range(20)]
    patients = [str(i // 2) for i in range(20)]
    found = own_retrieval(score_with(encode), texts, patients, num_resamples=30)
    expected = retrieval(IMAGE, encode(texts), texts, patients, num_resamples=30)
    assert [result.to_dict() for result in found] == [result.to_dict() for result in expected]


@pytest.mark.parametrize("prompting", ["pair", "single"])
def test_findings_by_hand(prompting: str) -> None:
    """Scores, not directions, are averaged: one film after the other, one wording after the other."""
    (task,) = (task for task in discover_findings(rows()) if task.name == "fracture")
    pair, score = task.require_rule().prompts, score_with(encode)
    assert len(pair.positive) > 1
    wanted = []
    for row in task.rows["test"]:
        positive, negative = (
            np.mean([float(score([text])[row, 0]) for text in side]) for side in (pair.positive, pair.negative)
        )
        wanted.append(positive - (negative if prompting == "pair" else 0))
    (result,) = own_findings(score, rows(), [task], prompting=prompting)
    assert result.predictions.output == pytest.approx(wanted, abs=1e-12)
    directions = score_pairs(IMAGE, encode(pair.positive), encode(pair.negative), prompting=prompting)
    assert np.abs(result.predictions.output - directions[task.rows["test"]]).max() > 1e-3
    labels = task.labels["test"][:, 0]
    assert result.score.value == pytest.approx(auc(labels, np.array(wanted)))


def test_regions_by_the_mean_of_the_wordings() -> None:
    prompts = {name: region_prompts(name) for name in REGIONS}
    assert min(map(len, prompts.values())) > 1
    # The hip has one wording that stands out, the knee is good in all of them.
    value = {text: 0.5 for text in prompts["knee"]} | {text: 0.0 for text in (*prompts["hip"], *prompts["hand"])}
    value[prompts["hip"][-1]] = 0.9
    score = lambda texts: np.tile([value[text] for text in texts], (20, 1))  # noqa: E731
    counts = np.array(own_regions(score, rows()).confusion.counts)
    assert counts.sum(0).tolist() == [0, 20, 0]  # hip, knee, hand


def test_every_prompt_is_asked_once_and_together() -> None:
    asked = []

    def score(texts: list[str]) -> np.ndarray:
        asked.append(list(texts))
        return IMAGE @ encode(texts).T

    tasks = discover_findings(rows())
    own_findings(score, rows(), [*tasks, *tasks])
    own_regions(score, rows())
    own_retrieval(score, [f"text {i % 2}" for i in range(20)])
    assert len(asked) == 3
    assert all(len(texts) == len(set(texts)) for texts in asked)
    assert asked[2] == ["text 0", "text 1"]
    assert own_findings(lambda texts: np.zeros((20, len(texts))), rows(), []) == []


class FakeModel(nn.Module):
    """Scores a pair by the brightness of the film and the length of the text."""

    def __init__(self) -> None:
        super().__init__()
        self.preprocess = Preprocess(size=16, resize=18)
        self.asked: list[tuple[str, ...]] = []
        self.sizes: list[int] = []

    def pair_scorer(self, texts: list[str], *, device: str) -> object:
        assert not self.training
        self.asked.append(tuple(texts))
        lengths = torch.tensor([len(text) for text in texts], dtype=torch.float64)

        def score(pixels: torch.Tensor) -> torch.Tensor:
            assert torch.is_inference_mode_enabled()
            self.sizes.append(len(pixels))
            return pixels.mean((1, 2, 3)).double()[:, None] * lengths

        return score


def test_matrix_in_parts_and_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_score, "_TEXTS_AT_ONCE", 2)
    model, texts = FakeModel().train(), ["aa", "b", "aa", "cccc", "b"]
    found = pair_score_matrix(model, FILMS[:5], texts, batch_size=3)
    assert (model.asked, model.sizes) == ([("aa", "b"), ("cccc",)], [3, 2, 3, 2])
    assert model.training
    assert found.dtype == np.float32
    for row, film in enumerate(FILMS[:5]):
        brightness = float(to_pixels(torch.from_numpy(film[None]), model.preprocess).mean())
        assert found[row] == pytest.approx([brightness * len(text) for text in texts], rel=1e-5)
    assert pair_score_matrix(model, FILMS[:5], []).shape == (5, 0)


def test_a_cosine_objective_scores_as_its_embeddings() -> None:
    model = tiny_model()
    trained = ObjectiveModel(model, CLIPObjective(model), name="clip", options={})
    texts = [f"Film {i % 6} of the chest." for i in range(20)]
    points = embed(trained, FILMS, texts)
    score = partial(pair_score_matrix, trained, FILMS, batch_size=8)
    assert score(texts) == pytest.approx(points.image @ points.text.T, abs=1e-6)
    found, expected = own_retrieval(score, texts), retrieval(points.image, points.text, texts)
    assert [result.score.value for result in found] == pytest.approx([result.score.value for result in expected])


def test_an_own_score_does_not_depend_on_the_batch() -> None:
    model = tiny_model()
    torch.manual_seed(0)
    trained = ObjectiveModel(model, GLoRIAObjective(model), name="gloria", options={}).eval()
    texts = ["Film 1 of the chest.", ".", "Film 2. It shows the pelvis.", "Film"]
    whole = pair_score_matrix(trained, FILMS[:6], texts)
    for batch_size in (1, 4):
        assert pair_score_matrix(trained, FILMS[:6], texts, batch_size=batch_size) == pytest.approx(whole, abs=1e-5)
    single = np.concatenate([pair_score_matrix(trained, FILMS[:6], [text]) for text in texts], axis=1)
    assert single == pytest.approx(whole, abs=1e-5)
    points = embed(trained, FILMS[:6], texts)
    assert np.abs(whole - points.image @ points.text.T).max() > 0.01  # more than the cosine


def test_misuse_raises() -> None:
    score, tasks = score_with(encode), discover_findings(rows())
    with pytest.raises(ValueError, match="prompting must be 'pair' or 'single', got 'both'"):
        own_findings(score, rows(), tasks, prompting="both")
    with pytest.raises(ValueError, match=r"scores must be \(films, texts\) = \(20, \d+\), got \(19, \d+\)"):
        own_regions(lambda texts: score(texts)[1:], rows())
    with pytest.raises(ValueError, match="scores must be finite"):
        own_regions(lambda texts: score(texts) * np.nan, rows())
    with pytest.raises(ValueError, match="at least 2 distinct texts, got 1"):
        own_retrieval(score, ["a"] * 20)
    with pytest.raises(ValueError, match="groups must have one entry per film: expected 20, got 2"):
        own_retrieval(score, ["a", "b"] * 10, ["p", "q"])
    with pytest.raises(ValueError, match=r"uint8 with values 0 to 255, got \(20, 18, 18\) float64"):
        pair_score_matrix(FakeModel(), FILMS / 255, ["a"])
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        pair_score_matrix(FakeModel(), FILMS, ["a"], batch_size=0)
