"""Golden embeddings: each release equals a path that shares nothing with it, and a wrong preparation does not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pedclip.models.released import FilmTransform, ReleasedModel, load_released
from pedclip.models.released.files import read_tensors
from pedclip.models.released.release import release_names
from pedclip.models.released.two_towers import build_two_towers
from tests.models.released.tiny_networks import TEXTS, Tiny, film
from tests.models.released.tiny_releases import MAKERS

# Embeddings are of unit length; float32 in another order of additions moves them by less.
TOLERANCE = 2e-5


@pytest.fixture(scope="module", params=release_names())
def released(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[ReleasedModel, Tiny]:
    tiny = MAKERS[request.param](tmp_path_factory.mktemp(request.param))
    return load_released(request.param, tiny.path), tiny


def distance(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max())


@torch.no_grad()
def test_film_and_texts_equal_the_independent_path(released: tuple[ReleasedModel, Tiny]) -> None:
    model, tiny = released
    features = model.encode_image(model.transform(film())[None])
    assert distance(features.embedding[0], tiny.image(film())) < TOLERANCE
    assert features.gate_logits == []
    if tiny.text is None:
        return
    # In one batch, where shorter texts are padded, and the other way round.
    for texts in (TEXTS, TEXTS[::-1]):
        embedding = model.encode_text(**model.tokenize(texts)).embedding
        for row, text in zip(embedding, texts, strict=True):
            assert distance(row, tiny.text(text)) < TOLERANCE


@torch.no_grad()
def test_other_mean_or_scale_fails_the_golden_comparison(released: tuple[ReleasedModel, Tiny]) -> None:
    model, tiny = released
    recipe = model.release.transform
    assert recipe is not None
    expected = tiny.image(film())
    for changes in ({"mean": (0.0, 0.0, 0.0)}, {"std": (1.0, 1.0, 1.0)}):
        steps = [replace(step, **changes) if step.do == "normalize" else step for step in recipe.steps]
        wrong = FilmTransform(tuple(steps))
        assert distance(model.encode_image(wrong(film())[None]).embedding[0], expected) > 50 * TOLERANCE


@torch.no_grad()
def test_other_proportions_fail_the_golden_comparison(released: tuple[ReleasedModel, Tiny]) -> None:
    model, tiny = released
    recipe = model.release.transform
    assert recipe is not None
    # Stretched where the proportion is kept, by a pad or a crop; and kept where the film is stretched.
    is_kept = any(step.do in ("pad", "crop") for step in recipe.steps)
    side = "both" if is_kept else "shortest"
    steps = [replace(step, side=side) if step.do == "resize" else step for step in recipe.steps if step.do != "pad"]
    pixels = FilmTransform(tuple(steps))(film())[None, :, : recipe.size, : recipe.size]
    assert distance(model.encode_image(pixels).embedding[0], tiny.image(film())) > 50 * TOLERANCE


WRONG_TOWERS: list[tuple[str, str, dict[str, Any]]] = [
    # Each is what a reader of the paper would do instead of the published code.
    ("cxr-clip", "image", {"image": "swin"}),
    ("cxr-clip", "text", {"pool": "cls"}),
    ("cxr-clip-resnet50", "text", {"pool": "mean"}),
    ("chexficient", "text", {"pool": "cls"}),
    ("convirt", "text", {"pool": "mean"}),
    ("convirt", "image", {"upsample": 0}),
    ("gloria", "image", {"upsample": 0}),
    ("gloria", "text", {"layers": (-1,)}),
    ("mgca", "text", {"pool": "mean"}),
    ("mgca-resnet50", "image", {"upsample": 0}),
    ("medclip", "image", {"image": "swin, first place"}),
    ("medclip-resnet50", "text", {"layers": (-1,)}),
]


@pytest.mark.parametrize(("name", "side", "changes"), WRONG_TOWERS)
@torch.no_grad()
def test_other_pooling_fails_the_golden_comparison(
    name: str, side: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    model, tiny = golden(name, tmp_path)
    release = model.release
    assert release.towers is not None
    other = replace(release, towers=replace(release.towers, **changes))
    # The same file loads without an error: only the numbers tell.
    network = build_two_towers(other, read_tensors(tiny.path), tiny.path).eval()
    if side == "image":
        wrong, expected = network.encode_image(model.transform(film())[None]), tiny.image(film())
    else:
        assert tiny.text is not None
        wrong, expected = network.encode_text(**model.tokenize([TEXTS[2]])), tiny.text(TEXTS[2])
    assert distance(wrong.embedding[0], expected) > 50 * TOLERANCE


def golden(name: str, folder: Path) -> tuple[ReleasedModel, Tiny]:
    tiny = MAKERS[name](folder)
    return load_released(name, tiny.path), tiny


@torch.no_grad()
def test_chexzero_resized_before_it_is_normalized_fails(tmp_path: Path) -> None:
    model, tiny = golden("chexzero", tmp_path)
    recipe = model.release.transform
    assert recipe is not None
    resize, pad, scale, normalize, last = recipe.steps
    # On 8 bits, where Pillow averages and cuts the overshoot: the order in which most pipelines would do it.
    wrong = FilmTransform((resize, pad, replace(last, antialias=True), scale, normalize))
    assert distance(model.encode_image(wrong(film())[None]).embedding[0], tiny.image(film())) > 50 * TOLERANCE


@pytest.mark.parametrize("name", ["medsiglip", "xraysiglip"])
@torch.no_grad()
def test_siglip_with_short_padding_is_refused_for_it_pools_another_token(name: str, tmp_path: Path) -> None:
    from tests.models.released.tiny_folders import siglip_text
    from tests.models.released.tiny_networks import tokenizer

    model, tiny = golden(name, tmp_path)
    assert tiny.text is not None
    short = siglip_text(model.network.network, tokenizer(), TEXTS[1], padding="longest")
    assert distance(short, tiny.text(TEXTS[1])) > 50 * TOLERANCE
    ids = tokenizer()(list(TEXTS), padding=True, return_tensors="pt")
    with pytest.raises(ValueError, match=r"input_ids has \d+ tokens; SigLIP pools the last of 64 positions"):
        model.encode_text(ids["input_ids"], ids["attention_mask"])


@torch.no_grad()
def test_clip_pooled_at_the_last_position_fails(tmp_path: Path) -> None:
    model, tiny = golden("chexzero", tmp_path)
    assert tiny.text is not None
    features = model.encode_text(**model.tokenize([TEXTS[1]]))
    assert features.tokens is not None
    last = features.tokens[0, -1] @ model.network.text.text_projection
    assert distance(torch.nn.functional.normalize(last, dim=0), tiny.text(TEXTS[1])) > 50 * TOLERANCE
