"""Scores of a trained cell, film by film: so that arms can be compared on the same patients afterwards."""

from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import entr  # type: ignore[import-untyped]

from pedclip.ablation.films import FilmChoice
from pedclip.ablation.mixtures import Mixture, Reweigh, blocks_with_experts, reweighed, weights_of
from pedclip.anatomy import REGIONS
from pedclip.evaluation.embeddings import embed, embed_texts
from pedclip.evaluation.tasks.findings import discover_findings
from pedclip.evaluation.tasks.labels import Row, read_labels
from pedclip.evaluation.zero_shot.scoring import cosines, score_pairs, unit_vectors, zero_shot_regions
from pedclip.models.pedclip import PedCLIP
from pedclip.triplets.arrays import TripletArrays

if TYPE_CHECKING:
    from datasets import Dataset

REGION: Final = "region"  # body region by prompts: 1 where it is right
OWN_TEXT: Final = "own text"  # fraction of the region's other texts that the film's own one beats
FINDING: Final = "finding"  # AUC of a finding against the other films of its region, by prompts
GATE: Final = "gate accuracy"
ENTROPY: Final = "gate entropy"
QUESTIONS: Final = (REGION, OWN_TEXT, FINDING, GATE, ENTROPY)
_MIN_TEXTS: Final = 2


def score_films(
    model: PedCLIP,
    films: TripletArrays,
    triplets: "Dataset",
    choice: FilmChoice,
    *,
    mixtures: Sequence[Mixture] = ("gate",),
    batch_size: int = 64,
    device: str = "cpu",
    min_positives: int = 5,
) -> pd.DataFrame:
    """Answers to all questions, a row for each film (and finding).

    Nothing is fitted. Questions within a region are asked of each region by itself: what an encoder knows of the region
    helps with none of them, so that encoders of one region and of all can be compared.

    Args:
        model: Frozen.
        films: N test films, labelled by region.
        triplets: The same rows.
        choice: Of the arm: films of its regions are scored, by its experts.
        mixtures: At test; a model without experts has "gate" alone.
        batch_size: Films embedded at a time.
        device: Where to compute.
        min_positives: Films of a region with a finding, and as many without, below which it is not asked for.

    Returns:
        `mixture`, `question`, `task` (the finding, else ""), `region`, `patient`, `film` (row among the N), `truth`
        (of a finding 0 or 1, else 1), `value` (score of a finding; else in [0, 1], for entropy in nats).
    """
    # An encoder of one region has never heard of another.
    rows = np.flatnonzero(np.isin(np.asarray(REGIONS)[films.regions], choice.regions or REGIONS))
    # Rows of labels, films and texts are numbered alike from here on.
    labels = read_labels(triplets.select(rows))
    experts = choice.experts(films.regions[rows])  # (N,)
    sentences = [films.texts[int(row)] for row in rows]
    texts = embed_texts(model, sentences, device=device)  # (N, D)
    # Prompts are tuples, and the same for all mixtures: each is encoded once.
    speak = cache(partial(embed_texts, model, device=device))
    # Without experts all mixtures are the same.
    has_experts = bool(blocks_with_experts(model))
    tables = []
    for mixture in mixtures if has_experts else ("gate",):
        image, gate = _embed(model, films, rows, experts, mixture, batch_size=batch_size, device=device)
        found = _regions(image, labels, speak)
        ranks = own_text_ranks(image, texts, [row.region for row in labels], sentences)
        found += [(OWN_TEXT, "", row, 1, rank) for row, rank in sorted(ranks.items())]
        found += _findings(image, labels, speak, min_positives)
        # What the gate says does not change with the weights that are used.
        if has_experts and mixture == "gate":
            found += _gate(gate, experts)
        table = pd.DataFrame(found, columns=["question", "task", "row", "truth", "value"])
        tables.append(table.assign(mixture=mixture))
    joined = pd.concat(tables, ignore_index=True)
    place = joined.pop("row").to_numpy()
    # Numbers of the split, so that arms of different regions name films alike.
    joined["film"] = rows[place]
    joined["region"] = [labels[row].region for row in place]
    joined["patient"] = [films.patients[rows[row]] for row in place]
    return joined


def embed_with(
    model: PedCLIP,
    films: TripletArrays,
    rows: NDArray[Any],
    reweigh: Reweigh,
    *,
    batch_size: int = 64,
    device: str = "cpu",
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings of films under other weights of the experts.

    Args:
        model: With experts or without; without them the weights are never asked for.
        films: N films.
        rows: (M,) of them.
        reweigh: See `pedclip.ablation.mixtures.reweighed`.
        batch_size: At a time.
        device: Where to compute.

    Returns:
        (M, D) embeddings and (M, E) softmax of the last gate, (M, 0) without experts.
    """
    with reweighed(model, reweigh):
        both = embed(model, films.images[rows], [], batch_size=batch_size, device=device)
    return both.image, both.gate


def _embed(
    model: PedCLIP,
    films: TripletArrays,
    rows: NDArray[Any],
    experts: NDArray[np.int64],
    mixture: Mixture,
    **options: Any,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if mixture == "gate":
        # The model as it is: nothing to compute a second time.
        both = embed(model, films.images[rows], [], **options)
        return both.image, both.gate
    size = options["batch_size"]
    parts = []
    # A batch at a time, as the labels belong to its films.
    for start in range(0, len(rows), size):
        labels = torch.from_numpy(experts[start : start + size])
        parts.append(embed_with(model, films, rows[start : start + size], weights_of(mixture, labels), **options))
    images, gates = zip(*parts, strict=True)
    return np.concatenate(images), np.concatenate(gates)


Found = list[tuple[str, str, int, int, float]]  # question, task, row, truth, value


def _regions(image: NDArray[Any], labels: list[Row], speak: Any) -> Found:
    # With one candidate every answer is right.
    if len({row.region for row in labels}) < 2:
        return []
    known = zero_shot_regions(image, labels, speak, num_resamples=1).require_predictions()
    right = np.asarray(known.truth) == np.asarray(known.output)
    return [(REGION, "", row, 1, float(one)) for row, one in enumerate(right)]


def own_text_ranks(
    image: NDArray[Any], texts: NDArray[Any], regions: Sequence[str], sentences: Sequence[str]
) -> dict[int, float]:
    """Fraction of the other texts of its region that each film's own text beats, in [0, 1]; chance is 0.5.

    Args:
        image: (N, D) embeddings.
        texts: (N, D) of the text of each film.
        regions: N names.
        sentences: N texts; each counts once among those of its region.

    Returns:
        By row; films of regions with one text alone are left out.
    """
    found: dict[int, float] = {}
    # Each region by itself: its texts are the only candidates.
    for region in dict.fromkeys(regions):
        rows = np.flatnonzero([one == region for one in regions])
        # Each text once: a sentence that half of the films have would be half of the others.
        mine = np.asarray([sentences[int(row)] for row in rows])
        distinct, first, own = np.unique(mine, return_index=True, return_inverse=True)
        if len(distinct) < _MIN_TEXTS:
            continue
        scores = cosines(unit_vectors(image[rows], "image"), unit_vectors(texts[rows[first]], "text").T)  # (n, U)
        own_scores = np.take_along_axis(scores, own[:, None], axis=1)  # (n, 1)
        # Ties count one half, as in an AUC; the film's own text is not among the others.
        beaten = (scores < own_scores).sum(1) + 0.5 * ((scores == own_scores).sum(1) - 1)
        found |= {int(row): float(one / (len(distinct) - 1)) for row, one in zip(rows, beaten, strict=True)}
    return found


def _findings(image: NDArray[Any], labels: list[Row], speak: Any, min_positives: int) -> Found:
    found: Found = []
    for region in dict.fromkeys(row.region for row in labels):
        rows = np.flatnonzero([row.region == region for row in labels])
        for task in discover_findings([labels[row] for row in rows], min_positives):
            # In the wording of notebook 04, by positive minus negative.
            prompts = task.require_rule().prompts
            mine = rows[task.rows["test"]]
            scores = score_pairs(image[mine], speak(prompts.positive), speak(prompts.negative))
            truth = task.labels["test"][:, 0]
            found += [
                (FINDING, task.name, int(row), int(one), float(score))
                for row, one, score in zip(mine, truth, scores, strict=True)
            ]
    return found


def _gate(gate: NDArray[Any], experts: NDArray[np.int64]) -> Found:
    right = gate.argmax(1) == experts
    entropy = entr(gate).sum(1)  # (N,) nats, at most ln E
    rows = range(len(gate))
    return [(GATE, "", row, 1, float(right[row])) for row in rows] + [
        (ENTROPY, "", row, 1, float(entropy[row])) for row in rows
    ]
