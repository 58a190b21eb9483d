"""Somebody else's model behind the methods of our own."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from pedclip.models.released.outputs import ReleasedImage, ReleasedText
from pedclip.models.released.prompts import Prompts, make_prompts
from pedclip.models.released.release import Release
from pedclip.models.released.scoring import (
    cosine_score,
    local_and_global,
    mean_logit,
    pair_probability,
    sigmoid_score,
)
from pedclip.models.released.text_towers import merge_words
from pedclip.models.released.tokens import OpenCLIPTokens, Tokens


class ReleasedModel(nn.Module):
    """A published encoder of films, and mostly of texts, with its own preparation of both.

    Args:
        release: Its record, with the recipe of the films.
        network: With ``encode_image`` and ``encode_text``.
        tokens: Its tokenizer; None for a model without texts.
        sha256: Hash of the file with its weights.
    """

    _word_starts: Tensor | None

    def __init__(
        self, release: Release, network: nn.Module, *, tokens: Tokens | OpenCLIPTokens | None, sha256: str
    ) -> None:
        super().__init__()
        self.release, self.sha256 = release, sha256
        # Any: three families of networks have the same two methods.
        self.network: Any = network
        self._tokens = tokens
        # Only GLoRIA compares words: (V,) True where a token begins one. A buffer, to be on the device of the ids.
        is_needed = release.score == "local and global" and isinstance(tokens, Tokens)
        starts = tokens.starts_of_words() if is_needed else None  # type: ignore[union-attr]
        self.register_buffer("_word_starts", starts, persistent=False)

    def transform(self, film: NDArray[np.uint8] | Image.Image) -> Tensor:
        """Pixels (3, H, W) of an original film, (H, W) uint8 or a Pillow image "L" or "RGB", by its own recipe."""
        assert self.release.transform is not None
        return self.release.transform(film)

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """``input_ids`` and ``attention_mask`` of texts, both (B, T), by the model's own tokenizer.

        Raises:
            TypeError: The model embeds films only.
        """
        if self._tokens is None:
            raise self._no_texts()
        return self._tokens(texts)

    def encode_image(self, pixels: Tensor) -> ReleasedImage:
        """Features of films.

        Args:
            pixels: (B, 3, H, W) as from ``transform``.

        Raises:
            ValueError: Another shape than the recipe makes.
        """
        assert self.release.transform is not None
        # Another size would pass through a ResNet and give features that nobody trained.
        side = self.release.transform.size
        if pixels.dim() != 4 or pixels.shape[1:] != (3, side, side):
            raise ValueError(f"pixels has shape {tuple(pixels.shape)}; expected (B, 3, {side}, {side}) from transform")
        features: ReleasedImage = self.network.encode_image(pixels)
        return features

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> ReleasedText:
        """Features of texts.

        Args:
            input_ids: (B, T) token ids from ``tokenize``.
            attention_mask: (B, T), 1 on text and 0 on padding.

        Raises:
            TypeError: The model embeds films only.
        """
        if self._tokens is None:
            raise self._no_texts()
        # (B, T) ids go through the network's own pooling and head.
        features: ReleasedText = self.network.encode_text(input_ids, attention_mask)
        if self._word_starts is None or features.tokens is None:
            return features
        # The last token of each text is [SEP], which is no word.
        is_word = attention_mask.bool() & (attention_mask.cumsum(1) < attention_mask.sum(1, keepdim=True))
        # (B, T, C) pieces → (B, W, C) words.
        words, word_mask = merge_words(features.tokens, self._word_starts[input_ids], is_word)
        return replace(features, words=words, word_mask=word_mask)

    def prompts(self, finding: str, region: str | None = None) -> Prompts:
        """Positive and negative sentences for a finding in the wording of the method; see `make_prompts`."""
        return make_prompts(self.release, finding, region)

    @torch.no_grad()
    def score(
        self,
        image: ReleasedImage,
        positive: ReleasedText,
        negative: ReleasedText | None = None,
        *,
        over_batch: bool = False,
        as_probability: bool = False,
    ) -> Tensor:
        """The method's own zero-shot score of one finding.

        Args:
            image: Features of B films.
            positive: Features of the prompts that say the finding is there.
            negative: Features of those that say it is not.
            over_batch: Standardize over the films of the batch, as GLoRIA publishes it, 0 for one film or equal scores;
                see `local_and_global`.
            as_probability: SigLIP's sigmoid instead of the cosine.

        Returns:
            (B,) higher where the finding is there.

        Raises:
            ValueError: An option of another method, or a method of pairs without negative prompts.
        """
        kind = self.release.score
        # SigLIP alone has a bias.
        bias = getattr(self.network, "logit_bias", None)
        # An option that did nothing would look like one that changed nothing.
        if over_batch and kind != "local and global":
            raise ValueError(f"over_batch=True belongs to GLoRIA; {self.release.title} scores each film by itself")
        if as_probability:
            if bias is None or negative is not None:
                raise ValueError("as_probability=True belongs to SigLIP and to positive prompts alone")
            return sigmoid_score(image, positive, logit_scale=self.network.logit_scale, logit_bias=bias)
        if kind == "softmax of the pair":
            if negative is None:
                raise ValueError(f"{self.release.title} compares two answers: pass negative=… too, see prompts()")
            return pair_probability(image, positive, negative)
        if kind == "mean of the scaled logits":
            return mean_logit(image, positive, negative, logit_scale=self.network.logit_scale)
        if kind == "local and global":
            return local_and_global(image, positive, negative, over_batch=over_batch)
        return cosine_score(image, positive, negative)

    def _no_texts(self) -> TypeError:
        return TypeError(
            f"{self.release.title} embeds films only: it has no text encoder, so no prompts and no retrieval; "
            "use its encode_image with a probe"
        )
