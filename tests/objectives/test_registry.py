"""Objectives by name."""

import pytest

from pedclip import objectives
from pedclip.objectives.base import Objective
from pedclip.objectives.registry import OBJECTIVES, option_names
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
