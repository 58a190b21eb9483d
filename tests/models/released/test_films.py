"""Recipes of films: each step against a value by hand, the order that matters, and every recipe that is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pedclip.models.released.films import FilmTransform, Step
from pedclip.models.released.release import find_release, release_names
from pedclip.triplets.decoding import decode
from tests.models.released.tiny_networks import clip_pixels

SCALE = {"do": "scale"}


def recipe(*steps: dict[str, Any]) -> FilmTransform:
    return FilmTransform.from_json(steps)


def test_pad_puts_black_around_the_middle() -> None:
    pixels = recipe({"do": "pad"}, {"do": "resize", "size": 4, "side": "both", "by": "nearest"}, SCALE)(
        np.full((4, 2), 255, np.uint8)
    )
    assert pixels.shape == (3, 4, 4)
    assert pixels[0, 0].tolist() == [0, 1, 1, 0]


def test_area_counts_fractions_of_pixels() -> None:
    # Three pixels to two: each new one covers one and a half old ones.
    film = np.array([[0, 90, 240]] * 3, np.uint8)
    pixels = recipe({"do": "resize", "size": 2, "side": "both", "by": "area"}, {"do": "scale", "divisor": 1})(film)
    assert pixels[0, 0].tolist() == [30, 190]  # (0 + 90 / 2) / 1.5 and (90 / 2 + 240) / 1.5


def test_area_keeps_the_mean_of_a_film() -> None:
    film = np.random.default_rng(0).integers(0, 256, (60, 45)).astype(np.uint8)
    shrunk = recipe({"do": "resize", "size": 20, "side": "longest", "by": "area"}, {"do": "scale", "divisor": 1})(film)
    assert shrunk.shape == (3, 20, 15)
    assert float(shrunk.mean()) == pytest.approx(film.mean(), abs=0.1)  # rounding to 8 bits


@pytest.mark.parametrize(("side", "shape"), [("shortest", (150, 100)), ("longest", (100, 66)), ("both", (100, 100))])
def test_sides_are_cut_to_whole_pixels(side: str, shape: tuple[int, int]) -> None:
    pixels = recipe({"do": "resize", "size": 100, "side": side}, SCALE)(np.zeros((300, 199), np.uint8))
    assert pixels.shape[1:] == shape


@pytest.mark.parametrize(("rounding", "first"), [("down", 1), ("even", 2)])
def test_half_a_pixel_of_a_crop_is_rounded_as_asked(rounding: str, first: int) -> None:
    film = np.arange(7, dtype=np.uint8)[None].repeat(7, axis=0)
    pixels = recipe({"do": "crop", "size": 4, "rounding": rounding}, {"do": "scale", "divisor": 1})(film)
    assert pixels[0, 0].tolist() == list(range(first, first + 4))


def test_scale_and_normalize_by_hand() -> None:
    film = np.full((2, 2), 51, np.uint8)
    steps = {"do": "crop", "size": 2}, SCALE, {"do": "normalize", "mean": [0.1, 0.2, 0.3], "std": [0.5, 1, 2]}
    torch.testing.assert_close(recipe(*steps)(film)[:, 0, 0], torch.tensor([0.2, 0.0, -0.05]))


def test_float_resize_without_antialiasing_keeps_what_pillow_averages() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (8, 4))
    sharp = {"do": "resize", "size": 2, "by": "bilinear", "antialias": False}
    assert recipe(SCALE, sharp)(stripes).std() == pytest.approx(0, abs=1e-6)  # each between two stripes
    stripes = np.tile(np.array([0, 255, 0], np.uint8), (9, 3))
    sharp = {**sharp, "size": 3}
    assert recipe(SCALE, sharp)(stripes).mean() == 1  # right on the white ones
    averaged = recipe({"do": "resize", "size": 3, "by": "bilinear"}, SCALE)(stripes)
    assert averaged.mean() == pytest.approx(1 / 3, abs=0.1)


def test_normalizing_first_keeps_the_overshoot_that_8_bits_cut() -> None:
    film = np.kron(np.array([[0, 255], [255, 0]], np.uint8), np.ones((8, 8), np.uint8))
    normalize = {"do": "normalize", "mean": [0] * 3, "std": [255] * 3}
    resize = {"do": "resize", "size": 20, "by": "bicubic"}
    first = recipe({"do": "scale", "divisor": 1}, normalize, resize)(film)
    last = recipe(resize, {"do": "scale", "divisor": 1}, normalize)(film)
    assert (float(last.min()), float(last.max())) == (0, 1)
    assert float(first.min()) < -0.01
    assert float(first.max()) > 1.01


def test_gray_color_and_arrays_of_one_film_are_one() -> None:
    film = np.random.default_rng(1).integers(0, 256, (40, 30)).astype(np.uint8)
    steps = recipe({"do": "pad"}, {"do": "resize", "size": 16}, SCALE)
    gray = steps(film)
    for other in (Image.fromarray(film), Image.fromarray(film).convert("RGB")):
        assert torch.equal(steps(other), gray)


@pytest.mark.parametrize("name", ["biomedclip", "unimed-clip"])
def test_recipe_equals_the_transform_of_open_clip_where_half_a_pixel_is_cut(name: str) -> None:
    # 514 rows become 299, so that 37 or 38 of them are cut above.
    film = np.random.default_rng(2).integers(0, 256, (514, 384)).astype(np.uint8)
    transform = find_release(name).transform
    assert transform is not None
    torch.testing.assert_close(transform(film), clip_pixels(film)[0])


@pytest.mark.parametrize("name", release_names())
@pytest.mark.parametrize("shape", [(700, 300), (201, 333), (20, 20)])
def test_every_recipe_makes_the_pixels_of_its_encoder(name: str, shape: tuple[int, int]) -> None:
    transform = find_release(name).transform
    if transform is None:
        return  # it stands beside the weights; see test_transformers_models
    pixels = transform(np.full(shape, 128, np.uint8))
    assert pixels.shape == (3, transform.size, transform.size)
    assert pixels.dtype == torch.float32


def test_recipe_of_a_preprocessor_file() -> None:
    config = {"do_resize": True, "size": {"shortest_edge": 518}, "resample": 3, "do_center_crop": True}
    config |= {"crop_size": {"height": 518, "width": 518}, "rescale_factor": 1 / 255}
    made = FilmTransform.from_preprocessor({**config, "image_mean": [0.5] * 3, "image_std": [0.25] * 3})
    assert [step.do for step in made.steps] == ["resize", "crop", "scale", "normalize"]
    assert (made.size, made.steps[0].by, made.steps[2].divisor) == (518, "bicubic", pytest.approx(255))
    assert made.steps[3].std == (0.25, 0.25, 0.25)
    with pytest.raises(ValueError, match="image_mean and image_std"):
        FilmTransform.from_preprocessor(config)
    with pytest.raises(ValueError, match=r"expected resample to be one of .*got 4"):
        FilmTransform.from_preprocessor({**config, "resample": 4})
    with pytest.raises(ValueError, match="equal height and width"):
        FilmTransform.from_preprocessor({**config, "size": {"height": 10, "width": 20}})


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([{"do": "resize", "size": 8}], "exactly one step 'scale', got resize"),
        ([SCALE, SCALE], "exactly one step 'scale'"),
        ([SCALE], "needs a step 'resize' or 'crop'"),
        ([{"do": "resize", "size": 0}, SCALE], "size of at least 1 pixel, got 0"),
        ([{"do": "resize", "size": 8, "antialias": False}, SCALE], "must stand after 'scale'"),
        ([SCALE, {"do": "resize", "size": 8, "by": "area"}], "resized by bilinear or bicubic only"),
        ([{"do": "crop", "size": 2}, SCALE, {"do": "pad"}], "'pad' must stand before 'scale'"),
        ([{"do": "normalize", "mean": [0] * 3, "std": [1] * 3}, {"do": "crop", "size": 2}, SCALE], "cannot hold"),
        ([{"do": "normalize", "mean": [0] * 3, "std": [1, 1, 0]}, SCALE], "three means and three deviations above 0"),
        ([{"do": "turn"}], "step 'turn' is unknown|step 'turn' has no"),
        ([{"do": "pad", "size": 8}, SCALE], "step 'pad' has no 'size'"),
        ([{"do": "resize", "size": 8, "by": "best"}, SCALE], "by 'best'"),
        ([{"do": "scale", "divisor": 0}], "divisor above 0"),
    ],
)
def test_impossible_recipe_is_refused(steps: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FilmTransform.from_json(steps)


def test_films_of_another_kind_are_refused() -> None:
    steps = FilmTransform((Step("resize", size=8, side="both"), Step("scale")))
    with pytest.raises(TypeError, match=r"uint8 in 0..255, got float32"):
        steps(np.zeros((4, 4), np.float32))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected a film \(H, W\), got \(4, 4, 3\)"):
        steps(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match=r"got 'RGBA'; call film\.convert\('L'\)"):
        steps(Image.new("RGBA", (4, 4)))
    with pytest.raises(ValueError, match="a crop of 8 pixels does not fit into 4"):
        FilmTransform((Step("crop", size=8), Step("scale")))(np.zeros((4, 4), np.uint8))


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I", "F"])
def test_deep_film_is_sent_to_the_reader_that_scales_it(mode: str, tmp_path: Path) -> None:
    steps = FilmTransform((Step("resize", size=8, side="both"), Step("scale")))
    with pytest.raises(
        ValueError, match=rf"got '{mode}'; read the file with pedclip\.triplets\.decoding\.decode\(path\)"
    ):
        steps(Image.new(mode, (4, 4)))
    # What is advised works; what was advised before would give white alone.
    deep = np.arange(256 * 16, dtype=np.uint16).reshape(64, 64) + 300
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert np.asarray(Image.fromarray(deep).convert("L")).min() == 255
    assert steps(decode(tmp_path / "deep.png")).std() > 0.2
