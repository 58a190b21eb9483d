"""Files of a release: where they are looked for, what is read of them, and everything that is refused."""

import os
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from safetensors.torch import save_file

from pedclip.models.released import files
from pedclip.models.released.files import locate, read_tensors, some
from pedclip.models.released.release import find_release

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.float16)}


class Harmful:
    """A pickle that makes a folder when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("container", [None, "state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_tensors_are_found_in_every_usual_container(tmp_path: Path, container: str | None, prefix: str) -> None:
    tensors = {prefix + name: value for name, value in TENSORS.items()}
    torch.save({container: tensors, "epoch": 3} if container else tensors, tmp_path / "w.pt")
    found = read_tensors(tmp_path / "w.pt")
    assert list(found) == list(TENSORS)
    assert torch.equal(found["a.weight"], TENSORS["a.weight"])
    assert found["b"].dtype == torch.float32


def test_safetensors_equal_the_pickle(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "w.safetensors")
    assert torch.equal(read_tensors(tmp_path / "w.safetensors")["a.weight"], TENSORS["a.weight"])


def test_pickle_with_code_is_refused_and_not_run_and_the_message_says_how_to_convert(tmp_path: Path) -> None:
    mark = tmp_path / "harm"
    torch.save({"state_dict": TENSORS, "hyper_parameters": Harmful(mark)}, tmp_path / "w.ckpt")
    with pytest.raises(ValueError, match=r"(?s)w\.ckpt is a pickle that .* it was not read.*'w\.safetensors'"):
        read_tensors(tmp_path / "w.ckpt")
    assert not mark.exists()


@pytest.mark.parametrize("container", ["state_dict", "model"])
def test_advice_to_convert_makes_a_file_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container: str
) -> None:
    torch.save({container: TENSORS, "config": Harmful(tmp_path / "harm")}, tmp_path / "w.tar")
    with pytest.raises(ValueError, match="not read") as caught:
        read_tensors(tmp_path / "w.tar")
    # As a person would who trusts the file: the lines that are indented most.
    lines = [line.strip() for line in str(caught.value).splitlines() if line.startswith("    ")]
    monkeypatch.chdir(tmp_path)
    exec("\n".join(["import torch, safetensors.torch", *lines]), {})
    assert torch.equal(read_tensors(tmp_path / "w.safetensors")["a.weight"], TENSORS["a.weight"])


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not weights at all")
    with pytest.raises(ValueError, match=rf"{name} is damaged or no file of weights"):
        read_tensors(tmp_path / name)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 598\n"


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"hello", "is damaged or no file of weights"),
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "(?s)is a web page and no weights: .*in a browser"),
        (b"\xef\xbb\xbf\r\n<HTML>", "is a web page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is a web page"),
        (POINTER, "(?s)is a git-lfs pointer, .*Run 'git lfs pull'"),
    ],
)
def test_download_that_is_no_weights_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_tensors(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_file_under_the_name_of_the_other_kind_is_read_once_it_is_renamed(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "a.bin")
    with pytest.raises(ValueError, match=r"a\.bin is a safetensors file .*: rename it to a\.safetensors, and pass"):
        read_tensors(tmp_path / "a.bin")
    assert read_tensors((tmp_path / "a.bin").rename(tmp_path / "a.safetensors")).keys() == TENSORS.keys()
    for is_zip in (True, False):
        torch.save(TENSORS, tmp_path / "b.safetensors", _use_new_zipfile_serialization=is_zip)
        with pytest.raises(ValueError, match=r"b\.safetensors is a file of torch\.save, .*: rename it to b\.pt, and"):
            read_tensors(tmp_path / "b.safetensors")
        assert read_tensors((tmp_path / "b.safetensors").rename(tmp_path / "b.pt")).keys() == TENSORS.keys()


def test_other_content_and_spoilt_weights_are_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": 1}}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="holds no table of tensors"):
        read_tensors(tmp_path / "w.pt")
    torch.save({"a": torch.tensor([1.0, torch.nan])}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="NaN or infinite values in a"):
        read_tensors(tmp_path / "w.pt")


@pytest.mark.filterwarnings("ignore:Validating sparse tensor:UserWarning")  # torch's, of the time it takes
@pytest.mark.parametrize(
    ("value", "flaw"),
    [
        (torch.ones(2, dtype=torch.complex64), r"complex values \(torch.complex64\)"),
        (torch.eye(2).to_sparse(), r"a sparse tensor \(torch.sparse_coo\)"),
        (torch.ones(2, device="meta"), r"no values \(a tensor on the device 'meta'\)"),
        (torch.tensor([1e300], dtype=torch.float64), "NaN or infinite values"),
    ],
)
def test_tensor_that_is_no_weight_is_named(tmp_path: Path, value: torch.Tensor, flaw: str) -> None:
    torch.save({"good": torch.ones(1), "bad.weight": value}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=rf"w\.pt holds {flaw} in bad\.weight; expected a dense tensor of finite real"):
        read_tensors(tmp_path / "w.pt")


def test_names_are_text(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1), 7: torch.ones(1)}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w\.pt holds a tensor under 7; expected names in text"):
        read_tensors(tmp_path / "w.pt")


def test_file_is_taken_as_given_and_a_folder_by_its_preferred_name(tmp_path: Path) -> None:
    release = find_release("biomedclip")
    for name in ("open_clip_pytorch_model.bin", "open_clip_model.safetensors", "other.pt"):
        (tmp_path / name).write_bytes(b"")
    assert locate(release, tmp_path).weights.name == "open_clip_model.safetensors"
    assert locate(release, tmp_path / "other.pt").weights.name == "other.pt"


def test_absent_file_says_which_from_where_under_which_licence_and_what_to_pass(tmp_path: Path) -> None:
    expected = r"(?s)CheXzero: .*File: +chexzero.pt or .*From: +Google Drive.*Licence: +\w.*load_released\('chexzero', "
    for path in (None, tmp_path, tmp_path / "nothing.pt"):
        with pytest.raises(FileNotFoundError, match=expected):
            locate(find_release("chexzero"), path)


@pytest.mark.parametrize("kind", [EntryNotFoundError, LocalEntryNotFoundError])
def test_hub_is_asked_in_the_order_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    asked = []

    def download(repository: str, name: str) -> str:
        asked.append((repository, name))
        if name.endswith(".safetensors"):
            raise kind("no such file")
        (tmp_path / name).write_bytes(b"")
        return str(tmp_path / name)

    monkeypatch.setattr(files, "hf_hub_download", download)
    place = locate(find_release("rad-dino"))
    assert asked == [("microsoft/rad-dino", "model.safetensors"), ("microsoft/rad-dino", "pytorch_model.bin")]
    assert (place.weights.name, place.hub) == ("pytorch_model.bin", "microsoft/rad-dino")
    assert place.companion("config.json") == tmp_path / "config.json"


@pytest.mark.parametrize("kind", [LocalEntryNotFoundError, ConnectionError, EntryNotFoundError])
def test_hub_out_of_reach_or_without_the_file(monkeypatch: pytest.MonkeyPatch, kind: type[Exception]) -> None:
    def download(repository: str, name: str) -> str:
        raise kind("no answer")

    monkeypatch.setattr(files, "hf_hub_download", download)
    with pytest.raises(FileNotFoundError, match=r"(?s)BiomedCLIP: microsoft/Bio.* (did not answer|holds none).*MIT"):
        locate(find_release("biomedclip"))


def test_names_are_counted_after_the_first_four() -> None:
    assert some(list("abc")) == "a, b, c"
    assert some(list("abcdef")) == "a, b, c, d and 2 more"
