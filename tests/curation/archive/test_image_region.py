"""The written rule for region and side of a film, case by case."""

import pytest

from pedclip.anatomy import REGIONS
from pedclip.curation.archive.image_region import (
    Undecided,
    neighbours,
    region_of,
    region_of_tags,
    region_of_words,
    side_of,
    side_of_words,
    view_of,
)
from pedclip.curation.archive.studies import RegionHint


@pytest.mark.parametrize(
    ("tags", "words", "filmed", "claimed", "region"),
    [
        ("knee", "knee", {"knee", "ankle"}, (), "knee"),
        ("knee", "", {"knee", "ankle"}, (), "knee"),
        ("", "knee", (), (), "knee"),
        ("chest", "knee", {"knee"}, (), "knee"),  # a wrong tag is outvoted
        ("knee", "chest", {"knee"}, (), "knee"),
        ("knee", "knee", {"elbow"}, (), "knee"),  # and so is a report that was filed with the wrong study
        ("hand", "", {"wrist"}, (), "wrist"),
        ("", "", {"hip"}, {"hip"}, "hip"),  # two views of one region
        ("", "", {"hip", "knee"}, {"knee"}, "hip"),
    ],
)
def test_region_is_decided(tags: str, words: str, filmed: set[str], claimed: set[str], region: str) -> None:
    assert region_of(RegionHint(tags, words), filmed, claimed=claimed).region == region


@pytest.mark.parametrize(
    ("tags", "words", "filmed", "reason"),
    [
        ("chest", "", {"knee"}, "region-conflict"),
        ("chest", "knee", (), "region-conflict"),
        ("chest", "knee", {"elbow"}, "region-conflict"),
        ("chest", "knee", {"chest", "knee"}, "region-conflict"),
        ("hand", "", {"wrist", "finger"}, "region-conflict"),
        ("", "", (), "region-unknown"),
        ("", "", {"hip", "knee"}, "region-unknown"),
    ],
)
def test_region_is_not_guessed(tags: str, words: str, filmed: set[str], reason: str) -> None:
    with pytest.raises(Undecided) as caught:
        region_of(RegionHint(tags, words), filmed)
    assert caught.value.reason == reason


def test_only_overruled_evidence_is_noted() -> None:
    assert region_of(RegionHint("knee", "knee"), {"knee"}).note == ""
    assert region_of(RegionHint("chest", "knee"), {"knee"}).note == "tags say chest, words and report knee"
    assert "borders on it" in region_of(RegionHint("hand", ""), {"wrist"}).note


def test_every_region_has_a_neighbour_and_borders_go_both_ways() -> None:
    for region in REGIONS:
        assert neighbours(region)
        assert all(region in neighbours(other) for other in neighbours(region))


@pytest.mark.parametrize(
    ("film", "report", "side", "is_noted"),
    [
        ("left", "", "left", False),
        ("", "right", "right", False),
        ("left", "both", "left", False),
        ("left", "right", "", True),
    ],
)
def test_side_of_a_paired_region(film: str, report: str, side: str, is_noted: bool) -> None:
    assert side_of("wrist", film, report)[0] == side
    assert bool(side_of("wrist", film, report)[1]) == is_noted
    assert side_of("chest", film, report) == ("", "")


def test_words_of_descriptions_and_files() -> None:
    assert region_of_words("AP", "XR_Knee-LT.2") == "knee"
    assert region_of_words("hand and wrist", "knee") == ""  # the first text that names any decides
    assert side_of_words("U", "XR_Knee-LT.2") == "left"
    assert region_of_tags("EXTREMITY", "Ankle joint") == "ankle"
    assert [view_of("LLO"), view_of("", "Cross table LAT"), view_of("weird"), view_of("", "ELBOW AP/OBL")] == [
        *("oblique", "lateral", "", "oblique")
    ]
