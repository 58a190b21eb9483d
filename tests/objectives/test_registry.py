"""Objectives by name."""

import pytest

from pedclip import objectives
from pedclip.objectives.base import Objective
from pedclip.objectives.registry import OBJECTIVES, check_options, option_names
from pedclip.training.config import TrainingConfig
from tests.objectives.tiny_features import tiny_model


def test_every_name_builds_from_its_defaults() -> None:
    model = tiny_model()
    assert objectives.names() == ("pedclip", "clip", "convirt", "gloria", "mgca", "medclip", "prior", "carzero")
    for name in objectives.names():
        built = objectives.build(name, model)
        assert isinstance(built, Objective)
        assert type(built) is OBJECTIVES[name]
        assert not any(module is model for module in built.modules())  # it would be trained and stored twice


def test_options_reach_the_objective() -> None:
    assert option_names("clip") == ("mask_equal_texts",)
    built = objectives.build("pedclip", tiny_model(), mask_equal_texts=True, schedule=lambda epoch: (epoch, True))
    assert (built.inner.mask_equal_texts, built.schedule(0.25)) == (True, (0.25, True))


def test_unknown_names_and_options_raise() -> None:
    with pytest.raises(ValueError, match=r"objective='glorias' is not allowed: one of \('pedclip', 'clip', "):
        objectives.build("glorias", tiny_model())
    with pytest.raises(ValueError, match="objective 'clip' has no option 'schedule'; known: mask_equal_texts"):
        objectives.build("clip", tiny_model(), schedule=None)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("gloria", {"local_weight": "1"}, "local_weight='1' is not allowed: objective 'gloria' takes a finite number"),
        ("gloria", {"local_weight": float("nan")}, "takes a finite number"),
        ("gloria", {"variant": "Code"}, "takes one of"),
        ("mgca", {"width": 12.5}, "takes a whole number"),
        ("mgca", {"width": True}, "takes a whole number"),
        ("medclip", {"mask_padding": "no"}, "takes true or false"),
        ("prior", {"stages": 0.3}, "takes a list of finite numbers"),
        ("convirt", {"temperature": True}, "takes a finite number or null"),
    ],
)
def test_options_of_another_type_are_named_before_anything_is_built(
    name: str, options: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        check_options(name, options)
    with pytest.raises(ValueError, match=words):
        TrainingConfig(objective=name, objective_options=options)


def test_options_of_the_right_types_pass() -> None:
    check_options("prior", {"width": None, "stages": [0, 1], "epochs": 8})
    check_options("convirt", {"temperature": None, "text": "excerpt"})
    check_options("pedclip", {"schedule": lambda epoch: (1.0, False)})
