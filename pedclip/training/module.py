"""The training step: contrastive loss, gate loss, teacher forcing, optimizer."""

import math
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from pedclip.models.pedclip import PedCLIP
from pedclip.objectives.assignment import expert_assignment
from pedclip.objectives.contrastive import gathered_info_nce
from pedclip.training.batches import Batch
from pedclip.training.config import TrainingConfig
from pedclip.training.schedule import expert_schedule
from pedclip.triplets.transforms import to_pixels


class PretrainModule(L.LightningModule):
    """PedCLIP with its training objective.

    Args:
        model: The dual encoder.
        config: Optimization.
        batches_per_epoch: Of one rank.

    Source: PedCLIP, section 2.3: ℓ = ½(ℓ^v2t + ℓ^t2v) + λ ℓ_G.
    """

    def __init__(self, model: PedCLIP, config: TrainingConfig, *, batches_per_epoch: int) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.batches_per_epoch = batches_per_epoch
        self._validation: list[dict[str, Tensor]] = []

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Tie dropout and crops to the step number, so that a resumed run repeats an uninterrupted one exactly."""
        step = self.trainer.current_epoch * self.batches_per_epoch + batch_idx
        torch.manual_seed(((self.config.seed * 1_000_003 + step) * 4096 + self.global_rank) % 2**63)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Total loss of one batch."""
        config = self.config
        epoch = self.trainer.current_epoch + batch_idx / self.batches_per_epoch
        weight, is_teacher_forced = expert_schedule(
            epoch, config.epochs, config.resolved_teacher_epochs, lambda_end=config.lambda_end
        )
        generator = torch.Generator().manual_seed(torch.initial_seed())
        pixels = to_pixels(batch["images"], self.model.preprocess, generator=generator)
        image = self.model.encode_image(pixels, batch["regions"] if is_teacher_forced else None)
        text = self.model.encode_text(batch["input_ids"], batch["attention_mask"])
        contrastive = gathered_info_nce(
            image.embedding,
            text.embedding,
            temperature=self.model.temperature,
            text_ids=batch["text_ids"] if config.mask_equal_texts else None,
        )
        values = {"train/contrastive": contrastive}
        total = contrastive
        if image.gate_logits:
            gate = expert_assignment(image.gate_logits, batch["regions"])
            total = contrastive + weight * gate
            accuracy = _accuracy(image.gate_logits[-1], batch["regions"])
            values |= {"train/gate": gate, "train/gate_accuracy": accuracy, "train/lambda": torch.tensor(weight)}
        values["train/loss"] = total
        self.log_dict({name: value.detach() for name, value in values.items()}, batch_size=len(pixels))
        return total

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Embed one batch as the model is used: centre crop, gate instead of labels."""
        pixels = to_pixels(batch["images"], self.model.preprocess, generator=None)
        image = self.model.encode_image(pixels)
        text = self.model.encode_text(batch["input_ids"], batch["attention_mask"])
        kept = {
            "image": image.embedding,
            "text": text.embedding,
            "text_ids": batch["text_ids"],
            "region": batch["regions"],
        }
        if image.gate_logits:
            kept["gate"] = image.gate_logits[-1].argmax(-1)
        self._validation.append(kept)

    def on_validation_epoch_end(self) -> None:
        """Loss, gate accuracy and Recall@K over the validation rows."""
        parts = {name: torch.cat([part[name] for part in self._validation]) for name in self._validation[0]}
        self._validation.clear()
        self.log_dict(validation_metrics(parts, self.model.temperature), rank_zero_only=True)

    def configure_optimizers(self) -> Any:
        """AdamW with decay on matrices only (none on biases, norms, the image's position embedding); the schedule."""
        config = self.config
        optimizer = torch.optim.AdamW(_parameter_groups(self.model, config.weight_decay), lr=config.learning_rate)
        # Not Lightning's estimate: it would start the loader before a checkpoint has said where to go on.
        steps = config.epochs * math.ceil(self.batches_per_epoch / config.accumulate)
        warmup = max(1, round(steps * config.warmup_fraction)) if config.warmup_fraction else 0

        def factor(step: int) -> float:
            if config.schedule == "constant":
                return 1.0
            if step < warmup:
                return (step + 1) / warmup
            return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def validation_metrics(parts: dict[str, Tensor], temperature: Tensor) -> dict[str, Tensor]:
    """Metrics of a validation split.

    Args:
        parts: ``image`` and ``text`` (N, D) unit embeddings, ``text_ids`` (N,), ``region`` (N,), and for models with
            experts ``gate`` (N,), the expert with the largest weight.
        temperature: () of the loss.

    Returns:
        Scalars: loss (equal texts are no negatives), gate accuracy, Recall@1 and @5 both ways; a retrieved item counts
        when its excerpt has the same words.
    """
    similarity = parts["image"] @ parts["text"].t()
    same = parts["text_ids"][:, None] == parts["text_ids"]
    metrics = {}
    losses = []
    for name, scores in (("image_to_text", similarity), ("text_to_image", similarity.t())):
        for k in (1, 5):
            nearest = scores.topk(min(k, len(scores))).indices
            metrics[f"val/{name}_recall@{k}"] = same.gather(1, nearest).any(1).float().mean()
        others = same ^ torch.eye(len(same), dtype=torch.bool, device=same.device)
        logits = (scores / temperature).masked_fill(others, -torch.inf)
        losses.append((logits.logsumexp(1) - logits.diagonal()).mean())
    metrics["val/contrastive"] = torch.stack(losses).mean()
    if "gate" in parts:
        metrics["val/gate_accuracy"] = (parts["gate"] == parts["region"]).float().mean()
    return metrics


def _accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(-1) == labels).float().mean()


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    # Stacked expert biases are (E, H), so the shape does not tell a bias: the name does (decision P10).
    names = {id(parameter): name for name, parameter in model.named_parameters() if parameter.requires_grad}
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for parameter in model.parameters():
        name = names.get(id(parameter))
        if name is None:
            continue
        leaf = name.rsplit(".", 1)[-1]
        is_plain = parameter.dim() < 2 or leaf in ("b1", "b2", "pos_embed", "cls_token")
        (kept if is_plain else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]
