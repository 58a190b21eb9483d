"""Tables of reports in every form: each row is a report or is listed, and a broken one costs only itself."""

import csv
import json
from pathlib import Path

import pandas as pd
import pytest

from pedclip.curation.archive.reader import read_archive
from pedclip.curation.archive.report_location import ReportChanged
from pedclip.triplets.tabular import TableError
from tests.curation.archive.archive_files import reasons, report, save_picture, table


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_tables_with_pictures(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "films"
    for number, name in enumerate(["S1_0.png", "S1_1.png", "S2/ap.png", "left knee/S3.png", "S4.png", "S10.png"]):
        save_picture(root / name, number)
    rows = [
        {"report_id": f"S{number}", "subject": f"P{number}", "note": report("knee"), "sex": "male", "age_years": 3}
        for number in (1, 2, 3)
    ]
    path = tmp_path / f"reports.{kind}"
    frame = pd.DataFrame(rows)
    match kind:
        case "csv":
            frame.to_csv(path, index=False, sep=";")
        case "jsonl":
            frame.to_json(path, orient="records", lines=True)
        case "parquet":
            frame.to_parquet(path, row_group_size=2)
    archive = read_archive(root, path)
    assert [(study.study_id, len(study.images)) for study in archive.studies] == [("S1", 2), ("S2", 1), ("S3", 1)]
    assert all(study.read_report().text == report("knee") for study in archive.studies)
    assert reasons(archive) == {"S4.png": "no-report", "S10.png": "no-report"}
    last = archive.studies[2].images[0]
    assert (last.region_hint.words, last.laterality, last.sex, last.age_months) == ("knee", "left", "M", 36)


def test_image_column_and_section_columns(tmp_path: Path) -> None:
    for number in range(3):
        save_picture(tmp_path / f"films/{number}.png", number)
    rows = [
        {
            "patient": "A",
            "files": "0.png;1.png",
            "Findings": "Clear lungs.",
            "Impression": "Normal.",
            "part": "CXR",
        },
        {"patient": "B", "files": "2.png", "Findings": "Effusion.", "Impression": "", "part": "chest"},
        {"patient": "C", "files": "3.png", "Findings": "", "Impression": "Gone.", "part": ""},
    ]
    archive = read_archive(tmp_path / "films", table(tmp_path / "r.csv", rows), columns={"region": "part"})
    assert [study.read_report().text for study in archive.studies] == [
        "FINDINGS: Clear lungs.\nIMPRESSION: Normal.",
        "FINDINGS: Effusion.",
    ]
    assert {film.region_hint.words for study in archive.studies for film in study.images} == {"chest"}
    assert reasons(archive) == {"r.csv, row 4": "no-film"}


@pytest.mark.parametrize("files", [("S1_a.png", "S1_b.png"), ("", "")])
def test_a_film_that_no_row_names_has_what_all_rows_of_its_study_say(tmp_path: Path, files: tuple[str, str]) -> None:
    for number, name in enumerate("abc"):
        save_picture(tmp_path / f"films/S1_{name}.png", number)
    common = {"study": "S1", "patient": "P1", "report": "Knee and hip.", "sex": "F"}
    rows = [common | {"image": files[0], "region": "knee"}, common | {"image": files[1], "region": "hip"}]
    (study,) = read_archive(tmp_path / "films", table(tmp_path / "r.csv", rows)).studies
    regions = ["knee", "hip", ""] if files[0] else ["", "", ""]
    assert [film.region_hint.words for film in study.images] == regions
    assert {film.sex for film in study.images} == {"F"}


def test_broken_rows_cost_only_themselves(tmp_path: Path) -> None:
    for number in range(1, 7):
        save_picture(tmp_path / f"films/S{number}.png", number)
    text = report("knee").replace("\n", " ")
    lines = [
        "study,patient,report",
        f'S1,P1,"{text}"',
        f'S2,P2,"open quote {text}',
        f'S3,P3,"{text}"',
        "S4,P4,too,many",
        'S5,P5,"two\nlines, quoted"',
    ]
    content = "\n".join(lines).encode() + b"\nS6,P6,\x81\n"
    (tmp_path / "r.csv").write_bytes(content)
    archive = read_archive(tmp_path / "films", tmp_path / "r.csv")
    assert [(study.study_id, study.read_report().text) for study in archive.studies] == [
        ("S1", text),
        ("S3", text),
        ("S5", "two\nlines, quoted"),
    ]
    broken = {item.name: item.detail for item in archive.left_out if item.reason == "broken-row"}
    assert set(broken) == {"r.csv, row 3", "r.csv, row 5", "r.csv, row 7"}
    assert text[:20] not in str(broken)


def test_broken_json_lines_cost_only_themselves(tmp_path: Path) -> None:
    save_picture(tmp_path / "films/S1.png", 1)
    good = json.dumps({"study_id": "S1", "patient_id": "P", "report": "Wörter"}, ensure_ascii=False)
    lines = ["{bad", "[1]", "", good, "[" * 100_000]
    (tmp_path / "r.jsonl").write_text("\n".join(lines), encoding="utf-8")
    archive = read_archive(tmp_path / "films", tmp_path / "r.jsonl")
    assert [study.read_report().text for study in archive.studies] == ["Wörter"]
    assert [item.name for item in archive.left_out] == ["r.jsonl, row 1", "r.jsonl, row 2", "r.jsonl, row 5"]


def test_two_reports_of_one_study_are_not_guessed_between(tmp_path: Path) -> None:
    save_picture(tmp_path / "films/S1.png", 1)
    save_picture(tmp_path / "films/S2.png", 2)
    rows = [("S1", "one text"), ("S1", "another text"), ("S2", "same text"), ("S2", "same text")]
    with (tmp_path / "r.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("study", "patient", "report"), *((s, "P", t) for s, t in rows)])
    archive = read_archive(tmp_path / "films", tmp_path / "r.csv")
    assert [study.study_id for study in archive.studies] == ["S2"]
    assert reasons(archive) == {"S1.png": "no-report", "r.csv, row 2": "several-reports"}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_changed_table_is_never_read_at_the_old_location(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"reports.{kind}"

    def write(*texts: str) -> None:
        frame = pd.DataFrame([{"study": f"S{n}", "patient": f"P{n}", "report": text} for n, text in enumerate(texts)])
        match kind:
            case "csv":
                frame.to_csv(path, index=False)
            case "jsonl":
                frame.to_json(path, orient="records", lines=True)
            case "parquet":
                frame.to_parquet(path)

    for number in range(2):
        save_picture(tmp_path / f"films/S{number}.png", number)
    write("Knee one.", "Knee two.")
    archive = read_archive(tmp_path / "films", path)
    assert [study.read_report().text for study in archive.studies] == ["Knee one.", "Knee two."]
    write("Knee two.", "Knee one.", "Knee three.")
    with pytest.raises(ReportChanged, match=rf"reports.{kind}, row \d.*restart"):
        archive.studies[0].read_report()
    again = read_archive(tmp_path / "films", path)
    assert [study.read_report().text for study in again.studies] == ["Knee two.", "Knee one."]


@pytest.mark.parametrize(
    ("header", "columns", "words"),
    [
        ("study,patient,body", {}, "no column with a report"),
        ("study,patient,report", {"report": "repotr"}, "did you mean 'report'"),
        ("study,patient,report", {"texts": "report"}, "unknown role"),
        ("study,study,report", {}, "name every column once"),
    ],
)
def test_unusable_tables_are_errors(tmp_path: Path, header: str, columns: dict[str, str], words: str) -> None:
    save_picture(tmp_path / "films/S1.png", 1)
    (tmp_path / "r.csv").write_text(f"{header}\nS1,P,text\n")
    with pytest.raises(TableError, match=words):
        read_archive(tmp_path / "films", tmp_path / "r.csv", columns=columns)


def test_the_suffix_decides_in_any_case_and_others_are_refused(tmp_path: Path) -> None:
    save_picture(tmp_path / "films/S1.png", 1)
    (tmp_path / "R.CSV").write_text("study,patient,report\nS1,P,Knee.\n")
    assert read_archive(tmp_path / "films", tmp_path / "R.CSV").studies[0].read_report().text == "Knee."
    (tmp_path / "r.xlsx").write_bytes(b"PK")
    with pytest.raises(TableError, match=r"r\.xlsx is no table .* \.csv, \.tsv"):
        read_archive(tmp_path / "films", tmp_path / "r.xlsx")


@pytest.mark.parametrize("cell", ["['f1.png','f2.png']", "f1.png;f2.png", "f1.png|f2.png", '["f1.png", "f2.png"]'])
def test_a_cell_with_a_list_names_every_film_of_it(tmp_path: Path, cell: str) -> None:
    for number, name in enumerate(["f1", "f2", "f3"]):
        save_picture(tmp_path / f"films/{name}.png", number)
    path = table(tmp_path / "r.csv", [{"patient": "A", "files": cell, "report": report("knee")}])
    archive = read_archive(tmp_path / "films", path)
    assert [film.path.name for film in archive.studies[0].images] == ["f1.png", "f2.png"]
    assert reasons(archive) == {"f3.png": "no-report"}


def test_a_film_of_a_list_that_is_not_there_is_listed(tmp_path: Path) -> None:
    for number, name in enumerate(["a/f1", "a/f2", "b/f2"]):
        save_picture(tmp_path / f"films/{name}.png", number)
    cells = {"patient": "A", "files": "f1.png;F9.png;f2.png;/home/x/f8.png", "report": report("knee")}
    archive = read_archive(tmp_path / "films", table(tmp_path / "r.csv", [cells]))
    assert [film.path.name for film in archive.studies[0].images] == ["f1.png"]
    assert [(item.file, item.row, item.reason, item.detail) for item in archive.left_out] == [
        ("a/f2.png", 0, "no-report", ""),
        ("b/f2.png", 0, "no-report", ""),
        ("r.csv", 2, "no-film", "F9.png: no such file"),
        ("r.csv", 2, "no-film", "f2.png: 2 files of this name could be meant; write the path of one"),
        ("r.csv", 2, "no-film", "f8.png: no such file"),
    ]
