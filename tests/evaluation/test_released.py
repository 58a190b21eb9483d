"""Embeddings of original films by somebody else's model."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pedclip.evaluation.released import Film, embed_released
from pedclip.models.released import ReleasedModel, load_released
from tests.models.released.tiny_folders import rad_dino
from tests.models.released.tiny_networks import TEXTS, film
from tests.models.released.tiny_releases import MAKERS


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ReleasedModel:
    return load_released("chexficient", MAKERS["chexficient"](tmp_path_factory.mktemp("chexficient")).path)


def films() -> list[Film]:
    """Three originals of three sizes and two kinds."""
    return [film(), Image.fromarray(film()[:200, ::2].copy()), film()[:, 100:300]]


@torch.no_grad()
def test_each_film_and_text_equals_the_model_called_by_hand(model: ReleasedModel) -> None:
    found = embed_released(model, films(), TEXTS, batch_size=2)
    for row, original in zip(found.image, films(), strict=True):
        by_hand = model.encode_image(model.transform(original)[None]).embedding[0]
        np.testing.assert_allclose(row, by_hand, atol=1e-5)
    np.testing.assert_allclose(found.text, model.encode_text(**model.tokenize(TEXTS)).embedding, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found.image, axis=1), 1, atol=1e-5)
    assert found.gate.shape == (3, 0)


def test_films_are_read_one_batch_at_a_time_in_any_batch_size(model: ReleasedModel) -> None:
    read: list[int] = []

    def stream() -> Iterator[Film]:
        for number, original in enumerate(films()):
            read.append(number)
            yield original

    one, all_at_once = (embed_released(model, stream(), batch_size=size) for size in (1, 64))
    np.testing.assert_allclose(one.image, all_at_once.image, atol=1e-5)
    assert read == [0, 1, 2, 0, 1, 2]
    assert one.text.shape == (0, one.image.shape[1])


def test_original_matters_a_square_of_ours_gives_another_embedding(model: ReleasedModel) -> None:
    from pedclip.triplets.transforms import square

    original, ours = (embed_released(model, [image]).image for image in (film(), square(film(), 256)))
    assert np.abs(original - ours).max() > 1e-3


def test_mode_is_as_before(model: ReleasedModel) -> None:
    model.train()
    embed_released(model, films()[:1])
    assert model.training
    model.eval()


def test_misuse(model: ReleasedModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="images is empty"):
        embed_released(model, [])
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        embed_released(model, films(), batch_size=0)
    with pytest.raises(TypeError, match="uint8"):
        embed_released(model, [film().astype(np.float32)])  # type: ignore[list-item]
    only_films = load_released("rad-dino", rad_dino(tmp_path).path)
    assert embed_released(only_films, films()).image.shape == (3, 64)
    with pytest.raises(TypeError, match="RAD-DINO embeds films only"):
        embed_released(only_films, films(), TEXTS)
