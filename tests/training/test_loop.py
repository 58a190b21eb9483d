"""Training end to end on a tiny run: it learns, it survives being killed, it refuses a foreign folder."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pedclip.models.pedclip import PedCLIP
from pedclip.training.callbacks import Progress
from pedclip.training.loop import PretrainResult, pretrain, read_history
from tests.training.tiny import tiny_arrays, tiny_config

# 43 films make 5 batches of 8 an epoch and leave 3 over; three epochs make 15 steps.
TRAIN, VALIDATION = 43, 9
SCENARIOS = [
    {"checkpoint_every": 2, "kill_at": 3},  # mid-epoch, one step after a checkpoint
    {"checkpoint_every": 5, "kill_at": 7},  # checkpoints fall on the ends of epochs
    {"checkpoint_every": 2, "kill_at": 10},  # on the last batch of an epoch
    {"checkpoint_every": 3, "kill_at": 14},  # shortly before the end
    {"checkpoint_every": 100, "kill_at": 4},  # before any checkpoint
    {"checkpoint_every": 1, "kill_at": 6, "accumulate": 2, "batch_size": 4},
    {
        "checkpoint_every": 2,
        "kill_at": 7,
        "before_objectives": True,
    },  # by a version that had one loss and no name for it
]


def run(folder: Path, *, resume: bool = True, **training: object) -> PretrainResult:
    config = tiny_config(**training)
    return pretrain(tiny_arrays(TRAIN), tiny_arrays(VALIDATION, 1), config=config, run=folder, resume=resume)


def run_and_die(folder: Path, kill_at: int, **training: object) -> None:
    """Kill this process without warning once ``kill_at`` batches are done."""
    done = 0
    report = Progress.on_train_batch_end

    def counted(self: Progress, *arguments: object) -> None:
        nonlocal done
        done += 1
        report(self, *arguments)
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    Progress.on_train_batch_end = counted
    run(folder, **training)


def forget_objective(path: Path) -> None:
    """Make a configuration what it was before objectives had names."""
    stored = json.loads(path.read_text())
    del stored["training"]["objective"]
    path.write_text(json.dumps(stored))


def killed_runs(folder: Path) -> None:
    """Every scenario: straight through, and killed in a forked process and resumed here."""
    torch.set_num_threads(1)  # so that forking is safe
    for number, scenario in enumerate(SCENARIOS):
        kill_at, is_old = scenario.pop("kill_at"), scenario.pop("before_objectives", False)
        straight, killed = folder / f"{number}_straight", folder / f"{number}_killed"
        child = os.fork()
        if child == 0:
            run_and_die(killed, kill_at, **scenario)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        if is_old:
            forget_objective(killed / "training.json")
        run(straight, **scenario)
        resumed = run(killed, **scenario)
        # The kill comes before the last batch's checkpoint is written.
        steps = (kill_at - 1) // scenario.get("accumulate", 1)
        saved = steps // scenario["checkpoint_every"] * scenario["checkpoint_every"]
        assert resumed.resumed_from == saved, (scenario, resumed.resumed_from)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
    code += "from pathlib import Path\nfrom tests.training.test_loop import killed_runs\n"
    code += f"killed_runs(Path({str(folder)!r}))\n"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return folder


@pytest.mark.parametrize("number", range(len(SCENARIOS)))
def test_killed_run_ends_bit_identical(killed: Path, number: int) -> None:
    straight, resumed = (
        load_file(killed / f"{number}_{kind}/checkpoint/model.safetensors") for kind in ("straight", "killed")
    )
    assert straight.keys() == resumed.keys()
    different = [name for name in straight if not torch.equal(straight[name], resumed[name])]
    assert not different, different


def test_a_resumable_checkpoint_names_its_weights_as_before_objectives(killed: Path) -> None:
    stored = torch.load(killed / "0_killed" / "resume" / "last.ckpt", weights_only=True)
    assert {name.partition(".")[0] for name in stored["state_dict"]} == {"model"}


def test_history_of_a_killed_run_has_every_validation(killed: Path) -> None:
    for kind in ("straight", "killed"):
        losses = [row["val/contrastive"] for row in read_history(killed / f"0_{kind}") if "val/contrastive" in row]
        assert len(losses) == 3


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


def test_finished_run_is_not_trained_again(trained: Path) -> None:
    before = (trained / "checkpoint" / "model.safetensors").read_bytes()
    run(trained, epochs=12, learning_rate=3e-3)
    assert (trained / "checkpoint" / "model.safetensors").read_bytes() == before


def test_without_validation_split(tmp_path: Path) -> None:
    config = tiny_config(epochs=1)
    result = pretrain(tiny_arrays(16), tiny_arrays(0), config=config, run=tmp_path)
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
