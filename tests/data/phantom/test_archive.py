from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from pedclip.curation.archive.overview import file_kinds, open_archive, open_films, region_decisions
from pedclip.curation.archive.reader import read_archive
from pedclip.curation.archive.studies import ArchiveError
from pedclip.curation.pipeline import IdentifiersFound, curate
from pedclip.data.phantom.archive import PhantomArchive, write_phantom_archive
from pedclip.triplets import load_triplets
from pedclip.triplets.decoding import decode
from pedclip.triplets.tabular import TableError


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> PhantomArchive:
    return write_phantom_archive(tmp_path_factory.mktemp("runs") / "demo.archive", studies=24, seed=3)


def test_the_archive_reads_like_a_hospitals_and_holds_its_troubles(written: PhantomArchive) -> None:
    archive = read_archive(written.root, written.reports)
    assert len(archive.studies) == 24
    reasons = Counter(item.reason for item in archive.left_out)
    assert reasons == {"not-an-image": 1, "empty-file": 1, "no-report": 1, "no-film": 1}
    suffixes = Counter(film.path.suffix for study in archive.studies for film in study.images)
    assert min(suffixes[".dcm"], suffixes[".png"]) > 10


def test_the_same_seed_gives_the_same_bytes(written: PhantomArchive, tmp_path: Path) -> None:
    again = write_phantom_archive(tmp_path / "a", studies=24, seed=3)
    again = write_phantom_archive(again.root, studies=24, seed=3)  # its own folder may be replaced
    names = [path.relative_to(written.root) for path in sorted(written.root.rglob("*")) if path.is_file()]
    assert len(names) > 40
    assert all((written.root / name).read_bytes() == (again.root / name).read_bytes() for name in names)
    assert written.salt.read_text() == again.salt.read_text()


def test_a_folder_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/reports.csv").write_text("report\n")
    with pytest.raises(FileExistsError, match="no archive of the phantom"):
        write_phantom_archive(tmp_path / "mine", studies=24, seed=0)
    assert (tmp_path / "mine/reports.csv").read_text() == "report\n"


def test_an_inverted_dicom_film_shows_the_same_as_the_drawn_one(written: PhantomArchive) -> None:
    import pydicom

    films = [pydicom.dcmread(path) for path in sorted(written.root.glob("dicom/*/*.dcm"))]
    kinds = {film.PhotometricInterpretation: film for film in films}
    assert set(kinds) == {"MONOCHROME1", "MONOCHROME2"}
    assert all(decode(film.filename)[:4].mean() < 128 for film in kinds.values())  # air is dark in both


def test_the_rule_is_right_where_tags_are_wrong(written: PhantomArchive) -> None:
    table = region_decisions(read_archive(written.root, written.reports), written.truth)
    known = table[table["truth"] != ""]
    tagged = known[known["tags"] != ""]
    assert (tagged["tags"] != tagged["truth"]).any()
    decided = known[known["decision"] != ""]
    assert len(decided) > 0.8 * len(known)
    assert (decided["decision"] == decided["truth"]).all()
    assert table.loc[table["decision"] == "", "note"].str.startswith("region-").all()


def test_curation_stops_at_the_planted_date_then_joins_the_copied_film(written: PhantomArchive, tmp_path: Path) -> None:
    archive = read_archive(written.root, written.reports)
    with pytest.raises(IdentifiersFound, match="date"):
        curate(archive, output=tmp_path / "out", salt=written.salt)
    assert not (tmp_path / "out/triplets").exists()
    result = curate(archive, output=tmp_path / "out", salt=written.salt, acknowledge_identifiers=True)
    pairs = pd.read_csv(tmp_path / "out/duplicates.csv")
    across = pairs[(pairs["kind"] == "film") & (pairs["first_patient"] != pairs["second_patient"])]
    assert len(across) == 1
    splits = {row["patient_id"]: name for name, data in load_triplets(result.triplets).items() for row in data}
    assert splits[across.iloc[0]["first_patient"]] == splits[across.iloc[0]["second_patient"]]


def test_films_that_cannot_be_decoded_are_passed_over(written: PhantomArchive) -> None:
    films = [film for study in read_archive(written.root, written.reports).studies for film in study.images]
    opened = open_films(films, len(films))
    assert {film.path.name for film in films} - {film.path.name for film, _ in opened} >= {"truncated.dcm"}
    assert len(open_films(films, 2)) == 2


def test_a_table_that_nobody_named_is_pointed_out(written: PhantomArchive) -> None:
    with pytest.raises(ArchiveError, match=r"pass reports='.*reports\.csv'"):
        open_archive(str(written.root), "", {})
    with pytest.raises(TableError, match="no column 'nope'"):
        open_archive(str(written.root), str(written.reports), {"report": "nope"})


def test_endings_that_may_hold_a_name_are_not_shown(written: PhantomArchive, tmp_path: Path) -> None:
    archive = open_archive(str(written.root), str(written.reports), {})
    assert dict(file_kinds(archive).to_numpy())[".csv"] == 1
    (tmp_path / "film.QUILLFEATHER").write_bytes(b"x")
    assert file_kinds(type(archive)(tmp_path, (), ())).to_numpy().tolist() == [["other or none", 1]]
