"""The MoBE block inside a timm ViT."""

import pytest
import timm
import torch
from torch import Tensor

from pedclip.models.image import ImageEncoder, ImageFeatures, build_vit
from pedclip.models.mobe_block import MoBEBlock
from tests.models.tiny_encoder import SIZES, encoder


def literal_forward(model: ImageEncoder, pixels: Tensor, region: Tensor | None) -> Tensor:
    """Every row of every block."""
    vit = model.vit
    tokens = vit.norm_pre(vit.patch_drop(vit._pos_embed(vit.patch_embed(pixels))))
    for block in vit.blocks:
        tokens = block(tokens, region)[0] if isinstance(block, MoBEBlock) else block(tokens)
    return vit.norm(tokens)


@pytest.mark.parametrize("gate_input", ["post_norm", "pre_norm", "block_input"])
@pytest.mark.parametrize("is_forced", [True, False])
@pytest.mark.parametrize("qk_norm", [True, False])
def test_image_token_path_equals_all_rows(gate_input: str, is_forced: bool, qk_norm: bool) -> None:
    torch.manual_seed(0)
    options = {"img_size": 16, "num_classes": 0, "qk_norm": qk_norm, "init_values": 0.3, **SIZES}
    vit = timm.create_model("vit_tiny_patch16_224", **options)
    model = encoder(vit=vit, gate_input=gate_input, expert_init="copy_noise").double()
    pixels = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    region = torch.tensor([1, 3, 1]) if is_forced else None
    parameters = [p for p in model.parameters() if p.requires_grad]

    def gradients(image_token: Tensor) -> list[Tensor]:
        found = torch.autograd.grad(image_token.sin().sum(), parameters, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]

    image_token, gate_logits, _, finish, _ = model(pixels, region)
    all_rows = literal_forward(model, pixels, region)
    torch.testing.assert_close(image_token, all_rows[:, 0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(finish(), all_rows, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradients(image_token), gradients(all_rows[:, 0]), rtol=1e-10, atol=1e-10)
    assert [tuple(logits.shape) for logits in gate_logits] == [(3, 4)]


@pytest.mark.parametrize("mobe_layers", [(), (-1,)])
def test_attention_weights_are_those_of_the_last_block(mobe_layers: tuple[int, ...]) -> None:
    model = encoder(mobe_layers=mobe_layers).eval()
    _, _, entering, _, attend = model(torch.randn(2, 3, 16, 16))
    last = model.vit.blocks[-1]
    last.attn.fused_attn = False  # timm's own literal attention, read on the way to its dropout
    seen: list[Tensor] = []
    last.attn.attn_drop.register_forward_hook(lambda module, inputs, output: seen.append(output))
    last.attn(last.norm1(entering))
    # (B, heads, 1+S, 1+S): the row of the image token without its own column.
    torch.testing.assert_close(attend(), seen[0][:, :, 0, 1:])
    assert attend().shape == (2, 2, 4)


def test_patches_are_the_final_rows_behind_the_image_token() -> None:
    features = ImageFeatures(torch.zeros(1, 2), [], torch.zeros(1, 1, 2), lambda: torch.arange(6.0).view(1, 3, 2))
    assert features.patches.tolist() == [[[2, 3], [4, 5]]]
    assert features.attention is None
    local = ImageFeatures(torch.zeros(1, 2), [], torch.zeros(1, 1, 2), lambda: 0, None, lambda: torch.ones(1, 9, 3))
    assert local.patches.shape == (1, 9, 3)


@pytest.mark.parametrize("mobe_layers", [(), (0,), (1, -1), (0, 1, 2)])
def test_copied_experts_keep_the_pretrained_function(mobe_layers: tuple[int, ...]) -> None:
    options = {"img_size": 16, "num_classes": 0, "pre_norm": True, "init_values": 0.3}
    vit = timm.create_model("vit_tiny_patch16_224", **options, **SIZES)
    for parameter in vit.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    pixels = torch.randn(2, 3, 16, 16)
    by_timm = vit.forward_features(pixels)
    image_token, gate_logits, _, finish, _ = encoder(vit=vit, mobe_layers=mobe_layers)(pixels)
    torch.testing.assert_close(image_token, by_timm[:, 0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(finish(), by_timm, rtol=1e-4, atol=1e-5)
    assert len(gate_logits) == len(mobe_layers)


def test_patches_are_dropped_in_training_alone() -> None:
    vit = timm.create_model("vit_tiny_patch16_224", img_size=16, num_classes=0, patch_drop_rate=0.5, **SIZES)
    model, pixels = encoder(vit=vit), torch.randn(2, 3, 16, 16)
    assert model.train()(pixels)[2].shape == (2, 1 + 2, 32)
    assert model.eval()(pixels)[2].shape == (2, 1 + 4, 32)


def test_gate_of_a_middle_block_is_the_one_that_is_printed() -> None:
    model = encoder(mobe_layers=(1,), expert_init="random")
    pixels = torch.randn(2, 3, 16, 16)
    block = model.vit.blocks[1]
    tokens = model.vit.blocks[0](model.vit.norm_pre(model.vit._pos_embed(model.vit.patch_embed(pixels))))
    after_attention = tokens + block.attn(block.norm1(tokens))
    expected = block.norm2(after_attention)[:, 0] @ block.mobe.gate.weight.t()
    torch.testing.assert_close(model(pixels)[1][0], expected)


def test_dense_features_are_those_before_the_last_block() -> None:
    model = encoder()
    pixels = torch.randn(2, 3, 16, 16)
    _, _, dense, *_ = model(pixels, torch.tensor([0, 1]))
    _, _, other, *_ = model(pixels, torch.tensor([2, 3]))
    assert dense.shape == (2, 5, 32)
    assert torch.equal(dense, other)  # no expert has touched them


def test_all_tokens_are_those_of_the_labels_that_were_given() -> None:
    model = encoder(expert_init="random")
    pixels, labels = torch.randn(2, 3, 16, 16), torch.tensor([0, 3])
    image_token, _, _, finish, _ = model(pixels, labels)
    torch.testing.assert_close(finish()[:, 0], image_token)
    assert not torch.allclose(finish()[:, 0], model(pixels)[0])


def test_the_mixture_trains_the_gate_unless_it_is_detached() -> None:
    pixels = torch.randn(2, 3, 16, 16)
    for options, is_trained in (({}, True), ({"detach_gate": True}, False)):
        model = encoder(expert_init="random", **options)
        model(pixels)[0].sin().sum().backward()
        gradient = model.vit.blocks[-1].mobe.gate.weight.grad
        assert (gradient is not None and bool(gradient.any())) is is_trained


def test_features_are_printed_without_the_function_that_completes_them() -> None:
    features = ImageFeatures(torch.zeros(1, 2), [], torch.zeros(1, 1, 2), lambda: torch.ones(1, 1, 2))
    assert "_finish" not in repr(features)
    assert features.tokens is features.tokens  # computed when first read, and once


def test_wrong_architectures_and_layers_raise() -> None:
    with pytest.raises(ValueError, match=r"mobe_layers=\(3,\) is not allowed: different ones of blocks 0…2"):
        encoder(mobe_layers=(3,))
    with pytest.raises(ValueError, match=r"mobe_layers=\(2, -1\) is not allowed"):
        encoder(mobe_layers=(2, -1))
    with pytest.raises(ValueError, match="one class token"):
        encoder(vit=timm.create_model("vit_relpos_small_patch16_224", num_classes=0))


def test_local_weights_load_and_absent_ones_say_what_to_fetch(tmp_path) -> None:
    from safetensors.torch import save_file

    source = timm.create_model("vit_tiny_patch16_224")
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    loaded = build_vit("vit_tiny_patch16_224", image_size=224, weights=str(tmp_path / "model.safetensors"))
    torch.testing.assert_close(loaded.blocks[3].mlp.fc1.weight, source.blocks[3].mlp.fc1.weight)
    with pytest.raises(
        OSError,
        match=r"(?s)image_weights='/nowhere.*Fetch 'model.safetensors' of timm/vit_tiny.*pass:   image_weights='/path",
    ):
        build_vit("vit_tiny_patch16_224", image_size=224, weights="/nowhere/model.safetensors")


def test_convolutional_stem_gives_the_same_grid_as_patches() -> None:
    sizes = SIZES | {"patch_size": 8}
    vit = build_vit("vit_tiny_patch16_224", image_size=32, weights="", stem="convolutional", **sizes)
    model = encoder(vit=vit)
    image_token, _, dense, finish, _ = model(torch.randn(2, 3, 32, 32))
    assert model.grid == (4, 4)
    assert dense.shape == finish().shape == (2, 1 + 16, 32)
    torch.testing.assert_close(image_token, finish()[:, 0])


def test_convolutional_stem_is_blind_to_the_batch() -> None:
    vit = build_vit("vit_tiny_patch16_224", image_size=32, weights="", stem="convolutional", **SIZES)
    films = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(vit.patch_embed(films)[1:2], vit.patch_embed(films[1:2]))


@pytest.mark.parametrize(("size", "patch"), [(32, 12), (32, 2), (20, 8)])
def test_convolutional_stem_names_its_sizes(size: int, patch: int) -> None:
    with pytest.raises(ValueError, match=f"image_patch_size={patch} is not allowed"):
        build_vit(
            "vit_tiny_patch16_224", image_size=size, weights="", stem="convolutional", **(SIZES | {"patch_size": patch})
        )
    with pytest.raises(ValueError, match="do not fit image_stem"):
        build_vit("vit_tiny_patch16_224", image_size=32, weights="timm", stem="convolutional", **SIZES)


def test_a_norm_before_the_blocks_is_applied() -> None:
    options = {"img_size": 16, "num_classes": 0, "pre_norm": True, **SIZES}
    vit = timm.create_model("vit_tiny_patch16_224", **options)
    pixels = torch.randn(2, 3, 16, 16)
    expected = vit.forward_features(pixels)[:, 0]  # by timm, before the blocks change hands
    torch.testing.assert_close(encoder(vit=vit, mobe_layers=())(pixels)[0], expected)
