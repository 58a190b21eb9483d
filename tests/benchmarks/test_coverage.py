"""The benchmark of coverage: its populations have the truth they claim, and its figures are shares of studies."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.coverage import main, measure
from benchmarks.drawn_studies import SCENARIOS

EXACT = [name for name in SCENARIOS if name != "mAP"]  # the truth of mAP is itself drawn


@pytest.mark.parametrize("name", EXACT)
def test_a_study_of_many_patients_is_near_the_truth(name: str) -> None:
    study = SCENARIOS[name](np.random.default_rng(0), 4000, 0.3)
    assert study is not None
    width = study.interval.high - study.interval.low
    # Three standard errors: the interval is about four wide.
    assert abs(study.interval.value - study.truth) < 0.75 * width
    assert float(study.resampled(np.ones((1, len(study.patients))))[0]) == pytest.approx(study.interval.value)


def test_one_scenario_is_written_with_its_worst_coverage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "coverage.json"
    main(["--studies", "6", "--metrics", "accuracy", "--patients", "20", "--json", str(path)])
    report = json.loads(path.read_text())
    assert list(report["scenarios"]) == [f"accuracy, 20 patients, {share}" for share in ("5%", "10%", "30%", "50%")]
    assert report["worst"]["interval"]["scenarios"] == 4
    assert "accuracy, 20 patients, 5%: percentile" in capsys.readouterr().out


def test_studies_without_an_interval_are_counted() -> None:
    found = measure("AUC 0.80", 12, 0.05, 5)
    assert found == {"studies": 5, "too_few": 1.0}
