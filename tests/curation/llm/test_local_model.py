"""A Llama in this process: its garbage is rejected, batches do not change responses, and limits are respected."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pedclip.curation.extract import extract_regions
from pedclip.curation.llm.batch import extract_many
from pedclip.curation.llm.client import BackendError, PromptRefused, Response
from pedclip.curation.llm.conversation import Procedure
from pedclip.curation.llm.extractor import LLMExtractor
from pedclip.curation.llm.local_model import TransformersBackend, load_model
from pedclip.curation.llm.prompts import Prompt
from tests.curation.llm.tiny_llama import save_tiny_llama

REPORTS = [f"EXAM: Chest. FINDINGS: Nodule of {i} mm. {'Lungs are clear. ' * i}" for i in range(5)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("llama"))


def prompt(text: str, max_tokens: int = 12) -> Prompt:
    return Prompt((("system", "s"), ("user", text)), {}, max_tokens)


def test_garbage_of_an_untrained_llama_ends_in_rules(folder: Path) -> None:
    llm = LLMExtractor(TransformersBackend(str(folder)), Procedure(attempts=2))
    found = list(extract_many([(report, None) for report in REPORTS], llm, concurrency=5))
    assert found == [extract_regions(report) for report in REPORTS]
    assert (llm.usage.invalid, llm.usage.reports) == (5, 5)
    assert llm.usage.answer_tokens > 0
    assert llm.usage.prompt_tokens > 1000  # one per byte


def test_responses_together_are_responses_alone(folder: Path) -> None:
    texts = ["short", "a little longer prompt", "x" * 60]

    async def ask(backend: TransformersBackend) -> list[Response]:
        return await asyncio.gather(*(backend.complete(prompt(text)) for text in texts))

    together = asyncio.run(ask(TransformersBackend(str(folder), batch_size=3)))
    alone = asyncio.run(ask(TransformersBackend(str(folder), batch_size=1)))
    assert together == alone
    assert [response.is_cut for response in alone] == [response.answer_tokens == 12 for response in alone]


def test_prompt_longer_than_the_context_is_refused(folder: Path) -> None:
    backend = TransformersBackend(str(folder))
    with pytest.raises(PromptRefused, match="more than"):
        asyncio.run(backend.complete(prompt("x" * 5000)))
    assert backend.count_tokens("x" * 50) == 50


def test_model_without_chat_template_is_refused(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        if path.name != "chat_template.jinja":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(BackendError, match="no chat template"):
        TransformersBackend(str(tmp_path))


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors", "half of the weights"])
def test_an_incomplete_folder_is_named_with_what_it_needs(folder: Path, tmp_path: Path, missing: str) -> None:
    for path in folder.iterdir():
        if path.name != missing:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    if missing == "half of the weights":
        (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:2000])
    with pytest.raises(BackendError, match=r"cannot be loaded as a chat model; it needs config\.json") as error:
        load_model(tmp_path)
    assert "\n" not in str(error.value)


def test_a_folder_is_named_by_its_full_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert load_model(folder.name).identity["model"] == str(folder)
    with pytest.raises(FileNotFoundError, match="hf download"):
        load_model("nowhere")


def test_model_that_knows_the_response_is_believed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def generate(backend: TransformersBackend, batch: list[Any]) -> list[Response]:
        return [Response(json.dumps({"keep": [1]})) for _ in batch]

    monkeypatch.setattr(TransformersBackend, "_generate", generate)
    found = extract_regions(REPORTS[0], extractor=LLMExtractor(TransformersBackend(str(folder))))
    assert (found["chest"].text, found["chest"].source) == ("Nodule of 0 mm.", "llm-select")
