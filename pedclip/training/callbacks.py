"""Progress that reads well everywhere."""

import sys
import time
from typing import Any, Final

import lightning as L
from tqdm import tqdm

PLAIN_LINES: Final = 10  # per run, where nobody watches
REFRESH_SECONDS: Final = 1.0


class Progress(L.Callback):
    """One progress bar over all steps of the run, with the loss and the time left.

    A terminal gets a moving bar, a notebook one output that is rewritten in place (so that a stored notebook holds a
    single line), and anything else (a log file, a cluster job) at most ten lines.
    """

    def __init__(self) -> None:
        self._started = 0.0
        self._first = 0
        self._shown_at = 0.0
        self._lines = 0
        self._bar: Any = None
        self._handle: Any = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Choose the kind of output."""
        # A resumed run begins in its middle, and only its own batches tell its speed.
        self._started, self._first = time.monotonic(), self._done(trainer, -1)
        if not trainer.is_global_zero:
            return  # several ranks would write over each other's line
        if _is_notebook():
            # By hand, not by tqdm: its widget leaves an output that no stored notebook can show again.
            from IPython.display import DisplayHandle

            self._handle = DisplayHandle()  # type: ignore[no-untyped-call]
            self._handle.display(_text("starting"), raw=True)
        elif sys.stderr.isatty():
            self._bar = tqdm(total=self._total(trainer), initial=self._first, unit="batch", dynamic_ncols=True)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show one step."""
        if not trainer.is_global_zero:
            return
        done, total, now = self._done(trainer, batch_idx), self._total(trainer), time.monotonic()
        # Lightning has divided the loss by the number of accumulated batches.
        loss = float(outputs["loss"]) * trainer.accumulate_grad_batches
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
            self._bar.set_postfix(loss=f"{loss:.3f}")
        elif self._handle is not None:
            # Every update is a message to the browser; a step may take milliseconds.
            if now - self._shown_at >= REFRESH_SECONDS or done == total:
                self._shown_at = now
                self._handle.update(_text(self._line(trainer, done, total, loss)), raw=True)
        # A line when the next tenth of the run is reached.
        elif done * PLAIN_LINES // total > self._lines:
            self._lines = done * PLAIN_LINES // total
            print(self._line(trainer, done, total, loss), flush=True)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()

    def _line(self, trainer: L.Trainer, done: int, total: int, loss: float) -> str:
        elapsed = time.monotonic() - self._started
        # Mean speed since the start; epochs hold equal numbers of batches, validation included.
        left = elapsed / max(1, done - self._first) * (total - done)
        epochs = trainer.max_epochs
        return (
            f"epoch {trainer.current_epoch + 1}/{epochs}  batch {done}/{total} ({100 * done // total} %)  "
            f"loss {loss:.3f}  elapsed {_clock(elapsed)}  left {_clock(left)}"
        )

    @staticmethod
    def _done(trainer: L.Trainer, batch_idx: int) -> int:
        if batch_idx < 0:
            # Before the first batch of this process: what the checkpoint says was handed out.
            batch_idx = trainer.fit_loop.epoch_loop.batch_progress.current.ready - 1
        return trainer.current_epoch * int(trainer.num_training_batches) + batch_idx + 1

    @staticmethod
    def _total(trainer: L.Trainer) -> int:
        assert trainer.max_epochs is not None
        return trainer.max_epochs * int(trainer.num_training_batches)


def _is_notebook() -> bool:
    # Looked up, not imported: outside a notebook IPython would only cost time, and may be absent.
    if "ipykernel" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


def _text(line: str) -> dict[str, str]:
    # The plain twin is constant, so that a stored notebook compares equal on every machine.
    return {"text/plain": "training", "text/markdown": f"`{line}`"}


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
