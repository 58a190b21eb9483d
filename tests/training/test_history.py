"""Files of the history: one folder whenever a run is taken up, read back in the order of the steps."""

from pathlib import Path

import torch

from pedclip.training.history import History, read_history


def write(run: Path, *rows: tuple[int, dict[str, object]]) -> History:
    history = History(run)
    for step, values in rows:
        history.log_metrics(values, step)
    history.save()
    return history


def test_versions_count_from_zero_and_none_is_written_twice(tmp_path: Path) -> None:
    for number in (0, 1):
        history = write(tmp_path, (number, {"train/loss": torch.tensor(0.5)}))
        assert history.version == number
        assert history.path == tmp_path / "logs" / f"version_{number}" / "metrics.csv"
        assert history.path.read_text() == f"step,train/loss\n{number},0.5\n"
    (tmp_path / "logs" / "version_10").mkdir()
    (tmp_path / "logs" / "version_old").mkdir()  # somebody's own
    assert write(tmp_path, (2, {"train/loss": 0.25})).version == 11


def test_a_value_that_comes_later_costs_no_row(tmp_path: Path) -> None:
    history = write(tmp_path, (0, {"a": 1.0}), (1, {"a": 2.0, "b": 3.0}))
    assert history.path.read_text() == "a,b,step\n1.0,,0\n2.0,3.0,1\n"
    written = history.path.stat().st_mtime_ns
    history.save()  # nothing new
    assert history.path.stat().st_mtime_ns == written
    history.log_metrics({"a": 4.0}, 2)
    history.finalize("success")
    assert history.path.read_text().endswith("\n4.0,,2\n")


def test_steps_that_were_repeated_count_once_with_their_later_values(tmp_path: Path) -> None:
    for number in range(11):  # as text, "version_10" stands before "version_2"
        write(tmp_path, (number, {"train/loss": float(number)}), (number + 1, {"train/loss": -1.0}))
    write(tmp_path, (3, {"val/loss": 7.0}))
    found = read_history(tmp_path)
    train = [(row["step"], row["train/loss"]) for row in found if "train/loss" in row]
    assert train == [(number, float(number)) for number in range(11)] + [(11, -1.0)]
    # A validation has the number of the step before it and a row of its own, behind it.
    assert found[4] == {"step": 3, "val/loss": 7.0}


def test_no_history_is_an_empty_one(tmp_path: Path) -> None:
    assert read_history(tmp_path) == []


def test_nothing_is_written_before_it_is_saved(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.save()
    history.log_metrics({"a": 1.0}, 0)
    assert not (tmp_path / "logs").exists()
