"""Progress of a run as a terminal, a notebook and a log file show it."""

import sys
from types import SimpleNamespace
from typing import Any

import IPython.display
import pytest
import torch

from pedclip.training import callbacks
from pedclip.training.callbacks import Progress


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(callbacks, "time", made)
    return made


def trainer(*, epochs: int, batches: int, ready: int = 0, epoch: int = 0) -> Any:
    """What the bar asks of Lightning's trainer; ``ready`` batches of the epoch were handed out before."""
    loop = SimpleNamespace(batch_progress=SimpleNamespace(current=SimpleNamespace(ready=ready)))
    return SimpleNamespace(
        is_global_zero=True, max_epochs=epochs, num_training_batches=batches, current_epoch=epoch,
        accumulate_grad_batches=2, fit_loop=SimpleNamespace(epoch_loop=loop),
    )  # fmt: skip


def train(progress: Progress, run: Any, clock: Clock, *, first: int = 0, seconds: float = 30.0) -> None:
    """The batches of a run from one of them on, the loss of each being half its number, as Lightning divides it."""
    progress.on_train_start(run, None)
    for number in range(first, run.max_epochs * run.num_training_batches):
        clock.now += seconds
        run.current_epoch, batch_idx = divmod(number, run.num_training_batches)
        progress.on_train_batch_end(run, None, {"loss": torch.tensor((number + 1) / 2)}, None, batch_idx)
    progress.on_train_end(run, None)


def test_a_log_file_gets_a_line_at_every_tenth(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    train(Progress(), trainer(epochs=5, batches=50), clock)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[0] == "epoch 1/5  batch 25/250 (10 %)  loss 25.000  elapsed 12:30  left 1:52:30"
    assert lines[-1] == "epoch 5/5  batch 250/250 (100 %)  loss 250.000  elapsed 2:05:00  left 0:00"


def test_a_resumed_run_counts_on_and_its_own_batches_tell_the_speed(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    # Killed behind the second batch of the second epoch: 5 of 9 are done, 4 are left at 30 s each.
    train(Progress(), trainer(epochs=3, batches=3, ready=2, epoch=1), clock, first=5)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "epoch 2/3  batch 6/9 (66 %)  loss 6.000  elapsed 0:30  left 1:30"
    assert len(lines) == 4


def test_a_terminal_gets_one_moving_bar(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class Bar:
        def __init__(self, **options: object) -> None:
            self.options, self.n, self.shown, self.is_closed = options, options["initial"], [], False
            made.append(self)

        def update(self, count: int) -> None:
            self.n += count

        def set_postfix(self, **values: str) -> None:
            self.shown.append((self.n, values))

        def close(self) -> None:
            self.is_closed = True

    monkeypatch.setattr(callbacks, "tqdm", Bar)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    train(Progress(), trainer(epochs=2, batches=3, ready=1), clock, first=1)
    (bar,) = made
    # The width of the window is asked for at every step: it may change while a run of hours goes on.
    assert bar.options == {"total": 6, "initial": 1, "unit": "batch", "dynamic_ncols": True}
    assert bar.shown == [(number, {"loss": f"{number}.000"}) for number in range(2, 7)]
    assert bar.is_closed


def test_a_notebook_gets_one_output_rewritten_once_a_second(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, str]] = []

    class Handle:
        def display(self, content: dict[str, str], *, raw: bool) -> None:
            assert raw
            shown.append(content)

        update = display

    monkeypatch.setattr(callbacks, "_is_notebook", lambda: True)
    monkeypatch.setattr(IPython.display, "DisplayHandle", Handle)
    train(Progress(), trainer(epochs=1, batches=11), clock, seconds=0.25)
    # The first step, then every fourth, and the last one in any case; the plain twin says nothing that may differ.
    assert {content["text/plain"] for content in shown} == {"training"}
    lines = [content["text/markdown"] for content in shown]
    assert lines[0] == "`starting`"
    assert [line.split("  ")[1] for line in lines[1:]] == [
        "batch 1/11 (9 %)", "batch 5/11 (45 %)", "batch 9/11 (81 %)", "batch 11/11 (100 %)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("loaded", "has_kernel", "expected"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_a_notebook_is_a_kernel_and_not_a_module_alone(
    loaded: bool, has_kernel: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    if loaded:
        monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=1) if has_kernel else None)
    assert callbacks._is_notebook() is expected


def test_other_ranks_are_silent(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    run = trainer(epochs=1, batches=10)
    run.is_global_zero = False
    train(Progress(), run, clock)
    assert capsys.readouterr() == ("", "")
