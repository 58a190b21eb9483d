"""The rules extractor on annotated reports, its speed, and what it does with all real reports at hand.

    python -m benchmarks.extraction --data ../shared/data --json benchmarks/results/extraction.json

Intervals are 95 % percentile bootstrap intervals over reports. Speed is the median of interleaved rounds in
new processes.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from benchmarks.archive_size import extrapolate
from benchmarks.report import describe, write_report
from pedclip.curation.extract import extract_regions
from pedclip.curation.reading import read_report
from pedclip.curation.regions import filmed_in
from pedclip.curation.score import Agreement, ReportScore, f1_interval, score_report, summarize
from pedclip.data.phantom import generate_reports

INVENTED = Path(__file__).resolve().parents[1] / "tests/curation/invented_reports.jsonl"
SECOND_READER = Path(__file__).parent / "annotations/second_reader.jsonl"  # places in reports of the packs, no text
PACKS = ("iu-openi-reports", "cmc2007-paediatric-reports", "mtsamples-radiology", "covid-cxr-notes")
RESAMPLES = 2000
PHANTOM_REPORTS, PHANTOM_SEED = 1000, 4
BATCH = 64  # reports handed to a process at once


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def second_reader(data: Path) -> list[dict[str, Any]]:
    """Reports of the packs that a reader annotated who had not seen what the rules make of them.

    The reader (a language model, by the rules of extraction-gold) came after the rules, so these reports come near
    to an estimate for reports that nobody looked at. All but two tell of a single region: the parting is not tested.
    """
    annotated = {one["report_id"]: one for one in records(SECOND_READER)}
    texts = {
        record["report_id"]: record["raw_text"]
        for name in PACKS
        if (data / name / "reports.jsonl").is_file()
        for record in records(data / name / "reports.jsonl")
        if record["report_id"] in annotated
    }
    return [
        {
            "report_text": text,
            "excerpts": {
                region: [text[start:end] for start, end in places]
                for region, places in annotated[name]["excerpts"].items()
            },
            "left_out": [text[start:end] for start, end in annotated[name]["left_out"]],
        }
        for name, text in texts.items()
    ]


def quality(gold: Sequence[dict[str, Any]]) -> dict[str, Any]:
    scores: list[ReportScore] = [score_report(record, extract_regions(record["report_text"])) for record in gold]
    in_reports = {
        "sentences": [sum(score.sentences.values(), Agreement()) for score in scores],
        "words": [sum(score.words.values(), Agreement()) for score in scores],
        "regions": [score.regions for score in scores],
    }
    intervals = {
        name: f1_interval(counts, num_resamples=RESAMPLES, seed=0).to_dict() for name, counts in in_reports.items()
    }
    return summarize(scores) | {"f1_intervals": intervals}


def on_pack(path: Path) -> dict[str, Any]:
    """What is found in reports without annotation; their text never leaves this function."""
    sections, kinds, regions, reasons = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    texts = [record["raw_text"] for record in records(path)]
    for text in texts:
        reading = read_report(text)
        excerpts = extract_regions(text)
        sections.update({section.name for section in reading.sections})
        kinds.update(line.kind for line in reading.lines if line.section.name in ("findings", "impression"))
        regions.update(list(excerpts))
        if not any(excerpt.sentences for excerpt in excerpts.values()):
            reasons[reason(text)] += 1
    return {
        "reports": len(texts),
        "reports_with_section": dict(sections.most_common()),
        "sentences_of_findings_and_impression_by_kind": dict(kinds.most_common()),
        "reports_with_region": dict(regions.most_common()),
        "reports_without_excerpt": sum(reasons.values()),
        "reasons": dict(reasons.most_common()),
    }


def on_chest_films_alone(path: Path) -> dict[str, int]:
    """Reports that by their source tell of a chest film and no other: how many give any other region."""
    texts = [
        record["raw_text"]
        for record in records(path)
        if not record["multi_body_part"] and not record["inline_headings"] and not record["in_extraction_gold"]
    ]
    found = [set(extract_regions(text)) for text in texts]
    return {
        "reports": len(texts),
        "only_chest": sum(regions == {"chest"} for regions in found),
        "another_region": sum(bool(regions - {"chest"}) for regions in found),
    }


def reason(text: str) -> str:
    """Why a report gives no excerpt."""
    reading = read_report(text)
    if not any(line.kind == "finding" for line in reading.lines):
        return "no sentence is a finding"
    if any("kind:modality" in hit.tags for line in reading.lines for hit in line.hits):
        return "names CT, MRI or ultrasound and no film"
    return "names no film and no structure" if not filmed_in(reading) else "findings belong to no film"


def extract_batch(texts: list[str]) -> float:
    """Seconds of CPU time for some reports."""
    begin = time.process_time()
    for text in texts:
        extract_regions(text)
    return time.process_time() - begin


def make_ready(ready: Barrier) -> None:
    """Read the word lists, with reports that are not measured."""
    extract_batch([record["report_text"] for record in records(INVENTED)])
    ready.wait()


def seconds_of(batches: list[list[str]], processes: int) -> tuple[float, float]:
    """Wall-clock and CPU seconds in new processes, in which no sentence is known from an earlier round."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(processes + 1)
    with context.Pool(processes, make_ready, (ready,)) as pool:
        ready.wait()
        begin = time.perf_counter()
        cpu = sum(pool.map(extract_batch, batches, chunksize=1))
        return time.perf_counter() - begin, cpu


def speed(texts: list[str], rounds: int) -> dict[str, Any]:
    batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    load = os.getloadavg()[0]
    one, two = zip(*((seconds_of(batches, 1), seconds_of(batches, 2)) for _ in range(rounds)), strict=True)
    rates = {
        "reports_per_cpu_second": len(texts) / statistics.median(cpu for _, cpu in one),  # free of other load
        "reports_per_second_one_process": len(texts) / statistics.median(wall for wall, _ in one),
        "reports_per_second_two_processes": len(texts) / statistics.median(wall for wall, _ in two),
        "reports_per_second_two_processes_best": len(texts) / min(wall for wall, _ in two),
    }
    return {
        "reports": len(texts),
        "mean_characters": statistics.mean(map(len, texts)),
        "load_before": load,
        "niceness": os.nice(0),
        **rates,
        "published_archive": {name: extrapolate(rate) for name, rate in rates.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the packs of reports")
    parser.add_argument("--gold", type=Path, help="annotated reports; default: extraction-gold/gold.jsonl in --data")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    packs = [name for name in PACKS if (options.data / name / "reports.jsonl").is_file()]
    texts = [record["raw_text"] for name in packs for record in records(options.data / name / "reports.jsonl")]
    report = describe() | {
        "what": "rules extractor: quality on annotated reports, speed, coverage of real reports",
        "extractor": "rules",
        "real": quality(records(options.gold or options.data / "extraction-gold/gold.jsonl")),
        "second_reader": quality(second_reader(options.data)),
        "invented": quality(records(INVENTED)),
        "phantom": quality(generate_reports(PHANTOM_REPORTS, seed=PHANTOM_SEED)),
        "speed": speed(texts, options.rounds),
        "chest_films_alone": on_chest_films_alone(options.data / "iu-openi-reports/reports.jsonl"),
        "packs": {name: on_pack(options.data / name / "reports.jsonl") for name in packs},
    }
    for name in ("real", "second_reader", "invented", "phantom"):
        figures = report[name]
        assert isinstance(figures, dict)
        print(f"{name:13s} sentence F1 {figures['sentences']['f1']:.3f}  region F1 {figures['regions']['f1']:.3f}")
    print(report["speed"])
    if options.json:
        write_report(options.json, report)


if __name__ == "__main__":
    main()
