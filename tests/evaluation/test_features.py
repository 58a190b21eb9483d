"""Features are what the model says, made once, and never taken for those of another model or other films."""

import dataclasses
import json
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pedclip.evaluation.downstream.probes import linear_probe
from pedclip.evaluation.features import VERSION, extract_features, features_key, open_features
from pedclip.evaluation.result import Scoring
from pedclip.evaluation.tasks.patient_split import Part, PatientSplit
from pedclip.models.pedclip import PedCLIP
from pedclip.training.loop import build_model
from pedclip.triplets.transforms import Preprocess, to_pixels
from tests.training.tiny import tiny_arrays, tiny_config


@pytest.fixture(scope="module")
def model() -> PedCLIP:
    return build_model(tiny_config(), tiny_arrays(8))


FILMS = tiny_arrays(10).images


def test_are_what_the_model_says(model: PedCLIP) -> None:
    model.train()
    features = extract_features(model, FILMS, with_tokens=True, batch_size=4)
    assert model.training
    model.eval()
    with torch.no_grad():
        encoded = model.encode_image(to_pixels(torch.from_numpy(FILMS), model.preprocess))
    dense = encoded.dense.numpy()
    assert features.embedding == pytest.approx(encoded.embedding.numpy(), abs=1e-5)  # batches of another size
    assert features.pooled == pytest.approx(np.concatenate([dense[:, 1:].mean(1), dense[:, 0]], 1), abs=1e-5)
    assert features.tokens is not None
    assert features.tokens == pytest.approx(dense[:, 1:], abs=2e-3, rel=2e-3)  # float16
    assert len(features) == 10


def test_cached_ones_are_read_and_not_made_again(model: PedCLIP, tmp_path: Path) -> None:
    first = extract_features(model, FILMS, cache=tmp_path, with_tokens=True)
    with mock.patch.object(model, "encode_image", side_effect=AssertionError("made again")):
        again = extract_features(model, FILMS, cache=tmp_path, with_tokens=True)
    for name in ("embedding", "pooled", "tokens"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert isinstance(again.tokens, np.memmap)
    assert not again.tokens.flags.writeable
    assert extract_features(model, FILMS).key != first.key  # without tokens
    (folder,) = tmp_path.iterdir()
    assert json.loads((folder / "features.json").read_text())["count"] == 10
    assert open_features(folder).key == first.key


def test_every_cause_changes_the_key(model: PedCLIP) -> None:
    other = build_model(tiny_config(), tiny_arrays(8))
    other.load_state_dict(model.state_dict())
    same = features_key(other, FILMS, with_tokens=False)
    assert same == features_key(model, FILMS.copy(), with_tokens=False)
    changed = FILMS.copy()
    changed[3, 2, 1] ^= 1
    keys = {same, features_key(model, changed, with_tokens=False), features_key(model, FILMS[::-1], with_tokens=False)}
    keys.add(features_key(model, FILMS[:9], with_tokens=False))
    with torch.no_grad():
        next(other.image_encoder.parameters()).flatten()[0] += 1e-4
    keys.add(features_key(other, FILMS, with_tokens=False))
    assert len(keys) == 5


@pytest.mark.parametrize("change", [{"mean": (0.4, 0.5, 0.5)}, {"std": (0.5, 0.5, 0.4)}, {"size": 17}])
def test_features_of_another_preprocessing_are_made_anew(
    model: PedCLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    first = extract_features(model, FILMS, cache=tmp_path)
    monkeypatch.setattr(model, "preprocess", dataclasses.replace(model.preprocess, **change))
    assert features_key(model, FILMS, with_tokens=False) != first.key
    if "size" not in change:  # the encoder takes one size only
        again = extract_features(model, FILMS, cache=tmp_path)
        assert np.abs(again.embedding - first.embedding).max() > 1e-3
        np.testing.assert_array_equal(again.embedding, extract_features(model, FILMS).embedding)


class Weights:
    """A model of one weight, of which nothing but the key is asked."""

    def __init__(self, weight: torch.Tensor, config: str = "") -> None:
        self.preprocess = Preprocess()
        self.config = config
        self.weight = weight

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"weight": self.weight}


def test_equal_bytes_of_another_meaning_are_another_key() -> None:
    def key(
        weight: torch.Tensor, films: NDArray[np.uint8] = FILMS, *, config: str = "", with_tokens: bool = False
    ) -> str:
        return features_key(Weights(weight, config), films, with_tokens=with_tokens)  # type: ignore[arg-type]

    weight = torch.zeros(4, 2)
    keys = [
        key(weight),
        key(weight.T.reshape(2, 4)),
        key(weight.view(torch.int32)),
        key(weight, config="heads=4"),
        key(weight, with_tokens=True),
        key(weight, FILMS.reshape(5, 36, 18)),
    ]
    assert len(set(keys)) == len(keys)


def test_another_version_of_what_is_stored_is_another_key(model: PedCLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    before = features_key(model, FILMS, with_tokens=False)
    monkeypatch.setattr("pedclip.evaluation.features.VERSION", VERSION + 1)
    assert features_key(model, FILMS, with_tokens=False) != before


def test_an_interrupted_extraction_leaves_no_entry(model: PedCLIP, tmp_path: Path) -> None:
    encode, calls = model.encode_image, iter(range(9))

    def failing(pixels: torch.Tensor) -> object:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return encode(pixels)

    with mock.patch.object(model, "encode_image", failing), pytest.raises(KeyboardInterrupt):
        extract_features(model, FILMS, cache=tmp_path, batch_size=4)
    assert not list(tmp_path.glob("[!.]*"))
    assert len(extract_features(model, FILMS, cache=tmp_path)) == 10


def test_cached_features_can_be_probed(model: PedCLIP, tmp_path: Path) -> None:
    labels = np.tile([[0.0], [1.0]], (5, 1))
    parts = [
        Part(extract_features(model, FILMS, cache=tmp_path).pooled, labels, np.array([f"{name}{i}" for i in range(10)]))
        for name in ("train", "validation", "test")
    ]
    scoring = Scoring("parity", "linear probe", num_resamples=5)
    done = linear_probe(PatientSplit(*parts), ["odd"], kind="multi-label", scoring=scoring)
    assert done.score.value == 1.0  # the same films in all parts, under other names


def test_refuses(model: PedCLIP, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one film"):
        extract_features(model, FILMS[:0])
    with pytest.raises(FileNotFoundError, match="make them with extract_features"):
        open_features(tmp_path)
