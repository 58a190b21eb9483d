"""Data cards: every one is valid and honest about its kind, and what is wrong with one is said."""

import re
from pathlib import Path

import pytest

import pedclip.data.cards
from pedclip.data.adapters import ADAPTERS, find_adapter
from pedclip.data.cards import (
    CardError,
    FolderDiffers,
    card_names,
    cards_folder,
    check_folder,
    check_table,
    parse_card,
    read_card,
    require_folder,
)
from tests.data.cards.layouts import LAYOUTS

NAMED = {
    *("pexr", "arthritis", "pedi-cxr", "chd-cxr", "grazpedwri-dx", "rsna-bone-age", "mimic-cxr", "chexpert"),
    *("nih-chestxray14", "rsna-pneumonia", "siim-acr-pneumothorax", "covidx", "object-cxr", "radimagenet", "roco"),
    *("mura", "phantom", "small-real-packs"),
}
TOPICS = ("Origin", "Population", "Acquisition", "Labels", "Splits", "Licence and access", "Known problems and biases")
GOOD = """---
pretty_name: Good
license: other
language: [en]
task_categories: [image-classification]
size_categories: [n<1K]
access: {how: made by this test, url: "https://example.org/good", credentials: none}
loader: folder
source: good
files:
  - {path: table.csv, what: a table, columns: [file, "a|b"]}
  - {path: ["*.png", "*.jpg"], what: films, count: 2}
  - {path: extra.txt, what: extras, required: false}
tasks: [tests]
official_split: none
citation: nobody has to cite it
paper_role: none in any paper
outputs_may_be_shown: false
---
Text.
"""


def test_there_is_a_card_for_every_set_of_the_papers() -> None:
    assert set(card_names()) == NAMED


@pytest.mark.parametrize("name", sorted(NAMED - {"phantom"}))
def test_cards_are_valid_cover_every_topic_and_forbid_showing_films(name: str) -> None:
    card = read_card(name)
    assert card.outputs_may_be_shown is False
    assert card.source == name
    for topic in TOPICS:
        assert f"**{topic}" in card.text, f"{name}.md has no paragraph **{topic}.**"
    assert 150 <= len(re.findall(r"\w+", re.sub(r"^\|.*$", "", card.text, flags=re.MULTILINE))) <= 360


def test_the_phantom_may_be_shown_and_needs_no_files() -> None:
    card = read_card("phantom")
    assert card.outputs_may_be_shown is True
    assert card.files == ()


def test_every_loader_of_a_card_exists_and_every_adapter_has_a_card_and_a_layout() -> None:
    loaders = {read_card(name).loader for name in card_names()} - {"folder", "phantom"}
    assert loaders == set(ADAPTERS) == set(LAYOUTS)
    for loader in loaders:
        assert callable(find_adapter(loader))
    with pytest.raises(ValueError, match="no adapter 'graz'; there are chd-cxr"):
        find_adapter("graz")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("pretty_name: Good\n", "", "bad.md: pretty_name: Field required"),
        ("pretty_name: Good", "pretty_nam: Good", "pretty_nam: Extra inputs are not permitted"),
        ("image-classification", "xray-magic", "task_categories: Value error, unknown 'xray-magic'"),
        ("n<1K", "small", "size_categories: Value error, unknown 'small'; expected some of"),
        ("https://example.org/good", "example.org", "access.url: String should match pattern"),
        ("count: 2", "count: 0", "files.1.count: Input should be greater than or equal to 1"),
        ("tasks: [tests]", "tasks: []", "tasks: Tuple should have at least 1 item"),
        ("outputs_may_be_shown: false", "outputs_may_be_shown: perhaps", "outputs_may_be_shown: Input should be"),
        ("language: [en]", "language: [en", "bad.md: the header is no YAML mapping"),
        ("language: [en]", "- en", "bad.md: the header is no YAML mapping"),
        ("language: [en]", "name: bad", "bad.md: the header is no YAML mapping"),
        ("language: [en]", "1: en", "bad.md: the header is no YAML mapping"),
        ("paper_role: none in any paper", "paper_role:", "bad.md: paper_role: Input should be a valid string"),
        ("---\npretty", "pretty", "bad.md has no YAML header between two lines of ---"),
    ],
)
def test_what_is_wrong_with_a_card_is_said(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(CardError, match=re.escape(message)):
        parse_card("bad", GOOD.replace(old, new, 1))


@pytest.mark.parametrize("header", ["", "[en]", "en"])
def test_a_header_without_keys_is_refused(header: str) -> None:
    with pytest.raises(CardError, match=r"bad\.md.* YAML"):
        parse_card("bad", f"---\n{header}\n---\nText.\n")


def test_an_unknown_card_is_refused_with_the_close_spelling() -> None:
    with pytest.raises(CardError, match=r"no data card 'grazpedwri'; there are arthritis, .*'grazpedwri-dx'\?"):
        read_card("grazpedwri")


def test_cards_are_found_beside_a_checkout_and_under_share_of_an_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cards_folder() == Path(__file__).parents[3] / "data_cards"
    module = tmp_path / "prefix" / "lib" / "python3.11" / "site-packages" / "pedclip" / "data" / "cards.py"
    monkeypatch.setattr(pedclip.data.cards, "__file__", str(module))
    with pytest.raises(CardError, match="no share/pedclip/data_cards above"):
        cards_folder()
    shared = tmp_path / "prefix" / "share" / "pedclip" / "data_cards"
    shared.mkdir(parents=True)
    (shared / "phantom.md").write_text(GOOD)
    assert cards_folder() == shared


def test_a_folder_is_compared_with_every_rule(tmp_path: Path) -> None:
    card = parse_card("good", GOOD)
    (tmp_path / "table.csv").write_text("file, b\nx.png,1\n")
    (tmp_path / "x.png").write_bytes(b"")
    checks = require_folder(card, tmp_path)
    assert [check.state for check in checks] == ["ok", "differs", "absent"]
    assert check_table(checks).splitlines() == [
        "state    found  expected  files           what",
        "ok       1      any       table.csv       a table",
        "differs  1      2         *.png or *.jpg  films",
        "absent   0      any       extra.txt       extras",
    ]
    (tmp_path / "y.jpg").write_bytes(b"")
    assert check_folder(card, tmp_path)[1].state == "ok"


def test_a_folder_without_a_table_or_a_column_is_refused_with_the_table_and_the_page(tmp_path: Path) -> None:
    card = parse_card("good", GOOD)
    with pytest.raises(FolderDiffers, match=r"absent is no folder; How to get Good: made by this test \(none\)"):
        require_folder(card, tmp_path / "absent")
    (tmp_path / "x.png").write_bytes(b"")
    with pytest.raises(FolderDiffers, match=r"is not Good as its card.*: no table.csv \(a table\)\.") as error:
        require_folder(card, tmp_path)
    assert "missing  0      any       table.csv" in str(error.value)
    assert str(error.value).endswith("https://example.org/good")
    (tmp_path / "table.csv").write_text("files,c\n")
    with pytest.raises(FolderDiffers, match=r"table.csv has no column file, a\|b; is 'files' meant to be 'file'\?"):
        require_folder(card, tmp_path)
    (tmp_path / "table.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(FolderDiffers, match="its columns: none that can be read"):
        require_folder(card, tmp_path)
