"""CLIP, SigLIP and DINOv2 as transformers stores them: a folder with config.json and one file of weights."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, Dinov2Config, Dinov2Model, SiglipConfig, SiglipModel

from pedclip.artefacts import read_json
from pedclip.models.released.files import Located
from pedclip.models.released.films import FilmTransform
from pedclip.models.released.fitting import fit_transformers
from pedclip.models.released.outputs import ReleasedImage, ReleasedText, unit
from pedclip.models.released.release import Release

# By the "model_type" of config.json.
_KINDS: Final[dict[str, tuple[Any, Any]]] = {
    "clip": (CLIPConfig, CLIPModel),
    "siglip": (SiglipConfig, SiglipModel),
    "dinov2": (Dinov2Config, Dinov2Model),
}


class TransformersNetwork(nn.Module):
    """One of the three models behind one pair of methods.

    Args:
        network: The model of transformers.
        kind: "clip", "siglip" or "dinov2".
    """

    def __init__(self, network: nn.Module, kind: str) -> None:
        super().__init__()
        self.network: Any = network
        self.kind = kind

    @property
    def logit_scale(self) -> Tensor:
        """() logarithm of the factor of the cosines."""
        scale: Tensor = self.network.logit_scale
        return scale.reshape(())

    @property
    def logit_bias(self) -> Tensor | None:
        """() addend of the scaled cosines; None outside SigLIP."""
        return self.network.logit_bias.reshape(()) if self.kind == "siglip" else None

    def encode_image(self, pixels: Tensor) -> ReleasedImage:
        """Features of pixels (B, 3, H, W)."""
        # DINOv2 pools its image token after the last normalization, and projects nothing.
        if self.kind == "dinov2":
            output = self.network(pixel_values=pixels)
            return ReleasedImage(unit(output.pooler_output), output.last_hidden_state)
        output = self.network.vision_model(pixel_values=pixels)
        tokens, pooled = output.last_hidden_state, output.pooler_output
        if self.kind == "clip":
            return ReleasedImage(unit(self.network.visual_projection(pooled)), tokens)
        # SigLIP has no image token: the pooled feature takes its row, (B, S, C) → (B, 1+S, C).
        return ReleasedImage(unit(pooled), torch.cat([pooled[:, None], tokens], dim=1))

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> ReleasedText:
        """Features of token ids and mask (B, T).

        Raises:
            ValueError: Texts of a SigLIP are not padded to its full length: it pools the last position.
        """
        if self.kind == "clip":
            output = self.network.text_model(input_ids=input_ids, attention_mask=attention_mask)
            return ReleasedText(unit(self.network.text_projection(output.pooler_output)), output.last_hidden_state)
        # Shorter padding would pool another token, without an error.
        length = self.network.config.text_config.max_position_embeddings
        if input_ids.shape[1] != length:
            raise ValueError(
                f"input_ids has {input_ids.shape[1]} tokens; SigLIP pools the last of {length} positions and was "
                f"trained on texts padded to them: use the model's own tokenize"
            )
        # Without the mask: in its training the padding was attended to, too.
        output = self.network.text_model(input_ids=input_ids)
        return ReleasedText(unit(output.pooler_output), output.last_hidden_state)


def build_transformers(
    release: Release, weights: Mapping[str, Tensor], place: Located
) -> tuple[TransformersNetwork, Release]:
    """The network of a folder of transformers, and its record with what the folder says.

    Args:
        release: Record, perhaps of a model that is described nowhere but in its folder.
        weights: Tensors (…,) by their published names.
        place: Of the folder.

    Returns:
        The network, and the record with recipe and length of texts filled in.

    Raises:
        FileNotFoundError: ``config.json`` or ``preprocessor_config.json`` is not beside the weights.
        ValueError: It is a model of another kind or size than the record says, or the weights do not fit it.
    """
    content = _companion(place, "config.json")
    kind = str(content.get("model_type", "")) if isinstance(content, Mapping) else ""
    if kind not in _KINDS:
        raise ValueError(
            f"{release.name} is of the kind {kind or 'unknown'!r}; this door reads {', '.join(_KINDS)} of transformers"
        )
    config_class, model_class = _KINDS[kind]
    config = config_class.from_dict(dict(content))
    _check_kind(release, kind, config, place)
    # Positions stood in older files; they are counted by now.
    kept = {name: value for name, value in weights.items() if not name.endswith("embeddings.position_ids")}
    network, fit = fit_transformers(model_class, config, kept)
    fit.check(place.weights, release.layout)
    # A record of ours knows the recipe of the authors where the folder holds another one.
    recipe = release.transform or FilmTransform.from_preprocessor(_companion(place, "preprocessor_config.json"))
    # 0 tells everyone that there are no texts.
    length = 0 if kind == "dinov2" else int(network.config.text_config.max_position_embeddings)
    return TransformersNetwork(network, kind), replace(release, transform=recipe, max_tokens=length)


def _check_kind(release: Release, kind: str, config: Any, place: Located) -> None:
    # A CLIP answers under the name of any other one, with the recipe and the prompts of the wrong authors.
    tower = config if kind == "dinov2" else config.vision_config
    found = (kind, tower.image_size, tower.patch_size)
    expected = (release.kind or kind, release.image_size or found[1], release.patch_size or found[2])
    if found != expected:
        words = "{} of {} pixels in patches of {}"
        raise ValueError(
            f"{place.folder} holds a {words.format(*found)}; {release.title} is a {words.format(*expected)}.\n"
            f"  Pass a folder of {release.source},\n"
            f"  or load_released('OWNER/MODEL', {str(place.folder)!r}) for a model that has no record"
        )


def _companion(place: Located, name: str) -> Any:
    path = place.companion(name)
    if path is None:
        raise FileNotFoundError(
            f"there is no {name} beside {place.weights}: fetch it from the same place as the weights"
        )
    return read_json(path)
