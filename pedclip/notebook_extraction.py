"""Extractors as notebook 01 runs them: a language model, no extraction at all, and both against a gold standard."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from pedclip.anatomy import REGIONS, display_name
from pedclip.curation.answers import Rejection, read_rewritten
from pedclip.curation.backends import Backend, ServerBackend
from pedclip.curation.dialogue import Procedure
from pedclip.curation.excerpts import Excerpt, joined
from pedclip.curation.ledger import Ledger
from pedclip.curation.llm import LLMExtractor, numbered
from pedclip.curation.local_model import load_folder
from pedclip.curation.questions import Mode
from pedclip.curation.reading import read_report
from pedclip.curation.regions import filmed_in
from pedclip.curation.score import Agreement, ReportScore, f1_interval, summarize
from pedclip.notebook_errors import MissingArtefact

ALL: Final = "all regions"
MIN_REPORTS: Final = 10  # a region of fewer reports gets no row: its interval would span everything
_NEEDED: Final = ("report_text", "excerpts", "left_out")


def language_model(
    endpoint: str, model: str, mode: Mode, *, answers: str | Path = "", in_process: bool = False
) -> LLMExtractor:
    """A language model behind a server or in this process; making it sends nothing.

    The key of the server is taken from the environment variable PEDCLIP_API_KEY, as a parameter would be stored.

    Args:
        endpoint: Address such as "http://localhost:8000/v1"; "" stands for this one, to plan without a server.
        model: Name that the server knows the model by; in this process the folder of the model.
        mode: "select" or "rewrite".
        answers: File that keeps the answers for the next run; "" keeps them in memory.
        in_process: Load the model here, on the GPU where there is one; there must be no endpoint then.

    Raises:
        ValueError: Both an endpoint and this process.
        FileNotFoundError: There is no such folder.
        BackendError: The folder holds no chat model.
    """
    if in_process and endpoint:
        raise ValueError(f"expected an endpoint or this process, got {endpoint!r} and in_process=True.")
    backend: Backend
    if in_process:
        backend = load_folder(model)
    else:
        key = os.environ.get("PEDCLIP_API_KEY", "")
        backend = ServerBackend(endpoint or "http://localhost:8000/v1", model, api_key=key)
    return LLMExtractor(backend, Procedure(mode=mode), ledger=Ledger(answers))


def verdict(answer: str, report_text: str, regions: tuple[str, ...]) -> str:
    """What the check of the mode "rewrite" says of an answer: "accepted", or "refused" with the reason."""
    found = read_rewritten(answer, numbered(report_text, regions).texts, regions)
    return f"refused: {found.reason}" if isinstance(found, Rejection) else "accepted"


def gold_standards(folder: str, *, reports: int, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Annotated reports by the name of their origin: "phantom", and the folder where one is given.

    Args:
        folder: See `read_gold`; "" for the phantom alone.
        reports: Drawn reports.
        seed: Of the drawn reports.
    """
    from pedclip.data.phantom import generate_reports

    own = {Path(folder).name: read_gold(folder)} if folder else {}
    return {"phantom": generate_reports(reports, seed)} | own


def read_gold(folder: str | Path) -> list[dict[str, Any]]:
    """Annotated reports from `gold.jsonl` of a folder.

    Args:
        folder: Holds one JSON object per line with report_text, excerpts (region: sentences) and left_out.

    Raises:
        MissingArtefact: No such file, an empty one, or a line that is not such a record.
    """
    path = Path(folder) / "gold.jsonl"
    if not path.is_file():
        raise MissingArtefact(f"there is no {path}; gold is '' or a folder with a gold.jsonl.")
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict) or (missing := [name for name in _NEEDED if name not in record]):
            what = f"without {', '.join(missing)}" if isinstance(record, dict) else "no JSON object"
            raise MissingArtefact(f"{path}, line {number}: {what}; expected {', '.join(_NEEDED)}.")
        records.append(record)
    if not records:
        raise MissingArtefact(f"{path} holds no record.")
    return records


class WholeReport:
    """Gives every sentence of findings and impression to every film: what a pipeline without extraction does."""

    def extract(self, report_text: str, regions: tuple[str, ...] | None) -> dict[str, Excerpt]:
        """The same excerpt for all of these regions, or for all filmed ones for None."""
        reading = read_report(report_text)
        said = [x.sentence for x in reading.lines if x.section.name in ("findings", "impression") and x.label is None]
        return {name: joined(said, source="whole") for name in (filmed_in(reading) if regions is None else regions)}


def f1_table(scores: Mapping[str, Sequence[ReportScore]], *, num_resamples: int, seed: int) -> pd.DataFrame:
    """Sentence F1 of each extractor, over all regions and per region, with 95 % intervals over reports.

    Args:
        scores: By name of the extractor and its gold standard.
        num_resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        Columns `row` (region), `method`, `value`, `low`, `high`, `precision`, `recall` and `reports`; a region with
        fewer than ten reports has no row.
    """
    rows = []
    for method, scored in scores.items():
        for region in (ALL, *REGIONS):
            counts = [_counts(score, region) for score in scored if region == ALL or region in score.sentences]
            if not counts or (region != ALL and len(counts) < MIN_REPORTS):
                continue
            total = sum(counts, Agreement())
            found = f1_interval(counts, num_resamples=num_resamples, seed=seed)
            # A chart draws the bar from low to high around the value, which a percentile interval may just miss.
            low, high = min(found.low, found.value), max(found.high, found.value)
            name = ALL if region == ALL else display_name(region)
            rows.append((name, method, found.value, low, high, total.precision, total.recall, len(counts)))
    columns = ["row", "method", "value", "low", "high", "precision", "recall", "reports"]
    return pd.DataFrame(rows, columns=columns)


def summary_table(scores: Mapping[str, Sequence[ReportScore]]) -> pd.DataFrame:
    """Pooled figures of each extractor: sentences, words, regions, and the shares that leaked; all in [0, 1]."""
    rows = []
    for method, found in scores.items():
        figures = summarize(found)
        sentences = {name: figures["sentences"][name] for name in ("precision", "recall", "f1")}
        leaks = {f"leaked {kind}": figures[f"leaked_{kind}"]["share"] for kind in ("left_out", "indication")}
        head = {"extractor, gold": method, "reports": len(found)}
        others = {"word f1": figures["words"]["f1"], "region f1": figures["regions"]["f1"]}
        rows.append(head | sentences | others | leaks)
    return pd.DataFrame(rows)


def worst_reports(scores: Sequence[ReportScore], count: int) -> list[int]:
    """Numbers of the reports with the lowest sentence F1, the worst first; perfect ones are never listed."""
    f1 = [_counts(score, ALL).f1 for score in scores]
    order = sorted(range(len(f1)), key=lambda number: (f1[number], number))
    return [number for number in order if f1[number] < 1][:count]


def _counts(score: ReportScore, region: str) -> Agreement:
    return sum(score.sentences.values(), Agreement()) if region == ALL else score.sentences[region]
