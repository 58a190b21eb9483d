"""Configuration of the flow generator: network, optimization and sampling, each frozen and validated."""

import dataclasses
import json
import math
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar, get_args

from pedclip.artefacts import read_json
from pedclip.models.config import check_types
from pedclip.synthesis.prompts import Prompt
from pedclip.training.config import replace_fields
from pedclip.triplets.sources import is_generator_name

Precision = Literal["32-true", "bf16-mixed"]
Solver = Literal["euler", "heun"]
Device = Literal["auto", "cpu", "cuda"]

PROFILES: Final = ("demo", "large", "overfit", "sketch")
PHANTOM: Final = "phantom"
GENERIC: Final = "generic"
NORM_GROUPS: Final = 16  # of the group normalization: every number of channels is a multiple
_SECTIONS: Final = ("model", "training", "sampling")
Section = TypeVar("Section", "FlowConfig", "FlowTraining", "Sampling")


@dataclass(frozen=True)
class FlowConfig:
    """Architecture of the U-Net.

    Attributes:
        image_size: Height and width of the films, pixels, in 8…512.
        patch: Side of the squares of pixels that become channels (space to depth), in 1…16; a divisor of `image_size`.
        channels: Width at each resolution, finest first, each a multiple of 16 up to 1024; the grid halves in between.
        attention_levels: Coarsest resolutions that attend to themselves and to the text, in 1…len(channels).
        blocks: Residual blocks per resolution, in 1…4.
        heads: Of every attention; a divisor of the channels there.
    """

    image_size: int = 64
    patch: int = 2
    channels: tuple[int, ...] = (32, 64, 128)
    attention_levels: int = 1
    blocks: int = 1
    heads: int = 4

    def __post_init__(self) -> None:
        check_types(self)
        # JSON has no tuples, so a loaded configuration brings a list.
        object.__setattr__(self, "channels", tuple(self.channels))
        # Upper bounds everywhere: a configuration from elsewhere must not fill the memory before its weights are read.
        for name, least, most in (("image_size", 8, 512), ("patch", 1, 16), ("blocks", 1, 4), ("heads", 1, 64)):
            _require(least <= getattr(self, name) <= most, name, getattr(self, name), f"in {least}…{most}")
        _require(1 <= len(self.channels) <= 5, "channels", self.channels, "one to five widths")
        is_wide = all(0 < width <= 1024 and width % NORM_GROUPS == 0 for width in self.channels)
        _require(is_wide, "channels", self.channels, f"multiples of {NORM_GROUPS} up to 1024")
        levels = self.attention_levels
        _require(1 <= levels <= len(self.channels), "attention_levels", levels, f"in 1…{len(self.channels)}")
        is_split = all(width % self.heads == 0 for width in self.channels[-levels:])
        _require(is_split, "heads", self.heads, f"a divisor of the channels with attention {self.channels[-levels:]}")
        # Halved after every resolution but the last; an odd grid would come back one pixel larger.
        coarsest = self.patch * 2 ** (len(self.channels) - 1)
        _require(self.image_size % coarsest == 0, "image_size", self.image_size, f"a multiple of {coarsest}")


@dataclass(frozen=True)
class FlowTraining:
    """Optimization by AdamW, with a linear warm-up and a cosine to zero.

    Attributes:
        steps: Of the optimizer, at least 1.
        batch_size: Films per step, at least 1.
        learning_rate: Peak step size, above 0.
        warmup_steps: At least 0, below `steps`.
        weight_decay: On matrices and kernels only, at least 0.
        gradient_clip: Largest gradient norm, above 0.
        ema_decay: Share of the past in the moving mean of the weights, in [0, 1); reached slowly, as the first means
            are over few steps. The mean is what is exported.
        caption_dropout: Share of the captions that are trained as the empty text, in [0, 1); guidance needs some.
        time_mean: Of the normal distribution whose logistic the times are; above 0 trains nearer to the film.
        time_std: Its deviation, above 0.
        precision: "bf16-mixed" computes in bfloat16 where that is safe, the weights stay single: for a GPU, as a
            CPU without such instructions takes fifteen times as long.
        seed: Of the first weights and of every draw, at least 0.
        device: "auto" takes a GPU where there is one.
        checkpoint_every: Steps between states that a killed run goes on from, at least 1.
        log_every: Steps between rows of the history, at least 1.
    """

    steps: int = 4000
    batch_size: int = 32
    learning_rate: float = 5e-4
    warmup_steps: int = 200
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    ema_decay: float = 0.999
    caption_dropout: float = 0.1
    time_mean: float = 0.0
    time_std: float = 1.0
    precision: Precision = "32-true"
    seed: int = 0
    device: Device = "auto"
    checkpoint_every: int = 200
    log_every: int = 20

    def __post_init__(self) -> None:
        check_types(self)
        # Wrong values are named here, before films are drawn for minutes.
        for name in ("steps", "batch_size", "checkpoint_every", "log_every"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("learning_rate", "gradient_clip", "time_std"):
            value = getattr(self, name)
            _require(value > 0 and math.isfinite(value), name, value, "above 0 and finite")
        # A share of 1 would keep the first weights for ever, or never show a caption.
        for name in ("ema_decay", "caption_dropout"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name), "in [0, 1)")
        _require(0 <= self.warmup_steps < self.steps, "warmup_steps", self.warmup_steps, f"in 0…{self.steps - 1}")
        decay = self.weight_decay
        _require(decay >= 0 and math.isfinite(decay), "weight_decay", decay, "at least 0 and finite")
        _require(math.isfinite(self.time_mean), "time_mean", self.time_mean, "finite")
        # torch takes no more of a seed than this.
        _require(0 <= self.seed < 2**31, "seed", self.seed, "in 0…2147483647")
        for name, allowed in (("precision", get_args(Precision)), ("device", get_args(Device))):
            _require(getattr(self, name) in allowed, name, getattr(self, name), f"one of {allowed}")


@dataclass(frozen=True)
class Sampling:
    """Way from noise to film.

    Attributes:
        steps: Of the solver, in 1…1000, equally long.
        solver: "euler" looks at the velocity once a step, "heun" twice and is exact to the second order.
        guidance: Weight of the text, at least 0: 0 ignores it, 1 is the model as it is, above 1 exaggerates it.
        batch_size: Films that are computed together, at least 1; the last ones are filled up to this number, so that
            every film is computed in tensors of one shape.
        precision: As of the training.
    """

    steps: int = 16
    solver: Solver = "euler"
    guidance: float = 2.0
    batch_size: int = 8
    precision: Precision = "32-true"

    def __post_init__(self) -> None:
        check_types(self)
        _require(1 <= self.steps <= 1000, "steps", self.steps, "in 1…1000")
        _require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        # Below 0 the films would avoid what is asked for.
        is_weight = self.guidance >= 0 and math.isfinite(self.guidance)
        _require(is_weight, "guidance", self.guidance, "at least 0 and finite")
        for name, allowed in (("solver", get_args(Solver)), ("precision", get_args(Precision))):
            _require(getattr(self, name) in allowed, name, getattr(self, name), f"one of {allowed}")


@dataclass(frozen=True)
class FlowRun:
    """All that decides a generator, stored as ``flow.json`` in the folder of its run.

    Attributes:
        name: Of the generator, in manifests: letters, digits and . + - _.
        data: "phantom", "generic", or a folder that `pedclip.data.load` reads; several with commas.
        films: Films at most, 0 for all; of "generic" the number that is drawn.
        studies: Of the phantom, at least 1.
        phantom_size: Height and width at which the phantom draws, pixels; at least the films' `image_size`.
        prompt: What of a triplet is its caption, see `prompt_of`; an excerpt alone often leaves the region out.
        text_encoder: Checkpoint whose text encoder reads the captions, kept as it is; a folder, a hub name or weights
            of this package.
        start: Generator whose weights the training begins with: "embedded", "embedded-generic", or the folder of one of
            the same network and text encoder, as for films of one's own; "" for random ones.
        model: Network.
        training: Optimization.
        sampling: What the generator does unless it is told otherwise.
    """

    name: str = "flow"
    data: str = PHANTOM
    films: int = 0
    studies: int = 4000
    phantom_size: int = 128
    prompt: Prompt = "named"
    text_encoder: str = "pedclip-phantom-small"
    start: str = ""
    model: FlowConfig = field(default_factory=FlowConfig)
    training: FlowTraining = field(default_factory=FlowTraining)
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        check_types(self)
        # It becomes part of a column and of names of files.
        is_name = is_generator_name(self.name) and len(self.name) <= 60
        _require(is_name, "name", self.name, "letters, digits and . + - _, a letter or digit first, at most 60")
        for name, least in (("films", 0), ("studies", 1)):
            _require(getattr(self, name) >= least, name, getattr(self, name), f"at least {least}")
        for name in ("data", "text_encoder"):
            _require(bool(getattr(self, name).strip()), name, getattr(self, name), "not empty")
        _require(self.prompt in get_args(Prompt), "prompt", self.prompt, f"one of {get_args(Prompt)}")
        # Enlarged films would be smoother than drawn ones.
        is_large = self.phantom_size >= self.model.image_size
        _require(is_large, "phantom_size", self.phantom_size, f"at least image_size={self.model.image_size}")
        # Scenes have no number of their own.
        _require(self.data != GENERIC or self.films >= 1, "films", self.films, f"at least 1 of {GENERIC!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them: lists, no tuples."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Inverse of `to_dict`; what is absent has its default.

        Raises:
            ValueError: A name is unknown or a value not allowed.
        """
        if not isinstance(values, dict):
            raise ValueError(f"the configuration of a flow is an object with the objects {', '.join(_SECTIONS)}")
        # From the defaults on: a file of an older version lacks fields, which is what it did without.
        return cls().replace(values)

    def replace(self, changes: dict[str, Any]) -> Self:
        """A copy with some fields changed and everything validated again.

        Args:
            changes: By name; those of a section as an object of its own, such as {"training": {"steps": 10}}.

        Raises:
            ValueError: A name is unknown or a value not allowed.
        """
        # A misspelt name must not pass for an absent one.
        known = [item.name for item in dataclasses.fields(self)]
        if unknown := sorted(changes.keys() - set(known)):
            raise ValueError(f"unknown setting {unknown[0]!r} of {type(self).__name__}; known: {', '.join(known)}")
        sections: dict[str, Any] = {}
        for name in _SECTIONS:
            if not isinstance(fields := changes.get(name, {}), dict):
                raise ValueError(f"{name}={fields!r} is not allowed: an object of names and values")
            sections[name] = _changed(getattr(self, name), fields)
        return dataclasses.replace(self, **(changes | sections))


def _changed(section: Section, changes: dict[str, Any]) -> Section:
    return replace_fields(section, changes)  # type: ignore[type-var]  # it asks for any frozen configuration


def load_flow_profile(profile: str) -> FlowRun:
    """One of the stored configurations.

    Args:
        profile: "demo" (64 pixels, on two CPU cores), "large" (128 pixels, on one GPU), "overfit" (the control that
            must be caught copying its 32 films) or "sketch" (32 pixels and seconds, for trying things).

    Raises:
        ValueError: There is no such profile.
    """
    _require(profile in PROFILES, "profile", profile, f"one of {PROFILES}")
    return FlowRun.from_dict(json.loads(files("pedclip.synthesis.flow").joinpath("profiles.json").read_text())[profile])


def load_flow_run(path: str | Path) -> FlowRun:
    """Configuration of a ``flow.json``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no JSON, or a name or value is not allowed; the message names the file.
    """
    try:
        return FlowRun.from_dict(read_json(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise ValueError(f"{name}={value!r} is not allowed: {allowed}")
