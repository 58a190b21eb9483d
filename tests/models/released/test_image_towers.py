"""Image towers: sizes read from weights, and features equal to those of the libraries' own models."""

from pathlib import Path

import pytest
import timm
import torch
from torch import nn
from transformers import Dinov2Config, SwinConfig, SwinModel

from pedclip.models.released.fitting import Fit
from pedclip.models.released.image_towers import build_image_tower, dinov2_sizes, swin_sizes
from tests.models.released.tiny_networks import dinov2, maps, published, random_weights, resnet

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
def test_swin_and_dinov2_equal_transformers(tmp_path: Path) -> None:
    config = SwinConfig(embed_dim=32, depths=[1, 2], num_heads=[2, 4], window_size=4, image_size=64)
    models: tuple[tuple[str, nn.Module], ...] = (
        ("swin", random_weights(SwinModel(config), 1)),
        ("dinov2", dinov2(64, 16)),
    )
    for kind, network in models:
        tower, fit = build_image_tower(kind, published(network, tmp_path / kind), prefix="", image_size=64)
        assert fit == Fit()
        pooled, dense = tower(PIXELS)
        output = network(pixel_values=PIXELS)
        torch.testing.assert_close(pooled, output.pooler_output)
        torch.testing.assert_close(dense[:, 0], pooled)
        torch.testing.assert_close(dense[:, -1], output.last_hidden_state[:, -1])


def test_sizes_are_those_of_the_model(tmp_path: Path) -> None:
    own = SwinConfig(embed_dim=32, depths=[1, 2], num_heads=[2, 4], window_size=4, image_size=64)
    found = swin_sizes(published(SwinModel(own), tmp_path / "s"), 64)
    for name in ("embed_dim", "depths", "num_heads", "window_size", "image_size", "patch_size"):
        assert getattr(found, name) == getattr(own, name)
    sizes = dinov2_sizes(published(dinov2(42, 14), tmp_path / "d"))
    assert isinstance(sizes, Dinov2Config)
    assert (sizes.image_size, sizes.patch_size, sizes.hidden_size, sizes.mlp_ratio) == (42, 14, 64, 4)


def test_missing_size_is_a_key_error() -> None:
    for kind in ("timm vit", "resnet50", "swin", "dinov2", "openai"):
        with pytest.raises(KeyError):
            build_image_tower(kind, {"x": torch.ones(1)}, prefix="", image_size=64)
