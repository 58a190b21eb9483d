"""What a curated set holds, as counts: the data sheet that goes with it."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import numpy as np

from pedclip.anatomy import REGIONS
from pedclip.curation.chunks import word_lists

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
LENGTHS: Final = (2, 5, 10, 20, 40, 80)  # words: lower bounds of the classes of excerpt length
_SAFE: Final = 5  # patients; what fewer share could point at one of them


def data_sheet(
    splits: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    source: str,
    rejected: Iterable[str],
    identifiers: Mapping[str, int],
    duplicates: Mapping[str, int],
) -> dict[str, Any]:
    """Counts of triplets by what matters for training and for fairness; holds no text and no identifier.

    Args:
        splits: Per split the rows without pixels.
        source: Name of the data set.
        rejected: Reason of each rejected file, row or film.
        identifiers: Passages by kind in the written excerpts.
        duplicates: Pairs by kind ("films", "reports"), and "patients joined".

    Returns:
        `counts` has a mapping of value to triplets under region, age, sex, finding, excerpt_length (words), laterality,
        view, text_source and split; every region, age band and length class is there, with 0 where it is empty.
    """
    rows = [{**row, "split": name} for name, part in splits.items() for row in part]
    words = [len(row["text"].split()) for row in rows]
    lengths = Counter(_length_class(number) for number in words)
    counts = {
        "region": _filled(Counter(REGIONS[row["region"]] for row in rows), REGIONS),
        "age": _filled(Counter(age_band(row["age_months"]) for row in rows), [*(n for _, n in AGE_BANDS), UNKNOWN]),
        "sex": _filled(Counter(row["sex"] or UNKNOWN for row in rows), ("F", "M", UNKNOWN)),
        "finding": _filled(Counter(f for row in rows for f in findings_in(row["text"])), word_lists()["findings"]),
        "excerpt_length": _filled(lengths, [_length_class(low) for low in LENGTHS]),
        "laterality": _filled(
            Counter(row["laterality"] or UNKNOWN for row in rows), ("left", "right", "both", UNKNOWN)
        ),
        "view": dict(Counter(_common_views(rows)).most_common()),
        "text_source": dict(Counter(row["text_source"] for row in rows).most_common()),
        "split": {name: len(part) for name, part in splits.items()},
    }
    return {
        "source": source,
        "triplets": len(rows),
        "patients": len({row["patient_id"] for row in rows}),
        "studies": len({row["study_id"] for row in rows}),
        "distinct_excerpts": len({row["text"] for row in rows}),
        "patients_by_split": {name: len({row["patient_id"] for row in part}) for name, part in splits.items()},
        "words": {f"p{share}": int(np.percentile(words, share)) for share in (5, 50, 95)} if words else {},
        "counts": counts,
        "rejected": dict(Counter(rejected).most_common()),
        "identifiers": dict(identifiers),
        "duplicates": dict(duplicates),
    }


def age_band(months: float | None) -> str:
    """Name of the age band of an age in months.

    Example:
        >>> age_band(0.5), age_band(143.9), age_band(None)
        ('0 to 27 days', '6 to 11 years', 'unknown')
    """
    if months is None or months != months:
        return UNKNOWN
    return next((name for low, name in reversed(AGE_BANDS) if months >= low), UNKNOWN)


def findings_in(text: str) -> list[str]:
    """Findings that a text mentions, negated or not: the sheet says what the texts speak of, not what patients have."""
    return [name for name, pattern in _finding_patterns() if pattern.search(text)]


@cache
def _finding_patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    lists = word_lists()["findings"].items()
    return tuple((name, re.compile(rf"\b(?:{words})\b", re.IGNORECASE)) for name, words in lists)


def _length_class(words: int) -> str:
    number = max((index for index, low in enumerate(LENGTHS) if words >= low), default=0)
    is_last = number == len(LENGTHS) - 1
    return f"{LENGTHS[number]} or more" if is_last else f"{LENGTHS[number]} to {LENGTHS[number + 1] - 1}"


def _filled(counts: Mapping[str, int], names: Iterable[str]) -> dict[str, int]:
    return {name: counts.get(name, 0) for name in names}


def _common_views(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Views, those that fewer than five triplets have as "other": a rare free text could point at a patient."""
    views = [row["view"] or UNKNOWN for row in rows]
    counts = Counter(views)
    return [view if view == UNKNOWN or counts[view] >= _SAFE else "other" for view in views]
