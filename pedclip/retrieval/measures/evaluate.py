"""Report-level recall of PECM's rankings, films to reports and reports to films."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.result import Result
from pedclip.evaluation.zero_shot.recall import RECALL_AT, recall_results
from pedclip.retrieval.measures.protocols import Direction, Protocol, with_protocol
from pedclip.retrieval.pairs import FilmReports
from pedclip.retrieval.scores import Scores


def order_scores(scores: Scores) -> NDArray[np.int64]:
    """A ranking as scores, for metrics that sort: 0 for the best candidate of a query, −1 for the next, and so on.

    Args:
        scores: Of B queries against N candidates.

    Returns:
        (B, N), the same order as `Scores.ranking`, second stage and ties included.

    Raises:
        ValueError: A score is not finite: it would have a place all the same.
    """
    for name in ("initial", "final"):
        if not bool(getattr(scores, name).isfinite().all()):
            raise ValueError(f"{name} scores must be finite; look for prototypes that are NaN")
    # The inverse of a permutation is the place of each candidate: (B, N).
    places: NDArray[np.int64] = scores.ranking().argsort(dim=1).cpu().numpy()
    return -places


def check_scores(scores: Scores, reports: FilmReports) -> None:
    """Refusal of scores that are not of these films against their unique texts.

    Args:
        scores: To be (N, R).
        reports: N films with R texts.

    Raises:
        ValueError: Another shape.
    """
    # A gallery with equal texts in it would count them as wrong answers of each other.
    expected = len(reports), len(reports.texts)
    if tuple(scores.final.shape) != expected:
        raise ValueError(
            f"scores {tuple(scores.final.shape)} must be (films, unique texts) = {expected}; score reports.texts"
        )


def report_recall(
    scores: Scores,
    reports: FilmReports,
    *,
    method: str = "PECM",
    ks: Sequence[int] = RECALL_AT,
    num_resamples: int = 1000,
    seed: int = 0,
) -> list[Result]:
    """Recall of reports by film and of films by report, several films per report.

    From film to report: is the film's own report among the first K? From report to film: |top K ∩ films of the
    report| / min(K, films of the report), and beside it whether there is any. Each different text is in the gallery
    once. With a second stage of `top_m` candidates, each direction has its own first ranking.

    Args:
        scores: (N, R) of the films against the unique texts.
        reports: Of the same films.
        method: Name in the results.
        ks: The K, each at least 1.
        num_resamples: Of the bootstrap over patients; a text of several patients belongs to the first of them.
        seed: Of the bootstrap.

    Returns:
        For each direction, metric and K one result with its `Protocol`; the baseline is a random ranking.

    Raises:
        ValueError: Scores of another shape, or that are not finite.

    Source: PECM, report-level Recall@K (cap); CXR-CLIP (unique texts). Differs: texts equal up to white space are one.
    """
    check_scores(scores, reports)
    # Places within one ranking cannot be compared with those within another: each direction has its own.
    results = recall_results(
        order_scores(scores),
        reports.report,
        reports.patients,
        method=method,
        by_text=order_scores(scores.t()),
        ks=ks,
        num_resamples=num_resamples,
        seed=seed,
    )
    return [_with_reports(result, reports) for result in results]


def _with_reports(result: Result, reports: FilmReports) -> Result:
    direction: Direction = "image to text" if result.task == "image to text" else "text to image"
    protocol = Protocol(
        direction=direction,
        num_queries=result.score.num_items,
        gallery=result.settings["gallery"],
        unique_texts=len(reports.texts),
        section=reports.section,
        views=reports.views,
        views_per_study=len(reports) / len(set(reports.studies)),
        # Of all films: a text may be of several patients, and is resampled with one.
        num_patients=len(set(reports.patients)),
        # The partner is what is looked for; a film is no candidate for itself.
        is_self_included=True,
        # From report to film nothing is left out: a text without a film is no report here.
        num_left_out=len(reports.left_out) if direction == "image to text" else 0,
        note=f"{reports.num_label_texts} films with a text made of labels" if reports.num_label_texts else "",
    )
    return with_protocol(result, protocol)
