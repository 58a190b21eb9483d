"""Metrics with 95 % intervals over patients, and paired comparisons.

Imports nothing of ours.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.evaluation.metrics.bootstrap import Interval as Interval
    from pedclip.evaluation.metrics.bootstrap import Metric as Metric
    from pedclip.evaluation.metrics.bootstrap import bootstrap_interval as bootstrap_interval
    from pedclip.evaluation.metrics.calibration import calibration_error as calibration_error
    from pedclip.evaluation.metrics.calibration import fit_platt as fit_platt
    from pedclip.evaluation.metrics.calibration import reliability_table as reliability_table
    from pedclip.evaluation.metrics.classification import auc as auc
    from pedclip.evaluation.metrics.classification import macro_auc as macro_auc
    from pedclip.evaluation.metrics.comparison import compare as compare
    from pedclip.evaluation.metrics.comparison import delong as delong
    from pedclip.evaluation.metrics.conformal import AnswerSets as AnswerSets
    from pedclip.evaluation.metrics.conformal import ConformalThreshold as ConformalThreshold
    from pedclip.evaluation.metrics.conformal import answer_sets as answer_sets
    from pedclip.evaluation.metrics.conformal import evaluate_sets as evaluate_sets
    from pedclip.evaluation.metrics.conformal import fit_threshold as fit_threshold
    from pedclip.evaluation.metrics.conformal import needed_patients as needed_patients
    from pedclip.evaluation.metrics.conformal import right_scores as right_scores
    from pedclip.evaluation.metrics.detection import Boxes as Boxes
    from pedclip.evaluation.metrics.detection import mean_average_precision as mean_average_precision
    from pedclip.evaluation.metrics.per_image import accuracy as accuracy
    from pedclip.evaluation.metrics.per_image import dice as dice
    from pedclip.evaluation.metrics.per_image import mae as mae
    from pedclip.evaluation.metrics.retrieval import hit_at_k as hit_at_k
    from pedclip.evaluation.metrics.retrieval import precision_at_k as precision_at_k
    from pedclip.evaluation.metrics.retrieval import query_interval as query_interval
    from pedclip.evaluation.metrics.retrieval import recall_at_k as recall_at_k
    from pedclip.evaluation.metrics.selective import AccuracyAtCoverage as AccuracyAtCoverage
    from pedclip.evaluation.metrics.selective import augrc as augrc
    from pedclip.evaluation.metrics.selective import aurc as aurc
    from pedclip.evaluation.metrics.selective import risk_coverage_table as risk_coverage_table
    from pedclip.evaluation.metrics.selective import selective_difference as selective_difference

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Interval": "bootstrap",
        "Metric": "bootstrap",
        "bootstrap_interval": "bootstrap",
        "calibration_error": "calibration",
        "fit_platt": "calibration",
        "reliability_table": "calibration",
        "auc": "classification",
        "macro_auc": "classification",
        "compare": "comparison",
        "delong": "comparison",
        "AnswerSets": "conformal",
        "ConformalThreshold": "conformal",
        "answer_sets": "conformal",
        "evaluate_sets": "conformal",
        "fit_threshold": "conformal",
        "needed_patients": "conformal",
        "right_scores": "conformal",
        "Boxes": "detection",
        "mean_average_precision": "detection",
        "accuracy": "per_image",
        "dice": "per_image",
        "mae": "per_image",
        "hit_at_k": "retrieval",
        "precision_at_k": "retrieval",
        "query_interval": "retrieval",
        "recall_at_k": "retrieval",
        "AccuracyAtCoverage": "selective",
        "augrc": "selective",
        "aurc": "selective",
        "risk_coverage_table": "selective",
        "selective_difference": "selective",
    },
)
