import json
from pathlib import Path

from benchmarks.extraction import INVENTED, on_chest_films_alone, on_pack, quality, records, speed


def write_pack(path: Path, texts: list[str]) -> Path:
    fields = {"multi_body_part": False, "inline_headings": [], "in_extraction_gold": False}
    path.write_text("".join(json.dumps({"raw_text": text, **fields}) + "\n" for text in texts), encoding="utf-8")
    return path


def test_coverage_and_reasons_are_counted(tmp_path: Path) -> None:
    texts = [
        "EXAM: Chest. FINDINGS: Clear lungs.",
        "HISTORY: Cough.",
        "Normal renal ultrasound.",
        "Normal.",
        "Left knee: Intact.",
    ]
    pack = write_pack(tmp_path / "reports.jsonl", texts)
    coverage = on_pack(pack)
    assert coverage["reports_with_region"] == {"chest": 1, "knee": 1}
    assert coverage["reports_without_excerpt"] == 3
    assert coverage["reasons"] == {
        "no sentence is a finding": 1,
        "names CT, MRI or ultrasound and no film": 1,
        "names no film and no structure": 1,
    }
    assert on_chest_films_alone(pack) == {"reports": 5, "only_chest": 1, "another_region": 1}


def test_intervals_hold_the_value() -> None:
    intervals = quality(records(INVENTED))["f1_intervals"]
    assert all(part["low"] <= part["value"] <= part["high"] for part in intervals.values())
    assert intervals["sentences"]["num_groups"] == 15


def test_speed_counts_every_report_and_says_what_is_extrapolated() -> None:
    figures = speed(["EXAM: Chest. FINDINGS: Clear lungs."] * 100, rounds=1)
    assert figures["reports"] == 100
    assert 0 < figures["reports_per_second_two_processes"] <= figures["reports_per_second_two_processes_best"]
    archive = figures["published_archive"]["reports_per_second_one_process"]
    assert archive["is_extrapolated"]
    assert archive["minutes"] == round(262_577 / figures["reports_per_second_one_process"] / 60, 1)
