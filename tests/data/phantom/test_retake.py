"""Films of other patients: the facts of the report in another body."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pedclip.data.phantom import Retake, draw_retakes
from pedclip.data.phantom import retake as module
from pedclip.data.phantom.population import StudyPlan, plan_study
from pedclip.data.phantom.study import draw_study, scene_in

SEED = 0


def retakes(numbers: range, body: int = 1) -> list[Retake]:
    plans = [plan_study(number, SEED) for number in numbers]
    return [
        Retake(plan, part, view, SEED, body)
        for plan in plans
        for part, shown in enumerate(plan.parts)
        for view in shown.views
    ]


def plan_with(finding: str) -> StudyPlan:
    plans = (plan_study(number, SEED) for number in range(500))
    return next(plan for plan in plans if any(one.name == finding for one in plan.parts[0].findings))


def test_the_other_body_has_every_finding_and_nothing_else() -> None:
    for one in retakes(range(40)):
        taken, scene, _ = module._fitting(one)
        part = one.plan.parts[one.part]
        assert taken.view in part.views
        assert {name for name, _ in scene.extents} == {finding.name for finding in part.findings}


def test_the_report_is_true_of_the_film_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    described = []

    def kept(*arguments: object, **options: object) -> object:
        found = scene_in(*arguments, **options)  # type: ignore[arg-type]
        described.append(found[1])
        return found

    monkeypatch.setattr(module, "scene_in", kept)
    for one in retakes(range(40)):
        described.clear()
        module._fitting(one)
        # The first scene is the patient's, to which the report belongs; the last is the one that is filmed.
        assert described[-1] == described[0]


def test_a_body_that_breaks_elsewhere_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_with("fracture")
    one = Retake(plan, 0, plan.parts[0].views[0], SEED, 1)
    told = module._own_scene(one, plan.parts[0].views[0])[1]
    calls = []

    def elsewhere(*arguments: object, **options: object) -> object:
        scene, described = scene_in(*arguments, **options)  # type: ignore[arg-type]
        calls.append(described)
        # The first call is the patient; the next two bodies break in another place.
        return scene, replace(described, sites=("elsewhere",)) if 1 < len(calls) < 4 else described

    monkeypatch.setattr(module, "scene_in", elsewhere)
    module._fitting(one)
    assert len(calls) >= 4
    assert calls[-1] == told


def test_where_no_body_fits_the_patient_is_filmed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_with("fracture")
    first = plan.parts[0].views[0]
    one = Retake(plan, 0, plan.parts[0].views[-1], SEED, 1)
    own = module._own_scene(one, first)
    anatomies = []

    def strange(*arguments: object, **options: object) -> object:
        scene, described = scene_in(*arguments, **options)  # type: ignore[arg-type]
        anatomies.append(options["anatomy"])
        is_own = scene.shapes == own[0].shapes
        return scene, described if is_own else replace(described, sites=("elsewhere",))

    monkeypatch.setattr(module, "scene_in", strange)
    taken, scene, _ = module._fitting(one)
    assert (taken.view, scene.shapes) == (first, own[0].shapes)
    assert len(anatomies) > module._ATTEMPTS


def test_films_depend_on_body_and_study_alone() -> None:
    wanted = retakes(range(6))
    films = draw_retakes(wanted, 32)
    assert films.shape == (len(wanted), 32, 32)
    assert films.dtype == np.uint8
    assert (draw_retakes(wanted[::-1], 32)[::-1] == films).all()
    assert (draw_retakes(wanted[2:3], 32)[0] == films[2]).all()
    others = draw_retakes(retakes(range(6), body=2), 32)
    assert all((one != other).any() for one, other in zip(films, others, strict=True))


def test_no_number_is_the_patient_of_the_study() -> None:
    real = [np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))) for row in draw_study(0, seed=SEED, size=32)]
    for body in (0, SEED, 2**63 - 1):
        films = draw_retakes(retakes(range(1), body=body), 32)
        assert not any((film == other).all() for film in films for other in real)


def test_age_sex_and_side_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spied(plan: StudyPlan, *arguments: object, **options: object) -> object:
        seen.append(plan)
        return scene_in(plan, *arguments, **options)  # type: ignore[arg-type]

    one = retakes(range(3, 4))[0]
    monkeypatch.setattr(module, "scene_in", spied)
    module._fitting(one)
    assert all(plan == one.plan for plan in seen)
