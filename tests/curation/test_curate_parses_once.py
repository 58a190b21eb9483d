"""A report is parsed once in a whole run, by rules and with a language model, whether the model succeeds or not."""

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pedclip.curation import pipeline
from pedclip.curation.archive.reader import read_archive
from pedclip.curation.archive.studies import Archive
from pedclip.curation.excerpts import Excerpt, Extractor
from pedclip.curation.llm.client import Response
from pedclip.curation.llm.conversation import Procedure
from pedclip.curation.llm.extractor import LLMExtractor
from pedclip.curation.llm.prompts import Prompt
from pedclip.curation.report.parse import Report, parse_report
from pedclip.curation.report.sections import Section, split_sections
from pedclip.curation.rules import RulesExtractor
from tests.curation.archive.archive_files import film, triplets_of
from tests.curation.llm.chat_server import good_model

STUDIES = 5


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Two films and one report per study, no two reports alike, so that a second parse of any shows."""
    for number in range(STUDIES):
        folder = tmp_path / f"export/s{number}"
        for part in ("hand", "elbow"):
            film(folder / part, number, BodyPartExamined=part.upper())
        text = f"EXAM: XR hand, elbow.\nFINDINGS: Hand: Gap of {number} mm. Elbow: No effusion is seen.\n"
        (folder / "report.txt").write_text(text)
    return read_archive(tmp_path / "export")


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each text was parsed, whatever module did it: every parse begins with the sections."""
    counts: Counter[str] = Counter()

    def counted(text: str) -> tuple[Section, ...]:
        counts[text] += 1
        return split_sections(text)

    for name, module in list(sys.modules.items()):
        if name.startswith("pedclip.") and getattr(module, "split_sections", None) is split_sections:
            monkeypatch.setattr(module, "split_sections", counted)
    monkeypatch.setattr(pipeline, "STUDIES_PER_CHUNK", 2)  # several parts, as in a large archive
    return counts


class Model:
    """A language model in this process: it answers well, or not at all."""

    identity: Mapping[str, Any] = {"model": "fake"}

    def __init__(self, *, is_good: bool) -> None:
        self.is_good = is_good

    async def complete(self, prompt: Prompt) -> Response:
        messages = [{"content": content} for _, content in prompt.messages]
        return Response(good_model({"messages": messages}) if self.is_good else "I see a dragon.")

    def count_tokens(self, text: str) -> int | None:
        return None

    async def close(self) -> None:
        return None


CASES: list[tuple[str | Extractor, set[str]]] = [
    ("rules", {"rules"}),
    (LLMExtractor(Model(is_good=True)), {"llm-select"}),
    (LLMExtractor(Model(is_good=True), Procedure(passes=1)), {"llm-select"}),
    (LLMExtractor(Model(is_good=False)), {"rules"}),  # the rules step in
]


@pytest.mark.parametrize(("extractor", "sources"), CASES)
def test_each_report_is_parsed_exactly_once(
    tmp_path: Path, archive: Archive, parses: Counter[str], extractor: str | Extractor, sources: set[str]
) -> None:
    texts = [study.read_report().text for study in archive.studies]
    pipeline.curate(archive, output=tmp_path / "out", extractor=extractor)
    assert parses == dict.fromkeys(texts, 1)
    rows = triplets_of(tmp_path / "out")
    assert (len(rows), {row["text_source"] for row in rows}) == (2 * STUDIES, sources)


class ParsesAgain(RulesExtractor):
    """The rules, on the bare text."""

    def extract(self, report: Report, regions: tuple[str, ...] | None) -> dict[str, Excerpt]:
        return super().extract(parse_report(parse_report(report).text), regions)


def test_a_second_parse_would_be_noticed(tmp_path: Path, archive: Archive, parses: Counter[str]) -> None:
    pipeline.curate(archive, output=tmp_path / "out", extractor=ParsesAgain())
    assert set(parses.values()) == {2}
