"""Transformer block with a Mixture of Body-part Experts in place of its MLP, and the image token's attention."""

from typing import Final, Literal, get_args

from timm.layers.attention import Attention
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F

from pedclip.models.mobe import Implementation, MixtureOfBodyExperts

GateInput = Literal["post_norm", "pre_norm", "block_input"]
ExpertInit = Literal["copy", "copy_noise", "random"]
GATE_INPUTS: Final = get_args(GateInput)
EXPERT_INITS: Final = get_args(ExpertInit)


def attend_image_token(attention: Attention, tokens: Tensor) -> Tensor:
    """Self-attention for the image token only: one query, all keys and values.

    Args:
        attention: timm's attention layer.
        tokens: (B, 1+S, C) normalized tokens, the image token first.

    Returns:
        (B, 1, C), equal to row 0 of ``attention(tokens)``.
    """
    query, key, value = _image_query(attention, tokens)
    mixed = F.scaled_dot_product_attention(
        query, key, value, dropout_p=attention.attn_drop.p if attention.training else 0.0
    )
    # Heads side by side again: (B, heads, 1, C / heads) → (B, 1, C).
    mixed = attention.norm(mixed.transpose(1, 2).reshape(len(tokens), 1, attention.attn_dim))
    projected: Tensor = attention.proj_drop(attention.proj(mixed))
    return projected


def image_token_attention(attention: Attention, tokens: Tensor) -> Tensor:
    """Attention weights of the image token, which timm's fused attention does not return.

    Args:
        attention: timm's attention layer.
        tokens: (B, 1+S, C) normalized tokens, the image token first.

    Returns:
        (B, heads, 1+S); rows sum to 1.
    """
    # The values play no part: weights alone are asked for.
    query, key, _ = _image_query(attention, tokens)
    scores: Tensor = (query @ key.transpose(-1, -2))[:, :, 0] * attention.head_dim**-0.5  # (B, heads, 1+S)
    return scores.softmax(-1)


def _image_query(attention: Attention, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Query (B, heads, 1, C / heads) of the image token; keys and values (B, heads, 1+S, C / heads) of all tokens."""
    batch, width = tokens.shape[0], attention.attn_dim
    # timm stacks the three maps: rows [0, C) of the weight make queries, [C, 3C) keys and values.
    weight, bias = attention.qkv.weight, attention.qkv.bias
    query = F.linear(tokens[:, :1], weight[:width], None if bias is None else bias[:width])  # (B, 1, C)
    key_value = F.linear(tokens, weight[width:], None if bias is None else bias[width:])  # (B, 1+S, 2C)
    heads, head_width = attention.num_heads, attention.head_dim
    query = query.reshape(batch, 1, heads, head_width).transpose(1, 2)  # (B, heads, 1, C / heads)
    key, value = key_value.reshape(batch, -1, 2, heads, head_width).permute(2, 0, 3, 1, 4).unbind(0)
    return attention.q_norm(query), attention.k_norm(key), value


class MoBEBlock(nn.Module):
    """Pre-norm transformer block whose MLP is a Mixture of Body-part Experts (PedCLIP, Fig. 3 right).

    Takes over the layers of the timm block it replaces.
    """

    def __init__(
        self,
        block: Block,
        num_experts: int,
        *,
        gate_input: GateInput,
        expert_init: ExpertInit,
        expert_width: int = 0,
        implementation: Implementation,
        threshold: float,
        detach_gate: bool,
    ) -> None:
        super().__init__()
        if type(block.attn) is not Attention or block.attn.gate is not None:
            raise ValueError(
                f"the block's attention is {type(block.attn).__name__}: MoBE needs timm's plain ungated Attention; "
                "choose a ViT such as 'vit_base_patch16_224'"
            )
        # Fig. 3 changes the MLP and nothing else, so all other layers are the pretrained ones.
        self.norm1, self.attn, self.ls1, self.drop_path1 = block.norm1, block.attn, block.ls1, block.drop_path1
        self.norm2, self.ls2, self.drop_path2 = block.norm2, block.ls2, block.drop_path2
        mlp = block.mlp
        width = expert_width or mlp.fc1.out_features
        if width != mlp.fc1.out_features and expert_init != "random":
            raise ValueError(
                f"expert_width={width} is not allowed with expert_init={expert_init!r}: the MLP to copy has "
                f"{mlp.fc1.out_features}; pass expert_init='random'"
            )
        sizes = mlp.fc1.in_features, width, num_experts  # C, H, E
        self.mobe = MixtureOfBodyExperts(*sizes, implementation, threshold=threshold, detach_gate=detach_gate)
        if expert_init != "random":
            self.mobe.copy_expert(mlp.fc1, mlp.fc2, noise=0.1 if expert_init == "copy_noise" else 0.0)
        self.gate_input = gate_input

    def forward(self, tokens: Tensor, assignment: Tensor | None) -> tuple[Tensor, Tensor]:
        """All rows of the block.

        Args:
            tokens: (B, 1+S, C).
            assignment: (B,) labels, or None for the gate.

        Returns:
            (B, 1+S, C) and the (B, E) gate logits.
        """
        return self._experts(tokens, tokens + self._attended(self.attn(self.norm1(tokens))), assignment)

    def image_token(self, tokens: Tensor, assignment: Tensor | None) -> tuple[Tensor, Tensor]:
        """Row 0 of the block only: the same values and gradients at a fraction of the cost.

        Valid for the last block, whose other rows nobody reads (methods of PedCLIP: the loss sees v_[IMG] only).

        Args:
            tokens: (B, 1+S, C).
            assignment: (B,) labels, or None for the gate.

        Returns:
            (B, 1, C) and the (B, E) gate logits.
        """
        attended = attend_image_token(self.attn, self.norm1(tokens))  # (B, 1, C)
        return self._experts(tokens, tokens[:, :1] + self._attended(attended), assignment)

    def _attended(self, attended: Tensor) -> Tensor:
        return self.drop_path1(self.ls1(attended))  # type: ignore[no-any-return]

    def _experts(self, block_input: Tensor, residual: Tensor, assignment: Tensor | None) -> tuple[Tensor, Tensor]:
        # z = x + MHSA(LN1 x) is ``residual``; y = LN2 z; the block returns z + MoBE(y) (PedCLIP, Fig. 3).
        normed = self.norm2(residual)  # (B, T, C), T = 1 for the image token alone
        # The gate sees one row per film, (B, C). Fig. 3 forks after the second normalization (decision P2).
        gate_token = {"post_norm": normed, "pre_norm": residual, "block_input": block_input}[self.gate_input][:, 0]
        mixed, gate_logits = self.mobe(normed, assignment, gate_token=gate_token)
        return residual + self.drop_path2(self.ls2(mixed)), gate_logits
