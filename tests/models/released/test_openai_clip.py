"""Both towers of OpenAI's CLIP against transformers, whose names and attention differ."""

import pytest
import torch
from torch import Tensor
from transformers import CLIPConfig, CLIPModel

from pedclip.models.released.openai_clip import OpenAIImage, OpenAIText, QuickGELU, count_blocks
from tests.models.released.tiny_networks import random_weights

SIZES = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512}
END = 30  # the highest id


def reference() -> CLIPModel:
    ids = {"eos_token_id": END, "bos_token_id": 29, "pad_token_id": 0}
    text = {**SIZES, **ids, "vocab_size": 31, "max_position_embeddings": 12}
    vision = {**SIZES, "image_size": 32, "patch_size": 8}
    return random_weights(CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)), 3)


def renamed(model: CLIPModel, part: str) -> dict[str, Tensor]:
    """The weights by OpenAI's names: three maps of an attention in one, projections the other way round."""
    tower = dict(getattr(model, f"{part}_model").state_dict())
    found: dict[str, Tensor] = {}
    for layer in range(2):
        old, new = f"encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
        for kind in ("weight", "bias"):
            maps = [tower[f"{old}self_attn.{name}_proj.{kind}"] for name in "qkv"]
            found[f"{new}attn.in_proj_{kind}"] = torch.cat(maps)
            found[f"{new}attn.out_proj.{kind}"] = tower[f"{old}self_attn.out_proj.{kind}"]
            for mine, theirs in (("ln_1", "layer_norm1"), ("ln_2", "layer_norm2")):
                found[f"{new}{mine}.{kind}"] = tower[f"{old}{theirs}.{kind}"]
            for mine, theirs in (("c_fc", "fc1"), ("c_proj", "fc2")):
                found[f"{new}mlp.{mine}.{kind}"] = tower[f"{old}mlp.{theirs}.{kind}"]
    names = {"positional_embedding": "embeddings.position_embedding.weight"}
    if part == "text":
        names |= {"token_embedding.weight": "embeddings.token_embedding.weight"}
        names |= {f"ln_final.{kind}": f"final_layer_norm.{kind}" for kind in ("weight", "bias")}
        found["text_projection"] = model.text_projection.weight.T
    else:
        names |= {"class_embedding": "embeddings.class_embedding", "conv1.weight": "embeddings.patch_embedding.weight"}
        names |= {f"ln_pre.{kind}": f"pre_layrnorm.{kind}" for kind in ("weight", "bias")}
        names |= {f"ln_post.{kind}": f"post_layernorm.{kind}" for kind in ("weight", "bias")}
        found["proj"] = model.visual_projection.weight.T
    return found | {mine: tower[theirs] for mine, theirs in names.items()}


@torch.no_grad()
def test_image_tower_equals_transformers() -> None:
    model = reference()
    tower = OpenAIImage(renamed(model, "vision")).eval()
    tower.load_state_dict(renamed(model, "vision"))
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    projected, tokens = tower(pixels)
    output = model.vision_model(pixel_values=pixels)
    torch.testing.assert_close(tokens, output.last_hidden_state, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(projected, model.visual_projection(output.pooler_output), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("padding", [0, END])
@torch.no_grad()
def test_text_tower_pools_the_first_end_whatever_the_padding(padding: int) -> None:
    model = reference()
    tower = OpenAIText(renamed(model, "text")).eval()
    tower.load_state_dict(renamed(model, "text"))
    ids = torch.tensor([[29, 5, 7, END, padding, padding], [29, 5, 7, 8, 9, END]])
    projected, _ = tower(ids, torch.ones_like(ids))
    output = model.text_model(input_ids=ids)
    torch.testing.assert_close(projected, model.text_projection(output.pooler_output), atol=1e-5, rtol=1e-4)
    # Causal: the padding changes nothing.
    torch.testing.assert_close(tower(ids[:1, :4], ids[:1, :4])[0], projected[:1], atol=1e-5, rtol=1e-4)


def test_quick_gelu_by_hand_and_its_gradient() -> None:
    gelu = QuickGELU()
    assert gelu(torch.tensor(1.0)).item() == pytest.approx(1 / (1 + 2.718281828**-1.702))
    assert torch.autograd.gradcheck(gelu, (torch.linspace(-3, 3, 7, dtype=torch.float64, requires_grad=True),))


def test_blocks_are_counted_by_their_numbers() -> None:
    names = {f"blocks.{number}.{part}": torch.ones(1) for number in range(12) for part in ("a", "b")}
    assert count_blocks({**names, "blocked.0": torch.ones(1)}, "blocks.") == 12


def test_weights_of_another_layout_are_a_key_error() -> None:
    with pytest.raises(KeyError, match="conv1"):
        OpenAIImage({"patch_embed.proj.weight": torch.ones(1)})
