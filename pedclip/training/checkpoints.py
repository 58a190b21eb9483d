"""Files that a run writes while it trains: the exported model, and the state that a killed run goes on from."""

from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import lightning as L
import torch
from safetensors.torch import load_file
from torch import Tensor

from pedclip.models.checkpoint_files import HEADS_FILE
from pedclip.models.pedclip import WEIGHTS_FILE
from pedclip.objectives.trained import PLAIN, exported_heads, write_objective
from pedclip.training.batches import Batch
from pedclip.training.module import PretrainModule, objective_settings
from pedclip.training.run_lock import check_lock
from pedclip.training.state import LAST_CHECKPOINT, State, not_finite, write_state

RESUME_FOLDER: Final = "resume"
EXPORT_FOLDER: Final = "checkpoint"


class NotFiniteError(RuntimeError):
    """A loss or a weight is NaN or infinite; nothing that is computed from it would mean anything."""


class ExportCheckpoint(L.Callback):
    """Writes the model folder after every epoch, so that an unfinished run can already be opened.

    Args:
        path: Destination, replaced as a whole each time.
        card: Markdown for the folder's README.md.
    """

    def __init__(self, path: Path, card: str) -> None:
        self.path = path
        self.card = card

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Export on rank 0."""
        if not isinstance(pl_module, PretrainModule):
            return
        # Heads of an objective are exported with the model, and spoil its answers as much.
        weights = dict(pl_module.model.named_parameters())
        heads = {f"objective.{name}": weight for name, weight in pl_module.objective.named_parameters()}
        if tensor := not_finite(weights | heads):
            raise NotFiniteError(
                f"{tensor} holds NaN or infinite values at the end of epoch {trainer.current_epoch + 1}"
            )
        if trainer.is_global_zero:
            # All ranks hold the same weights; one of them writes.
            pl_module.model.save_pretrained(self.path, card=self.card, add=partial(_write_heads, pl_module))

    def is_of(self, module: PretrainModule) -> bool:
        """True where the exported weights are those of a module, those of the objective's heads included."""
        has_heads = module.config.objective not in PLAIN
        try:
            stored = load_file(self.path / WEIGHTS_FILE)
            stored_heads = load_file(self.path / HEADS_FILE) if has_heads else {}
        except Exception:  # missing or damaged in any way: to be written again
            return False
        held, heads = module.model.state_dict(), exported_heads(module.objective) if has_heads else {}
        if stored_heads.keys() != heads.keys():
            return False
        return all(torch.equal(value, held[name].cpu()) for name, value in stored.items() if name in held) and all(
            torch.equal(value, heads[name]) for name, value in stored_heads.items()
        )


def _write_heads(module: PretrainModule, folder: Path) -> None:
    config = module.config
    write_objective(folder, module.objective, name=config.objective, options=objective_settings(config))


class ResumableCheckpoint(L.Callback):
    """Writes what a killed run goes on from, restores it, and stops a run whose numbers are not finite.

    The one counter is the number of batches since the beginning of the run; epoch, batch and the rows to read next
    follow from it. An epoch counts as done only when it is validated, logged and exported: whatever a kill leaves out
    is done again.

    Args:
        run: Folder of the run.
        every: Optimizer steps between two checkpoints inside an epoch, at least 1.
        export: The callback that exports; it must stand before this one.
        state: To go on from; None begins anew.
    """

    def __init__(self, run: Path, every: int, export: ExportCheckpoint, state: State | None) -> None:
        self.run = run
        self.every = every
        self.export = export
        self._state = state
        self._saved_step = state["global_step"] if state else 0
        self._is_due = False
        self._rows: Tensor | None = None  # (B,) of the present batch
        self._losses: list[tuple[Tensor, Tensor | None]] = []  # with their rows, since the last step of the optimizer

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restore weights, optimizer and counters."""
        state, self._state = self._state, None
        if state is None or not isinstance(pl_module, PretrainModule):
            return
        # Strategy and optimizer exist by now, and the loader has begun where the run goes on (TripletDataModule).
        pl_module.load_state_dict(state["state_dict"])
        trainer.optimizers[0].load_state_dict(state["optimizer"])
        trainer.lr_scheduler_configs[0].scheduler.load_state_dict(state["scheduler"])
        trainer.precision_plugin.load_state_dict(state["precision"])
        epoch, batch = divmod(state["batches"], pl_module.batches_per_epoch)
        _set_counters(trainer, epoch, batch, batches=state["batches"], steps=state["global_step"])
        # Between two epochs the export is that of this state, unless somebody has removed or changed it.
        if not batch and trainer.is_global_zero and not self.export.is_of(pl_module):
            self.export.on_train_epoch_end(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Write the state behind the last batch, by now with its row in the history; remember the films of this one."""
        if self._is_due:
            self._save(trainer, pl_module)
        self._rows = batch.get("rows")

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Remember the () loss; to look at it here would make a GPU wait."""
        self._losses.append((loss.detach(), self._rows))

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Stop before the weights are spoilt."""
        # One per batch that was added up; the gradients are there and not yet applied.
        losses, self._losses = self._losses, []
        for loss, rows in losses:
            if not torch.isfinite(loss):
                films = "unknown films" if rows is None else f"the films in rows {rows.tolist()} of the training split"
                self._stop(trainer, f"the loss is {loss.item()} for {films}")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Find out whether a checkpoint is due before the next batch."""
        # Not between batches whose gradients are added up: gradients are not stored. The last batch of an epoch is
        # left to the end of the epoch.
        is_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        is_last = batch_idx + 1 == trainer.num_training_batches
        self._is_due = is_step and not is_last and trainer.global_step % self.every == 0

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the state between two epochs, when everything else of the epoch is on disk."""
        self._save(trainer, pl_module)

    def _save(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._is_due = False
        state = {
            "global_step": trainer.global_step,
            "batches": trainer.fit_loop.epoch_loop.batch_progress.total.completed,
            "state_dict": module.state_dict(),
            "optimizer": trainer.optimizers[0].state_dict(),
            "scheduler": trainer.lr_scheduler_configs[0].scheduler.state_dict(),
            "precision": trainer.precision_plugin.state_dict(),
        }
        # A finite loss may have an infinite gradient: what it has made of the weights is no state to go on from.
        if tensor := not_finite(state):
            self._stop(trainer, f"{tensor} holds NaN or infinite values")
        if not trainer.is_global_zero:
            return  # all ranks hold the same state; one of them writes
        check_lock(self.run)
        # The history first: rows of steps that a resumed run does not repeat must be on disk.
        for logger in trainer.loggers:
            logger.save()
        write_state(self.run / RESUME_FOLDER, state)
        self._saved_step = trainer.global_step

    def _stop(self, trainer: L.Trainer, reason: str) -> NoReturn:
        last = self.run / RESUME_FOLDER / LAST_CHECKPOINT
        good = f"{last} (step {self._saved_step})" if self._saved_step else "none"
        raise NotFiniteError(
            f"step {trainer.global_step + 1}, epoch {trainer.current_epoch + 1}: {reason}. The run stops and exports "
            f"nothing; the last good checkpoint: {good}. Look at these films, or lower learning_rate"
        )


def _set_counters(trainer: L.Trainer, epoch: int, batch: int, *, batches: int, steps: int) -> None:
    """Put Lightning's loops where a run of so many batches and steps stands."""
    loop = trainer.fit_loop
    # Inside an epoch it is one that has started and is not yet processed.
    begun = epoch + (batch > 0)
    for progress in (loop.epoch_progress.total, loop.epoch_progress.current):
        progress.load_state_dict({"ready": begun, "started": begun, "processed": epoch, "completed": epoch})
    total, current = loop.epoch_loop.batch_progress.total, loop.epoch_loop.batch_progress.current
    for tracker, count in ((total, batches), (current, batch)):
        tracker.load_state_dict(dict.fromkeys(("ready", "started", "processed", "completed"), count))
    loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total.load_state_dict(
        {"ready": steps, "completed": steps}
    )
    loop.epoch_loop._batches_that_stepped = steps  # by which the history counts
    # Only in the middle of an epoch: at its end Lightning would look for what is left of it.
    loop.restarting = batch > 0
