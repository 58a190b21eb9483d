"""Training end to end on a tiny run: it learns, it refuses a foreign folder."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from pedclip.models.pedclip import PedCLIP
from pedclip.training.loop import PretrainResult, pretrain, read_history
from tests.training.tiny import tiny_arrays, tiny_config

# 43 films make 5 batches of 8 an epoch and leave 3 over.
TRAIN, VALIDATION = 43, 9


def run(folder: Path, *, resume: bool = True, **training: object) -> PretrainResult:
    config = tiny_config(**training)
    return pretrain(tiny_arrays(TRAIN), tiny_arrays(VALIDATION, 1), config=config, run=folder, resume=resume)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    run(folder, epochs=12, learning_rate=3e-3)
    return folder


def test_it_learns_and_the_gate_takes_over(trained: Path) -> None:
    history = read_history(trained)
    validated = [row for row in history if "val/contrastive" in row]
    assert validated[-1]["val/contrastive"] < 0.8 * validated[0]["val/contrastive"]
    assert validated[-1]["val/gate_accuracy"] == 1.0
    lambdas = [row["train/lambda"] for row in history if "train/lambda" in row]
    assert lambdas[0] == 1.0
    assert lambdas[-1] < 0.1


def test_checkpoint_is_whole_and_holds_no_pickle(trained: Path) -> None:
    names = {path.name for path in (trained / "checkpoint").rglob("*") if path.is_file()}
    assert names == {
        "model.safetensors",
        "checksums.json",
        "config.json",
        "preprocess.json",
        "README.md",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    model = PedCLIP.from_pretrained(trained / "checkpoint")
    pixels = torch.zeros(2, 3, 16, 16)
    with torch.no_grad():
        assert model.encode_image(pixels).embedding.norm(dim=-1).tolist() == pytest.approx([1, 1])
        text = model.encode_text(**model.tokenize(["Film 1 of the chest.", "Film"]))
    assert text.embedding.shape == (2, 32)


def test_a_resumable_checkpoint_names_its_weights_as_the_model_does(trained: Path) -> None:
    stored = torch.load(trained / "resume" / "last.ckpt", weights_only=True)["state_dict"]
    assert {name.partition(".")[0] for name in stored} == {"model"}


def test_finished_run_is_not_trained_again(trained: Path) -> None:
    before = (trained / "checkpoint" / "model.safetensors").read_bytes()
    run(trained, epochs=12, learning_rate=3e-3)
    assert (trained / "checkpoint" / "model.safetensors").read_bytes() == before


def test_without_validation_split(tmp_path: Path) -> None:
    config, started = tiny_config(epochs=1), time.monotonic()
    result = pretrain(tiny_arrays(16), tiny_arrays(0), config=config, run=tmp_path)
    assert 0 < result.seconds < time.monotonic() - started
    assert (result.checkpoint / "model.safetensors").exists()
    assert not any("val/contrastive" in row for row in result.history)


def test_plain_vit_trains_without_a_gate(tmp_path: Path) -> None:
    result = pretrain(tiny_arrays(16), tiny_arrays(9), config=tiny_config({"mobe_layers": ()}, epochs=1), run=tmp_path)
    assert not any("train/gate" in row for row in result.history)


def test_too_few_films_for_a_batch_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="5 training images do not fill one batch of 8; lower batch_size"):
        pretrain(tiny_arrays(5), tiny_arrays(0), config=tiny_config(), run=tmp_path)


def test_untrained_regions_are_allowed_and_foreign_ones_named(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="the data holds abdomen, pelvis, for which the model has no expert; experts: chest"
    ):
        pretrain(tiny_arrays(16), tiny_arrays(0), config=tiny_config({"regions": ("chest",)}, epochs=1), run=tmp_path)
    assert np.unique(tiny_arrays(16).regions).tolist() == [0, 1, 2]
