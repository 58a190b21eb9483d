"""Whole runs: from a tree of DICOM files to triplets, the gate, restart, and what leaves the archive."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from pedclip.anatomy import REGIONS
from pedclip.curation.__main__ import main
from pedclip.curation.archive.reader import read_archive
from pedclip.curation.datasheet import age_band
from pedclip.curation.excerpts import is_useless
from pedclip.curation.llm.client import Response
from pedclip.curation.llm.extractor import LLMExtractor
from pedclip.curation.llm.prompts import Prompt
from pedclip.curation.pipeline import IdentifiersFound, NothingCurated, curate
from pedclip.triplets.decoding import decode
from pedclip.triplets.pseudonyms import pseudonym, read_salt
from pedclip.triplets.splits import split_of
from tests.curation.archive.archive_files import film, make_archive, picture, report, rows_of, save_picture, triplets_of


def test_dicom_of_every_kind_with_missing_and_wrong_tags_becomes_triplets(tmp_path: Path) -> None:
    root = tmp_path / "export"
    film(root / "1/a", 1, BodyPartExamined="KNEE", ImageLaterality="L", ViewPosition="AP", syntax=RLELossless)
    film(
        root / "1/b", 2, StudyInstanceUID="1.2.826.0.1", PatientID="MRN000001", PhotometricInterpretation="MONOCHROME1"
    )
    film(root / "2/wrong_tag", 3, BodyPartExamined="CHEST", SeriesDescription="ELBOW LAT", syntax=JPEG2000Lossless)
    film(root / "3/eight_bits", 4, deep=False, syntax=JPEGBaseline8Bit, BodyPartExamined="HAND")
    film(root / "4/conflict", 5, BodyPartExamined="SKULL")
    film(root / "5/unknown", 6)
    film(root / "6/not_mentioned", 7, BodyPartExamined="FOOT", SeriesDescription="foot")
    film(root / "7/useless", 8, BodyPartExamined="TOE")
    film(root / "8/no_pixels", 9, BodyPartExamined="KNEE", PixelData=None)
    texts = {
        1: report("knee", side="left"),
        2: report("elbow"),
        3: report("wrist"),
        4: report("ankle"),
        5: "EXAM: XR hand and elbow.\nFINDINGS: Hand: No fracture. Elbow: No effusion is seen.",
        6: "EXAM: XR chest.\nFINDINGS: Lungs are clear.\nIMPRESSION: Normal chest.",
        7: "EXAM: XR toe.\nFINDINGS: As above.",
        8: report("knee"),
    }
    for number, text in texts.items():
        (root / f"{number}/report.txt").write_text(text)
    result = curate(read_archive(root), output=tmp_path / "out", source="invented")
    left_out = {row["file"]: row["reason"] for row in rows_of(tmp_path / "out/left_out.csv")}
    assert left_out["4/conflict"] == "region-conflict"
    assert left_out["5/unknown"] == "region-unknown"
    assert left_out["7/useless"] in {"useless-excerpt", "no-excerpt"}
    assert left_out["8/no_pixels"] == "not-a-radiograph"
    triplets = sorted(triplets_of(tmp_path / "out"), key=lambda row: (row["region"], row["view"]))
    by_region = [(REGIONS[row["region"]], row["laterality"], row["view"]) for row in triplets]
    assert by_region[:2] == [("knee", "left", ""), ("knee", "left", "AP")]
    assert ("elbow", "", "lateral") in by_region
    assert ("wrist", "", "") in by_region  # sent as hand, read as wrist
    assert {row["text_source"] for row in triplets} == {"rules"}
    assert {row["source"] for row in triplets} == {"invented"}
    assert triplets[0]["patient_id"] == triplets[1]["patient_id"]
    assert result.datasheet["left_out"] == dict(sorted_counts(left_out.values()))
    notes = {row["path"]: row["decision"] for row in rows_of(tmp_path / "out/conflicts.csv")}
    assert notes["2/wrong_tag"] == "tags say chest, words and report elbow"
    # Nothing is lost: every film is a triplet or listed; so is the report that has no film.
    assert left_out.pop("8/report.txt")
    assert len(triplets) + len(left_out) == sum(path.is_file() for path in root.rglob("*/*") if path.suffix != ".txt")


def sorted_counts(values: Any) -> list[tuple[str, int]]:
    listed = list(values)
    return [(value, listed.count(value)) for value in dict.fromkeys(listed)]


def test_pixels_of_a_triplet_are_those_of_its_film(tmp_path: Path) -> None:
    film(tmp_path / "a/1/im", 1, PhotometricInterpretation="MONOCHROME1", BodyPartExamined="KNEE")
    (tmp_path / "a/1/r.txt").write_text(report("knee"))
    curate(read_archive(tmp_path / "a"), output=tmp_path / "out")
    (row,) = triplets_of(tmp_path / "out")
    assert np.array_equal(np.asarray(row["image"]), decode(tmp_path / "a/1/im"))
    plain = picture(1, deep=True).astype(float)
    assert np.corrcoef(np.asarray(row["image"]).ravel(), plain.ravel())[0, 1] < -0.99  # inverted


def test_nothing_that_leaves_the_archive_names_a_patient(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "export", studies=8)  # two of them have the same report
    curate(archive, output=tmp_path / "out")
    words = str([{name: row[name] for name in row if name != "image"} for row in triplets_of(tmp_path / "out")])
    assert not any(name in words for study in archive.studies for name in (study.patient_id, study.study_id))
    assert {pair["kind"] for pair in rows_of(tmp_path / "out/duplicates.csv")} == {"report"}
    content = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert not any(study.patient_id.encode() in content for study in archive.studies)
    key = (tmp_path / "out.salt").read_bytes()
    assert key not in content
    # The same key gives the same names, another key others.
    first = {row["patient_id"] for row in triplets_of(tmp_path / "out")}
    curate(archive, output=tmp_path / "again", salt=tmp_path / "out.salt")
    curate(archive, output=tmp_path / "other")
    assert {row["patient_id"] for row in triplets_of(tmp_path / "again")} == first
    assert {row["patient_id"] for row in triplets_of(tmp_path / "other")}.isdisjoint(first)


def test_identifiers_block_until_they_are_acknowledged(tmp_path: Path) -> None:
    finding = "Known fracture of March 14, 2021 has healed."
    archive = make_archive(tmp_path / "export", studies=3, finding=finding)
    with pytest.raises(IdentifiersFound, match=r"3 × date.*--acknowledge-identifiers") as caught:
        curate(archive, output=tmp_path / "out")
    assert "March" not in str(caught.value)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["identifiers.csv"]
    assert "March" not in (tmp_path / "out/identifiers.csv").read_text()
    listed = rows_of(tmp_path / "out/identifiers.csv")
    assert tuple(listed[0].values())[1:] == ("s000/report.txt", "date", "1", "1")
    work = tmp_path / ".out.work"
    assert not any(b"March" in path.read_bytes() for path in work.rglob("*") if path.is_file())
    result = curate(archive, output=tmp_path / "out", acknowledge_identifiers=True)
    assert result.datasheet["identifiers"] == {"date": 3}
    assert len(triplets_of(tmp_path / "out")) == 3


@pytest.mark.parametrize(
    "finding",
    [
        "Patient Odalys Brandvold, fracture of the distal femur.",
        "Brandvold, Odalys: fracture of the distal femur.",
        "Fracture of the distal femur of Frau Brandvold.",
        "Fracture of the distal femur, as on 15. März 2024.",
    ],
)
def test_names_and_dates_in_running_text_block(tmp_path: Path, finding: str) -> None:
    archive = make_archive(tmp_path / "export", studies=2, finding=finding)
    with pytest.raises(IdentifiersFound, match=r"2 × (name|date)"):
        curate(archive, output=tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["identifiers.csv"]
    # Once a part is blocked no later one is written either, clean or not.
    written = [path for path in tmp_path.rglob("*") if path.is_file() and "export" not in path.parts]
    assert sorted(path.name for path in written) == ["identifiers.csv", "out.salt"]


def test_behind_a_blocked_part_none_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pedclip.curation.pipeline.STUDIES_PER_CHUNK", 1)
    for number, finding in enumerate(("Normal joint is seen.", "Seen on 3/14/2021, normal.", "No effusion is seen.")):
        film(tmp_path / f"a/{number}/im", number, BodyPartExamined="KNEE")
        (tmp_path / f"a/{number}/r.txt").write_text(f"EXAM: XR knee.\nFINDINGS: {finding}")
    with pytest.raises(IdentifiersFound, match="1 × date"):
        curate(read_archive(tmp_path / "a"), output=tmp_path / "out")
    assert [part.name for part in sorted((tmp_path / ".out.work").iterdir())] == ["000000"]


def test_pseudonyms_and_ages_in_the_triplets(tmp_path: Path) -> None:
    film(tmp_path / "a/one/im.dcm", 1, BodyPartExamined="KNEE", PatientAge="095Y", PatientID="MRN7")
    (tmp_path / "a/one/r.txt").write_text(report("knee"))
    curate(read_archive(tmp_path / "a"), output=tmp_path / "out")
    (row,) = triplets_of(tmp_path / "out")
    salt = read_salt(tmp_path / "out.salt")
    # The path of a film is often the patient's name or number.
    assert row["image_id"] == pseudonym("film one/im.dcm", salt)
    assert row["patient_id"] == pseudonym("MRN7", salt)
    assert row["age_months"] == 90 * 12  # an exact age above 89 years is an identifier


def test_identifiers_outside_the_excerpts_do_not_block(tmp_path: Path) -> None:
    film(tmp_path / "a/1/im", 1, BodyPartExamined="KNEE")
    (tmp_path / "a/1/r.txt").write_text("HISTORY: Seen by Dr. Quillfeather on 3/14/2021.\n" + report("knee"))
    curate(read_archive(tmp_path / "a"), output=tmp_path / "out")
    listed = rows_of(tmp_path / "out/identifiers.csv")
    found = [(row["kind"], row["in_report"], row["in_excerpts"]) for row in listed]
    assert found == [("date", "1", "0"), ("name", "1", "0")]


def test_patients_who_share_a_film_are_in_one_split(tmp_path: Path) -> None:
    root = tmp_path / "export"
    for number in range(12):
        pixels = picture(0) if number % 2 else picture(number)  # every second patient has the same film
        (root / f"s{number}").mkdir(parents=True)
        Image.fromarray(pixels).save(root / f"s{number}/im.png")
    lines = [f'{{"study_id": "s{n}", "patient_id": "p{n}", "report": "XR knee. No fracture seen."}}' for n in range(12)]
    (tmp_path / "r.jsonl").write_text("\n".join(lines))
    result = curate(read_archive(root, tmp_path / "r.jsonl"), output=tmp_path / "out")
    rows = triplets_of(tmp_path / "out")
    content = [(np.asarray(row["image"]).tobytes(), row["split"]) for row in rows]
    shared = {split for pixels, split in content if pixels == picture(0).tobytes()}
    assert len(shared) == 1
    assert result.datasheet["duplicates"]["films"] == 6  # and s0, whose film that is
    assert result.datasheet["duplicates"]["patients joined"] == 6
    pairs = rows_of(tmp_path / "out/duplicates.csv")
    assert {pair["kind"] for pair in pairs} == {"film"}
    alone = [row for row in rows if np.asarray(row["image"]).tobytes() != picture(0).tobytes()]
    assert all(row["split"] == split_of(row["patient_id"]) for row in alone)


def test_nothing_usable_is_an_error_with_the_list(tmp_path: Path) -> None:
    film(tmp_path / "a/1/im", 1, BodyPartExamined="SKULL")
    (tmp_path / "a/1/r.txt").write_text(report("knee"))
    with pytest.raises(NothingCurated, match="1 × region-conflict"):
        curate(read_archive(tmp_path / "a"), output=tmp_path / "out")
    assert rows_of(tmp_path / "out/left_out.csv")[0]["file"] == "1/im"


def test_reports_in_another_language_are_listed_and_several_exams_kept_apart(tmp_path: Path) -> None:
    root = tmp_path / "export"
    exams = (
        "EXAM: LEFT WRIST 3 VIEWS\nHISTORY: Fall.\nFINDINGS: There is a buckle fracture.\n\n"
        "EXAM: RIGHT ANKLE 3 VIEWS\nHISTORY: Fall.\nFINDINGS: There is no fracture."
    )
    film(root / "1/a", 1, BodyPartExamined="WRIST")
    film(root / "1/b", 2, BodyPartExamined="ANKLE", StudyInstanceUID="1.2.826.0.1", PatientID="MRN000001")
    film(root / "2/c", 2, BodyPartExamined="CHEST")
    (root / "1/report.txt").write_text(exams)
    (root / "2/report.txt").write_text("Indicación: tos. Hallazgos: tórax sin alteraciones. No hay derrame pleural.")
    curate(read_archive(root), output=tmp_path / "out", source="invented")
    assert [(row["file"], row["reason"]) for row in rows_of(tmp_path / "out/left_out.csv")] == [
        ("2/c", "other-language")
    ]
    found = {REGIONS[row["region"]]: row["text"] for row in triplets_of(tmp_path / "out")}
    assert found == {"wrist": "There is a buckle fracture.", "ankle": "There is no fracture."}


def test_output_and_salt_stay_out_of_each_other(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "export", studies=1)
    with pytest.raises(ValueError, match="lie in each other"):
        curate(archive, output=tmp_path / "export/out")
    with pytest.raises(ValueError, match="must not get the salt"):
        curate(archive, output=tmp_path / "out", salt=tmp_path / "out/salt")


def test_command_line_says_in_one_line_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_picture(tmp_path / "films/S1.png", 1)
    (tmp_path / "r.csv").write_text('case,who,words\nS1,P1,"XR knee. No fracture is seen."\n')
    base = ["--archive", str(tmp_path / "films"), "--reports", str(tmp_path / "r.csv"), "--output", str(tmp_path / "o")]
    assert main(base) == 2
    assert main([*base, "--column", "words"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert [line.startswith("error: ") for line in errors] == [True, True]
    assert "report=note" in errors[1]
    columns = [part for pair in ("report=words", "patient_id=who", "study_id=case") for part in ("--column", pair)]
    assert main([*base, *columns]) == 0
    assert "1 triplets of 1 patients" in capsys.readouterr().out


def test_data_sheet_counts_what_the_triplets_hold(tmp_path: Path) -> None:
    sheet = curate(make_archive(tmp_path / "export", studies=6), output=tmp_path / "out").datasheet
    counts = sheet["counts"]
    assert counts["region"]["knee"] == 1
    assert list(counts["region"]) == list(REGIONS)
    assert counts["sex"] == {"F": 6, "M": 0, "unknown": 0}
    assert counts["age"]["6 to 11 years"] == 6
    assert counts["finding"]["fracture"] == 6
    assert sum(counts["excerpt_length"].values()) == sum(counts["split"].values()) == sheet["triplets"] == 6
    assert [age_band(months) for months in (0, 1, 12, 215.9, 216, float("nan"))] == [
        *("0 to 27 days", "28 days to 11 months", "1 year", "12 to 17 years", "18 years and more", "unknown")
    ]


@pytest.mark.parametrize("text", ["", "As above.", "Normal", "XXXX XXXX.", "Unchanged!", "1.", "see  report"])
def test_useless_excerpts(text: str) -> None:
    assert is_useless(text)
    assert not is_useless(f"{text} No fracture is seen.")


@pytest.mark.parametrize("text", ["Pneumonia.", "FRACTURE", "Osteochondroma."])
def test_a_finding_in_one_word_is_an_excerpt(text: str) -> None:
    assert not is_useless(text)


class Gibberish:
    """A language model that never answers what was asked."""

    identity: Mapping[str, Any] = {"model": "gibberish"}

    async def complete(self, prompt: Prompt) -> Response:
        return Response("I am afraid the film shows a dragon.")

    def count_tokens(self, text: str) -> int | None:
        return None

    async def close(self) -> None:
        return None


def test_a_language_model_that_fails_leaves_the_excerpts_of_the_rules(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "export", studies=4)
    curate(archive, output=tmp_path / "out", extractor=LLMExtractor(Gibberish()))
    curate(archive, output=tmp_path / "rules", salt=tmp_path / "out.salt")
    texts = [[(row["text"], row["text_source"]) for row in triplets_of(tmp_path / name)] for name in ("out", "rules")]
    assert texts[0] == texts[1]
    assert len(texts[0]) == 4


def test_no_patient_is_in_two_splits(tmp_path: Path) -> None:
    for number in range(40):
        save_picture(tmp_path / f"films/s{number}.png", number)
    rows = [{"study_id": f"s{n}", "patient_id": f"p{n // 4}", "report": report("knee")} for n in range(40)]
    (tmp_path / "r.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    curate(read_archive(tmp_path / "films", tmp_path / "r.jsonl"), output=tmp_path / "out")
    found = {(row["patient_id"], row["split"]) for row in triplets_of(tmp_path / "out")}
    assert len(found) == 10


def test_a_picture_that_would_fill_the_memory_is_listed(tmp_path: Path) -> None:
    save_picture(tmp_path / "films/s1_a.png", 1)
    content = bytearray((tmp_path / "films/s1_a.png").read_bytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2  # width and height of the PNG header
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "films/s1_b.png").write_bytes(content)
    row = {"study_id": "s1", "patient_id": "p1", "report": report("knee")}
    (tmp_path / "r.jsonl").write_text(json.dumps(row))
    curate(read_archive(tmp_path / "films", tmp_path / "r.jsonl"), output=tmp_path / "out")
    (left_out,) = rows_of(tmp_path / "out/left_out.csv")
    assert (left_out["file"], left_out["reason"]) == ("s1_b.png", "bad-image")
    assert "decompression bomb" in left_out["detail"]
    assert len(triplets_of(tmp_path / "out")) == 1
