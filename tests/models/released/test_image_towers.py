"""Image towers: sizes read from weights, and features equal to those of the libraries' own models."""

from pathlib import Path

import pytest
import timm
import torch
from transformers import SwinConfig, SwinModel

from pedclip.models.released.fitting import Fit
from pedclip.models.released.image_towers import build_image_tower, swin_sizes
from pedclip.models.released.release import IMAGE_TOWERS
from tests.models.released.tiny_networks import dinov2, maps, original_dinov2, published, random_weights, resnet

PIXELS = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_vit_of_timm_with_and_without_layer_scale() -> None:
    for scale in (None, 1e-5):
        sizes = {"embed_dim": 64, "depth": 2, "num_heads": 1, "img_size": 64, "patch_size": 16}
        network = timm.create_model("vit_base_patch16_224", num_classes=0, init_values=scale, mlp_ratio=2.0, **sizes)
        random_weights(network, 0)
        tower, fit = build_image_tower("timm vit", dict(network.state_dict()), prefix="", image_size=64)
        assert fit == Fit()
        pooled, dense = tower.eval()(PIXELS)
        torch.testing.assert_close(pooled, network(PIXELS))
        assert dense.shape == (2, 1 + 16, 64)


@torch.no_grad()
def test_resnet_equals_torchvision() -> None:
    network = resnet()
    tower, fit = build_image_tower("resnet50", dict(network.state_dict()), prefix="", image_size=64)
    assert fit == Fit()
    pooled, dense, third = tower.eval()(PIXELS)
    own_third, own_last = maps(network, PIXELS)
    torch.testing.assert_close(third, own_third)
    torch.testing.assert_close(pooled, network(PIXELS))
    torch.testing.assert_close(dense[:, 0], pooled)
    # Row 1 + i is place i, row by row.
    torch.testing.assert_close(dense[:, 1 + 2 * 1 + 0], own_last[:, :, 1, 0])


@torch.no_grad()
def test_vit_reads_the_names_of_the_original_dinov2(tmp_path: Path) -> None:
    network = dinov2(64, 16)
    weights = original_dinov2(published(network, tmp_path))
    del weights["mask_token"]
    tower, fit = build_image_tower("timm vit", weights, prefix="", image_size=64)
    assert fit == Fit()
    expected = network(pixel_values=PIXELS).last_hidden_state
    pooled, dense = tower.eval()(PIXELS)
    torch.testing.assert_close(dense, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(pooled, expected[:, 0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["swin", "swin, first place"])
@torch.no_grad()
def test_swin_pools_the_mean_or_the_first_place(kind: str, tmp_path: Path) -> None:
    config = SwinConfig(embed_dim=32, depths=[1, 2], num_heads=[2, 4], window_size=4, image_size=64)
    network = random_weights(SwinModel(config), 1)
    tower, fit = build_image_tower(kind, published(network, tmp_path), prefix="", image_size=64)
    assert fit == Fit()
    pooled, dense = tower(PIXELS)
    places = network(pixel_values=PIXELS).last_hidden_state
    torch.testing.assert_close(pooled, places.mean(1) if kind == "swin" else places[:, 0])
    # All places stay behind the pooled feature, the first one too.
    torch.testing.assert_close(dense, torch.cat([pooled[:, None], places], 1))


def test_sizes_are_those_of_the_model(tmp_path: Path) -> None:
    own = SwinConfig(embed_dim=32, depths=[1, 2], num_heads=[2, 4], window_size=4, image_size=64)
    found = swin_sizes(published(SwinModel(own), tmp_path / "s"), 64)
    for name in ("embed_dim", "depths", "num_heads", "window_size", "image_size", "patch_size"):
        assert getattr(found, name) == getattr(own, name)


def test_missing_size_is_a_key_error() -> None:
    for kind in IMAGE_TOWERS:
        with pytest.raises(KeyError):
            build_image_tower(kind, {"x": torch.ones(1)}, prefix="", image_size=64)
