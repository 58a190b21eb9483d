from itertools import pairwise

import numpy as np
import pytest

from pedclip.anatomy import REGIONS
from pedclip.data.phantom.body.layouts import build, views_of
from pedclip.data.phantom.body.physique import growth_gap, ossified, sample_physique
from pedclip.data.phantom.body.scene import Scene, blob
from pedclip.data.phantom.imaging.render import attenuation
from pedclip.data.phantom.imaging.shapes import Pose, project, stack

_BY_BONE_AGE = {"hand": "carpal", "wrist": "carpal", "knee": "patella", "foot": "cuneiform", "elbow": "trochlea"}


def _scene(
    region: str, *, age: float = 8.0, bone_age: float | None = None, sex: str = "M", order: int = 0, seed: int = 0
) -> Scene:
    view = views_of(region)[order]
    return build(region, age=age, bone_age=bone_age, sex=sex, view=view, rng=np.random.default_rng(seed))


def _drawn(scene: Scene, size: int = 96) -> np.ndarray:
    return attenuation([project(stack(scene.shapes), Pose(turn=scene.turn))], size)[0].numpy()


def _ossified_area(scene: Scene) -> float:
    """Area of nuclei and epiphyses, scene units squared."""
    kinds = (
        "epiphysis",
        "capitate",
        "lunate",
        "patella",
        "navicular",
        "capitellum",
        "cuneiform",
        "scaphoid",
        "trochlea",
    )
    caps = [shape for shape in scene.shapes if shape.name.endswith(kinds)]
    return float(sum(np.hypot(shape.x1 - shape.x0, shape.y1 - shape.y0) * shape.wm for shape in caps))


def _length(scene: Scene, bone: str) -> float:
    """Of a shaft between its growth plates, scene units."""
    shaft = scene.shapes[scene.find(bone)]
    return float(np.hypot(shaft.x1 - shaft.x0, shaft.y1 - shaft.y0))


@pytest.mark.parametrize("region", REGIONS)
def test_every_region_view_age_and_sex_builds_finite_shapes(region: str) -> None:
    for order, _ in enumerate(views_of(region)):
        for age in (0.1, 1.0, 5.0, 10.0, 15.0, 18.0):
            for sex in "FM":
                scene = _scene(region, age=age, sex=sex, order=order, seed=int(age))
                rows = project(stack(scene.shapes), Pose(turn=scene.turn))
                assert np.isfinite(rows).all()
                assert all(min(shape.w0, shape.wm, shape.w1) > 0 for shape in scene.shapes)
                assert scene.breakable or region in ("chest", "abdomen")
                assert set(scene.breakable) <= {shape.name for shape in scene.shapes}


@pytest.mark.parametrize("region", _BY_BONE_AGE)
def test_bone_age_and_not_age_drives_ossification(region: str) -> None:
    areas = [_ossified_area(_scene(region, age=8.0, bone_age=years)) for years in np.arange(0.0, 14.1, 1.0)]
    assert all(later > earlier - 1e-9 for earlier, later in pairwise(areas))  # equal up to rounding when grown
    assert areas[-1] > 2 * areas[2]
    younger, older = (_scene(region, age=age, bone_age=8.0) for age in (6.0, 10.0))
    assert {shape.name for shape in younger.shapes} == {shape.name for shape in older.shapes}


@pytest.mark.parametrize(("region", "bone"), [("wrist", "radius"), ("knee", "distal femur"), ("tibia_fibula", "tibia")])
def test_growth_plates_narrow_and_close(region: str, bone: str) -> None:
    # The bone as a whole keeps its length, so that a longer shaft means a narrower plate.
    lengths = [_length(_scene(region, bone_age=years), bone) for years in (2.0, 6.0, 12.0, 15.0, 18.0, 18.1)]
    assert all(later > earlier for earlier, later in pairwise(lengths[:5]))
    assert lengths[4] == lengths[5]
    names = [{shape.name for shape in _scene(region, bone_age=years).shapes} for years in (15.0, 18.0)]
    assert f"{bone} scar" not in names[0]
    assert f"{bone} scar" in names[1]


def test_growth_functions_by_hand() -> None:
    assert growth_gap(0.0) == 0.24
    assert growth_gap(8.5) == pytest.approx(0.12)
    assert growth_gap(16.0, 15.5) == 0.0
    assert ossified(3.9, 4.0) == 0.0
    assert ossified(4.0, 4.0) == pytest.approx(0.35)
    assert ossified(13.0, 4.0) == pytest.approx(1.0)


def test_girls_are_ahead_of_boys() -> None:
    girl, boy = (_scene("hand", age=10.0, bone_age=10.0, sex=sex) for sex in "FM")
    assert 11.5 <= girl.maturity <= 12.0
    assert boy.maturity == 10.0
    assert _ossified_area(girl) > _ossified_area(boy)


def test_carpal_bones_appear_in_order() -> None:
    def carpals(bone_age: float) -> int:
        names = {"capitate", "hamate", "triquetrum", "lunate", "scaphoid", "trapezium", "trapezoid"}
        return len(names & {shape.name for shape in _scene("hand", bone_age=bone_age).shapes})

    assert [carpals(years) for years in (0.1, 1.0, 4.5, 12.0)] == [0, 2, 4, 7]


def test_views_of_one_person_agree_and_differ_in_geometry() -> None:
    for region in REGIONS:
        front, side = (_scene(region, order=order) for order in (0, 1))
        assert front.physique == side.physique
        assert np.abs(_drawn(front, 64) - _drawn(side, 64)).mean() > 0.01, region


def test_people_of_one_age_differ() -> None:
    for region in REGIONS:
        people = np.stack([_drawn(_scene(region, seed=seed), 48) for seed in range(4)])
        assert people.std(0).mean() > 0.02, region


def test_people_stay_plausible() -> None:
    people = [sample_physique(np.random.default_rng(seed)) for seed in range(500)]
    assert all(0.8 < person.bone < 1.25 and 0.7 < person.fat <= 1.7 for person in people)
    assert np.corrcoef([person.bone for person in people], [person.fat for person in people])[0, 1] > 0.1
    assert np.std([person.fat for person in people]) > 0.12


def test_bending_moves_what_is_beyond_the_joint_and_nothing_else() -> None:
    scene = Scene(8.0, "M", "AP", np.random.default_rng(0))
    with scene.bent((0.0, 0.5, 0.0), sideways=90.0):
        scene.blob("beyond", (0.0, 0.8, 0.0), (0.1, 0.1))
    scene.blob("before", (0.0, 0.8, 0.0), (0.1, 0.1))
    assert scene.shapes[0].middle == pytest.approx((-0.3, 0.5, 0.0))
    assert scene.shapes[1].middle == pytest.approx((0.0, 0.8, 0.0))


def test_the_chest_of_an_infant_has_a_thymus_and_a_wide_heart() -> None:
    infant, child = (_scene("chest", age=age) for age in (0.3, 9.0))
    parts = [sum(shape.name == "mediastinum" for shape in scene.shapes) for scene in (infant, child)]
    assert parts[0] == parts[1] + 2
    hearts = [scene.shapes[scene.find("heart")].wm for scene in (infant, child)]
    assert hearts[0] > 1.1 * hearts[1]
    assert {"left lung", "right lung", "diaphragm", "vessel", "trachea"} <= {shape.name for shape in child.shapes}


def test_attenuation_of_a_ball_by_hand() -> None:
    scene = Scene(10.0, "F", "AP", np.random.default_rng(0))
    scene.add(blob("ball", (0.0, 0.0, 0.0), (0.5, 0.5), density=2.0, depth=1.0))
    image = _drawn(scene, 200)
    # Chord of a ball with radius 0.5 at distance d, relative to the diameter: sqrt(1 - (d / 0.5)²).
    distance = 30.5 * 0.01
    assert image[100, 130] == pytest.approx(2.0 * np.sqrt(1 - (distance / 0.5) ** 2), rel=1e-3)
    assert image[100, 155] == 0


def test_right_is_the_mirror_image_of_left() -> None:
    rows = stack(_scene("hand", age=9.0).shapes)
    left, right = (attenuation([project(rows, Pose(mirror=mirror))], 256)[0].numpy() for mirror in (False, True))
    assert np.abs(right - left[:, ::-1]).max() < 1e-3  # rounding of float32 on the mirrored grid
    assert np.abs(right - left).max() > 0.5
