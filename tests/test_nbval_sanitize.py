import re
from pathlib import Path

import pytest
from nbval.plugin import get_sanitize_patterns

SANITIZE = (Path(__file__).parent / "nbval_sanitize.cfg").read_text(encoding="utf-8")


def _sanitized(text: str) -> str:
    for pattern, replacement in get_sanitize_patterns(SANITIZE):
        text = re.sub(pattern, replacement, text)
    return text


@pytest.mark.parametrize(
    ("noise", "plain"),
    [
        ("training took 83.2 s", "training took DURATION"),
        ("done in 12 ms", "done in DURATION"),
        ("torch 2.15.0+cpu, Python 3.11.7", "torch VERSION, Python VERSION"),
        ("made /tmp/pytest-1/x_y/a.json", "made TEMPORARY"),
        ("made /private/var/folders/zz/T/a", "made TEMPORARY"),
    ],
)
def test_noise_is_sanitized(noise: str, plain: str) -> None:
    assert _sanitized(noise) == plain


@pytest.mark.parametrize(
    "line",
    [
        "ok  Recall@1, test patients >= 0.80",
        "image (B=8, 1+S=197, C=192)",
        "patients 320 / 40 / 40",
        "AUC 0.912 in 40 patients",
        "dose 0.15 s",
        "AUC of torch 0.91",
        "made  runs/03_pretrain/demo/checkpoint",
    ],
)
def test_no_rule_can_hide_a_metric(line: str) -> None:
    assert _sanitized(line) == line
