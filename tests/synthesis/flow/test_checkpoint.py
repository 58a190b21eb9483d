"""A generator written and read again, and folders that hold none."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pedclip.models.checkpoint_files import write_checksums
from pedclip.synthesis.flow import checkpoint
from pedclip.synthesis.flow.checkpoint import EMBEDDED, embed, embedded_generator, open_generator, save_generator
from pedclip.synthesis.flow.config import FlowRun, Sampling
from tests.synthesis.flow.tiny import SIZE, drawn_network, tiny_captions, tiny_run


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    captions = tiny_captions()
    run = tiny_run().replace({"name": "tiny"})
    return save_generator(drawn_network(captions), tmp_path_factory.mktemp("flow") / "tiny", run=run, captions=captions)


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "flow"))


def test_reading_gives_what_was_written(folder: Path) -> None:
    first, second = (open_generator(folder, text_encoder=tiny_captions()) for _ in range(2))
    assert first.name == "tiny"
    assert first.sampling == tiny_run().sampling
    assert first.image_size == SIZE
    kept = {name: value.half().float() for name, value in drawn_network(tiny_captions()).state_dict().items()}
    found = first.network.state_dict()
    assert kept.keys() == found.keys()
    assert all(torch.equal(found[name], value) for name, value in kept.items())
    assert not first.network.training
    films = [one.generate(["bright left", ""], seeds=[1, 2]) for one in (first, second)]
    assert np.array_equal(*films)
    assert first.describe() == second.describe()


def test_weights_take_two_bytes_each(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float16}


def test_sampling_can_be_another(folder: Path) -> None:
    sampling = Sampling(steps=5, solver="heun")
    assert open_generator(folder, text_encoder=tiny_captions(), sampling=sampling).sampling == sampling


def test_another_text_encoder_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"was trained with another text encoder: its SHA-256 is .*the given one"):
        open_generator(folder, text_encoder=tiny_captions(seed=1))
    # The one that its configuration names is not the tiny one either.
    with pytest.raises(ValueError, match="that of pedclip-phantom-small is"):
        open_generator(folder)


def test_a_text_encoder_from_elsewhere_must_be_named(folder: Path) -> None:
    change(folder, "text_encoder", "checkpoint", value="somebody/text-encoder")
    with pytest.raises(FileNotFoundError, match=r"'somebody/text-encoder', which is not here; pass text_encoder="):
        open_generator(folder)
    assert open_generator(folder, text_encoder=tiny_captions()).name == "tiny"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "checksums.json"])
def test_missing_files(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"is no generator: it has no {name}"):
        open_generator(folder, text_encoder=tiny_captions())


def test_cut_and_changed_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = path.read_bytes()
    for damaged in (content[:-100], content[:-1] + bytes([content[-1] ^ 1]), b""):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"model\.safetensors is damaged: its SHA-256"):
            open_generator(folder, text_encoder=tiny_captions())
    # With a checksum that fits, the header tells.
    path.write_bytes(content[:-100])
    write_checksums(folder)
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged or does not fit"):
        open_generator(folder, text_encoder=tiny_captions())


def rewrite(folder: Path, **changes: torch.Tensor) -> None:
    weights = load_file(folder / "model.safetensors") | changes
    save_file(weights, folder / "model.safetensors")
    write_checksums(folder)


def test_weights_of_another_shape_kind_or_value(folder: Path) -> None:
    captions = tiny_captions()
    rewrite(folder, **{"unet.conv_out.bias": torch.zeros(5)})
    with pytest.raises(ValueError, match=r"unet\.conv_out\.bias is F32 \(5,\), expected \(4,\)"):
        open_generator(folder, text_encoder=captions)
    rewrite(folder, **{"unet.conv_out.bias": torch.zeros(4, dtype=torch.int64)})
    with pytest.raises(ValueError, match="is I64"):
        open_generator(folder, text_encoder=captions)
    rewrite(folder, **{"unet.conv_out.bias": torch.tensor([0.0, torch.nan, 0, 0])})
    with pytest.raises(ValueError, match=r"holds NaN or infinite values in unet\.conv_out\.bias"):
        open_generator(folder, text_encoder=captions)
    rewrite(folder, **{"unet.conv_out.bias": torch.zeros(4), "extra": torch.zeros(1)})
    with pytest.raises(ValueError, match="extra is unknown"):
        open_generator(folder, text_encoder=captions)


def change(folder: Path, *path: str, value: object) -> None:
    stored = json.loads((folder / "config.json").read_text())
    part = stored
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    (folder / "config.json").write_text(json.dumps(stored))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("kind",), "pecm", "its kind is not 'pedclip-flow'"),
        (("model", "channels"), [16, 1_000_000], "multiples of 16 up to 1024"),
        (("model", "layers"), 3, "unknown setting 'layers'"),
        (("text_encoder",), {}, "width"),
        (("text_encoder", "width"), 10**9, "in 1…8192"),
        (("name",), "../evil", "letters, digits"),
        (("sampling", "steps"), "many", "of type int"),
    ],
)
def test_damaged_configurations(folder: Path, path: tuple[str, ...], value: object, message: str) -> None:
    change(folder, *path, value=value)
    with pytest.raises(ValueError, match=r"config\.json describes no generator: .*" + message):
        open_generator(folder, text_encoder=tiny_captions())


def test_only_a_folder_of_a_generator_is_replaced(folder: Path, tmp_path: Path) -> None:
    captions = tiny_captions()
    save_generator(drawn_network(captions, seed=1), folder, run=tiny_run(), captions=captions)
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "1.png").write_text("mine")
    with pytest.raises(FileExistsError, match=r"is not replaced, because it holds 1\.png"):
        save_generator(drawn_network(captions), tmp_path / "films", run=tiny_run(), captions=captions)


def test_weights_beyond_half_precision_are_not_written(tmp_path: Path) -> None:
    captions = tiny_captions()
    network = drawn_network(captions)
    with torch.no_grad():
        network.unet.conv_out.bias[0] = 1e6
    with pytest.raises(ValueError, match="16 bits do not hold"):
        save_generator(network, tmp_path / "flow", run=tiny_run(), captions=captions)
    assert not list(tmp_path.iterdir())


def test_the_embedded_one(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "embedded_folder", lambda kind: tmp_path / "weights" / EMBEDDED[kind])
    with pytest.raises(FileNotFoundError, match=r"make one: python -m pedclip\.synthesis\.train --profile demo"):
        embedded_generator()
    assert embed(written) == tmp_path / "weights" / "pedclip-flow-small"
    # Each kind has a folder of its own.
    with pytest.raises(FileNotFoundError, match=r"no embedded generic generator; make one: .* --generic"):
        embedded_generator("generic")
    assert embed(written, "generic") == tmp_path / "weights" / "pedclip-flow-generic"
    monkeypatch.setattr(checkpoint.CaptionEncoder, "from_checkpoint", lambda _: tiny_captions())
    assert embedded_generator().name == "tiny"
    assert FlowRun().text_encoder == "pedclip-phantom-small"
