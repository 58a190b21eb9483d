"""Generic pictures with captions: shapes, numbers, relations, textures and photographs, without any download."""

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pedclip.synthesis.flow.generic.shapes import Canvas, coverage, grid, texture

_KINDS: Final = {"one": 0.3, "several": 0.2, "pair": 0.25, "texture": 0.15, "photograph": 0.1}  # share of each
_LEAST_CONTRAST: Final = 0.25  # between a thing and what lies behind it
_GRAIN: Final = 0.02
Item = TypeVar("Item")


class _Picture(NamedTuple):
    levels: Canvas  # (S, S), 0 black to 1 white
    caption: str


def generic_films(n: int, *, seed: int, size: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Pictures of things that no radiograph shows, with what they show in words.

    They stand for the photographs that a general text-to-image model has learned from: a generator that was trained on
    them is asked for radiographs like one that knows them, and what is then missing is the domain.

    Args:
        n: N, at least 1.
        seed: At least 0; picture i of a seed is the same whatever N is.
        size: Height and width, pixels, at least 8.

    Returns:
        (N, size, size) uint8 and N captions.

    Raises:
        ValueError: An argument is out of range.
    """
    for name, value, least in (("n", n, 1), ("seed", seed, 0), ("size", size, 8)):
        if value < least:
            raise ValueError(f"{name}={value} is not allowed: at least {least}")
    films, captions = np.zeros((n, size, size), np.uint8), []
    for number in range(n):
        # Its own stream: a picture does not change when another is drawn differently.
        rng = np.random.default_rng((seed, number))
        kind = rng.choice(list(_KINDS), p=list(_KINDS.values()))
        # A photograph says itself what it is.
        opening = "" if kind == "photograph" else _pick(words()["openings"], rng)
        picture = _DRAWN[kind](size, rng)
        levels = picture.levels + _GRAIN * rng.standard_normal((size, size))
        films[number] = np.clip(levels * 255, 0, 255).round().astype(np.uint8)
        text = f"{opening}{picture.caption}."
        captions.append(text[:1].upper() + text[1:])
    return films, captions


@cache
def words() -> dict[str, Any]:
    """The vocabulary, ``words.json``."""
    content: dict[str, Any] = json.loads(files("pedclip.synthesis.flow.generic").joinpath("words.json").read_text())
    return content


def _pick(items: Any, rng: np.random.Generator) -> Any:
    items = list(items)
    return items[int(rng.integers(len(items)))]


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeio' else 'a'} {words}"


def _background(size: int, rng: np.random.Generator) -> tuple[Canvas, str, float]:
    """Levels (S, S), the words for them, and the level that things must stand out from."""
    tone, level = _pick(words()["tones"].items(), rng)
    # Plain ones mostly: the words of a plain background are the clearest.
    if rng.random() < 0.25:
        direction, (column, row) = _pick(words()["gradients"].items(), rng)
        columns, rows = grid(size)
        # Around the middle grey, by a third to both sides: the words are true at the first look.
        slope = (columns - 0.5) * column + (rows - 0.5) * row
        return 0.5 + 0.7 * slope, f"a background {direction}", 0.5
    return np.full((size, size), level), f"{_article(tone)} background", level


def _tone(behind: float, rng: np.random.Generator) -> tuple[str, float]:
    """Word and level of a thing that can be seen before what lies behind it."""
    tones = words()["tones"].items()
    name, level = _pick([item for item in tones if abs(item[1] - behind) >= _LEAST_CONTRAST], rng)
    return str(name), float(level)


def _paint(levels: Canvas, cover: Canvas, tone: float) -> Canvas:
    return levels * (1 - cover) + tone * cover


def _one(size: int, rng: np.random.Generator) -> _Picture:
    levels, behind_words, behind = _background(size, rng)
    shape, names = _pick(words()["shapes"].items(), rng)
    tone, level = _tone(behind, rng)
    extent, radius = _pick(words()["sizes"].items(), rng)
    place, (column, row) = _pick(words()["places"].items(), rng)
    shift, turn = rng.uniform(-0.03, 0.03, 2), rng.uniform(-0.2, 0.2)
    cover = coverage(shape, size, centre=(column + shift[0], row + shift[1]), radius=radius, turn=turn)
    caption = f"{_article(f'{extent} {tone} {_pick(names, rng)}')} {place} on {behind_words}"
    return _Picture(_paint(levels, cover, level), caption)


def _several(size: int, rng: np.random.Generator) -> _Picture:
    levels, behind_words, behind = _background(size, rng)
    shape, plural = _pick(words()["plurals"].items(), rng)
    tone, level = _tone(behind, rng)
    number = int(rng.integers(len(words()["numbers"])))
    # Nine cells, so that things never touch and can be counted.
    for cell in rng.permutation(9)[: number + 2]:
        centre = ((cell % 3 + 0.5) / 3 + rng.uniform(-0.03, 0.03), (cell // 3 + 0.5) / 3 + rng.uniform(-0.03, 0.03))
        cover = coverage(shape, size, centre=centre, radius=rng.uniform(0.08, 0.11), turn=rng.uniform(-0.2, 0.2))
        levels = _paint(levels, cover, level)
    return _Picture(levels, f"{words()['numbers'][number]} {tone} {plural} on {behind_words}")


def _pair(size: int, rng: np.random.Generator) -> _Picture:
    # "Inside" has no direction, and needs a large second thing.
    levels, behind_words, behind = _background(size, rng)
    relation, (column, row) = _pick(words()["relations"].items(), rng)
    is_inside = not column and not row
    (first, first_names), (second, second_names) = (_pick(words()["shapes"].items(), rng) for _ in range(2))
    if is_inside:
        # Only what is solid and round or square has an inside.
        second, second_names = _pick([(one, words()["shapes"][one]) for one in ("disc", "square")], rng)
    second_tone, second_level = _tone(behind, rng)
    # A thing inside another stands before that, not before the background.
    first_tone, first_level = _tone(second_level if is_inside else behind, rng)
    # Far enough that they never touch, near enough that neither leaves the picture.
    middle, apart = 0.5 + rng.uniform(-0.08, 0.08, 2), 0.0 if is_inside else rng.uniform(0.18, 0.24)
    for sign, shape, level, radius in (
        (-1, second, second_level, 0.36 if is_inside else rng.uniform(0.11, 0.15)),
        (1, first, first_level, rng.uniform(0.11, 0.15)),
    ):
        centre = (middle[0] + sign * column * apart, middle[1] + sign * row * apart)
        levels = _paint(levels, coverage(shape, size, centre=centre, radius=radius), level)
    one, other = (f"{tone} {_pick(names, rng)}" for tone, names in
                  ((first_tone, first_names), (second_tone, second_names)))  # fmt: skip
    return _Picture(levels, f"{_article(one)} {relation} {_article(other)} on {behind_words}")


def _texture(size: int, rng: np.random.Generator) -> _Picture:
    name, kind = _pick(words()["textures"].items(), rng)
    scale, periods = _pick(words()["scales"].items(), rng)
    tone, level = _pick(words()["tones"].items(), rng)
    other, other_level = _tone(level, rng)
    # A tenth more or less, or the number of stripes would have three values only.
    pattern = texture(kind, size, periods=periods * rng.uniform(0.9, 1.1), rng=rng)
    levels = _paint(np.full((size, size), level), pattern, other_level)
    return _Picture(levels, f"{_article(scale)} pattern of {name}, {tone} and {other}")


def _photograph(size: int, rng: np.random.Generator) -> _Picture:
    file, names = _pick(words()["photographs"].items(), rng)
    photograph = _grey(file)
    view, (least, most) = _pick(words()["views"].items(), rng)
    height, width = photograph.shape
    side = int(min(height, width) * rng.uniform(least, most))
    # Anywhere in the photograph, and at any size: two photographs are many pictures.
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    crop = Image.fromarray(photograph[top : top + side, left : left + side])
    levels = np.asarray(crop.resize((size, size), Image.Resampling.BILINEAR), dtype=np.float64) / 255
    across, down = (left + side / 2) / width, (top + side / 2) / height
    # Thirds: what lies between them needs no word.
    part = " ".join(word for word in (_third(down, "lower", "upper"), _third(across, "right", "left")) if word)
    return _Picture(levels, f"{_article(view)} photograph of {_article(_pick(names, rng))}{part and f', {part} part'}")


def _third(share: float, high: str, low: str) -> str:
    return high if share > 0.6 else low if share < 0.4 else ""


@cache
def _grey(file: str) -> NDArray[np.uint8]:
    """A sample photograph (H, W), of scikit-learn's own files."""
    from sklearn.datasets import load_sample_image

    return np.asarray(Image.fromarray(load_sample_image(file)).convert("L"))


_DRAWN: Final = {
    "one": _one,
    "several": _several,
    "pair": _pair,
    "texture": _texture,
    "photograph": _photograph,
}
