"""The scorer: which questions it asks at which fractions of the labels, and that test films alone answer."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from datasets import DatasetDict

from pedclip.data.loading import load
from pedclip.models.pedclip import PedCLIP
from pedclip.synthesis.experiment import DownstreamOptions, DownstreamScorer
from pedclip.training.loop import build_model
from pedclip.triplets.arrays import TripletArrays, to_arrays
from pedclip.triplets.splits import SPLITS
from tests.training.tiny import tiny_config

FRACTIONS = (0.5, 1.0)


@pytest.fixture(scope="module")
def triplets() -> DatasetDict:
    return load("phantom", studies=200, size=32)


@pytest.fixture(scope="module")
def films(triplets: DatasetDict, tmp_path_factory: pytest.TempPathFactory) -> dict[str, TripletArrays]:
    return {
        split: to_arrays(triplets[split], tmp_path_factory.mktemp(split), size=37) for split in SPLITS
    }  # of which crops of 32 are taken


@pytest.fixture(scope="module")
def model(films: dict[str, TripletArrays]) -> PedCLIP:
    torch.manual_seed(0)
    return build_model(tiny_config({"image_size": 32}), films["train"]).eval()


def scorer(triplets: DatasetDict, films: Any, model: PedCLIP, **options: Any) -> DownstreamScorer:
    asked = DownstreamOptions(fractions=FRACTIONS, **options)
    return DownstreamScorer(triplets, films, preprocess=model.preprocess, options=asked)


def test_every_question_at_every_fraction(triplets: DatasetDict, films: Any, model: PedCLIP) -> None:
    asked = scorer(triplets, films, model, subsamples=3, head_subsamples=1, head_images=8, head_epochs=1)
    found = asked.score(model, "mine")
    questions = ("findings", "classes", "segmentation", "detection")
    assert set(found) == {("zero-shot region", 0.0), ("retrieval", 0.0)} | {
        (question, fraction) for question in questions for fraction in FRACTIONS
    }
    # Three subsamples of half of the patients, and there is one way to take all.
    tasks = {task.name for task in asked.probes if task.kind == "multi-class"}
    assert Counter(one.task for one in found["classes", 0.5]) == dict.fromkeys(tasks, 3)
    assert Counter(one.task for one in found["classes", 1.0]) == dict.fromkeys(tasks, 1)
    results = [one for several in found.values() for one in several]
    assert {one.method for one in results} == {"mine"}
    patients = {str(name) for one in results for name in one.require_predictions().patients}
    assert patients <= set(asked.test_patients.tolist())
    assert patients.isdisjoint(films["train"].patients)


def test_a_thumbnail_has_neither_texts_nor_patches(triplets: DatasetDict, films: Any, model: PedCLIP) -> None:
    found = scorer(triplets, films, model, subsamples=1, head_subsamples=0).score_thumbnail()
    assert {question for question, _ in found} == {"findings", "classes"}


def test_a_thumbnail_tells_regions_apart(triplets: DatasetDict, films: Any, model: PedCLIP) -> None:
    asked = scorer(triplets, films, model, subsamples=1, head_subsamples=0)
    # Labels and films of two orders would bring it to chance.
    score = asked.score_thumbnail()["classes", 1.0][0].score.value
    assert score > 3 / len(np.unique(films["test"].regions))


def test_films_without_labels_are_refused(triplets: DatasetDict, films: Any, model: PedCLIP) -> None:
    bare = DatasetDict({split: part.select(range(3)) for split, part in triplets.items()})
    with pytest.raises(ValueError, match="no findings, masks or boxes"):
        scorer(bare, films, model)
