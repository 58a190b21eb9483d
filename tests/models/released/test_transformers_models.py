"""Folders of transformers: any CLIP, SigLIP or DINOv2, by its own files."""

import json
import re
from itertools import permutations
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pedclip.models.released import load_released
from pedclip.models.released.release import TRANSFORMERS, find_release, release_names
from tests.models.released.tiny_folders import preprocessor, rad_dino, transformers_clip
from tests.models.released.tiny_folders import transformers_siglip as siglip
from tests.models.released.tiny_networks import TEXTS, film
from tests.models.released.tiny_releases import MAKERS

# What the records say of each, in the words of the message.
WORDS = {
    "xrayclip": "clip of 224 pixels in patches of 16",
    "xraysiglip": "siglip of 512 pixels in patches of 16",
    "medsiglip": "siglip of 448 pixels in patches of 14",
    "rad-dino": "dinov2 of 518 pixels in patches of 14",
    "pubmedclip": "clip of 224 pixels in patches of 32",
}


def drop(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).unlink()


@torch.no_grad()
def test_model_that_has_no_record_is_read_by_its_own_files(tmp_path: Path) -> None:
    tiny = transformers_clip(tmp_path)
    model = load_released("someone/clip", tmp_path)
    found = model.encode_image(model.transform(film())[None])
    torch.testing.assert_close(found.embedding[0], tiny.image(film()), atol=2e-5, rtol=0)
    assert model.release.max_tokens == 77
    assert found.dense is not None
    assert found.dense.shape == (1, 1 + 49, 64)


@torch.no_grad()
def test_kind_is_that_of_the_folder_and_not_of_the_name(tmp_path: Path) -> None:
    tiny = transformers_clip(tmp_path)
    # Called a SigLIP, and a CLIP.
    model = load_released("StanfordAIMI/XraySigLIP__vit-l-14__laion2b-s32b-b82k", tmp_path)
    assert tiny.text is not None
    assert model.release.max_tokens == 77
    assert model.network.logit_bias is None
    found = model.encode_text(**model.tokenize(TEXTS)).embedding
    torch.testing.assert_close(found, torch.stack([tiny.text(text) for text in TEXTS]), atol=2e-5, rtol=0)


@torch.no_grad()
def test_siglip_has_a_pooled_row_before_its_patches_and_a_sigmoid(tmp_path: Path) -> None:
    siglip(tmp_path, image_size=448, patch_size=14, by_tensorflow=True)
    model = load_released("medsiglip", tmp_path)
    image = model.encode_image(model.transform(film())[None])
    assert image.dense is not None
    assert image.dense.shape == (1, 1 + 32 * 32, 64)
    torch.testing.assert_close(torch.nn.functional.normalize(image.dense[:, 0], dim=1), image.embedding)
    text = model.encode_text(**model.tokenize(TEXTS[:1]))
    logit = model.network.logit_scale.exp() * (image.embedding @ text.embedding.T) + model.network.logit_bias
    torch.testing.assert_close(model.score(image, text, as_probability=True), logit[:, 0].sigmoid())


@torch.no_grad()
def test_dinov2_is_for_films_only(tmp_path: Path) -> None:
    model = load_released("rad-dino", rad_dino(tmp_path).path)
    dense = model.encode_image(model.transform(film())[None]).dense
    assert dense is not None
    assert dense.shape == (1, 1 + 37 * 37, 64)
    for call in (lambda: model.tokenize(["a"]), lambda: model.encode_text(torch.ones(1, 2), torch.ones(1, 2))):
        with pytest.raises(TypeError, match="RAD-DINO embeds films only: it has no text encoder"):
            call()


def test_missing_companions_are_named(tmp_path: Path) -> None:
    transformers_clip(tmp_path)
    drop(tmp_path, "preprocessor_config.json")
    with pytest.raises(FileNotFoundError, match=r"no preprocessor_config.json beside .*model.safetensors: fetch it"):
        load_released("pubmedclip", tmp_path)
    drop(tmp_path, "config.json")
    with pytest.raises(FileNotFoundError, match=r"no config\.json beside"):
        load_released("pubmedclip", tmp_path)


def test_other_kinds_and_misfits_are_refused(tmp_path: Path) -> None:
    transformers_clip(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["vision_model.embeddings.position_ids"] = torch.arange(50)[None]
    save_file(weights, tmp_path / "model.safetensors")
    load_released("pubmedclip", tmp_path)  # what old files hold besides
    del weights["visual_projection.weight"]
    weights["classifier.bias"] = torch.ones(2)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"(?s)missing: visual_projection.weight\n.*left over: classifier.bias"):
        load_released("pubmedclip", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "blip"}))
    with pytest.raises(ValueError, match="of the kind 'blip'; this door reads clip, siglip, dinov2"):
        load_released("pubmedclip", tmp_path)
    preprocessor(tmp_path)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: MAKERS[name](tmp_path_factory.mktemp(name)).path for name in WORDS}


@pytest.mark.parametrize(("asked", "given"), list(permutations(WORDS, 2)))
def test_folder_of_another_record_is_refused(folders: dict[str, Path], asked: str, given: str) -> None:
    title = re.escape(find_release(asked).title)
    expected = (
        rf"(?s)holds a {WORDS[given]}; {title} is a {WORDS[asked]}\..*Pass a folder of {find_release(asked).source}"
    )
    with pytest.raises(ValueError, match=expected):
        load_released(asked, folders[given])


def test_every_record_of_transformers_says_what_it_is() -> None:
    records = [find_release(name) for name in release_names()]
    kinds = {r.name: f"{r.kind} of {r.image_size} pixels in patches of {r.patch_size}" for r in records if r.kind}
    assert kinds == WORDS
    assert {record.name for record in records if record.family == TRANSFORMERS} == set(WORDS)
