"""Records of releases: complete, validated, and found by their name or nearly."""

from typing import Any

import pytest

from pedclip.models.released.release import find_release, list_released, read_release, release_names

ASKED = ("biomedclip", "chexzero", "medclip", "gloria", "mgca", "convirt", "cxr-clip", "unimed-clip", "xrayclip")
ASKED += ("xraysiglip", "chexficient", "medsiglip", "rad-dino", "pubmedclip")
ENTRY: dict[str, Any] = {
    "title": "X",
    "family": "transformers",
    "source": "a/b",
    "link": "https://x",
    "files": ["model.safetensors"],
    "licence": "MIT",
    "paper": "P",
    "trained_on": "D",
    "layout": "L",
    "basis": "memory",
}
TOWERS: dict[str, Any] = {"image": "timm vit", "text": "bert", "keys": {"image": "a.", "text": "b."}}


def test_every_asked_model_has_a_record_with_traps() -> None:
    assert set(ASKED) <= set(release_names())
    for name in release_names():
        assert find_release(name).traps, name


def test_table_has_one_row_per_record_and_the_same_columns() -> None:
    table = list_released()
    assert [row["name"] for row in table] == list(release_names())
    assert len({tuple(row) for row in table}) == 1
    assert all(all(row.values()) for row in table)


def test_layout_says_what_it_rests_on() -> None:
    for row in list_released():
        # No file was seen, and nobody who reads the table should think so.
        assert "not seen" in row["layout"] or "not known" in row["layout"], row["name"]
        is_read = "as read" in row["layout"]
        assert is_read == (row["basis"] in ("library", "code")), row["name"]


def test_constants_of_the_papers() -> None:
    def normalization(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        transform = find_release(name).transform
        assert transform is not None
        step = next(step for step in transform.steps if step.do == "normalize")
        return step.mean, step.std

    assert normalization("chexzero") == ((101.48761,) * 3, (83.43944,) * 3)
    assert normalization("medclip") == ((0.5862785803043838,) * 3, (0.27950088968644304,) * 3)
    assert normalization("mgca") == ((0.5,) * 3, (0.5,) * 3)
    assert normalization("medsiglip") == ((0.5,) * 3, (0.5,) * 3)
    lengths = {
        name: find_release(name).max_tokens for name in ("medsiglip", "chexzero", "biomedclip", "gloria", "mgca")
    }
    assert lengths == {"medsiglip": 64, "chexzero": 77, "biomedclip": 256, "gloria": 97, "mgca": 112}


@pytest.mark.parametrize(
    ("name", "near"),
    [("biomed-clip", "biomedclip"), ("CheXZero", "chexzero"), ("med_clip", "medclip"), ("raddino", "rad-dino")],
)
def test_wrong_name_suggests_the_nearest(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"(?s)'{name}'; did you mean '{near}'.*Known: biomedclip, .*OWNER/MODEL"):
        find_release(name)


def test_hub_name_of_a_record_is_that_record() -> None:
    assert find_release("google/medsiglip-448") is find_release("medsiglip")


@pytest.mark.parametrize("name", ["", "  ", "open_clip:", "hf-hub:", "local-dir:"])
def test_empty_name_is_no_model(name: str) -> None:
    with pytest.raises(
        ValueError, match=rf"expected the name of released weights, got '{name}'; list_released\(\) shows"
    ):
        find_release(name)


def test_name_like_nothing_gets_the_list_only() -> None:
    with pytest.raises(ValueError, match="are called 'qqq'\n  Known"):
        find_release("qqq")


def test_other_models_of_libraries_get_a_record_that_knows_nothing() -> None:
    known = [find_release(name) for name in ("open_clip:ViT-B-32", "hf-hub:a/b", "openai/clip-vit-base-patch32")]
    assert [release.family for release in known] == ["open_clip", "open_clip", "transformers"]
    assert [release.source for release in known] == ["", "a/b", "openai/clip-vit-base-patch32"]
    assert all("unknown" in release.licence for release in known)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sauce": ""}, "unknown key 'sauce'"),
        ({"family": "x"}, "'x' is unknown; expected one of open_clip, transformers, two towers"),
        ({"score": "x"}, "expected one of cosine"),
        ({"kind": "x"}, "'x' is unknown; expected one of .*clip, siglip, dinov2"),
        ({"family": "open_clip", "patch_size": 16}, "kind and sizes are compared for the family 'transformers'"),
        ({"basis": "x"}, "expected one of library, code, memory, guess"),
        ({"padding": "x"}, "expected one of max_length, longest"),
        ({"licence": ""}, "files, licence and link must say something"),
        ({"towers": TOWERS}, "for the family 'two towers' and for no other"),
        ({"family": "two towers"}, "for the family 'two towers' and for no other"),
        ({"family": "two towers", "towers": {**TOWERS, "image": "x"}}, "'x' is unknown; expected one of timm vit"),
        ({"family": "two towers", "towers": {**TOWERS, "text_head": ["x"]}}, "unknown layer 'x'"),
        ({"family": "two towers", "towers": {**TOWERS, "keys": {"image": ""}}}, "keys of 'text' are missing"),
        ({"family": "two towers", "towers": {**TOWERS, "keys": {"x": ""}}}, "unknown part 'x'"),
        ({"family": "two towers", "towers": {**TOWERS, "x": 1}}, "unknown key 'x'"),
        ({"transform": [{"do": "scale"}]}, "needs a step 'resize' or 'crop'"),
    ],
)
def test_damaged_entry_is_named(changes: dict[str, Any], message: str) -> None:
    assert read_release("mine", ENTRY).title == "X"
    with pytest.raises(ValueError, match=f"releases/mine.json: .*{message}"):
        read_release("mine", {**ENTRY, **changes})


def test_entry_without_a_licence_is_refused() -> None:
    with pytest.raises(ValueError, match=r"releases/mine\.json: .*'licence'"):
        read_release("mine", {key: value for key, value in ENTRY.items() if key != "licence"})
