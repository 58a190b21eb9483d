import numpy as np
import pytest

from pedclip.data.phantom.body.layouts import build, views_of
from pedclip.data.phantom.body.scene import Scene
from pedclip.data.phantom.findings import equipment
from pedclip.data.phantom.findings.registry import FINDINGS
from pedclip.data.phantom.imaging.render import attenuation
from pedclip.data.phantom.imaging.shapes import LEAD, SKELETON, Pose, project, stack
from pedclip.data.phantom.population import plan_study

ITEMS = [(chance.name, region) for chance in equipment.CHANCES for region in chance.regions]


def _scene(region: str, view: int = 0) -> Scene:
    views = views_of(region)
    return build(region, age=8.0, bone_age=8.0, sex="M", view=views[view], rng=np.random.default_rng(0))


@pytest.mark.parametrize(("name", "region"), ITEMS)
def test_every_item_shows_on_the_film_and_spares_the_bones(name: str, region: str) -> None:
    scene = _scene(region)
    before = list(scene.shapes)
    assert getattr(equipment, name)(scene, np.random.default_rng(3))
    assert scene.shapes[: len(before)] == before
    added = scene.shapes[len(before) :]
    assert all(shape.layer != SKELETON for shape in added)
    pose = Pose(turn=scene.turn, scale=0.9)
    plain, fitted = attenuation([project(stack(part), pose) for part in (before, scene.shapes)], 128).numpy()
    changed = np.abs(fitted - plain) > 0.03
    assert 10 < changed.sum() < 0.8 * changed.size
    assert not scene.extents  # no finding is claimed


def test_about_a_twelfth_of_the_films_show_something() -> None:
    plans = [plan_study(number, seed=0) for number in range(4000)]
    regions = [part.region for plan in plans for part in plan.parts for _ in part.views]
    scenes = {region: _scene(region) for region in set(regions)}
    lengths = {region: len(scene.shapes) for region, scene in scenes.items()}
    drawn, rng = [], np.random.default_rng(0)
    for region in regions:
        drawn.append(equipment.apply(scenes[region], region, rng))
        del scenes[region].shapes[lengths[region] :]
    assert np.mean([bool(names) for names in drawn]) == pytest.approx(0.08, abs=0.02)
    found = {name for names in drawn for name in names}
    assert found == {"cast", "hardware", "tube", "leads", "button"}
    assert not found & set(FINDINGS)


def test_all_views_of_a_study_show_the_same_equipment() -> None:
    shown = 0
    for region in ("chest", "forearm"):
        scenes = [_scene(region, view) for view in (0, 1)]
        for seed in range(200):
            names = [equipment.apply(scene, region, np.random.default_rng(seed)) for scene in scenes]
            assert names[0] == names[1]
            shown += bool(names[0])
    assert shown > 20


def test_metal_is_lead_and_stays_inside_a_bone() -> None:
    scene = _scene("femur")
    count = len(scene.shapes)
    for seed in range(6):
        equipment.hardware(scene, np.random.default_rng(seed))
    names = {shape.name for shape in scene.shapes[count:]}
    assert names <= {"wire", "plate", "screw"}
    assert "wire" in names
    assert "plate" in names
    assert all(shape.layer == LEAD for shape in scene.shapes[count:])


def test_a_sleeve_is_hollow() -> None:
    scene = _scene("forearm")
    count = len(scene.shapes)
    equipment.cast(scene, np.random.default_rng(0))
    sleeve = attenuation([project(stack(scene.shapes[count : count + 2]), Pose())], 256)[0].numpy()
    row = sleeve[int(np.argmax((sleeve > 0.02).sum(1)))]
    across = np.flatnonzero(row > 0.02)
    rim, middle = row[across].max(), row[(across[0] + across[-1]) // 2]
    assert 0.05 < middle < 0.3
    assert rim > 1.8 * middle
