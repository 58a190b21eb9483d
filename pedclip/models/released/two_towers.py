"""Networks of an image tower, a text tower and their heads, from a file whose names a record describes."""

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pedclip.models.released.files import some
from pedclip.models.released.fitting import Fit, fit_module
from pedclip.models.released.image_towers import build_image_tower
from pedclip.models.released.outputs import ReleasedImage, ReleasedText, unit
from pedclip.models.released.release import BATCHNORM, LINEAR, PARTS, Release, Towers
from pedclip.models.released.text_towers import build_text_tower


class TwoTowers(nn.Module):
    """An image and a text tower with their heads.

    Args:
        image: Pixels (B, 3, H, W) to pooled (B, C), dense (B, 1+S, C) and perhaps a map (B, C', h, w).
        text: Token ids and mask (B, T) to pooled (B, C) and tokens (B, T, C).
        image_head: (B, C) to (B, D).
        text_head: (B, C) to (B, D).
        region_head: Map (B, C', h, w) to (B, D, h, w); None where no score needs it.
        logit_scale: () logarithm of the factor of the cosines.
        upsample: Height and width that the pixels are resized to first; 0 for none.
    """

    logit_scale: Tensor

    def __init__(
        self,
        image: nn.Module,
        text: nn.Module,
        *,
        image_head: nn.Module,
        text_head: nn.Module,
        region_head: nn.Module | None = None,
        logit_scale: Tensor | None = None,
        upsample: int = 0,
    ) -> None:
        super().__init__()
        self.image, self.image_head, self.region_head = image, image_head, region_head
        self.text, self.text_head = text, text_head
        self.register_buffer("logit_scale", torch.zeros(()) if logit_scale is None else logit_scale.reshape(()))
        self.upsample = upsample

    def encode_image(self, pixels: Tensor) -> ReleasedImage:
        """Features of pixels (B, 3, H, W)."""
        # ResNets of GLoRIA, MGCA and BenchX see 299 pixels, for a finer map.
        if self.upsample:
            size = (self.upsample, self.upsample)
            pixels = F.interpolate(pixels, size, mode="bilinear", align_corners=True)
        pooled, dense, *maps = self.image(pixels)
        regions = None
        # One more layer, for the words of a text to be compared with.
        if self.region_head is not None:
            regions = self.region_head(maps[0]).flatten(2).transpose(1, 2)  # (B, D, h, w) → (B, S', D)
        return ReleasedImage(unit(self.image_head(pooled)), dense, regions)

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> ReleasedText:
        """Features of token ids and mask (B, T)."""
        pooled, tokens = self.text(input_ids, attention_mask)
        return ReleasedText(unit(self.text_head(pooled)), tokens)


def build_two_towers(
    release: Release, weights: Mapping[str, Tensor], path: Path, *, keys: Mapping[str, str] | None = None
) -> TwoTowers:
    """The network of a record with its weights.

    Args:
        release: Of a model of two towers.
        weights: Published tensors (…,) of its file.
        path: Of the file, for messages.
        keys: Prefixes that replace those of the record, by part; that of "" stands before all names.

    Raises:
        ValueError: A tensor is missing, left over, of another shape, or without the prefix that all should have.
    """
    assert release.towers is not None
    assert release.transform is not None
    # A file that is named otherwise changes single prefixes; a model inside another one has one more.
    prefixes = dict(keys or {})
    weights = without_prefix(weights, prefixes.pop("", ""), path)
    towers = rename_parts(release.towers, prefixes)
    # Of no use where a library fixes the names.
    is_fixed = release.basis == "library"
    advice = "" if is_fixed else f"  if it is named otherwise, pass keys={{…}} for {', '.join(PARTS)} or '' (all)"
    parts, fit = split_parts(weights, towers)
    try:
        network = _build(towers, parts, release.transform.size, fit)
    except KeyError as error:
        # A tensor that tells a size is missing: mostly a file of another model, or other prefixes.
        beginnings = sorted({name.rsplit(".", 1)[0] for name in weights})
        raise ValueError(
            f"{path} does not have the expected layout ({release.layout})\n  missing: {error.args[0]}\n"
            f"  its names begin with: {some(beginnings)}\n{advice}".rstrip()
        ) from error
    fit.check(path, release.layout, advice)
    return network


def without_prefix(weights: Mapping[str, Tensor], prefix: str, path: Path) -> dict[str, Tensor]:
    """Tensors (…,) by their names without the prefix of all of them.

    Args:
        weights: By their published names.
        prefix: "" for none.
        path: Of the file, for the message.

    Raises:
        ValueError: A name does not begin with it.
    """
    # "m.a" and "a" would become one name, of which the last in the file would win.
    if others := sorted(name for name in weights if not name.startswith(prefix)):
        raise ValueError(
            f"{path}: keys={{'': {prefix!r}}} is for a prefix of all names, and {len(others)} of {len(weights)} do not "
            f"begin with it: {some(others)}\n"
            f"  if it belongs to one part, pass keys={{…}} for {', '.join(PARTS)}; else remove the others from the file"
        )
    return {name.removeprefix(prefix): value for name, value in weights.items()}


def rename_parts(towers: Towers, keys: Mapping[str, str]) -> Towers:
    """Architecture of a file whose parts have other prefixes; the names to drop within a part move along with it.

    Args:
        towers: Of the record.
        keys: New prefix by part.

    Raises:
        ValueError: A part is unknown.
    """

    def moved(pattern: str) -> str:
        owners = [part for part in keys if towers.keys.get(part) and pattern.startswith(towers.keys[part])]
        if not owners:
            return pattern
        # As in the file itself, the longest prefix wins.
        part = max(owners, key=lambda part: len(towers.keys[part]))
        return keys[part] + pattern.removeprefix(towers.keys[part])

    return replace(towers, keys={**towers.keys, **keys}, drop=tuple(moved(pattern) for pattern in towers.drop))


def split_parts(weights: Mapping[str, Tensor], towers: Towers) -> tuple[dict[str, dict[str, Tensor]], Fit]:
    """Tensors (…,) of each part by their names without its prefix, and those that belong to none."""
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in towers.keys}
    fit = Fit()
    for name, value in weights.items():
        # Known and useless, such as a head of the pre-training.
        if any(fnmatchcase(name, pattern) for pattern in towers.drop):
            continue
        # The longest prefix wins: that of CLIP's texts is empty.
        fitting = [part for part, prefix in towers.keys.items() if name.startswith(prefix)]
        if fitting:
            part = max(fitting, key=lambda part: len(towers.keys[part]))
            parts[part][name.removeprefix(towers.keys[part])] = value
        else:
            fit.left_over.append(name)
    return parts, fit


def _build(towers: Towers, parts: dict[str, dict[str, Tensor]], image_size: int, fit: Fit) -> TwoTowers:
    keys = towers.keys
    # Each part reports its own misfits; they are raised together.
    with _named(keys["image"]):
        image, misfit = build_image_tower(
            towers.image, parts["image"], prefix=keys["image"], image_size=towers.upsample or image_size
        )
    fit.add(misfit)
    with _named(keys["text"]):
        text, misfit = build_text_tower(
            towers.text,
            parts["text"],
            prefix=keys["text"],
            layers=towers.layers,
            combine=towers.combine,
            pool=towers.pool,
        )
    fit.add(misfit)
    # CLIP's projections are inside its towers, so a part may be absent.
    heads: dict[str, nn.Module] = {}
    for part, layers in (("image_head", towers.image_head), ("text_head", towers.text_head)):
        with _named(keys.get(part, "")):
            heads[part] = build_head(layers, parts.get(part, {}))
        fit.add(fit_module(heads[part], parts.get(part, {}), keys.get(part, "")))
    if "region_head" in keys:
        with _named(keys["region_head"]):
            width, channels, *_ = parts["region_head"]["weight"].shape
        # A linear layer at every place of the map: (B, C', h, w) → (B, D, h, w).
        heads["region_head"] = nn.Conv2d(channels, width, 1, bias=False)
        fit.add(fit_module(heads["region_head"], parts["region_head"], keys["region_head"]))
    scale = None
    if "logit_scale" in keys:
        with _named(keys["logit_scale"]):
            scale = parts["logit_scale"][""]
        # No module owns it, so nobody else would look.
        if scale.numel() != 1:
            fit.other_shape.append(f"{keys['logit_scale']} {tuple(scale.shape)} for ()")
            scale = scale.new_zeros(())
        if not scale.is_floating_point():
            fit.other_type.append(f"{keys['logit_scale']} {scale.dtype} for floats")
    return TwoTowers(image, text, **heads, logit_scale=scale, upsample=towers.upsample)  # type: ignore[arg-type]


def build_head(layers: tuple[str, ...], weights: Mapping[str, Tensor]) -> nn.Module:
    """A head without its weights, whose widths are read from them.

    Args:
        layers: Words of ``release.Towers``, in order.
        weights: Published tensors (…,) of the head, without the prefix.

    Raises:
        KeyError: A tensor that tells a width is missing.
    """
    if not layers:
        return nn.Identity()
    built = nn.Sequential()
    for number, layer in enumerate(layers):
        # One layer alone has no number in its name.
        prefix = f"{number}." if len(layers) > 1 else ""
        if layer in LINEAR:
            width, channels = weights[f"{prefix}weight"].shape
            # Two versions of MedCLIP differ in it; all others are told, and what is missing is an error.
            has_bias = LINEAR[layer]
            built.append(nn.Linear(channels, width, bias=f"{prefix}bias" in weights if has_bias is None else has_bias))
        elif layer in BATCHNORM:
            width = weights[f"{prefix}running_mean"].shape[0]
            built.append(nn.BatchNorm1d(width, affine=BATCHNORM[layer]))
        else:
            built.append(nn.GELU() if layer == "gelu" else nn.ReLU())
    return built if len(layers) > 1 else built[0]


class _named:
    """A block in which a missing name is raised with its prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KeyError):
            raise KeyError(f"{self.prefix}{error.args[0]}") from error
