"""Several methods on several tasks."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pedclip.evaluation.crop import box_array
from pedclip.evaluation.downstream.fit import Schedule
from pedclip.evaluation.downstream.run import MEAN, DownstreamSettings, head_settings, run_heads, run_probes
from pedclip.evaluation.metrics.detection import Boxes
from pedclip.evaluation.tasks.patient_split import PatientLeak
from pedclip.evaluation.tasks.task import Task
from pedclip.triplets.splits import SPLITS
from tests.evaluation.tiny_tasks import random_table

COUNT = 60
RNG = np.random.default_rng(0)
ROWS, PATIENTS, LABELS, MONTHS = random_table(COUNT, 1, films_per_patient=2)
GOOD = {split: np.hstack([LABELS[split], MONTHS[split][:, None] / 100]) for split in SPLITS}
NOISE = {split: RNG.normal(size=(COUNT, 2)) for split in SPLITS}
FINDING = Task("finding", "multi-label", ("finding",), ROWS, LABELS)
AGE = Task("age", "regression", (), ROWS, MONTHS)
MASKS = Task("lungs", "masks", (), ROWS, {}, "structures")
BOXES = Task("boxes", "boxes", ("finding",), ROWS, {}, "boxes")
SETTINGS = DownstreamSettings(num_resamples=50, schedule=Schedule(epochs=12, learning_rate=3e-3), widths=(8, 8))


def test_every_task_and_method_and_the_mean_for_ages() -> None:
    found = run_probes([FINDING, AGE, MASKS], {"good": GOOD, "noise": NOISE}, PATIENTS, SETTINGS)
    assert list(found) == [
        ("finding", "good"), ("finding", "noise"), ("age", "good"), ("age", "noise"), ("age", MEAN),
    ]  # fmt: skip
    assert found["finding", "good"].score.value > 0.99 > found["finding", "noise"].score.value
    ages = [found["age", method].score.value for method in ("good", "noise", MEAN)]
    assert ages[0] < 5 < 30 < min(ages[1:])
    assert found["age", "good"].baseline == pytest.approx(ages[2])


def test_a_patient_in_two_parts_is_refused() -> None:
    leaked = PATIENTS | {"test": PATIENTS["train"]}
    with pytest.raises(PatientLeak):
        run_probes([FINDING], {"good": GOOD}, leaked, SETTINGS)
    with pytest.raises(ValueError, match="pass the masks that read_truth returns"):
        MASKS.split(GOOD, PATIENTS)


def tokens_of(halves: dict[str, NDArray[np.bool_]]) -> dict[str, NDArray[np.float32]]:
    """(N, 4, 8) tokens of a 2×2 grid whose first channel is 1 where the half of the film is marked."""
    tokens = {split: RNG.normal(0, 0.1, (COUNT, 4, 8)).astype(np.float32) for split in halves}
    for split, upper in halves.items():
        tokens[split][:, :2, 0] += upper[:, None]
        tokens[split][:, 2:, 0] += ~upper[:, None]
    return tokens


def test_heads_learn_where_the_tokens_say_it() -> None:
    halves = {split: RNG.integers(0, 2, COUNT).astype(bool) for split in SPLITS}
    masks = {split: np.zeros((COUNT, 8, 8), dtype=bool) for split in SPLITS}
    for split, upper in halves.items():
        masks[split][upper, :4] = True
        masks[split][~upper, 4:] = True
    found = run_heads(MASKS, {"model": tokens_of(halves)}, PATIENTS, masks, SETTINGS)
    assert found["lungs", "model"].score.value > 0.8
    assert found["lungs", "model"].require_predictions().output.shape == (COUNT, 8, 8)
    corners = {True: [[0.05, 0.05, 0.95, 0.45]], False: [[0.05, 0.55, 0.95, 0.95]]}
    boxes = {
        split: box_array([Boxes(np.array(corners[bool(one)]), np.zeros(1, dtype=int)) for one in upper])
        for split, upper in halves.items()
    }
    found = run_heads(BOXES, {"model": tokens_of(halves)}, PATIENTS, boxes, SETTINGS)
    assert found["boxes", "model"].metric == "mAP"
    assert found["boxes", "model"].score.value > 0.2


def test_heads_of_the_paper_are_the_published_ones() -> None:
    paper, demo = head_settings("paper", epochs=50), head_settings("demo", epochs=3)
    assert paper["widths"] == (512, 256, 128, 64)
    assert (paper["schedule"].epochs, paper["schedule"].learning_rate) == (50, 5e-4)
    assert sum(demo["widths"]) < sum(paper["widths"])
