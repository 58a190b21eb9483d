import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pedclip.data.phantom.body.layouts import build, views_of
from pedclip.data.phantom.body.scene import blob
from pedclip.data.phantom.imaging.develop import Exposure, sample_exposure
from pedclip.data.phantom.imaging.markers import marker_rows
from pedclip.data.phantom.imaging.render import RenderSpec, attenuation, draw, render
from pedclip.data.phantom.imaging.shapes import FLAT_COLUMN, LEAD, SKELETON, Pose, Rows, project, stack


def _flat(region: str, age: float = 6.0) -> Rows:
    scene = build(region, age=age, bone_age=age, sex="F", view=views_of(region)[0], rng=np.random.default_rng(0))
    return project(stack(scene.shapes), Pose(turn=scene.turn))


def _specs() -> list[RenderSpec]:
    rng = np.random.default_rng(5)
    return [RenderSpec(_flat(region), sample_exposure(rng)) for region in ("hand", "chest", "skull", "foot", "elbow")]


def _digest() -> str:
    return hashlib.sha256(draw(_specs(), 72).images.tobytes()).hexdigest()


@settings(max_examples=25, deadline=None)
@given(
    radius=st.floats(0.1, 0.6),
    density=st.floats(0.1, 3.0),
    x=st.floats(-0.3, 0.3),
    turn=st.floats(-3.0, 3.0),
    tilt=st.floats(-3.0, 3.0),
)
def test_attenuation_of_a_ball_by_hand(radius: float, density: float, x: float, turn: float, tilt: float) -> None:
    ball = blob("ball", (0.0, 0.0, 0.0), (radius, radius), density=density, depth=1.0)
    image = attenuation([project(stack([ball]), Pose(turn=turn, tilt=tilt, dx=x))], 100)[0].numpy()
    centre = (np.arange(100) + 0.5) * 0.02 - 1
    squared = ((centre[None] - x) ** 2 + centre[:, None] ** 2) / radius**2
    # Chord of a ball at distance d from its centre, relative to the diameter: sqrt(1 - (d / r)²).
    expected = density * np.sqrt(np.maximum(1 - squared, 0))
    inside = squared < 0.95  # next to the outline the square root magnifies rounding
    np.testing.assert_allclose(image[inside], expected[inside], rtol=1e-3)
    assert image[squared > 1.001].max(initial=0) == 0


def test_a_batch_is_drawn_like_its_images_one_by_one() -> None:
    specs = _specs()
    together = draw(specs, 72)  # not a multiple of the tile
    for spec, image, bones in zip(specs, together.images, together.bones, strict=True):
        alone = draw([spec], 72)
        assert image.tobytes() == alone.images[0].tobytes()
        assert bones.tobytes() == alone.bones[0].tobytes()


def test_the_same_bytes_in_another_process() -> None:
    code = "from tests.data.phantom.imaging.test_render import _digest; print(_digest())"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == _digest()


def test_added_shapes_sum_and_parts_of_a_bone_do_not() -> None:
    ball = blob("ball", (0.0, 0.0, 0.0), (0.5, 0.5), density=1.0, depth=1.0)
    bone = blob("ball", (0.0, 0.0, 0.0), (0.5, 0.5), density=1.0, depth=1.0, layer=SKELETON)
    once, twice, twice_bone = attenuation(
        [project(stack(part), Pose()) for part in ([ball], [ball] * 2, [bone] * 2)], 64
    )
    torch.testing.assert_close(twice, 2 * once)
    torch.testing.assert_close(twice_bone, once)


def test_bones_leave_out_metal_and_soft_tissue() -> None:
    rows = _flat("forearm")
    metal = marker_rows("left", 0.7, -0.7, 0.1)
    with_metal = draw([RenderSpec(np.concatenate([rows, metal]))], 128)
    without = draw([RenderSpec(rows)], 128)
    np.testing.assert_array_equal(with_metal.bones, without.bones)
    assert np.abs(with_metal.images.astype(int) - without.images).max() > 100
    skeleton = rows[rows[:, FLAT_COLUMN["layer"]] == SKELETON]
    assert 0.02 < without.bones.mean() < 0.3
    assert not without.bones[0][attenuation([skeleton], 128)[0].numpy() == 0].any()
    assert (metal[:, FLAT_COLUMN["layer"]] == LEAD).all()


def test_right_is_the_mirror_image_of_left() -> None:
    scene = build("hand", age=9.0, bone_age=9.0, sex="F", view="PA", rng=np.random.default_rng(0))
    left, right = attenuation([project(stack(scene.shapes), Pose(mirror=mirror)) for mirror in (False, True)], 256)
    # Rounding of float32 on the mirrored grid; the square root magnifies it on outlines.
    assert (right - left.flip(1)).abs().mean() < 1e-5
    assert (right - left).abs().max() > 0.5


def test_bone_is_bright_on_a_dark_background() -> None:
    image = render([RenderSpec(_flat("femur"))], 96)[0]
    assert image[:, :4].mean() < 40
    assert np.percentile(image, 99) > 180


def test_no_images_and_no_shapes() -> None:
    assert render([], 64).shape == (0, 64, 64)
    empty = draw([RenderSpec(_flat("hand")[:0], Exposure(border=-1.0))], 64)
    assert not empty.bones.any()
    assert attenuation([_flat("hand")[:0]] * 2, 64).equal(torch.zeros(2, 64, 64))
    assert empty.images.std() < 40  # nothing but noise


def test_a_size_below_the_least_is_refused() -> None:
    with pytest.raises(ValueError, match="size must be at least 32 pixels, got 8"):
        render([], 8)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_draws_the_same_films() -> None:
    on_cpu, on_gpu = draw(_specs(), 128), draw(_specs(), 128, device="cuda")
    difference = np.abs(on_cpu.images.astype(int) - on_gpu.images)
    # Sums in another order move single pixels across the outline of a shape or a quantile of the histogram.
    assert np.quantile(difference, 0.999) <= 2
    assert (on_cpu.bones != on_gpu.bones).mean() < 1e-3
