"""Both towers of OpenAI's CLIP with the names of its state dict, from which CheXzero and UniMed-CLIP descend.

Source: Radford et al. 2021, section 2.4; pre-norm transformers with the GELU of x·σ(1.702 x).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

_HEAD_WIDTH = 64  # of every CLIP


class QuickGELU(nn.Module):
    """x·σ(1.702 x), elementwise."""

    def forward(self, values: Tensor) -> Tensor:
        """(…, C) to (…, C)."""
        return values * torch.sigmoid(1.702 * values)


class Block(nn.Module):
    """Pre-norm attention and MLP of a width (C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, max(1, width // _HEAD_WIDTH), batch_first=True)
        self.mlp = nn.Sequential()
        # The published names of the three layers.
        for name, layer in (
            ("c_fc", nn.Linear(width, 4 * width)),
            ("gelu", QuickGELU()),
            ("c_proj", nn.Linear(4 * width, width)),
        ):
            self.mlp.add_module(name, layer)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Tokens (B, T, C), and a mask (T, T) that is added to the attention, to tokens (B, T, C)."""
        normed = self.ln_1(tokens)
        tokens = tokens + self.attn(normed, normed, normed, need_weights=False, attn_mask=mask)[0]
        mixed: Tensor = tokens + self.mlp(self.ln_2(tokens))
        return mixed


class Transformer(nn.Module):
    """Blocks in a row."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width) for _ in range(depth))

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Tokens (B, T, C) to tokens (B, T, C)."""
        for block in self.resblocks:
            tokens = block(tokens, mask)
        return tokens


class OpenAIImage(nn.Module):
    """The vision transformer of CLIP, with sizes read from its weights.

    Args:
        weights: Published tensors (…,), with names such as "conv1.weight" and "transformer.resblocks.0.ln_1.weight".
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        width, _, patch, _ = weights["conv1.weight"].shape
        self.conv1 = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(weights["positional_embedding"].shape))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = Transformer(width, count_blocks(weights, "transformer.resblocks."))
        self.proj = nn.Parameter(torch.empty(weights["proj"].shape))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (B, 3, H, W) to the projected image token (B, D) and all tokens (B, 1+S, C)."""
        patches = self.conv1(pixels).flatten(2).transpose(1, 2)  # (B, S, C)
        # The image token goes first, and has a position of its own.
        first = self.class_embedding.expand(len(pixels), 1, -1)  # (B, 1, C)
        tokens = self.ln_pre(torch.cat([first, patches], dim=1) + self.positional_embedding)
        tokens = self.transformer(tokens)
        return self.ln_post(tokens[:, 0]) @ self.proj, tokens


class OpenAIText(nn.Module):
    """The causal text transformer of CLIP, with sizes read from its weights.

    Args:
        weights: Published tensors (…,), with names such as "token_embedding.weight" and "text_projection".
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        # (T, C): the longest text and the width.
        num_tokens, width = weights["positional_embedding"].shape
        self.token_embedding = nn.Embedding(*weights["token_embedding.weight"].shape)
        self.positional_embedding = nn.Parameter(torch.empty(num_tokens, width))
        self.transformer = Transformer(width, count_blocks(weights, "transformer.resblocks."))
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(weights["text_projection"].shape))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Token ids (B, T) to the projected end of the text (B, D) and all tokens (B, T, C)."""
        length = input_ids.shape[1]
        # Causal: what comes after the end of the text changes nothing, so the mask of the padding is not needed.
        tokens = self.token_embedding(input_ids) + self.positional_embedding[:length]
        mask = tokens.new_full((length, length), -torch.inf).triu(1)  # (T, T), added to the logits
        tokens = self.ln_final(self.transformer(tokens, mask))  # (B, T, C)
        # The end has the highest id; argmax takes the first, also where the padding is of the same id.
        end = input_ids.argmax(dim=1)
        rows = torch.arange(len(input_ids), device=input_ids.device)
        return tokens[rows, end] @ self.text_projection, tokens


def count_blocks(weights: Mapping[str, Tensor], prefix: str) -> int:
    """Number of blocks whose tensors (…,) are called prefix, number, and the rest."""
    return len({name.removeprefix(prefix).partition(".")[0] for name in weights if name.startswith(prefix)})
