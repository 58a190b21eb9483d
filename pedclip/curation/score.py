"""How well excerpts agree with a gold standard: sentences, words, regions, and what leaked."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pedclip.curation.excerpts import Excerpt
from pedclip.curation.labels import read_label
from pedclip.curation.sentences import split_sentences
from pedclip.evaluation.intervals import Floats, Interval, bootstrap_interval


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
    leaks: Mapping[str, tuple[int, int]]  # kind: how many leaked, of how many


def normalized(sentence: str) -> str:
    """Lower case, without punctuation, single spaces: what two sentences are compared by.

    Example:
        >>> normalized("No fracture (L4-5).")
        'no fracture l4 5'
    """
    return " ".join(re.findall(r"\w+", sentence.lower()))


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
    output = {
        region: [normalized(sentence.text) for sentence in found[region].sentences] if region in found else []
        for region in regions
    }
    filmed = set(gold["excerpts"])
    written = set().union(*output.values()) if output else set()
    wanted = set().union(*right.values()) if right else set()
    return ReportScore(
        sentences={region: _agreement(output[region], right[region]) for region in regions},
        words={region: _agreement(_words(output[region]), _words(right[region])) for region in regions},
        regions=Agreement(len(filmed & set(found)), len(found), len(filmed)),
        leaks={kind: _leaks(texts, written, wanted) for kind, texts in _outside(gold).items()},
    )


def summarize(scores: Sequence[ReportScore]) -> dict[str, Any]:
    """Micro-averaged figures over reports, each a share in [0, 1]."""
    regions = sorted({region for score in scores for region in score.sentences})
    summary: dict[str, Any] = {"reports": len(scores)}
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
    for kind in ("left_out", "indication", "technique"):
        leaked, total = (sum(score.leaks[kind][i] for score in scores) for i in (0, 1))
        summary[f"leaked_{kind}"] = {"leaked": leaked, "of": total, "share": leaked / total if total else 0.0}
    return summary


def f1_interval(counts: Sequence[Agreement], *, num_resamples: int, seed: int) -> Interval:
    """F1 of all reports together, with its 95 % percentile bootstrap interval over reports.

    Args:
        counts: (N,) agreement on each report.
        num_resamples: At least 1.
        seed: Of the resampling.

    Raises:
        ValueError: Fewer than two reports, or no resample asked for.
    """
    table = np.array([[one.both, one.predicted + one.gold] for one in counts], dtype=np.float64)

    def f1(weights: Floats) -> Floats:
        both, total = (weights @ table).T
        result: Floats = np.where(total > 0, 2 * both / np.maximum(total, 1), np.nan)
        return result

    value = sum(counts, Agreement()).f1
    return bootstrap_interval(value, f1, num_items=len(table), groups=None, num_resamples=num_resamples, seed=seed)


def _agreement(output: Iterable[str], right: Iterable[str]) -> Agreement:
    a, b = Counter(output), Counter(right)
    return Agreement((a & b).total(), a.total(), b.total())


def _words(sentences: Iterable[str]) -> list[str]:
    return " ".join(sentences).split()


def _figures(counts: Agreement) -> dict[str, float | int]:
    return {
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "predicted": counts.predicted,
        "gold": counts.gold,
    }


def _leaks(texts: Iterable[str], written: set[str], wanted: set[str]) -> tuple[int, int]:
    """How many of these sentences were written, and how many there are; one that is gold elsewhere is no leak."""
    forms = [form for text in texts if (form := normalized(text)) and form not in wanted]
    return sum(any(_holds(output, form) for output in written) for form in forms), len(forms)


def _holds(output: str, form: str) -> bool:
    """Whether an output sentence is this one, or holds it with more words around it."""
    return output == form or (form.count(" ") > 1 and f" {form} " in f" {output} ")


def _outside(gold: Mapping[str, Any]) -> dict[str, list[str]]:
    """Sentences that belong to no region, by where they stand."""
    outside = {
        name: [sentence.text for sentence in split_sentences(gold.get("sections", {}).get(name, ""))]
        for name in ("indication", "technique")
    }
    # Neither list numbers nor headings: of sections (capitals before a colon) and of films (labels).
    prose = [text for text in gold["left_out"] if not re.fullmatch(r"[\d.\s]*|[A-Z ]+:", text) and not read_label(text)]
    return {"left_out": prose, **outside}
