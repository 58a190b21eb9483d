"""Strict loading: what is missing, left over or of another shape is named, and nothing stays random unnoticed."""

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import BertModel
from transformers.utils import logging

from pedclip.models.released.fitting import Fit, fit_module, fit_transformers
from tests.models.released.tiny_networks import bert


def test_module_takes_its_weights_and_older_files_without_counters() -> None:
    source, target = (nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)) for _ in range(2))
    weights = {name: value for name, value in source.state_dict().items() if "num_batches" not in name}
    assert fit_module(target, weights, "head.") == Fit()
    assert torch.equal(target[0].weight, source[0].weight)


def test_misfits_are_reported_by_their_published_names(tmp_path: Path) -> None:
    weights = {"weight": torch.zeros(2, 4), "scale": torch.ones(1)}
    fit = fit_module(nn.Linear(3, 2), weights, "head.")
    assert fit == Fit(["head.bias"], ["head.scale"], ["head.weight (2, 4) for (2, 3)"])
    with pytest.raises(
        ValueError, match=r"(?s)w.pt does not .*\(as x\)\n  missing: head.bias\n  left over: head.scale\n.*\n  do this"
    ):
        fit.check(tmp_path / "w.pt", "as x", "  do this")
    Fit().check(tmp_path / "w.pt", "as x")  # nothing to report


def test_transformers_model_is_equal_and_its_misfits_are_named(capfd: pytest.CaptureFixture[str]) -> None:
    source = bert()
    weights = dict(source.state_dict())
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    model, fit = fit_transformers(BertModel, source.config, weights, "text.", add_pooling_layer=False)
    assert fit == Fit()
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert not model.training
    weights["embeddings.token_type_embeddings.weight"] = torch.zeros(3, 64)
    del weights["embeddings.LayerNorm.bias"]
    fit = fit_transformers(
        BertModel, source.config, {**weights, "more": torch.ones(1)}, "text.", add_pooling_layer=False
    )[1]
    assert fit.missing == ["text.embeddings.LayerNorm.bias"]
    assert fit.left_over == ["text.more"]
    assert fit.other_shape == ["text.embeddings.token_type_embeddings.weight (3, 64) for (2, 64)"]
    # Neither its bar nor its own table, and both are as before afterwards.
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_half_precision_is_widened() -> None:
    source = bert()
    weights = {name: value.half() for name, value in source.state_dict().items()}
    model, fit = fit_transformers(BertModel, source.config, weights, add_pooling_layer=False)
    assert fit == Fit()
    assert {value.dtype for value in model.parameters()} == {torch.float32}
