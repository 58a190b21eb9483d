"""What the user is told: wrong folder, missing table, renamed column, unknown label, bad mask, box or film."""

import gzip
import re
from pathlib import Path

import pytest

import pedclip.data
from pedclip.data.cards import CardError, FolderDiffers, read_card
from pedclip.data.folder import NothingUsable
from pedclip.triplets.splits import SPLITS
from pedclip.triplets.tabular import TableError
from tests.data.cards.layouts import FILMS, LAYOUTS, load_listed, png, put


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_a_wrong_folder_is_refused_with_the_table_and_the_page_of_access(name: str, root: Path) -> None:
    put(root / "holiday" / "beach.txt", b"")
    card = read_card(name)
    with pytest.raises(FolderDiffers) as error:
        pedclip.data.load(name, root=root)
    message = str(error.value)
    assert f"is not {card.pretty_name} as its card describes it: no " in message
    for rule in card.files:
        assert " or ".join(rule.path) in message
    assert message.endswith(card.access.url)


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_every_missing_table_is_named(name: str, root: Path) -> None:
    tables = [rule for rule in read_card(name).files if rule.required and Path(rule.path[0]).suffix != ".png"]
    LAYOUTS[name](root, FILMS)
    pedclip.data.load(name, root=root)  # complete
    for rule in tables:
        found = [path for pattern in rule.path for path in root.glob(pattern)]
        kept = {path: path.read_bytes() for path in found}
        for path in found:
            path.unlink()
        with pytest.raises(FolderDiffers, match=re.escape(f"no {' or '.join(rule.path)} ({rule.what})")):
            pedclip.data.load(name, root=root)
        for path, content in kept.items():
            path.write_bytes(content)


COLUMNS = [
    (name, rule.path, rule.columns[-1].split("|")[0])
    for name in sorted(LAYOUTS)
    for rule in read_card(name).files
    if rule.columns and rule.required
]


@pytest.mark.parametrize(("name", "patterns", "column"), COLUMNS)
def test_a_renamed_column_is_named_beside_those_that_are_there(
    name: str, patterns: tuple[str, ...], column: str, root: Path
) -> None:
    LAYOUTS[name](root, FILMS)
    path = min(path for pattern in patterns for path in root.glob(pattern))
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    header, rest = content.decode().split("\n", 1)
    names = [f"new_{cell.strip()}" if cell.strip() == column else cell for cell in header.split(",")]
    changed = f"{','.join(names)}\n{rest}".encode()
    path.write_bytes(gzip.compress(changed) if path.suffix == ".gz" else changed)
    message = f"has no column {column}; is 'new_{column}' meant to be '{column}'? (its columns: "
    with pytest.raises(FolderDiffers, match=re.escape(message)):
        pedclip.data.load(name, root=root)


def test_a_folder_without_a_usable_film_is_an_error_with_the_reasons(root: Path) -> None:
    LAYOUTS["grazpedwri-dx"](root, FILMS[:2])
    for path in root.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(NothingUsable, match=r"none of 2 rows can be used \(2 × empty file \(0 bytes\)\)"):
        load_listed("grazpedwri-dx", root)


def test_a_mapping_that_is_none_is_an_error(root: Path) -> None:
    LAYOUTS["rsna-pneumonia"](root, FILMS)
    (root / "pneumonia-challenge-dataset-mappings_2018.json").write_text('{"a": 1}')
    with pytest.raises(TableError, match=r"mappings_2018.json is not the published mapping \(TypeError\)"):
        load_listed("rsna-pneumonia", root)


def test_a_card_without_root_names_the_page_and_other_misuse_the_way_out(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"mura is a data card; .*root='/folder/of/it'\)") as error:
        pedclip.data.load("mura")
    assert read_card("mura").access.url in str(error.value)
    with pytest.raises(FileNotFoundError, match=r"grazpedwri does not exist.*Did you mean 'grazpedwri-dx'\?"):
        pedclip.data.load("grazpedwri")
    with pytest.raises(CardError, match=r"no data card 'graz-pedwri'.*'grazpedwri-dx'\?"):
        pedclip.data.load("graz-pedwri", root=root)
    with pytest.raises(ValueError, match="phantom is drawn, not read: leave root out"):
        pedclip.data.load("phantom", root=root)
    with pytest.raises(ValueError, match="columns: mura has the columns of its data card"):
        pedclip.data.load("mura", root=root, columns={"text": "note"})
    with pytest.raises(ValueError, match="studies: only 'phantom' takes such arguments"):
        pedclip.data.load("mura", root=root, studies=3)


def test_private_sets_and_sources_are_folders_of_ones_own(root: Path) -> None:
    put(root / "a.png", png())
    (root / "metadata.csv").write_text("file,region,report,patient_id\na.png,wrist,No fracture.,p1\n")
    count, listed = load_listed("pexr", root)
    assert (count, listed) == (1, [])
    # Their columns are those of any folder: every name that columns.json knows, or the one that the reader is told.
    (root / "metadata.csv").write_text("filename,anatomy,befund,subject\na.png,wrist,No fracture.,p1\n")
    data = pedclip.data.load("pexr", root=root, columns={"text": "befund"})
    assert [row["text"] for split in SPLITS for row in data[split]] == ["No fracture."]
    (root / "metadata.csv").write_text("file,region,finding,patient_id\na.png,knee,erosion; effusion,p1\n")
    data = pedclip.data.load("arthritis", root=root)
    assert [row["findings"] for split in SPLITS for row in data[split]] == [["erosion", "effusion"]]
