"""Comparison of rankings on the same films: recall averaged over seeds, and differences paired by query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pedclip.evaluation.metrics.bootstrap import Interval, Record
from pedclip.evaluation.metrics.retrieval import query_interval
from pedclip.evaluation.zero_shot.recall import RECALL_AT, RankedQueries, ranked_queries
from pedclip.retrieval.matching import unit
from pedclip.retrieval.measures.evaluate import check_scores, order_scores
from pedclip.retrieval.measures.variants import Variant
from pedclip.retrieval.pairs import FilmReports
from pedclip.retrieval.pecm import PECM
from pedclip.retrieval.scores import Scores
from pedclip.retrieval.train import Epoch, PECMTraining, RetrievalPairs, train_pecm

_PENALTIES: Final = tuple(np.logspace(-2, 4, 13))  # of the ridge regression, from next to none to almost a constant
_NUM_FOLDS: Final = 5  # of patients


@dataclass(frozen=True)
class RecallComparison(Record):
    """Recall of one method in one direction, beside a reference.

    Args:
        method: Name.
        direction: "image to text" or "text to image".
        metric: "recall" or "hit".
        k: Results looked at.
        score: Mean over seeds and queries, with its interval over patients.
        seeds: Value of each seed.
        difference: To the reference on the same queries; None for the reference itself.
        chance: Of a random ranking.
    """

    method: str
    direction: str
    metric: str
    k: int
    score: Interval
    seeds: tuple[float, ...]
    difference: Interval | None
    chance: float


def fit_variant(
    variant: Variant,
    pairs: RetrievalPairs,
    *,
    seed: int,
    training: PECMTraining | None = None,
    validation: RetrievalPairs | None = None,
    device: str = "cpu",
) -> tuple[PECM, tuple[Epoch, ...]]:
    """PECM of a variant, trained on frozen prototypes; projections and order of films come from the seed.

    Args:
        variant: Its widths must be those of the pairs.
        pairs: Of the training split.
        seed: Of everything drawn.
        training: Optimization; None for the defaults.
        validation: Pairs of other patients, whose loss is told.
        device: To train on.

    Returns:
        The model, on the CPU in evaluation mode, and one record per epoch.

    Raises:
        ValueError: As `train_pecm`.
    """
    # One generator for both: variants of one seed meet the films in one order only if they draw equally much before.
    generator = torch.Generator().manual_seed(seed)
    pecm = PECM(pairs.image.shape[1], config=variant.config, generator=generator)
    history = train_pecm(pecm, pairs, generator=generator, training=training, validation=validation, device=device)
    # Back to where pairs are: a comparison keeps dozens of models, and what is asked of them next needs no GPU.
    return pecm.cpu(), history


@torch.no_grad()
def score_pairs(pecm: PECM, pairs: RetrievalPairs) -> Scores:
    """Scores (N, R) of all films of some pairs against all their reports, left on the CPU.

    They are computed on PECM's device in its precision.
    """
    # Stored prototypes may be in half precision; training takes them in PECM's as well.
    image, text = (values.to(pecm.theta) for values in (pairs.image, pairs.text.values))
    scores: Scores = pecm(image, text, pairs.text.mask)
    # Whatever reads scores counts with numpy.
    return replace(scores, initial=scores.initial.cpu(), confidence=scores.confidence.cpu(), final=scores.final.cpu())


def cosine_scores(pairs: RetrievalPairs) -> Scores:
    """Scores (N, R) of frozen encoders without PECM: the cosine of the global prototypes, which need one width.

    All three scores are this cosine, so that every measure of confidence has its plain counterpart.

    Args:
        pairs: Of N films and R reports.

    Raises:
        ValueError: Films and reports have different widths.
    """
    # Otherwise the product below would raise with words about matrices.
    widths = pairs.image.shape[-1], pairs.text.values.shape[-1]
    if widths[0] != widths[1]:
        raise ValueError(f"prototypes of widths {widths} (image, text) have no cosine: one width is needed")
    image, text = unit(pairs.image[:, -1]), unit(pairs.text.values[:, -1])  # (N, C) and (R, C)
    cosines = image @ text.t()  # (N, R)
    return Scores(cosines, cosines, cosines)


def shortcut_scores(
    features: NDArray[Any], pairs: RetrievalPairs, asked_features: NDArray[Any], asked: RetrievalPairs
) -> Scores:
    """Scores (N, R) by a ridge regression from a thumbnail to the global prototype of the text: what needs no encoder.

    It is fitted to the training films with their reports, as PECM is. Its penalty is the one of the smallest squared
    error on patients that are left out, a fifth of them at a time (each one where there are fewer than five).

    Args:
        features: (M, 65) of `shortcut_features` of the training films that are in `pairs`.
        pairs: Training pairs.
        asked_features: (N, 65) of the films that are in `asked`.
        asked: Pairs to score.

    Raises:
        ValueError: Other numbers of features than of films, or training films of one patient only.
    """
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(features) != len(pairs) or len(asked_features) != len(asked):
        raise ValueError(f"{len(features)} and {len(asked_features)} features for {len(pairs)} and {len(asked)} films")
    if (num_patients := len(set(pairs.patients))) < 2:
        raise ValueError(f"training films of {num_patients} patient: the penalty is chosen on patients left out")
    # Stored prototypes may be in half precision, which numpy knows only in part.
    texts, candidates = (unit(one.text.values[:, -1]) for one in (pairs, asked))  # (R, C) each
    # Not one film at a time: the patient's other films, and their words, would reward learning by heart, and the
    # penalty that they leave makes a weak opponent. GroupKFold draws nothing.
    search = GridSearchCV(
        # The scaler is inside, so that it is fitted on the other patients of each fold alone.
        make_pipeline(StandardScaler(), Ridge()),
        {"ridge__alpha": _PENALTIES},
        # R² has no value where a fold is one film.
        scoring="neg_mean_squared_error",
        cv=GroupKFold(min(_NUM_FOLDS, num_patients)),
        error_score="raise",
    )
    ridge = search.fit(features, texts[pairs.report].numpy(), groups=list(pairs.patients))
    guess = torch.from_numpy(ridge.predict(asked_features))  # (N, C)
    cosines = unit(guess.to(candidates.dtype)) @ candidates.t()  # (N, R)
    return Scores(cosines, cosines, cosines)


def compare_recall(
    methods: Mapping[str, Sequence[Scores]],
    reports: FilmReports,
    *,
    reference: str,
    ks: Sequence[int] = RECALL_AT,
    num_resamples: int = 1000,
    seed: int = 0,
) -> list[RecallComparison]:
    """Recall of every method in both directions, and its difference to one of them.

    A query counts with its mean over seeds, so that the interval is of the patients; how far seeds lie apart stands
    beside it.

    Args:
        methods: Name to scores (N, R), one per seed.
        reports: Of the same films.
        reference: One of the names.
        ks: The K.
        num_resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.

    Returns:
        For each direction and K one entry per method, in the order given.

    Raises:
        ValueError: No such reference, a method without scores, or as `report_recall`.
    """
    if reference not in methods:
        raise ValueError(f"reference={reference!r} is not allowed: one of {tuple(methods)}")
    if empty := [name for name, scores in methods.items() if not scores]:
        raise ValueError(f"{empty[0]!r} has no scores: at least one seed is needed")
    # One seed for all: methods are resampled with the same patients.
    bootstrap: dict[str, Any] = {"num_resamples": num_resamples, "seed": seed}
    queries = {name: [_queries(one, reports) for one in scores] for name, scores in methods.items()}
    found = []
    # Each way to ask: from image to text, back by recall, back by hit.
    for number in range(len(queries[reference][0])):
        for k in ks:
            # (S, Q) of each method, all of the same queries.
            values = {name: np.stack([one[number].values(k) for one in seeds]) for name, seeds in queries.items()}
            plain = values[reference].mean(axis=0)
            for name, of_seeds in values.items():
                asked, mean = queries[name][0][number], of_seeds.mean(axis=0)
                difference = None
                # The mean over seeds comes first: seeds are no patients, and would make the interval too narrow.
                if name != reference:
                    # Of one query both methods saw the same film, so that what is hard about it cancels.
                    difference = query_interval(mean - plain, asked.groups, scale="difference of shares", **bootstrap)
                score = query_interval(mean, asked.groups, **bootstrap)
                # How far trainings lie apart is told beside the interval and is no part of it.
                seeds = tuple(float(one) for one in of_seeds.mean(axis=1))
                about = name, asked.direction, asked.metric, k
                found.append(RecallComparison(*about, score, seeds, difference, asked.chance(k)))
    return found


def _queries(scores: Scores, reports: FilmReports) -> list[RankedQueries]:
    check_scores(scores, reports)
    # Places instead of scores, because a second stage of few candidates cannot be told by one score.
    return ranked_queries(order_scores(scores), reports.report, reports.patients, by_text=order_scores(scores.t()))


def comparison_table(found: Sequence[RecallComparison]) -> pd.DataFrame:
    """One row per entry.

    Args:
        found: Of `compare_recall`.

    Returns:
        Columns `method`, `direction`, `metric`, `k`, `value`, `low`, `high`, `seeds_sd` (NaN for one seed),
        `difference`, `difference_low`, `difference_high` (NaN for the reference) and `chance`.
    """
    rows = []
    for one in found:
        away = one.difference  # NaN keeps its columns numeric where there is none
        rows.append(
            {
                "method": one.method,
                "direction": one.direction,
                "metric": one.metric,
                "k": one.k,
                "value": one.score.value,
                "low": one.score.low,
                "high": one.score.high,
                # Of a sample; one seed says nothing about others.
                "seeds_sd": float(np.std(one.seeds, ddof=1)) if len(one.seeds) > 1 else np.nan,
                "difference": np.nan if away is None else away.value,
                "difference_low": np.nan if away is None else away.low,
                "difference_high": np.nan if away is None else away.high,
                "chance": one.chance,
            }
        )
    return pd.DataFrame(rows)
