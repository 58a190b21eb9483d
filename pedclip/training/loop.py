"""Pre-training from triplets to a checkpoint: one function for the notebook, the shell and the tests."""

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
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from pedclip.models.pedclip import PedCLIP
from pedclip.models.starting_points import RANDOM
from pedclip.models.text import train_tokenizer
from pedclip.objectives.trained import PLAIN, load_heads
from pedclip.training.callbacks import Progress
from pedclip.training.checkpoints import EXPORT_FOLDER, ExportCheckpoint, ResumableCheckpoint
from pedclip.training.config import RunConfig, TrainingConfig
from pedclip.training.datamodule import TripletDataModule
from pedclip.training.history import History, read_history
from pedclip.training.module import PretrainModule
from pedclip.training.resume import claim_run
from pedclip.training.run_lock import run_lock
from pedclip.training.second_stage import check_start
from pedclip.training.state import State
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
    start: Path | None = None,
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
        start: Checkpoint of an earlier run of this model and objective, on the same patients or some of them, whose
            weights, tokenizer and heads this one begins with: the second of two trainings. Optimizer, learning rate and
            teacher forcing begin anew.

    Raises:
        FileNotFoundError: ``start`` is no checkpoint in the folder of its run.
        ValueError: The folder holds a run with another configuration or another start (the message names the first
            difference), a checkpoint that cannot be continued, or only damaged states; or ``start`` is of another model
            or objective, or of patients that are not among these.
        RunInUse: Another process works in the folder.
        NotFiniteError: A loss or weight became NaN or infinite; nothing of it is exported.
    """
    digest = check_start(start, config, train, validation) if start is not None else ""
    # First of all: another run in this folder is refused before anything is built or written.
    with run_lock(run):
        state = claim_run(run, config, train, validation, resume=resume, start=digest)
        return _fit(train, validation, config, run, card, state, start)


def _fit(
    train: TripletArrays,
    validation: TripletArrays,
    config: RunConfig,
    run: Path,
    card: str,
    state: State | None,
    start: Path | None,
) -> PretrainResult:
    training = config.training
    # Initial weights are drawn from torch's global generator inside timm and transformers.
    torch.manual_seed(training.seed)
    model = build_model(config, train) if start is None else _ready(PedCLIP.from_pretrained(start), training)
    started = time.monotonic()
    # The one counter that says where the run goes on.
    done = state["batches"] if state else 0
    data = TripletDataModule(train, validation, model, training, start=done)
    module = PretrainModule(model, training, batches_per_epoch=data.batches_per_epoch)
    if start is not None:
        # A state of this run, where there is one, is loaded over them.
        load_heads(start, module.objective)
    # Lightning leaves modes alone, and transformers loads weights in evaluation mode, without dropout.
    model.train()
    with quiet_lightning():
        export = ExportCheckpoint(run / EXPORT_FOLDER, card)
        resumable = ResumableCheckpoint(run, training.checkpoint_every, export, state)
        steps = training.epochs * data.batches_per_epoch // training.accumulate  # of the optimizer
        trainer = _trainer(training, run, [export, resumable], has_validation=len(validation) > 0, steps=steps)
        trainer.fit(module, data)
    # Evaluation mode, as from_pretrained returns it: no dropout, and gates may be truncated.
    model = model.cpu().eval()
    seconds = time.monotonic() - started
    return PretrainResult(model, run / EXPORT_FOLDER, read_history(run), seconds, state["global_step"] if state else 0)


def build_model(config: RunConfig, train: TripletArrays) -> PedCLIP:
    """Untrained PedCLIP for a run; its tokenizer is trained on ``train`` unless text weights bring one.

    Raises:
        OSError: Named weights cannot be reached.
    """
    training = config.training
    # Published text weights know only the words of their own tokenizer.
    is_random = training.text_weights == RANDOM
    tokenizer = train_tokenizer(train.texts, vocab_size=config.model.vocab_size) if is_random else None
    model = PedCLIP(
        config.model, tokenizer=tokenizer, image_weights=training.image_weights, text_weights=training.text_weights
    )
    return _ready(model, training)


def _ready(model: PedCLIP, training: TrainingConfig) -> PedCLIP:
    """The model with what a run decides and no checkpoint holds."""
    if (stem := model.image_encoder.stem) is not None:
        # Statistics that nobody has learned would be no normalization at all.
        stem.trains_statistics = training.image_weights == RANDOM
        stem.backbone.requires_grad_(training.stem_training != "frozen")
    model.preprocess = dataclasses.replace(model.preprocess, augment=training.augment)
    return model


def _trainer(
    config: TrainingConfig, run: Path, checkpoints: list[L.Callback], *, has_validation: bool, steps: int
) -> L.Trainer:
    return L.Trainer(
        max_epochs=config.epochs,
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy=_strategy(config),
        precision=config.precision,
        accumulate_grad_batches=config.accumulate,
        gradient_clip_val=config.gradient_clip or None,
        use_distributed_sampler=False,  # EpochBatches knows its rank
        logger=_logger(config, run),
        log_every_n_steps=max(1, min(50, steps // 80)),  # a short run logs every step, a long one stays readable
        num_sanity_val_steps=0,
        limit_val_batches=1.0 if has_validation else 0,
        callbacks=[Progress(), *checkpoints, LearningRateMonitor("step")],
        enable_checkpointing=False,  # Lightning's own counts batches and epochs apart, and they may disagree
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _strategy(config: TrainingConfig) -> str:
    if config.world_size == 1:
        return "auto"
    # A rival compares behind heads of its own, so projections and temperature of the model get no gradient; DDP would
    # wait for it forever.
    return "ddp" if config.objective in PLAIN else "ddp_find_unused_parameters_true"


def _logger(config: TrainingConfig, run: Path) -> list[Logger]:
    # Always there: the history that the notebook draws.
    loggers: list[Logger] = [History(run)]
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
        # Meant: the batch statistics of pretrained stages stay as they are.
        warnings.filterwarnings("ignore", message=".*module\\(s\\) in eval mode at the start of training.*")
        # Lightning 2.6 asks torch's pytree in a way that torch 2.15 calls old.
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        # The batches go on where the run does (EpochBatches).
        warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
