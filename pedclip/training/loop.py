"""From triplets to a checkpoint: one function for the notebook, the shell and the tests."""

import csv
import dataclasses
import hashlib
import json
import logging
import shutil
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch import distributed

from pedclip.artefacts import write_json
from pedclip.models.pedclip import PedCLIP
from pedclip.models.text import train_tokenizer
from pedclip.training.callbacks import ExportCheckpoint, Progress
from pedclip.training.config import RunConfig, TrainingConfig
from pedclip.training.datamodule import TripletDataModule
from pedclip.training.module import PretrainModule
from pedclip.triplets.arrays import TripletArrays
from pedclip.triplets.seen_patients import PATIENTS_FILE, patient_key

RESUME_FOLDER: Final = "resume"


LAST: Final = "last.ckpt"


@dataclass(frozen=True)
class PretrainResult:
    """What a run leaves behind.

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
    resumable = claim_run(run, config, train, validation, resume=resume)
    _seed(training.seed)
    model = build_model(config, train)
    done_before = int(torch.load(resumable, weights_only=True)["global_step"]) if resumable else 0
    started = time.monotonic()
    data = TripletDataModule(train, validation, model, training)
    module = PretrainModule(model, training, batches_per_epoch=data.batches_per_epoch)
    with quiet_lightning():
        export = ExportCheckpoint(run / "checkpoint", card)
        steps = training.epochs * data.batches_per_epoch // training.accumulate
        trainer = _trainer(training, run, export, has_validation=len(validation) > 0, steps=steps)
        trainer.fit(module, data, ckpt_path=resumable, weights_only=True)
    model = model.cpu().eval()
    return PretrainResult(model, run / "checkpoint", read_history(run), time.monotonic() - started, done_before)


def build_model(config: RunConfig, train: TripletArrays) -> PedCLIP:
    """Untrained PedCLIP for a run; its tokenizer is trained on ``train`` unless text weights bring one.

    Raises:
        OSError: Named weights cannot be reached.
    """
    training = config.training
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
    merged: dict[tuple[int, bool], dict[str, float]] = {}
    files = sorted(
        run.glob("logs/version_*/metrics.csv"), key=lambda path: int(path.parent.name.removeprefix("version_"))
    )
    for path in files:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                values = {name: float(value) for name, value in row.items() if value}
                is_validation = any(name.startswith("val/") for name in values)
                merged.setdefault((int(values["step"]), is_validation), {}).update(values)
    return [merged[key] for key in sorted(merged)]


def claim_run(
    run: Path, config: RunConfig, train: TripletArrays, validation: TripletArrays, *, resume: bool
) -> Path | None:
    """Take a folder for a run: continue what is in it, or clear it and write down what the run is made of.

    Args:
        run: Folder of the run.
        config: Of the run.
        train: Training split.
        validation: Validation split.
        resume: Continue; False clears the checkpoints and logs of whatever was there.

    Returns:
        The checkpoint to continue from, None for a fresh start.

    Raises:
        ValueError: The folder holds another run; the message names the first difference.
    """
    run.mkdir(parents=True, exist_ok=True)
    wanted = {
        "training.json": config.to_dict(),
        f"{RESUME_FOLDER}/data.json": {"films": len(train), "fingerprint": _fingerprint(train)},
    }
    last = run / RESUME_FOLDER / LAST
    if resume and last.exists() and all((run / name).exists() for name in wanted):
        for name, content in wanted.items():
            difference = _first_difference(json.loads((run / name).read_text()), json.loads(json.dumps(content)))
            if difference:
                raise ValueError(
                    f"{run} holds another run ({difference}).\n"
                    "  Give this one another name:  -p name other\n  or start it again:           -p resume False"
                )
        return last
    if _is_main():
        # A checkpoint of another run must never stand beside this run's list of patients.
        shutil.rmtree(run / "checkpoint", ignore_errors=True)
        for pattern in (f"{RESUME_FOLDER}/*.ckpt", "logs/version_*/metrics.csv"):
            for path in run.glob(pattern):
                path.unlink()
        seen = {"train": train.patients, "validation": validation.patients}
        keys = {split: sorted({patient_key(patient) for patient in patients}) for split, patients in seen.items()}
        for name, content in (wanted | {PATIENTS_FILE: keys}).items():
            write_json(run / name, content)
    return None


def _fingerprint(train: TripletArrays) -> str:
    """What a resumed run must find again: all words, regions and patients, and the pixels of a sample of films."""
    digest = hashlib.sha256(train.regions.tobytes())
    digest.update(np.ascontiguousarray(train.images[:: max(1, len(train) // 64)]).tobytes())
    for text, patient in zip(train.texts, train.patients, strict=True):
        digest.update(f"{patient}\0{text}\0".encode())
    return digest.hexdigest()[:16]


def _first_difference(old: Any, new: Any, name: str = "") -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            found = _first_difference(old.get(key), new.get(key), f"{name}.{key}".lstrip("."))
            if found:
                return found
        return ""
    return "" if old == new else f"{name} was {old!r}, is {new!r}"


def _trainer(
    config: TrainingConfig, run: Path, export: ExportCheckpoint, *, has_validation: bool, steps: int
) -> L.Trainer:
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
        use_distributed_sampler=False,
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


def _seed(seed: int) -> None:
    # Initial weights are drawn from torch's global generator inside timm and transformers.
    torch.manual_seed(seed)


def _is_main() -> bool:
    return not (distributed.is_available() and distributed.is_initialized()) or distributed.get_rank() == 0


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
