"""Learning curves of the heads for masks and boxes: fractions of the labelled patients, several subsamples of each."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pedclip.evaluation.downstream.run import DownstreamSettings, fit_head
from pedclip.evaluation.result import Result
from pedclip.evaluation.tasks.patient_split import Part
from pedclip.evaluation.tasks.task import Labels, Task

FRACTIONS: Final = (0.01, 0.1, 1.0)


def head_curve(
    task: Task,
    methods: Mapping[str, Labels],
    patients: Labels,
    truth: Mapping[str, NDArray[Any]],
    settings: DownstreamSettings,
    *,
    fractions: Sequence[float] = FRACTIONS,
    seeds: int = 1,
) -> dict[tuple[str, float], list[Result]]:
    """A head per method, fraction of the labelled patients and subsample of that fraction.

    As `learning_curve` for probes: the fraction is one of the training and of the validation patients, all methods
    learn from the same subsamples, and all of the patients are taken once.

    Args:
        task: Of masks or boxes.
        methods: Name to patch tokens (N, S, C) by split.
        patients: By split, one per image.
        truth: By split, from `read_truth`.
        settings: Of heads and bootstrap.
        fractions: Each in (0, 1].
        seeds: Subsamples of each fraction below 1, at least 1.

    Returns:
        (method, fraction) to one result per subsample. A subsample without a single mask or box teaches nothing and is
        left out, for all methods alike; a fraction that has no other is absent.

    Raises:
        ValueError: As `PatientSplit.subsample` and the head on all patients.
    """
    found: dict[tuple[str, float], list[Result]] = {}
    for method, inputs in methods.items():
        # Checked anew for each method: a leak is refused whatever the features.
        split = task.split(inputs, patients, truth)
        # Whether an image shows anything: rare ones must be in a small fraction, too.
        strata, validation = (_shows(part) for part in (split.train, split.validation))
        for fraction in fractions:
            # All of the patients can be taken in one way only.
            for seed in range(seeds if fraction < 1 else 1):
                smaller = split.subsample(fraction, seed=seed, strata=strata, validation_strata=validation)
                # A hundredth of few patients may hold films without a finding only; that is bad luck and no error.
                if fraction < 1 and not _shows(smaller.train).any():
                    continue
                found.setdefault((method, fraction), []).append(fit_head(task, smaller, method, settings))
    return found


def _shows(part: Part) -> NDArray[np.bool_]:
    """(N,) True where an image has a mask or a box."""
    # Boxes are objects, as images differ in their number.
    if part.truth.dtype == object:
        return np.array([len(boxes.labels) > 0 for boxes in part.truth], dtype=bool)
    # (N, H, W) -> (N,)
    return np.asarray(part.truth.reshape(len(part), -1).any(axis=1))
