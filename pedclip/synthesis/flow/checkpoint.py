"""A trained flow as one folder: configuration, weights and digest, complete or absent."""

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

import pedclip.weights
from pedclip.artefacts import atomic_folder, read_json, write_json, write_text
from pedclip.models.checkpoint_files import CHECKSUMS_FILE, CONFIG_FILE, WEIGHTS_FILE, check_weights, write_checksums
from pedclip.synthesis.flow.captions import CaptionEncoder
from pedclip.synthesis.flow.config import FlowConfig, FlowRun, Sampling
from pedclip.synthesis.flow.generator import FlowGenerator
from pedclip.synthesis.flow.network import FlowNetwork
from pedclip.training.config import replace_fields
from pedclip.triplets.arrays import TripletArrays
from pedclip.triplets.seen_patients import PATIENTS_FILE, num_unnamed
from pedclip.weights import SHIPPED

EmbeddedKind = Literal["domain", "generic"]
EMBEDDED: Final[Mapping[EmbeddedKind, str]] = {"domain": "pedclip-flow-small", "generic": "pedclip-flow-generic"}
EMBED_COMMANDS: Final[Mapping[EmbeddedKind, str]] = {
    "domain": "python -m pedclip.synthesis.train --profile demo --output runs/flow --embed",
    "generic": "python -m pedclip.synthesis.train --profile demo --generic --output runs/flow-generic --embed",
}
EMBEDDED_NAMES: Final[Mapping[str, EmbeddedKind]] = {"embedded": "domain", "embedded-generic": "generic"}
_KIND: Final = "pedclip-flow"  # tells this folder's configuration from that of other checkpoints
HELD: Final = (WEIGHTS_FILE, CONFIG_FILE, CHECKSUMS_FILE, "README.md")
_ABOVE: Final = ("name", "prompt", "text_encoder", "model", "sampling")  # in a configuration under names of their own
_REALS: Final = ("F16", "BF16", "F32")  # types of weights, as the header names them


def save_generator(network: FlowNetwork, path: str | Path, *, run: FlowRun, captions: CaptionEncoder) -> Path:
    """Folder of a generator, written with weights of 16 bits; an existing one is replaced.

    Args:
        network: The weights to keep, the moving mean.
        path: Destination: a new folder, an empty one, or that of a generator.
        run: What made it.
        captions: Its text encoder, of which the fingerprint is kept.

    Raises:
        FileExistsError: The folder holds something else; nothing was changed.
        ValueError: A weight is beyond what 16 bits hold.
    """
    # Half precision rather than bfloat16: the weights are small, and it keeps three more bits of them.
    weights = {name: value.detach().to("cpu", torch.float16) for name, value in network.state_dict().items()}
    if spoilt := _not_finite(weights):
        raise ValueError(f"{spoilt} has values that 16 bits do not hold; nothing was written")
    config = {
        "kind": _KIND,
        "name": run.name,
        "prompt": run.prompt,
        "model": dataclasses.asdict(network.config),
        "sampling": dataclasses.asdict(run.sampling),
        "text_encoder": {
            "checkpoint": run.text_encoder,
            "sha256": captions.fingerprint,
            "width": captions.width,
            "max_tokens": captions.max_tokens,
        },
        # For the reader: opening takes nothing from here.
        "made_by": {name: value for name, value in run.to_dict().items() if name not in _ABOVE},
    }
    with atomic_folder(path, holds=HELD) as folder:
        save_file({name: value.contiguous() for name, value in weights.items()}, folder / WEIGHTS_FILE)
        write_json(folder / CONFIG_FILE, config)
        write_text(folder / "README.md", _card(run))
        write_checksums(folder)
    return Path(path)


def open_generator(
    path: str | Path,
    *,
    text_encoder: str | Path | CaptionEncoder = "",
    sampling: Sampling | None = None,
    device: str = "cpu",
) -> FlowGenerator:
    """A generator from its folder.

    Args:
        path: Folder of `save_generator`, such as ``runs/flow/checkpoint``.
        text_encoder: Checkpoint or encoder; "" for the one that the folder names. It must be the same model.
        sampling: Way from noise to film; None for the folder's.
        device: To compute on.

    Raises:
        FileNotFoundError: A file is missing, or the text encoder that the folder names is neither of this package nor a
            folder here; a hub is asked for one only if `text_encoder` names it.
        ValueError: A file is damaged, they do not fit each other, or the text encoder is another one; the message
            names the file.
        ModuleNotFoundError: diffusers is not installed.
    """
    folder = Path(path)
    # By name: the reader would tell of a missing file of its own.
    for name in (CONFIG_FILE, WEIGHTS_FILE, CHECKSUMS_FILE):
        if not (folder / name).is_file():
            known = ", ".join(map(repr, EMBEDDED_NAMES))
            raise FileNotFoundError(f"{folder} is no generator: it has no {name}; others are {known}")
    stored = read_json(folder / CONFIG_FILE)
    # Validated as if a person had typed it, before anything as large as it says is made.
    try:
        if not isinstance(stored, dict) or stored.get("kind") != _KIND:
            raise ValueError(f"its kind is not {_KIND!r}")
        known, run = stored["text_encoder"], FlowRun(name=stored["name"], prompt=stored["prompt"])
        config = replace_fields(FlowConfig(), stored["model"])  # type: ignore[type-var]
        sampling = sampling or replace_fields(Sampling(), stored["sampling"])  # type: ignore[type-var]
        width, sha256, checkpoint = int(known["width"]), str(known["sha256"]), str(known["checkpoint"])
        expected = _shapes_of(config, width)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / CONFIG_FILE} describes no generator: {error}") from error
    captions = _captions(text_encoder, checkpoint, sha256, folder)
    # One flipped bit is another weight to safetensors.
    check_weights(folder)
    network = FlowNetwork(config, text_width=width)
    network.load_state_dict(_weights(folder / WEIGHTS_FILE, expected))  # strictly; 16-bit values widen
    return FlowGenerator(network, captions, name=run.name, prompt=run.prompt, sampling=sampling, device=device)


def embedded_generator(
    kind: EmbeddedKind = "domain", *, sampling: Sampling | None = None, device: str = "cpu"
) -> FlowGenerator:
    """A small generator that comes with the package.

    Args:
        kind: "domain" was trained on films of the phantom, "generic" on captioned pictures without anything medical.
        sampling: See `open_generator`.
        device: To compute on.

    Raises:
        FileNotFoundError: This installation has none; the message has the command that makes it.
        ModuleNotFoundError: diffusers is not installed.
    """
    folder = embedded_folder(kind)
    # A checkout may be without them: they are made, not written.
    if not folder.is_dir():
        raise FileNotFoundError(
            f"this installation has no embedded {kind} generator; make one: {EMBED_COMMANDS[kind]} "
            "(README has the commands of those that were measured)"
        )
    return open_generator(folder, sampling=sampling, device=device)


def start_generator(
    config: FlowRun, captions: CaptionEncoder, rows: TripletArrays | None = None
) -> FlowGenerator | None:
    """The generator that a training begins with, None where it begins with random weights.

    Args:
        config: Of the training.
        captions: Its text encoder.
        rows: Its films with their patients; None where it has none.

    Raises:
        FileNotFoundError: There is no such generator.
        ValueError: It has another network or text encoder, or has seen patients who are not among these, so that the
            list of the new run would not name everybody whom its weights have seen.
    """
    if not config.start:
        return None
    # Those of the package have seen drawn patients and pictures without any.
    if config.start in EMBEDDED_NAMES:
        folder = embedded_folder(EMBEDDED_NAMES[config.start])
    else:
        folder = Path(config.start)
        listed = folder.resolve().parent / PATIENTS_FILE
        unnamed = num_unnamed(listed, *([rows] if rows else [])) if listed.is_file() else 0
        if unnamed:
            raise ValueError(
                f"start={config.start!r} has seen {unnamed} patients who are not among these films, so that nobody "
                "could leave them out of an evaluation; train it on films of the same patients"
            )
    found = open_generator(folder, text_encoder=captions)
    # Weights of other shapes would fail below with names of layers; these are names of settings.
    if found.network.config != config.model:
        old, new = dataclasses.asdict(found.network.config), dataclasses.asdict(config.model)
        differing = ", ".join(
            f"{name}={old[name]!r} there, {new[name]!r} here" for name in new if old[name] != new[name]
        )
        raise ValueError(f"start={config.start!r} has another network: {differing}")
    return found


def embedded_folder(kind: EmbeddedKind = "domain") -> Path:
    """Folder of a generator that comes with the package, whether it is there or not."""
    return Path(pedclip.weights.__file__).parent / EMBEDDED[kind]


def embed(checkpoint: Path, kind: EmbeddedKind = "domain") -> Path:
    """The embedded generator of a kind, replaced by a copy of a trained one.

    Args:
        checkpoint: Folder of `save_generator`.
        kind: See `embedded_generator`.

    Raises:
        FileExistsError: Something else lies where the embedded one belongs.
    """
    with atomic_folder(embedded_folder(kind), holds=HELD) as folder:
        # Nothing else of a run belongs into a package.
        for name in HELD:
            shutil.copyfile(checkpoint / name, folder / name)
    return embedded_folder(kind)


def _captions(text_encoder: str | Path | CaptionEncoder, stored: str, sha256: str, folder: Path) -> CaptionEncoder:
    if isinstance(text_encoder, CaptionEncoder):
        captions = text_encoder
    elif not text_encoder and stored not in SHIPPED and not Path(stored).is_dir():
        # A name from somebody's file is no reason to ask a network for it.
        raise FileNotFoundError(
            f"{folder} was trained with the text encoder of {stored!r}, which is not here; pass text_encoder=… with "
            "that checkpoint"
        )
    else:
        captions = CaptionEncoder.from_checkpoint(text_encoder or stored)
    # Another encoder of the same width would be taken without a word, and the films would follow no text.
    if captions.fingerprint != sha256:
        raise ValueError(
            f"{folder} was trained with another text encoder: its SHA-256 is {sha256[:12]}…, that of "
            f"{'the given one' if text_encoder else stored} is "
            f"{captions.fingerprint[:12]}…. Pass text_encoder=… with the checkpoint it was trained with"
        )
    return captions


def _shapes_of(config: FlowConfig, width: int) -> dict[str, tuple[int, ...]]:
    """Shape of each weight of a network, which is not made."""
    if not 1 <= width <= 8192:
        raise ValueError(f"width={width} of the text encoder is not allowed: in 1…8192")
    # Tensors without memory.
    with torch.device("meta"):
        network = FlowNetwork(config, text_width=width)
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def _weights(path: Path, expected: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Tensors (…,) of a file, after its header was compared with the configuration."""
    try:
        with safe_open(path, framework="pt") as file:  # type: ignore[no-untyped-call]
            # The header alone; no tensor is read yet.
            found = {name: file.get_slice(name) for name in file.keys()}
            for name in sorted(found.keys() | expected.keys()):
                if name not in found or name not in expected:
                    raise ValueError(f"{name} is {'missing' if name in expected else 'unknown'}")
                # Whole numbers would be taken without a word.
                shape = tuple(found[name].get_shape())
                if shape != expected[name] or found[name].get_dtype() not in _REALS:
                    raise ValueError(f"{name} is {found[name].get_dtype()} {shape}, expected {expected[name]}")
        weights = load_file(path)
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path} is damaged or does not fit {CONFIG_FILE}: {error}") from error
    # They would make every film grey, without an error.
    if spoilt := _not_finite(weights):
        raise ValueError(f"{path} holds NaN or infinite values in {spoilt}")
    return weights


def _not_finite(weights: dict[str, torch.Tensor]) -> str:
    return next((name for name, value in weights.items() if not bool(torch.isfinite(value).all())), "")


def _card(run: FlowRun) -> str:
    training: Any = run.training
    return (
        f"# {run.name}\n\nFilms of {run.model.image_size} pixels from report texts, by a rectified flow. Trained on "
        f"data={run.data!r} for {training.steps} steps of {training.batch_size} films, from "
        f"{run.start or 'random weights'}, with the frozen text encoder of {run.text_encoder!r}; the weights are a "
        "moving mean, in 16 bits.\n\n"
        "Drawn films are no patients' films. Research and teaching only, never for diagnosis.\n"
    )
