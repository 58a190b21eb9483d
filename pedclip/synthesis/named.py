"""Generators by name, as a notebook or a command line gives them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pedclip.artefacts import read_json
from pedclip.synthesis.flow.checkpoint import EMBEDDED_NAMES, embedded_generator, open_generator
from pedclip.synthesis.flow.config import Sampling
from pedclip.synthesis.generator import Generator
from pedclip.synthesis.phantom import PhantomGenerator
from pedclip.synthesis.pipeline_files import INDEX
from pedclip.triplets.seen_patients import PATIENTS_FILE, drop_seen_patients

if TYPE_CHECKING:
    from datasets import Dataset

PHANTOM: Final = "phantom"


def named_generator(
    name: str | Path,
    *,
    studies: Sequence[str] = (),
    image_size: int = 128,
    sampling: Sampling | None = None,
    device: str = "cpu",
    judged_on: "Dataset | None" = None,
) -> Generator:
    """A generator by its name or folder.

    Args:
        name: "embedded" and "embedded-generic" for those that come with the package; "phantom" for the perfect one of
            the phantom's own reports; or a folder: of a flow that was trained here, or one that diffusers saved a
            text-to-image pipeline in.
        studies: For "phantom", those whose reports it must know, such as the column `study_id`.
        image_size: For "phantom", height and width of its films, pixels.
        sampling: Of a flow; None takes its own.
        device: To compute on; a pipeline has its own options, see `open_pipeline`.
        judged_on: Real films by which models of drawn films will be judged, as `pedclip.data.load` gives a split. A
            flow that lies in the folder of its run is asked whether it has seen their patients; of any other generator
            nobody here can know.

    Raises:
        FileNotFoundError: There is no such generator; the message says what to pass.
        ValueError: It is damaged, "phantom" without studies of the phantom, or it has seen patients of these films.
        ModuleNotFoundError: diffusers is not installed.
    """
    if name in EMBEDDED_NAMES:
        return embedded_generator(EMBEDDED_NAMES[str(name)], sampling=sampling, device=device)
    if name == PHANTOM:
        return PhantomGenerator(studies, image_size=image_size)
    folder = Path(name)
    # Told by their files, so that nobody has to name a kind.
    if (folder / INDEX).is_file():
        from pedclip.synthesis.diffusers_pipeline import PipelineOptions, open_pipeline

        return open_pipeline(folder, PipelineOptions(device=device))
    if (folder / "config.json").is_file() and isinstance(read_json(folder / "config.json"), dict):
        if judged_on is not None:
            _refuse_seen(folder, judged_on)
        return open_generator(folder, sampling=sampling, device=device)
    raise FileNotFoundError(
        f"{name} is no generator: expected {', '.join(map(repr, EMBEDDED_NAMES))}, {PHANTOM!r}, a folder of a flow "
        "such as runs/flow/checkpoint, or a folder that diffusers saved a text-to-image pipeline in"
    )


def _refuse_seen(folder: Path, judged_on: "Dataset") -> None:
    listed = folder.resolve().parent / PATIENTS_FILE  # of the run, whatever link leads there
    number = drop_seen_patients(judged_on, listed, split="test")[1] if listed.is_file() else 0
    # What it learned of them by heart would come back as a score.
    if number:
        raise ValueError(
            f"{folder} was trained on patients of {number} of the {len(judged_on)} films by which models are to be "
            "judged; train it on other patients, or judge by other films"
        )
