"""The script for the GPU keeps working where there is none."""

import json
from pathlib import Path

from benchmarks.gpu_all import main


def test_gpu_script_at_toy_size(tmp_path: Path) -> None:
    weights = ["--weights", str(tmp_path / "run"), "--epochs", "1", "--studies", "150"]
    assert main(["--toy", "--rounds", "1", "--json", str(tmp_path / "report.json"), *weights]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert len(report["correctness"]) == 32
    assert all(row["ok"] for row in report["correctness"])
    assert {row["variant"] for row in report["training_step"]} >= {"plain ViT", "literal Eq. 2", "ours, gate"}
    assert report["weights"]["films"]["train"] > 100
    assert (tmp_path / "run" / "checkpoint" / "model.safetensors").exists()
