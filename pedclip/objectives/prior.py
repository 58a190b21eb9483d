"""PRIOR: reports as sets of sentences that are aligned, remembered as prototypes and made again."""

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pedclip.models.image import ImageFeatures
from pedclip.models.pedclip import PedCLIP
from pedclip.models.text import TextFeatures
from pedclip.objectives.base import FeatureBatch, Objective
from pedclip.objectives.contrastive import gathered_info_nce, unit_vectors, widened
from pedclip.objectives.prior_heads import (
    HEADS,
    FilmDecoder,
    LocalAttention,
    ReportPool,
    SentenceDecoder,
    SentenceMemory,
    in_order_of,
)
from pedclip.objectives.text_units import merge_tokens, shuffled_sentences
from pedclip.objectives.tokens import Tokens

MOST_SENTENCES: Final = 16  # of a report in the third stage
_HEAVY: Final = 10.0  # weight of the prototypes, of the generation, and in the third stage of the global loss
_LARGEST: Final = 2**24  # numbers held at once while archives are scored: 64 MiB in single precision


class PriorObjective(Objective):
    """Global and local alignment; from the second stage on over prototypes; in the third with reconstruction.

    With v̄ the film, v_s its patches, w_u the sentences (means of their tokens), all after linear maps, r the report
    (attention pooling of its sentences), and c the contexts of sigmoid cross-attention:

    - ``global``: symmetric InfoNCE of v̄ and r, of a learned scale;
    - ``local_image``: −½ (cos(h(v_s), c_s) + cos(h(c_s), v_s)) with h a predictor and no gradient in second places;
    - ``local_text``: symmetric InfoNCE of w_u and c_u, with the other sentences of the same report as negatives;
    - ``prototype``, stages 2 and 3: mean |p_u − w_u|, where p_u is the memory's mixture that replaces w_u elsewhere;
    - ``film``, stage 3: mean |x̂ − x| of the film made of half of its patches' channels and of their contexts;
    - ``generation``: mean |q − p| of sentences made of the patches and matched to those of the report;
      ``consistency``: KL divergence of their scores over prototypes from those of w_u; ``generated_report``: InfoNCE
      of the report pooled from their mixtures and r.

    Stage 1 is global + both local terms, stage 2 adds 10 prototype, stage 3 is 10 global + local terms + 10 prototype +
    film + 10 generation + consistency + generated_report.

    Args:
        model: The dual encoder.
        width: D of the joint space, a multiple of 16; None takes that of the text tokens (768 as published).
        prototypes: P, at least 1.
        prototype_temperature: Of the mixture, above 0.
        temperature: Initial divisor of global cosines, in (0, 1].
        local_temperature: Of cosines within a report, likewise.
        epochs: Length of the run; a training fills in its own.
        stages: Starts of the second and of the third stage as fractions of the run, in order, in [0, 1]; 1 is never.
            By default those of 20, 30 and 100 epochs. (0, 0) is the third stage from the start.
        mask_equal_texts: Pairs with the same words are no negatives of the global loss (decision P15).

    Raises:
        ValueError: An option is out of its range.

    Source: Cheng et al., PRIOR, ICCV 2023 (arXiv 2307.12577), with weights and sizes of its released code.

    Differs: patches keep their channels, which the released code mixes with places when it reshapes the map. Texts are
        embedded without Gumbel noise at test time. Made sentences are matched the right way around (see
        ``in_order_of``). The score of a pair is the logit of the global cosine plus half the mean attention weight,
        where the released one adds two softmaxes over the list of prompts, which would depend on the list. Encoders
        and crops are this project's, without flip and affine maps; one learning rate for all stages. The memory
        and all cosines are outside half precision. Local negatives are those of a report, as published; those
        of ``generated_report`` are of all ranks. Numbers of one stage are not comparable with those of another.

    Small models in short runs collapsed in the second stage at steps of 5e-4 and more with 16 prototypes and the
    published ``local_temperature``: all sentences became one, while ``prototype`` went on falling. It shows as
    ``global`` at ln B and ``local_text`` at the mean of ln U; smaller steps and a higher temperature prevented it.
    """

    has_local_head = True
    uses_prototypes: Tensor

    def __init__(
        self,
        model: PedCLIP,
        *,
        width: int | None = None,
        prototypes: int = 512,
        prototype_temperature: float = 0.9,
        temperature: float = 0.01,
        local_temperature: float = 0.01,
        epochs: float = 150,
        stages: Sequence[float] = (20 / 150, 50 / 150),
        mask_equal_texts: bool = False,
    ) -> None:
        super().__init__(model)
        width = model.text_encoder.width if width is None else width
        _check(width, prototypes, epochs, stages)
        for name, value in (("temperature", temperature), ("local_temperature", local_temperature)):
            if not 0 < value <= 1:
                raise ValueError(f"{name}={value} is not allowed: in (0, 1]")
        if prototype_temperature <= 0:
            raise ValueError(f"prototype_temperature={prototype_temperature} is not allowed: above 0")
        self.epochs, self.stages, self.mask_equal_texts = epochs, tuple(stages), mask_equal_texts
        self.film = _projection(model.image_encoder.width, width)
        self.patch = _projection(model.image_encoder.local_width, width)
        self.token = _projection(model.text_encoder.width, width)
        self.predictor = nn.Sequential(nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, width))
        self.attention, self.pool = LocalAttention(width), ReportPool(width)
        self.memory = SentenceMemory(width, prototypes, prototype_temperature)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.local_log_scale = nn.Parameter(torch.tensor(-math.log(local_temperature)))
        # About 100 M parameters at width 768: a run that never comes to the third stage does without them.
        if self.stages[1] < 1:
            self.film_decoder, self.sentence_decoder = FilmDecoder(width), SentenceDecoder(width, MOST_SENTENCES)
        # Stored with the heads, so that a model embeds texts at test time as it did in its last step.
        self.register_buffer("uses_prototypes", torch.tensor(False))

    def text_view(self, tokens: Tokens, *, generator: torch.Generator) -> Tokens:
        """(B, T) the excerpts with their sentences in random order."""
        return shuffled_sentences(tokens, generator=generator)

    def stage(self, epoch: float) -> int:
        """Stage 1, 2 or 3 after so many epochs."""
        return 1 + sum(start < 1 and epoch >= start * self.epochs for start in self.stages)

    def forward(self, features: FeatureBatch) -> dict[str, Tensor]:
        """The terms of the stage, unweighted, ``stage`` and ``loss``, each ().

        Raises:
            ValueError: B < 2, or the features of the third stage hold no pixels.
        """
        stage = self.stage(features.epoch)
        patches = self.patch(features.image.patches)  # (B, S, D)
        sentences, mask = self._sentences(features.text, features.tokens)  # (B, U, D), (B, U)
        if stage == 3:
            # As many as the decoder has queries.
            sentences, mask = sentences[:, :MOST_SENTENCES], mask[:, :MOST_SENTENCES]
        values, used = {}, sentences
        if stage > 1:
            used = self._remembered(sentences, mask)
            values["prototype"] = (used - sentences)[mask].abs().mean()
        if self.training:
            self.uses_prototypes.fill_(stage > 1)
        reports = self.pool(used, mask)  # (B, D)
        values["global"] = gathered_info_nce(
            self.film(features.image.pooled),
            reports,
            temperature=(-self.log_scale).exp(),
            text_ids=features.text_ids if self.mask_equal_texts else None,
        )
        seen, read = self.attention(used, patches, mask)  # (B, U, D), (B, S, D)
        values["local_image"] = self._predicted(patches, read)
        values["local_text"] = _within_reports(used, seen, mask, scale=self.local_log_scale.exp())
        if stage == 3:
            values["film"] = self._film_loss(features.pixels, patches, read)
            values |= self._generation(patches, sentences, used, mask, reports)
        weights = {"prototype": _HEAVY, "generation": _HEAVY, "global": _HEAVY if stage == 3 else 1.0}
        loss = torch.stack([weights.get(name, 1.0) * value for name, value in values.items()]).sum()
        return values | {"stage": torch.tensor(float(stage)), "loss": loss}

    def embed_image(self, image: ImageFeatures) -> Tensor:
        """(B, D) projected film."""
        return unit_vectors(self.film(image.pooled))

    def embed_patches(self, image: ImageFeatures, as_films: ImageFeatures) -> Tensor:
        """(B, S, D) unit vectors of projected places; S as of ``local_grid``.

        Their partners in training are sentences seen through the attention, not whole reports as of ``embed_text``.
        """
        return unit_vectors(self.patch(image.patches))

    def embed_text(self, text: TextFeatures, tokens: Tokens) -> Tensor:
        """(N, D) report pooled from its sentences, or from their prototypes once these are trained."""
        return unit_vectors(self.pool(*self._known_sentences(text, tokens)))

    def pair_scores(self, image: ImageFeatures, text: TextFeatures, tokens: Tokens) -> Tensor:
        """(B, N) scaled global cosine plus half the mean local attention of both directions, which is in [0, 1]."""
        sentences, mask = self._known_sentences(text, tokens)  # (N, U, D), (N, U)
        patches = self.patch(image.patches)  # (B, S, D)
        num_sentences = mask.sum(1)
        step = max(1, _LARGEST // (2 * len(patches) * patches.shape[1] * sentences.shape[1]))
        parts = []
        for start in range(0, len(sentences), step):
            some = slice(start, start + step)
            # (1, n, U, D) and (B, 1, S, D) → (B, n, U, S) and (B, n, S, U).
            of_patches, of_sentences = self.attention.weights(sentences[None, some], patches[:, None], mask[None, some])
            kept = of_patches.mean(-1).masked_fill(~mask[some], 0.0).sum(-1)  # (B, n)
            parts.append((kept + of_sentences.mean(-2).sum(-1)) / (2 * num_sentences[some]))
        cosines = self.embed_image(image) @ unit_vectors(self.pool(sentences, mask)).t()
        scores: Tensor = self.log_scale.exp() * cosines + torch.cat(parts, 1) / 2
        return scores

    def _sentences(self, text: TextFeatures, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """(B, U, D) means of the tokens of each sentence and their (B, U) mask."""
        sentences, mask = merge_tokens(self.token(text.tokens), tokens.sentences, mean=True)
        return widened(sentences), mask

    def _known_sentences(self, text: TextFeatures, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """The same, remembered as in the last training step."""
        sentences, mask = self._sentences(text, tokens)
        return (self._remembered(sentences, mask) if self.uses_prototypes else sentences), mask

    def _remembered(self, sentences: Tensor, mask: Tensor) -> Tensor:
        """(B, U, D) mixtures of prototypes, 0 where there is no sentence."""
        # The memory sees real sentences only, (M, D).
        found: Tensor = self.memory(sentences[mask])
        return found.new_zeros(sentences.shape).masked_scatter(mask[..., None], found)

    def _predicted(self, patches: Tensor, read: Tensor) -> Tensor:
        """() negative cosine of each with the prediction from the other, in [-1, 1]."""
        first = unit_vectors(self.predictor(patches)) * unit_vectors(read.detach())  # (B, S, D)
        second = unit_vectors(self.predictor(read)) * unit_vectors(patches.detach())
        return -(first + second).sum(-1).mean() / 2

    def _film_loss(self, pixels: Tensor | None, patches: Tensor, read: Tensor) -> Tensor:
        if pixels is None:
            raise ValueError(
                "features.pixels is None: the third stage makes films again and needs the ones it was given"
            )
        made = self.film_decoder(patches, read, size=pixels.shape[-1])  # (B, 1, H, W)
        return F.l1_loss(made.to(pixels.dtype), pixels.mean(1, keepdim=True))

    def _generation(
        self, patches: Tensor, sentences: Tensor, used: Tensor, mask: Tensor, reports: Tensor
    ) -> dict[str, Tensor]:
        """The three terms of sentences made of patches; those of a report are padded with 0 to as many as queries."""
        missing = MOST_SENTENCES - used.shape[1]
        targets = F.pad(used, (0, 0, 0, missing))  # (B, Q, D)
        made = in_order_of(widened(self.sentence_decoder(patches)), targets)
        real = made[:, : used.shape[1]]
        # log p of the scores over prototypes, (M, P), of sentences as they are and as they were made.
        expected, found = (self.memory.scores(part[mask]).log_softmax(-1) for part in (sentences, real))
        pooled = self.pool(self._remembered(real, mask), mask)
        return {
            "generation": F.l1_loss(made, targets),
            "consistency": F.kl_div(found, expected, reduction="batchmean", log_target=True),
            "generated_report": gathered_info_nce(pooled, reports, temperature=(-self.log_scale).exp()),
        }


def _within_reports(sentences: Tensor, seen: Tensor, mask: Tensor, *, scale: Tensor) -> Tensor:
    """() symmetric InfoNCE of (B, U, D) sentences and contexts, averaged within each report, then over reports."""
    first, second = unit_vectors(sentences), unit_vectors(seen)
    with torch.autocast(first.device.type, enabled=False):
        scores = scale * first @ second.transpose(1, 2)  # (B, U, U)
    losses = []
    for rows in (scores, scores.transpose(1, 2)):
        # A missing sentence is no negative; a single one has none, and costs nothing.
        chances = rows.masked_fill(~mask[:, None], -torch.inf).log_softmax(-1).diagonal(dim1=1, dim2=2)
        losses.append(-chances.masked_fill(~mask, 0.0).sum(1) / mask.sum(1))  # (B,)
    return torch.stack(losses).mean()


def _projection(width: int, target: int) -> nn.Linear:
    layer = nn.Linear(width, target)
    nn.init.normal_(layer.weight, std=width**-0.5)  # lengths are kept, as released
    return layer


def _check(width: int, prototypes: int, epochs: float, stages: Sequence[float]) -> None:
    if width < 1 or width % (2 * HEADS):
        raise ValueError(f"width={width} is not allowed: a multiple of {2 * HEADS}; pass one as an option")
    if prototypes < 1:
        raise ValueError(f"prototypes={prototypes} is not allowed: at least 1")
    if epochs <= 0:
        raise ValueError(f"epochs={epochs} is not allowed: above 0")
    if len(stages) != 2 or not 0 <= stages[0] <= stages[1] <= 1:
        raise ValueError(f"stages={tuple(stages)} is not allowed: two fractions in [0, 1], the smaller one first")
