"""The zero-shot table of a shell."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pedclip.evaluation.__main__ import table

HIGH, LOW = {"value": 0.8, "low": 0.7, "high": 0.9}, {"value": 0.5, "low": 0.4, "high": 0.6}
TASK = {"task": "fracture", "source": "a", "num_positives": 10, "num_negatives": 20}
METRICS: dict[str, Any] = {
    "regions": [{"method": "zero-shot", "num_images": 30, "accuracy": HIGH, "chance_majority": 0.25}],
    "tasks": [TASK | {"method": "zero-shot", "auc": HIGH}, TASK | {"method": "shortcut", "auc": LOW}],
    "retrieval": [
        {"direction": "image to text", "metric": "recall", "k": 5, "method": "untrained", "score": LOW, "chance": 0.125}
    ],
    "num_images": 30,
    "num_patients": 12,
    "split": "test",
}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_one_line_per_question_and_one_column_per_method() -> None:
    head, region, task, retrieval, foot = table(METRICS).splitlines()
    high, low = "0.800 (0.700–0.900)", "0.500 (0.400–0.600)"
    assert cells(head) == ["zero-shot", "untrained", "shortcut", "chance"]
    assert cells(region) == ["region, accuracy (30 films)", high, "–", "–", "0.250"]
    assert cells(task) == ["fracture, AUC (10 + 20; a)", high, "–", low, "0.500"]
    assert cells(retrieval) == ["image to text, recall@5", "–", low, "–", "0.125"]
    assert foot == "30 films of 12 patients, test split; 95 % bootstrap intervals over patients."
    assert head.index("chance") == region.index("0.250") == task.index("0.500", task.index(low) + len(low))


def test_too_few_patients_are_said() -> None:
    few = TASK | {"method": "zero-shot", "auc": {"value": 0.8, "low": None, "high": None}}
    assert cells(table(METRICS | {"tasks": [few]}).splitlines()[2])[1] == "0.800 (too few patients)"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pedclip.evaluation", *arguments], capture_output=True, text=True)


def test_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    assert run(str(tmp_path / "metrics.json")).stdout == table(METRICS) + "\n"


@pytest.mark.parametrize("arguments", [[], ["missing.json"]])
def test_misuse_shows_the_usage(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("usage: python -m pedclip.evaluation METRICS.JSON")
