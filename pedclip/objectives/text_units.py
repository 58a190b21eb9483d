"""Features of words and of sentences from those of tokens, and views that keep one sentence or exchange them."""

from typing import Final, Literal, get_args

import torch
from torch import Tensor

from pedclip.objectives.tokens import NOTHING, Tokens

TextPart = Literal["sentence", "excerpt"]
TEXT_PARTS: Final = get_args(TextPart)  # what an objective trains on: one random sentence of each text, or all of it


def merge_tokens(features: Tensor, numbers: Tensor, *, mean: bool = False) -> tuple[Tensor, Tensor]:
    """Features of units (words, sentences), added up or averaged over their tokens.

    A text without any unit gets one: its first token, [CLS], which has read it all. So every text has something to
    align, and no later mean is over nothing.

    Args:
        features: (B, T, C) of the tokens; or (B, T), such as one weight per token.
        numbers: (B, T) number of each token's unit, -1 for none: `Tokens.words` or `Tokens.sentences`.
        mean: Average instead of adding up.

    Returns:
        (B, U, C), or (B, U), with U the largest number of units in a text, and the (B, U) mask, True on units; what is
        masked out is 0.

    Source: GLoRIA and MGCA, which add up the word pieces of a word; PRIOR, whose sentences are means of their tokens.
    """
    # A copy: the numbers are those of the whole batch.
    numbers = numbers.clone()
    is_without = (numbers == NOTHING).all(1)
    numbers[is_without, 0] = 0
    count = int(numbers.max()) + 1
    # (B, U, T): True where a token is of a unit.
    members = numbers[:, None, :] == torch.arange(count, device=numbers.device)[:, None]
    weights = members.to(features.dtype)
    sizes = weights.sum(-1, keepdim=True)  # (B, U, 1)
    if mean:
        weights = weights / sizes.clamp(min=1)
    merged = weights @ (features if features.dim() == 3 else features[..., None])  # (B, U, T) · (B, T, C) → (B, U, C)
    return merged if features.dim() == 3 else merged[..., 0], members.any(-1)


def random_sentence(tokens: Tokens, *, generator: torch.Generator) -> Tokens:
    """One sentence of each text, framed by the special tokens of the whole.

    Args:
        tokens: (B, T).
        generator: On the CPU.

    Returns:
        (B, T') with T' the longest sentence drawn. Its tokens are of sentence 0, its words are counted from 0.

    Source: ConVIRT, "sample a sentence uniformly"; GLoRIA, MedCLIP and CARZero as released.
    """
    # An empty text has no sentence, and keeps its special tokens alone.
    counts = tokens.sentences.amax(1) + 1  # (B,)
    # One number per row whatever is in it, so that a text's sentence does not depend on the other texts.
    share = torch.rand(len(tokens), generator=generator).to(counts.device)
    chosen = (share * counts).long().minimum((counts - 1).clamp(min=0))  # (B,)
    is_text = tokens.attention_mask.bool()
    # Special tokens are of no sentence: [CLS] in front and [SEP] behind stay.
    is_kept = is_text & ((tokens.sentences == NOTHING) | (tokens.sentences == chosen[:, None]))
    order = (~is_kept).long().argsort(dim=1, stable=True)  # those to keep first, in their order
    found = tokens.gathered(order, is_kept.sum(1))
    return Tokens(found.input_ids, found.attention_mask, _from_zero(found.words), _from_zero(found.sentences))


def shuffled_sentences(tokens: Tokens, *, generator: torch.Generator) -> Tokens:
    """The same texts with their sentences in random order.

    Args:
        tokens: (B, T).
        generator: On the CPU.

    Returns:
        (B, T); sentences and words keep their numbers, only the order of the tokens changes.

    Source: PRIOR as released.
    """
    batch, length = tokens.input_ids.shape
    ranks = torch.rand(batch, length, generator=generator).argsort(1).to(tokens.sentences.device)  # of each sentence
    # (B, T) place of a token: that of its sentence; [CLS] stays in front, [SEP] and padding behind.
    place = ranks.gather(1, tokens.sentences.clamp(min=0))
    place = place.masked_fill(tokens.sentences == NOTHING, length)
    place[:, 0] = -1
    # Padding behind everything, in its own order.
    place = place + tokens.attention_mask.logical_not() * length
    return tokens.gathered(place.argsort(dim=1, stable=True), tokens.attention_mask.sum(1))


def _from_zero(numbers: Tensor) -> Tensor:
    """(B, T) numbers that begin at 0 in every row."""
    is_unit = numbers != NOTHING
    first = numbers.masked_fill(~is_unit, torch.iinfo(numbers.dtype).max).amin(1, keepdim=True)  # (B, 1)
    return torch.where(is_unit, numbers - first, NOTHING)
