"""A model together with the objective that it was trained with: its joint space and its own score of a pair.

A rival compares films and texts behind heads of its own, or by more than a cosine. The heads are stored beside the
encoders, and opened with them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pedclip.artefacts import read_json, write_json
from pedclip.models.checkpoint_files import HEADS_FILE, OBJECTIVE_FILE, check_weights
from pedclip.models.config import PedCLIPConfig
from pedclip.models.image import ImageFeatures
from pedclip.models.pedclip import PedCLIP, local_folder
from pedclip.models.text import TextFeatures
from pedclip.objectives.base import Objective
from pedclip.objectives.contrastive import unit_vectors
from pedclip.objectives.pedclip import WithRegionLabels
from pedclip.objectives.registry import build
from pedclip.objectives.tokens import Tokens, tokenize
from pedclip.triplets.transforms import Preprocess

PLAIN: Final = ("pedclip", "clip")  # their joint space is the encoders' own


class ObjectiveModel(nn.Module):
    """Both encoders and the heads of an objective, with the interface of ``PedCLIP`` for evaluation.

    Args:
        model: The dual encoder.
        objective: What it was trained with; of the same widths.
        name: Of the objective.
        options: With which it was built.
    """

    def __init__(self, model: PedCLIP, objective: Objective, *, name: str, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.model, self.objective = model, objective
        self.name, self.options = name, dict(options)

    @property
    def config(self) -> PedCLIPConfig:
        """Architecture of the encoders."""
        return self.model.config

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of ``embed_patches``."""
        return self.model.image_encoder.local_grid if self.objective.has_local_head else self.model.grid

    @property
    def preprocess(self) -> Preprocess:
        """Preparation of stored films for the image encoder."""
        return self.model.preprocess

    def encode_image(self, pixels: Tensor, region: Tensor | None = None) -> ImageFeatures:
        """Features of (B, 3, H, W) pixels whose embedding (B, D) is in the joint space of the objective."""
        image = self.model.encode_image(pixels, region)
        # All else (gate, patches, tokens) is of the encoder and stays.
        return replace(image, embedding=unit_vectors(self.objective.embed_image(image)))

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor, words: Tensor, sentences: Tensor) -> TextFeatures:
        """Features of texts, (B, T) each as from ``tokenize``, whose embedding (B, D) is in the joint space."""
        tokens = Tokens(input_ids, attention_mask, words, sentences)
        text = self.model.encode_text(input_ids, attention_mask)
        return replace(text, embedding=unit_vectors(self.objective.embed_text(text, tokens)))

    def embed_patches(self, image: ImageFeatures) -> Tensor:
        """Patches in the joint space of the objective, through the head that it has for them: (B, S, D) unit vectors.

        Where it has none, each patch goes the way of the image token.
        """
        normalized = self.model.image_encoder.normalize(image.dense[:, 1:])  # (B, S, C)
        # Heads read one vector per film: (B, S, C) → (B · S, C) → (B, S, D).
        single = replace(
            image, pooled=normalized.flatten(0, 1), embedding=self.model.embed_patches(image).flatten(0, 1)
        )
        return unit_vectors(self.objective.embed_patches(image, single))

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Token ids, mask, words and sentences of texts, (B, T) each; what ``encode_text`` takes."""
        return vars(self._tokens(texts))

    def pair_scores(self, pixels: Tensor, texts: Sequence[str]) -> Tensor:
        """The objective's own score of every film with every text.

        Args:
            pixels: (B, 3, H, W).
            texts: N texts.

        Returns:
            (B, N), higher for a better fit; the cosine where the objective has no score of its own.
        """
        # Of all texts at once: an objective splits a large number itself.
        return self.pair_scorer(texts, device=pixels.device)(pixels)

    def pair_scorer(self, texts: Sequence[str], *, device: str | torch.device = "cpu") -> Callable[[Tensor], Tensor]:
        """A function from films (B, 3, H, W) to their scores (B, N) with these texts, which are encoded once.

        Args:
            texts: N texts.
            device: Of the model.
        """
        # The objective asks for both: the features, and which word and sentence each of them is of.
        tokens = self._tokens(texts).to(device)
        text = self.model.encode_text(tokens.input_ids, tokens.attention_mask)
        return lambda pixels: self.objective.pair_scores(self.model.encode_image(pixels), text, tokens)

    def untrained(self, seed: int) -> "ObjectiveModel":
        """The same encoders and heads with random weights: the baseline of every claim.

        Args:
            seed: Of the initial weights.
        """
        # Its own seed for the heads, which come after the encoders.
        model = self.model.untrained(seed)
        # As of the encoders: the caller's random numbers are left alone.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            objective = build(self.name, model, **self.options)
        return ObjectiveModel(model, objective, name=self.name, options=self.options).eval()

    def _tokens(self, texts: Sequence[str]) -> Tokens:
        return tokenize(self.model.tokenizer, texts, max_tokens=self.config.max_text_tokens)


def write_objective(folder: Path, objective: Objective, *, name: str, options: Mapping[str, Any]) -> None:
    """Write the heads of an objective into a folder of a model; nothing for one that has none.

    Args:
        folder: Of the exported model.
        objective: As trained.
        name: Of the objective.
        options: With which it was built, plain values.
    """
    if name in PLAIN:
        return
    save_file(exported_heads(objective), str(folder / HEADS_FILE))
    write_json(folder / OBJECTIVE_FILE, {"name": name, "options": dict(options)})


def exported_heads(objective: Objective) -> dict[str, Tensor]:
    """Weights of an objective by name, such as (D, C) of a projection, on the CPU, as ``write_objective`` stores them.

    Args:
        objective: As trained, whatever is wrapped around it.
    """
    if isinstance(objective, WithRegionLabels):
        objective = objective.inner  # λ and teacher forcing belong to the training that is over
    # Cloned, since parameters that share memory cannot be stored one by one.
    return {key: value.detach().cpu().clone().contiguous() for key, value in objective.state_dict().items()}


def load_heads(folder: Path, objective: Objective) -> None:
    """Give an objective the heads of a checkpoint; nothing where that has none.

    Args:
        folder: Of the exported model.
        objective: Of the same name and widths, whatever is wrapped around it.

    Raises:
        ValueError: The heads are damaged, hold NaN or are of another objective.
    """
    if not (folder / OBJECTIVE_FILE).is_file():
        return
    inner = objective.inner if isinstance(objective, WithRegionLabels) else objective
    try:
        inner.load_state_dict(_stored_heads(folder))  # strictly, as in `open_model`
    except RuntimeError as error:
        raise ValueError(f"{folder / HEADS_FILE} does not fit the objective: {error}") from error


def open_model(path_or_hub_id: str | Path) -> PedCLIP | ObjectiveModel:
    """The model of a checkpoint, with the heads of its objective where it has some.

    Args:
        path_or_hub_id: As for ``PedCLIP.from_pretrained``.

    Raises:
        OSError: As ``PedCLIP.from_pretrained``.
        ValueError: As there; or the heads are damaged, hold NaN or are of another objective.
    """
    folder = local_folder(path_or_hub_id)
    model = PedCLIP.from_pretrained(folder)
    if not (folder / OBJECTIVE_FILE).is_file():
        # Heads that nobody describes would be passed over, and a rival would answer as PedCLIP.
        if (folder / HEADS_FILE).exists() or (folder / OBJECTIVE_FILE).exists():
            raise ValueError(f"{folder} holds {HEADS_FILE} but no file {OBJECTIVE_FILE}, which says of what they are")
        return model
    # One error for whatever is wrong with the two files: the heads are of no use without their description.
    described, heads = read_json(folder / OBJECTIVE_FILE), _stored_heads(folder)
    try:
        name, options = described["name"], described["options"]
        objective = build(name, model, **options)
        objective.load_state_dict(heads)  # strictly: a missing head would be a random one
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{folder / OBJECTIVE_FILE} or {HEADS_FILE} is damaged or missing: {error}") from error
    return ObjectiveModel(model, objective, name=name, options=options).eval()


def _stored_heads(folder: Path) -> dict[str, Tensor]:
    try:
        check_weights(folder, HEADS_FILE)
        heads: dict[str, Tensor] = load_file(folder / HEADS_FILE)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{folder / HEADS_FILE} is damaged or missing: {error}") from error
    # As with the encoders: such heads would score every pair alike, without an error.
    if spoilt := [name for name, value in heads.items() if not torch.isfinite(value).all()]:
        raise ValueError(f"{folder / HEADS_FILE} holds NaN or infinite values in {spoilt[0]}; export the model again")
    return heads
