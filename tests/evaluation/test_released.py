"""Embeddings, features and answers of original films by somebody else's model."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pedclip.evaluation.embeddings import embed_texts
from pedclip.evaluation.released import (
    Film,
    embed_released,
    extract_released,
    released_findings,
    released_prompts,
    released_regions,
)
from pedclip.evaluation.tasks.findings import discover_findings, finding_task, named_rules
from pedclip.evaluation.tasks.labels import read_labels
from pedclip.evaluation.tasks.prompts import region_prompts
from pedclip.evaluation.tasks.task import Task
from pedclip.evaluation.zero_shot.scoring import zero_shot_findings
from pedclip.models.released import ReleasedModel, load_released
from tests.models.released.test_open_clip_models import tiny
from tests.models.released.tiny_folders import rad_dino
from tests.models.released.tiny_networks import TEXTS, film
from tests.models.released.tiny_releases import MAKERS


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ReleasedModel:
    return load_released("chexficient", MAKERS["chexficient"](tmp_path_factory.mktemp("chexficient")).path)


def films() -> list[Film]:
    """Three originals of three sizes and two kinds."""
    return [film(), Image.fromarray(film()[:200, ::2].copy()), film()[:, 100:300]]


@torch.no_grad()
def test_each_film_and_text_equals_the_model_called_by_hand(model: ReleasedModel) -> None:
    found = embed_released(model, films(), TEXTS, batch_size=2)
    for row, original in zip(found.image, films(), strict=True):
        by_hand = model.encode_image(model.transform(original)[None]).embedding[0]
        np.testing.assert_allclose(row, by_hand, atol=1e-5)
    np.testing.assert_allclose(found.text, model.encode_text(**model.tokenize(TEXTS)).embedding, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found.image, axis=1), 1, atol=1e-5)
    assert found.gate.shape == (3, 0)


def test_films_are_read_one_batch_at_a_time_in_any_batch_size(model: ReleasedModel) -> None:
    read: list[int] = []

    def stream() -> Iterator[Film]:
        for number, original in enumerate(films()):
            read.append(number)
            yield original

    one, all_at_once = (embed_released(model, stream(), batch_size=size) for size in (1, 64))
    np.testing.assert_allclose(one.image, all_at_once.image, atol=1e-5)
    assert read == [0, 1, 2, 0, 1, 2]
    assert one.text.shape == (0, one.image.shape[1])


def test_original_matters_a_square_of_ours_gives_another_embedding(model: ReleasedModel) -> None:
    from pedclip.triplets.transforms import square

    original, ours = (embed_released(model, [image]).image for image in (film(), square(film(), 256)))
    assert np.abs(original - ours).max() > 1e-3


def test_mode_is_as_before(model: ReleasedModel) -> None:
    model.train()
    embed_released(model, films()[:1])
    assert model.training
    model.eval()


def test_misuse(model: ReleasedModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="images is empty"):
        embed_released(model, [])
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        embed_released(model, films(), batch_size=0)
    with pytest.raises(TypeError, match="uint8"):
        embed_released(model, [film().astype(np.float32)])  # type: ignore[list-item]
    only_films = load_released("rad-dino", rad_dino(tmp_path).path)
    assert embed_released(only_films, films()).image.shape == (3, 64)
    with pytest.raises(TypeError, match="RAD-DINO embeds films only"):
        embed_released(only_films, films(), TEXTS)


ROWS = [
    {
        "findings": ["fracture"] if i % 2 else [],
        "region": ("wrist", "forearm", "hip")[i // 2 % 3],
        "source": "a",
        "patient_id": str(i),
    }
    for i in range(8)
]


def many() -> list[Film]:
    """Eight originals that differ."""
    return [np.roll(film(), 37 * i, axis=i % 2)[: 512 - 16 * i] for i in range(8)]


def named(name: str) -> Task:
    """A question of tasks.json, of the rows above."""
    return finding_task(next(rule for rule in named_rules() if rule.name == name), read_labels(ROWS))


@pytest.fixture(scope="module", params=["chexzero", "gloria", "medclip", "biomedclip"])
def answering(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ReleasedModel:
    """One model of each kind of score."""
    return load_released(request.param, MAKERS[request.param](tmp_path_factory.mktemp(request.param)).path)


@torch.no_grad()
def test_findings_are_asked_by_the_models_own_prompts_and_score(answering: ReleasedModel) -> None:
    """The literal loop: one film after the other, with the sentences of the record."""
    (task,) = (task for task in discover_findings(ROWS, 2) if task.name == "fracture")
    own = answering.prompts("fracture")
    assert released_prompts(answering, task) == own
    positive, negative = (answering.encode_text(**answering.tokenize(side)) for side in own)
    films_of_task = [many()[row] for row in task.rows["test"]]
    wanted = [
        float(answering.score(answering.encode_image(answering.transform(original)[None]), positive, negative)[0])
        for original in films_of_task
    ]
    (found,) = released_findings(answering, many(), ROWS, [task], method="m", batch_size=3, num_resamples=20)
    # Batches round the last digits of features that are compared in single precision.
    assert found.predictions.output == pytest.approx(wanted, abs=2e-4)
    assert (found.method, found.task) == ("m", "fracture")
    # Embeddings that are there already spare the films, but not where the score reads more than them.
    reads_more = answering.release.score == "local and global"
    given = {"embedded": embed_released(answering, many()), "num_resamples": 20}
    (again,) = released_findings(answering, many() if reads_more else [], ROWS, [task], method="m", **given)
    assert again.predictions.output == pytest.approx(wanted, abs=2e-4)
    # With our sentences and a plain cosine the films would be scored otherwise.
    points = embed_released(answering, many()).image
    (ours,) = zero_shot_findings(points, ROWS, lambda texts: embed_texts(answering, texts), [task], num_resamples=20)
    assert np.abs(ours.predictions.output - found.predictions.output).max() > 1e-3


@torch.no_grad()
def test_regions_are_asked_by_our_prompts_and_the_models_score(answering: ReleasedModel) -> None:
    names = sorted({row["region"] for row in ROWS})
    texts = [answering.encode_text(**answering.tokenize(region_prompts(name))) for name in names]
    kind, answers = answering.release.score, []
    for original in many():
        image = answering.encode_image(answering.transform(original)[None])
        if kind == "softmax of the pair":
            # The softmax over all regions, of the cosines with the mean of the sentences.
            means = torch.stack([text.embedding.mean(0) / text.embedding.mean(0).norm() for text in texts])
            scores = (image.embedding @ means.T).softmax(dim=1)[0].tolist()
        else:
            scores = [float(answering.score(image, text)[0]) for text in texts]
        answers.append(names[int(np.argmax(scores))])
    found = released_regions(answering, many(), ROWS, batch_size=3, num_resamples=20)
    assert found.predictions.output.tolist() == answers
    assert found.confusion is not None
    assert sum(map(sum, found.confusion.counts)) == 8


def test_several_findings_are_asked_together_and_the_other_answer_is_affirmed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    model = load_released("chexzero", MAKERS["chexzero"](tmp_path_factory.mktemp("chexzero")).path)
    heart = released_prompts(model, named("heart and vessels"))
    assert heart.positive == ["cardiomegaly", "increased pulmonary vascularity", "congenital heart disease"]
    assert heart.negative == [f"no {finding}" for finding in heart.positive]
    pneumonia = released_prompts(model, named("bacterial vs viral pneumonia"))
    assert pneumonia == (["bacterial pneumonia"], ["viral pneumonia"])
    # Two regions are not named, one is; UniMed's wording has a place for it.
    unimed = load_released("unimed-clip", MAKERS["unimed-clip"](tmp_path_factory.mktemp("unimed")).path)
    assert "this X-ray" in released_prompts(unimed, named("wrist fracture")).positive[0]
    assert "this chest X-ray" in released_prompts(unimed, named("heart and vessels")).positive[0]


@torch.no_grad()
def test_pooled_features_are_those_of_the_last_map_where_it_is_shown(tmp_path: Path, model: ReleasedModel) -> None:
    only_films = load_released("rad-dino", rad_dino(tmp_path).path)
    for one in (only_films, model):
        found = extract_released(one, films(), batch_size=2)
        for row, original in enumerate(films()):
            encoded = one.encode_image(one.transform(original)[None])
            np.testing.assert_allclose(found.embedding[row], encoded.embedding[0], atol=1e-5)
            dense = encoded.dense[0].numpy()  # (1+S, C)
            by_hand = [*np.mean([patch for patch in dense[1:]], axis=0), *dense[0]]
            np.testing.assert_allclose(found.pooled[row], by_hand, atol=1e-4)
        assert found.inputs("both").shape[1] == found.embedding.shape[1] + found.pooled.shape[1]
        assert (found.tokens, found.key) == (None, one.sha256)


def test_an_architecture_without_dense_features_has_its_embedding_alone(tmp_path: Path) -> None:
    tiny(tmp_path)
    hidden = load_released(f"local-dir:{tmp_path}")
    found = extract_released(hidden, films())
    assert found.pooled.shape == (3, 0)
    np.testing.assert_array_equal(found.inputs("both"), found.embedding)
    with pytest.raises(ValueError, match="shows no pooled features; expected features='embedding' or 'both'"):
        found.inputs("pooled")


def test_misuse_of_answers(model: ReleasedModel, tmp_path: Path) -> None:
    tasks = discover_findings(ROWS, 2)
    with pytest.raises(ValueError, match="expected one film per row: 8 rows, got 3 films"):
        released_findings(model, films(), ROWS, tasks)
    with pytest.raises(ValueError, match="images is empty"):
        released_regions(model, [], ROWS)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        extract_released(model, films(), batch_size=0)
    with pytest.raises(ValueError, match="RAD-DINO embeds films only"):
        released_findings(load_released("rad-dino", rad_dino(tmp_path).path), many(), ROWS, tasks)
    assert released_findings(model, many(), ROWS, []) == []
