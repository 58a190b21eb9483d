"""Agreement of excerpts with a gold standard: sentences, words, regions, and leaks.

A gold standard is a list of records, each a report with the sentences of every filmed region and those of none. A
report is scored by itself (`score_report`); figures and intervals come from adding up scores.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from pedclip.anatomy import REGIONS, display_name
from pedclip.curation.excerpts import Excerpt, joined
from pedclip.curation.report.exam_labels import read_label
from pedclip.curation.report.parse import Report, parse_report
from pedclip.curation.report.sentences import split_sentences
from pedclip.evaluation.metrics.bootstrap import Floats, Interval, bootstrap_interval

ALL_REGIONS: Final = "all regions"
MIN_REPORTS: Final = 10  # a region of fewer reports gets no row: its interval would span everything
_NEEDED: Final = ("report_text", "excerpts", "left_out")  # of a record of a gold standard
_LEAKS: Final = ("left_out", "indication", "technique")  # sentences that belong to no region, by where they stand


class GoldError(ValueError):
    """A gold standard that cannot be read; the message says why."""


def gold_standards(folder: str, *, reports: int, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Annotated reports by the name of their origin: "phantom", and the folder where one is given.

    Args:
        folder: See `read_gold`; "" for the phantom alone.
        reports: Drawn reports.
        seed: Of the drawn reports.
    """
    from pedclip.data.phantom import generate_reports  # slow to import, and needed here only

    own = {Path(folder).name: read_gold(folder)} if folder else {}
    return {"phantom": generate_reports(reports, seed)} | own


def read_gold(folder: str | Path) -> list[dict[str, Any]]:
    """Annotated reports from `gold.jsonl` of a folder.

    Args:
        folder: Holds one JSON object per line with report_text, excerpts (region: sentences) and left_out.

    Raises:
        GoldError: No such file, an empty one, or a line that is not such a record.
    """
    path = Path(folder) / "gold.jsonl"
    if not path.is_file():
        raise GoldError(f"there is no {path}; gold is '' or a folder with a gold.jsonl.")
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict) or (missing := [name for name in _NEEDED if name not in record]):
            what = f"without {', '.join(missing)}" if isinstance(record, dict) else "no JSON object"
            raise GoldError(f"{path}, line {number}: {what}; expected {', '.join(_NEEDED)}.")
        records.append(record)
    if not records:
        raise GoldError(f"{path} holds no record.")
    return records


class WholeReport:
    """Extractor that gives every sentence of findings and impression to every film, as if there were no extraction."""

    def extract(self, report: Report, regions: tuple[str, ...] | None) -> dict[str, Excerpt]:
        """The same excerpt for all of these regions, or for all filmed ones for None."""
        report = parse_report(report)
        said = [x.sentence for x in report.lines if x.section.name in ("findings", "impression") and x.label is None]
        return {name: joined(said, source="whole") for name in (report.filmed_regions if regions is None else regions)}


@dataclass(frozen=True)
class Agreement:
    """Counts of what two sets share, over one report or many."""

    both: int = 0  # in the prediction and in the gold standard
    predicted: int = 0
    gold: int = 0

    def __add__(self, other: "Agreement") -> "Agreement":
        return Agreement(self.both + other.both, self.predicted + other.predicted, self.gold + other.gold)

    @property
    def precision(self) -> float:
        """Share of the prediction that is right, in [0, 1]; 1 where nothing was predicted."""
        return self.both / self.predicted if self.predicted else 1.0

    @property
    def recall(self) -> float:
        """Share of the gold standard that was found, in [0, 1]; 1 where there was nothing to find."""
        return self.both / self.gold if self.gold else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, in [0, 1]; 1 where both sides are empty."""
        total = self.predicted + self.gold
        return 2 * self.both / total if total else 1.0


@dataclass(frozen=True)
class ReportScore:
    """Agreement on one report."""

    sentences: Mapping[str, Agreement]  # by region
    words: Mapping[str, Agreement]  # by region
    regions: Agreement
    leaks: Mapping[str, tuple[int, int]]  # by `_LEAKS`: how many leaked, of how many


def score_report(gold: Mapping[str, Any], found: Mapping[str, Excerpt]) -> ReportScore:
    """Compare excerpts with one record of the gold standard.

    Repeated sentences count as often as they occur. A leak is an output sentence that is, or holds, one of the
    sentences that belong to no region: `left_out` (without headings and list numbers), and those of the sections
    indication and technique.

    Args:
        gold: Record with `excerpts` (region: sentences), `left_out`, and where known `sections` (name: text).
        found: Excerpts by region, as from `extract.extract_regions`.
    """
    regions = list(dict.fromkeys([*gold["excerpts"], *found]))
    right = {region: [normalized(text) for text in gold["excerpts"].get(region, ())] for region in regions}
    # Compared without case and punctuation, as splitters leave a full stop or a list number here and there.
    output = {
        region: [normalized(sentence.text) for sentence in found[region].sentences] if region in found else []
        for region in regions
    }
    filmed = set(gold["excerpts"])
    # A sentence may be right in one region and left out in another: only what is gold nowhere can leak.
    written = set().union(*output.values()) if output else set()
    wanted = set().union(*right.values()) if right else set()
    return ReportScore(
        sentences={region: _agreement(output[region], right[region]) for region in regions},
        words={region: _agreement(_words(output[region]), _words(right[region])) for region in regions},
        regions=Agreement(len(filmed & set(found)), len(found), len(filmed)),
        leaks={origin: _leaks(texts, written, wanted) for origin, texts in _outside(gold).items()},
    )


def normalized(sentence: str) -> str:
    """Lower case, without punctuation, single spaces: what two sentences are compared by.

    Example:
        >>> normalized("No fracture (L4-5).")
        'no fracture l4 5'
    """
    return " ".join(re.findall(r"\w+", sentence.lower()))


def _outside(gold: Mapping[str, Any]) -> dict[str, list[str]]:
    """Sentences that belong to no region, by where they stand."""
    outside = {
        name: [sentence.text for sentence in split_sentences(gold.get("sections", {}).get(name, ""))]
        for name in ("indication", "technique")
    }
    # Neither list numbers nor headings: of sections (capitals before a colon) and of films (labels).
    prose = [text for text in gold["left_out"] if not re.fullmatch(r"[\d.\s]*|[A-Z ]+:", text) and not read_label(text)]
    return {"left_out": prose, **outside}


def _agreement(output: Iterable[str], right: Iterable[str]) -> Agreement:
    a, b = Counter(output), Counter(right)  # multisets: a sentence counts as often as it occurs
    return Agreement((a & b).total(), a.total(), b.total())


def _words(sentences: Iterable[str]) -> list[str]:
    return " ".join(sentences).split()


def _leaks(texts: Iterable[str], written: set[str], wanted: set[str]) -> tuple[int, int]:
    """Number of these sentences that were written, and of all of them; one that is gold elsewhere is no leak."""
    forms = [form for text in texts if (form := normalized(text)) and form not in wanted]
    return sum(any(_holds(output, form) for output in written) for form in forms), len(forms)


def _holds(output: str, form: str) -> bool:
    """True where an output sentence is this one, or holds it with more words around it."""
    # Two words ("no fracture") stand in many a sentence that is none of these.
    return output == form or (form.count(" ") > 1 and f" {form} " in f" {output} ")


def summarize(scores: Sequence[ReportScore]) -> dict[str, Any]:
    """Micro-averaged figures over reports, each a share in [0, 1]."""
    regions = sorted({region for score in scores for region in score.sentences})
    summary: dict[str, Any] = {"reports": len(scores)}
    # Counts are added before anything is divided: a long report weighs more than a short one.
    for name in ("sentences", "words"):
        by_region = {
            region: sum((getattr(score, name).get(region, Agreement()) for score in scores), Agreement())
            for region in regions
        }
        summary[name] = _figures(sum(by_region.values(), Agreement()))
        summary[f"{name}_by_region"] = {region: _figures(counts) for region, counts in by_region.items()}
    summary["regions"] = _figures(sum((score.regions for score in scores), Agreement()))
    false = sum(score.regions.predicted > score.regions.both for score in scores)
    summary["reports_with_false_region"] = false / len(scores) if scores else 0.0
    for origin in _LEAKS:
        leaked, total = (sum(score.leaks[origin][i] for score in scores) for i in (0, 1))
        summary[f"leaked_{origin}"] = {"leaked": leaked, "of": total, "share": leaked / total if total else 0.0}
    return summary


def f1_interval(counts: Sequence[Agreement], *, num_resamples: int, seed: int) -> Interval:
    """F1 of all reports together, with its 95 % bootstrap interval over reports.

    Args:
        counts: (N,) agreement on each report.
        num_resamples: At least 1.
        seed: Of the resampling.

    Raises:
        ValueError: Fewer than two reports, or no resample asked for.
    """
    # Pooled F1 needs two sums per report, so that a resample is one product of matrices.
    table = np.array([[one.both, one.predicted + one.gold] for one in counts], dtype=np.float64)  # (N, 2)

    def f1(weights: Floats) -> Floats:
        both, total = (weights @ table).T  # (R,) each, from (R, N) weights
        result: Floats = np.where(total > 0, 2 * both / np.maximum(total, 1), np.nan)
        return result

    value = sum(counts, Agreement()).f1
    return bootstrap_interval(value, f1, num_items=len(table), groups=None, num_resamples=num_resamples, seed=seed)


def _figures(counts: Agreement) -> dict[str, float | int]:
    return {
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "predicted": counts.predicted,
        "gold": counts.gold,
    }


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
        for region in (ALL_REGIONS, *REGIONS):
            counts = [_counts(score, region) for score in scored if region == ALL_REGIONS or region in score.sentences]
            if not counts or (region != ALL_REGIONS and len(counts) < MIN_REPORTS):
                continue
            total = sum(counts, Agreement())
            found = f1_interval(counts, num_resamples=num_resamples, seed=seed)
            name = ALL_REGIONS if region == ALL_REGIONS else display_name(region)
            rows.append((name, method, found.value, found.low, found.high, total.precision, total.recall, len(counts)))
    columns = ["row", "method", "value", "low", "high", "precision", "recall", "reports"]
    return pd.DataFrame(rows, columns=columns)


def summary_table(scores: Mapping[str, Sequence[ReportScore]]) -> pd.DataFrame:
    """Pooled figures of each extractor: sentences, words, regions, and the shares that leaked; all in [0, 1]."""
    rows = []
    for method, found in scores.items():
        figures = summarize(found)
        sentences = {name: figures["sentences"][name] for name in ("precision", "recall", "f1")}
        leaks = {f"leaked {origin}": figures[f"leaked_{origin}"]["share"] for origin in _LEAKS[:2]}
        head = {"extractor, gold": method, "reports": len(found)}
        others = {"word f1": figures["words"]["f1"], "region f1": figures["regions"]["f1"]}
        rows.append(head | sentences | others | leaks)
    return pd.DataFrame(rows)


def worst_reports(scores: Sequence[ReportScore], count: int) -> list[int]:
    """Numbers of the reports with the lowest sentence F1, the worst first; perfect ones are never listed."""
    f1 = [_counts(score, ALL_REGIONS).f1 for score in scores]
    # Equal scores keep the order of the reports, so that two runs list the same ones.
    order = sorted(range(len(f1)), key=lambda number: (f1[number], number))
    return [number for number in order if f1[number] < 1][:count]


def _counts(score: ReportScore, region: str) -> Agreement:
    return sum(score.sentences.values(), Agreement()) if region == ALL_REGIONS else score.sentences[region]
