"""The comparison with the CPU tells one wrong tensor among many right ones."""

import math

import torch

from benchmarks.gpu_objectives import _furthest, check_objectives


def test_one_wrong_entry_of_one_tensor_is_found() -> None:
    expected = {"loss": torch.tensor(2.0), "a": torch.tensor([4.0, 1.0]), "b": torch.tensor([0.5, 0.25])}
    assert _furthest(expected, expected) == (0.0, "loss")
    # The norm of all would move by a hundredth of a percent.
    wrong = expected | {"b": torch.tensor([0.5, 0.2])}
    apart, name = _furthest(expected, wrong)
    assert (round(apart, 6), name) == (0.1, "b")
    # Signs exchanged leave every norm as it is.
    assert _furthest(expected, expected | {"a": torch.tensor([-4.0, 1.0])}) == (2.0, "a")
    assert _furthest(expected, {"loss": expected["loss"], "a": expected["a"]}) == (math.inf, "b")
    assert _furthest(expected, expected | {"a": torch.tensor([torch.nan, 1.0])}) == (math.inf, "a")
    # A gradient that is 0 but for rounding: 1e-9 beside 4.
    noise = {"a": expected["a"], "b": torch.tensor([1e-9])}
    assert _furthest(noise, noise | {"b": torch.tensor([-1e-9])})[0] < 1e-3


def test_a_device_agrees_with_itself_on_every_tensor() -> None:
    size = {"image": 32, "width": 32, "depth": 1, "heads": 2, "batch": 4}
    rows = check_objectives("cpu", size)
    assert [row["difference"] for row in rows] == [0.0] * len(rows)
    # Encoders and heads: a norm would be two numbers.
    assert all(int(row["what"].split(": ")[1].split()[0]) > 30 for row in rows)
