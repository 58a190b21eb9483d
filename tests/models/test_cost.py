"""Counted cost at the published size against the arithmetic of the paper's architecture."""

import pytest
import torch

from pedclip.models.cost import EveryRow, count_gmac, count_parameters
from pedclip.models.image import ImageEncoder, build_vit


@pytest.fixture(scope="module")
def encoders() -> dict[str, ImageEncoder]:
    return {
        name: ImageEncoder(
            build_vit("vit_base_patch16_224", image_size=224, weights=""), mobe_layers=layers, num_experts=23
        )
        for name, layers in (("plain", ()), ("mobe", (-1,)))
    }


def test_parameters(encoders: dict[str, ImageEncoder]) -> None:
    expert = 2 * 768 * 3072 + 3072 + 768
    added = 22 * expert + 768 * 23  # 23 experts instead of one MLP, and the gate
    assert count_parameters(encoders["mobe"]) - count_parameters(encoders["plain"]) == added


def test_operations(encoders: dict[str, ImageEncoder]) -> None:
    pixels = torch.zeros(1, 3, 224, 224)
    plain = count_gmac(encoders["plain"], pixels)
    literal = count_gmac(EveryRow(encoders["mobe"]), pixels)
    ours = count_gmac(encoders["mobe"], pixels)
    one_mlp = 197 * 2 * 768 * 3072 / 1e9
    gate = 768 * 23 / 1e9
    assert plain == pytest.approx(17.56, abs=0.01)
    assert literal - plain == pytest.approx(22 * one_mlp + gate, rel=1e-9)
    assert ours == pytest.approx(16.45, abs=0.01)
