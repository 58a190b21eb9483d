"""Official tables wherever people keep them: read, or named where which is meant cannot be told."""

from pathlib import Path

import pytest

from pedclip.data import load
from pedclip.data.cards import FolderDiffers, read_card, table_names
from pedclip.data.loading import read_source
from tests.data.cards.layouts import FILMS, LAYOUTS


def _tables(root: Path) -> list[Path]:
    names = table_names(read_card(root.parent.name))
    return [path for name in names if "/" not in name and (path := root / name).is_file()]


CARDS_WITH_TABLES = sorted(set(LAYOUTS) - {"chd-cxr", "roco"})


@pytest.mark.parametrize(
    ("move", "name"),
    [
        *((move, name) for move in ("folder", "case") for name in CARDS_WITH_TABLES),
        *(("copy", "mimic-cxr"), ("above", "mura"), ("copy", "covidx"), ("above", "roco")),
    ],
)
def test_official_tables_are_read_wherever_people_keep_them(tmp_path: Path, name: str, move: str) -> None:
    root = tmp_path / name / "data"
    LAYOUTS[name](root, FILMS)
    expected = {split: sorted(rows["image_id"]) for split, rows in load(name, root=root).items()}
    for path in _tables(root):
        stem, suffix = path.name.split(".csv")[0], path.name[len(path.name.split(".csv")[0]) :]
        target = {
            "folder": root / "tables of the challenge" / path.name,
            "case": root / path.name.upper(),
            "copy": root / (f"{stem} (1){suffix}" if suffix else path.name),
            "above": path,
        }[move]
        target.parent.mkdir(exist_ok=True)
        path.rename(target)
    found = load(name, root=root.parent if move == "above" else root)
    assert {split: sorted(rows["image_id"]) for split, rows in found.items()} == expected


def test_a_part_is_never_read_from_the_table_of_another(tmp_path: Path) -> None:
    LAYOUTS["mura"](tmp_path, FILMS)
    (tmp_path / "valid_labeled_studies.csv").unlink()
    with pytest.raises(FolderDiffers, match=r"no valid_labeled_studies\.csv"):
        load("mura", root=tmp_path)


def test_of_two_tables_that_differ_none_is_read_and_both_are_named(tmp_path: Path) -> None:
    LAYOUTS["nih-chestxray14"](tmp_path, FILMS)
    path = tmp_path / "BBox_List_2017.csv"
    for folder, more in (("a", ""), ("b", "\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / path.name).write_text(path.read_text() + more)
    path.unlink()
    reading = read_source("nih-chestxray14", root=tmp_path)
    assert [(item.file, item.reason) for item in reading.left_out] == [
        ("a/BBox_List_2017.csv", "table-not-read"),
        ("b/BBox_List_2017.csv", "table-not-read"),
    ]
    assert sum("BBox_List_2017.csv: a table like" in note for note in reading.notes) == 2


def test_a_mask_row_given_twice_is_listed(tmp_path: Path) -> None:
    LAYOUTS["siim-acr-pneumothorax"](tmp_path, FILMS)
    table = tmp_path / "train-rle.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, lines[2]]) + "\n")
    reading = read_source("siim-acr-pneumothorax", root=tmp_path)
    (item,) = reading.left_out
    assert (item.row, item.detail) == (len(lines) + 1, "the same mask a second time")
