from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from pedclip.anatomy import REGIONS
from pedclip.data.phantom.body.layouts import build, views_of
from pedclip.data.phantom.body.scene import Scene
from pedclip.data.phantom.findings.finding import Finding
from pedclip.data.phantom.findings.registry import FINDINGS, LESIONS, WEIGHTS, apply, form, incidental
from pedclip.data.phantom.imaging.render import attenuation
from pedclip.data.phantom.imaging.shapes import Pose, Shape, project, stack

MOVING = ("dislocation", "joint space narrowing", "scoliosis")  # bones beyond the box follow
SIDED = ("consolidation", "pleural effusion", "pneumothorax")
SIZE = 128


def _scene(region: str, *, age: float = 8.0, view: str = "") -> Scene:
    return build(region, age=age, sex="M", view=view or views_of(region)[0], rng=np.random.default_rng(0))


def _finding(name: str, severity: float = 0.8, *, sign: int = 1, variant: float = 0.6, pick: float = 0.5) -> Finding:
    return Finding(name, severity, pick, 0.5, sign, variant)


def _drawn(shapes: list[Shape], turn: float) -> NDArray[np.float32]:
    return np.asarray(attenuation([project(stack(shapes), Pose(turn=turn, scale=0.9))], SIZE)[0])


@cache
def _normal(region: str, age: float) -> NDArray[np.float32]:
    scene = _scene(region, age=age)
    return _drawn(scene.shapes, scene.turn)


def _change(finding: Finding, region: str, age: float = 8.0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Absolute change of the attenuation and the extent of the finding, (SIZE, SIZE) each."""
    scene = _scene(region, age=age)
    apply(scene, finding)
    extent = _drawn([shape for _, shape in scene.extents], scene.turn) > 0.05
    return np.abs(_drawn(scene.shapes, scene.turn) - _normal(region, age)), extent


@pytest.mark.parametrize("name", sorted(FINDINGS))
def test_a_finding_changes_the_film_where_its_extent_is(name: str) -> None:
    least = 1.2 if name in MOVING else 4
    for region in FINDINGS[name]:
        for age, variant in ((8.0, 0.6), (13.0, 0.2)):
            changed, inside = _change(_finding(name, variant=variant), region, age)
            assert inside.any(), region
            assert changed[inside].max() > 0.08, (region, age)
            assert changed[inside].mean() > least * changed[~inside].mean(), (region, age)


@pytest.mark.parametrize("name", sorted(FINDINGS))
def test_the_change_grows_with_the_severity(name: str) -> None:
    for region in FINDINGS[name]:
        subtle, marked = (_change(_finding(name, severity), region)[0].sum() for severity in (0.15, 0.95))
        assert marked > 1.3 * subtle > 0, region


@pytest.mark.parametrize("name", sorted(FINDINGS))
def test_every_finding_is_drawn_at_every_age_and_in_every_view(name: str) -> None:
    for region in FINDINGS[name]:
        for view in views_of(region):
            for age in (0.1, 3.0, 17.9):
                scene = _scene(region, age=age, view=view)
                words = apply(scene, _finding(name, variant=0.3))
                assert words.strip(), (region, view, age)
                assert {label for label, _ in scene.extents} == {name}
                assert np.isfinite(stack(scene.shapes)).all(), (region, view, age)


@pytest.mark.parametrize("name", LESIONS)
def test_even_a_small_film_has_a_mask(name: str) -> None:
    for region in FINDINGS[name]:
        scene = _scene(region)
        apply(scene, _finding(name, 0.05))
        extents = [shape for _, shape in scene.extents]
        assert (attenuation([project(stack(extents), Pose(turn=scene.turn, scale=0.75))], 48) > 0.05).any(), region


@pytest.mark.parametrize("name", sorted(FINDINGS))
def test_the_same_finding_is_drawn_the_same_way(name: str) -> None:
    region = FINDINGS[name][0]
    scenes = [_scene(region) for _ in range(2)]
    words = {apply(scene, _finding(name)) for scene in scenes}
    assert len(words) == 1
    assert np.array_equal(stack(scenes[0].shapes), stack(scenes[1].shapes))


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("name", SIDED)
def test_the_side_of_a_lung_is_named_right(name: str, sign: int) -> None:
    scene = _scene("chest")
    assert apply(scene, _finding(name, sign=sign)).startswith("left" if sign > 0 else "right")
    assert all(np.sign(shape.middle[0]) == sign for _, shape in scene.extents)


@pytest.mark.parametrize(
    ("region", "name"), [("pelvis", "fracture"), ("facial_bones", "fracture"), ("chest", "fracture")]
)
def test_the_side_of_a_paired_bone_is_named_right(region: str, name: str) -> None:
    seen = set()
    for variant in np.linspace(0.01, 0.99, 12):
        scene = _scene(region)
        side = apply(scene, _finding(name, variant=float(variant), pick=0.4)).split()[0]
        assert side == ("left" if scene.extents[0][1].middle[0] > 0 else "right")
        seen.add(side)
    assert seen == {"left", "right"}


@pytest.mark.parametrize("severity", [0.0, 0.5, 1.0])
def test_a_scoliosis_has_its_cobb_angle(severity: float) -> None:
    scene = _scene("thoracic_spine")
    apply(scene, _finding("scoliosis", severity))
    bodies = [scene.shapes[scene.find(f"T{level}")] for level in range(1, 13)]
    tilts = [np.degrees(np.arctan2(body.x1 - body.x0, body.y1 - body.y0)) for body in bodies]
    # The steepest place may lie between two bodies, and people have a little curve of their own.
    assert max(tilts) - min(tilts) == pytest.approx(10 + 50 * severity, abs=5)


def test_an_undisplaced_fracture_changes_little_more_than_its_line() -> None:
    for sign in (-1, 1):
        changed, inside = _change(_finding("fracture", 0.3, sign=sign, variant=0.95), "tibia_fibula", 15.0)
        assert changed[~inside].max() < 0.4 * changed[inside].max()
        assert inside.mean() < 0.02


@pytest.mark.parametrize("pick", [0.1, 0.9])
def test_where_both_growth_plates_are_seen_the_distal_one_breaks(pick: float) -> None:
    words = apply(_scene("forearm", age=9.0), _finding("fracture", variant=0.52, pick=pick))
    assert words in ("distal radius", "distal ulna")


def test_mild_swelling_occurs_without_a_finding() -> None:
    changed = []
    for seed in range(40):
        scene = _scene("ankle")
        before = len(scene.shapes)
        incidental(scene, np.random.default_rng(seed))
        assert not scene.extents
        changed.append(len(scene.shapes) > before)
    assert 2 <= sum(changed) <= 16  # one film of six: a quarter, less those without any amount


def test_forms_of_fractures_follow_the_age() -> None:
    def forms(age: float, region: str = "wrist") -> list[str]:
        return [form(_finding("fracture", variant=v), age, region=region) for v in np.linspace(0, 0.999, 200)]

    assert set(forms(1.0)) == {"buckle", "greenstick", "transverse", "oblique"}
    assert set(forms(6.0)) == {"buckle", "greenstick", "physeal", "transverse", "oblique"}
    assert set(forms(17.0)) == {"transverse", "oblique"}
    assert forms(6.0).count("buckle") > 3 * forms(13.0).count("buckle")
    assert forms(13.0).count("physeal") > 2 * forms(6.0).count("physeal")
    assert set(forms(6.0, "skull")) <= {"transverse", "oblique"}
    assert form(_finding("erosion"), 6.0) == ""


def test_tables_agree() -> None:
    assert len(FINDINGS) == 22
    assert set(LESIONS) | set(WEIGHTS) <= set(FINDINGS)
    assert {region for where in FINDINGS.values() for region in where} == set(REGIONS)
    for region in REGIONS:
        assert sum(region in where for where in FINDINGS.values()) >= 3, region
