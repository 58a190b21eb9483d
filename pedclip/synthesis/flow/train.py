"""Training of a flow: films and captions in, a generator's folder out, however often the process is killed."""

import copy
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pedclip.synthesis.flow.batches import FlowBatch, draw_batch, learning_rate_at, mean_decay
from pedclip.synthesis.flow.captions import CaptionEncoder, CaptionStates
from pedclip.synthesis.flow.checkpoint import save_generator, start_generator
from pedclip.synthesis.flow.config import FlowRun, FlowTraining
from pedclip.synthesis.flow.films import first_rows
from pedclip.synthesis.flow.generator import FlowGenerator
from pedclip.synthesis.flow.network import FlowNetwork
from pedclip.synthesis.flow.path import flow_loss, point_at
from pedclip.synthesis.flow.resume import EXPORT_FOLDER, RESUME_FOLDER, claim_run, has_state
from pedclip.training.checkpoints import NotFiniteError
from pedclip.training.history import History, read_history
from pedclip.training.run_lock import check_lock, run_lock
from pedclip.training.state import State, not_finite, write_state
from pedclip.triplets.arrays import TripletArrays
from pedclip.triplets.seen_patients import write_seen_patients

_BETAS: Final = (0.9, 0.99)  # a short memory of squares: the scale of the gradients changes with the times drawn
_CAPTIONS_AT_ONCE: Final = 64
_LINES: Final = 20  # of progress per run
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FlowResult:
    """Result of a training, finished or continued.

    Attributes:
        generator: With the moving mean of the weights, as `open_generator` would open it.
        checkpoint: Folder for `open_generator`.
        history: One record per logged step: mean loss since the last, gradient norm, learning rate.
        num_cut: Captions of which the text encoder reads only the beginning.
        seconds: Wall time of this process.
        resumed_from: Steps that an earlier, killed process had done.
    """

    generator: FlowGenerator
    checkpoint: Path
    history: list[dict[str, float]]
    num_cut: int
    seconds: float
    resumed_from: int


def train_flow(
    images: NDArray[np.uint8],
    texts: Sequence[str],
    *,
    config: FlowRun,
    run: Path,
    captions: CaptionEncoder | None = None,
    rows: TripletArrays | None = None,
    resume: bool = True,
) -> FlowResult:
    """Training of a generator on films as they are: neither cropped nor turned, and never mirrored.

    A killed run continues and ends with the weights that it would have had: on a CPU with one number of threads bit by
    bit. The control that must be found out as copying its films is the same function on few of them::

        train_flow(images[:32], texts[:32], config=load_flow_profile("overfit"), run=Path("runs/flow_overfit"))

    Args:
        images: (N, H, W) uint8, square, of the configuration's `image_size`; memory-mapped ones are fine.
        texts: N captions.
        config: Network, optimization and text encoder.
        run: Folder of this run; gets ``checkpoint``.
        captions: The text encoder, if it is at hand; None opens the configuration's.
        rows: The same films with their patients, of which ``run/patients.json`` is written, so that an evaluation can
            leave them out; None where there are no patients.
        resume: Continue what is in `run`; False starts again.

    Raises:
        ValueError: Shapes do not fit, the folder holds another run, or the generator to start with is another network.
        FileExistsError: ``run/checkpoint`` is not of a generator.
        RunInUse: Another process works in the folder.
        NotFiniteError: A loss or weight became NaN or infinite; nothing of it is written.
        ModuleNotFoundError: diffusers is not installed.
    """
    started = time.monotonic()
    # Before the text encoder is opened, which takes longer.
    _check_films(images, texts, config)
    captions = captions or CaptionEncoder.from_checkpoint(config.text_encoder)
    # Everything that is written is written by the process that holds the folder.
    with run_lock(run):
        start = _start(config, captions, rows, is_begun=resume and has_state(run))
        begun_with = start.weights_sha256 if start else ""
        state = claim_run(
            run, config, images, texts, text_encoder=captions.fingerprint, start=begun_with, resume=resume
        )
        if rows is not None:
            write_seen_patients(run, train=rows, validation=first_rows(rows, 0))
        training = _Training(images, texts, config, run, captions, state, start)
        training.finish()
    generator = FlowGenerator(training.mean, captions, name=config.name, prompt=config.prompt, sampling=config.sampling)
    return FlowResult(
        generator=_as_stored(generator),
        checkpoint=run / EXPORT_FOLDER,
        history=read_history(run),
        num_cut=sum(captions.is_cut(texts)),
        seconds=time.monotonic() - started,
        resumed_from=training.resumed_from,
    )


class _Training:
    """One process of a run.

    The only counter is the number of steps done: rows, noise, times and dropped captions of a step are drawn from the
    seed and its number, so that no random state has to be kept.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        texts: Sequence[str],
        config: FlowRun,
        run: Path,
        captions: CaptionEncoder,
        state: State | None,
        start: FlowGenerator | None,
    ) -> None:
        self.images, self.config, self.run, self.captions = images, config, run, captions
        self.device = device_of(config.training)
        self.states, self.caption_rows = _encode(captions, texts, self.device)
        network = FlowNetwork(config.model, text_width=captions.width, seed=config.training.seed)
        if start:
            network.load_state_dict(start.network.state_dict())
        self.network = network.to(self.device).train()
        # A second copy of the weights, that is never trained and only follows.
        self.mean = copy.deepcopy(self.network).requires_grad_(False)
        # Fused: one call for all weights, for there are hundreds of small ones.
        self.optimizer = torch.optim.AdamW(_groups(self.network, config.training), betas=_BETAS, fused=True)
        self.done = self.resumed_from = state["global_step"] if state else 0
        if state:
            # Strictly: a state of another network is an error.
            self.network.load_state_dict(state["state_dict"]["network"])
            self.mean.load_state_dict(state["state_dict"]["mean"])
            self.optimizer.load_state_dict(state["optimizer"])
            _log.info("continues at step %d of %d", self.done, config.training.steps)
        self.history = History(run)
        self._losses: list[Tensor] = []  # since the last row; looked at together, so that a GPU need not wait

    def finish(self) -> None:
        """Every step that is left, and the export."""
        training = self.config.training
        while self.done < training.steps:
            norm = self._step()
            # A state without its row in the history would leave a gap in the resumed run's.
            is_last = self.done == training.steps
            is_due = is_last or self.done % training.checkpoint_every == 0
            if is_due or self.done % training.log_every == 0:
                self._log(norm)
            if is_due:
                self._save()
                # Films of an unfinished run can be looked at.
                self._export()
        # A run that was killed between its last state and its export.
        if self.resumed_from == training.steps:
            self._export()

    def _step(self) -> Tensor:
        training, step = self.config.training, self.done
        batch = draw_batch(self.images, step, training=training)
        # Computed from the step, not counted up: there is no schedule whose state could be forgotten.
        rate = learning_rate_at(step, training)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self._loss(batch)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), training.gradient_clip)
        self.optimizer.step()
        self._follow(mean_decay(step, training.ema_decay))
        self._losses.append(loss.detach())
        self.done += 1
        return norm

    def _loss(self, batch: FlowBatch) -> Tensor:
        # The row behind the captions is the empty text.
        rows = torch.where(batch.is_dropped, len(self.states.begins) - 2, self.caption_rows[batch.rows])
        tokens, mask = self.states.padded(rows, self.captions.max_tokens)
        # Drawn on the CPU and moved: the same numbers on every device.
        films, noise, times, tokens, mask = (
            part.to(self.device) for part in (batch.films, batch.noise, batch.times, tokens, mask)
        )
        # bfloat16 has the range of single precision, so that the loss needs no scaling.
        is_mixed = self.config.training.precision == "bf16-mixed"
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=is_mixed):
            velocity = self.network(point_at(films, noise, times), times, tokens, mask)
        return flow_loss(velocity, films, noise)

    @torch.no_grad()
    def _follow(self, decay: float) -> None:
        # The network has no buffers: parameters are all of it.
        for mean, value in zip(self.mean.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)

    def _log(self, norm: Tensor) -> None:
        losses, self._losses = torch.stack(self._losses), []
        if not bool(torch.isfinite(losses).all()):
            # The first of them: those behind it are its consequence.
            first = self.done - len(losses) + 1 + int((~torch.isfinite(losses)).nonzero()[0])
            self._stop(f"the loss of step {first} is not finite")
        rate = learning_rate_at(self.done - 1, self.config.training)
        record = {"train/loss": float(losses.mean()), "train/gradient_norm": float(norm), "learning_rate": rate}
        self.history.log_metrics(record, self.done)
        # At most so many lines, for a log file of a night.
        every = max(1, self.config.training.steps // _LINES)
        if self.done // every > (self.done - len(losses)) // every:
            _log.info("step %d of %d: loss %.4f", self.done, self.config.training.steps, record["train/loss"])

    def _save(self) -> None:
        weights = {"network": self.network.state_dict(), "mean": self.mean.state_dict()}
        # The layout of the pre-training's states; the schedule and the precision here have none.
        state: State = {
            "global_step": self.done,
            "batches": self.done,
            "state_dict": weights,
            "optimizer": self.optimizer.state_dict(),
            "scheduler": {},
            "precision": {},
        }
        # A finite loss may have an infinite gradient: what it made of the weights is nothing to go on from.
        if tensor := not_finite(state):
            self._stop(f"{tensor} holds NaN or infinite values after step {self.done}")
        check_lock(self.run)
        # The history first: rows of steps that a resumed run does not repeat must be on disk.
        self.history.save()
        write_state(self.run / RESUME_FOLDER, state)

    def _export(self) -> None:
        save_generator(self.mean, self.run / EXPORT_FOLDER, run=self.config, captions=self.captions)

    def _stop(self, reason: str) -> None:
        rate = self.config.training.learning_rate
        raise NotFiniteError(f"{reason}. The run stops; what it wrote before is sound. Lower learning_rate={rate}")


def _start(
    config: FlowRun, captions: CaptionEncoder, rows: TripletArrays | None, *, is_begun: bool
) -> FlowGenerator | None:
    try:
        return start_generator(config, captions, rows)
    except FileNotFoundError:
        # A continued run has its weights already, whatever has become of those it began with.
        if is_begun:
            return None
        raise


def device_of(training: FlowTraining) -> str:
    """Name of the device of a training.

    Raises:
        ValueError: A GPU is asked for and there is none.
    """
    # Never in silence on the CPU what was meant for a GPU: it would take a hundred times as long.
    has_gpu = torch.cuda.is_available()
    if training.device == "cuda" and not has_gpu:
        raise ValueError("device='cuda' is not there: torch sees no GPU; take 'auto' or 'cpu'")
    return "cuda" if has_gpu and training.device != "cpu" else "cpu"


def _check_films(images: NDArray[np.uint8], texts: Sequence[str], config: FlowRun) -> None:
    size = config.model.image_size
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (size, size) or not len(images):
        raise ValueError(f"images is {images.dtype} {images.shape}; expected uint8 (N, {size}, {size}), N at least 1")
    # A caption short, every film behind it would have its neighbour's.
    if len(texts) != len(images):
        raise ValueError(f"{len(texts)} texts for {len(images)} images: one for each")


def _encode(captions: CaptionEncoder, texts: Sequence[str], device: str) -> tuple[CaptionStates, Tensor]:
    """States of the different captions with those of the empty text behind them, and each film's row (N,)."""
    # Two views of one study share their words.
    different = sorted(set(texts))  # sorted: a set has another order in every process
    number = {text: row for row, text in enumerate(different)}
    # Once for the whole training: the encoder is frozen.
    captions.encoder.to(device)
    states = captions.encode([*different, ""], batch_size=_CAPTIONS_AT_ONCE)
    captions.encoder.to("cpu")
    return states, torch.tensor([number[text] for text in texts])


def _groups(network: FlowNetwork, training: FlowTraining) -> list[dict[str, object]]:
    # Biases and norms are not drawn to zero: one has no reason to be small, the other is meant to be one.
    weights = list(network.parameters())
    matrices, others = [one for one in weights if one.ndim > 1], [one for one in weights if one.ndim <= 1]
    decay = training.weight_decay
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _as_stored(generator: FlowGenerator) -> FlowGenerator:
    # What is drawn now is what the folder will draw: its weights have 16 bits.
    with torch.no_grad():
        for value in generator.network.parameters():
            value.copy_(value.half())
    return generator
