"""Heads on fractions of the patients: the same subsamples for all, and one that teaches nothing is left out."""

import numpy as np
import pytest

from pedclip.evaluation.crop import box_array
from pedclip.evaluation.downstream import head_curves
from pedclip.evaluation.downstream.fit import Schedule
from pedclip.evaluation.downstream.head_curves import head_curve
from pedclip.evaluation.downstream.run import DownstreamSettings, run_heads
from pedclip.evaluation.metrics.detection import Boxes
from pedclip.evaluation.tasks.task import Task
from pedclip.triplets.splits import SPLITS
from tests.evaluation.tiny_tasks import GRID, squares

SETTINGS = DownstreamSettings(num_resamples=20, widths=(8, 8), schedule=Schedule(epochs=2, learning_rate=1e-2))
COUNTS = {"train": 30, "validation": 8, "test": 12}


def films(empty: float = 0.2):
    """Tokens, boxes and masks by split, and a patient for every two films."""
    found = {split: squares(COUNTS[split], seed, empty=empty) for seed, split in enumerate(SPLITS)}
    tokens = {split: one[0] for split, one in found.items()}
    masks = {split: one[2] for split, one in found.items()}
    boxes = {
        split: box_array(
            [
                Boxes(np.zeros((0, 4)) if place is None else np.array([place]) / GRID, [0] * (place is not None))
                for place in one[1]
            ]
        )
        for split, one in found.items()
    }
    patients = {split: np.array([f"{split}{row // 2}" for row in range(COUNTS[split])]) for split in SPLITS}
    return tokens, boxes, masks, patients


def task(kind: str) -> Task:
    rows = {split: np.arange(count) for split, count in COUNTS.items()}
    return Task("squares", kind, ("square",) if kind == "boxes" else (), rows, {})


@pytest.mark.parametrize("kind", ["masks", "boxes"])
def test_all_of_the_patients_are_what_run_heads_takes(kind: str) -> None:
    tokens, boxes, masks, patients = films()
    truth = boxes if kind == "boxes" else masks
    curve = head_curve(task(kind), {"one": tokens}, patients, truth, SETTINGS, fractions=[0.2, 1.0], seeds=2)
    whole = run_heads(task(kind), {"one": tokens}, patients, truth, SETTINGS)["squares", "one"]
    assert [len(curve["one", fraction]) for fraction in (0.2, 1.0)] == [2, 1]
    assert curve["one", 1.0][0].score == whole.score
    small = curve["one", 0.2]
    assert [(one.fraction, one.seed, one.num_train_patients) for one in small] == [(0.2, 0, 3), (0.2, 1, 3)]


def test_methods_learn_from_the_same_patients(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, _, masks, patients = films()
    seen: dict[str, list[list[str]]] = {}

    def record(task: Task, split, method: str, settings: DownstreamSettings) -> str:
        seen.setdefault(method, []).append(sorted(set(split.train.patients) | set(split.validation.patients)))
        return method

    monkeypatch.setattr(head_curves, "fit_head", record)
    methods = {"a": tokens, "b": {split: one + 1 for split, one in tokens.items()}}
    head_curve(task("masks"), methods, patients, masks, SETTINGS, fractions=[0.2, 0.5], seeds=3)
    assert seen["a"] == seen["b"]
    # Another seed, other patients; a smaller fraction is part of the larger one of its seed.
    assert len({tuple(one) for one in seen["a"]}) == 6
    assert all(set(small) < set(large) for small, large in zip(seen["a"][:3], seen["a"][3:], strict=True))


def test_a_subsample_that_shows_nothing_is_left_out() -> None:
    tokens, _, masks, patients = films()
    empty = {**masks, "train": np.zeros_like(masks["train"])}
    empty["train"][0, :4, :4] = True  # one patient of fifteen
    rare = task("masks")
    curve = head_curve(rare, {"one": tokens}, patients, empty, SETTINGS, fractions=[0.07, 1.0], seeds=3)
    assert len(curve.get(("one", 0.07), [])) < 3
    nothing = {**masks, "train": np.zeros_like(masks["train"])}
    with pytest.raises(ValueError, match="all of them are empty"):
        head_curve(rare, {"one": tokens}, patients, nothing, SETTINGS, fractions=[1.0])
