import json
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import extraction
from benchmarks.extraction import (
    INVENTED,
    REPOSITORY,
    SECOND_READER,
    further_readers,
    main,
    on_chest_films_alone,
    on_pack,
    quality,
    records,
    second_reader,
    speed,
    table,
)
from pedclip.anatomy import REGIONS
from pedclip.evaluation.extraction import WholeReport


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


def test_places_of_the_second_reader_become_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "HISTORY: Cough. FINDINGS: Clear lungs. No fracture."
    (tmp_path / "iu-openi-reports").mkdir()
    reports = [{"report_id": name, "raw_text": text} for name in ("iu-1", "iu-2")]
    (tmp_path / "iu-openi-reports/reports.jsonl").write_text("".join(json.dumps(one) + "\n" for one in reports))
    places = {"report_id": "iu-2", "excerpts": {"chest": [[26, 38], [39, 51]]}, "left_out": [[9, 15]]}
    (tmp_path / "places.jsonl").write_text(json.dumps(places) + "\n")
    monkeypatch.setattr(extraction, "SECOND_READER", tmp_path / "places.jsonl")
    assert second_reader(tmp_path) == [
        {"report_text": text, "excerpts": {"chest": ["Clear lungs.", "No fracture."]}, "left_out": ["Cough."]}
    ]
    assert second_reader(tmp_path / "nowhere") == []


def test_annotations_of_further_readers_are_scored_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "HISTORY: Cough. FINDINGS: Clear lungs. No fracture."
    pack = "notes/other.jsonl"
    (tmp_path / "notes").mkdir()
    rows = [json.dumps({"report_id": name, "raw_text": text}) + "\n" for name in ("n-1", "n-2")]
    (tmp_path / pack).write_text("".join(rows))
    file = tmp_path / "further.jsonl"
    common = {"pack": pack, "excerpts": {"chest": [[26, 38]]}, "left_out": [[9, 15]], "note": ""}
    parts = {"n-1": "development", "n-2": "held_out"}
    places = [{"report_id": name, "part": part, **common} for name, part in parts.items()]
    file.write_text("".join(json.dumps(one) + "\n" for one in places))
    monkeypatch.setattr(extraction, "FURTHER_READERS", file)
    for part in parts.values():
        (found,) = further_readers(tmp_path, part)
        assert found == {"report_text": text, "excerpts": {"chest": ["Clear lungs."]}, "left_out": ["Cough."]}
    assert further_readers(tmp_path / "nowhere", "held_out") == []
    (tmp_path / pack).write_text(rows[0])
    with pytest.raises(ValueError, match="holds no n-2"):
        further_readers(tmp_path, "held_out")


def test_places_of_the_second_reader_are_in_order_and_apart() -> None:
    annotated = records(SECOND_READER)
    assert len({one["report_id"] for one in annotated}) == len(annotated) == 33
    for one in annotated:
        assert set(one["excerpts"]) <= {*REGIONS, "neck"}
        spans = {(start, end) for places in one["excerpts"].values() for start, end in places}
        ordered = sorted([*spans, *map(tuple, one["left_out"])])
        assert all(start < end for start, end in ordered)
        assert all(end <= start for (_, end), (start, _) in pairwise(ordered)), one["report_id"]
    assert sum(len(one["excerpts"]) > 1 for one in annotated) == 1  # as `second_reader` says


def test_the_table_holds_the_interval_and_what_leaked_of_how_many() -> None:
    text = "EXAM: Left knee; chest.\nFINDINGS: Left knee: Intact patella.\nChest: Clear lungs."
    gold = {"report_text": text, "excerpts": {"knee": ["Intact patella."], "chest": ["Clear lungs."]}, "left_out": []}
    gold["sections"] = {"indication": "Fell. Limp."}
    whole, rules = quality([gold, gold], WholeReport()), quality([gold, gold])
    lines = table({"rules": rules, "none": whole}).splitlines()
    assert lines[1].split() == "rules 2 1.000 (too few patients) 1.000 1.000 0.0% 0 of 0 0 of 4 0 of 0".split()
    assert lines[2].split()[:6] == ["none", "2", "0.667", "(too", "few", "patients)"]
    assert len({len(line) for line in lines}) == 1


def test_a_sample_is_drawn_by_its_seed_and_never_into_the_repository(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("iu-openi-reports", "mtsamples-radiology"):
        (tmp_path / name).mkdir()
        rows = [
            {"report_id": f"{name}-{n}", "raw_text": f"HISTORY: Fall. FINDINGS: Lungs: {n} nodules."} for n in range(9)
        ]
        (tmp_path / name / "reports.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def drawn(seed: int) -> str:
        file = tmp_path / "sample.txt"
        main(["--data", str(tmp_path), "--sample", "6", "--sample-seed", str(seed), "--sample-file", str(file)])
        return file.read_text()

    first = drawn(7)
    assert first == drawn(7) != drawn(8)
    assert first.count("==== ") == 6
    assert {"iu-openi-reports", "mtsamples-radiology"} == {
        line.split(": ")[1].split(",")[0] for line in first.splitlines() if line.startswith("====")
    }
    assert first.count("---- left out (history, history): Fall.") == 6
    assert first.count("---- chest: ") == 6
    assert capsys.readouterr().out == ""
    with pytest.raises(SystemExit):
        main(["--data", str(tmp_path), "--sample", "6", "--sample-file", str(REPOSITORY / "sample.txt")])
    assert "no real report may enter it" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--data", str(tmp_path), "--sample", "6"])
    assert "go together" in capsys.readouterr().err
