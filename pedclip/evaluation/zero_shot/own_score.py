"""Zero-shot answers from the score of a pair, for models that compare by more than a cosine.

GLoRIA, PRIOR and CARZero judge a film and a text together: there is no embedding to average over wordings, so scores
are averaged instead. Everything behind the scores is as in `pedclip.evaluation.zero_shot.scoring`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pedclip.evaluation.embeddings import Array, Evaluable, evaluating
from pedclip.evaluation.metrics.bootstrap import Floats, Groups
from pedclip.evaluation.result import Result
from pedclip.evaluation.tasks.labels import read_labels
from pedclip.evaluation.tasks.prompts import region_prompts
from pedclip.evaluation.tasks.task import Task
from pedclip.evaluation.zero_shot.recall import recall_results
from pedclip.evaluation.zero_shot.results import best_regions, finding_results, region_candidates
from pedclip.evaluation.zero_shot.scoring import Prompting, Rows
from pedclip.triplets.transforms import to_pixels

ScoreTexts = Callable[[Sequence[str]], NDArray[Any]]  # M texts -> (N, M) scores of N films
_TEXTS_AT_ONCE: Final = 256  # whose features are held while all films pass


class PairModel(Evaluable, Protocol):
    """A model that scores pairs; `pedclip.objectives.trained.ObjectiveModel` is one."""

    @property
    def preprocess(self) -> Any:
        """Making of pixels from stored films."""

    def pair_scorer(self, texts: Sequence[str], *, device: str) -> Callable[[Tensor], Tensor]:
        """N texts -> a function from pixels (B, 3, H, W) to scores (B, N)."""


def pair_score_matrix(
    model: PairModel, films: NDArray[np.uint8], texts: Sequence[str], *, batch_size: int = 64, device: str = "cpu"
) -> Array:
    """The model's own score of every film with every text.

    Films are encoded anew for every 256 texts, since the features of their patches would not fit the memory.

    Args:
        model: As `open_model` returns it for a rival; moved to the device, its mode is as before afterwards.
        films: (N, R, R) gray, 0 to 255, as the cache of decoded images holds them.
        texts: M texts; each distinct one is scored once.
        batch_size: Films at a time, at least 1.
        device: Where to compute, such as "cpu" or "cuda".

    Returns:
        (N, M) float32, in the order given; higher for a better fit.

    Raises:
        ValueError: Films of another type or shape, or a batch size below 1.
    """
    if films.ndim != 3 or films.dtype != np.uint8 or len(films) == 0:
        raise ValueError(
            f"films must be (N, R, R) uint8 with values 0 to 255, got {films.shape} {films.dtype}; "
            "decode them through pedclip.triplets.cache"
        )
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    # Half of the texts of an archive may say that all is normal.
    column = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    unique = list(column)
    scores = np.zeros((len(films), len(unique)), dtype=np.float32)
    with evaluating(model, device):
        for first in range(0, len(unique), _TEXTS_AT_ONCE):
            # Texts are encoded here, once; films below, again for every group of texts.
            score = model.pair_scorer(unique[first : first + _TEXTS_AT_ONCE], device=device)
            for start in range(0, len(films), batch_size):
                # A copy, because a memory map is read-only; bytes go to the device, floats are made there.
                stored = torch.from_numpy(np.array(films[start : start + batch_size])).to(device)
                found = score(to_pixels(stored, model.preprocess)).float().cpu().numpy()  # (B, 256 at most)
                scores[start : start + batch_size, first : first + _TEXTS_AT_ONCE] = found
    return scores[:, [column[text] for text in texts]]


def own_findings(
    score_texts: ScoreTexts,
    rows: Rows,
    tasks: Sequence[Task],
    *,
    prompting: Prompting = "pair",
    method: str = "zero-shot",
    num_resamples: int = 1000,
    seed: int = 0,
) -> list[Result]:
    """The AUC of each task, from the scores of films with its prompts: `zero_shot_findings` without embeddings.

    With one prompt each and a cosine as score the result is that of `zero_shot_findings`; with several, scores are
    averaged here and directions there.

    Args:
        score_texts: M texts -> (N, M) scores of the films, in the order of the rows, such as `pair_score_matrix` with
            the first two arguments given. It is called once, with the prompts of all tasks.
        rows: N rows of the triplet schema.
        tasks: As `discover_findings` returned them for these rows.
        prompting: "pair" is the positive score minus the negative one, "single" the positive one.
        method: Name in the results.
        num_resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.

    Returns:
        One result per task, in the same order.

    Raises:
        ValueError: `prompting` is another word, scores are not (N, M), a task has no prompts, or one misses a class.
    """
    if prompting not in ("pair", "single"):
        raise ValueError(f"prompting must be 'pair' or 'single', got {prompting!r}")
    labels = read_labels(rows)
    pairs = [task.require_rule().prompts for task in tasks]
    # All prompts at once, as films are the costly side.
    sentences = [sentence for pair in pairs for sentence in (*pair.positive, *pair.negative)]
    column_of = _scored(score_texts, sentences, len(labels))

    def score(task: Task) -> Floats:
        pair, chosen = task.require_rule().prompts, task.rows["test"]  # (n,) of the films that take part
        positive, negative = (_mean(column_of(side)[chosen]) for side in (pair.positive, pair.negative))
        # What a film scores with any sentence about its region cancels in the difference.
        return positive if prompting == "single" else positive - negative

    return finding_results(labels, tasks, map(score, tasks), method=method, num_resamples=num_resamples, seed=seed)


def own_regions(
    score_texts: ScoreTexts,
    rows: Rows,
    *,
    candidates: Sequence[str] | None = None,
    method: str = "zero-shot",
    num_resamples: int = 1000,
    seed: int = 0,
) -> Result:
    """Body region of each film, by the best score of the region prompts: `zero_shot_regions` without embeddings.

    Args:
        score_texts: M texts -> (N, M) scores of the films, in the order of the rows; called once.
        rows: N rows of the triplet schema.
        candidates: Regions to choose from; None means those present in the rows.
        method: Name in the result.
        num_resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.

    Returns:
        Accuracy, confusion and chance.

    Raises:
        ValueError: Scores are not (N, M), or fewer than two regions are present.
    """
    labels = read_labels(rows)
    # In the order of pedclip.anatomy, as of zero_shot_regions.
    names = region_candidates(labels, candidates)
    prompts = [region_prompts(name) for name in names]
    column_of = _scored(score_texts, [sentence for group in prompts for sentence in group], len(labels))
    scores = np.stack([_mean(column_of(group)) for group in prompts], axis=1)  # (N, L)
    return best_regions(labels, names, scores, method=method, num_resamples=num_resamples, seed=seed)


def own_retrieval(
    score_texts: ScoreTexts,
    texts: Sequence[str],
    groups: Groups = None,
    *,
    method: str = "zero-shot",
    num_resamples: int = 1000,
    seed: int = 0,
) -> list[Result]:
    """Recall@1, 5 and 10 from image to text and back, from scores: `retrieval` without embeddings.

    Args:
        score_texts: M texts -> (N, M) scores of the films; called once, with each distinct text.
        texts: (N,) the text of each film.
        groups: (N,) patient of each film; None resamples queries.
        method: Name in the results.
        num_resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        As `pedclip.evaluation.zero_shot.retrieval`.

    Raises:
        ValueError: Scores are not (N, M), lengths differ, or there are fewer than two distinct texts.
    """
    if groups is not None and len(groups) != len(texts):
        raise ValueError(f"groups must have one entry per film: expected {len(texts)}, got {len(groups)}")
    gallery, answer = np.unique(np.asarray(texts), return_inverse=True)  # (U,) and (N,) the text of each film
    # With one text every ranking is right.
    if len(gallery) < 2:
        raise ValueError(f"retrieval needs at least 2 distinct texts, got {len(gallery)}")
    sentences = [str(text) for text in gallery]
    # The gallery holds each text once, so that equal "normal" sentences are no errors of each other.
    similarity = _scored(score_texts, sentences, len(texts))(sentences)  # (N, U)
    return recall_results(similarity, answer, groups, method=method, num_resamples=num_resamples, seed=seed)


def _scored(
    score_texts: ScoreTexts, sentences: Sequence[str], num_films: int
) -> Callable[[Sequence[str]], NDArray[Any]]:
    """A function from some of these sentences to their columns (N, P)."""
    column = {text: number for number, text in enumerate(dict.fromkeys(sentences))}
    scores = np.asarray(score_texts(list(column)))
    # The transpose of a square matrix would pass unseen, but no other.
    if scores.shape != (num_films, len(column)):
        raise ValueError(
            f"scores must be (films, texts) = ({num_films}, {len(column)}), got {scores.shape}; "
            "score all films of the rows"
        )
    # NaN would rank somewhere and give a result that looks like one.
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite; the model gave NaN or infinity")
    return lambda chosen: scores[:, [column[text] for text in chosen]]


def _mean(scores: NDArray[Any]) -> Floats:
    """(n,) one score per film from those of P prompts (n, P)."""
    one: Floats = scores.astype(np.float64).mean(axis=1)  # differences of scores are small
    return one
