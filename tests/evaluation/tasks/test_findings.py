from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset

from pedclip.evaluation.tasks.finding_rule import FindingRule
from pedclip.evaluation.tasks.findings import discover_chest_findings, discover_findings, finding_task, named_rules
from pedclip.evaluation.tasks.labels import Row, read_labels
from pedclip.evaluation.tasks.prompts import prompt_pair
from pedclip.triplets.schema import FEATURES


def make_row(findings, region="chest", source="a", patient_id="p"):
    return {"findings": findings, "region": region, "source": source, "patient_id": patient_id}


def make_rows(*labels):
    """Rows of one patient each, from (findings, region, source)."""
    return [make_row(*label, patient_id=f"p{number}") for number, label in enumerate(labels)]


CHEST = make_rows(
    (["bacterial pneumonia"], "chest", "a"),  # 0
    (["Bacterial_Pneumonia", "effusion"], "chest", "a"),  # 1
    (["viral pneumonia"], "chest", "a"),  # 2
    (["viral pneumonia"], "chest", "a"),  # 3
    ([], "chest", "a"),  # 4
    (None, "chest", "a"),  # 5
    (["bacterial pneumonia", "viral pneumonia"], "chest", "a"),  # 6
    (["viral pneumonia"], "chest", "b"),  # 7
)


def by_name(found):
    return {(task.name, task.rule.source): task for task in found}


def members(task):
    return list(zip(task.rows["test"].tolist(), task.labels["test"][:, 0].tolist(), strict=True))


def test_bacterial_against_viral_leaves_out_normal_unlabelled_and_both():
    found = by_name(discover_findings(CHEST, min_positives=2))
    assert members(found["bacterial vs viral pneumonia", "a"]) == [(0, 1), (1, 1), (2, 0), (3, 0)]


def test_findings_of_the_chest_are_asked_of_chests_alone_and_where_the_column_may_stand():
    rows = make_rows(
        (["fracture"], "wrist", "a"),  # 0
        (["fracture"], "chest", "a"),  # 1
        (["fracture", "effusion"], "chest", "a"),  # 2
        (["effusion"], "chest", "a"),  # 3
        ([], "chest", "a"),  # 4
        ([], "wrist", "a"),  # 5
        *[(["edema"], "chest", "nih-chestxray14"), ([], "chest", "nih-chestxray14")] * 2,  # adults
        *[(["fracture"], "wrist", "b"), ([], "wrist", "b")] * 2,  # no chest
    )
    found = {task.name: task for task in discover_chest_findings(rows, min_positives=2)}
    assert {name: members(task) for name, task in found.items()} == {
        "effusion, chest": [(1, 0), (2, 1), (3, 1), (4, 0)],
        "fracture, chest": [(1, 1), (2, 1), (3, 0), (4, 0)],
    }
    assert {task.paper for task in found.values()} == {"Pedi-CXR"}
    # Asked of chests alone, a sentence may name the chest.
    assert found["fracture, chest"].rule.prompts == prompt_pair("fracture", "chest")
    with pytest.raises(ValueError, match="min_positives must be at least 1, got 0"):
        discover_chest_findings(rows, min_positives=0)


def test_an_uncertain_finding_is_neither_positive_nor_negative():
    rows = make_rows(*[(["edema"], "chest", "a")] * 2, *[([], "chest", "a")] * 3, (["viral pneumonia"], "chest", "a"))
    rows[0]["uncertain"] = ["Viral_Pneumonia"]
    rows[2]["uncertain"] = ["edema"]
    found = by_name(discover_findings(rows, min_positives=2))
    assert members(found["edema", "a"]) == [(0, 1), (1, 1), (3, 0), (4, 0), (5, 0)]
    pair = {"prompts": prompt_pair("edema")}
    normal = FindingRule("edema vs normal", ("edema",), "normal", **pair)
    assert members(finding_task(normal, read_labels(rows))) == [(0, 1), (1, 1), (3, 0), (4, 0)]
    either = FindingRule("edema vs viral", ("edema",), ("viral pneumonia",), **pair)
    assert members(finding_task(either, read_labels(rows))) == [(1, 1), (5, 0)]  # the first film may show both


def test_the_protocol_of_chexpert_decides_on_five_uncertain_findings():
    names = ["Atelectasis", "Edema", "Pleural Effusion", "Cardiomegaly", "Consolidation", "Pneumonia"]
    rows = [make_row(["fracture"], source="chexpert") | {"uncertain": names}, make_row([], source="mimic-cxr")]
    rows[1]["uncertain"] = names
    first, second = read_labels(rows)
    assert first.findings == {"fracture", "atelectasis", "edema", "pleural effusion"}
    assert first.uncertain == {"pneumonia"}
    assert (second.findings, len(second.uncertain), second.is_normal) == (frozenset(), 6, False)
    assert [first.shows([name]) for name in ("edema", "cardiomegaly", "pneumonia")] == [True, False, None]


def test_a_finding_against_the_rest_of_its_source():
    found = by_name(discover_findings(CHEST, min_positives=2))
    assert members(found["bacterial pneumonia", "a"]) == [(0, 1), (1, 1), (2, 0), (3, 0), (4, 0), (6, 1)]
    assert ("effusion", "a") not in found  # one positive
    assert not any(source == "b" for _, source in found)  # no negative there


LIMBS = make_rows(
    (["osteosarcoma", "malignant bone tumor"], "femur", "a"),  # 0
    (["malignant"], "knee", "a"),  # 1
    (["osteochondroma"], "femur", "a"),  # 2
    (["benign"], "hand", "a"),  # 3
    ([], "femur", "a"),  # 4
    ([], "hand", "a"),  # 5
    ([], "chest", "a"),  # 6: no tumour occurs there
    (["fracture"], "femur", "a"),  # 7: neither a tumour nor normal
    ([], "femur", "b"),  # 8: another source
    (["benign"], "knee", "a"),  # 9
)


def test_tumours_are_compared_with_normal_images_of_the_same_source_and_regions():
    found = by_name(discover_findings(LIMBS, min_positives=2))
    tumour = found["bone tumor vs none", "a"]
    assert members(tumour) == [(0, 1), (1, 1), (2, 1), (3, 1), (4, 0), (5, 0), (9, 1)]
    assert tumour.rule.regions == ("femur", "hand", "knee")
    malignant = found["malignant vs benign bone tumor", "a"]
    assert members(malignant) == [(0, 1), (1, 1), (2, 0), (9, 0)]  # the hand holds no malignant tumour


def test_sides_need_enough_images_of_two_patients():
    rows = [make_row(["fracture"], patient_id="p") for _ in range(9)]
    rows += [make_row([], patient_id=f"q{number}") for number in range(9)]
    assert discover_findings(rows, min_positives=2) == []
    rows[0]["patient_id"] = "r"
    assert [task.name for task in discover_findings(rows, min_positives=9)] == ["fracture"]
    assert discover_findings(rows, min_positives=10) == []


def test_prompts_name_the_region_where_there_is_only_one():
    rows = make_rows((["erosion"], "wrist", "a"), (["erosion"], "wrist", "a"), ([], "wrist", "a"), ([], "wrist", "a"))
    assert by_name(discover_findings(rows, min_positives=1))["erosion", "a"].rule.prompts == prompt_pair(
        "erosion", "wrist"
    )
    rows += make_rows((["erosion"], "hand", "a"))
    assert by_name(discover_findings(rows, min_positives=1))["erosion", "a"].rule.prompts == prompt_pair("erosion")


def test_a_named_task_of_some_regions_stays_within_them():
    rows = make_rows(
        (["fracture"], "wrist", "a"), (["fracture"], "ankle", "a"), ([], "wrist", "a"), ([], "ankle", "a"),
        (["fracture"], "forearm", "a"), ([], "forearm", "a"),
    )  # fmt: skip
    found = by_name(discover_findings(rows, min_positives=2))["wrist fracture", "a"]
    assert members(found) == [(0, 1), (2, 0), (4, 1), (5, 0)]
    assert (found.paper, found.rule.is_named) == ("GRAZPEDWRI-DX", True)


def test_a_rule_selects_from_other_rows_too():
    rule = by_name(discover_findings(LIMBS, min_positives=2))["bone tumor vs none", "a"].rule
    others = make_rows((["osteosarcoma"], "femur", "a"), (["osteosarcoma"], "femur", "b"), ([], "hand", "a"))
    assert members(finding_task(rule, read_labels(others))) == [(0, 1), (2, 0)]


def test_order_of_rows_does_not_change_the_tasks():
    order = np.random.default_rng(0).permutation(len(LIMBS))
    shuffled = discover_findings([LIMBS[i] for i in order], min_positives=2)
    for bound, other in zip(discover_findings(LIMBS, min_positives=2), shuffled, strict=True):
        assert other.rule == bound.rule
        assert sorted((int(order[i]), label) for i, label in members(other)) == members(bound)


def test_schema_rows_are_read_without_decoding_images():
    broken = {"bytes": b"no image", "path": None}  # decoding would fail
    columns = {name: [None] * 4 for name in FEATURES} | {
        "image": [broken] * 4,
        "findings": [["Fracture"], None, [], ["fracture"]],
        "uncertain": [["Metal"], ["metal"], None, ["fracture"]],
        "region": ["wrist", "hand", "wrist", "wrist"],
        "source": ["a"] * 4,
        "patient_id": ["1", "2", "3", "4"],
    }
    rows = read_labels(Dataset.from_dict(columns, features=FEATURES))
    assert rows[0] == Row(frozenset({"fracture"}), "wrist", "a", "a/1", frozenset({"metal"}))
    assert rows[1].uncertain == rows[3].uncertain == frozenset()  # unlabelled; or found after all
    assert [row.findings for row in rows[1:3]] == [None, frozenset()]
    assert read_labels(rows) == rows


def test_named_tasks_use_names_as_they_are_compared():
    for task in named_rules():
        names = task.positive if isinstance(task.negative, str) else task.positive + task.negative
        assert len(set(names)) == len(names)
        assert all(name == name.casefold() for name in names)
    assert [task.name for task in named_rules()] == [
        "bacterial vs viral pneumonia",
        "bone tumor vs none",
        "malignant vs benign bone tumor",
        "heart and vessels",
        "arthritis",
        "wrist fracture",
    ]


def test_a_task_without_a_rule_has_no_prompts():
    task = discover_findings(CHEST, min_positives=2)[0]
    assert task.require_rule().prompts == task.rule.prompts
    with pytest.raises(ValueError, match="bacterial vs viral pneumonia has no prompts"):
        replace(task, rule=None).require_rule()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"findings": [], "region": "hip"}], "no column source, patient_id"),
        ([make_row([], region="hipp")], "row 0 has region 'hipp'"),
        ([make_row([], region=23)], "row 0 has region 23"),
    ],
)
def test_rows_that_are_not_triplets_are_errors(rows, words):
    with pytest.raises(ValueError, match=words):
        discover_findings(rows)


def test_a_task_refuses_an_unknown_kind_of_negative():
    with pytest.raises(ValueError, match="'normal' or 'rest', got 'viral'"):
        FindingRule("t", ("bacterial",), "viral", prompt_pair("bacterial"))
    with pytest.raises(ValueError, match="min_positives"):
        discover_findings(CHEST, min_positives=0)
