"""Pre-training from triplets to a checkpoint: one function for the notebook, the shell and the tests."""

import csv
import dataclasses
import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from pedclip.models.pedclip import PedCLIP
from pedclip.models.text import train_tokenizer
from pedclip.training.callbacks import ExportCheckpoint, Progress
from pedclip.training.config import RunConfig, TrainingConfig
from pedclip.training.datamodule import TripletDataModule
from pedclip.training.module import PretrainModule
from pedclip.training.resume import RESUME_FOLDER, claim_run, steps_done
from pedclip.triplets.arrays import TripletArrays


@dataclass(frozen=True)
class PretrainResult:
    """Result of a run, finished or continued.

    Attributes:
        model: The trained model, in evaluation mode, on the CPU.
        checkpoint: Folder for ``PedCLIP.from_pretrained``.
        history: One record per logged step; see ``read_history``.
        seconds: Wall time of this process, in seconds.
        resumed_from: Optimizer steps that an earlier, killed process had done.
    """

    model: PedCLIP
    checkpoint: Path
    history: list[dict[str, float]]
    seconds: float
    resumed_from: int


def pretrain(
    train: TripletArrays,
    validation: TripletArrays,
    *,
    config: RunConfig,
    run: Path,
    resume: bool = True,
    card: str = "",
) -> PretrainResult:
    """Pre-train PedCLIP and write ``run/checkpoint``.

    A killed run continues from its last resumable checkpoint and ends with the weights that it would have had: on
    a CPU bit by bit.

    Args:
        train: Training split.
        validation: Validation split, or an empty one.
        config: Model and optimization.
        run: Folder of this run.
        resume: Continue what is in ``run``; False starts again.
        card: Markdown for the checkpoint's README.md.

    Raises:
        ValueError: The folder holds a run with another configuration; the message names the first difference.
    """
    training = config.training
    # First of all: another run in this folder is refused before anything is built or written.
    resumable = claim_run(run, config, train, validation, resume=resume)
    # Initial weights are drawn from torch's global generator inside timm and transformers.
    torch.manual_seed(training.seed)
    model = build_model(config, train)
    done_before = steps_done(resumable) if resumable else 0
    started = time.monotonic()
    data = TripletDataModule(train, validation, model, training)
    module = PretrainModule(model, training, batches_per_epoch=data.batches_per_epoch)
    with quiet_lightning():
        export = ExportCheckpoint(run / "checkpoint", card)
        steps = training.epochs * data.batches_per_epoch // training.accumulate  # of the optimizer
        trainer = _trainer(training, run, export, has_validation=len(validation) > 0, steps=steps)
        # weights_only: a resumable checkpoint is unpickled without running any code that it may hold.
        trainer.fit(module, data, ckpt_path=resumable, weights_only=True)
    # Evaluation mode, as from_pretrained returns it: no dropout, and gates may be truncated.
    model = model.cpu().eval()
    return PretrainResult(model, run / "checkpoint", read_history(run), time.monotonic() - started, done_before)


def build_model(config: RunConfig, train: TripletArrays) -> PedCLIP:
    """Untrained PedCLIP for a run; its tokenizer is trained on ``train`` unless text weights bring one.

    Raises:
        OSError: Named weights cannot be reached.
    """
    training = config.training
    # Published text weights know only the words of their own tokenizer.
    tokenizer = None if training.text_weights else train_tokenizer(train.texts, vocab_size=config.model.vocab_size)
    model = PedCLIP(
        config.model, tokenizer=tokenizer, image_weights=training.image_weights, text_weights=training.text_weights
    )
    model.preprocess = dataclasses.replace(model.preprocess, augment=training.augment)
    return model


def read_history(run: Path) -> list[dict[str, float]]:
    """Logged values of a run in order of the steps; where a resumed run repeated steps, its values count.

    Returns:
        Records with ``step``, ``epoch`` and whatever was logged there.
    """
    # A step and the validation after it have one number but stand in rows of their own.
    merged: dict[tuple[int, bool], dict[str, float]] = {}
    # Every restart writes a folder of its own; by number, for "version_10" sorts before "version_2".
    files = sorted(
        run.glob("logs/version_*/metrics.csv"), key=lambda path: int(path.parent.name.removeprefix("version_"))
    )
    for path in files:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                # Empty cells: values that are logged at other steps.
                values = {name: float(value) for name, value in row.items() if value}
                is_validation = any(name.startswith("val/") for name in values)
                merged.setdefault((int(values["step"]), is_validation), {}).update(values)
    return [merged[key] for key in sorted(merged)]


def _trainer(
    config: TrainingConfig, run: Path, export: ExportCheckpoint, *, has_validation: bool, steps: int
) -> L.Trainer:
    # "step" only grows, so that the best one is the newest; more than one is never kept.
    checkpoint = ModelCheckpoint(
        dirpath=run / RESUME_FOLDER,
        filename="{step}",
        every_n_train_steps=config.checkpoint_every,
        save_last=True,
        save_top_k=1,
        monitor="step",
        mode="max",
        enable_version_counter=False,
    )
    return L.Trainer(
        max_epochs=config.epochs,
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy="ddp" if config.world_size > 1 else "auto",
        precision=config.precision,
        accumulate_grad_batches=config.accumulate,
        gradient_clip_val=config.gradient_clip or None,
        use_distributed_sampler=False,  # EpochBatches knows its rank
        logger=_logger(config, run),
        log_every_n_steps=max(1, min(50, steps // 80)),  # a short run logs every step, a long one stays readable
        num_sanity_val_steps=0,
        limit_val_batches=1.0 if has_validation else 0,
        callbacks=[Progress(), export, checkpoint, LearningRateMonitor("step")],
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _logger(config: TrainingConfig, run: Path) -> list[Logger]:
    # The CSV is always there: the history that the notebook draws is read from it.
    loggers: list[Logger] = [CSVLogger(run, name="logs", flush_logs_every_n_steps=config.checkpoint_every)]
    if config.logger == "tensorboard":
        loggers.append(TensorBoardLogger(run, name="tensorboard"))
    return loggers


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Lightning without its notes on hardware, on loader workers and on products; warnings of weight pass."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        # The images are memory-mapped and need no worker.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
        # Lightning 2.6 asks torch's pytree in a way that torch 2.15 calls old.
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        # A resumed run finds its own files.
        warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
