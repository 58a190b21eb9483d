"""Published optimization by objective, as the shell and a notebook ask for it."""

import dataclasses
from pathlib import Path

import pytest
import torch

from pedclip.objectives.registry import names
from pedclip.training.__main__ import configure as configure_shell
from pedclip.training.__main__ import main, parse
from pedclip.training.config import RunConfig, TrainingConfig
from pedclip.training.profiles import load_profile
from pedclip.training.recipes import recipe_of, recipes, with_recipe

# As printed: optimizer, first moment, epochs (None where no number is printed), batch, step size, decay, largest norm.
PRINTED = {
    "pedclip": ("adamw", 0.9, 50, 256, 1e-5, 0.05, 0),
    "clip": ("adamw", 0.9, 50, 256, 1e-5, 0.05, 0),
    "convirt": ("adam", 0.9, None, 32, 1e-4, 1e-6, 0),
    "gloria": ("adam", 0.5, 50, 48, 5e-5, 1e-6, 0.25),
    "mgca": ("adamw", 0.9, 50, 144, 2e-5, 0.05, 0),
    "medclip": ("adamw", 0.9, 10, 100, 2e-5, 1e-4, 1.0),
    "prior": ("adamw", 0.9, 150, 588, 1e-5, 1e-6, 0),
    "carzero": ("adam", 0.5, 15, 256, 5e-5, 1e-6, 0.25),
}
FIELDS = ("optimizer", "beta1", "epochs", "batch_size", "learning_rate", "weight_decay", "gradient_clip")


def shell(*arguments: str) -> RunConfig:
    return configure_shell(parse(list(arguments)))


@pytest.mark.parametrize("name", PRINTED)
def test_values_are_the_printed_ones_and_fields_allow_them(name: str) -> None:
    recipe = recipe_of(name)
    assert tuple(recipe.training.get(field) for field in FIELDS) == PRINTED[name]
    changed = dataclasses.replace(TrainingConfig(), **recipe.training)
    assert all(getattr(changed, field) == value for field, value in recipe.training.items())
    assert recipe.source
    # What is no constant rate and no cosine is said, and so is what is left to the configuration.
    said = " ".join(recipe.not_expressed)
    assert ("plateau" in said) is (recipe.training["schedule"] == "constant")
    assert ("epochs stay" in said) is ("epochs" not in recipe.training)


def test_every_objective_has_a_recipe() -> None:
    assert set(names()) <= set(recipes()) == set(PRINTED)


def test_recipe_of_pedclip_is_the_paper_profile() -> None:
    paper = load_profile("paper")
    assert with_recipe(paper) == paper


def test_recipe_changes_the_optimization_alone() -> None:
    demo = dataclasses.replace(load_profile("demo"), data="/films")
    found = with_recipe(demo, given={"seed": 7, "epochs": 3})
    assert (found.data, found.model) == (demo.data, demo.model)
    changed = {name for name, value in vars(found.training).items() if value != getattr(demo.training, name)}
    assert changed == {
        *("batch_size", "learning_rate", "warmup_fraction", "gradient_clip", "mask_equal_texts"),
        *("seed", "epochs"),
    }
    assert (found.training.epochs, found.training.batch_size) == (3, 256)


def test_shell_applies_the_recipe_of_the_objective_before_its_settings() -> None:
    found = shell("--recipe", "published", "--set", "training.learning_rate=0.5", "--set", "training.objective=clip")
    training = found.training
    assert (training.objective, training.epochs, training.batch_size, training.learning_rate) == ("clip", 50, 256, 0.5)
    # A batch that the devices cannot share is mended by hand, in any order.
    asked = ("--set", "training.devices=3", "--recipe", "published", "--set", "training.batch_size=255")
    assert shell(*asked).training.local_batch_size == 85
    with pytest.raises(ValueError, match="batch_size=256 is not allowed: a multiple of 3"):
        shell(*asked[:4])


def test_without_a_recipe_nothing_changes() -> None:
    assert shell("--set", "training.image_weights=installed") == load_profile("demo")


def test_an_objective_without_a_recipe_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--recipe", "published", "--set", "training.objective=glorias"]) == 2
    assert "no published recipe is known for objective='glorias': there are pedclip, clip, " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse(["--recipe", "printed"])


def test_a_shell_says_what_a_recipe_leaves_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Stopped(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stopped

    with pytest.MonkeyPatch.context() as patch, caplog.at_level("INFO"):
        # GLoRIA's recipe under the name of an objective that is there for certain.
        patch.setitem(recipes(), "clip", recipe_of("gloria"))
        patch.setattr("pedclip.training.__main__.prepare", stop)
        with pytest.raises(Stopped):
            main(["--recipe", "published", "--set", "training.objective=clip", "--output", str(tmp_path)])
    assert "recipe of clip, not expressed: the step size is halved after 5 epochs on a plateau" in caplog.text


def test_adam_adds_the_decay_to_the_gradient() -> None:
    # One weight, one step, by hand: Adam's first step is lr · g / (|g| + ε) whatever β1, with g' = g + decay · w.
    weight = torch.tensor([[2.0]])
    for optimizer, expected in (("adam", 2 - 0.1), ("adamw", 2 * (1 - 0.1 * 0.5))):
        moved = _step(weight, gradients=[0.0], optimizer=optimizer)
        assert moved == pytest.approx(expected, abs=1e-6), optimizer


def test_beta1_is_the_share_of_the_past() -> None:
    # Gradients 1 and 0 without decay: after the second step the mean is β1 (1 − β1) / (1 − β1²) = β1 / (1 + β1), the
    # root of the second moment sqrt(0.999 · 0.001 / (1 − 0.999²)).
    root = (0.999 * 0.001 / (1 - 0.999**2)) ** 0.5
    for beta1 in (0.9, 0.5):
        moved = _step(torch.tensor([[2.0]]), gradients=[1.0, 0.0], optimizer="adam", beta1=beta1, weight_decay=0.0)
        assert moved == pytest.approx(2 - 0.1 - 0.1 * beta1 / (1 + beta1) / root, abs=1e-5)


def _step(weight: torch.Tensor, *, gradients: list[float], **training: object) -> float:
    from pedclip.training.module import PretrainModule

    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.data = weight.clone()
    changes = {"learning_rate": 0.1, "weight_decay": 0.5, "schedule": "constant", "objective": "clip"} | training
    module = PretrainModule(layer, dataclasses.replace(TrainingConfig(), **changes), batches_per_epoch=5)
    optimizer = module.configure_optimizers()["optimizer"]
    for gradient in gradients:
        layer.weight.grad = torch.full_like(layer.weight, gradient)
        optimizer.step()
    return layer.weight.item()
