"""Confidence of first answers, for `benchmarks.pecm`: what each measure knows, its calibration, and answer sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.special import expit  # type: ignore[import-untyped]

from pedclip.evaluation.metrics import (
    AccuracyAtCoverage,
    answer_sets,
    aurc,
    calibration_error,
    fit_platt,
    fit_threshold,
    needed_patients,
    query_interval,
    right_scores,
)
from pedclip.retrieval import FilmReports, Scores, confidence_table, first_answers, wrong_answers

ALPHA: Final = 0.1  # films whose own report may be missing from the answer set


@dataclass(frozen=True)
class Scored:
    """Scores of one trained method.

    Args:
        validation: Of the validation films, on which everything here is fitted.
        test: Of the test films.
        temperature: Of the softmax over the gallery.
    """

    validation: Scores
    test: Scores
    temperature: float


def confidences(
    methods: Mapping[str, Sequence[Scored]], plain: Scored, reports: Mapping[str, FilmReports]
) -> dict[str, list[dict[str, Any]]]:
    """Every method and seed: AUGRC of five measures, also against the plain cosine, calibration, answer sets."""
    return {name: [_confidence(one, plain, reports) for one in seeds] for name, seeds in methods.items()}


def _confidence(scored: Scored, plain: Scored, reports: Mapping[str, FilmReports]) -> dict[str, Any]:
    test, validation = reports["test"], reports["validation"]
    known = first_answers(scored.validation, temperature=scored.temperature)
    answers = first_answers(scored.test, temperature=scored.temperature)
    opponent = first_answers(plain.test, temperature=plain.temperature)
    is_right, wrong = ~wrong_answers(known, validation), wrong_answers(answers, test)
    table = confidence_table(answers, test, opponent).set_index("measure")
    measures = {}
    for name, values in answers.measures.items():
        intervals = {column: None if one is None else one.to_dict() for column, one in table.loc[name].items()}
        half = AccuracyAtCoverage(0.5).bootstrap(wrong, values, np.asarray(test.patients)).to_dict()
        measures[name] = intervals | {"aurc": aurc(wrong, values), "accuracy_of_the_surest_half": half}
        if 0 < is_right.sum() < len(is_right):
            # Platt scaling of the measure, which is standardized within.
            slope, intercept = fit_platt(is_right, known.measures[name])
            measures[name]["calibration_error"] = calibration_error(~wrong, expit(slope * values + intercept))
    return {"wrong": float(wrong.mean()), "measures": measures, "answer_sets": _answer_sets(scored, reports)}


def _answer_sets(scored: Scored, reports: Mapping[str, FilmReports]) -> dict[str, Any] | None:
    known, test = reports["validation"], reports["test"]
    if len(set(known.patients)) < needed_patients(ALPHA):
        return None
    # One film of each patient, as the promise is for a film of a new patient.
    right = right_scores(scored.validation.final.numpy(), known.report)
    threshold = fit_threshold(right, known.patients, alpha=ALPHA, rng=np.random.default_rng(0))
    inside = answer_sets(scored.test.final.numpy(), threshold)
    held = pd.Series(inside[np.arange(len(test)), test.report].astype(float)).groupby(list(test.patients)).mean()
    sizes = inside.sum(axis=1)
    return {
        "promised": 1 - ALPHA,
        "gallery": len(test.texts),
        "kept_mean_over_patients": query_interval(held.to_numpy()).to_dict(),
        "size": float(sizes.mean()),
        "median_size": float(np.median(sizes)),
        "share_empty": float((sizes == 0).mean()),
    }
