"""A tiny model and a batch of its features."""

from dataclasses import replace

import torch

from pedclip.models.pedclip import PedCLIP
from pedclip.objectives.base import FeatureBatch
from pedclip.objectives.tokens import tokenize
from pedclip.training.loop import build_model
from tests.training.tiny import tiny_arrays, tiny_config


def tiny_model(**changes: object) -> PedCLIP:
    """Two blocks with experts, weights of seed 0, no dropout."""
    torch.manual_seed(0)
    return build_model(tiny_config({"mobe_layers": (0, 1)} | changes), tiny_arrays(9)).eval()


def tiny_features(model: PedCLIP, *, epoch: float = 0.0) -> FeatureBatch:
    """Four films; the first and the third have the same words."""
    pixels = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    texts = ["Film 1 of the chest.", "Film 2.", "Film 1 of the chest.", "Film 3. It shows the pelvis."]
    tokens = tokenize(model.tokenizer, texts, max_tokens=16)
    return FeatureBatch(
        image=model.encode_image(pixels),
        text=model.encode_text(tokens.input_ids, tokens.attention_mask),
        tokens=tokens,
        regions=torch.tensor([0, 1, 0, 2]),
        labels=torch.eye(3)[[0, 1, 0, 2]],
        text_ids=torch.tensor([0, 1, 0, 2]),
        temperature=model.temperature,
        epoch=epoch,
    )


def residual_batch() -> tuple[PedCLIP, FeatureBatch]:
    """A ResNet, whose whole film and places have widths of their own (512 and 256), and what it sees in four films."""
    sizes = dict.fromkeys(("image_patch_size", "image_width", "image_depth", "image_heads"), 0)
    model = tiny_model(mobe_layers=(), image_architecture="resnet18", image_size=64, **sizes)
    features = tiny_features(tiny_model(mobe_layers=()))
    pixels = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    return model, replace(features, image=model.encode_image(pixels), pixels=pixels)
