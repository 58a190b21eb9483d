"""The door: from a name, and perhaps a path, to a model that is ready to use."""

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from pedclip.models.released.files import locate, read_tensors
from pedclip.models.released.model import ReleasedModel
from pedclip.models.released.open_clip_models import build_open_clip
from pedclip.models.released.release import OPEN_CLIP, TRANSFORMERS, TWO_TOWERS, find_release
from pedclip.models.released.tokens import OpenCLIPTokens, Tokens, check_vocabulary, load_tokens
from pedclip.models.released.transformers_models import build_transformers
from pedclip.models.released.two_towers import build_two_towers
from pedclip.weights.installed import sha256_of

_FOLDER = "local-dir:"


def load_released(name: str, path: str | Path | None = None, *, keys: Mapping[str, str] | None = None) -> ReleasedModel:
    """Somebody else's weights with their own transform, tokenizer, prompts and score, in evaluation mode.

    Args:
        name: One of `list_released`; "open_clip:ViT-B-32", "hf-hub:OWNER/MODEL" or "local-dir:FOLDER" for whatever
            open_clip builds; or "OWNER/MODEL" of a CLIP, SigLIP or DINOv2 of transformers.
        path: File with the weights, or folder that holds it; None asks the hub.
        keys: Prefixes of the published names by part, such as ``{"image": "encoder."}``, where a file is named
            otherwise than its record says; see `Towers`. ``{"": "model."}`` for one before all names.

    Raises:
        FileNotFoundError: The weights, their configuration or their tokenizer are not there; the message says which
            file, from where, under which licence, and what to pass.
        ModuleNotFoundError: The model needs open_clip, which is not installed.
        ValueError: The name is unknown, the weights or the tokenizer are of another model, a tensor is missing or left
            over, or a file is damaged or cannot be read without running code in it.
    """
    release = find_release(name)
    # The name of a folder is its path.
    if path is None and name.startswith(_FOLDER):
        path = name.removeprefix(_FOLDER)
    # Refused rather than passed over.
    if keys is not None and release.family != TWO_TOWERS:
        raise ValueError(f"keys={dict(keys)!r} has no use: {name} is read by its library, with the names of the file")
    place = locate(release, path)
    tokens: Tokens | OpenCLIPTokens | None = None
    network: nn.Module
    # Three families, three readers; all of them strict.
    if release.family == OPEN_CLIP:
        network, release, tokenizer = build_open_clip(release, place)
        tokens = OpenCLIPTokens(tokenizer)
    else:
        weights = read_tensors(place.weights)
        if release.family == TRANSFORMERS:
            network, release = build_transformers(release, weights, place)
        else:
            network = build_two_towers(release, weights, place.weights, keys=keys)
        # After the weights: the folder of a model of transformers tells whether it has texts.
        tokens = load_tokens(release, place) if release.has_text else None
    if tokens is not None:
        check_vocabulary(tokens, network, release)
    return ReleasedModel(release, network, tokens=tokens, sha256=sha256_of(place.weights)).eval()
