"""Seeds of films, and generators that are held to their promises."""

import hashlib

import numpy as np
import pytest

from pedclip.synthesis.generator import Generator, draw_films, film_seeds
from tests.synthesis.generators import BrokenGenerator, NoiseGenerator

REPORTS = [f"made/i{number}" for number in range(200)]


def test_a_seed_is_the_hash_of_run_and_report() -> None:
    digest = hashlib.sha256(b"3\x00made/i7").hexdigest()
    assert film_seeds(["made/i7"], seed=3) == [int(digest[:16], 16) // 2]
    # A stored number: seeds of published films never change.
    assert film_seeds(["made/i7"], seed=3) == [2363547943230541532]


def test_seeds_of_reports_depend_on_neither_order_nor_company() -> None:
    seeds = dict(zip(REPORTS, film_seeds(REPORTS, seed=1), strict=True))
    assert film_seeds(REPORTS[150:40:-7], seed=1) == [seeds[one] for one in REPORTS[150:40:-7]]
    assert len(set(seeds.values())) == 200
    assert not set(seeds.values()) & set(film_seeds(REPORTS, seed=2))
    # The border between run and report counts.
    assert film_seeds(["2x"], seed=1) != film_seeds(["x"], seed=12)
    assert all(0 <= seed < 2**63 for seed in seeds.values())


def test_printed_readings_of_one_seed() -> None:
    assert film_seeds(REPORTS, seed=5, mode="fixed_each") == [5] * 200
    run = film_seeds(REPORTS, seed=5, mode="run")
    assert run == [int(one) for one in np.random.default_rng(5).integers(0, 2**63, 200)]
    # The order counts, not the report.
    assert film_seeds(REPORTS[::-1], seed=5, mode="run") == run


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mode": "each"}, "seed_mode='each' is not allowed"),
        ({"seed": -1}, "seed -1 is not allowed"),
        ({"seed": 2**63}, r"a whole number from 0 to 2\*\*63 - 1"),
        ({"seed": True}, "seed True"),
        ({"seed": 1.0}, "seed 1.0"),
        ({"reports": ["a", "b", "a"]}, "1 identifiers occur twice"),
    ],
)
def test_other_seeds_are_refused(change: dict[str, object], words: str) -> None:
    given = {"reports": ["a", "b"], "seed": 0, "mode": "per_report"} | change
    with pytest.raises(ValueError, match=words):
        film_seeds(given.pop("reports"), **given)  # type: ignore[arg-type]


def test_films_come_through_unchanged_and_none_is_asked_for_nothing() -> None:
    generator = NoiseGenerator()
    assert isinstance(generator, Generator)
    films = draw_films(generator, ["a", "b"], seeds=[1, 2])
    assert (films == generator.generate(["a", "b"], seeds=[1, 2])).all()
    calls = len(generator.calls)
    assert draw_films(generator, [], seeds=[]).shape == (0, 16, 16)
    assert len(generator.calls) == calls


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda films: films[:1], r"noise gave uint8 \(1, 16, 16\), expected uint8 \(2, 16, 16\)"),
        (lambda films: films[..., None], r"\(2, 16, 16, 1\)"),
        (lambda films: films / np.float32(255), r"noise gave float32"),
        (lambda films: films.tolist(), "noise gave list"),
        (lambda films: films[:, :8], r"\(2, 8, 16\)"),
    ],
)
def test_other_films_than_promised_are_refused(change: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        draw_films(BrokenGenerator(change), ["a", "b"], seeds=[1, 2])


def test_blank_texts_and_missing_seeds_are_refused_without_quoting() -> None:
    with pytest.raises(ValueError, match=r"1 of 2 texts are blank \(the first is number 1\)"):
        draw_films(NoiseGenerator(), ["a", " \n"], seeds=[1, 2])
    with pytest.raises(ValueError, match="1 seeds for 2 texts"):
        draw_films(NoiseGenerator(), ["a", "b"], seeds=[1])
