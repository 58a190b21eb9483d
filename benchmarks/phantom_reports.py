"""How varied the reports of the phantom are, beside real ones: python -m benchmarks.phantom_reports --data FOLDER.

FOLDER holds folders with a `reports.jsonl` (raw_text, and multi_body_part where the source says it) or `gold.jsonl`
(report_text, filmed_regions). Only counts and shares are printed and written, never a word of a report.
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import describe, write_report
from pedclip.data.phantom import generate_reports

_EQUAL = 500  # vocabulary grows with the number of reports; both sides are also counted at this many


def measure(texts: Sequence[str], is_multi_part: Sequence[bool]) -> dict[str, float | None]:
    """Counts and shares of one set of reports; `is_multi_part` is whether several regions were filmed, where known."""
    words = [re.findall(r"[a-z]+(?:['-][a-z]+)*", text.lower()) for text in texts]
    sentences = [sentence for text in texts for sentence in split(text)]
    low, median, high = np.percentile([len(text.split()) for text in texts], [5, 50, 95])
    return {
        "reports": len(texts),
        "vocabulary": len({word for text in words for word in text}),
        f"vocabulary_of_{_EQUAL}": len({word for text in words[:_EQUAL] for word in text}),
        "words_5": float(low),
        "words_median": float(median),
        "words_95": float(high),
        "sentences_median": float(np.median([len(split(text)) for text in texts])),
        "sentences": len(sentences),
        "distinct_sentences": len(set(sentences)),
        "distinct_share": len(set(sentences)) / len(sentences),
        "distinct_share_of_1000": _distinct_share(sentences[:1000]),
        "most_common_sentence_share": Counter(sentences).most_common(1)[0][1] / len(sentences),
        "multi_part_share": float(np.mean(is_multi_part)) if is_multi_part else None,
    }


def split(text: str) -> list[str]:
    """Sentences in lower case, section headings and list numbers taken off; lines end a sentence."""
    lines = (re.sub(r"^[A-Za-z ]{3,25}:\s*", "", line) for line in text.split("\n"))
    parts = (part for line in lines for part in re.split(r"(?<=[.;!?])\s+", line))
    return [plain for part in parts if re.search(r"[a-z]{2}", plain := part.strip(" .").lower())]


def _distinct_share(sentences: Sequence[str]) -> float:
    return len(set(sentences)) / max(len(sentences), 1)


def read(folder: Path) -> dict[str, dict[str, float | None]]:
    """Measures of every pack of reports in a folder."""
    measured = {}
    for file in sorted([*folder.glob("*/reports.jsonl"), *folder.glob("*/gold.jsonl")]):
        records: list[dict[str, Any]] = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        texts = [record.get("report_text") or record.get("raw_text") or "" for record in records]
        is_multi_part = [known for record in records if (known := is_of_several(record)) is not None]
        if texts := [text for text in texts if text.strip()]:
            measured[file.parent.name] = measure(texts, is_multi_part)
    return measured


def is_of_several(record: Mapping[str, Any]) -> bool | None:
    """Whether a study filmed several regions, None where its record does not say."""
    if "filmed_regions" in record:
        return len(record["filmed_regions"]) > 1
    return record.get("multi_body_part")


def table(measured: Mapping[str, Mapping[str, float | None]]) -> str:
    """A line per measure, a column per set of reports; "–" where a set does not say."""
    widths = [max(12, len(name) + 2) for name in measured]
    lines = [" " * 30 + "".join(name.rjust(width) for name, width in zip(measured, widths, strict=True))]
    for measure_name in next(iter(measured.values())):
        values = [found[measure_name] for found in measured.values()]
        cells = ["–" if value is None else f"{value:.4g}" for value in values]
        lines.append(f"{measure_name:30}" + "".join(c.rjust(w) for c, w in zip(cells, widths, strict=True)))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of packs of real reports; without it the phantom alone")
    parser.add_argument("--studies", type=int, default=2000, help="drawn studies (default: 2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the drawn studies (default: 0)")
    parser.add_argument("--json", type=Path, default=Path("runs/benchmarks/phantom_reports.json"))
    options = parser.parse_args(arguments)
    records = generate_reports(options.studies, options.seed)
    phantom = measure([r["report_text"] for r in records], [len(r["filmed_regions"]) > 1 for r in records])
    packs = {"phantom": phantom} | (read(options.data) if options.data else {})
    print(table(packs))
    write_report(options.json, {"environment": describe(), "seed": options.seed, "packs": packs})


if __name__ == "__main__":
    main()
