"""The rules extractor on annotated reports, its speed, and what it does with all real reports at hand.

    python -m benchmarks.extraction --data ../shared/data --json benchmarks/results/extraction.json

Intervals are 95 % bootstrap intervals over reports. "No extraction" gives every sentence of findings and
impression to every film. Speed is the median of interleaved rounds in new processes.

To read with your own eyes what the rules make of some reports (nothing is measured then, and nothing printed):

    python -m benchmarks.extraction --data ../shared/data --sample 30 --sample-seed 7 --sample-file /tmp/sample.txt
"""

import argparse
import json
import multiprocessing
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from benchmarks.archive_size import extrapolate
from benchmarks.report import describe, write_report
from pedclip.curation.excerpts import Extractor
from pedclip.curation.extract import extract_regions
from pedclip.curation.report.parse import ParsedReport, parse_report
from pedclip.data.phantom import generate_reports
from pedclip.evaluation.extraction import Agreement, ReportScore, WholeReport, f1_interval, score_report, summarize
from pedclip.evaluation.metrics.interval import entry_text

REPOSITORY = Path(__file__).resolve().parents[1]
INVENTED = REPOSITORY / "tests/curation/invented_reports.jsonl"
SECOND_READER = Path(__file__).parent / "annotations/second_reader.jsonl"  # spans in reports of the packs, no text
FURTHER_READERS = SECOND_READER.with_name("further_readers.jsonl")  # likewise, in two parts
PARTS = ("development", "held_out")  # what faults were looked for in, and what nobody looked at before the end
PACKS = ("iu-openi-reports", "cmc2007-paediatric-reports", "mtsamples-radiology", "covid-cxr-notes")
RESAMPLES = 2000
PHANTOM_REPORTS, PHANTOM_SEED = 1000, 4
BATCH = 64  # reports handed to a process at once


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def second_reader(data: Path) -> list[dict[str, Any]]:
    """Reports of the packs that a reader annotated who had not seen what the rules make of them.

    The reader (a language model, by the rules of extraction-gold) came after the rules. One rule was then added after
    these reports had been looked at ("Given the rotation …, unchanged" is a finding, in `type_of_prose`). Before it the
    sentence F1 was 0.984 (0.967–0.995), which is the figure for reports that nobody had looked at; after it 0.987
    (0.971–0.997). All but one report tell of a single region at most: the parting of regions is not tested.
    """
    annotated = {one["report_id"]: one for one in records(SECOND_READER)}
    texts = {
        record["report_id"]: record["raw_text"]
        for name in PACKS
        if (data / name / "reports.jsonl").is_file()
        for record in records(data / name / "reports.jsonl")
        if record["report_id"] in annotated
    }
    return [spans_as_texts(annotated[name], text) for name, text in texts.items()]


def further_readers(data: Path, part: str) -> list[dict[str, Any]]:
    """Reports and notes of the packs that readers annotated without sight of any output, of one part.

    Records hold `report_id`, `pack` (its file below the data), `part`, and spans as `second_reader` has them.

    Raises:
        ValueError: A record names a report that its pack lacks, though the pack is there.
    """
    annotated = [one for one in records(FURTHER_READERS) if one["part"] == part] if FURTHER_READERS.is_file() else []
    texts: dict[str, dict[str, str]] = {}
    for name in sorted({one["pack"] for one in annotated}):
        if (data / name).is_file():
            texts[name] = {record["report_id"]: record["raw_text"] for record in records(data / name)}
    for one in annotated:
        if one["pack"] in texts and one["report_id"] not in texts[one["pack"]]:
            raise ValueError(f"{FURTHER_READERS.name}: {one['pack']} holds no {one['report_id']}.")
    return [spans_as_texts(one, texts[one["pack"]][one["report_id"]]) for one in annotated if one["pack"] in texts]


def spans_as_texts(annotated: Mapping[str, Any], text: str) -> dict[str, Any]:
    return {
        "report_text": text,
        "excerpts": {
            region: [text[start:end] for start, end in spans] for region, spans in annotated["excerpts"].items()
        },
        "left_out": [text[start:end] for start, end in annotated["left_out"]],
    }


def quality(gold: Sequence[dict[str, Any]], extractor: str | Extractor = "rules") -> dict[str, Any]:
    scores: list[ReportScore] = [
        score_report(record, extract_regions(record["report_text"], extractor=extractor)) for record in gold
    ]
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
    sections, types, regions, reasons = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    reports = [parse_report(record["raw_text"]) for record in records(path)]
    for report in reports:
        excerpts = extract_regions(report)
        sections.update({section.name for section in report.sections})
        types.update(line.sentence_type for line in report.lines if line.section.name in ("findings", "impression"))
        regions.update(list(excerpts))
        if not any(excerpt.sentences for excerpt in excerpts.values()):
            reasons[reason(report)] += 1
    return {
        "reports": len(reports),
        "reports_with_section": dict(sections.most_common()),
        "sentences_of_findings_and_impression_by_kind": dict(types.most_common()),
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


def reason(report: ParsedReport) -> str:
    """Why a report gives no excerpt."""
    if not any(line.sentence_type == "finding" for line in report.lines):
        return "no sentence is a finding"
    if any("cue:modality" in hit.tags for line in report.lines for hit in line.hits):
        return "names CT, MRI or ultrasound and no film"
    return "names no film and no structure" if not report.filmed_regions else "findings belong to no film"


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


def table(qualities: Mapping[str, Mapping[str, Any]]) -> str:
    """One line for each set of annotated reports; a leak is given as sentences written, of those that must not be."""
    head = "reports", "sentence F1", "word F1", "region F1", "false region", "left out", "indication", "technique"
    rows: list[tuple[str, ...]] = [("", *head)]
    for name, figures in qualities.items():
        f1 = figures["f1_intervals"]["sentences"]
        leaks = [figures[f"leaked_{kind}"] for kind in ("left_out", "indication", "technique")]
        rows.append(
            (
                name,
                str(figures["reports"]),
                entry_text(f1, between="–"),
                f"{figures['words']['f1']:.3f}",
                f"{figures['regions']['f1']:.3f}",
                f"{figures['reports_with_false_region']:.1%}",
                *(f"{leak['leaked']} of {leak['of']}" for leak in leaks),
            )
        )
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    return "\n".join("".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def sample(packs: Sequence[Path], count: int, seed: int) -> str:
    """Reports drawn from all packs together, each with what the rules made of it, for a person to read."""
    reports = [(pack.parent.name, record) for pack in packs for record in records(pack)]
    drawn = random.Random(seed).sample(reports, count)
    parts = []
    for number, (pack, record) in enumerate(drawn, start=1):
        text = record["raw_text"]
        parts.append(f"==== {number} of {count}: {pack}, {record['report_id']}\n{text}\n\n{result(text)}\n")
    return "\n".join(parts)


def result(text: str) -> str:
    """The excerpts of a report, and the sentences that no region got, by type."""
    report = parse_report(text)
    excerpts = extract_regions(report)
    used = {sentence.start for excerpt in excerpts.values() for sentence in excerpt.sentences}
    lines = [f"---- {region}: {excerpt.text or '(nothing)'}" for region, excerpt in excerpts.items()]
    lines += [
        f"---- left out ({line.section.name}, {line.sentence_type}): {line.sentence.text}"
        for line in report.lines
        if line.sentence.start not in used
    ]
    return "\n".join(lines)


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the packs of reports")
    parser.add_argument("--gold", type=Path, help="annotated reports (default: extraction-gold/gold.jsonl in --data)")
    parser.add_argument("--rounds", type=int, default=5, help="of the measurement of speed (default: 5)")
    parser.add_argument("--json", type=Path, help="file for all figures (default: none)")
    parser.add_argument("--sample", type=int, metavar="N", help="draw N real reports to read, and measure nothing")
    parser.add_argument("--sample-seed", type=int, default=0, metavar="SEED", help="of the drawing (default: 0)")
    parser.add_argument("--sample-file", type=Path, metavar="FILE", help="written for --sample; outside the repository")
    options = parser.parse_args(arguments)
    if options.sample is not None and options.sample < 1:
        parser.error(f"--sample must be at least 1, got {options.sample}")
    if (options.sample is None) != (options.sample_file is None):
        parser.error("--sample and --sample-file go together")
    if options.sample_file and options.sample_file.resolve().is_relative_to(REPOSITORY):
        parser.error(f"--sample-file {options.sample_file} lies in the repository; no real report may enter it")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = options_of(arguments)
    packs = [path for name in PACKS if (path := options.data / name / "reports.jsonl").is_file()]
    if options.sample:
        options.sample_file.write_text(sample(packs, options.sample, options.sample_seed), encoding="utf-8")
        return
    real, second = records(options.gold or options.data / "extraction-gold/gold.jsonl"), second_reader(options.data)
    qualities = {
        "real": quality(real),
        "real_no_extraction": quality(real, WholeReport()),
        "second_reader": quality(second),
        "second_reader_no_extraction": quality(second, WholeReport()),
        **{f"further_{part}": quality(gold) for part in PARTS if (gold := further_readers(options.data, part))},
        "invented": quality(records(INVENTED)),
        "phantom": quality(generate_reports(PHANTOM_REPORTS, seed=PHANTOM_SEED)),
    }
    print(table(qualities))
    texts = [record["raw_text"] for pack in packs for record in records(pack)]
    rest = {
        "speed": speed(texts, options.rounds),
        "chest_films_alone": on_chest_films_alone(options.data / "iu-openi-reports/reports.jsonl"),
        "packs": {pack.parent.name: on_pack(pack) for pack in packs},
    }
    print(rest["speed"])
    if options.json:
        what = "rules extractor: quality on annotated reports, speed, coverage of real reports"
        write_report(options.json, describe() | {"what": what, "extractor": "rules"} | qualities | rest)


if __name__ == "__main__":
    main()
