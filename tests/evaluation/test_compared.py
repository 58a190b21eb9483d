"""A compared model fills the row of what it was trained with, and sees films of the same size."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pedclip.artefacts import write_json
from pedclip.evaluation.compared import has_own_score, open_compared, way_of, weight_hashes
from pedclip.evaluation.embeddings import embed
from pedclip.evaluation.published import MODEL_TABLES, models_of
from pedclip.models.image import ImageFeatures
from pedclip.models.pedclip import PedCLIP
from pedclip.models.text import TextFeatures
from pedclip.objectives import registry
from pedclip.objectives.clip import CLIPObjective
from pedclip.objectives.tokens import Tokens
from pedclip.objectives.trained import ObjectiveModel, write_objective
from pedclip.weights import SHIPPED, shipped_folder
from tests.objectives.tiny_features import tiny_model
from tests.training.tiny import tiny_config


class Mirror(CLIPObjective):
    """A rival whose head turns every embedding of a film round."""

    def __init__(self, model: PedCLIP) -> None:
        super().__init__(model)
        self.sign = nn.Parameter(torch.tensor(-1.0))

    def embed_image(self, image: ImageFeatures) -> Tensor:
        return image.embedding * self.sign


class Judge(Mirror):
    """A rival that adds to the cosine."""

    def pair_scores(self, image: ImageFeatures, text: TextFeatures, tokens: Tokens) -> Tensor:
        return super().pair_scores(image, text, tokens) + 1


@pytest.fixture(autouse=True)
def _with_rival(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "OBJECTIVES", registry.OBJECTIVES | {"mirror": Mirror})


def run_of(folder: Path, objective: str, *, layers: tuple[int, ...] = (), **changes: object) -> Path:
    """A checkpoint's folder as far as its training is described."""
    config = tiny_config({"mobe_layers": layers})
    training = dataclasses.replace(config.training, objective=objective, **changes)
    write_json(folder / "training.json", dataclasses.replace(config, training=training).to_dict())
    write_json(folder / "patients.json", {})
    return folder / "checkpoint"


@pytest.mark.parametrize(
    ("objective", "layers", "way"),
    [
        ("pedclip", (-1,), "pedclip"),
        ("pedclip", (), "clip"),
        ("clip", (), "clip"),
        ("mirror", (), "mirror"),
        ("mirror", (-1,), "mirror with experts"),
    ],
)
def test_the_way_follows_from_the_training_and_not_from_the_name(
    tmp_path: Path, objective: str, layers: tuple[int, ...], way: str
) -> None:
    assert way_of(run_of(tmp_path / "gloria", objective, layers=layers)) == way


@pytest.mark.parametrize(
    ("objective", "changes", "way"),
    [
        ("pedclip", {"region_head": True}, "clip with region labels"),
        ("gloria", {"region_head": True}, "gloria with region labels"),
        ("gloria", {"objective_options": {"variant": "paper", "local_weight": 1}}, "gloria"),  # the defaults, by name
        ("gloria", {"objective_options": {"variant": "code"}}, "gloria with options variant=code"),
        (
            "gloria",
            {"layers": (-1,), "objective_options": {"variant": "code", "text": "excerpt", "local_weight": 1.0}},
            "gloria with experts and options text=excerpt, variant=code",
        ),
        ("prior", {"objective_options": {"stages": (2 / 15, 1 / 3)}}, "prior"),  # a list, when read from the file
    ],
)
def test_what_no_paper_prints_is_said_and_fills_no_row(
    tmp_path: Path, objective: str, changes: dict[str, object], way: str
) -> None:
    found = way_of(run_of(tmp_path, objective, **changes))
    assert found == way
    printed = {model.way for table in MODEL_TABLES for model in models_of(table)}
    assert (found in printed) == (" with " not in found)


def test_hashes_name_every_file_of_weights(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"abc")
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # the example of FIPS 180-2
    assert weight_hashes(tmp_path) == {"model.safetensors": abc}
    (tmp_path / "heads.safetensors").write_bytes(b"")
    assert list(weight_hashes(tmp_path)) == ["model.safetensors", "heads.safetensors"]
    assert weight_hashes(tmp_path)["heads.safetensors"].startswith("e3b0c44298fc1c14")
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        weight_hashes(tmp_path / "nothing")


def test_weights_of_the_package_are_pedclip_and_a_checkpoint_without_its_run_is_nothing(tmp_path: Path) -> None:
    assert way_of(shipped_folder(SHIPPED[0])) == "pedclip"
    with pytest.raises(FileNotFoundError, match=r"training\.json is missing"):
        way_of(tmp_path / "checkpoint")


def test_a_rival_is_opened_with_its_heads(tmp_path: Path) -> None:
    model = tiny_model()
    plain = model.save_pretrained(tmp_path / "plain")
    rival = model.save_pretrained(
        tmp_path / "rival", add=lambda folder: write_objective(folder, Mirror(model), name="mirror", options={})
    )
    opened = open_compared({"run plain": plain, "run rival": rival}, like=model.preprocess)
    assert list(opened) == ["run plain", "run rival"]
    assert isinstance(opened["run rival"], ObjectiveModel)
    side = model.preprocess.resize
    films = np.random.default_rng(0).integers(0, 256, (3, side, side), dtype=np.uint8)
    own, turned = (embed(one, films, []).image for one in opened.values())
    np.testing.assert_allclose(turned, -own, atol=1e-6)


def test_a_score_is_its_own_where_an_objective_says_so() -> None:
    model = tiny_model()
    mirror, judge = (ObjectiveModel(model, kind(model), name="x", options={}) for kind in (Mirror, Judge))
    assert [has_own_score(one) for one in (model, mirror, judge)] == [False, False, True]


def test_films_of_another_size_are_refused(tmp_path: Path) -> None:
    model = tiny_model()
    folder = model.save_pretrained(tmp_path / "c")
    side = model.preprocess
    larger = dataclasses.replace(side, resize=side.resize + 7)
    with pytest.raises(
        ValueError, match=rf"run c squares films to {side.resize} pixels and sees {side.size}"
    ) as caught:
        open_compared({"run c": folder}, like=larger)
    assert f"{larger.resize} and {larger.size}; compare models that were trained with one image_size" in str(
        caught.value
    )
    # Another normalization is the model's own business.
    open_compared({"run c": folder}, like=dataclasses.replace(side, mean=(0.1, 0.1, 0.1)))
