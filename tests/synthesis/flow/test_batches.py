"""Rows, noise, times and rates of a step, from the seed and its number."""

from collections import Counter

import numpy as np
import pytest
import torch

from pedclip.synthesis.flow.batches import draw_batch, learning_rate_at, mean_decay, rows_at
from pedclip.synthesis.flow.config import FlowTraining
from tests.synthesis.flow.tiny import tiny_films


@pytest.mark.parametrize(("count", "batch_size"), [(10, 4), (3, 8), (8, 8), (7, 1)])
def test_every_film_comes_once_before_any_comes_again(count: int, batch_size: int) -> None:
    passes = 4
    steps = passes * count // batch_size + 1
    rows = np.concatenate([rows_at(step, count=count, batch_size=batch_size, seed=5) for step in range(steps)])
    orders = [rows[one * count : (one + 1) * count].tolist() for one in range(passes)]
    assert all(sorted(order) == list(range(count)) for order in orders)
    if count > 3:
        assert orders[0] != orders[1]


def test_another_seed_is_another_order() -> None:
    first, again, other = (rows_at(0, count=50, batch_size=50, seed=seed).tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_a_step_is_drawn_from_its_number_alone() -> None:
    films, _ = tiny_films(9)
    training = FlowTraining(batch_size=4, seed=3)
    later = [draw_batch(films, step, training=training) for step in (7, 2)]
    again = draw_batch(films, 7, training=training)
    for name in ("rows", "films", "noise", "times", "is_dropped"):
        assert torch.equal(getattr(again, name), getattr(later[0], name))
    assert not torch.equal(later[0].noise, later[1].noise)
    assert torch.equal(again.films, torch.from_numpy(films[again.rows.numpy()])[:, None] / 127.5 - 1)


def test_films_are_never_mirrored_or_moved() -> None:
    films, _ = tiny_films(6)
    stored = {film.tobytes() for film in films}
    for step in range(10):
        batch = draw_batch(films, step, training=FlowTraining(batch_size=5))
        pixels = ((batch.films[:, 0] + 1) * 127.5).round().to(torch.uint8).numpy()
        assert all(film.tobytes() in stored for film in pixels)


def test_noise_is_normal_and_captions_are_dropped_as_often_as_said() -> None:
    films, _ = tiny_films(64)
    training = FlowTraining(batch_size=64, caption_dropout=0.25)
    batches = [draw_batch(films, step, training=training) for step in range(30)]
    noise = torch.stack([batch.noise for batch in batches])
    assert noise.mean().abs() < 0.01  # 491 520 numbers: seven standard errors
    assert noise.std() == pytest.approx(1, abs=0.01)
    dropped = torch.stack([batch.is_dropped for batch in batches]).float().mean()
    assert 0.2 < dropped < 0.3  # 1920 draws: five standard errors
    none = [draw_batch(films, step, training=FlowTraining(caption_dropout=0.0)).is_dropped.any() for step in range(9)]
    assert not any(none)
    # No two films of a step share their noise.
    assert max(Counter(batches[0].noise[:, 0, 0, 0].tolist()).values()) == 1


def test_rates_by_hand() -> None:
    training = FlowTraining(steps=104, warmup_steps=4, learning_rate=2.0)
    assert [learning_rate_at(step, training) for step in (0, 1, 3)] == [0.5, 1.0, 2.0]
    assert learning_rate_at(54, training) == pytest.approx(1.0)
    assert 0 < learning_rate_at(103, training) < 0.001
    assert learning_rate_at(0, FlowTraining(steps=5, warmup_steps=0, learning_rate=2.0)) == 2.0


def test_the_mean_forgets_the_first_weights() -> None:
    # Share of the first weights after 200 steps: a plain mean of 0.999 would keep 82 % of them.
    left = np.prod([mean_decay(step, 0.999) for step in range(200)])
    assert left < 1e-9
    assert mean_decay(10**6, 0.99) == 0.99
