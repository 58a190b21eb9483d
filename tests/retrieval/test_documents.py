"""Paragraph vectors: the same in every process, or an error that says what to install."""

import json
import os
import subprocess
import sys

import pytest
import torch

from pedclip.retrieval.documents import DocumentVectors

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
