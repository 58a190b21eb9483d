"""Frozen features put to use: probes, regression, segmentation, detection, fine-tuning, learning curves.

Imports tasks and metrics.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.evaluation.downstream.head_curves import head_curve as head_curve
    from pedclip.evaluation.downstream.learning_curves import curve_table as curve_table
    from pedclip.evaluation.downstream.learning_curves import learning_curve as learning_curve
    from pedclip.evaluation.downstream.probes import fit_probe as fit_probe
    from pedclip.evaluation.downstream.probes import probe as probe
    from pedclip.evaluation.downstream.regression import fit_ridge as fit_ridge
    from pedclip.evaluation.downstream.run import DownstreamSettings as DownstreamSettings
    from pedclip.evaluation.downstream.run import head_settings as head_settings
    from pedclip.evaluation.downstream.run import run_fine_tuning as run_fine_tuning
    from pedclip.evaluation.downstream.run import run_heads as run_heads
    from pedclip.evaluation.downstream.run import run_probes as run_probes
    from pedclip.evaluation.downstream.summary import calibration_rows as calibration_rows
    from pedclip.evaluation.downstream.summary import class_rows as class_rows
    from pedclip.evaluation.downstream.summary import compare_results as compare_results
    from pedclip.evaluation.downstream.summary import differences as differences
    from pedclip.evaluation.downstream.summary import downstream_table as downstream_table
    from pedclip.evaluation.downstream.summary import score_rows as score_rows
    from pedclip.evaluation.downstream.summary import task_rows as task_rows
    from pedclip.evaluation.downstream.summary import write_table as write_table

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "head_curve": "head_curves",
        "curve_table": "learning_curves",
        "learning_curve": "learning_curves",
        "downstream_table": "summary",
        "write_table": "summary",
        "fit_probe": "probes",
        "probe": "probes",
        "fit_ridge": "regression",
        "DownstreamSettings": "run",
        "head_settings": "run",
        "run_fine_tuning": "run",
        "run_heads": "run",
        "run_probes": "run",
        "calibration_rows": "summary",
        "class_rows": "summary",
        "compare_results": "summary",
        "differences": "summary",
        "score_rows": "summary",
        "task_rows": "summary",
    },
)
