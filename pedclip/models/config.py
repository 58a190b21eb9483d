"""Configuration of the dual encoder: a frozen, validated record of every architectural decision."""

import re
from dataclasses import dataclass, fields
from typing import Any, Final, get_args, get_origin, get_type_hints

import timm

from pedclip.anatomy import REGIONS
from pedclip.models.convolutional import is_resnet
from pedclip.models.image import IMAGE_STEMS, ImageStem
from pedclip.models.mobe import IMPLEMENTATIONS, Implementation
from pedclip.models.mobe_block import EXPERT_INITS, GATE_INPUTS, ExpertInit, GateInput

MAX_REGIONS: Final = 200  # experts of one block

ARCHITECTURE_DEFAULT: Final = 0  # a size of 0 takes the architecture's own


@dataclass(frozen=True)
class PedCLIPConfig:
    """Architecture of PedCLIP. The defaults are the published model; P numbers name its under-specified decisions.

    Attributes:
        regions: Names of the experts; E is their number (P17).
        image_architecture: timm name of the ViT, or of a ResNet such as "resnet50", the backbone of most rivals. A
            ResNet has no blocks: ``mobe_layers`` must be (), and sizes and stem are its own.
        image_size: Input side, pixels, above 0.
        image_patch_size: Patch side, pixels; 0 takes the architecture's own, as for the widths and numbers below.
        image_stem: How pixels become tokens: "patch" as published, "convolutional" for small models without pretrained
            weights, or "hybrid" for the first stages of a pretrained convolutional network.
        image_backbone: timm name of the hybrid stem's network; unused otherwise.
        image_width: C of the ViT.
        image_depth: Number of blocks.
        image_heads: Attention heads.
        mobe_layers: Blocks with experts, negative ones counted from the end; () is a plain ViT (P1).
        gate_input: What the gate sees (P2).
        expert_init: Experts start as copies of the MLP they replace, as noisy copies, or at random (P3).
        expert_width: H, the hidden width of each expert; 0 takes that of the MLP they replace. With one expert it is a
            plain MLP of any size, the control of equal parameters; of another width there is nothing to copy.
        detach_gate: Keep the contrastive gradient away from the gate (P6).
        mobe_implementation: See ``pedclip.models.mobe``.
        gate_threshold: Gate weights below it are skipped in evaluation, in [0, 1/E]; 0 is exact.
        text_width: C of a BERT made from sizes; unused when text weights are loaded, as are the next two.
        text_depth: Its layers.
        text_heads: Its heads.
        vocab_size: Upper bound of a tokenizer trained here.
        max_text_tokens: Texts are cut after so many tokens, in 8…512 (the paper pads to 120).
        projection_dim: D of linear projections; 0 for none, as drawn in Fig. 3, except that a text encoder of another
            width is projected to that of the image encoder (P8).
        temperature: Divisor of the cosines, in (0, 1] (P7).
        learn_temperature: Train its logarithm (P7).
    """

    regions: tuple[str, ...] = REGIONS
    image_architecture: str = "vit_base_patch16_224"
    image_size: int = 224
    image_patch_size: int = ARCHITECTURE_DEFAULT
    image_stem: ImageStem = "patch"
    image_backbone: str = "tf_efficientnet_lite0"
    image_width: int = ARCHITECTURE_DEFAULT
    image_depth: int = ARCHITECTURE_DEFAULT
    image_heads: int = ARCHITECTURE_DEFAULT
    mobe_layers: tuple[int, ...] = (-1,)
    gate_input: GateInput = "post_norm"
    expert_init: ExpertInit = "copy"
    expert_width: int = 0
    detach_gate: bool = False
    mobe_implementation: Implementation = "auto"
    gate_threshold: float = 0.0
    text_width: int = 768
    text_depth: int = 12
    text_heads: int = 12
    vocab_size: int = 30_522
    max_text_tokens: int = 120
    projection_dim: int = 0
    temperature: float = 0.07
    learn_temperature: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        # timm asks a hub for names such as "hf-hub:…", which a checkpoint's configuration must not make it do.
        for name in ("image_architecture", "image_backbone"):
            is_plain = re.fullmatch(r"[\w.]+", getattr(self, name)) is not None
            hint = "timm's name of an architecture, such as 'vit_base_patch16_224', without hub or folder"
            _require(is_plain, name, getattr(self, name), hint)
            _require(timm.is_model(getattr(self, name)), name, getattr(self, name), "an architecture that timm knows")
        # Before the names are compared and an error quotes them: every region is an expert, in every block.
        _require(len(self.regions) <= MAX_REGIONS, "regions", f"{len(self.regions)} names", f"at most {MAX_REGIONS}")
        # JSON has no tuples, so a loaded configuration brings lists.
        object.__setattr__(self, "regions", tuple(self.regions))
        object.__setattr__(self, "mobe_layers", tuple(self.mobe_layers))
        # A label leads to one expert: a second one of its name would never be trained.
        _require(
            len(set(self.regions)) == len(self.regions) > 0, "regions", self.regions, "different names, at least one"
        )
        for name in ("image_size", "text_width", "text_depth", "text_heads"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        for name in ("image_patch_size", "image_width", "image_depth", "image_heads", "expert_width", "projection_dim"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "at least 0")
        for name, allowed in (
            ("image_stem", IMAGE_STEMS),
            ("gate_input", GATE_INPUTS),
            ("expert_init", EXPERT_INITS),
            ("mobe_implementation", IMPLEMENTATIONS),
        ):
            _require(getattr(self, name) in allowed, name, getattr(self, name), f"one of {allowed}")
        # The largest of E weights is at least 1/E, so that one expert always stays.
        _require(
            0 <= self.gate_threshold <= 1 / len(self.regions), "gate_threshold", self.gate_threshold, "in [0, 1/E]"
        )
        _require(self.vocab_size >= 100, "vocab_size", self.vocab_size, "at least 100")
        _require(8 <= self.max_text_tokens <= 512, "max_text_tokens", self.max_text_tokens, "in 8…512")
        _require(0 < self.temperature <= 1, "temperature", self.temperature, "in (0, 1]")
        if self.is_convolutional:
            self._check_convolutional()

    def _check_convolutional(self) -> None:
        # In silence such a value would be stored with the model and mean nothing.
        network = f"the convolutional image_architecture {self.image_architecture!r}"
        wanted: dict[str, Any] = {"mobe_layers": (), "image_stem": "patch"}
        sizes = ("image_patch_size", "image_width", "image_depth", "image_heads")
        wanted |= dict.fromkeys(sizes, ARCHITECTURE_DEFAULT)
        # All at once: a profile of a ViT sets most of them.
        if wrong := [
            f"{name}={getattr(self, name)!r}" for name, value in wanted.items() if getattr(self, name) != value
        ]:
            needed = ", ".join(f"{name}={value!r}" for name, value in wanted.items())
            raise ValueError(
                f"{', '.join(wrong)} is not allowed for {network}, which has no blocks, no experts and a stem of its "
                f"own: pass {needed}"
            )

    @property
    def is_convolutional(self) -> bool:
        """True for a ResNet, False for a ViT, whatever its stem."""
        return is_resnet(self.image_architecture)

    @property
    def pretrained_network(self) -> str:
        """Timm name of the network that image weights are of."""
        return self.image_backbone if self.image_stem == "hybrid" else self.image_architecture


def check_types(config: Any) -> None:
    """Make sure that the fields of a configuration dataclass have their annotated types, before they are compared.

    Args:
        config: Fields may be int, float, bool, str, literals of str, and tuples of int or str (or lists, from JSON).

    Raises:
        ValueError: A value is of another type.
    """
    for name, kind in get_type_hints(type(config)).items():
        if name not in {field.name for field in fields(config)}:
            continue
        value = getattr(config, name)
        if get_origin(kind) is dict:
            is_right = isinstance(value, dict) and all(type(key) is str for key in value)
            _require(is_right, name, value, "an object of names and values")
        elif get_origin(kind) is tuple:
            item = get_args(kind)[0]
            is_right = isinstance(value, (list, tuple)) and all(type(part) is item for part in value)
            _require(is_right, name, value, f"a list of {item.__name__}")
        elif kind is float:
            _require(type(value) in (int, float), name, value, "a number")
        elif kind in (int, bool):
            # type, not isinstance: True is an int to Python, but no number of epochs.
            _require(type(value) is kind, name, value, f"of type {kind.__name__}")
        elif kind is str or isinstance(get_args(kind)[0] if get_args(kind) else None, str):
            _require(isinstance(value, str), name, value, "a text")


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise ValueError(f"{name}={value!r} is not allowed: {allowed}")
