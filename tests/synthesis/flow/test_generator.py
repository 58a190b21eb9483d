"""Films of texts and seeds: the same whatever else is asked for."""

import json
import logging
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pedclip.synthesis.flow.config import Sampling
from pedclip.synthesis.flow.generator import FlowGenerator
from pedclip.synthesis.flow.path import to_films
from tests.synthesis.flow.tiny import SIDES, SIZE, drawn_network, tiny_captions

TEXTS = [*SIDES, "dark film", "film of nothing at all", "bright left", "", "nothing"]
SEEDS = [5, 2**62 + 1, 7, 0, 12, 5, 99]


def generator(**sampling: Any) -> FlowGenerator:
    captions = tiny_captions()
    return FlowGenerator(
        drawn_network(captions), captions, name="tiny", sampling=Sampling(**{"steps": 3, "batch_size": 4} | sampling)
    )


@pytest.mark.parametrize("sampling", [{}, {"precision": "bf16-mixed", "solver": "heun"}, {"guidance": 1.0}])
def test_a_film_is_bit_equal_whatever_the_batch(sampling: dict[str, Any]) -> None:
    made = generator(**sampling)
    films = made.generate(TEXTS, seeds=SEEDS)
    assert films.shape == (7, SIZE, SIZE)
    assert films.dtype == np.uint8
    for row, (text, seed) in enumerate(zip(TEXTS, SEEDS, strict=True)):
        assert np.array_equal(made.generate([text], seeds=[seed])[0], films[row])
    order = [3, 6, 0, 5, 1, 4, 2]
    mixed = made.generate([TEXTS[row] for row in order], seeds=[SEEDS[row] for row in order])
    assert np.array_equal(mixed, films[order])


def test_text_and_seed_both_matter() -> None:
    made = generator()
    films = made.generate(["bright left", "bright left", "dark film", "bright left"], seeds=[1, 2, 1, 1])
    assert np.array_equal(films[0], films[3])
    assert (films[0] != films[1]).mean() > 0.5
    assert not np.array_equal(films[0], films[2])


def test_seeds_beyond_32_bits_are_seeds_of_their_own() -> None:
    films = generator().generate(["dark film"] * 3, seeds=[5, 5 + 2**32, 5 + 2**40])
    assert len({film.tobytes() for film in films}) == 3


def test_film_is_the_literal_loop() -> None:
    made = generator(guidance=2.5)
    state = made.captions.encode(["dark film", ""])
    tokens, mask = state.padded(torch.tensor([0, 1]), 8)
    noise = np.random.Generator(np.random.PCG64(42)).standard_normal((1, 1, SIZE, SIZE), dtype=np.float32)
    point: Tensor = torch.from_numpy(noise)
    with torch.no_grad():
        for step in range(3):
            time = torch.tensor([step / 3])
            text, empty = (made.network(point, time, tokens[row : row + 1], mask[row : row + 1]) for row in (0, 1))
            point = point + (empty + 2.5 * (text - empty)) / 3
    found = made.generate(["dark film"], seeds=[42])
    # Rounded to grey levels from sums in another order.
    assert np.abs(found.astype(int) - to_films(point).astype(int)).max() <= 1


def test_guidance_of_nothing_ignores_the_text_and_one_is_the_plain_model() -> None:
    ignored = generator(guidance=0.0).generate(["bright left", "dark film"], seeds=[3, 3])
    assert np.array_equal(ignored[0], ignored[1])
    plain, nearly, strong = (
        generator(guidance=guidance).generate(["dark film"], seeds=[3]).astype(int) for guidance in (1.0, 1.0001, 8.0)
    )
    assert np.abs(plain - nearly).max() <= 1
    assert np.abs(plain - strong).max() > 1


def test_cut_texts_are_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    made = generator()
    long = "left " * 20
    assert made.is_cut(["left", long]) == [False, True]
    with caplog.at_level(logging.INFO):
        made.generate(["left", long, long], seeds=[1, 2, 3])
    assert [record.getMessage() for record in caplog.records] == [
        "2 of 3 texts are cut: only 8 tokens of a text are read"
    ]
    caplog.clear()
    made.generate(["left"], seeds=[1])
    assert not caplog.records


def test_description_is_json_and_tells_weights_and_sampling_apart() -> None:
    made = generator()
    described = json.loads(json.dumps(made.describe()))
    assert described["kind"] == "rectified flow"
    assert (described["name"], described["network"]["image_size"], described["steps"]) == ("tiny", SIZE, 3)
    assert described["text_encoder_sha256"] == made.captions.fingerprint
    other = generator().with_sampling(Sampling(steps=4, batch_size=4))
    assert other.describe() == described | {"steps": 4, "guidance": 2.0}
    with torch.no_grad():
        other.network.unet.conv_out.bias[0] += 1e-3
    del other.weights_sha256  # it is computed once
    assert other.describe()["weights_sha256"] != described["weights_sha256"]


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ([1], "1 seeds for 2 texts"),
        ([1, -1], "seed -1"),
        ([1, 2**63], "seed 9"),
        ([1, True], "seed True"),
        ([1, 0.5], "0.5"),
    ],
)
def test_wrong_seeds(seeds: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generator().generate(["a", "b"], seeds=seeds)


def test_no_text_is_no_film() -> None:
    assert generator().generate([], seeds=[]).shape == (0, SIZE, SIZE)
