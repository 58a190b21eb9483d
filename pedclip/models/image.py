"""Vision transformer (timm) with a Mixture of Body-part Experts in chosen blocks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final, Literal, get_args

import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from pedclip.models.mobe import Implementation
from pedclip.models.mobe_block import ExpertInit, GateInput, MoBEBlock, image_token_attention
from pedclip.models.starting_points import RANDOM, image_starting_point, read_weights
from pedclip.models.stem import ConvolutionalStem, HybridStem

ImageStem = Literal["patch", "convolutional", "hybrid"]
IMAGE_STEMS: Final = get_args(ImageStem)


@dataclass(frozen=True)
class ImageFeatures:
    """Output of the image encoder for a batch of films.

    Attributes:
        embedding: (B, D) unit vectors; their dot product with text embeddings is the cosine of PedCLIP, Eq. 3.
        gate_logits: One (B, E) tensor per MoBE block, in the order of the blocks.
        dense: (B, 1+S, C) tokens entering the last block. Read patch features here: in the published configuration
            the patch rows of the last block's MLP receive no gradient in pre-training.
        pooled: (B, C) image token after the last block and the final normalization, before any projection: what the
            heads of an objective read.

    Of a convolutional network ``dense`` and ``tokens`` are the pooled row and the places of the last stage.
    """

    embedding: Tensor
    gate_logits: list[Tensor]
    dense: Tensor
    _finish: Callable[[], Tensor] = field(repr=False)
    _attend: Callable[[], Tensor] | None = field(default=None, repr=False)
    _local: Callable[[], Tensor] | None = field(default=None, repr=False)
    pooled: Tensor = field(default_factory=lambda: torch.empty(0, 0), repr=False)

    @cached_property
    def tokens(self) -> Tensor:
        """(B, 1+S, C) tokens after the last block and the final normalization, computed when first read."""
        return self._finish()

    @cached_property
    def patches(self) -> Tensor:
        """(B, S', C') features of places in the film for objectives that align them with words.

        Of a ViT the final patch tokens; of a convolutional network the map of its third stage, which is finer than the
        last (GLoRIA, MGCA).
        """
        return self.tokens[:, 1:] if self._local is None else self._local()

    @cached_property
    def attention(self) -> Tensor | None:
        """(B, A, S) attention of the image token to the patches in the last block, in A heads, made when first read.

        Rows sum to at most 1, the rest being the image token's attention to itself. None for a convolutional network,
        which has no attention: its places count alike.
        """
        return None if self._attend is None else self._attend()


class ImageEncoder(nn.Module):
    """timm ViT with MoBE blocks; returns the image token and what is needed for the rest.

    Args:
        vit: A timm vision transformer with one class token, made without a classifier.
        mobe_layers: Indices of the blocks that get experts, negative ones counted from the end; () for a plain ViT.
        num_experts: E.
        gate_input: What the gate sees (decision P2).
        expert_init: How the experts start (decision P3).
        expert_width: H, their hidden width; 0 takes that of the MLP they replace.
        implementation: See ``pedclip.models.mobe``.
        threshold: Gate weights below it are skipped in evaluation.
        detach_gate: Keep the contrastive gradient away from the gate (decision P6).

    Raises:
        ValueError: A layer index is out of range, or the architecture is not a plain class-token ViT.
    """

    def __init__(
        self,
        vit: VisionTransformer,
        *,
        mobe_layers: tuple[int, ...],
        num_experts: int,
        gate_input: GateInput = "post_norm",
        expert_init: ExpertInit = "copy",
        expert_width: int = 0,
        implementation: Implementation = "auto",
        threshold: float = 0.0,
        detach_gate: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(vit, VisionTransformer) or vit.num_prefix_tokens != 1 or vit.cls_token is None:
            raise ValueError("the image architecture must be a timm VisionTransformer with one class token")
        depth = len(vit.blocks)
        # -1 and depth - 1 are one block: two names of it must not pass as two layers.
        inside = all(-depth <= layer < depth for layer in mobe_layers)
        if not inside or len({layer % depth for layer in mobe_layers}) < len(mobe_layers):
            raise ValueError(f"mobe_layers={mobe_layers} is not allowed: different ones of blocks 0…{depth - 1}")
        blocks = list(vit.blocks)
        for layer in mobe_layers:
            blocks[layer] = MoBEBlock(
                blocks[layer],
                num_experts,
                gate_input=gate_input,
                expert_init=expert_init,
                expert_width=expert_width,
                implementation=implementation,
                threshold=threshold,
                detach_gate=detach_gate,
            )
        vit.blocks = nn.ModuleList(blocks)
        self.vit = vit
        self.grid = vit.patch_embed.grid_size

    @property
    def stem(self) -> HybridStem | None:
        """Convolutional stages in front of the blocks, where there are some that may be pretrained."""
        return self.vit.patch_embed if isinstance(self.vit.patch_embed, HybridStem) else None

    @property
    def width(self) -> int:
        """C, the token width."""
        return int(self.vit.embed_dim)

    @property
    def local_width(self) -> int:
        """C', the width of ``ImageFeatures.patches``."""
        return self.width

    @property
    def local_grid(self) -> tuple[int, int]:
        """Rows and columns of ``ImageFeatures.patches``, which are those of ``grid``."""
        rows, columns = self.grid
        return rows, columns

    @property
    def pretrained_cfg(self) -> Mapping[str, Any]:
        """Facts about the weights that the network starts from, such as the mean that they expect."""
        return self.vit.pretrained_cfg  # type: ignore[no-any-return]

    def normalize(self, dense: Tensor) -> Tensor:
        """Final normalization of (B, …, C) tokens that have not passed it."""
        return self.vit.norm(dense)  # type: ignore[no-any-return]

    def forward(
        self, pixels: Tensor, region: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor], Tensor, Callable[[], Tensor], Callable[[], Tensor]]:
        """Encode a batch of radiographs.

        Args:
            pixels: (B, 3, H, W) normalized pixels.
            region: (B,) region labels for teacher forcing; None lets the gate decide.

        Returns:
            (B, C) image token after the final normalization, the gate logits, the (B, 1+S, C) tokens that enter the
            last block, and two functions that compute all (B, 1+S, C) final tokens and the (B, heads, S) attention of
            the image token to the patches in the last block.
        """
        vit = self.vit
        tokens = vit.norm_pre(vit.patch_drop(vit._pos_embed(vit.patch_embed(pixels))))  # (B, 1+S, C)
        gate_logits: list[Tensor] = []
        for block in vit.blocks[:-1]:
            tokens = self._run(block, tokens, region, gate_logits)
        last = vit.blocks[-1]

        def attend() -> Tensor:
            return image_token_attention(last.attn, last.norm1(tokens))[:, :, 1:]  # (B, heads, S)

        if not isinstance(last, MoBEBlock):
            # A plain block has its patch rows at hand anyway, and they cost 1 + S rows of one MLP, not of 23.
            final = vit.norm(last(tokens))
            return final[:, 0], gate_logits, tokens, lambda: final, attend
        # The loss reads v_[IMG] only, so only that row goes through the experts: 0.1 GMAC instead of 21 in ViT-B.
        image_token, last_logits = last.image_token(tokens, region)
        gate_logits.append(last_logits)

        # Who asks for all rows runs the block again, in full; (B, 1, C) → (B, C).
        def finish() -> Tensor:
            return vit.norm(last(tokens, region)[0])  # type: ignore[no-any-return]

        return vit.norm(image_token)[:, 0], gate_logits, tokens, finish, attend

    @staticmethod
    def _run(block: nn.Module, tokens: Tensor, region: Tensor | None, gate_logits: list[Tensor]) -> Tensor:
        if isinstance(block, MoBEBlock):
            tokens, logits = block(tokens, region)
            gate_logits.append(logits)
            return tokens
        return block(tokens)  # type: ignore[no-any-return]


def build_vit(
    architecture: str,
    *,
    image_size: int,
    weights: str = RANDOM,
    stem: ImageStem = "patch",
    backbone: str = "",
    **sizes: int,
) -> VisionTransformer:
    """Timm vision transformer without classifier.

    Args:
        architecture: timm name, such as "vit_base_patch16_224".
        image_size: Input side in pixels.
        weights: Starting point of the ViT, or with a hybrid stem of its convolutional stages while the rest is random;
            see ``image_starting_point``.
        stem: "patch" as published, "convolutional" (see ``ConvolutionalStem``; from random weights only) or "hybrid"
            (see ``HybridStem``).
        backbone: timm name of the hybrid stem's network.
        **sizes: timm's own overrides: patch_size, embed_dim, depth, num_heads.

    Raises:
        OSError: The weights cannot be reached; the message says which file to fetch and what to pass.
        ValueError: Weights are asked for with a stem that has none, are damaged, or are not of this architecture.
    """
    options: dict[str, Any] = {"num_classes": 0, "img_size": image_size, **sizes}
    if stem == "convolutional" and weights not in (RANDOM, ""):
        raise ValueError(
            f"image_weights={weights!r} do not fit image_stem='convolutional', which starts from random weights; "
            "take image_stem='hybrid', or 'patch' as in profile='paper'"
        )
    # The network that the weights are of.
    start = image_starting_point(weights, backbone if stem == "hybrid" else architecture)
    if stem == "hybrid":
        vit = timm.create_model(architecture, **options, embed_layer=partial(HybridStem, backbone))
        # The mean and deviation that the stages expect.
        vit.pretrained_cfg = timm.get_pretrained_cfg(backbone).to_dict()
        if not start.is_random:
            vit.patch_embed.load_stages(read_weights(start, backbone))
        return vit
    if stem == "convolutional":
        options["embed_layer"] = ConvolutionalStem
    if start.is_random:
        return timm.create_model(architecture, **options)
    overlay = {"state_dict": read_weights(start, architecture)}  # before the hub in timm's order
    return timm.create_model(architecture, pretrained=True, pretrained_cfg_overlay=overlay, **options)
