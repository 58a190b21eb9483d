"""What a notebook sets before anything large is loaded."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pedclip.notebook.environment import benchmark_results, quiet


def test_waiting_threads_sleep_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "")  # so that it is put back afterwards
    monkeypatch.delenv("OMP_WAIT_POLICY")
    quiet()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    quiet()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def test_the_policy_is_set_before_torch_is_loaded() -> None:
    code = (
        "import sys; from pedclip.notebook import start; import pedclip.notebook.session; print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_numbers_of_a_benchmark_are_those_of_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pedclip.notebook.environment.project_root", lambda: tmp_path)
    assert benchmark_results("mine") == {}
    folder = tmp_path / "benchmarks" / "results"
    folder.mkdir(parents=True)
    (folder / "mine.json").write_text(json.dumps({"rows": [{"arm": "real", "value": 0.5}]}))
    assert benchmark_results("mine") == {"rows": [{"arm": "real", "value": 0.5}]}
