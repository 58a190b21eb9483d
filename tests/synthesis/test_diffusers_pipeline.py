"""Pipelines of diffusers, on one of a few thousand random weights."""

import json
import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pedclip.synthesis import DiffusersGenerator, Generator, PipelineOptions, draw_films, open_pipeline, synthetic_copy
from tests.synthesis.test_copying import triplets
from tests.synthesis.tiny_pipeline import save_tiny_pipeline

OPTIONS = PipelineOptions(num_steps=3, image_size=32)
TEXTS = ["no fracture", "there is a opacity of the left knee", "normal"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_pipeline(tmp_path_factory.mktemp("pipelines") / "tiny model")


@pytest.fixture(scope="module")
def tiny(folder: Path) -> DiffusersGenerator:
    return open_pipeline(folder, OPTIONS)


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copied"))


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference in grey levels of films (..., H, W)."""
    return float(np.abs(one.astype(float) - other.astype(float)).max())


def test_a_film_is_that_of_its_text_and_seed_whatever_the_batch(tiny: DiffusersGenerator) -> None:
    assert isinstance(tiny, Generator)
    films = draw_films(tiny, TEXTS, seeds=[1, 2, 3])
    backwards = draw_films(tiny, TEXTS[::-1], seeds=[3, 2, 1])
    alone = draw_films(tiny, TEXTS[1:2], seeds=[2])
    # Rounding in other batches may move a value across half a grey level.
    assert distance(films, backwards[::-1]) <= 1
    assert distance(films[1], alone[0]) <= 1
    assert (draw_films(tiny, TEXTS, seeds=[1, 2, 3]) == films).all()
    assert distance(alone[0], draw_films(tiny, TEXTS[1:2], seeds=[4])[0]) > 10
    assert distance(alone[0], draw_films(tiny, TEXTS[:1], seeds=[2])[0]) > 2


def test_films_are_those_of_the_library_and_grey_is_the_mean_of_colours(tiny: DiffusersGenerator) -> None:
    generators = [torch.Generator().manual_seed(seed) for seed in (7, 8)]
    arguments: dict[str, Any] = {"num_inference_steps": 3, "guidance_scale": 7.5, "height": 32, "width": 32}
    colours = tiny.pipeline(TEXTS[:2], generator=generators, output_type="pil", **arguments).images
    expected = np.stack([np.asarray(one).astype(float).mean(-1) for one in colours])
    # The library rounds each colour before the mean.
    assert distance(draw_films(tiny, TEXTS[:2], seeds=[7, 8]), expected) <= 1.01


def test_guidance_and_steps_are_passed_on(folder: Path, tiny: DiffusersGenerator) -> None:
    film = draw_films(tiny, TEXTS[:1], seeds=[1])
    for change in ({"guidance": 1.0}, {"num_steps": 5}, {"scheduler": "ddim"}, {"scheduler": "dpm-solver"}):
        other = open_pipeline(folder, PipelineOptions(**{"num_steps": 3, "image_size": 32} | change))
        assert distance(draw_films(other, TEXTS[:1], seeds=[1]), film) > 1, change
        assert other.describe() != tiny.describe()


def test_schedulers_keep_what_the_weights_predict(tmp_path: Path) -> None:
    velocities = save_tiny_pipeline(tmp_path / "v", prediction_type="v_prediction")
    for kind, name in (("ddim", "DDIMScheduler"), ("pndm", "PNDMScheduler"), ("dpm-solver", "DPMSolverMultistepSch")):
        generator = open_pipeline(velocities, PipelineOptions(scheduler=kind, image_size=32))  # type: ignore[arg-type]
        assert generator.describe()["prediction_type"] == "v_prediction"
        assert generator.describe()["scheduler"].startswith(name)
    ddim = open_pipeline(velocities, PipelineOptions(scheduler="ddim", image_size=32)).pipeline.scheduler
    ddim.set_timesteps(10)
    # The first step is at the last noise level, which "leading" spacing misses.
    assert (int(ddim.timesteps[0]), ddim.config.clip_sample) == (999, False)
    open_pipeline(velocities, PipelineOptions(sd_variant="2-1@512", image_size=32))
    with pytest.raises(ValueError, match=r"'2-1-base' predicts epsilon, but the scheduler .* is set to v_prediction"):
        open_pipeline(velocities, PipelineOptions(sd_variant="2-1-base", image_size=32))


def test_a_variant_with_the_wrong_scheduler_is_refused(folder: Path) -> None:
    open_pipeline(folder, PipelineOptions(sd_variant="2-1-base", image_size=32))
    with pytest.raises(ValueError, match=r"'2-1@512' predicts v_prediction, but the scheduler .* is set to epsilon"):
        open_pipeline(folder, PipelineOptions(sd_variant="2-1@512", image_size=32))


def test_long_texts_are_cut_counted_and_never_printed(
    tiny: DiffusersGenerator, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    # 16 tokens, of which two begin and end the text.
    texts = ["fracture " * 14, "fracture " * 15, "fracture " * 14 + "secret"]
    assert tiny.is_cut(texts) == [False, True, True]
    assert tiny.is_cut([]) == []
    with caplog.at_level(logging.INFO):
        films = draw_films(tiny, texts, seeds=[1, 1, 1])
    # What is cut has no part in the film.
    assert distance(films[0], films[2]) <= 1
    assert "secret" not in caplog.text + "".join(capsys.readouterr())
    # A tokenizer without a limit is held to that of its encoder.
    limit = tiny.pipeline.tokenizer.model_max_length
    tiny.pipeline.tokenizer.model_max_length = int(1e30)
    try:
        again = DiffusersGenerator(tiny.pipeline, OPTIONS, name="again", digest="")
        assert again.is_cut(texts) == [False, True, True]
    finally:
        tiny.pipeline.tokenizer.model_max_length = limit


def test_the_description_tells_all_that_decides_a_film(folder: Path, tiny: DiffusersGenerator, copied: Path) -> None:
    assert tiny.name == "tiny-model"
    assert open_pipeline(folder, OPTIONS, name="sd").name == "sd"
    found = tiny.describe()
    assert found == json.loads(json.dumps(found))
    assert found.pop("weights_sha256") == open_pipeline(copied, OPTIONS).describe()["weights_sha256"]
    assert found == {
        "kind": "diffusers",
        "pipeline": "StableDiffusionPipeline",
        "prediction_type": "epsilon",
        "sd_variant": "",
        "guidance": 7.5,
        "scheduler": "PNDMScheduler",
        "num_steps": 3,
        "image_size": 32,
        "dtype": "float32",
        "device": "cpu",
    }


def test_nothing_of_the_library_stays_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from diffusers.utils import logging as library

    level, is_shown = logging.getLogger("diffusers").level, library.is_progress_bar_enabled()
    draw_films(open_pipeline(folder, OPTIONS), TEXTS[:1], seeds=[1])
    assert (logging.getLogger("diffusers").level, library.is_progress_bar_enabled()) == (level, is_shown)
    assert "".join(capsys.readouterr()) == ""


def test_overflow_becomes_a_film_that_a_copy_leaves_out(
    tiny: DiffusersGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Overflowing:
        images = np.full((1, 32, 32, 3), 0.5, np.float32)
        images[0, 3, 4, 1] = np.nan  # of one pixel

    monkeypatch.setattr(type(tiny.pipeline), "__call__", lambda self, **_: Overflowing())
    assert not tiny.generate(TEXTS[:1], seeds=[1]).any()
    with pytest.raises(ValueError, match="all 5 films are of one grey level; in half precision"):
        synthetic_copy(triplets(), tiny, tmp_path / "copy", batch_size=1)


def test_a_copy_is_made_with_a_pipeline(tiny: DiffusersGenerator, tmp_path: Path) -> None:
    copy = synthetic_copy(triplets(), tiny, tmp_path / "copy", batch_size=3)
    assert (copy.num_films, copy.head["generator"]["kind"]) == (5, "diffusers")


def without(part: str, file: str, position: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / part / file
        tensors = load_file(path)
        del tensors[sorted(tensors)[position]]
        save_file(tensors, path, metadata={"format": "pt"})

    return change


def truncated(folder: Path) -> None:
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def of_class(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "model_index.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"_class_name": name}))

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("unet", "diffusion_pytorch_model.safetensors", 0), "lacks 1 tensors, the first is unet: conv_in.bias"),
        (without("vae", "diffusion_pytorch_model.safetensors", -1), "lacks 1 tensors, the first is vae: "),
        (without("text_encoder", "model.safetensors", 0), "lacks 1 tensors, the first is text_encoder: "),
        (truncated, "cannot be opened"),
        (of_class("NoSuchPipeline"), "cannot be opened .*NoSuchPipeline"),
        (of_class("StableDiffusionImg2ImgPipeline"), "StableDiffusionImg2ImgPipeline is no text-to-image pipeline"),
    ],
)
def test_damaged_and_other_pipelines_are_refused(copied: Path, change: Callable[[Path], None], words: str) -> None:
    change(copied)
    with pytest.raises(ValueError, match=words):
        open_pipeline(copied, OPTIONS)


def test_a_safety_checker_stays_away(copied: Path) -> None:
    path = copied / "model_index.json"
    checker = {"safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"], "requires_safety_checker": True}
    path.write_text(json.dumps(json.loads(path.read_text()) | checker))
    assert open_pipeline(copied, OPTIONS).pipeline.safety_checker is None


def test_without_the_library_the_error_names_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'pedclip\[synthesis\]'"):
        open_pipeline(folder, OPTIONS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sd_variant": "2-1"}, "sd_variant='2-1' is not allowed: one of"),
        ({"scheduler": "euler"}, "scheduler='euler'"),
        ({"dtype": "int8"}, "dtype='int8'"),
        ({"guidance": -0.1}, "guidance=-0.1 is not allowed: at least 0"),
        ({"guidance": float("nan")}, "guidance=nan"),
        ({"num_steps": 0}, "num_steps=0 is not allowed: 1 to 1000"),
        ({"image_size": 100}, "image_size=100 is not allowed: a multiple of 8"),
        ({"image_size": 0}, "image_size=0"),
    ],
)
def test_options_out_of_range_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PipelineOptions(**change)
