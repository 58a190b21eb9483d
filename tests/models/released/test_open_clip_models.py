"""Models that open_clip builds, against what the library itself makes of the same folder."""

import builtins
import json
import logging
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from PIL import Image
from torch import nn

from pedclip.models.released import load_released
from tests.models.released.tiny_networks import WIDTH, film, random_weights

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"layers": 1, "width": WIDTH, "patch_size": 32, "image_size": 64},
    "text_cfg": {"layers": 1, "width": WIDTH, "heads": 1, "context_length": 16, "vocab_size": 49408},
}


def tiny(folder: Path, **preprocess: Any) -> nn.Module:
    """A folder as open_clip pushes it to a hub."""
    content = {"model_cfg": CONFIG, "preprocess_cfg": {"mean": [0.4] * 3, "std": [0.3] * 3, **preprocess}}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    model = random_weights(open_clip.CLIP(**CONFIG), 0)
    torch.save(dict(model.state_dict()), folder / "open_clip_pytorch_model.bin")
    return model


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@torch.no_grad()
def test_folder_equals_the_library(tmp_path: Path, mode: str, interpolation: str) -> None:
    tiny(tmp_path, resize_mode=mode, interpolation=interpolation)
    handlers = logging.getLogger().handlers[:]
    model = load_released(f"local-dir:{tmp_path}")
    assert logging.getLogger().handlers == handlers
    own, _, transform = open_clip.create_model_and_transforms(f"local-dir:{tmp_path}")
    logging.getLogger().handlers[:] = handlers  # the library adds one
    # 375 columns, so that 87 rows are left after the resize and a crop to 64 would cut half a pixel.
    original = film()[:, :375]
    pixels = model.transform(original)
    torch.testing.assert_close(pixels, transform(Image.fromarray(original)))
    torch.testing.assert_close(
        model.encode_image(pixels[None]).embedding, own.eval().encode_image(pixels[None], normalize=True)
    )
    tokens = model.tokenize(["fracture of the wrist"])
    assert tokens["input_ids"].shape == (1, 16)
    torch.testing.assert_close(
        model.encode_text(**tokens).embedding, own.encode_text(tokens["input_ids"], normalize=True)
    )


@torch.no_grad()
def test_architecture_of_the_library_with_a_file(tmp_path: Path) -> None:
    (tmp_path / "tiny-for-a-test.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(tmp_path / "tiny-for-a-test.json")
    own = tiny(tmp_path)
    model = load_released("open_clip:tiny-for-a-test", tmp_path / "open_clip_pytorch_model.bin")
    pixels = model.transform(film())[None]
    torch.testing.assert_close(
        model.encode_image(pixels).embedding,
        own.encode_image(pixels, normalize=True),  # type: ignore[operator]
    )
    torch.testing.assert_close(model.network.logit_scale, own.logit_scale)
    assert model.network.logit_bias is None


def test_weights_that_do_not_fit_and_unknown_architectures(tmp_path: Path) -> None:
    own = tiny(tmp_path)
    weights = {name: value for name, value in own.state_dict().items() if name != "ln_final.bias"}
    torch.save(weights, tmp_path / "open_clip_pytorch_model.bin")
    with pytest.raises(ValueError, match=r"missing: ln_final\.bias"):
        load_released(f"local-dir:{tmp_path}")
    with pytest.raises(ValueError, match=r"no architecture 'ViT-Q'; it has .*list_models"):
        load_released("open_clip:ViT-Q", tmp_path / "open_clip_pytorch_model.bin")
    tiny(tmp_path, resize_mode="longest", fill_color=255)
    with pytest.raises(ValueError, match="fill_color=255: this door pads films with black"):
        load_released(f"local-dir:{tmp_path}")
    (tmp_path / "open_clip_config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no open_clip_config.json beside"):
        load_released(f"local-dir:{tmp_path}")


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny(tmp_path)
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "open_clip":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'pedclip\[released\]'"):
        load_released(f"local-dir:{tmp_path}")
