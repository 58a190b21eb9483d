"""Records of other people's weights: where they are, under which licence, how they are read and what goes wrong.

The records are data, one file each in the folder ``releases``. Their "layout" says how the tensors are named, and
their "basis" on what that rests. No file of weights was seen itself, so a surprise is an error that names the tensors.
Wordings of prompts are ours where the authors print none; "traps" says so.
"""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any, Final

from pedclip.models.released.films import FilmTransform

OPEN_CLIP: Final = "open_clip"
TRANSFORMERS: Final = "transformers"
TWO_TOWERS: Final = "two towers"
FAMILIES: Final = (OPEN_CLIP, TRANSFORMERS, TWO_TOWERS)
KINDS: Final = ("clip", "siglip", "dinov2")  # "model_type" in the config.json of transformers
# Prefixes of the models that open_clip alone knows.
OPEN_CLIP_PREFIXES: Final = ("open_clip:", "hf-hub:", "local-dir:")
SCORES: Final = ("cosine", "softmax of the pair", "mean of the scaled logits", "local and global")
# What a layout rests on: a library that writes such files, the authors' code as read, or less.
BASES: Final = ("library", "code", "memory", "guess")
# The second Swin pools the first place of its map, as CXR-CLIP does.
IMAGE_TOWERS: Final = ("timm vit", "openai", "resnet50", "swin", "swin, first place")
TEXT_TOWERS: Final = ("openai", "bert")
POOLS: Final = ("cls", "end", "mean")
# Parts of a network of two towers; each has its own prefix in the published file.
PARTS: Final = ("image", "image_head", "region_head", "text", "text_head", "logit_scale")
# Whether a layer has a bias is told, not guessed: a file without it would pass unnoticed.
LINEAR: Final = {"linear": True, "linear without bias": False, "linear, biased if stored": None}
BATCHNORM: Final = {"batchnorm": True, "batchnorm without factors": False}
_LAYERS: Final = (*LINEAR, *BATCHNORM, "gelu", "relu")


@dataclass(frozen=True)
class Towers:
    """Architecture of a network of two towers; all sizes are read from the weights.

    Args:
        image: Kind of the image tower.
        text: Kind of the text tower.
        keys: Prefix in the published file of each part.
        drop: Patterns (``fnmatch``) of published keys that an embedding does not need.
        image_head: Layers between the pooled image and the joint space, numbered from 0 in the file if several.
        text_head: The same for texts.
        upsample: Height and width that the pixels are resized to inside the network, pixels; 0 for none.
        layers: Hidden states of a BERT that are put together, as indices into all of them; the last one only if empty.
        combine: "mean" or "sum" of these layers.
        pool: Pooling of a BERT over its tokens.

    Raises:
        ValueError: A value is unknown.
    """

    image: str
    text: str
    keys: Mapping[str, str]
    drop: tuple[str, ...] = ()
    image_head: tuple[str, ...] = ()
    text_head: tuple[str, ...] = ()
    upsample: int = 0
    layers: tuple[int, ...] = (-1,)
    combine: str = "mean"
    pool: str = "cls"

    def __post_init__(self) -> None:
        # One line per word that has a list of its own.
        known = ((self.image, IMAGE_TOWERS), (self.text, TEXT_TOWERS), (self.pool, POOLS))
        for value, choices in (*known, (self.combine, ("mean", "sum"))):
            if value not in choices:
                raise ValueError(f"{value!r} is unknown; expected one of {', '.join(choices)}")
        if unknown := {*self.image_head, *self.text_head} - {*_LAYERS}:
            raise ValueError(f"unknown layer {min(unknown)!r} of a head; expected some of {', '.join(_LAYERS)}")
        # A part that nobody reads would leave its tensors out.
        if unknown := {*self.keys} - {*PARTS}:
            raise ValueError(f"unknown part {min(unknown)!r}; expected some of {', '.join(PARTS)}")
        if missing := {"image", "text"} - {*self.keys}:
            raise ValueError(f"the keys of {min(missing)!r} are missing")


@dataclass(frozen=True)
class Release:
    """One record, a file of the folder ``releases``.

    Attributes:
        name: By which `load_released` knows it.
        title: As its authors call it.
        family: Code that reads it.
        source: Hub name, "" where no hub has the weights.
        link: Place of the weights in words or as an address, for a person.
        files: Names of the file with the weights, the preferred first.
        licence: Of the weights, with a note where it is not settled.
        paper: Reference.
        trained_on: Data; a test on the same data is not zero-shot.
        seen: Columns of PedCLIP's tables whose data set is known to be among them, such as "Pedi-CXR"; empty where
            none is known, which is no proof.
        layout: Names of the tensors in the file, and where they were read.
        basis: What the layout rests on: "library", "code", "memory" or "guess".
        traps: Ways to get other numbers than the authors.
        transform: Recipe of the films; None reads the ``preprocessor_config.json`` beside the weights.
        tokenizer: Hub name of the tokenizer, where none lies beside the weights; "" for the model's own.
        max_tokens: Longest text; longer ones are cut. 0 for a model without texts.
        padding: "max_length" or "longest" text of the batch.
        positive: Templates that say a finding is there.
        negative: Templates that say it is not.
        num_prompts: Most prompts per answer, evenly taken from all; 0 for all.
        score: Kind of zero-shot score.
        towers: Architecture, for two towers.
        kind: "clip", "siglip" or "dinov2", for transformers; "" takes that of the folder.
        image_size: Height and width of its films, pixels; 0 takes that of the folder.
        patch_size: Height and width of its patches, pixels; 0 takes that of the folder.

    Raises:
        ValueError: A value is unknown, or two do not fit each other.
    """

    name: str
    title: str
    family: str
    source: str
    link: str
    files: tuple[str, ...]
    licence: str
    paper: str
    trained_on: str
    layout: str
    basis: str
    traps: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    transform: FilmTransform | None = None
    tokenizer: str = ""
    max_tokens: int = 0
    padding: str = "max_length"
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    num_prompts: int = 0
    score: str = "cosine"
    towers: Towers | None = None
    kind: str = ""
    image_size: int = 0
    patch_size: int = 0

    def __post_init__(self) -> None:
        for value, choices in (
            (self.family, FAMILIES),
            (self.basis, BASES),
            (self.score, SCORES),
            (self.padding, ("max_length", "longest")),
            (self.kind or KINDS[0], KINDS),  # "" says nothing
        ):
            if value not in choices:
                raise ValueError(f"{self.name}: {value!r} is unknown; expected one of {', '.join(choices)}")
        # The other families read their architecture from files of their libraries.
        if (self.towers is not None) != (self.family == TWO_TOWERS):
            raise ValueError(f"{self.name}: towers are described for the family {TWO_TOWERS!r} and for no other")
        if self.family != TRANSFORMERS and (self.kind or self.image_size or self.patch_size):
            raise ValueError(
                f"{self.name}: kind and sizes are compared for the family {TRANSFORMERS!r} and for no other"
            )
        # These three are what a person needs who does not have the file.
        if not (self.files and self.licence and self.link):
            raise ValueError(f"{self.name}: files, licence and link must say something, be it 'unknown'")

    @property
    def has_text(self) -> bool:
        """True if it embeds texts."""
        return self.max_tokens > 0


def release_names() -> tuple[str, ...]:
    """Names of all records, in alphabetical order."""
    return tuple(_entries())


def find_release(name: str) -> Release:
    """The record of a model.

    Args:
        name: Of a record, or its hub name; "open_clip:…", "hf-hub:…" or "local-dir:…" for a model of open_clip; or the
            hub name of a CLIP, SigLIP or DINOv2 of transformers, such as "openai/clip-vit-base-patch32".

    Raises:
        ValueError: Neither, or empty; the message suggests the nearest name.

    Example:
        >>> find_release("chexzero").max_tokens
        77
    """
    entries = _entries()
    # Nothing would fit the records that no hub has, whose source is empty, too.
    if not name.strip() or name in OPEN_CLIP_PREFIXES:
        raise ValueError(f"expected the name of released weights, got {name!r}; list_released() shows all names")
    # A record of ours goes before a hub of the same name.
    if name in entries:
        return entries[name]
    if name.startswith(OPEN_CLIP_PREFIXES):
        return _unknown(name, OPEN_CLIP, name.removeprefix("hf-hub:") if name.startswith("hf-hub:") else "")
    # The hub name of a record means that record, with the recipe of its authors.
    if known := [release for release in entries.values() if release.source == name]:
        return known[0]
    # A hub name has an owner; anything else is a slip of the pen.
    if name.count("/") == 1 and all(name.split("/")):
        return _unknown(name, TRANSFORMERS, name)
    close = difflib.get_close_matches(name.lower(), entries, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(
        f"no released weights are called {name!r}{hint}\n"
        f"  Known: {', '.join(entries)},\n"
        "  'open_clip:ARCHITECTURE', 'hf-hub:OWNER/MODEL', 'local-dir:FOLDER' (all read by open_clip),\n"
        "  or OWNER/MODEL of a CLIP, SigLIP or DINOv2 that transformers reads"
    )


def list_released() -> list[dict[str, str]]:
    """A table of all entries, one dictionary per row with the same keys in each.

    Example:
        >>> [row["licence"] for row in list_released() if row["name"] == "biomedclip"]
        ['MIT']
    """
    rows = []
    for release in _entries().values():
        # Words only, so that every row goes into a table as it is.
        facts = {"name": release.name, "title": release.title, "source": release.source or release.link}
        facts |= {"licence": release.licence, "score": release.score if release.has_text else "no texts"}
        facts |= {"trained on": release.trained_on, "paper": release.paper}
        facts |= {"layout": release.layout, "basis": release.basis}
        rows.append(facts)
    return rows


def read_release(name: str, entry: Mapping[str, Any]) -> Release:
    """A record from the content of its file.

    Raises:
        ValueError: A key is unknown or missing, or a value is out of its range; the message names the file.
    """
    try:
        _check_keys(Release, entry)
        # Lists become tuples: a record is frozen.
        content: dict[str, Any] = {key: _frozen(value) for key, value in entry.items()}
        if "transform" in entry:
            content["transform"] = FilmTransform.from_json(entry["transform"])
        if "towers" in entry:
            _check_keys(Towers, entry["towers"])
            content["towers"] = Towers(**{key: _frozen(value) for key, value in entry["towers"].items()})
        return Release(name=name, **content)
    except (TypeError, ValueError) as error:
        raise ValueError(f"releases/{name}.json: {error}") from error


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _check_keys(kind: type[Any], entry: Mapping[str, Any]) -> None:
    known = [field.name for field in fields(kind)]
    if unknown := [key for key in entry if key not in known]:
        raise ValueError(f"unknown key {unknown[0]!r}; expected some of {', '.join(known)}")


def _unknown(name: str, family: str, source: str) -> Release:
    """A record of a model that is not described here: its own files tell the sizes, the films and the texts."""
    return Release(
        name=name,
        title=name,
        family=family,
        source=source,
        link=f"https://huggingface.co/{source}" if source else "a local file or folder",
        # The order in which open_clip and transformers look for them.
        files=("open_clip_model.safetensors", "open_clip_pytorch_model.bin", "model.safetensors", "pytorch_model.bin")
        if family == OPEN_CLIP
        else ("model.safetensors", "pytorch_model.bin"),
        licence="unknown: read the card of the model",
        paper="see the card of the model",
        trained_on="unknown: read the card of the model",
        layout="as its library writes it",
        basis="library",
        max_tokens=77,
        positive=("{finding}",),
        negative=("no {finding}",),
    )


@cache
def _entries() -> dict[str, Release]:
    found = {}
    for file in sorted(files(__package__).joinpath("releases").iterdir(), key=lambda file: file.name):
        name, dot, ending = file.name.rpartition(".")
        # A desktop leaves files of its own in any folder.
        if (dot, ending) == (".", "json") and name:
            found[name] = read_release(name, json.loads(file.read_text(encoding="utf-8")))
    return found
