"""Counts of what a curated set holds: the data sheet that goes with it."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

import numpy as np

from pedclip.anatomy import REGIONS
from pedclip.curation.excerpts import excerpt_words
from pedclip.triplets.splits import SPLITS

# Lower bound in months and name; after the age groups of the NICHD Pediatric Terminology (Williams et al., 2012).
AGE_BANDS: Final = (
    (0, "0 to 27 days"),
    (28 * 12 / 365.25, "28 days to 11 months"),
    (12, "1 year"),
    (24, "2 to 5 years"),
    (72, "6 to 11 years"),
    (144, "12 to 17 years"),
    (216, "18 years and more"),
)
UNKNOWN: Final = "unknown"
_COUNTED: Final = (
    *("region", "age", "sex", "finding", "excerpt_length", "laterality", "view", "text_source", "split"),
)
LENGTHS: Final = (2, 5, 10, 20, 40, 80)  # words: lower bounds of the classes of excerpt length
_SAFE: Final = 5  # triplets
# From benchmarks/results/identifiers.json: names that the search missed or took for one, so that a reader of the sheet
# knows what "0 × name" is worth.
IDENTIFIER_SEARCH: Final = {
    "invented_people": 150,
    "sentences": 3300,
    "recall_of_names": 0.9294,
    "sentences_of_real_reports": 36738,
    "blocked_by_a_supposed_name": 26,
}


def data_sheet(
    rows: Iterable[tuple[str, Mapping[str, Any]]],
    *,
    source: str,
    left_out: Iterable[str],
    identifiers: Mapping[str, int],
    duplicates: Mapping[str, int],
) -> dict[str, Any]:
    """Counts of triplets by what matters for training and for fairness; holds no text and no identifier.

    Args:
        rows: Split and triplet without its pixels, read once.
        source: Name of the data set.
        left_out: Reason of each file, row or film that became no triplet.
        identifiers: Passages by kind in the written excerpts.
        duplicates: Pairs by kind, and how many patients were joined.

    Returns:
        `counts` has a mapping of value to triplets under region, age, sex, finding, excerpt_length (words), laterality,
        view, text_source and split; `identifier_search` says how well names are found (see benchmarks/identifiers.py).
        Every region, age band and length class is there, with 0 where it is empty.
    """
    counts: dict[str, Counter[str]] = {name: Counter() for name in _COUNTED}
    patients: dict[str, set[str]] = {name: set() for name in SPLITS}
    words: list[int] = []
    studies, excerpts = set(), set()
    for split, row in rows:
        words.append(len(row["text"].split()))
        _count(counts, row, words[-1])
        counts["split"][split] += 1
        patients[split].add(row["patient_id"])
        studies.add(row["study_id"])
        # The hash only: a hundred thousand texts would fill the memory.
        excerpts.add(hash(row["text"]))
    return {
        "source": source,
        "triplets": len(words),
        "patients": len(set().union(*patients.values())),
        "studies": len(studies),
        "distinct_excerpts": len(excerpts),
        "patients_by_split": {name: len(members) for name, members in patients.items()},
        # Percentiles, as the longest text of a set could be recognised by its length alone.
        "words": {f"p{share}": int(np.percentile(words, share)) for share in (5, 50, 95)} if words else {},
        "counts": {name: _ordered(name, counter) for name, counter in counts.items()},
        "left_out": dict(Counter(left_out).most_common()),
        "identifiers": dict(identifiers),
        "identifier_search": dict(IDENTIFIER_SEARCH),
        "duplicates": dict(duplicates),
    }


def _count(counts: Mapping[str, Counter[str]], row: Mapping[str, Any], words: int) -> None:
    counts["region"][REGIONS[row["region"]]] += 1
    counts["age"][age_band(row["age_months"])] += 1
    counts["finding"].update(findings_in(row["text"]))
    counts["excerpt_length"][_length_class(words)] += 1
    for name in ("sex", "laterality", "view", "text_source"):
        counts[name][row[name] or UNKNOWN] += 1


def _ordered(name: str, counter: Counter[str]) -> dict[str, int]:
    """Counts in the order of the classes, 0 where there is none; of free values the most frequent first."""
    if name == "view":  # a rare free text could point at a patient
        # Under five triplets a view is counted as "other".
        rare = sum(count for view, count in counter.items() if view != UNKNOWN and count < _SAFE)
        common = Counter({view: count for view, count in counter.items() if view == UNKNOWN or count >= _SAFE})
        return dict((common + Counter(other=rare)).most_common())
    classes = {
        "region": REGIONS,
        "age": (*(band for _, band in AGE_BANDS), UNKNOWN),
        "sex": ("F", "M", UNKNOWN),
        "finding": tuple(excerpt_words()["findings"]),
        "excerpt_length": tuple(_length_class(low) for low in LENGTHS),
        "laterality": ("left", "right", "both", UNKNOWN),
        "split": SPLITS,
    }
    # Empty classes are shown: a region that is missing is the finding.
    return {value: counter[value] for value in classes[name]} if name in classes else dict(counter.most_common())


def age_band(months: float | None) -> str:
    """Name of the age band of an age in months.

    Example:
        >>> age_band(0.5), age_band(143.9), age_band(None)
        ('0 to 27 days', '6 to 11 years', 'unknown')
    """
    # NaN, which Arrow may give for what is absent.
    if months is None or months != months:
        return UNKNOWN
    # From the oldest band down: the first bound that is reached.
    return next((name for low, name in reversed(AGE_BANDS) if months >= low), UNKNOWN)


def findings_in(text: str) -> list[str]:
    """Findings that a text mentions, negated or not: the sheet says what the texts speak of, not what patients have."""
    # Words, not labels: who needs labels reads them with a labeller.
    return [name for name, pattern in _finding_patterns() if pattern.search(text)]


@cache
def _finding_patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    lists = excerpt_words()["findings"].items()
    return tuple((name, re.compile(rf"\b(?:{words})\b", re.IGNORECASE)) for name, words in lists)


def _length_class(words: int) -> str:
    number = max((index for index, low in enumerate(LENGTHS) if words >= low), default=0)
    is_last = number == len(LENGTHS) - 1
    return f"{LENGTHS[number]} or more" if is_last else f"{LENGTHS[number]} to {LENGTHS[number + 1] - 1}"
