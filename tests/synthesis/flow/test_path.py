"""The way from noise to film, against values computed by hand and by closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest, norm
from torch import Tensor

from pedclip.synthesis.flow.path import flow_loss, guided, integrate, logit_normal_times, point_at, to_films, to_levels


def test_levels_and_films_are_inverse() -> None:
    films = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    levels = to_levels(films)
    assert levels.shape == (4, 1, 8, 8)
    assert levels.min() == -1
    assert levels.max() == 1
    assert np.array_equal(to_films(levels), films)


def test_levels_outside_are_cut_off_not_wrapped() -> None:
    levels = torch.tensor([-3.0, -1.01, 1.01, 9.0]).reshape(1, 1, 2, 2)
    assert to_films(levels).ravel().tolist() == [0, 0, 255, 255]


def test_point_at_by_hand() -> None:
    films, noise = torch.full((3, 1, 2, 2), 4.0), torch.full((3, 1, 2, 2), -2.0)
    points = point_at(films, noise, torch.tensor([0.0, 0.5, 1.0]))
    assert points[:, 0, 0, 0].tolist() == [-2.0, 1.0, 4.0]


def test_the_target_is_the_derivative_of_the_way() -> None:
    generator = torch.Generator().manual_seed(0)
    films, noise = torch.randn(2, 5, 1, 4, 4, generator=generator, dtype=torch.float64).unbind()
    times = torch.rand(5, generator=generator, dtype=torch.float64)
    step = 1e-6
    slope = (point_at(films, noise, times + step) - point_at(films, noise, times - step)) / (2 * step)
    # Of a slope from two points one step apart, in double precision.
    assert float(flow_loss(slope, films, noise)) < 1e-9


def test_loss_by_hand_and_its_gradient() -> None:
    velocity = torch.tensor([1.0, 3.0]).reshape(1, 1, 1, 2).requires_grad_()
    films, noise = torch.tensor([2.0, 2.0]).reshape(1, 1, 1, 2), torch.tensor([1.0, 0.0]).reshape(1, 1, 1, 2)
    loss = flow_loss(velocity, films, noise)  # errors 0 and 1
    assert loss.item() == 0.5
    loss.backward()
    assert velocity.grad is not None
    assert velocity.grad.ravel().tolist() == [0.0, 1.0]


def test_times_are_logit_normal() -> None:
    times = logit_normal_times(4000, rng=np.random.default_rng(0), mean=0.4, std=0.8).numpy()
    assert 0 < times.min() < times.max() < 1
    logits = np.log(times / (1 - times))
    assert kstest(logits, norm(0.4, 0.8).cdf).pvalue > 0.01
    # Another mean is another distribution: the test can fail.
    assert kstest(logits, norm(0.0, 0.8).cdf).pvalue < 1e-6


def test_a_straight_way_takes_one_step() -> None:
    generator = torch.Generator().manual_seed(1)
    film, noise = torch.randn(2, 3, 1, 4, 4, generator=generator).unbind()
    for steps in (1, 7):
        end = integrate(lambda _, __: film - noise, noise, steps=steps, solver="euler")
        torch.testing.assert_close(end, film)


def exponential_error(steps: int, solver: str) -> float:
    """Error of dx/dt = x from 1, whose end is e."""
    end = integrate(lambda point, _: point, torch.ones(1, 1, 1, 1, dtype=torch.float64), steps=steps, solver=solver)  # type: ignore[arg-type]
    return abs(end.item() - math.e)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_order_of_the_solvers(solver: str, order: int) -> None:
    # Twice the steps: half the error, or a quarter.
    ratio = exponential_error(40, solver) / exponential_error(80, solver)
    assert ratio == pytest.approx(2**order, rel=0.05)


def test_euler_by_hand_with_the_times_asked_for() -> None:
    asked = []

    def velocity(point: Tensor, time: float) -> Tensor:
        asked.append(time)
        return torch.full_like(point, time)

    noise = torch.zeros(1, 1, 1, 1)
    assert integrate(velocity, noise, steps=4, solver="euler").item() == pytest.approx((0 + 0.25 + 0.5 + 0.75) / 4)
    assert asked == [0, 0.25, 0.5, 0.75]
    # The trapezium is exact for a velocity that grows evenly.
    assert integrate(velocity, noise, steps=2, solver="heun").item() == pytest.approx(0.5)
    assert asked[4:] == [0, 0.5, 0.5, 1]


def test_guidance_by_hand() -> None:
    conditional, unconditional = torch.full((1, 1, 1, 1), 3.0), torch.full((1, 1, 1, 1), 1.0)
    found = [guided(conditional, unconditional, weight).item() for weight in (0, 1, 2.5)]
    assert found == [1.0, 3.0, 6.0]


def test_a_film_with_a_level_that_is_not_finite_is_black() -> None:
    levels = torch.zeros(3, 1, 2, 2)
    levels[0, 0, 0, 1], levels[2, 0, 1, 1] = torch.nan, torch.inf
    assert to_films(levels).tolist() == [[[0, 0], [0, 0]], [[128, 128], [128, 128]], [[0, 0], [0, 0]]]
