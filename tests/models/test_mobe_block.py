"""One block: attention of its first row, experts in place of its MLP."""

import math

import pytest
import timm
import torch
from torch import Tensor, nn

from pedclip.models.image import build_vit
from pedclip.models.mobe_block import MoBEBlock, attend_image_token
from tests.models.tiny_encoder import SIZES, encoder


class Times(nn.Module):
    """A branch made visible by a factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, branch: Tensor) -> Tensor:
        return self.factor * branch


def printed_block(block: MoBEBlock, x: Tensor, label: int | None) -> tuple[Tensor, Tensor]:
    """Fig. 3 right and Eq. 1 and 2 for one film (1+S, C), in loops over heads and experts."""
    query, key, value = block.attn.qkv(block.norm1(x)).chunk(3, dim=-1)
    width = x.shape[1] // 2
    heads = []
    for part in (slice(0, width), slice(width, None)):
        scores = query[:, part] @ key[:, part].t() / math.sqrt(width)
        heads.append(scores.softmax(-1) @ value[:, part])
    z = x + 0.5 * block.ls1.gamma * block.attn.proj(torch.cat(heads, -1))
    y = block.norm2(z)
    image_token = {"post_norm": y, "pre_norm": z, "block_input": x}[block.gate_input][0]
    logits = block.mobe.gate.weight @ image_token  # (E,)
    scores = logits.exp() / logits.exp().sum()
    mixed = torch.zeros_like(x)
    for expert in range(4):
        hidden = y @ block.mobe.w1[expert].t() + block.mobe.b1[expert]
        hidden = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
        share = scores[expert] if label is None else float(expert == label)
        mixed = mixed + share * (hidden @ block.mobe.w2[expert].t() + block.mobe.b2[expert])
    return z + 0.25 * block.ls2.gamma * mixed, logits


@pytest.mark.parametrize("gate_input", ["post_norm", "pre_norm", "block_input"])
@pytest.mark.parametrize("is_forced", [True, False])
def test_the_block_is_the_printed_one(gate_input: str, is_forced: bool) -> None:
    vit = timm.create_model("vit_tiny_patch16_224", img_size=16, num_classes=0, init_values=0.3, **SIZES)
    block = encoder(vit=vit, gate_input=gate_input, expert_init="random").double().vit.blocks[-1]
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # nothing is 0 or 1, so that nothing can be left out unseen
    block.drop_path1, block.drop_path2 = Times(0.5), Times(0.25)
    tokens = torch.randn(2, 5, 32, dtype=torch.float64)
    labels = [3, 1] if is_forced else [None, None]
    films = [printed_block(block, x, label) for x, label in zip(tokens, labels, strict=True)]
    printed, logits = (torch.stack(parts) for parts in zip(*films, strict=True))
    for rows, path in ((slice(None), block), (slice(1), block.image_token)):
        output, gate_logits = path(tokens, torch.tensor(labels) if is_forced else None)
        torch.testing.assert_close(output, printed[:, rows], rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(gate_logits, logits, rtol=1e-10, atol=1e-10)


def test_attention_of_one_row_by_timm() -> None:
    options = {"img_size": 16, "num_classes": 0, "qk_norm": True, "scale_attn_norm": True}
    attention = timm.create_model("vit_tiny_patch16_224", **options, **SIZES).blocks[0].attn
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    tokens = torch.randn(2, 5, 32)
    torch.testing.assert_close(attend_image_token(attention, tokens), attention(tokens)[:, :1])


def test_attention_of_one_row_drops_out_in_training_alone() -> None:
    attention = build_vit("vit_tiny_patch16_224", image_size=16, weights="", **SIZES).blocks[0].attn
    tokens = torch.randn(2, 5, 32)
    attention.attn_drop.p = 0.5
    torch.testing.assert_close(attend_image_token(attention.eval(), tokens), attention(tokens)[:, :1])
    attention.train()
    assert not torch.allclose(attend_image_token(attention, tokens), attend_image_token(attention, tokens))
    attention.attn_drop.p = 0.0
    assert torch.equal(attend_image_token(attention, tokens), attend_image_token(attention, tokens))
    attention.proj_drop.p = 1.0
    assert not attend_image_token(attention, tokens).any()


@pytest.mark.parametrize("expert_init", ["copy", "copy_noise", "random"])
def test_experts_start_as_asked(expert_init: str) -> None:
    torch.manual_seed(0)
    vit = build_vit("vit_tiny_patch16_224", image_size=16, weights="", **SIZES)
    source = vit.blocks[-1].mlp.fc1.weight.detach().clone()
    mobe = encoder(vit=vit, expert_init=expert_init).vit.blocks[-1].mobe
    apart = (mobe.w1.detach() - source).std() / source.std()
    expected = {"copy": 0.0, "copy_noise": 0.1, "random": math.sqrt(2)}  # √2: two draws of one deviation
    assert float(apart) == pytest.approx(expected[expert_init], rel=0.05)


def test_experts_of_another_width_have_nothing_to_copy() -> None:
    mobe = encoder(expert_init="random", expert_width=24).vit.blocks[-1].mobe
    assert (mobe.w1.shape, mobe.b1.shape, mobe.w2.shape) == ((4, 24, 32), (4, 24), (4, 32, 24))
    assert encoder(expert_width=128).vit.blocks[-1].mobe.w1.shape[1] == 128  # that of the MLP: a copy is one
    with pytest.raises(ValueError, match="the MLP to copy has 128; pass expert_init='random'"):
        encoder(expert_width=24)


@pytest.mark.parametrize("gate_input", ["post_norm", "pre_norm", "block_input"])
def test_a_block_is_the_figure(gate_input: str) -> None:
    # Layer scale far from 1, and attention far from 0, so that nothing may be left out or exchanged.
    options = {"img_size": 16, "num_classes": 0, "init_values": 0.3, **SIZES}
    torch.manual_seed(0)
    model = encoder(vit=timm.create_model("vit_tiny_patch16_224", **options), gate_input=gate_input)
    block = model.vit.blocks[-1]
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    tokens = torch.randn(2, 5, 32)
    attended = tokens + block.ls1.gamma * block.attn(block.norm1(tokens))
    normed = block.norm2(attended)
    seen = {"post_norm": normed, "pre_norm": attended, "block_input": tokens}[gate_input][:, 0]
    mixed, expected_logits = block.mobe(normed, gate_token=seen)
    for found, logits in (block(tokens, None), block.image_token(tokens, None)):
        torch.testing.assert_close(found, (attended + block.ls2.gamma * mixed)[:, : found.shape[1]])
        torch.testing.assert_close(logits, expected_logits)


def test_attention_of_one_row_drops_as_in_training_and_not_otherwise() -> None:
    attention = build_vit("vit_tiny_patch16_224", image_size=16, weights="", **SIZES).blocks[0].attn
    attention.attn_drop.p = 0.9
    tokens = torch.randn(2, 5, 32)
    kept = attend_image_token(attention.eval(), tokens)
    assert torch.equal(kept, attend_image_token(attention, tokens))
    attention.train()
    assert not torch.allclose(kept, attend_image_token(attention, tokens))
