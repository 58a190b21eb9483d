"""Training: it learns, it follows the words, it stops when numbers break, and it is not fooled by folders."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pedclip.synthesis.flow.checkpoint import open_generator
from pedclip.synthesis.flow.config import FlowRun, Sampling
from pedclip.synthesis.flow.generator import FlowGenerator
from pedclip.synthesis.flow.train import FlowResult, train_flow
from pedclip.training.checkpoints import NotFiniteError
from pedclip.triplets.arrays import TripletArrays
from tests.synthesis.flow.tiny import SIDES, SIZE, tiny_captions, tiny_films, tiny_run


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> FlowResult:
    images, texts = tiny_films(64)
    config = tiny_run(
        {"patch": 4, "channels": [32]},
        {"steps": 6, "guidance": 1.0, "batch_size": 16},
        steps=200,
        batch_size=16,
        learning_rate=3e-3,
        warmup_steps=20,
        ema_decay=0.97,
        checkpoint_every=200,
        log_every=25,
    )
    run = tmp_path_factory.mktemp("toy")
    return train_flow(images, texts, config=config, run=run, captions=tiny_captions())


def brighter_right(generator: FlowGenerator, texts: list[str]) -> np.ndarray:
    """Grey levels of the right half above those of the left, for each text."""
    films = generator.generate(texts, seeds=range(len(texts))).astype(float)
    halves: np.ndarray = films[:, :, SIZE // 2 :].mean((1, 2)) - films[:, :, : SIZE // 2].mean((1, 2))
    return halves


def test_films_follow_the_words(learned: FlowResult) -> None:
    apart = brighter_right(learned.generator, list(SIDES) * 8)
    # Of the films trained on: 24 of 128 pixels by about 200.
    assert (apart[1::2] > 10).mean() > 0.9
    assert (apart[::2] < -10).mean() > 0.9


def test_guidance_does_what_it_says(learned: FlowResult) -> None:
    weights = (0.0, 1.0, 2.0)
    sampled = [learned.generator.with_sampling(Sampling(steps=6, guidance=one, batch_size=16)) for one in weights]
    ignored, plain, strong = (brighter_right(one, list(SIDES) * 8) for one in sampled)
    # Without words, left and right come as they may: the text cannot tell which.
    agreement = [float((np.sign(apart) == np.tile([-1, 1], 8)).mean()) for apart in (ignored, plain, strong)]
    assert agreement[0] < 0.9 < agreement[1] <= agreement[2]


def test_history_is_the_projects_own(learned: FlowResult) -> None:
    assert [record["step"] for record in learned.history] == list(range(25, 201, 25))
    assert learned.history[-1]["train/loss"] < 0.7 * learned.history[0]["train/loss"]
    with (learned.checkpoint.parent / "logs" / "version_0" / "metrics.csv").open(newline="") as file:
        header = next(csv.reader(file))
    assert sorted(header) == ["learning_rate", "step", "train/gradient_norm", "train/loss"]
    assert learned.resumed_from == 0
    assert learned.num_cut == 0


def test_folder_holds_the_generator_that_is_returned(learned: FlowResult) -> None:
    opened = open_generator(learned.checkpoint, text_encoder=tiny_captions())
    assert opened.describe() == learned.generator.describe()
    texts = [*SIDES, "dark film"]
    assert np.array_equal(*(one.generate(texts, seeds=[1, 2, 3]) for one in (opened, learned.generator)))


def test_the_moving_mean_is_what_is_exported(tmp_path: Path) -> None:
    images, texts = tiny_films(8)
    last = train_flow(images, texts, config=tiny_run(ema_decay=0.0), run=tmp_path / "a", captions=tiny_captions())
    mean = train_flow(images, texts, config=tiny_run(ema_decay=0.9), run=tmp_path / "b", captions=tiny_captions())
    states = [
        torch.load(tmp_path / name / "resume" / "last.ckpt", weights_only=True)["state_dict"] for name in ("a", "b")
    ]
    # One training, two means of it.
    assert all(torch.equal(states[0]["network"][name], value) for name, value in states[1]["network"].items())
    name = "unet.conv_out.weight"
    assert torch.equal(states[0]["mean"][name], states[0]["network"][name])
    assert not torch.equal(states[1]["mean"][name], states[1]["network"][name])
    for result, state in ((last, states[0]), (mean, states[1])):
        assert torch.equal(result.generator.network.state_dict()[name], state["mean"][name].half().float())


def test_a_finished_run_is_only_opened_again(tmp_path: Path) -> None:
    images, texts = tiny_films(8)
    results = [train_flow(images, texts, config=tiny_run(), run=tmp_path, captions=tiny_captions()) for _ in range(2)]
    assert [result.resumed_from for result in results] == [0, 6]
    assert results[0].generator.weights_sha256 == results[1].generator.weights_sha256
    assert results[0].history == results[1].history


def test_another_run_in_the_folder_is_refused(tmp_path: Path) -> None:
    images, texts = tiny_films(8)

    def train(config: FlowRun, films: np.ndarray = images, words: list[str] = texts, **options: bool) -> FlowResult:
        return train_flow(films, words, config=config, run=tmp_path, captions=tiny_captions(), **options)

    train(tiny_run())
    with pytest.raises(ValueError, match=r"training\.steps was 6, is 8"):
        train(tiny_run(steps=8))
    with pytest.raises(ValueError, match="fingerprint was"):
        train(tiny_run(), films=images[::-1])
    with pytest.raises(ValueError, match="fingerprint was"):
        train(tiny_run(), words=texts[::-1])
    with pytest.raises(ValueError, match="text_encoder was"):
        train_flow(images, texts, config=tiny_run(), run=tmp_path, captions=tiny_captions(seed=1))
    assert train(tiny_run(steps=4), resume=False).history[-1]["step"] == 4


def test_folders_of_other_trainings_are_left_alone(tmp_path: Path) -> None:
    images, texts = tiny_films(4)
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "preprocess.json").write_text("{}")
    with pytest.raises(FileExistsError, match="none of a flow"):
        train_flow(images, texts, config=tiny_run(), run=tmp_path, captions=tiny_captions(), resume=False)
    assert (tmp_path / "checkpoint" / "preprocess.json").exists()


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    images, texts = tiny_films(8)
    config = tiny_run(learning_rate=1e18, warmup_steps=0, steps=40, checkpoint_every=40, log_every=3)
    with pytest.raises(NotFiniteError, match=r"not finite|NaN or infinite.*lower learning_rate"):
        train_flow(images, texts, config=config, run=tmp_path, captions=tiny_captions())
    assert not (tmp_path / "checkpoint").exists()
    assert not list(tmp_path.glob("resume/*.ckpt"))
    assert json.loads((tmp_path / "flow.json").read_text())["training"]["steps"] == 40


@pytest.mark.parametrize(
    ("images", "texts", "message"),
    [
        (np.zeros((2, 8, 8), np.uint8), ["a", "b"], r"expected uint8 \(N, 16, 16\)"),
        (np.zeros((2, SIZE, SIZE), np.float32), ["a", "b"], "images is float32"),
        (np.zeros((0, SIZE, SIZE), np.uint8), [], "N at least 1"),
        (np.zeros((2, SIZE, SIZE), np.uint8), ["a"], "1 texts for 2 images"),
    ],
)
def test_films_that_do_not_fit(images: np.ndarray, texts: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        train_flow(images, texts, config=tiny_run(), run=tmp_path, captions=tiny_captions())


def test_a_training_begins_with_the_weights_of_a_generator(tmp_path: Path) -> None:
    images, texts = tiny_films(8)
    known = {"captions": tiny_captions()}
    first = train_flow(images, texts, config=tiny_run(), run=tmp_path / "first", **known)
    # A step too small to move a weight of 16 bits leaves what it began with, but for the sign of a zero.
    still = tiny_run(steps=1, warmup_steps=0, learning_rate=1e-12).replace({"start": str(first.checkpoint)})
    second = train_flow(images, texts, config=still, run=tmp_path / "second", **known)
    begun, ended = (one.generator.network.state_dict() for one in (first, second))
    assert all(torch.equal(ended[name], value) for name, value in begun.items())
    # A finished run is found again although its start is gone.
    first.checkpoint.rename(tmp_path / "elsewhere")
    again = train_flow(images, texts, config=still, run=tmp_path / "second", **known)
    assert again.resumed_from == 1
    with pytest.raises(FileNotFoundError, match="is no generator"):
        train_flow(images, texts, config=still, run=tmp_path / "third", **known)


def test_a_start_of_another_network_or_text_encoder_is_refused(tmp_path: Path) -> None:
    images, texts = tiny_films(8)
    start = train_flow(images, texts, config=tiny_run(), run=tmp_path / "start", captions=tiny_captions()).checkpoint
    wider = tiny_run({"channels": [32, 32]}).replace({"start": str(start)})
    with pytest.raises(ValueError, match=r"another network: channels=\(16, 32\) there, \(32, 32\) here"):
        train_flow(images, texts, config=wider, run=tmp_path / "wider", captions=tiny_captions())
    same = tiny_run().replace({"start": str(start)})
    with pytest.raises(ValueError, match="another text encoder"):
        train_flow(images, texts, config=same, run=tmp_path / "other", captions=tiny_captions(seed=1))


def rows_of(patients: list[str]) -> TripletArrays:
    images, texts = tiny_films(len(patients))
    return TripletArrays(images, texts, np.zeros(len(patients), np.int64), patients)


def test_patients_are_listed_and_those_of_a_start_must_be_among_them(tmp_path: Path) -> None:
    rows = rows_of(["a/1", "a/2", "a/3", "a/4"])
    known = {"captions": tiny_captions()}
    first = train_flow(rows.images, rows.texts, config=tiny_run(), run=tmp_path / "first", rows=rows, **known)
    listed = json.loads((tmp_path / "first" / "patients.json").read_text())
    assert (len(listed["train"]), listed["validation"]) == (4, [])
    after = tiny_run(seed=5).replace({"start": str(first.checkpoint)})
    train_flow(rows.images, rows.texts, config=after, run=tmp_path / "same", rows=rows, **known)
    other = rows_of(["a/1", "a/2", "b/3", "b/4"])
    with pytest.raises(ValueError, match="has seen 2 patients who are not among these films"):
        train_flow(other.images, other.texts, config=after, run=tmp_path / "other", rows=other, **known)
    assert not (tmp_path / "other" / "patients.json").exists()


def test_a_start_that_was_trained_anew_is_another_start(tmp_path: Path) -> None:
    images, texts = tiny_films(8)
    known = {"captions": tiny_captions()}
    first = train_flow(images, texts, config=tiny_run(), run=tmp_path / "first", **known)
    after = tiny_run(seed=5).replace({"start": str(first.checkpoint)})
    train_flow(images, texts, config=after, run=tmp_path / "second", **known)
    train_flow(images, texts, config=tiny_run(seed=9), run=tmp_path / "first", resume=False, **known)
    with pytest.raises(ValueError, match="holds another run \\(start was"):
        train_flow(images, texts, config=after, run=tmp_path / "second", **known)
