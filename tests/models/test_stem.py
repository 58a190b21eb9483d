"""The hybrid stem: the stages of a convolutional network, with statistics that no batch moves."""

import pytest
import timm
import torch

from pedclip.models.image import ImageEncoder, build_vit
from pedclip.models.stem import HybridStem

SIZES = {"patch_size": 16, "embed_dim": 32, "depth": 2, "num_heads": 2}


def hybrid(**changes: int) -> HybridStem:
    torch.manual_seed(0)
    options = {"image_size": 64, "stem": "hybrid", "backbone": "tf_efficientnet_lite0"}
    return build_vit("vit_tiny_patch16_224", **options, **(SIZES | changes)).patch_embed


@pytest.mark.parametrize(("patch", "grid"), [(8, 8), (16, 4), (32, 2)])
def test_grid_is_that_of_patches(patch: int, grid: int) -> None:
    stem = hybrid(patch_size=patch)
    assert stem.grid_size == (grid, grid)
    assert stem(torch.randn(2, 3, 64, 64)).shape == (2, grid * grid, 32)


def test_tokens_are_the_projected_features_of_the_network() -> None:
    torch.manual_seed(1)
    network = timm.create_model("tf_efficientnet_lite0").eval()
    stem = hybrid().eval()
    stem.load_stages(network.state_dict())
    pixels = torch.randn(2, 3, 64, 64)
    features = network.forward_intermediates(pixels, indices=[3], intermediates_only=True)[0]  # (B, 112, 4, 4)
    torch.testing.assert_close(stem(pixels), stem.proj(features).flatten(2).transpose(1, 2))


def test_stages_keep_channels_beside_each_other() -> None:
    stem = hybrid()
    stem.load_stages(timm.create_model("tf_efficientnet_lite0").state_dict())
    layout = {"memory_format": torch.channels_last}
    # A loaded weight that went back to the usual layout would cost speed, without an error.
    assert all(weight.is_contiguous(**layout) for weight in stem.backbone.parameters() if weight.dim() == 4)
    seen = []
    stem.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].is_contiguous(**layout)))
    stem(torch.randn(2, 3, 64, 64))
    assert seen == [True]


def test_pretrained_statistics_stay_whatever_the_batch() -> None:
    stem = hybrid().train()
    before = {name: value.clone() for name, value in stem.state_dict().items()}
    films = torch.randn(3, 3, 64, 64)
    torch.testing.assert_close(stem(films)[1:2], stem(films[1:2]))
    assert all(torch.equal(value, before[name]) for name, value in stem.state_dict().items())
    stem.trains_statistics = True
    stem.train()(films)
    assert not torch.equal(stem.backbone.model.bn1.running_mean, before["backbone.model.bn1.running_mean"])


@pytest.mark.parametrize(("changes", "message"), [({"patch_size": 4}, "8, 16 or 32"), ({"image_size": 60}, "divisor")])
def test_sizes_are_named(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_vit(
            "vit_tiny_patch16_224", **{"image_size": 64, "stem": "hybrid", "backbone": "resnet18", **SIZES, **changes}
        )


def test_network_without_five_levels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"image_backbone='convnext_atto' is not allowed"):
        build_vit("vit_tiny_patch16_224", image_size=64, stem="hybrid", backbone="convnext_atto", **SIZES)


def test_encoder_with_experts_runs_on_it() -> None:
    vit = build_vit("vit_tiny_patch16_224", image_size=64, stem="hybrid", backbone="resnet18", **SIZES)
    model = ImageEncoder(vit, mobe_layers=(-1,), num_experts=4)
    image_token, gate_logits, dense, finish, _ = model(torch.randn(2, 3, 64, 64))
    assert model.grid == (4, 4)
    assert dense.shape == finish().shape == (2, 17, 32)
    torch.testing.assert_close(image_token, finish()[:, 0])
    assert gate_logits[0].shape == (2, 4)
