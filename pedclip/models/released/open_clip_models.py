"""Models that open_clip builds: its own architectures by name, and folders or repositories with its configuration."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pedclip.artefacts import read_json
from pedclip.models.released.files import Located, read_tensors
from pedclip.models.released.films import FilmTransform
from pedclip.models.released.fitting import fit_module
from pedclip.models.released.outputs import ReleasedImage, ReleasedText, unit
from pedclip.models.released.release import Release

_CONFIG = "open_clip_config.json"


class OpenCLIPNetwork(nn.Module):
    """A model of open_clip behind our pair of methods.

    Args:
        network: The model.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    @property
    def logit_scale(self) -> Tensor:
        """() logarithm of the factor of the cosines."""
        scale: Tensor = self.network.logit_scale
        return scale.reshape(())

    @property
    def logit_bias(self) -> Tensor | None:
        """() addend of the scaled cosines; None where there is none."""
        bias = getattr(self.network, "logit_bias", None)
        return None if bias is None else bias.reshape(())

    def encode_image(self, pixels: Tensor) -> ReleasedImage:
        """Features of pixels (B, 3, H, W); no dense ones, which open_clip keeps differently in each architecture."""
        return ReleasedImage(unit(self.network.encode_image(pixels)))

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> ReleasedText:
        """Features of token ids (B, T); each tower knows its own padding, so the mask is not read."""
        return ReleasedText(unit(self.network.encode_text(input_ids)))


def open_clip() -> Any:
    """The library, imported when it is needed.

    Raises:
        ModuleNotFoundError: It is not installed; the message says how to install it.
    """
    # An extra: all other models here do without it.
    try:
        import open_clip as library
    except ImportError as error:
        raise ModuleNotFoundError(
            "this model is built by open_clip, which is not installed: pip install 'pedclip[released]'"
        ) from error
    return library


def build_open_clip(release: Release, place: Located) -> tuple[OpenCLIPNetwork, Release, Any]:
    """The network of an open_clip name, its record with what the library knows, and its tokenizer.

    Args:
        release: Record made from the name.
        place: Of the weights; for "open_clip:…" a single file is enough, else its configuration lies beside it.

    Raises:
        FileNotFoundError: The configuration is not beside the weights.
        ModuleNotFoundError: open_clip is not installed.
        ValueError: The architecture is unknown, or the weights do not fit it.
    """
    library = open_clip()
    name, recipe = _name_and_recipe(library, release, place)
    # The files of a tokenizer are many: the library knows which ones to fetch.
    words = f"hf-hub:{place.hub}" if place.hub else name
    try:
        with _silent():
            network = library.create_model(name, load_weights=False, pretrained_text=False)
            tokenizer = library.get_tokenizer(words)
    except (RuntimeError, OSError, ValueError) as error:
        raise ValueError(f"open_clip cannot build {release.name!r}: {error}") from error
    # Old files of OpenAI's layout hold three numbers that are no weights.
    numbers = ("input_resolution", "context_length", "vocab_size")
    weights = {key: value for key, value in read_tensors(place.weights).items() if key not in numbers}
    # And files of BERTs hold positions that newer versions count by themselves.
    weights = {key: value for key, value in weights.items() if not key.endswith("embeddings.position_ids")}
    # By ourselves, as the library's own reader would unpickle and resize.
    fit_module(network, weights, "").check(place.weights, release.layout)
    filled = replace(release, transform=recipe or _recipe(network), max_tokens=int(tokenizer.context_length))
    return OpenCLIPNetwork(network.eval()), filled, tokenizer


def _name_and_recipe(library: Any, release: Release, place: Located) -> tuple[str, FilmTransform | None]:
    if release.name.startswith("open_clip:"):
        name = release.name.removeprefix("open_clip:")
        # Its own architectures need no configuration beside the file.
        if name not in library.list_models():
            known = ", ".join(library.list_models()[:8])
            raise ValueError(f"open_clip has no architecture {name!r}; it has {known}, … (open_clip.list_models())")
        return name, None
    config = place.companion(_CONFIG)
    if config is None:
        raise FileNotFoundError(f"there is no {_CONFIG} beside {place.weights}: fetch it from the same place")
    return f"local-dir:{config.parent}", _configured(config)


@contextmanager
def _silent() -> Iterator[None]:
    # It warns that nothing was loaded, which we do next, and through the root logger, which thereby gets a handler.
    root = logging.getLogger()
    handlers, threshold = root.handlers[:], root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(threshold)
        root.handlers[:] = handlers


def _recipe(network: Any) -> FilmTransform:
    return _from_config(network.visual.preprocess_cfg)


def _configured(config: Path) -> FilmTransform:
    content = read_json(config)
    # The size of the films is that of the tower, where the configuration does not give one.
    size = content["model_cfg"]["vision_cfg"].get("image_size", 224)
    return _from_config({"size": size, **content.get("preprocess_cfg", {})})


def _from_config(config: Any) -> FilmTransform:
    size = config.get("size", 224)
    size = size[0] if isinstance(size, (tuple, list)) else size
    # What the library does if a key is absent.
    mode = config.get("resize_mode", "shortest")
    sides = {"shortest": "shortest", "longest": "longest", "squash": "both"}
    by = config.get("interpolation", "bicubic")
    steps: list[dict[str, Any]] = [{"do": "resize", "size": size, "side": sides[mode], "by": by}]
    if mode == "shortest":
        steps.append({"do": "crop", "size": size, "rounding": "even"})  # torchvision's crop
    # Resized to the longest side, a film is padded rather than cut.
    if mode == "longest":
        steps[0]["rounding"] = "even"
        if config.get("fill_color"):
            raise ValueError(f"fill_color={config['fill_color']!r}: this door pads films with black, 0, only")
        steps.append({"do": "pad"})
    # Statistics of OpenAI's own images, per channel.
    default = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
    mean, std = (config.get(key) or values.tolist() for key, values in zip(("mean", "std"), default, strict=True))
    steps += [{"do": "scale"}, {"do": "normalize", "mean": mean, "std": std}]
    return FilmTransform.from_json(steps)
