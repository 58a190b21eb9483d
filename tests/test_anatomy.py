import csv
import json
import pickle
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedclip import anatomy
from pedclip.anatomy import (
    CONVENTIONS,
    REGIONS,
    UnknownRegion,
    UnmappableRegion,
    dicom_values,
    display_name,
    find_laterality,
    find_mentions,
    find_region,
    is_paired,
    region_from_dicom,
)

DATA = Path(__file__).resolve().parents[1] / "../shared/data"
WORDS = json.loads(Path(anatomy.__file__).with_name("anatomy.json").read_text(encoding="utf-8"))
TERMS = [
    (term, region, kind)
    for region, entry in WORDS["regions"].items()
    for kind in ("names", "structures")
    for term in entry[kind]
]


def said(text: str) -> list[tuple[str, str]]:
    return [(mention.region, mention.laterality) for mention in find_mentions(text)]


def sample(path: str) -> Path:
    if not (DATA / path).exists():
        pytest.skip(f"needs the sample data in {path}")
    return DATA / path


def test_word_lists_are_in_step_with_the_regions() -> None:
    assert tuple(WORDS["regions"]) == REGIONS
    assert set(CONVENTIONS.values()) <= set(REGIONS)
    assert len(REGIONS) == len(set(REGIONS)) == 23


def test_no_spelling_belongs_to_two_regions_or_to_none() -> None:
    owner: dict[str, str] = {}
    for reason, terms in {**WORDS["unmappable"], "": WORDS["exam_words"]}.items():
        owner |= {anatomy._key(spelling): reason for spelling in anatomy._spellings(terms)}
    for region, entry in WORDS["regions"].items():
        for spelling in anatomy._spellings([*entry["names"], *entry["structures"], *entry["labels"]]):
            assert owner.setdefault(anatomy._key(spelling), region) == region, spelling


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("lower_leg", "tibia_fibula"), ("lower leg", "tibia_fibula"), ("LowerLeg", "tibia_fibula"),
        ("Tib/Fib", "tibia_fibula"), ("TIB & FIB", "tibia_fibula"), ("shin", "tibia_fibula"),
        ("C-spine", "cervical_spine"), ("cervial spine", "cervical_spine"), ("SPINE, CERVICAL", "cervical_spine"),
        ("KUB", "abdomen"), ("AXR", "abdomen"), ("CXR", "chest"), ("antebrachium", "forearm"), ("thigh", "femur"),
        ("shoulderr", "shoulder"), ("left wrist", "wrist"), ("R hand", "hand"), ("Knees", "knee"), ("feet", "foot"),
        ("XR_ELBOW", "elbow"), ("Hand, 3 views, right", "hand"), ("2nd finger", "finger"), ("b/l hips", "hip"),
        ("L spine", "lumbar_spine"), ("Left L spine", "lumbar_spine"), ("L-S spine", "lumbar_spine"),
        ("radius/ulna", "forearm"), ("Abdomen (KUB)", "abdomen"), ("ribs and sternum", "chest"), ("knee joint", "knee"),
    ],
)  # fmt: skip
def test_labels(name: str, region: str) -> None:
    assert find_region(name) == region


@pytest.mark.parametrize("name", sorted(CONVENTIONS))
def test_conventions_hold_and_are_documented(name: str) -> None:
    assert find_region(name) == CONVENTIONS[name]
    documented = re.search(rf"\b{CONVENTIONS[name]}: ([^·]*?)(?:·|\n +\w+:|\nA bare)", str(anatomy.__doc__))
    assert documented, CONVENTIONS[name]
    assert re.search(rf"\b{name}\b", documented[1])


@pytest.mark.parametrize(
    "name",
    [
        "arm", "leg", "Legs", "limb", "upper limb", "lower_limb", "upper extremity", "lower extremities", "teeth",
        "panoramic", "dental", "neck", "soft tissue neck", "airway", "multiple", "whole body", "babygram",
        "skeletal survey", "thorax_or_spine", "hand and wrist", "hand/wrist", "foot or ankle", "knee & ankle",
        "chest abdomen", "thoracic and lumbar spine", "left leg", "thoracic", "", "  ", "left", "2 views",
    ],
)  # fmt: skip
def test_known_names_without_one_region(name: str) -> None:
    with pytest.raises(UnmappableRegion, match=r"expected one of pedclip\.anatomy\.REGIONS, got") as error:
        find_region(name)
    assert error.value.name == name


def test_unknown_names_get_a_suggestion_and_are_not_guessed() -> None:
    with pytest.raises(UnknownRegion, match=r"did you mean .*'hand'") as error:
        find_region("hnad")
    assert not isinstance(error.value, UnmappableRegion)
    with pytest.raises(UnknownRegion, match=r"a new spelling goes into anatomy\.json"):
        find_region("left qwzyx")
    with pytest.raises(UnknownRegion):  # a known word does not excuse an unknown one
        find_region("knee qwzyx")
    with pytest.raises(UnknownRegion, match="got 'arm'"):
        display_name("arm")


def test_errors_reach_other_processes() -> None:
    copy = pickle.loads(pickle.dumps(UnknownRegion("hnad", "expected …")))
    assert (type(copy), copy.name, str(copy)) == (UnknownRegion, "hnad", "expected …")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("left knee", [("knee", "left")]),
        ("both hips", [("hip", "both")]),
        ("bilateral knee pain", [("knee", "both")]),
        ("right distal radius", [("forearm", "right")]),
        ("(L) wrist, RT. hand", [("wrist", "left"), ("hand", "right")]),
        ("knee, left", [("knee", "left")]),
        ("wrist (L)", [("wrist", "left")]),
        ("XR KNEE 2 VIEWS RIGHT", [("knee", "right")]),
        ("HAND RIGHT 3 VIEWS, WRIST LEFT", [("hand", "right"), ("wrist", "left")]),
        ("right and left knees; R/L hips", [("knee", "both"), ("hip", "both")]),
        ("hips bilaterally", [("hip", "both")]),
        ("right both bone forearm fracture", [("forearm", "right")]),
        ("right 2nd and 3rd toes", [("toe", "right")]),
        ("left knee and ankle", [("knee", "left"), ("ankle", "left")]),
        ("left knee, ankle and foot", [("knee", "left"), ("ankle", "left"), ("foot", "left")]),
        ("left knee, right ankle", [("knee", "left"), ("ankle", "right")]),
        ("right shoulder and chest", [("shoulder", "right"), ("chest", "")]),
        ("pain on the left. Knee normal.", [("knee", "")]),
        ("Dr. R reviewed the thoracic spine", [("thoracic_spine", "")]),
        ("Lungs clear. Left lower lobe.", [("chest", ""), ("chest", "left")]),
        ("Cervical, lumbosacral, thoracic spine", [(f"{x}_spine", "") for x in ("cervical", "lumbar", "thoracic")]),
        ("C, T and L spine", [(f"{x}_spine", "") for x in ("cervical", "thoracic", "lumbar")]),
        ("tibia & fibula, TIBIA/FIBULA, tib-fib", [("tibia_fibula", "")] * 3),
        ("on the other hand, film at 6 feet, in the face of", []),
        ("the whole leg, an arm, the spine, chestnut, kneel, handed, shipping", []),
        ("shenton's line", []),
    ],
)  # fmt: skip
def test_mentions(text: str, expected: list[tuple[str, str]]) -> None:
    assert said(text) == expected


def test_the_longest_match_wins_and_the_wording_is_returned() -> None:
    text = "Small renal pelvis; femoral head and lower-leg."
    assert [text[m.start : m.end] for m in find_mentions(text)] == ["renal pelvis", "femoral head", "lower-leg"]
    assert said(text) == [("abdomen", ""), ("hip", ""), ("tibia_fibula", "")]


def test_abbreviations_that_could_be_words_need_their_capitals() -> None:
    assert said("AC joint, C5 and MCP") == [("shoulder", ""), ("cervical_spine", ""), ("hand", "")]
    assert said("ac joint, c5 and mcp") == []
    assert said("kub, Cxr") == [("abdomen", ""), ("chest", "")]


def test_structures_are_marked() -> None:
    assert [m.kind for m in find_mentions("Chest: heart, mediastinum. Knee: patella.")] == [
        "name", "structure", "structure", "name", "structure",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("", ""), ("chest", ""), ("L spine", ""), ("LEFT", "left"), ("rt", "right"), ("L", "left"), ("B", "both"),
        ("U", ""), ("R hand", "right"), ("hand (R)", "right"), ("bilateral", "both"), ("left hip, right knee", "both"),
        ("no fracture on the right side", "right"), ("Section R of the form", ""), ("right now", ""),
    ],
)  # fmt: skip
def test_laterality(text: str, side: str) -> None:
    assert find_laterality(text) == side


@pytest.mark.parametrize(
    ("value", "region"),
    [
        ("LEG", "tibia_fibula"), ("LOWERLEG", "tibia_fibula"), ("LT LEG", "tibia_fibula"), ("ARM", "humerus"),
        ("UPPERARM", "humerus"), ("THIGH", "femur"), ("CSPINE", "cervical_spine"), ("TLSPINE", "thoracic_spine"),
        ("SSPINE", "lumbar_spine"), ("COCCYX", "lumbar_spine"), ("LUMBAR", "lumbar_spine"), ("HEAD", "skull"),
        ("ZYGOMA", "facial_bones"), ("JAW", "facial_bones"), ("RIB", "chest"), ("CALCANEUS", "foot"),
        ("THUMB", "finger"), ("KNEE JOINT", "knee"), ("PATELLA", "knee"),
        ("SCAPULA", "shoulder"), ("SCJOINT", "clavicle"), ("RADIUSULNA", "forearm"),
        ("L SPINE", "lumbar_spine"), ("Chest portable", "chest"), ("XR CHEST 2 VIEWS PA + LAT", "chest"),
        ("SPINE THORACOLUM", "thoracic_spine"), ("LUMBAR SPOT", "lumbar_spine"), ("T_SPINE ", "thoracic_spine"),
    ],
)  # fmt: skip
def test_dicom_terms(value: str, region: str) -> None:
    assert region_from_dicom(value) == region


def test_dicom_and_labels_are_two_vocabularies() -> None:
    assert region_from_dicom("LEG") == "tibia_fibula"
    assert region_from_dicom("ARM") == "humerus"
    for name in ("LEG", "ARM"):
        with pytest.raises(UnmappableRegion):
            find_region(name)


@pytest.mark.parametrize("value", WORDS["dicom_outside"])
def test_dicom_terms_outside_the_regions(value: str) -> None:
    with pytest.raises(UnmappableRegion):
        region_from_dicom(value)


@pytest.mark.parametrize("region", REGIONS)
def test_dicom_values_come_back_and_fit_a_code_string(region: str) -> None:
    assert [region_from_dicom(value) for value in dicom_values(region)] == [region] * len(dicom_values(region))
    assert all(re.fullmatch("[A-Z0-9_]{1,16}", value) for value in dicom_values(region))


def test_dicom_nonsense_is_unknown() -> None:
    with pytest.raises(UnknownRegion, match="'foot'"):
        region_from_dicom("FOTO")
    for value in ("", "JOINT", "CHEST\\ABDOMEN"):
        with pytest.raises(UnmappableRegion):
            region_from_dicom(value)


def test_limbs_are_paired_and_the_midline_is_not() -> None:
    midline = {"chest", "abdomen", "pelvis", "skull", "facial_bones", *(name for name in REGIONS if "spine" in name)}
    assert {region for region in REGIONS if not is_paired(region)} == midline
    with pytest.raises(UnknownRegion):
        is_paired("neck")


@pytest.mark.parametrize("region", REGIONS)
def test_names_for_sentences_are_understood(region: str) -> None:
    assert find_region(region) == find_region(display_name(region)) == region
    assert said(f"a radiograph of the right {display_name(region)}.") == [(region, "right")]


@pytest.mark.parametrize(("term", "region", "kind"), TERMS)
def test_each_term_is_found_whole(term: str, region: str, kind: str) -> None:
    (mention,) = find_mentions(f"({term})")
    assert (mention.region, mention.start, mention.end) == (region, 1, 1 + len(term))
    assert f"{mention.kind}s" == kind
    assert find_region(term) == region


@given(st.sampled_from(TERMS), st.sampled_from(["_", "-", "  ", "/"]), st.sampled_from(["upper", "lower", "title"]))
def test_spelling_variants_agree(term: tuple[str, str, str], separator: str, case: str) -> None:
    variant = getattr(term[0].replace(" ", separator), case)()
    assert find_region(variant) == find_region(f"left {variant}") == term[1]


glue = st.sampled_from([" ", ", ", " and ", ". ", "\n", " / ", " (", ") ", "x", " 2 ", " no fracture of the "])
others = ["left", "R", "LT", "both", "bilateral", "spine", "leg", "C, T", "&", "é"]
vocabulary = st.sampled_from([term for term, _, _ in TERMS] + others)


@given(st.lists(st.one_of(vocabulary, glue, st.text(max_size=4)), max_size=24).map("".join))
def test_mentions_are_ordered_disjoint_and_mean_what_their_wording_means(text: str) -> None:
    mentions = find_mentions(text)
    ends = [0, *(mention.end for mention in mentions)]
    for before, mention in zip(ends, mentions, strict=False):
        assert before <= mention.start < mention.end <= len(text)
        wording = text[mention.start : mention.end]
        assert wording.lower() in ("c", "t", "l", "thoracic", "dorsal") or find_region(wording) == mention.region
    assert find_mentions(text) == mentions


@given(st.text())
def test_any_label_gives_a_region_or_one_of_the_two_errors(name: str) -> None:
    for find in (find_region, region_from_dicom):
        try:
            found = find(name)
        except (UnknownRegion, UnmappableRegion) as error:
            found = error.name
        assert found in (*REGIONS, name)


@pytest.mark.parametrize("filler", ["-", " ", "left ", "C, ", "knee left ", "(", "2 ", "1-", "and ", "a"])
def test_long_texts_take_linear_time(filler: str) -> None:
    find_mentions("warm")
    start = time.process_time()
    find_mentions(f"left {filler * 20_000} knee")
    assert time.process_time() - start < 5  # under a second where it is linear, minutes where it is not


@pytest.mark.parametrize(
    ("pack", "unmapped"),
    [
        ("btxrd-bone-tumor", {"thorax_or_spine", "arm", "leg", "lower_limb"}), ("hannover-covid-cxr", set()),
        ("jordan-ddh-sample", set()), ("kermany-pediatric-cxr", set()), ("knee-oa-kl", set()),
        ("nih-chest-sample", set()), ("scoliosis-spine", set()), ("shoulder-implant", set()),
    ],
)  # fmt: skip
def test_regions_of_the_sample_packs(pack: str, unmapped: set[str]) -> None:
    with sample(f"{pack}/metadata.csv").open(encoding="utf-8", newline="") as file:
        names = {row["body_region"] for row in csv.DictReader(file)}
    assert_unmapped(names, unmapped)


def test_regions_of_the_captions() -> None:
    rows = map(json.loads, sample("roco-xray/pairs.jsonl").read_text(encoding="utf-8").splitlines())
    assert_unmapped({row["region"] for row in rows if row["region"]}, {"teeth", "neck", "multiple"})


def assert_unmapped(names: set[str], expected: set[str]) -> None:
    unmapped = set()
    for name in names:
        try:
            find_region(name)
        except UnmappableRegion:
            unmapped.add(name)
    assert unmapped == expected


def test_filmed_regions_are_mentioned_in_the_report() -> None:
    reports = list(map(json.loads, sample("extraction-gold/gold.jsonl").read_text(encoding="utf-8").splitlines()))
    missed = {
        (report["report_id"], region)
        for report in reports
        for region in set(report["filmed_regions"]) - {m.region for m in find_mentions(report["report_text"])}
        if region != "neck"
    }
    assert len(reports) == 25
    assert missed == set()  # 45 of 45
    for report in reports:
        for region, side in report["laterality"].items():
            sides = {m.laterality for m in find_mentions(report["report_text"]) if m.region == region}
            assert side in sides or (side == "both" and {"left", "right"} <= sides), (report["report_id"], region)
