"""The logged values of a training run as a tidy table."""

from collections.abc import Mapping, Sequence
from typing import Final

import pandas as pd

_TERMS: Final = {
    "train/contrastive": ("contrastive", "train", "nats"),
    "train/gate": ("gate", "train", "nats"),
    "val/contrastive": ("contrastive, whole split", "validation", "nats"),
    "train/gate_accuracy": ("gate accuracy", "train", "share"),
    "val/gate_accuracy": ("gate accuracy", "validation", "share"),
    "val/image_to_text_recall@1": ("Recall@1", "validation", "share"),
    "val/image_to_text_recall@5": ("Recall@5", "validation", "share"),
}


def history_table(history: Sequence[Mapping[str, float]], *, steps_per_epoch: int) -> pd.DataFrame:
    """Values of ``pedclip.training.pretrain.read_history`` as ``training_curves`` takes them.

    Args:
        history: Records with ``step`` and logged values.
        steps_per_epoch: Optimizer steps of one epoch, at least 1.

    Returns:
        Columns `epoch` (passes done), `term`, `split`, `unit`, `value`.
    """
    rows = [
        {"epoch": (record["step"] + 1) / steps_per_epoch, "term": term, "split": split, "unit": unit, "value": value}
        for record in history
        for name, value in record.items()
        if name in _TERMS
        for term, split, unit in [_TERMS[name]]
    ]
    return pd.DataFrame(rows, columns=["epoch", "term", "split", "unit", "value"])
