from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pedclip.data.phantom.body.layouts import build, views_of
from pedclip.data.phantom.imaging.develop import Exposure, Layers, develop, open_field, sample_exposure
from pedclip.data.phantom.imaging.render import RenderSpec, draw
from pedclip.data.phantom.imaging.shapes import Pose, project, stack

SIZE = 96
# Nothing but quanta: each of the other effects is switched on by the test that is about it.
PLAIN = Exposure(
    dose=1e9, blur=0.0, scatter=0.0, spill=0.0, grain=0.0, trabeculae=0.0, high=1.0, headroom=1.0, penumbra=1e-4
)


def _wedge(*, bone: float = 1.0) -> Layers:
    """Bone that thickens from left to right, from nothing to `bone`, behind no soft tissue."""
    ramp = torch.linspace(0, bone, SIZE).expand(1, SIZE, SIZE).contiguous()
    return Layers(torch.zeros_like(ramp), ramp, torch.zeros_like(ramp))


def _film(layers: Layers, exposure: Exposure) -> np.ndarray:
    return develop(layers, [exposure])[0].numpy().astype(float)


def test_grey_is_linear_in_thickness_without_effects() -> None:
    film = _film(_wedge(), PLAIN)[SIZE // 2]
    expected = 6 + 249 * np.linspace(0, 1, SIZE) / 1.02  # white is 0.02 above the thickest
    assert np.abs(film - expected).max() < 3  # the histogram reads every pixel or second pixel only


@settings(max_examples=10, deadline=None)
@given(dose=st.floats(500, 5000), seed=st.integers(0, 2**62))
def test_relative_noise_falls_with_the_root_of_the_dose(dose: float, seed: int) -> None:
    flat = Layers(*(torch.full((1, SIZE, SIZE), value) for value in (0.0, 1.0, 0.0)))
    flat.bone[:, :, ::2] = 1.5  # contrast for the window to hold on to

    def noise(photons: float) -> float:
        film = _film(flat, replace(PLAIN, dose=photons, seed=seed, headroom=1.3))
        thick, thin = film[:, ::2], film[:, 1::2]
        return float(thin.std() / (thick.mean() - thin.mean()))  # free of the window, which follows the noise

    assert noise(dose) / noise(16 * dose) == pytest.approx(4, rel=0.15)  # rounding to grey levels adds a little


def test_noise_is_correlated_by_the_detector_only() -> None:
    flat = Layers(*(torch.full((1, SIZE, SIZE), value) for value in (0.0, 1.0, 0.0)))

    def neighbours(spill: float) -> float:
        film = _film(flat, replace(PLAIN, dose=800.0, spill=spill, headroom=1.6, high=0.9))
        film = film - film.mean()
        return float((film[:, 1:] * film[:, :-1]).mean() / film.var())

    assert abs(neighbours(0.0)) < 0.04
    # Weights s, 1 - 2s, s: the correlation of neighbours is 2 s (1 - 2s) / ((1 - 2s)² + 2 s²).
    assert neighbours(0.1) == pytest.approx(0.16 / 0.66, abs=0.05)


def test_scatter_lowers_contrast_and_a_grid_restores_it() -> None:
    layers = _wedge()
    layers.soft[:] = 1.0

    def contrast(scatter: float) -> float:
        film = _film(layers, replace(PLAIN, scatter=scatter, low=0.0, headroom=1.0))
        return float(film[:, -8:].mean() - film[:, 4:12].mean())

    assert contrast(0.0) > contrast(0.1) > contrast(0.4) > 10


def test_bone_has_trabeculae_and_soft_tissue_none_of_them() -> None:
    layers = _wedge()
    layers.bone[:] = 0
    layers.bone[:, :, SIZE // 2 :] = 1.0
    layers.soft[:] = 0.5
    film = _film(layers, replace(PLAIN, trabeculae=0.1, headroom=1.3))
    assert film[:, 4 : SIZE // 2 - 4].std() < 0.5
    assert film[:, SIZE // 2 + 4 :].std() > 3


def test_edges_are_enhanced_without_moving_flat_parts() -> None:
    layers = _wedge()
    layers.bone[:] = 0.5
    layers.bone[:, :, SIZE // 2 :] = 1.0
    plain, sharp = (_film(layers, replace(PLAIN, enhancement=gain, headroom=1.4)) for gain in (0.0, 0.8))
    assert np.ptp(sharp) > np.ptp(plain) + 10
    assert np.abs(sharp[:, :20] - plain[:, :20]).max() < 12  # the white point may move with the overshoot


@pytest.mark.parametrize("skew", [0.0, 0.2])
def test_the_field_is_the_rectangle_of_the_collimator(skew: float) -> None:
    exposure = Exposure(left=-0.5, right=0.4, top=-0.3, bottom=0.6, skew=skew)
    field = open_field([exposure], 200)[0].numpy()
    assert field.sum() * 0.01**2 == pytest.approx(0.9 * 0.9, rel=0.01)  # a turn keeps the area
    assert field.max() == 1
    assert field.min() == 0


def test_outside_of_the_field_is_the_border() -> None:
    layers, half = _wedge(), replace(PLAIN, right=0.0, border=9.0)
    masked, unmasked = _film(layers, half), _film(layers, replace(half, border=-1.0))
    assert (masked[:, SIZE // 2 + 1 :] == 9).all()
    assert (unmasked[:, SIZE // 2 + 1 :] == 255).all()  # unexposed is white


def test_metal_does_not_set_the_window() -> None:
    layers = _wedge()
    bare = _film(layers, PLAIN)
    layers.lead[:, :12, :12] = 3.0
    metal = _film(layers, PLAIN)
    assert metal[4, 4] == 255
    assert np.abs(metal[20:] - bare[20:]).max() <= 2


def test_a_thin_lucent_line_survives_every_technique() -> None:
    rng = np.random.default_rng(0)
    layers = _wedge()
    layers.bone[:] = 0
    layers.bone[:, :, 30:66] = 0.9
    layers.soft[:, :, 15:81] = 0.5
    layers.bone[:, 48, 30:66] *= 0.5
    for _ in range(60):
        film = _film(layers, replace(sample_exposure(rng), top=-1.2, bottom=1.2, left=-1.2, right=1.2))
        line, beside = film[48, 32:64].mean(), (film[44, 32:64].mean() + film[52, 32:64].mean()) / 2
        assert beside - line > 4


def test_films_of_one_child_do_not_share_a_histogram() -> None:
    scene = build("knee", age=8.0, bone_age=8.0, sex="F", view=views_of("knee")[0], rng=np.random.default_rng(0))
    rng = np.random.default_rng(1)
    rows = project(stack(scene.shapes), Pose(turn=scene.turn))
    films = draw([RenderSpec(rows, sample_exposure(rng)) for _ in range(40)], SIZE).images
    assert np.median(films, axis=(1, 2)).std() > 8
    assert films.mean(axis=(1, 2)).std() > 12
    assert all(film.std() > 10 for film in films)
