"""Heads of PRIOR: sentences of a report, their attention to patches, prototypes, and what is made again of a film."""

from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pedclip.objectives.local_alignment import attention_weights

HEADS: Final = 8  # of every multi-head attention here
_BLOCKS: Final = 5  # of the film decoder; each but the first doubles the side
_DEPTH: Final = 8  # of the sentence decoder


class LocalAttention(nn.Module):
    """Attention between sentences and patches in both directions, each weight by itself.

    Args:
        width: D of sentences and patches.

    Source: PRIOR, local alignment module: σ(q·k / √D), a sigmoid where a softmax would let patches compete.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sentence_query, self.sentence_key, self.sentence_value = (nn.Linear(width, width) for _ in range(3))
        self.patch_query, self.patch_key, self.patch_value = (nn.Linear(width, width) for _ in range(3))
        self.temperature = width**0.5

    def weights(self, sentences: Tensor, patches: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of both directions; leading dimensions broadcast.

        Args:
            sentences: (…, U, D).
            patches: (…, S, D).
            mask: (…, U) True on sentences.

        Returns:
            (…, U, S) of patches for each sentence and (…, S, U) of sentences for each patch, in [0, 1]. The columns of
            missing sentences are 0, the rows mean nothing.
        """
        of_patches = attention_weights(
            self.sentence_query(sentences),
            self.patch_key(patches),
            temperature=self.temperature,
            weighting="sigmoid",
        )
        of_sentences = attention_weights(
            self.patch_query(patches),
            self.sentence_key(sentences),
            temperature=self.temperature,
            weighting="sigmoid",
            patch_mask=mask,
        )
        return of_patches, of_sentences

    def forward(self, sentences: Tensor, patches: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(…, U, D) what each sentence sees of the film, and (…, S, D) what each patch reads in the report."""
        of_patches, of_sentences = self.weights(sentences, patches, mask)
        return of_patches @ self.patch_value(patches), of_sentences @ self.sentence_value(sentences)


class ReportPool(nn.Module):
    """A report as what the mean of its sentences attends to among them and itself.

    Args:
        width: D, a multiple of 8.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, HEADS, batch_first=True)

    def forward(self, sentences: Tensor, mask: Tensor) -> Tensor:
        """Features of whole reports.

        Args:
            sentences: (B, U, D).
            mask: (B, U) True on sentences, at least one in a row.

        Returns:
            (B, D).
        """
        share = mask[..., None] / mask.sum(1)[:, None, None]  # (B, U, 1)
        mean = (sentences * share).sum(1, keepdim=True)  # (B, 1, D)
        # The mean stands among the keys, too, as its own first row (B, 1+U, D).
        padding = F.pad(~mask, (1, 0), value=False)
        keys = torch.cat([mean, sentences], 1)
        pooled: Tensor = self.attention(mean, keys, keys, key_padding_mask=padding, need_weights=False)[0]
        return pooled[:, 0]


class SentenceMemory(nn.Module):
    """Prototypes of sentences; a sentence is replaced by the mixture of those that resemble it.

    Args:
        width: D of a sentence.
        count: P, number of prototypes.
        temperature: Divisor of the scores in the mixture, above 0.

    Source: PRIOR, sentence-wise prototype memory bank. Differs: noise in training only.
    """

    def __init__(self, width: int, count: int, temperature: float) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(torch.randn(count, width))
        self.temperature = temperature

    def scores(self, sentences: Tensor) -> Tensor:
        """(M, P) dot products of (M, D) sentences with the prototypes."""
        # They are the logits of a softmax over hundreds, so autocast stays outside.
        with torch.autocast(sentences.device.type, enabled=False):
            return sentences.to(torch.promote_types(sentences.dtype, self.prototypes.dtype)) @ self.prototypes.t()

    def forward(self, sentences: Tensor) -> Tensor:
        """(M, D) mixtures for (M, D) sentences."""
        scores = self.scores(sentences)
        if self.training:
            shares = F.gumbel_softmax(scores, tau=self.temperature, dim=-1)
        else:
            # Without the noise a text has one embedding, whatever has been drawn before.
            shares = (scores / self.temperature).softmax(-1)
        with torch.autocast(sentences.device.type, enabled=False):
            return shares @ self.prototypes  # (M, P) · (P, D) → (M, D)


class FilmDecoder(nn.Module):
    """Film made again of its patches, half of whose channels are missing, and of what they read in the report.

    Args:
        width: D of a patch, at least 16.

    Source: PRIOR, cross-modality conditional reconstruction; sizes as released: 14, 28, 56, 112 and 224 pixels, half
        the channels in each.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout2d(0.5)
        widths = [2 * width // 2**block for block in range(_BLOCKS + 1)]  # 2D … D/16
        self.blocks = nn.ModuleList(
            nn.Sequential(*_convolution(inner, outer), *_convolution(outer, outer)) for inner, outer in pairwise(widths)
        )
        self.head = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, patches: Tensor, contexts: Tensor, *, size: int) -> Tensor:
        """Gray films.

        Args:
            patches: (B, S, D), S a square number.
            contexts: (B, S, D).
            size: H = W of the film, in pixels.

        Returns:
            (B, 1, H, W).

        Raises:
            ValueError: The patches do not fill a square.
        """
        batch, places, width = patches.shape
        side = round(places**0.5)
        if side * side != places:
            raise ValueError(f"{places} patches do not fill a square; PRIOR's film decoder needs a square grid")
        # Channels in front, each place on its own: (B, S, D) → (B, D, h, w).
        grid, read = (part.transpose(1, 2).reshape(batch, width, side, side) for part in (patches, contexts))
        decoded = torch.cat([self.dropout(grid), read], 1)
        for number, block in enumerate(self.blocks, 1):
            decoded = F.interpolate(decoded, max(side, size // 2 ** (_BLOCKS - number)))
            decoded = block(decoded)
        made: Tensor = self.head(decoded)
        return made


class SentenceDecoder(nn.Module):
    """Sentences of a report as a set, made of the patches of its film all at once.

    Args:
        width: D, a multiple of 8.
        count: Q, the most sentences of a report.

    Source: PRIOR, sentence prototype generation: learned queries, 8 layers of BERT's kind with cross-attention.
        Differs: 8 heads where BERT has 12, no numbered places, since the queries are learned anyway.
    """

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(count, width))
        # Behind the normalization, as BERT's own input is.
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(0.1)
        layer = nn.TransformerDecoderLayer(width, HEADS, 4 * width, dropout=0.1, activation="gelu", batch_first=True)
        self.decoder = nn.TransformerDecoder(layer, _DEPTH)
        for parameter in self.decoder.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)  # as BERT: copies of one layer would start equal

    def forward(self, patches: Tensor) -> Tensor:
        """(B, Q, D) for (B, S, D) patches."""
        queries = self.dropout(self.norm(self.queries)).expand(len(patches), -1, -1)
        decoded: Tensor = self.decoder(queries, patches)
        return decoded


def in_order_of(made: Tensor, targets: Tensor) -> Tensor:
    """Sentences in the order in which they are nearest to their targets, one each.

    Args:
        made: (B, Q, D).
        targets: (B, Q, D).

    Returns:
        (B, Q, D): row k is the sentence that the cheapest assignment by sums of absolute differences gives target k.

    Raises:
        ValueError: A sentence or a target holds NaN or infinity.

    Source: PRIOR, non-autoregressive generation. Differs: the released code applies the assignment the wrong way
        around, sentence to target k by the column of row k instead of the row of column k.
    """
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

    # Rows of the costs are targets: the column of row k is the sentence for target k.
    costs = torch.cdist(targets.detach().float(), made.detach().float(), p=1).cpu()  # (B, Q, Q)
    if not costs.isfinite().all():
        raise ValueError("made sentences or their targets hold NaN or infinity; lower learning_rate")
    columns = [torch.from_numpy(linear_sum_assignment(matrix)[1]) for matrix in costs.numpy()]
    order = torch.stack(columns).to(made.device)  # (B, Q)
    return made.gather(1, order[..., None].expand_as(made))


def _convolution(inner: int, outer: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inner, outer, 3, padding=1, bias=False), nn.BatchNorm2d(outer), nn.ReLU()
