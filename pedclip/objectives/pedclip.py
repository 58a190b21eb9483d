"""PedCLIP's own objective: contrastive loss, gate loss, and labels that choose the experts at first.

The gate's part is of the experts, not of the contrastive loss: it goes with any objective, so that "do experts help
GLoRIA?" is a question of one word.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pedclip.models.image import ImageFeatures
from pedclip.models.pedclip import PedCLIP
from pedclip.models.text import TextFeatures
from pedclip.objectives.assignment import expert_assignment
from pedclip.objectives.base import FeatureBatch, Objective
from pedclip.objectives.clip import CLIPObjective
from pedclip.objectives.tokens import Tokens
from pedclip.triplets.transforms import Preprocess

# Of the epoch: λ of the gate loss, and True while labels choose the experts.
Schedule = Callable[[float], tuple[float, bool]]


class WithRegionLabels(Objective):
    """An objective with a loss that reads region labels added to it; views, heads and scores are the inner one's.

    Args:
        model: The dual encoder.
        inner: The objective whose loss is ℓ.
        schedule: λ and the teacher-forcing switch by epoch, such as ``pedclip.training.schedule.expert_schedule``;
            None keeps λ = 1 and lets the gate choose from the start.
    """

    def __init__(self, model: PedCLIP, inner: Objective, *, schedule: Schedule | None = None) -> None:
        super().__init__(model)
        # A submodule, so that its heads are trained and kept; it holds no encoder.
        self.inner = inner
        self.has_cosine, self.has_local_head = inner.has_cosine, inner.has_local_head
        # The length of a training is no matter of a loss, so the loop brings λ as a function of time.
        self.schedule = schedule or (lambda epoch: (1.0, False))

    def image_view(self, films: Tensor, preprocess: Preprocess, *, generator: torch.Generator) -> Tensor:
        """(B, 3, H, W) pixels of the inner objective."""
        return self.inner.image_view(films, preprocess, generator=generator)

    def text_view(self, tokens: Tokens, *, generator: torch.Generator) -> Tokens:
        """(B, T') tokens of the inner objective."""
        return self.inner.text_view(tokens, generator=generator)

    def embed_image(self, image: ImageFeatures) -> Tensor:
        """(B, D) of the inner objective."""
        return self.inner.embed_image(image)

    def embed_patches(self, image: ImageFeatures, as_films: ImageFeatures) -> Tensor:
        """(B, S, D) of the inner objective."""
        return self.inner.embed_patches(image, as_films)

    def embed_text(self, text: TextFeatures, tokens: Tokens) -> Tensor:
        """(N, D) of the inner objective."""
        return self.inner.embed_text(text, tokens)

    def pair_scores(self, image: ImageFeatures, text: TextFeatures, tokens: Tokens) -> Tensor:
        """(B, N) of the inner objective."""
        return self.inner.pair_scores(image, text, tokens)


class ExpertObjective(WithRegionLabels):
    """Any objective with the gate loss and the teacher forcing of PedCLIP: ℓ + λ ℓ_G.

    A model without experts leaves the first term. Arguments as of ``WithRegionLabels``.

    Source: PedCLIP, sections 2.3 and 3.1.
    """

    def assignment(self, regions: Tensor, epoch: float) -> Tensor | None:
        """(B,) labels while teacher forcing lasts (decision P4), then None."""
        _, is_teacher_forced = self.schedule(epoch)
        return regions if is_teacher_forced else None

    def forward(self, features: FeatureBatch) -> dict[str, Tensor]:
        """The inner objective's values, and ``gate`` (unweighted), ``gate_accuracy`` and ``lambda``, each ()."""
        values: dict[str, Tensor] = self.inner(features)
        gate_logits = features.image.gate_logits  # one (B, E) per MoBE block
        if not gate_logits:
            return values  # a plain ViT: nothing to assign
        weight, _ = self.schedule(features.epoch)
        # The gate is trained under teacher forcing too: the mixture ignores it then, and only this loss reaches it.
        gate = expert_assignment(gate_logits, features.regions)
        is_right = gate_logits[-1].argmax(-1) == features.regions  # (B,)
        return values | {
            "gate": gate,
            "gate_accuracy": is_right.float().mean(),
            "lambda": torch.tensor(weight),
            "loss": values["loss"] + weight * gate,
        }


class RegionHeadObjective(WithRegionLabels):
    """Any objective with a linear classifier of the region on the image token: ℓ + λ CE. For models without experts.

    The control of PedCLIP's claim: experts come with region labels, and this gives the labels without the experts.
    Arguments as of ``WithRegionLabels``. The classifier serves the training alone and is not exported.

    Source: ours; λ as of the gate loss (PedCLIP, section 3.1).
    """

    def __init__(self, model: PedCLIP, inner: Objective, *, schedule: Schedule | None = None) -> None:
        super().__init__(model, inner, schedule=schedule)
        self.head = nn.Linear(model.image_encoder.width, len(model.config.regions))

    def forward(self, features: FeatureBatch) -> dict[str, Tensor]:
        """The inner objective's values, and ``region`` (unweighted), ``region_accuracy`` and ``lambda``, each ()."""
        values: dict[str, Tensor] = self.inner(features)
        weight, _ = self.schedule(features.epoch)
        logits = self.head(features.image.pooled)  # (B, E)
        region = F.cross_entropy(logits, features.regions)
        return values | {
            "region": region,
            "region_accuracy": (logits.argmax(-1) == features.regions).float().mean(),
            "lambda": torch.tensor(weight),
            "loss": values["loss"] + weight * region,
        }


class PedCLIPObjective(ExpertObjective):
    """ℓ = ½(ℓ^v2t + ℓ^t2v) + λ ℓ_G.

    Args:
        model: The dual encoder.
        mask_equal_texts: Pairs with the same words are no negatives (decision P15).
        schedule: See ``ExpertObjective``.

    Source: PedCLIP, sections 2.3 and 3.1.
    """

    def __init__(self, model: PedCLIP, *, mask_equal_texts: bool = False, schedule: Schedule | None = None) -> None:
        super().__init__(model, CLIPObjective(model, mask_equal_texts=mask_equal_texts), schedule=schedule)
