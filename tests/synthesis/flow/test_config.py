"""What a flow's configuration takes, and what it says about the rest."""

import json
from pathlib import Path
from typing import Any

import pytest

from pedclip.synthesis.flow.config import (
    PROFILES,
    FlowConfig,
    FlowRun,
    FlowTraining,
    Sampling,
    load_flow_profile,
    load_flow_run,
)


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (FlowConfig, {"image_size": 66}, "image_size=66 is not allowed: a multiple of 8"),
        (FlowConfig, {"image_size": 1024}, "in 8…512"),
        (FlowConfig, {"channels": (30, 60)}, "multiples of 16"),
        (FlowConfig, {"channels": (32, 4096)}, "multiples of 16 up to 1024"),
        (FlowConfig, {"channels": ()}, "one to five widths"),
        (FlowConfig, {"channels": "32"}, "a list of int"),
        (FlowConfig, {"attention_levels": 4}, "in 1…3"),
        (FlowConfig, {"heads": 3}, "a divisor of the channels with attention"),
        (FlowTraining, {"steps": 0}, "at least 1"),
        (FlowTraining, {"steps": 10, "warmup_steps": 10}, "in 0…9"),
        (FlowTraining, {"learning_rate": float("nan")}, "above 0 and finite"),
        (FlowTraining, {"ema_decay": 1.0}, r"in \[0, 1\)"),
        (FlowTraining, {"caption_dropout": -0.1}, r"in \[0, 1\)"),
        (FlowTraining, {"precision": "16-mixed"}, "one of"),
        (FlowTraining, {"seed": True}, "of type int"),
        (Sampling, {"solver": "rk4"}, "one of"),
        (Sampling, {"guidance": -1.0}, "finite and at least 0|at least 0 and finite"),
        (Sampling, {"steps": 0}, "in 1…1000"),
        (FlowRun, {"name": "a/b"}, "letters, digits"),
        (FlowRun, {"data": "generic"}, "at least 1 of 'generic'"),
        (FlowRun, {"phantom_size": 32}, "at least image_size=64"),
        (FlowRun, {"text_encoder": " "}, "not empty"),
    ],
)
def test_values_out_of_range(section: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        section(**values)


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_survive_json(profile: str) -> None:
    run = load_flow_profile(profile)
    assert FlowRun.from_dict(json.loads(json.dumps(run.to_dict()))) == run
    assert run.training.warmup_steps < run.training.steps


def test_profiles_are_three_different_runs() -> None:
    demo, large, overfit = (load_flow_profile(profile) for profile in ("demo", "large", "overfit"))
    assert (demo.model.image_size, large.model.image_size, overfit.films) == (64, 128, 32)
    assert demo.training.seed != overfit.training.seed
    with pytest.raises(ValueError, match="one of"):
        load_flow_profile("paper")


def test_replace_changes_sections_and_keeps_the_rest() -> None:
    run = FlowRun().replace({"name": "mine", "training": {"steps": 900}})
    assert (run.name, run.training.steps, run.training.batch_size) == ("mine", 900, FlowTraining().batch_size)
    with pytest.raises(ValueError, match="unknown setting 'step' of FlowTraining; did you mean 'steps'"):
        run.replace({"training": {"step": 1}})
    with pytest.raises(ValueError, match="unknown setting 'modell'"):
        run.replace({"modell": {}})


def test_files_are_named_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "flow.json"
    path.write_text(json.dumps({"training": {"steps": -1}}))
    with pytest.raises(ValueError, match=r"flow\.json: steps=-1"):
        load_flow_run(path)
    path.write_text(json.dumps([1]))
    with pytest.raises(ValueError, match=r"flow\.json: the configuration of a flow is an object"):
        load_flow_run(path)
    path.write_text(json.dumps({"sampling": {"steps": 3}}))
    assert load_flow_run(path).sampling.steps == 3
