"""Embeddings, features and answers of somebody else's model, from original films.

The films are not the squares of our cache: each model sees the original through its own recipe, so that a resize of
ours takes nothing from it. Findings are asked in the wording of the method and judged by its own score.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pedclip.evaluation.embeddings import Array, Embeddings, embed_texts, evaluating
from pedclip.evaluation.features import Features
from pedclip.evaluation.result import Result
from pedclip.evaluation.tasks.labels import read_labels
from pedclip.evaluation.tasks.prompts import region_prompts
from pedclip.evaluation.tasks.task import Task
from pedclip.evaluation.zero_shot.results import best_regions, finding_results, region_candidates
from pedclip.evaluation.zero_shot.scoring import Rows
from pedclip.models.released.model import ReleasedModel
from pedclip.models.released.outputs import ReleasedImage, ReleasedText
from pedclip.models.released.prompts import Prompts
from pedclip.models.released.scoring import cosine_score

Film = Image.Image | NDArray[np.uint8]


def embed_released(
    model: ReleasedModel,
    images: Iterable[Film],
    texts: Sequence[str] = (),
    *,
    batch_size: int = 64,
    device: str = "cpu",
) -> Embeddings:
    """Embeddings of films and texts, each prepared as the model's authors do it.

    The films are read one batch at a time, so a generator that decodes them is enough. The model is moved to the
    device, and its training mode is as before afterwards.

    Args:
        model: From ``load_released``.
        images: N original films, (H, W) uint8 or Pillow images "L" or "RGB", of any sizes.
        texts: M sentences; each distinct one is encoded once. None for a model without texts.
        batch_size: Films or texts at a time, at least 1.
        device: Where to compute, such as "cpu" or "cuda".

    Returns:
        (N, D) and (M, D) unit vectors in the order given; there is no gate, so its rows are empty (N, 0).

    Raises:
        ValueError: There is no film, or a batch size below 1.
        TypeError: Texts for a model that embeds films only, or films that are not 8-bit.
    """
    _check_batch_size(batch_size)
    # Before the films, which take longer: a model without texts says so at once.
    text = embed_texts(model, texts, batch_size=batch_size, device=device)  # type: ignore[arg-type]
    with evaluating(model, device):
        image = _joined([_numpy(one.embedding) for one in _encoded(model, images, batch_size, device)])
    if len(text) == 0:
        # Without a sentence the joint width D is known from the films only.
        text = text.reshape(0, image.shape[1])
    return Embeddings(image, text, np.zeros((len(image), 0), np.float32))


def extract_released(
    model: ReleasedModel, images: Iterable[Film], *, batch_size: int = 64, device: str = "cpu"
) -> Features:
    """Features for probes: what `pedclip.evaluation.features.extract_features` gives of our models.

    They are those of the last block or map, as others' networks give them out. Nothing is stored.

    Args:
        model: As for `embed_released`.
        images: As for `embed_released`.
        batch_size: Films at a time, at least 1.
        device: Where to compute.

    Returns:
        The embedding; `pooled` holds the mean over patches and then the pooled feature, (N, 0) where the architecture
        shows neither; no tokens; the hash of the weights as key.

    Raises:
        ValueError: There is no film, or a batch size below 1.
        TypeError: Films that are not 8-bit.
    """
    _check_batch_size(batch_size)
    embeddings, pooled = [], []
    with evaluating(model, device):
        for one in _encoded(model, images, batch_size, device):
            embeddings.append(_numpy(one.embedding))
            pooled.append(_numpy(_pooled(one)))
    return Features(_joined(embeddings), _joined(pooled), None, model.sha256)


def released_prompts(model: ReleasedModel, task: Task) -> Prompts:
    """Sentences for the two answers of a task in the wording of the method.

    A task of several findings is asked with the sentences of all of them; where other findings are its negative answer,
    these are affirmed. The region is named where there is only one.

    Args:
        model: With texts.
        task: Of `discover_findings`.

    Raises:
        ValueError: The task has no rule, or the model no texts.
    """
    rule = task.require_rule()
    region = rule.regions[0] if len(rule.regions) == 1 else None
    # Any of the findings makes a film positive, so each has its say.
    asked = [model.prompts(finding, region) for finding in rule.positive]
    negative = [sentence for one in asked for sentence in one.negative]
    if not isinstance(rule.negative, str):
        # "No osteosarcoma" would not say that a tumor is benign.
        negative = [sentence for finding in rule.negative for sentence in model.prompts(finding, region).positive]
    positive = [sentence for one in asked for sentence in one.positive]
    # Wordings that two findings share count once.
    return Prompts(list(dict.fromkeys(positive)), list(dict.fromkeys(negative)))


def released_findings(
    model: ReleasedModel,
    images: Iterable[Film],
    rows: Rows,
    tasks: Sequence[Task],
    *,
    embedded: Embeddings | None = None,
    method: str = "released",
    batch_size: int = 64,
    device: str = "cpu",
    num_resamples: int = 1000,
    seed: int = 0,
) -> list[Result]:
    """The AUC of each task, from the model's own prompts and its own score.

    Args:
        model: With texts.
        images: N original films, (H, W) uint8 or Pillow images as for `embed_released`, in the order of the rows.
        rows: N rows of the triplet schema.
        tasks: Of `discover_findings` for these rows.
        embedded: Of the same films, as `embed_released` returns them. They are not encoded anew then, unless the score
            compares words with places.
        method: Name in the results.
        batch_size: Films at a time, at least 1.
        device: Where to compute.
        num_resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.

    Returns:
        One result per task, in the same order.

    Raises:
        ValueError: Another number of films than rows, or as `embed_released`.
        TypeError: As there.
    """
    labels = read_labels(rows)
    # Without a question no film is read.
    if not tasks:
        return []
    questions = [released_prompts(model, task) for task in tasks]
    films = _films(model, images, embedded, batch_size, device)
    scores = _scores(model, films, questions, len(labels), device)  # (N, Q)
    # All films are scored with all questions, and each question is asked of its own.
    asked = (scores[task.rows["test"], column] for column, task in enumerate(tasks))
    return finding_results(labels, tasks, asked, method=method, num_resamples=num_resamples, seed=seed)


def released_regions(
    model: ReleasedModel,
    images: Iterable[Film],
    rows: Rows,
    *,
    embedded: Embeddings | None = None,
    method: str = "released",
    batch_size: int = 64,
    device: str = "cpu",
    num_resamples: int = 1000,
    seed: int = 0,
) -> Result:
    """Body region of each film, by the model's own score with our region prompts, since no method prints any.

    Args:
        model: As for `released_findings`.
        images: N films as there, (H, W) each.
        rows: As there; the regions present in them are the candidates.
        embedded: As there.
        method: Name in the result.
        batch_size: Films at a time, at least 1.
        device: Where to compute.
        num_resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.

    Returns:
        Accuracy, confusion and chance.

    Raises:
        ValueError: As `released_findings`; or fewer than two regions are present.
        TypeError: As there.
    """
    labels = read_labels(rows)
    names = region_candidates(labels)
    # A region has no sentences that deny it: the others are what it is held against.
    questions = [Prompts(list(region_prompts(name)), []) for name in names]
    films = _films(model, images, embedded, batch_size, device)
    scores = _scores(model, films, questions, len(labels), device)  # (N, L)
    return best_regions(labels, names, scores, method=method, num_resamples=num_resamples, seed=seed)


def _scores(
    model: ReleasedModel, films: Iterable[ReleasedImage], questions: Sequence[Prompts], num_rows: int, device: str
) -> Array:
    """(N, Q) own score of each film for each question; one without negative sentences is affirmed alone."""
    parts = []
    with evaluating(model, device):
        # Texts once, films below in batches.
        texts = [
            (_text(model, one.positive, device), _text(model, one.negative, device) if one.negative else None)
            for one in questions
        ]
        # All questions while the features of a batch are there: GLoRIA's of a whole data set would not fit the memory.
        for image in films:
            columns = [_score(model, image, positive, negative) for positive, negative in texts]
            parts.append(_numpy(torch.stack(columns, dim=1)))  # (B, Q)
    found = _joined(parts)
    if len(found) != num_rows:
        raise ValueError(f"expected one film per row: {num_rows} rows, got {len(found)} films")
    return found


def _films(
    model: ReleasedModel, images: Iterable[Film], embedded: Embeddings | None, batch_size: int, device: str
) -> Iterator[ReleasedImage]:
    """Features of films in batches of B, made when they are asked for."""
    _check_batch_size(batch_size)
    if embedded is None or model.release.score == "local and global":
        return _encoded(model, images, batch_size, device)
    # Bytes that are there already: one batch (N, D).
    return iter([ReleasedImage(torch.from_numpy(embedded.image).to(device))])


def _text(model: ReleasedModel, sentences: Sequence[str], device: str) -> ReleasedText:
    return model.encode_text(**{name: value.to(device) for name, value in model.tokenize(sentences).items()})


def _score(model: ReleasedModel, image: ReleasedImage, positive: ReleasedText, negative: ReleasedText | None) -> Tensor:
    # Among many answers CheXzero's softmax runs over all of them, and ranks as the cosines do.
    if negative is None and model.release.score == "softmax of the pair":
        return cosine_score(image, positive, None)
    return model.score(image, positive, negative)


def _pooled(image: ReleasedImage) -> Tensor:
    """(B, 2C) in the order of `Features.pooled`, or (B, 0)."""
    if image.dense is None:
        return image.embedding.new_zeros(len(image.embedding), 0)
    return torch.cat([image.dense[:, 1:].mean(dim=1), image.dense[:, 0]], dim=1)


def _encoded(model: ReleasedModel, images: Iterable[Film], batch_size: int, device: str) -> Iterator[ReleasedImage]:
    for films in _batches(images, batch_size):
        pixels = torch.stack([model.transform(film) for film in films]).to(device)  # (B, 3, H, W)
        yield model.encode_image(pixels)


def _batches(images: Iterable[Film], batch_size: int) -> Iterator[list[Film]]:
    # Originals of a whole data set would not fit the memory.
    films = iter(images)
    while batch := list(islice(films, batch_size)):
        yield batch


def _joined(parts: Sequence[Array]) -> Array:
    if not parts:
        raise ValueError("images is empty: there is no film to embed")
    return np.concatenate(parts)


def _numpy(values: Tensor) -> Array:
    array: Array = values.float().cpu().numpy()
    return array


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
