"""Text towers whose sizes are read from their weights: BERT with the poolings of its many users, and CLIP's own."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from pedclip.models.released.fitting import Fit, fit_module, fit_transformers
from pedclip.models.released.openai_clip import OpenAIText, count_blocks

_HEAD_WIDTH = 64  # of every BERT here


class Bert(nn.Module):
    """BERT whose hidden states are put together and pooled.

    Args:
        bert: Without pooling layer.
        layers: Indices into all hidden states, of which the first are the embeddings.
        combine: "mean" or "sum" of these layers.
        pool: "cls"; "end" of the text; "mean" over the text, padding left out.
    """

    def __init__(self, bert: nn.Module, *, layers: Sequence[int], combine: str, pool: str) -> None:
        super().__init__()
        self.bert = bert
        self.layers, self.combine, self.pool = tuple(layers), combine, pool

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Token ids and mask (B, T) to pooled (B, C) and token features (B, T, C)."""
        output = self.bert(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        # All layers come back, and few of them are pooled.
        chosen = torch.stack([output.hidden_states[layer] for layer in self.layers])  # (layers, B, T, C)
        tokens = chosen.sum(dim=0) if self.combine == "sum" else chosen.mean(dim=0)
        return pool_tokens(tokens, attention_mask, self.pool), tokens


def pool_tokens(tokens: Tensor, attention_mask: Tensor, pool: str) -> Tensor:
    """One vector per text.

    Args:
        tokens: (B, T, C).
        attention_mask: (B, T), 1 on text and 0 on padding.
        pool: "cls", "end" or "mean".

    Returns:
        (B, C); the same for any amount of padding.
    """
    if pool == "cls":
        return tokens[:, 0]
    # Padding is at the right in every tokenizer here, so the last token stands at the number of them.
    if pool == "end":
        rows = torch.arange(len(tokens), device=tokens.device)
        return tokens[rows, attention_mask.sum(dim=1) - 1]
    is_text = attention_mask[:, :, None].bool()  # (B, T, 1)
    return (tokens * is_text).sum(dim=1) / is_text.sum(dim=1)


def build_text_tower(
    kind: str,
    weights: Mapping[str, Tensor],
    *,
    prefix: str,
    layers: Sequence[int],
    combine: str,
    pool: str,
) -> tuple[nn.Module, Fit]:
    """A text tower with its weights.

    Args:
        kind: One of ``release.TEXT_TOWERS``.
        weights: Published tensors (…,) of the tower, without the prefix.
        prefix: For the report.
        layers: As in `Bert`.
        combine: As in `Bert`.
        pool: As in `Bert`.

    Returns:
        The tower, and what does not fit.

    Raises:
        KeyError: A tensor that tells a size is missing.
    """
    if kind == "openai":
        tower = OpenAIText(weights)
        return tower, fit_module(tower, weights, prefix)
    # Without the pooling layer, which only next-sentence prediction trains.
    bert, fit = fit_transformers(BertModel, bert_sizes(weights), weights, prefix, add_pooling_layer=False)
    return Bert(bert, layers=layers, combine=combine, pool=pool), fit


def bert_sizes(weights: Mapping[str, Tensor]) -> BertConfig:
    """Sizes of a BERT from its tensors (…,) by the names of transformers."""
    # The number of heads is the one size that no tensor tells; all BERTs here have heads of one width.
    vocab_size, width = weights["embeddings.word_embeddings.weight"].shape
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        num_hidden_layers=count_blocks(weights, "encoder.layer."),
        num_attention_heads=max(1, width // _HEAD_WIDTH),
        intermediate_size=weights["encoder.layer.0.intermediate.dense.weight"].shape[0],
        max_position_embeddings=weights["embeddings.position_embeddings.weight"].shape[0],
        type_vocab_size=weights["embeddings.token_type_embeddings.weight"].shape[0],
    )


def merge_words(tokens: Tensor, is_start: Tensor, is_word: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of the pieces of each word.

    Args:
        tokens: (B, T, C) features of pieces.
        is_start: (B, T) True where a word begins.
        is_word: (B, T) True on [CLS] and on text; False on [SEP] and padding.

    Returns:
        (B, W, C) words of the texts, zeros behind the last one, and (B, W) True where there is one.

    Source: GLoRIA, section 3.2, word features as sums of word pieces. Differs: [SEP] is left out, as it names nothing.
    """
    starts = is_start & is_word
    # (B, T) number of the word that each piece belongs to.
    position = starts.long().cumsum(dim=1) - 1
    num_words = starts.sum(dim=1)  # (B,)
    words = tokens.new_zeros(len(tokens), int(num_words.max()), tokens.shape[2])
    index = position.clamp(0, words.shape[1] - 1)[:, :, None].expand_as(tokens)  # (B, T, C)
    # What is no word adds zero, wherever its position points.
    words = words.scatter_add(1, index, tokens * is_word[:, :, None])
    return words, torch.arange(words.shape[1], device=tokens.device) < num_words[:, None]
