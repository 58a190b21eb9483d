"""Confidence of an answer: what a ranking itself says about whether its first answer is right."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pedclip.evaluation.metrics.bootstrap import Floats
from pedclip.evaluation.metrics.selective import augrc, selective_difference
from pedclip.retrieval.measures.evaluate import order_scores
from pedclip.retrieval.pairs import FilmReports
from pedclip.retrieval.scores import Scores

# The first three read scores, the others how far the first answer is from the rest.
MEASURES: Final = ("final score", "confidence", "cosine", "margin", "entropy")


@dataclass(frozen=True, eq=False)
class Answers:
    """First answers of N queries, and how sure of them each measure is.

    Attributes:
        rows: (N,) candidate that each query is answered with.
        measures: Name to (N,) values, higher is surer.
    """

    rows: NDArray[np.int64]
    measures: dict[str, Floats]


def first_answers(scores: Scores, *, temperature: float) -> Answers:
    """First answer of each query and its confidence by five measures.

    Args:
        scores: (N, R) of queries and at least two candidates.
        temperature: Divisor of the cosines before the softmax of the entropy, above 0.

    Returns:
        `measures` with "final score" (R of the answer), "confidence" (C of it), "cosine" (its initial score), "margin"
        (final score of the answer minus that of the next) and "entropy" (of the softmax over the initial scores,
        nats, its sign turned).

    Raises:
        ValueError: Fewer than two candidates, a score that is not finite, or a temperature that is not above 0.
    """
    # Below 0 the least likely candidate would be the sure one; 0 makes NaN.
    if not temperature > 0:
        raise ValueError(f"temperature={temperature} is not allowed: above 0")
    if scores.final.shape[1] < 2:
        raise ValueError("one candidate is no choice: a margin needs at least two")
    order_scores(scores)  # refuses initial and final scores that are not finite
    # Without ARR the confidence is in no ranking, and nothing before would have met a NaN in it.
    if not bool(scores.confidence.isfinite().all()):
        raise ValueError("confidence scores must be finite; look for prototypes that are NaN")
    order = scores.ranking()[:, :2]  # (N, 2)
    final = scores.final.gather(1, order)
    first = order[:, :1]
    chances = (scores.initial.double() / temperature).softmax(dim=1)
    found = {
        "final score": final[:, 0],
        "confidence": scores.confidence.gather(1, first)[:, 0],
        "cosine": scores.initial.gather(1, first)[:, 0],
        # With a second stage of few candidates the next one may have the higher score.
        "margin": final[:, 0] - final[:, 1],
        "entropy": -torch.special.entr(chances).sum(dim=1),
    }
    measures = {name: values.detach().double().cpu().numpy() for name, values in found.items()}
    return Answers(first[:, 0].cpu().numpy(), measures)


def wrong_answers(answers: Answers, reports: FilmReports) -> NDArray[np.bool_]:
    """Films that are answered with another text than their own.

    Args:
        answers: Of the films' queries.
        reports: Of the same films.

    Returns:
        (N,) True where the answer is wrong.

    Raises:
        ValueError: Another number of answers than of films, such as those of the texts' queries.
    """
    if len(answers.rows) != len(reports):
        raise ValueError(f"{len(answers.rows)} answers for {len(reports)} films: one for each")
    return np.asarray(answers.rows != reports.report)


def confidence_table(
    answers: Answers, reports: FilmReports, plain: Answers, *, num_resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """AUGRC of every measure of some answers, and whether it knows more than what costs nothing.

    Args:
        answers: Of the films' queries, by the method in question.
        reports: Of the same films.
        plain: Of the same queries by the cosine of the encoders alone, whose own cosine is the opponent.
        num_resamples: Of the bootstrap over patients.
        seed: Of the bootstrap.

    Returns:
        One row per measure: `measure`, `augrc`, `minus_own_cosine` (same answers, their cosine as the confidence; None
        for that cosine itself) and `minus_plain_cosine` (each with its own answers), all intervals; lower is better.

    Raises:
        ValueError: As `wrong_answers`.
    """
    wrong, plainly_wrong = wrong_answers(answers, reports), wrong_answers(plain, reports)
    patients = np.asarray(reports.patients)
    bootstrap: dict[str, Any] = {"num_resamples": num_resamples, "seed": seed}
    own, opponent = answers.measures["cosine"], (plainly_wrong, plain.measures["cosine"])
    rows = []
    for name, values in answers.measures.items():
        is_own = name == "cosine"
        rows.append(
            {
                "measure": name,
                "augrc": augrc.bootstrap(wrong, values, patients, **bootstrap),
                # A measure minus itself would be a row of zeros.
                "minus_own_cosine": None
                if is_own
                else selective_difference((wrong, values), (wrong, own), patients, **bootstrap),
                "minus_plain_cosine": selective_difference((wrong, values), opponent, patients, **bootstrap),
            }
        )
    return pd.DataFrame(rows)
