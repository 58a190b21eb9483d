"""What a run logged, as tables for the charts."""

import numpy as np
import pytest

from pedclip.anatomy import display_name
from pedclip.plots.history import gate_table, history_table


def test_steps_become_passes_and_unknown_values_are_left_out() -> None:
    history = [
        {"step": 4.0, "epoch": 0.0, "train/contrastive": 3.5, "train/lambda": 1.0},
        {"step": 9.0, "epoch": 0.0, "val/contrastive": 3.25, "val/image_to_text_recall@5": 0.5},
    ]
    table = history_table(history, steps_per_epoch=10)
    assert table.to_numpy().tolist() == [
        [0.5, "contrastive", "train", "nats", 3.5],
        [1.0, "contrastive, whole split", "validation", "nats", 3.25],
        [1.0, "Recall@5", "validation", "share", 0.5],
    ]
    assert table.columns.tolist() == ["epoch", "term", "split", "unit", "value"]


def test_the_whole_loss_stands_where_there_is_no_contrastive_part() -> None:
    rival = [{"step": 0, "train/loss": 3.0, "train/local": 2.0}, {"step": 1, "val/contrastive": 1.0}]
    found = history_table(rival, steps_per_epoch=1)
    assert found[["term", "split", "value"]].to_numpy().tolist() == [
        ["loss", "train", 3.0],
        ["contrastive, whole split", "validation", 1.0],
    ]
    ours = history_table([{"step": 0, "train/loss": 3.0, "train/contrastive": 2.0}], steps_per_epoch=1)
    assert ours["term"].tolist() == ["contrastive"]


def test_an_empty_history_keeps_the_columns() -> None:
    table = history_table([], steps_per_epoch=10)
    assert table.columns.tolist() == ["epoch", "term", "split", "unit", "value"]
    assert len(table) == 0


def test_gate_weights_are_means_per_true_region_in_the_order_of_the_experts() -> None:
    gate = np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25], [0.3, 0.4, 0.3], [1.0, 0.0, 0.0]])
    table = gate_table(gate, ["hand", "tibia_fibula", "hand", "skull"], ["tibia_fibula", "chest", "hand"])
    shown = [display_name(name) for name in ("tibia_fibula", "chest", "hand")]
    assert table["region"].tolist() == [shown[0]] * 3 + [shown[2]] * 3  # no film of the chest, no expert of the skull
    assert table["expert"].tolist() == shown * 2
    assert table["weight"].tolist() == pytest.approx([0.5, 0.25, 0.25, 0.2, 0.3, 0.5], abs=1e-12)
    assert table.groupby("region")["weight"].sum().tolist() == pytest.approx([1, 1], abs=1e-12)


def test_a_long_history_is_thinned_but_keeps_every_validation() -> None:
    history = [{"step": float(step), "train/contrastive": 1.0} for step in range(20_000)]
    history += [{"step": float(step), "val/contrastive": 2.0} for step in range(999, 20_000, 1000)]
    table = history_table(history, steps_per_epoch=1000)
    assert (table["split"] == "validation").sum() == 20
    assert 400 <= (table["split"] == "train").sum() <= 800
