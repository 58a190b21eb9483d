"""Folders of pipelines are looked at before a library opens them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from pedclip.synthesis.pipeline_files import has_safety_checker, pipeline_digest, pipeline_folder, transformers_models


def index(**values: Any) -> dict[str, Any]:
    return {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.42.1",
        "feature_extractor": [None, None],
        "requires_safety_checker": True,
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "scheduler": ["diffusers", "PNDMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "unet": ["diffusers", "UNet2DConditionModel"],
    } | values


def folder_of(tmp_path: Path, **values: Any) -> Path:
    """The files of a pipeline, with bytes that no library could read."""
    folder = tmp_path / "model"
    for part, names in {
        "scheduler": ["scheduler_config.json"],
        "text_encoder": ["config.json", "model.safetensors"],
        "unet": ["config.json", "diffusion_pytorch_model.safetensors"],
    }.items():
        (folder / part).mkdir(parents=True)
        for name in names:
            (folder / part / name).write_text(f"{part} {name}")
    (folder / "model_index.json").write_text(json.dumps(index(**values)))
    return folder


def test_a_whole_folder_passes(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    assert pipeline_folder(str(folder)) == folder
    assert has_safety_checker(folder)
    assert transformers_models(folder) == {"text_encoder": "CLIPTextModel"}


def test_the_digest_is_of_what_is_read_and_of_nothing_else(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a")
    other = folder_of(tmp_path / "b")
    first = pipeline_digest(folder)
    assert pipeline_digest(other) == first
    (other / "README.md").write_text("Terms.")
    (other / "safety_checker").mkdir()
    (other / "safety_checker" / "model.safetensors").write_text("x")
    (other / "unet" / "diffusion_pytorch_model.bin").write_text("x")
    assert pipeline_digest(other) == first
    for place in ("unet/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json"):
        content = (other / place).read_bytes()
        (other / place).write_bytes(content + b" ")
        assert pipeline_digest(other) != first
        (other / place).write_bytes(content)
    assert pipeline_digest(other) == first


def only_pickle(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda folder: (folder / "model_index.json").unlink(),
            "has no model_index.json; expected a folder that diffus",
        ),
        (lambda folder: (folder / "model_index.json").write_text("{"), "model_index.json is not readable JSON"),
        (lambda folder: (folder / "model_index.json").write_text("[]"), "is no description of a pipeline"),
        (only_pickle, r"unet holds only diffusion_pytorch_model.bin, a pickle, which could run code"),
        (lambda folder: (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink(), "unet holds no weights"),
        (
            lambda folder: (folder / "scheduler").rename(folder / "x"),
            "scheduler is missing, which model_index.json names",
        ),
    ],
)
def test_damaged_folders_are_refused(tmp_path: Path, change: Callable[[Path], Any], words: str) -> None:
    folder = folder_of(tmp_path)
    change(folder)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        pipeline_folder(folder)


def test_code_of_their_own_is_refused(tmp_path: Path) -> None:
    custom = folder_of(tmp_path / "a", _class_name=["mine", "MyPipeline"])
    with pytest.raises(ValueError, match="names a pipeline with code of its own"):
        pipeline_folder(custom)
    component = folder_of(tmp_path / "b", unet=["mine", "MyUNet"])
    with pytest.raises(ValueError, match="unet is of 'mine', expected diffusers or transformers"):
        pipeline_folder(component)


def test_a_name_is_no_folder_and_no_network_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("asked the hub"))
    with pytest.raises(FileNotFoundError, match=r"owner/model is no folder; .* pass from_hub=True"):
        pipeline_folder("owner/model")
    with pytest.raises(
        FileNotFoundError, match=r"absent is no folder; expected a folder that diffusers saved .* in\.$"
    ):
        pipeline_folder(tmp_path / "absent")
    with pytest.raises(ValueError, match="is no name of a hub; expected 'OWNER/MODEL'"):
        pipeline_folder(tmp_path / "absent", from_hub=True)


def test_a_hub_is_asked_for_what_is_read_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, asked = folder_of(tmp_path), []

    def download(name: str, *, allow_patterns: list[str], ignore_patterns: list[str]) -> str:
        asked.append((name, allow_patterns, ignore_patterns))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert pipeline_folder("owner/model", from_hub=True) == folder
    name, allowed, _ = asked[0]
    assert name == "owner/model"
    assert not any("bin" in pattern or "ckpt" in pattern or pattern == "*" for pattern in allowed)


def test_a_silent_hub_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(FileNotFoundError) as error:
        pipeline_folder("owner/model", from_hub=True)
    assert "owner/model did not come from the hub (ConnectionError)" in str(error.value)
    assert "hf download owner/model --local-dir FOLDER" in str(error.value)


def test_a_tokenizer_without_its_words_is_told(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, tokenizer=["transformers", "CLIPTokenizer"])
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "tokenizer_config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"tokenizer has no vocabulary \(tokenizer\.json, vocab\.json"):
        pipeline_folder(folder)
    (folder / "tokenizer" / "vocab.json").write_text("{}")
    assert pipeline_folder(folder) == folder
