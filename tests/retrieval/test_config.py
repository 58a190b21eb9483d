"""Switches of PECM: defaults, both readings, and what is refused."""

from dataclasses import replace

import pytest

from pedclip.retrieval.config import PECMConfig
from pedclip.retrieval.pecm import PECM


def test_the_intended_reading_is_the_default() -> None:
    assert PECMConfig.as_intended() == PECMConfig()


def test_the_printed_reading_differs_in_every_contradicted_point() -> None:
    printed, intended = PECMConfig.as_printed(), PECMConfig.as_intended()
    for name in ("short", "text_proto", "norm_z", "w_norm", "rerank", "sim_loss", "div_loss", "div_reduce"):
        assert getattr(printed, name) != getattr(intended, name), name
    # What is printed without contradiction is the same in both: λ = μ = 1, K = 26 from 5 x 5 regions.
    for name in ("conf_weight", "div_weight", "grid", "per", "dsce", "arr", "top_m"):
        assert getattr(printed, name) == getattr(intended, name), name


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"grid": "ceil6"}, r"grid='ceil6' is not allowed: one of \('ceil5', 'floor4', 'adaptive5'\)"),
        ({"w_mode": "per_film"}, r"w_mode='per_film' is not allowed: one of \('static', 'per_pair'\)"),
        ({"w_mode": "per_pair", "w_norm": "free"}, r"w_mode='per_pair' is not allowed with w_norm='free'"),
        ({"match": "best"}, r"match='best' is not allowed"),
        ({"match_temperature": 0.0}, r"match_temperature=0.0 is not allowed: in \[0.01, 1\]"),
        ({"top_m": 0}, r"top_m=0 is not allowed: None for all candidates"),
        ({"top_m": True}, r"top_m=True is not allowed"),
        ({"proj_dim": 0, "text_width": 5}, r"image_width=768 and text_width=5 differ"),
        ({"proj_dim": -1}, r"proj_dim=-1 is not allowed"),
        ({"temperature": 0.001}, r"temperature=0.001 is not allowed: in \[0.01, 1\]"),
        ({"div_weight": float("nan")}, r"div_weight=nan is not allowed"),
        ({"norm_z": 1}, r"norm_z=1 is not allowed: of type bool"),
        ({"image_width": 0}, r"image_width=0 is not allowed: at least 1"),
    ],
)
def test_misuse_raises(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(PECMConfig(), **changes)  # type: ignore[arg-type]


def test_an_argument_replaces_the_final_score_of_the_configuration() -> None:
    assert PECM(3, rerank="as_intended", config=PECMConfig.as_printed()).config.rerank == "as_intended"
    assert PECM(3, config=PECMConfig.as_printed()).config.rerank == "as_printed"
    with pytest.raises(ValueError, match="rerank='best' is not allowed: one of"):
        PECM(3, rerank="best")  # type: ignore[arg-type]
