"""Archives in every layout: each file ends in a study or in the list of rejected ones, with the reason."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from pedclip.curation.archive.files import MAX_FILE_BYTES, find_files
from pedclip.curation.archive.reader import read_archive
from pedclip.curation.archive.studies import Archive, ArchiveError, RegionHint
from pedclip.curation.pipeline import curate
from pedclip.triplets.left_out import LeftOut
from pedclip.triplets.tabular import TableError
from tests.curation.archive.archive_files import (
    film,
    reasons,
    report,
    save_picture,
    structured_report,
    table,
    triplets_of,
)


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}


def accounted(archive: Archive) -> set[str]:
    used = {film.path.relative_to(archive.root).as_posix() for study in archive.studies for film in study.images}
    texts = {study.location.name(archive.root) for study in archive.studies if not study.location.row}
    return used | texts | set(reasons(archive))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A hospital export: six good films under five studies, and much that is none."""
    root = tmp_path / "export"
    film(root / "A/1/IM1", 1, BodyPartExamined="KNEE", ImageLaterality="L", ViewPosition="AP")
    film(root / "A/1/IM2", 1, syntax=RLELossless, BodyPartExamined="KNEE", ImageLaterality="L", ViewPosition="LL")
    film(
        root / "A/2/IM1",
        2,
        syntax=JPEG2000Lossless,
        PhotometricInterpretation="MONOCHROME1",
        SeriesDescription="W Hand Rt PA",
    )
    film(
        root / "A/3/IM1",
        3,
        syntax=JPEGBaseline8Bit,
        deep=False,
        PhotometricInterpretation="MONOCHROME1",
        BodyPartExamined="CHEST",
    )
    film(root / "A/4/IM1", 4, deep=False, PatientAge=None, PatientBirthDate="20100315", StudyDate="20190314")
    film(root / "A/5/IM1", 5, StudyInstanceUID=None, AccessionNumber="ACC5", PatientSex=None)
    film(root / "odd/frames", 6, NumberOfFrames=2)
    film(root / "odd/ct", 7, Modality="CT")
    film(root / "odd/colour", 8, PhotometricInterpretation="RGB", SamplesPerPixel=3)
    film(root / "odd/huge", 9, Rows=60000, Columns=60000)
    film(root / "odd/header_only", 10, PixelData=None, Rows=None, Columns=None)
    film(root / "odd/nobody", 11, PatientID=None)
    film(root / "odd/stranger", 12)
    (root / "odd/words.dcm").write_text("this is a text")
    (root / "odd/cut").write_bytes((root / "A/1/IM1").read_bytes()[:200])
    (root / "odd/empty").touch()
    (root / "odd/model.pkl").write_bytes(b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.")
    (root / "odd/bundle.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    deflated = (root / "A/1/IM1").read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    (root / "odd/deflated").write_bytes(deflated)
    (tmp_path / "secret.txt").write_text("outside")
    (root / "odd/out").symlink_to(tmp_path / "secret.txt")
    (root / "odd/loop").symlink_to(root)
    (root / "odd/broken").symlink_to(root / "nowhere")
    with (root / "odd/sparse").open("wb") as file:
        os.truncate(file.fileno(), MAX_FILE_BYTES + 1)
    return root


def reports_of_tree(tmp_path: Path) -> Path:
    regions = {1: "knee", 2: "hand", 3: "chest", 4: "elbow", 11: "foot"}
    rows = [{"StudyInstanceUID": f"1.2.826.0.{seed}", "Report": report(name)} for seed, name in regions.items()]
    rows += [
        {"AccessionNumber": "acc5 ", "Report": report("wrist")},
        {"AccessionNumber": "none", "Report": report("toe")},
    ]
    rows += [{"AccessionNumber": "blank", "Report": " "}]
    return table(tmp_path / "reports.csv", rows)


def test_dicom_tree_becomes_studies_and_every_other_file_is_listed(tree: Path, tmp_path: Path) -> None:
    archive = read_archive(tree, reports_of_tree(tmp_path))
    assert files_of(tree) == accounted(archive) - {"reports.csv, row 6", "reports.csv, row 8", "reports.csv, row 9"}
    assert [len(study.images) for study in archive.studies] == [2, 1, 1, 1, 1]
    assert reasons(archive) == {
        "odd/frames": "not-a-radiograph",
        "odd/ct": "not-a-radiograph",
        "odd/colour": "no-report",
        "odd/huge": "too-large",
        "odd/sparse": "too-large",
        "odd/header_only": "not-a-radiograph",
        "odd/nobody": "no-patient",
        "odd/stranger": "no-report",
        "odd/words.dcm": "not-an-image",
        "odd/cut": "corrupt",
        "odd/empty": "empty-file",
        "odd/model.pkl": "not-an-image",
        "odd/bundle.zip": "not-an-image",
        "odd/deflated": "corrupt",
        "odd/out": "not-a-file",
        "odd/loop": "not-a-file",
        "odd/broken": "not-a-file",
        "reports.csv, row 6": "no-patient",
        "reports.csv, row 8": "no-film",
        "reports.csv, row 9": "empty-report",
    }


def test_tags_of_films_are_read(tree: Path, tmp_path: Path) -> None:
    films = {
        film.path.relative_to(tree).as_posix(): film
        for study in read_archive(tree, reports_of_tree(tmp_path)).studies
        for film in study.images
    }
    knee = films["A/1/IM2"]
    assert (knee.region_hint, knee.view, knee.laterality) == (RegionHint("knee", ""), "lateral", "left")
    assert (knee.age_months, knee.sex) == (84, "F")
    hand = films["A/2/IM1"]
    assert (hand.region_hint, hand.view, hand.laterality) == (RegionHint("", "hand"), "PA", "right")
    assert films["A/4/IM1"].age_months == 9 * 12 - 1  # the day before the ninth birthday
    assert films["A/5/IM1"].sex == ""


def test_anatomic_region_speaks_where_body_part_does_not(tmp_path: Path) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "T-15770", "SRT", "Elbow joint"
    film(tmp_path / "a/x", 1, BodyPartExamined="EXTREMITY", AnatomicRegionSequence=Sequence([code]))
    (tmp_path / "a/r.txt").write_text(report("elbow"))
    assert read_archive(tmp_path).studies[0].images[0].region_hint.tags == "elbow"


def test_a_film_cut_anywhere_before_its_pixels_is_corrupt(tmp_path: Path) -> None:
    film(tmp_path / "whole", 1, BodyPartExamined="KNEE")
    content = (tmp_path / "whole").read_bytes()
    pixels = content.index(b"\xe0\x7f\x10\x00")
    ends = set(range(132, pixels + 12)) - whole_ends(tmp_path / "whole")
    for end in ends:
        (tmp_path / "cut" / str(end)).parent.mkdir(exist_ok=True)
        (tmp_path / "cut" / str(end)).write_bytes(content[:end])
    found = list(find_files(tmp_path / "cut"))
    assert {(item.reason if isinstance(item, LeftOut) else "film") for item in found} == {"corrupt"}
    assert len(found) == len(ends) > 350


def whole_ends(path: Path) -> set[int]:
    """Where a film could end and still be a whole object: behind each element."""
    header = dcmread(path)
    elements = [header.get_item(tag) for tag in list(header.keys())]
    return {element.value_tell + element.length for element in elements if isinstance(element, RawDataElement)}


@pytest.mark.parametrize("uid", ["1.2.840.10008.5.1.4.1.1.11.1", "1.2.840.10008.1.3.10"])
def test_a_whole_object_that_is_no_image_is_no_radiograph_and_a_cut_one_is_corrupt(tmp_path: Path, uid: str) -> None:
    names = {"Modality": "PR", "SOPClassUID": uid, "ContentLabel": "PRESENTATION"}
    structured_report(tmp_path / "whole", {"Findings": "Clear."}, **names)
    content = (tmp_path / "whole").read_bytes()
    for end in (len(content) - 1, len(content) - 60):
        (tmp_path / f"cut {end}").write_bytes(content[:end])
    found = [item for item in find_files(tmp_path) if isinstance(item, LeftOut)]
    assert [item.reason for item in found] == ["corrupt", "corrupt", "not-a-radiograph"]


def test_text_and_structured_reports_beside_the_films(tmp_path: Path) -> None:
    film(tmp_path / "a/x", 1)
    (tmp_path / "a/report.txt").write_text(report("knee"))
    film(tmp_path / "b/x", 2)
    (tmp_path / "b/report.txt").write_text(report("hand"))
    film(tmp_path / "c/x", 3)
    film(tmp_path / "c/y", 4)
    sections = {"Findings": "Lungs are clear.", "Impression": "Normal chest."}
    structured_report(tmp_path / "sr/1", sections, StudyInstanceUID="1.2.826.0.3", PatientID="MRN000003")
    structured_report(tmp_path / "sr/2", {"Findings": ""}, StudyInstanceUID="1.2.826.0.4")
    (tmp_path / "sr/bad.txt").write_bytes(b"\xff\xfe\x00broken")
    archive = read_archive(tmp_path)
    assert [study.read_report().text for study in archive.studies] == [
        "Findings: Lungs are clear.\nImpression: Normal chest.",
        report("knee"),
        report("hand"),
    ]
    assert reasons(archive) == {"c/y": "no-report", "sr/2": "empty-report", "sr/bad.txt": "corrupt"}
    assert files_of(tmp_path) == accounted(archive)


def test_a_patient_links_one_report_to_one_study_and_never_two(tmp_path: Path) -> None:
    film(tmp_path / "f/a", 1, StudyInstanceUID="9.1", PatientID="P1")
    film(tmp_path / "f/b", 2, StudyInstanceUID="9.2", PatientID="P2")
    film(tmp_path / "f/c", 3, StudyInstanceUID="9.3", PatientID="P2")
    path = table(tmp_path / "r.csv", [{"mrn": f"p{number}", "text": report("knee")} for number in (1, 2)])
    archive = read_archive(tmp_path / "f", path)
    assert [study.patient_id for study in archive.studies] == ["P1"]
    assert reasons(archive) == {"b": "no-report", "c": "no-report", "r.csv, row 3": "no-film"}


def test_one_study_under_two_patients_is_refused(tmp_path: Path) -> None:
    film(tmp_path / "f/a", 1, StudyInstanceUID="9.1", PatientID="P1")
    film(tmp_path / "f/b", 2, StudyInstanceUID="9.1", PatientID="P2")
    film(tmp_path / "f/c", 3, StudyInstanceUID="9.2", PatientID="P3")
    path = table(tmp_path / "r.csv", [{"study_uid": f"9.{n}", "text": report("knee")} for n in (1, 2)])
    archive = read_archive(tmp_path / "f", path)
    assert [study.patient_id for study in archive.studies] == ["P3"]
    assert set(reasons(archive).values()) == {"several-patients"}


def test_unreadable_parquet_and_missing_folder_are_errors(tmp_path: Path) -> None:
    (tmp_path / "r.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(TableError, match="cannot be read"):
        read_archive(tmp_path, tmp_path / "r.parquet")
    with pytest.raises(ArchiveError, match="is no folder"):
        read_archive(tmp_path / "nowhere")
    with pytest.raises(ArchiveError, match="not one report with a film"):
        read_archive(tmp_path)


def test_a_text_beside_its_film_has_the_same_name(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        for number in (1, 2):
            study = f"1.{ord(folder)}.{number}"
            film(tmp_path / folder / f"{number}.dcm", number, PatientID=folder, StudyInstanceUID=study)
            (tmp_path / folder / f"{number}.txt").write_text(f"{folder}{number} {report('knee')}")
    archive = read_archive(tmp_path)
    assert archive.left_out == ()
    for study in archive.studies:
        (image,) = study.images
        assert study.read_report().text.startswith(f"{image.path.parent.name}{image.path.stem} ")


def test_a_link_to_a_film_inside_the_archive_is_that_film(tmp_path: Path) -> None:
    film(tmp_path / "store/1", 1)
    (tmp_path / "store/1.txt").write_text(report("knee"))
    (tmp_path / "by_name").symlink_to(tmp_path / "store/1")
    archive = read_archive(tmp_path)
    assert [image.path.name for study in archive.studies for image in study.images] == ["1"]
    assert reasons(archive) == {"by_name": "no-report"}  # nothing beside the link says which report


@pytest.mark.parametrize(
    "written",
    [
        "Ärm\\Film {n}.png",
        "D:\\export\\films\\Ärm\\Film {n}.png",
        "/mnt/data/films/Ärm/Film {n}.png",
        "ärm/FILM {n}.PNG",
        "films/Ärm/Film {n}.png",
        "./Ärm/Film {n}.png",
        ".\\Ärm\\Film {n}",
        "film {n}.png",
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_table_from_another_machine_names_its_films(tmp_path: Path, written: str, form: str) -> None:
    for number in (1, 2):
        save_picture(tmp_path / "films" / "Ärm" / f"Film {number}.png", number)
    rows = [
        {"image": unicodedata.normalize(form, written.format(n=n)), "patient": f"P{n}", "report": report("knee")}
        for n in (1, 2)
    ]
    archive = read_archive(tmp_path / "films", table(tmp_path / "r.csv", rows))
    assert archive.left_out == ()
    found = [(study.patient_id, image.path.name) for study in archive.studies for image in study.images]
    assert sorted(found) == [("P1", "Film 1.png"), ("P2", "Film 2.png")]


def test_a_name_of_two_films_is_given_to_neither(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        save_picture(tmp_path / "films" / folder / "1.png", ord(folder))
    rows = [{"image": r"C:\scans\1.PNG", "patient": "P1", "report": report("knee")}]
    with pytest.raises(ArchiveError, match=r"2 × no-report .*1 × no-film"):
        read_archive(tmp_path / "films", table(tmp_path / "r.csv", rows))


def test_texts_beside_pictures_without_a_patient_say_what_is_missing(tmp_path: Path) -> None:
    save_picture(tmp_path / "1.png", 1)
    (tmp_path / "1.TXT").write_text(report("knee"))
    with pytest.raises(
        ArchiveError, match=r"2 × no-patient \(neither a text file nor a picture says whose it is; list"
    ):
        read_archive(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_text_reports_of_every_usual_encoding_are_read_without_control_characters(
    tmp_path: Path, encoding: str
) -> None:
    film(tmp_path / "1.dcm", 1)
    (tmp_path / "1.txt").write_bytes(f"Länge\x00 \x1b3 cm – {report('knee')}\r\nEnd.".encode(encoding))
    (study,) = read_archive(tmp_path).studies
    assert study.read_report().text == f"Länge 3 cm – {report('knee')}\nEnd."


def test_a_text_of_no_encoding_is_listed_with_the_cause(tmp_path: Path) -> None:
    for number in (1, 2):
        film(tmp_path / f"{number}.dcm", number, StudyInstanceUID=f"7.{number}")
        (tmp_path / f"{number}.txt").write_text(report("knee"))
    (tmp_path / "2.txt").write_bytes(b"bad \x81\x8d")
    details = {item.name: item.detail for item in read_archive(tmp_path).left_out}
    assert details["2.txt"] == "report (text that is neither UTF-8, UTF-16 nor Windows-1252)"


@pytest.mark.parametrize(
    "text", ["No report available.", "see report", "PENDING", "[object Object]", "None.", "REPORT: pending"]
)
def test_placeholders_are_no_reports(tmp_path: Path, text: str) -> None:
    root = tmp_path / "films"
    for number in range(3):
        save_picture(root / f"{number}/film.png", number)
    rows = [
        {"image": f"{number}/film.png", "study_id": f"s{number}", "patient_id": f"p{number}", "report": report}
        for number, report in enumerate([report("knee"), text])
    ]
    (root / "2/report.txt").write_text(text)
    found = reasons(read_archive(root, table(tmp_path / "reports.csv", rows)))
    assert found["reports.csv, row 3"] == found["2/report.txt"] == "empty-report"
    assert found["1/film.png"] == found["2/film.png"] == "no-report"


def test_a_placeholder_in_a_section_is_left_out(tmp_path: Path) -> None:
    save_picture(tmp_path / "films/0.png", 0)
    row = {
        "image": "0.png",
        "patient": "A",
        "History": "See note.",
        "Findings": "Clear lungs.",
        "Impression": "Pending.",
    }
    archive = read_archive(tmp_path / "films", table(tmp_path / "r.csv", [row]))
    assert archive.studies[0].read_report().text == "HISTORY: See note.\nFINDINGS: Clear lungs."


@pytest.mark.parametrize("word", ["nan", "NULL", "-", "(null)", "n/a"])
def test_missing_values_spelt_out_join_no_rows_and_are_no_report(tmp_path: Path, word: str) -> None:
    root = tmp_path / "films"
    for number in range(4):
        save_picture(root / f"{number}.png", number)
    rows = [
        {"image": f"{number}.png", "study_id": word, "accession": word, "patient_id": f"p{number}", "report": text}
        for number, text in enumerate([report("knee"), report("hand"), word, report("wrist")])
    ]
    rows[3]["patient_id"] = word
    archive = read_archive(root, table(tmp_path / "reports.csv", rows))
    assert {study.patient_id for study in archive.studies} == {"p0", "p1"}
    found = reasons(archive)
    assert (found["reports.csv, row 4"], found["reports.csv, row 5"]) == ("empty-report", "no-patient")


@pytest.mark.parametrize("word", ["ANONYMOUS", "anon^anon", "0000", "000-00-0000", "", "-999", "XXX^XXXXX"])
def test_a_name_for_nobody_is_no_patient_of_all_studies(
    tmp_path: Path, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(4):
        film(tmp_path / f"f/{number}", number, StudyInstanceUID=f"9.{number // 2}", PatientID=word)
    rows = [{"study_uid": f"9.{number}", "mrn": word, "text": report("knee")} for number in range(2)]
    note = "2 of 2 studies whose patient is blank or a placeholder such as ANONYMOUS: each counts as its own patient"
    # Neither the headers alone, nor a table that says the same, nor structured reports with the same header.
    for path in (table(tmp_path / "r.csv", rows), table(tmp_path / "s.csv", [row | {"mrn": "x"} for row in rows])):
        archive = read_archive(tmp_path / "f", path)
        assert [study.patient_id for study in archive.studies] == ["study 9.0", "study 9.1"]
        assert [len(study.images) for study in archive.studies] == [2, 2]
        assert archive.notes == (note,)
        assert note in caplog.text
    for number in range(2):
        uid = {"StudyInstanceUID": f"9.{number}", "PatientID": word}
        structured_report(tmp_path / f"f/sr{number}", {"Findings": "Clear."}, **uid)
    assert [study.patient_id for study in read_archive(tmp_path / "f").studies] == ["study 9.0", "study 9.1"]


def test_a_table_knows_the_patients_that_headers_do_not_name(tmp_path: Path) -> None:
    for number in range(3):
        film(tmp_path / f"f/{number}", number, StudyInstanceUID=f"9.{number}", PatientID="0000")
    rows = [{"study_uid": f"9.{n}", "mrn": name, "text": report("knee")} for n, name in enumerate(("0000", "P1", "P1"))]
    archive = read_archive(tmp_path / "f", table(tmp_path / "r.csv", rows))
    # Zeros beside other identifiers are the first of a numbering.
    assert [study.patient_id for study in archive.studies] == ["0000", "0000", "0000"]
    for number in range(3):
        film(tmp_path / f"f/{number}", number, StudyInstanceUID=f"9.{number}", PatientID="ANONYMIZED")
    archive = read_archive(tmp_path / "f", table(tmp_path / "r.csv", rows))
    assert [study.patient_id for study in archive.studies] == ["0000", "P1", "P1"]
    assert archive.notes == ()


def test_numbers_written_with_a_point_are_those_of_the_headers(tmp_path: Path) -> None:
    for number in range(2):
        film(
            tmp_path / f"f/{number}", number, StudyInstanceUID=f"9.{number}", PatientID="", AccessionNumber=f"7{number}"
        )
    rows = [{"accession": f"7{n}{end}", "mrn": f"12{end}", "text": report("knee")} for n, end in enumerate(("", ".0"))]
    archive = read_archive(tmp_path / "f", table(tmp_path / "r.csv", rows))
    assert [study.patient_id for study in archive.studies] == ["12", "12"]


def test_one_patient_of_all_studies_is_said(tmp_path: Path) -> None:
    for number in range(2):
        film(tmp_path / f"f/{number}", number, PatientID="P7")
        (tmp_path / f"f/{number}.txt").write_text(report("knee"))
    assert read_archive(tmp_path / "f").notes == ("all 2 studies are of one patient, and so in one part",)


def found_films(archive: Archive) -> dict[str, tuple[str, str]]:
    """Patient and first word of the report of each film."""
    return {
        image.path.relative_to(archive.root).as_posix(): (study.patient_id, study.read_report().text.split()[0])
        for study in archive.studies
        for image in study.images
    }


@pytest.fixture
def same_stem(tmp_path: Path) -> Path:
    """Three films whose names differ by their suffix alone."""
    save_picture(tmp_path / "f/a.png", 1)
    save_picture(tmp_path / "f/a.jpg", 2)
    film(tmp_path / "f/a.dcm", 3, PatientID="P3")
    return tmp_path / "f"


def test_films_that_differ_by_their_suffix_have_their_own_rows(same_stem: Path, tmp_path: Path) -> None:
    files = {"a.png": "P1", "a.jpg": "P2", "a.dcm": "P3"}
    rows = [{"image": file, "patient": name, "text": f"{name} {report('knee')}"} for file, name in files.items()]
    archive = read_archive(same_stem, table(tmp_path / "r.csv", rows))
    assert archive.left_out == ()
    assert found_films(archive) == {file: (name, name) for file, name in files.items()}
    # One triplet each, with its own identifier and pixels.
    curate(archive, output=tmp_path / "out", acknowledge_identifiers=True)
    triplets = triplets_of(tmp_path / "out")
    pixels = {np.asarray(triplet["image"]).tobytes() for triplet in triplets}
    assert [len(set(values)) for values in ([triplet["image_id"] for triplet in triplets], pixels)] == [3, 3]


@pytest.mark.parametrize("written", ["a", "A", "f/a", "/mnt/f/a"])
def test_a_name_without_suffix_of_several_films_is_given_to_none(same_stem: Path, tmp_path: Path, written: str) -> None:
    save_picture(same_stem / "b.png", 4)
    rows = [{"image": name, "patient": "P1", "text": f"{name} {report('knee')}"} for name in (written, "b")]
    archive = read_archive(same_stem, table(tmp_path / "r.csv", rows))
    assert found_films(archive) == {"b.png": ("P1", "b")}
    assert reasons(archive) == dict.fromkeys(("a.png", "a.jpg", "a.dcm"), "no-report") | {"r.csv, row 2": "no-film"}
    (detail,) = [item.detail for item in archive.left_out if item.row]
    assert detail == "3 files of this name could be meant; write the path of one"


def test_a_stem_of_films_in_two_folders_is_given_to_none(tmp_path: Path) -> None:
    for name in ("x/a.png", "y/a.jpg", "y/b.jpg"):
        save_picture(tmp_path / "f" / name, ord(name[2]))
    rows = [{"image": name, "patient": f"P{name}", "text": f"{name} {report('knee')}"} for name in ("a", "b")]
    archive = read_archive(tmp_path / "f", table(tmp_path / "r.csv", rows))
    assert found_films(archive) == {"y/b.jpg": ("Pb", "b")}


def test_a_text_with_the_suffix_of_its_film_is_of_that_film(tmp_path: Path) -> None:
    for number, name in enumerate(("a.dcm", "a.ima", "1.2.7", "1.2.8")):
        film(tmp_path / name, number, PatientID=name)
        (tmp_path / f"{name}.txt").write_text(f"{name} {report('knee')}")
    archive = read_archive(tmp_path)
    assert archive.left_out == ()
    assert found_films(archive) == {name: (name, name) for name in ("a.dcm", "a.ima", "1.2.7", "1.2.8")}


@pytest.mark.parametrize("word", ["-1", "k.A.", "inconnu", "TEST", "Unnamed", "xxxxx"])
def test_a_placeholder_beside_patients_is_none(tmp_path: Path, word: str) -> None:
    rows = []
    for number, patient in enumerate([word, word, "TEST1"]):
        save_picture(tmp_path / f"films/{number}.png", number)
        rows.append({"study": f"S{number}", "mrn": patient, "file": f"{number}.png", "report": report("knee")})
    archive = read_archive(tmp_path / "films", table(tmp_path / "r.csv", rows))
    assert {study.patient_id for study in archive.studies} == {"study S0", "study S1", "TEST1"}
