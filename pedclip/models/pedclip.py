"""PedCLIP: a radiograph encoder with body-part experts and a text encoder in one embedding space."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_model
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertModel, PreTrainedTokenizerBase

from pedclip.artefacts import atomic_folder, read_json, write_json
from pedclip.models.checkpoint_files import HELD, TEXT_FOLDER, check_layout, check_weights, write_checksums
from pedclip.models.checkpoint_files import WEIGHTS_FILE as WEIGHTS_FILE
from pedclip.models.config import PedCLIPConfig
from pedclip.models.encoders import build_image_encoder
from pedclip.models.image import ImageFeatures
from pedclip.models.starting_points import RANDOM
from pedclip.models.text import TextEncoder, load_tokenizer
from pedclip.models.text import TextFeatures as TextFeatures
from pedclip.triplets.transforms import Preprocess
from pedclip.weights import SHIPPED, shipped_folder

Described = TypeVar("Described")
# A cosine divided by less than this makes one pair own the softmax (the bound of CLIP, logit scale at most 100).
LOWEST_TEMPERATURE: Final = 0.01


class PedCLIP(nn.Module):
    """Dual encoder of radiographs and report excerpts.

    Args:
        config: Architecture.
        tokenizer: Its vocabulary sizes the text encoder; None takes the one of ``text_weights``.
        image_weights: Starting point of the image encoder; see ``pedclip.models.starting_points``.
        text_weights: Starting point of the text encoder, such as "emilyalsentzer/Bio_ClinicalBERT".
        text_encoder: A ready text encoder instead of one made from ``config`` or ``text_weights``.
        preprocess: How stored films become pixels; None derives it from the architecture.

    Raises:
        ValueError: No tokenizer is given, or named weights are of another architecture.
        OSError: Named weights cannot be reached.

    Source: PedCLIP, sections 2.2 and 2.3 and Fig. 3. Differs: decisions P1 to P9 are fields of ``PedCLIPConfig``.
    """

    def __init__(
        self,
        config: PedCLIPConfig,
        *,
        tokenizer: PreTrainedTokenizerBase | None = None,
        image_weights: str = RANDOM,
        text_weights: str = RANDOM,
        text_encoder: TextEncoder | None = None,
        preprocess: Preprocess | None = None,
    ) -> None:
        super().__init__()
        if tokenizer is None and text_weights == RANDOM:
            raise ValueError("PedCLIP needs tokenizer=… (see pedclip.models.text.train_tokenizer) or text_weights=…")
        self.config = config
        self.tokenizer = tokenizer or load_tokenizer(text_weights)
        # Weights of this package are whole encoders, experts included: they are loaded below.
        image_start = RANDOM if image_weights in SHIPPED else image_weights
        self.image_encoder = build_image_encoder(config, weights=image_start)
        self.preprocess = preprocess or default_preprocess(config.image_size, self.image_encoder.pretrained_cfg)
        self.text_encoder = text_encoder or self._build_text(text_weights)
        for part, weights in (("image", image_weights), ("text", text_weights)):
            if weights in SHIPPED:
                self._load_encoder(part, weights)
        self.image_projection = self._projection(self.image_encoder.width)
        self.text_projection = self._projection(self.text_encoder.width)
        # The logarithm: τ stays positive whatever the optimizer does, and a step changes it by a factor.
        log_temperature = torch.tensor(math.log(config.temperature))
        if config.learn_temperature:
            self.log_temperature = nn.Parameter(log_temperature)
        else:
            # A buffer is stored in the same place, so that both kinds of checkpoint have the same names.
            self.register_buffer("log_temperature", log_temperature)

    def _build_text(self, text_weights: str) -> TextEncoder:
        if text_weights in SHIPPED:
            return TextEncoder.from_config(shipped_folder(text_weights) / TEXT_FOLDER)
        if text_weights != RANDOM:
            return TextEncoder.from_weights(text_weights)
        config = self.config
        return TextEncoder.from_sizes(
            vocab_size=len(self.tokenizer),
            width=config.text_width,
            depth=config.text_depth,
            heads=config.text_heads,
            max_tokens=config.max_text_tokens,
        )

    def _load_encoder(self, part: str, shipped: str) -> None:
        folder, prefix = shipped_folder(shipped), f"{part}_encoder."
        if part == "image":
            check_same_architecture(self.config, shipped)
        check_weights(folder)
        weights = load_file(folder / WEIGHTS_FILE)
        own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        getattr(self, f"{part}_encoder").load_state_dict(own)

    def _projection(self, width: int) -> nn.Module:
        # No head is drawn in Fig. 3 and sim(v, t) is written as v · t, which needs one width (decision P8).
        joint = self.config.projection_dim or self.image_encoder.width
        is_needed = self.config.projection_dim > 0 or width != joint
        return nn.Linear(width, joint, bias=False) if is_needed else nn.Identity()

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        rows, columns = self.image_encoder.grid
        return rows, columns

    @property
    def temperature(self) -> Tensor:
        """() divisor of the cosines in the contrastive loss, at least 0.01."""
        return self.log_temperature.exp().clamp(min=LOWEST_TEMPERATURE)

    def encode_image(self, pixels: Tensor, region: Tensor | None = None) -> ImageFeatures:
        """Embed radiographs.

        Args:
            pixels: (B, 3, H, W) as made by ``preprocess``.
            region: (B,) indices into ``config.regions`` for teacher forcing; None lets the gate decide.

        Returns:
            Unit embeddings, gate logits, and patch features on demand.

        Raises:
            ValueError: The shape is not what the architecture takes.
        """
        side = self.config.image_size
        if pixels.dim() != 4 or pixels.shape[1:] != (3, side, side):
            raise ValueError(f"pixels has shape {tuple(pixels.shape)}; expected (B, 3, {side}, {side})")
        # (B, C), then as documented; a residual network adds its local map.
        pooled, gate_logits, dense, finish, attend, *local = self.image_encoder(pixels, region)
        embedding = self._unit(self.image_projection(pooled))
        return ImageFeatures(embedding, gate_logits, dense, finish, attend, local[0] if local else None, pooled)

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> TextFeatures:
        """Embed tokenized excerpts or prompts.

        Args:
            input_ids: (B, T) token ids.
            attention_mask: (B, T), 1 on text and 0 on padding.

        Returns:
            Unit embeddings of [CLS] (decision P9), the token features of all layers, and attention on demand.
        """
        hidden = self.text_encoder(input_ids, attention_mask)
        tokens = hidden[-1]  # (B, T, C)
        # Row 0 is [CLS]: (B, C) → (B, D).
        embedding = self._unit(self.text_projection(tokens[:, 0]))
        return TextFeatures(
            embedding, tokens, hidden, lambda: self.text_encoder.cls_attention(hidden[-2], attention_mask)
        )

    def embed_patches(self, image: ImageFeatures) -> Tensor:
        """Patches in the joint space, by the same normalization and projection as the image token.

        Of a ViT they are those that enter the last block: the loss reads the image token alone, so that the patch rows
        behind the last block come from expert weights that no patch has trained. Of a residual network they are the
        places of the last stage, whose mean is the film's embedding before it is brought to length one.

        Args:
            image: Of B films.

        Returns:
            (B, S, D) unit vectors, in the rows and columns of ``image_encoder.grid``.
        """
        return self._unit(self.image_projection(self.image_encoder.normalize(image.dense[:, 1:])))

    @staticmethod
    def _unit(embedding: Tensor) -> Tensor:
        # At least float32: below 1, a cosine in bf16 moves in steps of 0.004.
        return F.normalize(embedding.to(torch.promote_types(embedding.dtype, torch.float32)), dim=-1)

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Token ids and mask of a batch of texts, cut at ``config.max_text_tokens``.

        Returns:
            ``input_ids`` and ``attention_mask``, both (B, T) with T the longest text of the batch.
        """
        encoded = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.config.max_text_tokens, return_tensors="pt"
        )
        return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}

    def untrained(self, seed: int) -> "PedCLIP":
        """The same architecture, tokenizer and preprocessing with random weights: the baseline of every claim.

        Args:
            seed: Of the initial weights.
        """
        # Drawn apart, so that asking for a baseline does not shift the random numbers of its caller.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the GPUs, too
            encoder = TextEncoder(BertModel(self.text_encoder.bert.config, add_pooling_layer=False))
            return PedCLIP(
                self.config, tokenizer=self.tokenizer, text_encoder=encoder, preprocess=self.preprocess
            ).eval()

    def save_pretrained(
        self,
        path: str | Path,
        *,
        card: str = "",
        half: bool = False,
        add: Callable[[Path], None] | None = None,
    ) -> Path:
        """Write the whole model as one folder: weights, configuration, preprocessing, tokenizer, card.

        The folder appears complete or not at all. Nothing in it is pickled. ``checksums.json`` holds the SHA-256 of
        ``model.safetensors``, and of ``heads.safetensors`` where ``add`` writes one; loading checks them.

        Args:
            path: Destination folder; an existing one of a PedCLIP is replaced.
            card: Markdown for its README.md: data, licence, metrics, how it was made.
            half: Store 16-bit floating-point weights, half the size on disk; loading makes them 32-bit again.
            add: Writes further files into the folder before it appears, such as the heads of an objective.

        Returns:
            The destination.

        Raises:
            FileExistsError: The folder holds something else; nothing was changed.
        """
        # A copy, since half() converts in place.
        stored = copy.deepcopy(self).half() if half else self
        with atomic_folder(path, holds=HELD) as folder:
            save_model(stored, str(folder / WEIGHTS_FILE))
            write_json(folder / "config.json", asdict(self.config))
            write_json(folder / "preprocess.json", self.preprocess.to_json())
            # A folder as transformers reads it: the text encoder's sizes beside its tokenizer.
            self.text_encoder.bert.config.save_pretrained(folder / "text")
            self.tokenizer.save_pretrained(folder / "text")
            (folder / "README.md").write_text(card or "PedCLIP checkpoint. Research only, never for diagnosis.\n")
            if add is not None:
                add(folder)
            write_checksums(folder)  # last: heads of an objective are among what was added
        return Path(path)

    @classmethod
    def from_pretrained(cls, path_or_hub_id: str | Path) -> "PedCLIP":
        """Model and preprocessing from a folder of ``save_pretrained`` or from a hub repository of that layout.

        The encoders alone: of a rival, ``pedclip.objectives.open_model`` opens the heads too.

        Args:
            path_or_hub_id: A folder, a hub repository, or "pedclip-phantom-small": weights inside this package, small
                and trained on drawn films from ImageNet stages on, which need no network.

        Raises:
            OSError: There is no such folder and the hub cannot be reached; or a file of the folder is missing or is
                itself a folder.
            ValueError: A file is damaged or does not fit the others, a weight is NaN or infinite, or the weights are
                not those of ``checksums.json`` (where there is one); the message names the file.
        """
        folder = local_folder(path_or_hub_id)
        check_layout(folder)
        check_weights(folder)
        config = _described(folder / "config.json", lambda values: PedCLIPConfig(**values))
        preprocess = _described(folder / "preprocess.json", Preprocess.from_json)
        tokenizer, text = load_tokenizer(str(folder / "text")), TextEncoder.from_config(folder / "text")
        # copy_expert would only be overwritten; "random" skips it.
        drawn = replace(config, expert_init="random")
        try:
            model = cls(drawn, tokenizer=tokenizer, text_encoder=text, preprocess=preprocess)
        # What timm raises where an architecture is no ViT, or takes no such sizes.
        except (RuntimeError, TypeError, AttributeError, AssertionError) as error:
            what = f"image_architecture={config.image_architecture!r}"
            raise ValueError(f"{folder / 'config.json'}: {what} makes no ViT of these sizes: {error}") from error
        model.config = config  # as stored: saving again loses nothing
        try:
            weights = load_file(folder / WEIGHTS_FILE)
            model.load_state_dict(weights)  # strictly, and 16-bit values widen on copying
        except SafetensorError as error:
            raise ValueError(f"{folder / WEIGHTS_FILE} is damaged: {error}") from error
        except RuntimeError as error:
            raise ValueError(f"{folder / WEIGHTS_FILE} does not fit {folder / 'config.json'}: {error}") from error
        # Such weights would answer every film alike, without an error.
        if spoilt := [name for name, value in weights.items() if not torch.isfinite(value).all()]:
            raise ValueError(f"{folder / WEIGHTS_FILE} holds NaN or infinite values in {spoilt[0]}")
        return model.eval()


def check_same_architecture(config: PedCLIPConfig, shipped: str) -> None:
    """Make sure that the image encoder of this package's weights means in a model what it meant where it was trained.

    Args:
        config: Of the model.
        shipped: Name of weights of this package.

    Raises:
        ValueError: Regions, layers of experts, the gate's input or a size differ; the message names the first.
    """
    # Experts of other regions, or a gate with another input, have the same shapes and mean something else.
    known = _described(shipped_folder(shipped) / "config.json", lambda values: PedCLIPConfig(**values))
    names = (
        "regions",
        "mobe_layers",
        "gate_input",
        "expert_width",
        *(name for name in asdict(known) if name.startswith("image_")),
    )
    for name in names:
        own, theirs = getattr(config, name), getattr(known, name)
        if own != theirs:
            raise ValueError(
                f"image_weights={shipped!r} is of another architecture than this configuration: it has "
                f"{name}={theirs!r}, not {own!r}"
            )


def default_preprocess(image_size: int, pretrained_cfg: Mapping[str, Any] | None) -> Preprocess:
    """Preprocessing of an architecture: resize to 8/7 of the input, crop, the mean and deviation its weights expect.

    Source: decision P13 (256 → 224). timm's ViT weights want 0.5, not the ImageNet statistics.
    """
    half = (0.5, 0.5, 0.5)
    known = pretrained_cfg or {}
    mean, std = known.get("mean", half), known.get("std", half)
    return Preprocess(size=image_size, resize=round(image_size * 8 / 7), mean=tuple(mean), std=tuple(std))


def _described(path: Path, make: Callable[[Any], Described]) -> Described:
    content = read_json(path)
    try:
        return make(content)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: {error}") from error


def local_folder(path_or_hub_id: str | Path) -> Path:
    """Folder of a model on this disk: the one named, that of the package, or a copy from the hub.

    Raises:
        OSError: There is none, and the hub cannot be reached.
    """
    folder = Path(path_or_hub_id)
    if folder.is_dir():
        return folder
    if str(path_or_hub_id) in SHIPPED:
        return shipped_folder(str(path_or_hub_id))
    try:
        return Path(snapshot_download(str(path_or_hub_id)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise OSError(
            f"no checkpoint at {str(path_or_hub_id)!r}: it is no folder here, and the hub did not answer "
            f"({type(error).__name__}).\n"
            "  Pass a folder written by save_pretrained, such as runs/03_pretrain/demo/checkpoint,\n"
            f"  or the weights inside this package: {SHIPPED[0]}"
        ) from error
