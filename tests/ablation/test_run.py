"""Running a grid: cells through papermill, a failure kept, a kill survived, nothing computed twice."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pedclip.ablation import Grid, cells_table, read_scores, run_grid

SETTINGS = {"studies": 40, "phantom_size": 48, "image_size": 32, "epochs": 1, "batch_size": 16}
GRID: dict[str, Any] = {
    "name": "small",
    "question": "Does it run?",
    "reference": "mobe",
    "settings": SETTINGS,
    "seeds": [0],
    "test_studies": 30,
    # A layer that the ViT does not have is found out when the model is made, hence in the cell.
    "arms": {"mobe": {}, "broken": {"settings": {"mobe_layers": [9]}}, "mlp": {"settings": {"mobe_layers": []}}},
}


def test_a_grid_runs_goes_on_and_keeps_what_failed(tmp_path: Path) -> None:
    grid = Grid.from_dict(GRID)
    lines: list[str] = []
    table = run_grid(grid, tmp_path, workers=2, show=lines.append).set_index("arm")
    assert table["state"].to_dict() == {"mobe": "done", "broken": "failed", "mlp": "done"}
    assert "mobe_layers=(9,) is not allowed" in table.loc["broken", "error"]
    assert sorted(lines) == ["broken-0: failed", "mlp-0: done", "mobe-0: done"]
    assert (table.loc["mobe", "experts"], table.loc["mlp", "experts"]) == (23, 0)
    # The executed notebook tells what happened, also of the cell that failed.
    assert all((tmp_path / f"{arm}-0" / "cell.ipynb").is_file() for arm in table.index)
    scores = read_scores(grid, tmp_path)
    assert set(scores) == {("mobe", 0), ("mlp", 0)}
    assert set(scores["mobe", 0]["mixture"]) > {"gate", "top-1", "other label"}
    # Both arms answered about the same films of the same patients.
    keys = ["question", "task", "region", "patient", "film", "truth"]
    gates = [one[(one["mixture"] == "gate") & ~one["question"].str.startswith("gate")] for one in scores.values()]
    pd.testing.assert_frame_equal(*(one[keys].reset_index(drop=True) for one in gates))

    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*/scores.parquet")}
    again = run_grid(grid, tmp_path, show=lines.append)
    assert again["state"].tolist() == ["done", "failed", "done"]
    assert {file: file.stat().st_mtime_ns for file in before} == before
    with pytest.raises(ValueError, match="was made with other settings"):
        run_grid(grid.replace(settings={"epochs": 2}), tmp_path)


def test_a_killed_cell_is_computed_by_the_next_run(tmp_path: Path) -> None:
    grid = Grid.from_dict({**GRID, "settings": SETTINGS | {"epochs": 40}}).only(["mlp"])
    code = "import sys; from pathlib import Path; from tests.ablation.test_run import start; start(Path(sys.argv[1]))"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("mlp-0/run/resume/*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not (tmp_path / "mlp-0" / "cell.json").exists()
    # Parent, cell and kernel at once: nobody is left to finish anything.
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert cells_table(grid, tmp_path)["state"].tolist() == [""]
    table = run_grid(grid, tmp_path)
    assert table["state"].tolist() == ["done"], table["error"].item()


def start(folder: Path) -> None:
    """The grid of the test above, in a process that can be killed."""
    run_grid(Grid.from_dict({**GRID, "settings": SETTINGS | {"epochs": 40}}).only(["mlp"]), folder)


def test_impossible_wishes_are_refused(tmp_path: Path) -> None:
    for options in ({"where": "cloud"}, {"workers": 0}):
        with pytest.raises(ValueError, match="is not allowed"):
            run_grid(Grid.from_dict(GRID), tmp_path, **options)  # type: ignore[arg-type]


def test_the_same_cells_run_on_a_ray_cluster(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'pedclip[ray]'")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        grid = Grid.from_dict(GRID).only(["mobe", "broken"])
        assert run_grid(grid, tmp_path, workers=2, where="ray")["state"].tolist() == ["done", "failed"]
    finally:
        ray.shutdown()
