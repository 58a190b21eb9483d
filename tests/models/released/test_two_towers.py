"""Files whose names a record describes: every tensor has a place, and a wrong file says what is wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pedclip.models.released import load_released
from pedclip.models.released.files import read_tensors
from pedclip.models.released.fitting import fit_module
from pedclip.models.released.release import Towers, find_release, release_names
from pedclip.models.released.two_towers import TwoTowers, build_head, rename_parts, split_parts, without_prefix
from tests.models.released.tiny_networks import Weights, film, tokenizer
from tests.models.released.tiny_releases import MAKERS

TWO_TOWERS = [name for name in release_names() if find_release(name).towers]


def changed(folder: Path, name: str, change: Callable[[Weights], object]) -> Path:
    """A checkpoint as safetensors, with a change."""
    weights = read_tensors(MAKERS[name](folder).path)
    change(weights)
    path = folder / "changed.safetensors"
    save_file({key: value.contiguous() for key, value in weights.items()}, path)
    return path


def test_longest_prefix_wins_and_dropped_names_vanish() -> None:
    towers = find_release("chexzero").towers
    assert towers is not None
    names = ("visual.conv1.weight", "ln_final.bias", "logit_scale", "vocab_size")
    parts, fit = split_parts({name: torch.ones(1) for name in names}, towers)
    assert {part: list(tensors) for part, tensors in parts.items()} == {
        "image": ["conv1.weight"],
        "text": ["ln_final.bias"],
        "logit_scale": [""],
    }
    assert not fit.left_over


def test_name_of_no_part_is_left_over() -> None:
    towers = find_release("medclip").towers
    assert towers is not None
    assert split_parts({"optimizer.step": torch.ones(1)}, towers)[1].left_over == ["optimizer.step"]


@pytest.mark.parametrize("name", TWO_TOWERS)
def test_missing_and_left_over_tensors_are_named(name: str, tmp_path: Path) -> None:
    towers = find_release(name).towers
    assert towers is not None
    last: list[str] = []

    def change(weights: Weights) -> None:
        # A bias of the text tower, which tells no size.
        last.append([key for key in weights if key.startswith(towers.keys["text"]) and key.endswith("bias")][-1])
        del weights[last[0]]
        weights[f"{towers.keys['image']}more"] = torch.ones(2)

    path = changed(tmp_path, name, change)
    with pytest.raises(ValueError, match="does not have the expected layout") as caught:
        load_released(name, path)
    message = str(caught.value)
    assert f"missing: {last[0]}" in message
    assert f"left over: {towers.keys['image']}more" in message
    assert find_release(name).layout in message


def test_file_of_another_model_says_how_its_names_begin(tmp_path: Path) -> None:
    tokenizer().save_pretrained(tmp_path)
    save_file({"encoder.conv.weight": torch.ones(2)}, tmp_path / "w.safetensors")
    expected = r"(?s)missing: visual.trunk.patch_embed.*names begin with: encoder.conv"
    with pytest.raises(ValueError, match=expected) as caught:
        load_released("biomedclip", tmp_path / "w.safetensors")
    # A library fixes these names, so other prefixes would not help.
    assert "keys=" not in str(caught.value)


def test_file_with_other_prefixes_is_read_with_keys(tmp_path: Path) -> None:
    tiny = MAKERS["convirt"](tmp_path)

    def rename(weights: Weights) -> None:
        for key in list(weights):
            weights[key.replace("img_encoder.model.", "visual.")] = weights.pop(key)

    path = changed(tmp_path, "convirt", rename)
    with pytest.raises(ValueError, match=r"pass keys=\{…\} for image, image_head"):
        load_released("convirt", path)
    model = load_released("convirt", path, keys={"image": "visual."})
    with torch.no_grad():
        found = model.encode_image(model.transform(film())[None]).embedding[0]
    torch.testing.assert_close(found, tiny.image(film()), atol=2e-5, rtol=0)


def renamed(weights: Weights, old: str, new: str) -> None:
    for key in [key for key in weights if key.startswith(old)]:
        weights[new + key.removeprefix(old)] = weights.pop(key)


@pytest.mark.parametrize(("part", "old", "new"), [("", "", "model."), ("text", "text_encoder.model.", "bert.")])
def test_prefix_before_all_names_or_one_part_takes_the_dropped_names_along(
    part: str, old: str, new: str, tmp_path: Path
) -> None:
    tiny = MAKERS["chexficient"](tmp_path / "made")
    path = changed(tmp_path, "chexficient", lambda weights: renamed(weights, old, new))
    with pytest.raises(ValueError, match=r"pass keys=\{…\} for image, .* or '' \(all\)"):
        load_released("chexficient", path)
    model = load_released("chexficient", path, keys={part: new})
    assert tiny.text is not None
    with torch.no_grad():
        found = model.encode_text(**model.tokenize(["Fracture."])).embedding[0]
    torch.testing.assert_close(found, tiny.text("Fracture."), atol=2e-5, rtol=0)


def test_prefix_of_all_names_is_taken_off_all_of_them() -> None:
    weights = {"m.a": torch.ones(1), "m.m.a": torch.zeros(1)}
    assert without_prefix(weights, "m.", Path("w.pt")) == {"a": weights["m.a"], "m.a": weights["m.m.a"]}
    assert without_prefix(weights, "", Path("w.pt")) == weights


def test_names_without_the_prefix_of_all_are_refused(tmp_path: Path) -> None:
    # The same tensor twice, of which either may be the right one.
    def change(weights: Weights) -> None:
        first = next(iter(weights))
        renamed(weights, "", "model.")
        weights[first] = weights[f"model.{first}"] + 1

    path = changed(tmp_path, "chexficient", change)
    with pytest.raises(
        ValueError, match=r"(?s)changed.safetensors: .* 1 of \d+ do not begin with it: \w+.*for image, "
    ):
        load_released("chexficient", path, keys={"": "model."})
    # A slip of the pen, after which every name would have stayed as it was.
    with pytest.raises(ValueError, match=r"keys=\{'': 'modle\.'\} is for .* and (\d+) of \1 do not begin"):
        load_released("chexficient", MAKERS["chexficient"](tmp_path / "made").path, keys={"": "modle."})


def test_dropped_names_follow_the_longest_prefix() -> None:
    towers = Towers("timm vit", "bert", {"image": "a.", "text": "a.b."}, drop=("a.b.x", "a.y", "*.z"))
    moved = rename_parts(towers, {"image": "c.", "text": "d."})
    assert moved.drop == ("d.x", "c.y", "*.z")
    assert moved.keys == {"image": "c.", "text": "d."}


def missing_of_head(layers: tuple[str, ...], weights: Weights) -> list[str]:
    try:
        return fit_module(build_head(layers, weights), weights, "").missing
    except KeyError as error:
        return [error.args[0]]  # a width could not be read


@pytest.mark.parametrize("key", ["visual.conv1.weight", "text_projection", "logit_scale"])
def test_whole_numbers_for_floats_are_named(key: str, tmp_path: Path) -> None:
    path = changed(tmp_path, "chexzero", lambda weights: weights.update({key: weights[key].round().to(torch.int8)}))
    with pytest.raises(ValueError, match=rf"(?s)changed\.safetensors.*of another type: {key} torch\.int8 for floats"):
        load_released("chexzero", path)


def test_whole_numbers_in_a_bert_are_named_and_its_positions_stay(tmp_path: Path) -> None:
    key = "text_encoder.model.encoder.layer.0.output.dense.weight"
    path = changed(tmp_path, "convirt", lambda weights: weights.update({key: weights[key].long()}))
    with pytest.raises(ValueError, match=rf"of another type: {key} whole numbers for floats") as caught:
        load_released("convirt", path)
    assert "left over" not in str(caught.value)


def test_scale_of_several_numbers_is_named(tmp_path: Path) -> None:
    path = changed(tmp_path, "chexzero", lambda weights: weights.update({"logit_scale": torch.ones(2)}))
    with pytest.raises(ValueError, match=r"of another shape: logit_scale \(2,\) for \(\)"):
        load_released("chexzero", path)


@pytest.mark.parametrize("name", TWO_TOWERS)
def test_no_tensor_of_a_head_may_be_missing(name: str, tmp_path: Path) -> None:
    towers = find_release(name).towers
    assert towers is not None
    parts, fit = split_parts(read_tensors(MAKERS[name](tmp_path).path), towers)
    assert not fit.left_over
    for part, layers in (("image_head", towers.image_head), ("text_head", towers.text_head)):
        weights = parts.get(part, {})
        # A bias or a factor that is absent would otherwise change the embeddings and say nothing.
        for lost in [key for key in weights if not key.endswith("num_batches_tracked")]:
            rest = {key: value for key, value in weights.items() if key != lost}
            assert missing_of_head(layers, rest) == [lost]


def test_bias_of_medclip_is_read_where_it_is_stored_and_refused_elsewhere(tmp_path: Path) -> None:
    bias = torch.linspace(-1, 1, 32)
    tiny = MAKERS["medclip"](tmp_path / "made")
    path = changed(tmp_path, "medclip", lambda weights: weights.update({"text_model.projection_head.bias": bias}))
    plain, biased = load_released("medclip", tiny.path), load_released("medclip", path)
    assert torch.equal(biased.network.text_head.bias, bias)
    with torch.no_grad():
        tokens = plain.tokenize(["Fracture."])
        pooled, _ = plain.network.text(**tokens)
        expected = nn.functional.normalize(plain.network.text_head(pooled) + bias, dim=1)
        torch.testing.assert_close(biased.encode_text(**tokens).embedding, expected)
    # The projection of films never had one.
    path = changed(tmp_path, "medclip", lambda weights: weights.update({"vision_model.projection_head.bias": bias}))
    with pytest.raises(ValueError, match=r"left over: vision_model\.projection_head\.bias"):
        load_released("medclip", path)


def test_upsampling_is_that_of_the_corners() -> None:
    class Corner(nn.Module):
        def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
            return pixels[:, 0, 0], pixels.flatten(2)

    identity = nn.Identity()
    network = TwoTowers(Corner(), identity, image_head=identity, text_head=identity, upsample=5)
    pixels = torch.arange(9.0).reshape(1, 1, 3, 3)
    with torch.no_grad():
        dense = network.encode_image(pixels).dense
    assert dense is not None
    # With aligned corners three numbers become five at halves.
    assert dense[0, 0, :5].tolist() == [0, 0.5, 1, 1.5, 2]


def test_gradient_reaches_the_pixels(tmp_path: Path) -> None:
    model = load_released("biomedclip", MAKERS["biomedclip"](tmp_path).path)
    network = model.network.double()
    pixels = torch.rand(1, 3, 224, 224, dtype=torch.float64, requires_grad=True)
    network.encode_image(pixels).embedding[0, 0].backward()
    step = torch.zeros_like(pixels)
    step[0, 1, 100, 50] = 1e-4
    with torch.no_grad():
        ends = [network.encode_image(pixels + sign * step).embedding[0, 0] for sign in (1, -1)]
    assert pixels.grad is not None
    torch.testing.assert_close(pixels.grad[0, 1, 100, 50], (ends[0] - ends[1]) / 2e-4, rtol=1e-4, atol=1e-9)
