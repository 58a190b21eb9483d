"""Pretrained stages of a hybrid stem in training: kept, slow, or like the rest."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pedclip.models.pedclip import PedCLIP
from pedclip.models.stem import HybridStem
from pedclip.training.config import RunConfig
from pedclip.training.loop import build_model, pretrain
from pedclip.training.module import PretrainModule
from tests.training.tiny import tiny_arrays, tiny_config

MODEL: dict[str, Any] = {"image_stem": "hybrid", "image_backbone": "resnet18", "image_patch_size": 8}


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> str:
    """File of weights of a ResNet-18."""
    import timm

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(timm.create_model("resnet18").state_dict(), path)
    return str(path)


def config(stages: str, **training: Any) -> RunConfig:
    return tiny_config(MODEL, image_weights=stages, **training)


def stem_of(model: PedCLIP) -> HybridStem:
    stem = model.image_encoder.vit.patch_embed
    assert isinstance(stem, HybridStem)
    return stem


@pytest.mark.parametrize(("stem_training", "moves"), [("frozen", False), ("slow", True), ("full", True)])
def test_stages_move_as_the_configuration_says(stages: str, tmp_path: Path, stem_training: str, moves: bool) -> None:
    asked = config(stages, stem_training=stem_training, epochs=1)
    before = stem_of(build_model(asked, tiny_arrays(24))).backbone.state_dict()
    result = pretrain(tiny_arrays(24), tiny_arrays(9), config=asked, run=tmp_path)
    after = stem_of(result.model).backbone.state_dict()
    assert torch.equal(before["model.conv1.weight"], after["model.conv1.weight"]) is not moves
    # The statistics never move: a film's features do not depend on its batch.
    assert torch.equal(before["model.bn1.running_mean"], after["model.bn1.running_mean"])
    films = torch.randn(3, 3, 16, 16)
    loaded = PedCLIP.from_pretrained(result.checkpoint)
    torch.testing.assert_close(loaded.encode_image(films).embedding, result.model.encode_image(films).embedding)


def test_slow_stages_have_a_tenth_of_the_rate(stages: str) -> None:
    asked = config(stages, stem_training="slow")
    model = build_model(asked, tiny_arrays(24))
    module = PretrainModule(model, asked.training, batches_per_epoch=3)
    groups = module.configure_optimizers()["optimizer"].param_groups
    rate = pytest.approx(0.1 * asked.training.learning_rate)
    slow = {id(parameter) for group in groups if group["initial_lr"] == rate for parameter in group["params"]}
    assert slow == {id(parameter) for parameter in stem_of(model).backbone.parameters()}
    assert sum(len(group["params"]) for group in groups) == len(list(module.parameters()))
    assert {group["weight_decay"] for group in groups} == {0.0, asked.training.weight_decay}


def test_random_stages_learn_their_statistics(tmp_path: Path) -> None:
    result = pretrain(tiny_arrays(24), tiny_arrays(9), config=tiny_config(MODEL, epochs=1), run=tmp_path)
    assert stem_of(result.model).backbone.state_dict()["model.bn1.running_mean"].abs().max() > 0


def test_a_killed_run_with_frozen_stages_ends_with_the_same_weights(stages: str, tmp_path: Path) -> None:
    asked = config(stages, stem_training="frozen", epochs=2)
    whole = pretrain(tiny_arrays(24), tiny_arrays(9), config=asked, run=tmp_path / "whole").model.state_dict()

    class Killed(Exception):
        pass

    step = PretrainModule.training_step

    def dying(self: PretrainModule, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.global_step == 4:
            raise Killed
        return step(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PretrainModule, "training_step", dying)
        with pytest.raises(Killed):
            pretrain(tiny_arrays(24), tiny_arrays(9), config=asked, run=tmp_path / "killed")
    again = pretrain(tiny_arrays(24), tiny_arrays(9), config=asked, run=tmp_path / "killed").model.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in whole.items())
