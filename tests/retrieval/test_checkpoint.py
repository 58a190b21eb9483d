"""A PECM written and read again, and folders that hold none."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pedclip.retrieval.checkpoint import load_pecm, save_pecm
from pedclip.retrieval.config import PECMConfig
from pedclip.retrieval.pecm import PECM


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config = PECMConfig(image_width=6, text_width=6, proj_dim=4, top_m=7, rerank="sum")
    pecm = PECM(3, config=config, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        pecm.theta.copy_(torch.tensor([0.1, 0.2, 0.3]))
    return save_pecm(pecm, tmp_path / "pecm")


def test_reading_gives_what_was_written(folder: Path) -> None:
    first, second = load_pecm(folder), load_pecm(save_pecm(load_pecm(folder), folder.parent / "again"))
    assert first.config == second.config == PECMConfig(image_width=6, text_width=6, proj_dim=4, top_m=7, rerank="sum")
    assert first.theta.tolist() == pytest.approx([0.1, 0.2, 0.3])
    image, text = torch.randn(2, 2, 3, 6, generator=torch.Generator().manual_seed(1)).unbind()
    assert torch.equal(first(image, text).final, second(image, text).final)
    assert not first.training


def test_weights_per_pair_are_kept(tmp_path: Path) -> None:
    pecm = PECM(3, config=PECMConfig(proj_dim=0, w_mode="per_pair", match="attention", match_temperature=0.2))
    with torch.no_grad():
        pecm.beta.fill_(0.75)
    again = load_pecm(save_pecm(pecm, tmp_path / "pecm"))
    assert again.config == pecm.config
    assert float(again.beta.detach()) == 0.75


def test_folders_older_than_the_choice_of_the_confidence_loss_were_trained_as_printed(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    assert values.pop("conf_loss") == "contrastive"
    (folder / "config.json").write_text(json.dumps(values))
    assert load_pecm(folder).config == PECMConfig(
        image_width=6, text_width=6, proj_dim=4, top_m=7, rerank="sum", conf_loss="as_printed"
    )
    # Written again, it says so itself.
    again = save_pecm(load_pecm(folder), folder.parent / "again")
    assert json.loads((again / "config.json").read_text())["conf_loss"] == "as_printed"


def test_only_a_folder_of_a_pecm_is_replaced(folder: Path, tmp_path: Path) -> None:
    pecm = load_pecm(folder)
    assert load_pecm(save_pecm(pecm, folder)).config == pecm.config
    (documents := tmp_path / "documents").mkdir()
    for name in ("config.json", "thesis.docx"):
        (documents / name).write_text("mine")
    with pytest.raises(FileExistsError, match=r"documents is not replaced, because it holds thesis\.docx"):
        save_pecm(pecm, documents)
    assert sorted(path.name for path in documents.iterdir()) == ["config.json", "thesis.docx"]


def test_damaged_folders_say_which_file(folder: Path) -> None:
    with pytest.raises(OSError, match="nothing"):
        load_pecm(folder.parent / "nothing")
    values = json.loads((folder / "config.json").read_text())
    for changed in (values | {"grid": "ceil6"}, values | {"colour": 1}, {"grid": "ceil5"}, [1]):
        (folder / "config.json").write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=r"config\.json describes no PECM"):
            load_pecm(folder)
    (folder / "config.json").write_text(json.dumps(values | {"num_prototypes": 5}))
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged or does not fit config\.json"):
        load_pecm(folder)
    (folder / "config.json").write_text(json.dumps(values))
    (folder / "model.safetensors").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        load_pecm(folder)


@pytest.mark.parametrize("field", ["num_prototypes", "proj_dim", "image_width"])
@pytest.mark.parametrize("size", [10**9, 10**13, 10**18, 10**30])
def test_sizes_that_no_memory_holds_are_refused_by_the_header(folder: Path, field: str, size: int) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | {field: size}))
    with pytest.raises(ValueError, match=r"config\.json") as caught:
        load_pecm(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"theta": torch.zeros(3, dtype=torch.int64)}, "theta is of type I64, expected one of F64"),
        ({"theta": torch.zeros(3, dtype=torch.complex64)}, "theta is of type C64"),
        ({"theta": torch.zeros(3, dtype=torch.bool)}, "theta is of type BOOL"),
        ({"theta": torch.zeros(1)}, r"theta is \(1,\), expected \(3,\)"),
        ({"log_temperature": torch.zeros(1)}, r"log_temperature is \(1,\), expected \(\)"),
        ({"beta": torch.zeros(())}, "beta is unknown"),
        ({"theta": None}, "theta is missing"),
        ({"theta": torch.tensor([0, torch.nan, 0])}, "holds NaN or infinite values in theta"),
        ({"theta": torch.tensor([0, 0, -torch.inf])}, "holds NaN or infinite values in theta"),
        ({"theta": torch.tensor([0, 0, 1e300], dtype=torch.float64)}, "holds NaN or infinite values in theta"),
    ],
)
def test_weights_of_another_kind_are_refused(folder: Path, changes: dict[str, torch.Tensor | None], words: str) -> None:
    weights = load_file(folder / "model.safetensors") | changes
    save_file({name: value for name, value in weights.items() if value is not None}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=rf"model\.safetensors .*{words}"):
        load_pecm(folder)


def test_weights_of_another_precision_are_taken(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({name: value.double() for name, value in weights.items()}, folder / "model.safetensors")
    assert load_pecm(folder).theta.dtype == torch.float32
