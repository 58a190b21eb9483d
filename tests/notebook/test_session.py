import base64
import copy
import html
import inspect
import io
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

from pedclip.evaluation.metrics.bootstrap import Interval
from pedclip.notebook.execute import tidy
from pedclip.notebook.session import (
    CheckFailed,
    Config,
    MissingArtefact,
    ParameterError,
    add_provenance,
    check,
    finish,
    require_artefact,
    say,
    show_images,
    show_source,
    show_table,
    show_text,
    start,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # `start` sets these for good, which is right for a kernel and wrong for the other tests.
    monkeypatch.setattr(os, "environ", os.environ.copy())


@pytest.fixture
def cfg(tmp_path: Path) -> Config:
    return start({"output": str(tmp_path), "seed": 3}, "02_mobe")


def test_only_what_a_cell_defines_is_a_parameter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, Any] = {"output": str(tmp_path), "In": [""], "Out": {}, "_": 1, "json": json, "start": start}
    cfg = start(namespace, "02_mobe")
    assert (cfg.studies, cfg.profile) == (120, "demo")
    assert capsys.readouterr().out.splitlines()[0] == f"02_mobe: output='{tmp_path}'"


def test_a_second_start_ignores_what_later_cells_defined(tmp_path: Path) -> None:
    namespace: dict[str, Any] = {"output": str(tmp_path)}
    namespace["cfg"] = start(namespace, "02_mobe")
    namespace |= {"losses": [1.0], "seed": 5}
    assert start(namespace, "02_mobe").seed == 5


def test_a_misspelt_name_can_be_corrected_in_the_same_kernel(tmp_path: Path) -> None:
    namespace: dict[str, Any] = {"output": str(tmp_path), "sed": 5}
    with pytest.raises(ParameterError, match="did you mean 'seed'"):
        start(namespace, "02_mobe")
    namespace["seed"] = 5
    assert start(namespace, "02_mobe").seed == 5


def test_a_run_folder_holds_parameters_and_provenance(cfg: Config, tmp_path: Path) -> None:
    assert cfg.paths.folder == tmp_path / "02_mobe" / "demo"
    assert cfg.paths.of("03_pretrain").checkpoint == tmp_path / "03_pretrain" / "demo" / "checkpoint"
    assert json.loads(cfg.paths.parameters.read_text())["seed"] == 3
    add_provenance(cfg, data="abc")
    add_provenance(cfg, checkpoint="def")
    provenance = json.loads(cfg.paths.provenance.read_text())
    assert (provenance["seed"], provenance["data"], provenance["checkpoint"]) == (3, "abc", "def")
    assert provenance["versions"]["torch"][0].isdigit()
    assert re.fullmatch(r"([0-9a-f]{40}(\+changes)?)?", provenance["git_revision"])


def test_a_relative_output_starts_at_the_caller_and_the_default_at_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert start({"output": "mine"}, "02_mobe").paths.output == tmp_path / "mine"
    monkeypatch.setattr("pedclip.notebook.environment.project_root", lambda: tmp_path / "project")
    assert start({}, "02_mobe").paths.output == tmp_path / "project" / "runs"


def test_the_config_knows_no_other_name_and_can_be_copied(cfg: Config) -> None:
    with pytest.raises(AttributeError, match="no parameter is called 'epochs'"):
        _ = cfg.epochs
    assert copy.deepcopy(cfg) == cfg


def test_finish_writes_null_for_what_could_not_be_computed(cfg: Config, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    auc = {"fracture": float("nan"), "effusion": np.float64(0.5)}
    metrics = {"auc": auc, "patients": np.int64(4), "ci": (0.1, 0.9)}
    finish(cfg, metrics, [cfg.paths.parameters], "03_pretrain")
    stored = json.loads(cfg.paths.metrics.read_text())
    assert stored == {"auc": {"fracture": None, "effusion": 0.5}, "patients": 4, "ci": [0.1, 0.9]}
    assert capsys.readouterr().out.splitlines()[-1] == "next  notebooks/03_pretrain.ipynb"
    with pytest.raises(MissingArtefact, match="was to be made and is not there"):
        finish(cfg, {}, [cfg.paths.checkpoint], "")


def test_a_check_prints_its_bound_and_never_the_value(capsys: pytest.CaptureFixture[str]) -> None:
    check("Recall@1", 0.9312, at_least=0.8)
    check("error", np.float32(1e-7), at_most=1e-6)
    check("regions", 23, equal=23)
    assert capsys.readouterr().out == "ok  Recall@1 >= 0.80\nok  error <= 1e-06\nok  regions == 23\n"


def test_a_check_fails_with_the_value() -> None:
    with pytest.raises(CheckFailed, match=r"Recall@1 is 0\.79, expected >= 0\.80"):
        check("Recall@1", 0.79, at_least=0.8)
    with pytest.raises(CheckFailed, match="is nan, expected <= 1"):
        check("loss", float("nan"), at_most=1)
    with pytest.raises(CheckFailed, match="is 22, expected == 23"):
        check("regions", 22, equal=23)
    with pytest.raises(TypeError, match="exactly one"):
        check("x", 1, at_least=0, at_most=2)
    with pytest.raises(TypeError, match="exactly one"):
        check("x", 1)


def test_a_missing_artefact_says_how_to_make_it_and_how_to_pass_another(tmp_path: Path) -> None:
    hint = "papermill notebooks/03_pretrain.ipynb runs/03.ipynb"
    with pytest.raises(MissingArtefact) as caught:
        require_artefact(ROOT / "runs" / "none" / "checkpoint", notebook="04", needs="a checkpoint", command_hint=hint)
    assert str(caught.value).splitlines() == [
        "notebook 04 needs a checkpoint; there is none in runs/none/checkpoint.",
        f"  Make one:      {hint}",
        '  and pass it:   -p checkpoint ""  (the run of notebook 03 of this name)',
        "  or shipped:    -p checkpoint pedclip-phantom-small",
        "  or use yours:  -p checkpoint /path/to/folder",
    ]
    with pytest.raises(MissingArtefact) as caught:
        require_artefact(tmp_path / "none", notebook="04", needs="a set", command_hint=hint, parameter="data")
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()[1:]] == ["  Make one", "  or use yours"]
    assert require_artefact(tmp_path, notebook="04", needs="a checkpoint", command_hint=hint) == tmp_path


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    outputs: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "IPython.display.display", lambda data, raw, metadata: outputs.append(data | {"metadata": metadata})
    )
    return outputs


def test_the_plain_twin_of_what_is_shown_has_no_number_of_the_result(shown: list[Any]) -> None:
    say("Recall is 0.93.")
    rows = [{"finding": "<fracture>", "AUC": 0.91234, "n": 4}, {"finding": "effusion", "AUC": float("nan"), "n": 12345}]
    show_table(rows, caption="a & b")
    show_table(pd.DataFrame({"x": [1e-5, 123.456]}, index=["a", "b"]))
    show_source(check)
    assert [data["text/plain"] for data in shown] == [
        "text",
        "table: 2 rows x 3 columns",
        "table: 2 rows x 2 columns",
        "source: pedclip.notebook.session.check",
    ]
    table = shown[1]["text/html"]
    assert "&lt;fracture&gt;" in table
    assert "<caption>a &amp; b</caption>" in table
    assert _cells(table)[1::3] == ["0.912", "–"]
    assert _cells(shown[2]["text/html"]) == ["a", "1.0e-05", "b", "123.5"]


def _cells(table: str) -> list[str]:
    return re.findall(r"<td[^>]*>(.*?)</td>", table)


def test_a_score_without_an_interval_says_why(shown: list[Any]) -> None:
    few = Interval(0.8, float("nan"), float("nan"), num_items=9, num_groups=3)
    scores = pd.DataFrame({"value": [0.8, 0.7, np.nan], "low": [np.nan, 0.6, np.nan], "high": [np.nan, 0.8, np.nan]})
    show_table(scores.assign(AUC=[few, None, None]))
    assert _cells(shown[0]["text/html"]) == [
        "0.800", "too few patients", "–", "0.800 (too few patients)",
        "0.700", "0.600", "0.800", "–",
        "–", "–", "–", "–",
    ]  # fmt: skip


def test_texts_stand_left_numbers_right_and_an_interval_is_not_broken(shown: list[Any]) -> None:
    score = Interval(32.8561, 25.64, 40.1, num_items=75, num_groups=40)
    rows = [{"task": "age", "films": "75", "unit": "", "MAE": score, "chance": float("nan")}]
    show_table([*rows, {"task": "pages 1 to 3", "films": "–", "unit": "", "MAE": None, "chance": float("nan")}])
    table = shown[0]["text/html"]
    assert shown[0]["text/plain"] == "table: 2 rows x 5 columns"
    assert re.findall(r'<th style="text-align:(\w+)">(\w+)', table) == [
        ("left", "task"),
        ("right", "films"),
        ("left", "MAE"),
    ]
    assert _cells(table) == ["age", "75", "32.9 (25.6 to 40.1)", "pages 1 to 3", "–", "–"]
    unbroken = re.findall(r'<td style="[^"]*nowrap">(.*?)</td>', table)
    assert unbroken == ["75", "32.9 (25.6 to 40.1)"]
    show_table(pd.DataFrame({"reason": [], "files": []}))
    assert shown[1]["text/html"].count("<th ") == 2  # without rows nothing is known to be missing


def test_source_scrolls_and_prompts_break_at_words(shown: list[Any]) -> None:
    show_source(check)
    page = shown[0]["text/html"]
    assert "white-space:pre;" in page
    assert "overflow-x:auto" in page
    assert textwrap.dedent(inspect.getsource(check)).rstrip() in html.unescape(page)
    show_text("Answer <yes>.", caption="system")
    assert shown[1]["text/plain"] == "text"
    assert "<b>system</b>" in shown[1]["text/html"]
    assert "Answer &lt;yes&gt;." in shown[1]["text/html"]


def test_a_sheet_of_images_has_alternative_text_and_keeps_black(shown: list[Any]) -> None:
    images = np.zeros((2, 40, 20), np.uint8)
    images[1] = np.arange(200, 240)[:, None]
    show_images(images, ["black", "light"], size=40, alt='a "black" square and a ramp')
    data, caption = shown
    assert data["text/plain"] == "images: 2"
    assert data["metadata"]["image/png"]["alt"] == 'a "black" square and a ramp'
    assert "a &quot;black&quot; square and a ramp" in caption["text/html"]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))))
    black, ramp = sheet[-46:-6, 6:26], sheet[-46:-6, 32:52]
    np.testing.assert_array_equal(black, images[0])
    np.testing.assert_array_equal(ramp, images[1])


def test_a_notebook_is_executed_without_traces_of_the_machine(tmp_path: Path) -> None:
    parameters = f'output = "{tmp_path}"\nstudies = 30'
    begin = 'from pedclip.notebook import start\n\ncfg = start(globals(), "02_mobe")\nprint(cfg.studies)'
    path = tmp_path / "02_mobe.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(parameters), new_code_cell(begin)]), path)
    command = [sys.executable, "-m", "pedclip.notebook", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    notebook = nbformat.read(path, as_version=4)
    outputs = notebook.cells[1].outputs
    assert [output.name for output in outputs] == ["stdout"]
    assert outputs[0].text.splitlines()[2] == "30"
    assert [cell.execution_count for cell in notebook.cells] == [1, 2]
    assert "version" not in notebook.metadata.language_info
    assert all("execution" not in cell.metadata for cell in notebook.cells)


def test_a_failing_notebook_stays_as_it_is_and_shows_one_line(tmp_path: Path) -> None:
    begin = 'from pedclip.notebook import start\n\ncfg = start(globals(), "02_mobe")'
    path = tmp_path / "02_mobe.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("studiez = 30"), new_code_cell(begin)]), path)
    before = path.read_bytes()
    command = [sys.executable, "-m", "pedclip.notebook", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode != 0
    shown = ran.stderr[ran.stderr.index("CellExecutionError") :]
    assert "ParameterError: unknown parameter 'studiez'; did you mean 'studies'?" in shown
    assert "model_validate" not in shown
    assert path.read_bytes() == before


def test_tidying_joins_printed_pieces_and_drops_papermill() -> None:
    cell = new_code_cell("", metadata={"papermill": {"duration": 1}, "tags": ["parameters"]})
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text) for text in ("a\n", "b\n")]
    notebook = new_notebook(cells=[cell], metadata={"papermill": {"input_path": "/home/me"}})
    tidy(notebook)
    assert [output.text for output in cell.outputs] == ["a\nb\n"]
    assert cell.metadata == {"tags": ["parameters"]}
    assert "papermill" not in notebook.metadata
