"""The training step, the same for every objective: view, encode, objective, optimizer."""

import math
from functools import partial
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from pedclip.models.pedclip import PedCLIP
from pedclip.objectives.base import FeatureBatch, Objective
from pedclip.objectives.pedclip import ExpertObjective, RegionHeadObjective
from pedclip.objectives.registry import build, option_names
from pedclip.objectives.trained import PLAIN
from pedclip.training.batches import Batch, batch_tokens
from pedclip.training.config import STEM_RATES, TrainingConfig
from pedclip.training.schedule import expert_schedule
from pedclip.triplets.transforms import to_pixels


def build_objective(config: TrainingConfig, model: PedCLIP) -> Objective:
    """The objective that a configuration names, with every option of it that the configuration holds.

    Args:
        config: Its fields are matched to the objective's options by name.
        model: The dual encoder.

    Raises:
        ValueError: The objective has no such option.
    """
    # What the configuration says about λ and teacher forcing, as one function of the epoch.
    schedule = partial(
        expert_schedule,
        epochs=config.epochs,
        teacher_epochs=config.resolved_teacher_epochs,
        lambda_end=config.lambda_end,
    )
    options = objective_settings(config)
    # A function is no plain value, so it is no setting of the configuration.
    if config.objective == "pedclip":
        options["schedule"] = schedule
    objective = build(config.objective, model, **options)
    # "clip" is PedCLIP without its gate loss; every rival teaches the experts that the model has.
    is_rival = config.objective not in PLAIN
    if is_rival and model.config.mobe_layers:
        return ExpertObjective(model, objective, schedule=schedule)
    return RegionHeadObjective(model, objective, schedule=schedule) if config.region_head else objective


def objective_settings(config: TrainingConfig) -> dict[str, Any]:
    """Options of the objective that a configuration sets, as plain values."""
    fields = vars(config)
    # What is asked for by name goes before a field that happens to have that name.
    return {name: fields[name] for name in option_names(config.objective) if name in fields} | config.objective_options


def batch_losses(
    model: PedCLIP, objective: Objective, batch: Batch, *, epoch: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """Losses of one batch: view, encode, objective.

    Args:
        model: The dual encoder.
        objective: With its views and heads.
        batch: As from ``TokenizedTriplets``.
        epoch: Passes done so far, with fraction.
        generator: Source of all randomness of the views, on the CPU.

    Returns:
        () tensors by name; "loss" is minimized.
    """
    pixels = objective.image_view(batch["images"], model.preprocess, generator=generator)  # (B, 3, H, W)
    tokens = objective.text_view(batch_tokens(batch), generator=generator)
    regions = batch["regions"]
    features = FeatureBatch(
        image=model.encode_image(pixels, objective.assignment(regions, epoch)),
        text=model.encode_text(tokens.input_ids, tokens.attention_mask),
        tokens=tokens,
        regions=regions,
        labels=batch["labels"],
        text_ids=batch["text_ids"],
        temperature=model.temperature,
        epoch=epoch,
        pixels=pixels,
    )
    values: dict[str, Tensor] = objective(features)
    return values


class PretrainModule(L.LightningModule):
    """PedCLIP with its training objective.

    Args:
        model: The dual encoder.
        config: Optimization and the name of the objective.
        batches_per_epoch: Of one rank.
    """

    def __init__(self, model: PedCLIP, config: TrainingConfig, *, batches_per_epoch: int) -> None:
        super().__init__()
        # Names of a resumable checkpoint begin with these two attributes: "model." is what older runs hold, too.
        self.model = model
        self.objective = build_objective(config, model)
        self.config = config
        self.batches_per_epoch = batches_per_epoch
        self._validation: list[dict[str, Tensor]] = []

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Tie dropout and crops to the step number, so that a resumed run repeats an uninterrupted one exactly."""
        step = self.trainer.current_epoch * self.batches_per_epoch + batch_idx
        # Steps are 4096 apart, so that as many ranks draw numbers of their own.
        torch.manual_seed(((self.config.seed * 1_000_003 + step) * 4096 + self.global_rank) % 2**63)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """() loss of one batch; everything the objective returns is logged."""
        # Fractions of an epoch: λ falls at every step, not in stairs (decision P5).
        epoch = self.trainer.current_epoch + batch_idx / self.batches_per_epoch
        # A generator of its own: the views must not shift the dropout that the global one draws.
        generator = torch.Generator().manual_seed(torch.initial_seed())
        values = batch_losses(self.model, self.objective, batch, epoch=epoch, generator=generator)
        self.log_dict(
            {f"train/{name}": value.detach() for name, value in values.items()}, batch_size=len(batch["images"])
        )
        return values["loss"]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Embed one batch as the model is used: centre crop, gate instead of labels.

        Of an objective without a cosine the gate's choice alone is kept: its own scores of all pairs of a split, again
        after every epoch, would cost more than the training.
        """
        pixels = to_pixels(batch["images"], self.model.preprocess, generator=None)  # (B, 3, H, W)
        image = self.model.encode_image(pixels)
        kept = {"text_ids": batch["text_ids"], "region": batch["regions"]}
        if self.objective.has_cosine:
            tokens = batch_tokens(batch)
            text = self.model.encode_text(tokens.input_ids, tokens.attention_mask)
            kept["image"], kept["text"] = self.objective.embed_image(image), self.objective.embed_text(text, tokens)
        if image.gate_logits:
            kept["gate"] = image.gate_logits[-1].argmax(-1)  # (B,)
            weights = image.gate_logits[-1].float().softmax(-1)  # (B, E)
            kept["entropy"] = torch.special.entr(weights).sum(-1)  # (B,) nats
        self._validation.append(kept)

    def on_validation_epoch_end(self) -> None:
        """Loss, gate accuracy and Recall@K over the validation rows, as far as the objective has them."""
        parts = {name: torch.cat([part[name] for part in self._validation]) for name in self._validation[0]}
        self._validation.clear()
        self.log_dict(validation_metrics(parts, self.model.temperature), rank_zero_only=True)

    def configure_optimizers(self) -> Any:
        """Adam or AdamW with decay on matrices only (no bias, no norm, no position embedding); the schedule."""
        config = self.config
        # The model first, then the heads of the objective: a resumed optimizer counts parameters in this order.
        groups = _parameter_groups(self, config.weight_decay)
        if config.stem_training == "slow":
            groups = _with_stem_rate(groups, self.model, STEM_RATES["slow"] * config.learning_rate)
        # The groups name the decay; what the optimizer makes of it is the difference between the two.
        kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
        # Nobody prints another second moment than 0.999.
        optimizer = kind(groups, lr=config.learning_rate, betas=(config.beta1, 0.999))
        # Not Lightning's estimate: it would start the loader before a checkpoint has said where to go on.
        steps = config.epochs * math.ceil(self.batches_per_epoch / config.accumulate)
        warmup = max(1, round(steps * config.warmup_fraction)) if config.warmup_fraction else 0

        def factor(step: int) -> float:
            if config.schedule == "constant":
                return 1.0  # as printed (decision P11)
            if step < warmup:
                return (step + 1) / warmup
            # Half a cosine from 1 to 0 over the steps that the warm-up leaves.
            return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def validation_metrics(parts: dict[str, Tensor], temperature: Tensor) -> dict[str, Tensor]:
    """Metrics of a validation split.

    Args:
        parts: ``text_ids`` (N,), ``region`` (N,); of an objective with a cosine ``image`` and ``text`` (N, D) unit
            embeddings; for models with experts ``gate`` (N,), the expert with the largest weight, and ``entropy`` (N,)
            of all weights, nats.
        temperature: () of the model, whatever the objective divides its own cosines by: ``val/contrastive`` is one
            measure for all methods, and for a rival not what it minimizes.

    Returns:
        Scalars: loss (equal texts are no negatives), Recall@1 and @5 both ways, gate accuracy and entropy, each where
        its parts are given; a retrieved item counts when its excerpt has the same words.
    """
    metrics = _cosine_metrics(parts, temperature) if "image" in parts else {}
    if "gate" in parts:
        metrics["val/gate_accuracy"] = (parts["gate"] == parts["region"]).float().mean()
        # ln E where the gate knows nothing, 0 where it is sure.
        metrics["val/gate_entropy"] = parts["entropy"].mean()
    return metrics


def _cosine_metrics(parts: dict[str, Tensor], temperature: Tensor) -> dict[str, Tensor]:
    similarity = parts["image"] @ parts["text"].t()  # (N, N) cosines, a row per film
    same = parts["text_ids"][:, None] == parts["text_ids"]  # (N, N)
    metrics = {}
    losses = []
    for name, scores in (("image_to_text", similarity), ("text_to_image", similarity.t())):
        for k in (1, 5):
            nearest = scores.topk(min(k, len(scores))).indices  # (N, k)
            metrics[f"val/{name}_recall@{k}"] = same.gather(1, nearest).any(1).float().mean()
        # A text with the same words is right, too: it can be no negative of its twin (decision P15).
        others = same ^ torch.eye(len(same), dtype=torch.bool, device=same.device)
        logits = (scores / temperature).masked_fill(others, -torch.inf)
        losses.append((logits.logsumexp(1) - logits.diagonal()).mean())
    metrics["val/contrastive"] = torch.stack(losses).mean()
    return metrics


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


def _with_stem_rate(groups: list[dict[str, Any]], model: PedCLIP, rate: float) -> list[dict[str, Any]]:
    """Groups in which the pretrained stages of a hybrid stem have a step size of their own."""
    stem = model.image_encoder.stem
    stages = {id(parameter) for parameter in stem.backbone.parameters()} if stem is not None else set()
    split = []
    # Either kind of group, with weight decay and without, falls in two; an empty one is not made.
    for group in groups:
        pretrained = [parameter for parameter in group["params"] if id(parameter) in stages]
        rest = [parameter for parameter in group["params"] if id(parameter) not in stages]
        split.append(group | {"params": rest})
        if pretrained:
            split.append(group | {"params": pretrained, "lr": rate})
    return split
