"""Generators by name, as a notebook or a command line gives them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pedclip.artefacts import read_json
from pedclip.synthesis.flow.checkpoint import EMBED_COMMAND, embedded_folder, embedded_generator, open_generator
from pedclip.synthesis.flow.config import Sampling
from pedclip.synthesis.generator import Generator
from pedclip.synthesis.phantom import PhantomGenerator
from pedclip.synthesis.pipeline_files import INDEX

EMBEDDED: Final = "embedded"
PHANTOM: Final = "phantom"


def named_generator(
    name: str | Path,
    *,
    studies: Sequence[str] = (),
    image_size: int = 128,
    sampling: Sampling | None = None,
    device: str = "cpu",
) -> Generator:
    """A generator by its name or folder.

    Args:
        name: "embedded" for the one that comes with the package; "phantom" for the perfect one of the phantom's own
            reports; or a folder: of a flow that was trained here, or one that diffusers saved a text-to-image pipeline
            in.
        studies: For "phantom", those whose reports it must know, such as the column `study_id`.
        image_size: For "phantom", height and width of its films, pixels.
        sampling: Of a flow; None takes its own.
        device: To compute on; a pipeline has its own options, see `open_pipeline`.

    Raises:
        FileNotFoundError: There is no such generator; the message says what to pass.
        ValueError: It is damaged, or "phantom" without studies of the phantom.
        ModuleNotFoundError: diffusers is not installed.
    """
    if name == EMBEDDED:
        return embedded_generator(sampling=sampling, device=device)
    if name == PHANTOM:
        return PhantomGenerator(studies, image_size=image_size)
    folder = Path(name)
    # Told by their files, so that nobody has to name a kind.
    if (folder / INDEX).is_file():
        from pedclip.synthesis.diffusers_pipeline import PipelineOptions, open_pipeline

        return open_pipeline(folder, PipelineOptions(device=device))
    if (folder / "config.json").is_file() and isinstance(read_json(folder / "config.json"), dict):
        return open_generator(folder, sampling=sampling, device=device)
    raise FileNotFoundError(
        f"{name} is no generator: expected {EMBEDDED!r}, {PHANTOM!r}, a folder of a flow such as runs/flow/checkpoint, "
        "or a folder that diffusers saved a text-to-image pipeline in"
    )


def has_embedded() -> bool:
    """True where the generator that comes with the package is installed; `EMBED_COMMAND` makes one."""
    return embedded_folder().is_dir()


__all__ = ["EMBEDDED", "EMBED_COMMAND", "PHANTOM", "has_embedded", "named_generator"]
