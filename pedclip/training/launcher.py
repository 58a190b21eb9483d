"""One process here, or several through ``torchrun``."""

import os
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed

from pedclip.artefacts import write_json, write_text
from pedclip.models.pedclip import PedCLIP
from pedclip.training.checkpoints import EXPORT_FOLDER
from pedclip.training.config import RunConfig, TrainingConfig
from pedclip.training.history import read_history
from pedclip.training.loop import PretrainResult, pretrain
from pedclip.training.preparation import PreparedData


def launch(
    prepared: PreparedData, config: RunConfig, run: Path, *, resume: bool = True, card: str = ""
) -> PretrainResult:
    """Train in this process, or for several devices in processes of their own with the same configuration.

    Args:
        prepared: Data of the run.
        config: Model and optimization; ``training.devices`` above 1 starts ``torchrun`` on this machine.
        run: Folder of the run.
        resume: Continue what is there.
        card: Markdown for the checkpoint's README.md.

    Raises:
        ValueError: See ``pretrain``; or several machines are asked for, which only a shell on each of them can start.
        subprocess.CalledProcessError: A process of a distributed run failed; its output stands above.
    """
    devices = config.training.devices
    # One device needs no further process, and the caller sees the progress and every error at first hand.
    if config.training.world_size == 1:
        return pretrain(prepared.train, prepared.validation, config=config, run=run, resume=resume, card=card)
    if config.training.num_nodes > 1:
        raise ValueError(
            "num_nodes above 1 starts from a shell on every machine: torchrun … -m pedclip.training --config …"
        )
    started = time.monotonic()
    # The processes get the whole configuration as a file: a command line would have to spell every field. Not in the
    # folder of the run, which another run may hold.
    with tempfile.TemporaryDirectory() as folder:
        asked = write_json(Path(folder) / "asked.json", config.to_dict())
        # --standalone finds a free port, so that two runs on one machine do not meet.
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={devices}"]
        command += ["-m", "pedclip.training", "--config", str(asked), "--output", str(run)]
        subprocess.run([*command, *([] if resume else ["--no-resume"])], check=True)
    # The shell writes a card that knows no revision; the caller's replaces it.
    if card:
        write_text(run / EXPORT_FOLDER / "README.md", card)
    # Trained in other processes: what comes back is read from disk.
    model = PedCLIP.from_pretrained(run / EXPORT_FOLDER)
    return PretrainResult(model, run / EXPORT_FOLDER, read_history(run), time.monotonic() - started, 0)


def check_launch(config: TrainingConfig) -> None:
    """Refuse a number of processes that is not the configured one: they would train side by side into one folder.

    Raises:
        ValueError: As many processes as ``config.world_size`` must be started, by ``torchrun`` or the like.
    """
    # Set by torchrun; absent where one process was started by hand.
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != config.world_size:
        raise ValueError(
            f"{started} processes were started, but training.devices={config.devices} and "
            f"training.num_nodes={config.num_nodes} ask for {config.world_size}; use\n"
            f"  torchrun --nnodes {config.num_nodes} --nproc-per-node {config.devices} -m pedclip.training …"
        )


def join_processes(config: TrainingConfig) -> None:
    """Connect the processes that ``torchrun`` started, so that one of them can prepare the data for all."""
    if config.world_size > 1 and distributed.is_torchelastic_launched():
        # Six hours: that is how long rank 0 may decode an archive while the others wait.
        backend = "nccl" if torch.cuda.is_available() and config.accelerator != "cpu" else "gloo"
        distributed.init_process_group(backend, timeout=timedelta(hours=6))
