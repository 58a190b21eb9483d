"""The script for the GPU keeps working where there is none."""

import json
from pathlib import Path

from benchmarks.gpu_all import main


def test_gpu_script_at_toy_size(tmp_path: Path) -> None:
    assert main(["--toy", "--rounds", "1", "--json", str(tmp_path / "report.json")]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert len(report["correctness"]) == 31
    assert all(row["ok"] for row in report["correctness"])
    assert {row["variant"] for row in report["training_step"]} >= {"plain ViT", "literal Eq. 2", "ours, gate"}
