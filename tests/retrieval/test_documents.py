"""Paragraph vectors: the same in every process, or an error that says what to install."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from pedclip.retrieval.config import PECMConfig
from pedclip.retrieval.documents import DocumentVectors, text_prototypes
from pedclip.retrieval.prototypes import report_prototypes
from tests.objectives.tiny_features import tiny_model

REPORTS = [
    "No fracture of the wrist. Soft tissues are normal.",
    "Fracture of the distal radius. Soft tissues are swollen.",
    "The lungs are clear. No effusion of the pleura.",
    "The heart is normal. The lungs are clear.",
]


def test_without_gensim_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"doc2vec prototypes need gensim: pip install 'pedclip\[retrieval\]'"
    ):
        DocumentVectors.fit(REPORTS)


def test_prototypes_of_reports() -> None:
    pytest.importorskip("gensim")
    vectors = DocumentVectors.fit(REPORTS, width=8, epochs=5, min_count=1)
    found = vectors.prototypes(REPORTS, num_groups=3)
    assert found.values.shape == (4, 4, 8)
    assert found.mask.tolist() == [[True, True, False, True]] * 4
    # One sentence has one vector in both reports, another sentence another.
    assert torch.equal(found.values[2, 0], found.values[3, 1])
    assert not torch.allclose(found.values[2, 0], found.values[2, 1])
    torch.testing.assert_close(found.values[1, -1], torch.from_numpy(vectors.vector(REPORTS[1])))


def test_vectors_are_the_same_in_another_process() -> None:
    pytest.importorskip("gensim")
    here = DocumentVectors.fit(REPORTS, width=4, epochs=3, min_count=1).vector("No fracture of the lungs.")
    code = (
        "from pedclip.retrieval.documents import DocumentVectors\n"
        f"vectors = DocumentVectors.fit({REPORTS!r}, width=4, epochs=3, min_count=1)\n"
        "print(vectors.vector('No fracture of the lungs.').tolist())"
    )
    # Python's hash of a text, from which gensim would start, is another one there.
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-W", "ignore", "-c", code]
    there = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert json.loads(there) == here.tolist()


def test_too_rare_words_and_empty_reports_raise() -> None:
    pytest.importorskip("gensim")
    with pytest.raises(ValueError, match="1 reports hold no word 50 times: lower min_count"):
        DocumentVectors.fit(REPORTS[:1], min_count=50)
    vectors = DocumentVectors.fit(REPORTS, width=4, epochs=1, min_count=1)
    with pytest.raises(ValueError, match=r"1 of 2 reports are empty \(rows 1\)"):
        vectors.prototypes([REPORTS[0], ""])


def test_the_configuration_names_the_prototypes() -> None:
    model, config = tiny_model(), PECMConfig(text_width=32)
    found = text_prototypes(config, model, REPORTS, num_groups=3)
    assert torch.equal(found.values, report_prototypes(model, REPORTS, num_groups=3).values)
    repeated = text_prototypes(replace(config, short="repeat"), model, REPORTS, num_groups=3)
    assert repeated.mask.all()
    with pytest.raises(ValueError, match="text_proto='doc2vec' does not go with a PedCLIP"):
        text_prototypes(PECMConfig.as_printed(), model, REPORTS)
    with pytest.raises(ValueError, match="prototypes of width 32 do not fit text_width=768"):
        text_prototypes(PECMConfig(), model, REPORTS)


def test_the_printed_configuration_takes_paragraph_vectors() -> None:
    pytest.importorskip("gensim")
    vectors = DocumentVectors.fit(REPORTS, width=8, epochs=5, min_count=1)
    config = replace(PECMConfig.as_printed(), text_width=8)
    found = text_prototypes(config, vectors, REPORTS, num_groups=3)
    assert torch.equal(found.values, vectors.prototypes(REPORTS, num_groups=3, short="repeat").values)
    with pytest.raises(ValueError, match="text_proto='bert' does not go with a DocumentVectors"):
        text_prototypes(replace(config, text_proto="bert"), vectors, REPORTS)
