"""The client against a server that we did not write: `transformers serve` with an untrained Llama."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pedclip.curation.extract import extract_regions
from pedclip.curation.llm.batch import extract_many
from pedclip.curation.llm.client import BackendError, ServerBackend
from pedclip.curation.llm.conversation import Procedure
from pedclip.curation.llm.extractor import LLMExtractor
from tests.curation.llm.tiny_llama import save_tiny_llama

_LONGEST_START = 120.0  # seconds; it imports the whole of transformers
REPORTS = [
    "EXAM: Chest. FINDINGS: Lungs are clear.",
    "EXAM: Left hip, left knee. FINDINGS: Left hip: Normal. Left knee: Small effusion.",
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Endpoint and name of the model."""
    folder = save_tiny_llama(tmp_path_factory.mktemp("llama"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Path(sys.executable).with_name("transformers")
    command = [str(script), "serve", str(folder), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with (tmp_path_factory.mktemp("log") / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}/v1", str(folder)
        finally:
            process.kill()
            process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _LONGEST_START
    while time.monotonic() < end:
        assert process.poll() is None, "transformers serve ended"
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError("transformers serve did not start")


def test_garbage_of_an_untrained_llama_ends_in_rules(served: tuple[str, str]) -> None:
    endpoint, model = served
    backend = ServerBackend(endpoint, model, timeout=60)
    llm = LLMExtractor(backend, Procedure(attempts=2))
    found = list(extract_many([(report, None) for report in REPORTS], llm, concurrency=2))
    assert found == [extract_regions(report) for report in REPORTS]
    assert {excerpt.source for excerpts in found for excerpt in excerpts.values()} == {"rules"}
    # Each report was asked twice, and the server counted tokens; schemas it does not know, which cost no report.
    assert (llm.usage.invalid, llm.usage.refused, llm.usage.requests) == (2, 0, 4)
    assert llm.usage.prompt_tokens > 1000
    assert 0 < llm.usage.answer_tokens


def test_unknown_model_is_an_error_and_not_a_result_by_rules(served: tuple[str, str]) -> None:
    llm = LLMExtractor(ServerBackend(served[0], "no/such-model", timeout=60, repetitions=1))
    items = [(f"EXAM: Chest. FINDINGS: Nodule of {i} mm.", None) for i in range(25)]
    with pytest.raises(BackendError):
        list(extract_many(items, llm))
