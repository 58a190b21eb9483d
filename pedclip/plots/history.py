"""The records of a training run as tidy tables."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pedclip.anatomy import display_name

MAX_RECORDS: Final = 800  # of a few terms each, which stays below MAX_ROWS
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
    """Values of ``pedclip.training.loop.read_history`` as ``training_curves`` takes them.

    Args:
        history: Records with ``step`` and logged values.
        steps_per_epoch: Optimizer steps of one epoch, at least 1.

    Returns:
        Columns `epoch` (passes done), `term`, `split`, `unit`, `value`. Of a rival without a contrastive part its whole
        loss is the term "loss".
    """
    # A chart holds a few thousand rows: of a long run every k-th training record is drawn, and every validation.
    stride = -(-len(history) // MAX_RECORDS) or 1
    kept = [
        record
        for index, record in enumerate(history)
        if index % stride == 0 or any(name.startswith("val/") for name in record)
    ]
    # A rival's own sum stands where PedCLIP's contrastive part would.
    has_parts = any("train/contrastive" in record for record in kept)
    known = _TERMS if has_parts else _TERMS | {"train/loss": ("loss", "train", "nats")}
    rows = [
        # Steps count from 0; after the last one of an epoch the epoch is done.
        {"epoch": (record["step"] + 1) / steps_per_epoch, "term": term, "split": split, "unit": unit, "value": value}
        for record in kept
        for name, value in record.items()
        if name in known
        for term, split, unit in [known[name]]
    ]
    return pd.DataFrame(rows, columns=["epoch", "term", "split", "unit", "value"])


def gate_table(gate: NDArray[np.floating[Any]], true_regions: Sequence[str], experts: Sequence[str]) -> pd.DataFrame:
    """Mean gate weights per true region as ``gate_weights`` takes them.

    Args:
        gate: (N, E) gate weights of N films.
        true_regions: (N,) region of each film.
        experts: (E,) region of each expert.

    Returns:
        Columns `region`, `expert`, `weight`, both in the order of the experts.
    """
    means = pd.DataFrame(gate, columns=list(experts)).groupby(np.asarray(true_regions)).mean()  # (regions, E)
    rows = [
        {"region": display_name(true), "expert": display_name(expert), "weight": means.at[true, expert]}
        for true in experts
        if true in means.index  # regions without films have no row
        for expert in experts
    ]
    return pd.DataFrame(rows, columns=["region", "expert", "weight"])
