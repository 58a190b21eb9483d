"""Which tasks a set of triplets can answer, and with which images."""

from typing import Any

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from PIL import Image

from pedclip.evaluation.crop import read_truth
from pedclip.evaluation.downstream.probes import probe
from pedclip.evaluation.result import Scoring
from pedclip.evaluation.tasks.discover import discover_tasks
from pedclip.evaluation.tasks.patient_split import PatientLeak
from pedclip.evaluation.tasks.task import Task
from pedclip.triplets.annotations import BONE, LUNG
from pedclip.triplets.schema import FEATURES
from pedclip.triplets.splits import SPLITS
from pedclip.triplets.transforms import Preprocess

FILM = Image.new("L", (32, 32), 100)
MASK = Image.new("L", (32, 32), 255)
PREPROCESS = Preprocess(size=32, resize=32)


def make_triplets(**columns: list[Any]) -> DatasetDict:
    """Three splits with the same rows, of other patients."""
    count = len(next(iter(columns.values())))
    parts = {}
    for split in SPLITS:
        given = columns | {"patient_id": [f"{split}-{row}" for row in range(count)]}
        defaults = {"image": FILM, "text": "", "region": "chest", "source": "pack"}
        rows = {name: given.get(name, [defaults.get(name)] * count) for name in FEATURES}
        parts[split] = Dataset.from_dict(rows, features=FEATURES)
    return DatasetDict(parts)


def found_in(triplets: DatasetDict, **options: int) -> dict[str, Task]:
    return {task.name: task for task in discover_tasks(triplets, **options)}


def test_a_finding_is_asked_where_the_source_shows_it_and_of_labelled_images_only() -> None:
    findings = [["effusion"], ["effusion"], [], [], None, [], ["erosion"]]
    regions = ["chest"] * 5 + ["knee"] * 2
    tasks = found_in(make_triplets(findings=findings, region=regions), min_positives=2)
    task = tasks["findings (pack)"]
    assert task.classes == ("effusion",)  # a single erosion is too few
    assert task.rows["test"].tolist() == [0, 1, 2, 3]
    assert task.labels["test"].tolist() == [[1.0], [1.0], [0.0], [0.0]]
    assert tasks["body region"].rows["train"].tolist() == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("rare", [["effusion"], []])
def test_a_class_too_rare_in_training_or_test_is_not_asked(split: str, rare: list[str]) -> None:
    findings = [["effusion"], ["effusion"], [], []]
    triplets = make_triplets(findings=findings)
    common = [] if rare else ["effusion"]
    few = make_triplets(findings=[rare, common, common, common])
    triplets[split] = few[split]
    tasks = found_in(triplets, min_positives=2)
    # Validation chooses a penalty only, so a class may be rare there.
    assert ("findings (pack)" in tasks) == (split == "validation")
    assert "findings (pack)" in found_in(triplets, min_positives=1)


def test_two_findings_of_different_regions_leave_gaps_that_no_metric_counts() -> None:
    findings = [["effusion"], ["effusion"], [], [], ["erosion"], ["erosion"], [], []]
    regions = ["chest"] * 4 + ["knee"] * 4
    tasks = found_in(make_triplets(findings=findings, region=regions), min_positives=2)
    labels = tasks["findings (pack)"].labels["train"]
    assert tasks["findings (pack)"].classes == ("effusion", "erosion")
    assert np.isnan(labels[:4, 1]).all()
    assert np.isnan(labels[4:, 0]).all()
    assert tasks["chest findings (pack)"].rows["train"].tolist() == [0, 1, 2, 3]
    assert tasks["chest findings (pack)"].paper == "Pedi-CXR"
    assert tasks["arthritis (pack)"].rows["train"].tolist() == [4, 5, 6, 7]
    assert tasks["concepts (pack)"].classes == ("erosion",)


def test_a_source_of_chests_alone_has_one_task_of_findings_and_it_is_the_papers() -> None:
    findings = [["effusion"], ["effusion"], ["pneumonia"], ["pneumonia", "effusion"], [], []]
    tasks = found_in(make_triplets(findings=findings), min_positives=2)
    assert [(task.name, task.paper) for task in tasks.values()] == [("findings (pack)", "Pedi-CXR")]
    knees = found_in(make_triplets(findings=findings, region=["knee"] * 6), min_positives=2)
    assert knees["findings (pack)"].paper == ""


def test_a_source_of_other_patients_stands_for_no_column() -> None:
    findings = [["cardiomegaly"], ["cardiomegaly", "effusion"], ["effusion"], ["effusion"], [], []]
    for source, papers in (("nih-chestxray14", {""}), ("chd-cxr", {"CHD", ""}), ("pack", {"CHD", "Pedi-CXR"})):
        tasks = found_in(make_triplets(findings=findings, source=[source] * 6), min_positives=2)
        assert sorted(tasks) == [f"findings ({source})", f"heart and vessels ({source})"]
        assert {task.paper for task in tasks.values()} == papers


def test_as_many_films_without_a_pneumothorax_as_with_one_are_learned_from_and_all_are_tested() -> None:
    findings = [["pneumothorax"]] * 21 + [[]] * 63
    masks = [MASK] * 20 + [None] * 64  # one could not be read
    triplets = make_triplets(findings=findings, mask=masks, source=["siim-acr-pneumothorax"] * 84)
    task = found_in(triplets)["masks (siim-acr-pneumothorax)"]
    train, test = task.rows["train"], task.rows["test"]
    assert train[:20].tolist() == list(range(20))
    assert len(train) == 40
    assert train[20] == 21
    assert np.diff(train[20:]).max() <= 4  # spread over the table
    assert test.tolist() == [*range(20), *range(21, 84)]
    truth = read_truth(task, triplets, PREPROCESS)["test"]
    assert truth.any(axis=(1, 2)).tolist() == [True] * 20 + [False] * 63


COVIDX = [["covid-19"]] * 3 + [["pneumonia"]] * 2 + [[]] * 3 + [None, ["rare"]]


def test_findings_that_exclude_each_other_are_classes_too() -> None:
    tasks = found_in(
        make_triplets(findings=COVIDX, uncertain=[None] * 7 + [["pneumonia"], None, None]), min_positives=2
    )
    task = tasks["classes (pack)"]
    assert (task.kind, task.classes) == ("multi-class", ("no finding", "covid-19", "pneumonia"))
    assert task.rows["test"].tolist() == list(range(7))  # not the uncertain, the unlabelled and the rare one
    assert task.labels["test"].tolist() == [1, 1, 1, 2, 2, 0, 0]
    assert tasks["findings (pack)"].classes == ("covid-19", "pneumonia")


@pytest.mark.parametrize(
    ("findings", "regions"),
    [
        ([*COVIDX[:-1], ["covid-19", "pneumonia"]], ["chest"] * 10),  # both on one film
        (COVIDX, ["chest"] * 9 + ["knee"]),  # the region would tell
        (COVIDX[:3] * 2 + COVIDX[5:9], ["chest"] * 10),  # two classes
        ([["kl2"]] * 4 + [["kl3"]] * 3 + [[]] * 3, ["knee"] * 10),  # grades
        ([["a"]] * 4 + [["b"]] * 3 + [["c"]] * 3, ["chest"] * 10),  # nothing is normal
    ],
)
def test_other_findings_are_no_classes(findings: list[Any], regions: list[str]) -> None:
    assert "classes (pack)" not in found_in(make_triplets(findings=findings, region=regions), min_positives=2)


def test_an_uncertain_finding_takes_no_part_and_its_film_is_not_normal() -> None:
    findings = [["edema"], ["edema"], [], [], []]
    uncertain = [None, ["effusion"], None, [], ["edema"]]
    boxes = [[BOX | {"label": "edema"}]] * 20 + [[]] * 2
    task = found_in(make_triplets(findings=findings, uncertain=uncertain), min_positives=2)["findings (pack)"]
    assert task.rows["train"].tolist() == [0, 1, 2, 3]
    open_ones = {"findings": [["edema"]] * 20 + [[]] * 2, "uncertain": [None] * 21 + [["nodule"]], "boxes": boxes}
    assert found_in(make_triplets(**open_ones))["boxes (pack)"].rows["train"].tolist() == list(range(21))
    knees = {"findings": [[], [], ["kl2"], ["kl2"], []], "uncertain": [[], [], [], [], ["kl1"]], "region": ["knee"] * 5}
    grades = found_in(make_triplets(**knees), min_positives=2)["grade (pack)"]
    assert grades.labels["train"].tolist() == [0, 0, 2, 2]


def test_sources_are_asked_apart() -> None:
    findings = [["effusion"], ["effusion"], [], []] * 2
    sources = ["one"] * 4 + ["two"] * 4
    tasks = found_in(make_triplets(findings=findings, source=sources), min_positives=2)
    assert tasks["findings (one)"].rows["train"].tolist() == [0, 1, 2, 3]
    assert tasks["findings (two)"].rows["train"].tolist() == [4, 5, 6, 7]
    assert "findings" not in tasks


def test_the_wrist_is_the_paper_s_fracture_task() -> None:
    findings = [["fracture"], ["fracture"], [], [], ["fracture"], []]
    regions = ["wrist"] * 4 + ["ankle"] * 2
    task = found_in(make_triplets(findings=findings, region=regions), min_positives=2)["wrist fracture (pack)"]
    assert task.rows["test"].tolist() == [0, 1, 2, 3]
    assert task.paper == "GRAZPEDWRI-DX"


def test_grades_of_the_knee_count_a_normal_film_as_zero() -> None:
    findings = [[], [], ["KL1"], ["KL1"], ["KL2"], ["KL2"], None, ["other"]]
    tasks = found_in(make_triplets(findings=findings, region=["knee"] * 8), min_positives=2)
    assert tasks["grade (pack)"].labels["test"].tolist() == [0, 0, 1, 1, 2, 2]
    assert tasks["grade 2 or more (pack)"].labels["test"].ravel().tolist() == [0, 0, 0, 0, 1, 1]


def test_ages_of_children_and_adults_are_apart_and_bone_age_is_read_from_the_hand() -> None:
    ages = [float(month) for month in range(0, 480, 10)] + [None]
    regions = ["hand", "knee"] * 24 + ["hand"]
    tasks = found_in(make_triplets(age_months=ages, bone_age_months=ages, region=regions))
    assert tasks["age under 18 (pack)"].labels["test"].max() == 210
    assert tasks["age from 18 (pack)"].labels["test"].min() == 220
    assert set(tasks["bone age (pack)"].rows["test"] % 2) == {0}
    assert len(tasks["bone age (pack)"].rows["test"]) == 24


def test_masks_are_those_of_fractures_alone_where_there_are_enough() -> None:
    findings = [["fracture"]] * 20 + [["fracture", "effusion"]] * 5 + [[]]
    masks = [MASK] * 25 + [None]
    tasks = found_in(make_triplets(findings=findings, region=["wrist"] * 26, mask=masks))
    assert len(tasks["fracture masks (pack)"].rows["train"]) == 20
    assert "masks (pack)" not in tasks
    few = found_in(make_triplets(findings=[["tumor"]] * 25 + [[]], region=["knee"] * 26, mask=masks))
    assert len(few["masks (pack)"].rows["train"]) == 25


BOX = {"x": 4.0, "y": 8.0, "width": 8.0, "height": 16.0, "label": "fracture"}


def test_boxes_of_fractures_are_filled_in_where_a_source_has_no_mask() -> None:
    findings = [["fracture"]] * 15 + [["fracture", "cast"]] * 10 + [["fracture"], [], ["cast"]]
    boxes = [[BOX]] * 25 + [[], [], [BOX | {"label": "cast"}]]
    columns = {"findings": findings, "region": ["wrist"] * 28, "boxes": boxes}
    triplets = make_triplets(**columns)
    task = found_in(triplets)["fracture masks (pack)"]
    assert (task.kind, task.paper, task.classes) == ("masks", "GRAZPEDWRI-DX segmentation", ("fracture",))
    assert task.rows["train"].tolist() == list(range(25))  # beside a cast too, but none that nobody boxed
    masks = read_truth(task, triplets, PREPROCESS)["test"]
    assert masks[:, 8:24, 4:12].all()
    assert masks.sum() == 25 * 16 * 8
    drawn = found_in(make_triplets(**columns, mask=[None] * 27 + [MASK]))  # a single real mask
    assert not any(one.kind == "masks" for one in drawn.values())


def test_the_masks_of_opacities_have_films_without_one_where_the_protocol_says_so() -> None:
    opacity, rest = BOX | {"label": "lung opacity"}, ["abnormality other than lung opacity"]
    columns = {
        "findings": [["lung opacity"]] * 20 + [[], rest, ["lung opacity"], None],
        "boxes": [[opacity]] * 20 + [[]] * 4,
    }
    triplets = make_triplets(**columns, source=["rsna-pneumonia"] * 24)
    task = found_in(triplets)["lung opacity masks (rsna-pneumonia)"]
    assert task.rows["train"].tolist() == [*range(20), 20, 21]  # neither unboxed nor unlabelled ones
    assert read_truth(task, triplets, PREPROCESS)["train"].any(axis=(1, 2)).tolist() == [True] * 20 + [False] * 2
    other = found_in(make_triplets(**columns))["lung opacity masks (pack)"]
    assert other.rows["train"].tolist() == list(range(20))


def test_lungs_and_bones_come_from_their_flags() -> None:
    picture = np.full((32, 32), BONE, dtype=np.uint8)
    picture[:8] = BONE | LUNG
    triplets = make_triplets(region=["chest"] * 20 + ["knee"] * 20, structures=[Image.fromarray(picture)] * 40)
    tasks = found_in(triplets)
    lungs = read_truth(tasks["lungs (pack)"], triplets, PREPROCESS)["test"]
    assert lungs.shape == (20, 32, 32)
    assert lungs.mean() == pytest.approx(0.25)
    assert read_truth(tasks["bones (pack)"], triplets, PREPROCESS)["test"].all()
    with pytest.raises(ValueError, match="body region is of multi-class"):
        read_truth(tasks["body region"], triplets, PREPROCESS)


def test_a_finding_without_a_box_is_no_negative_for_boxes() -> None:
    box = {"x": 1, "y": 1, "width": 8, "height": 8, "label": "effusion"}
    boxes = [[box]] * 20 + [[]] * 4 + [[box | {"label": "rare"}]]
    findings = [["effusion"]] * 20 + [[], [], ["effusion"], None, ["rare"]]
    task = found_in(make_triplets(findings=findings, boxes=boxes))["boxes (pack)"]
    assert task.classes == ("effusion",)
    assert task.rows["train"].tolist() == [*range(20), 20, 21]


def test_a_mask_is_found_after_rows_were_chosen() -> None:
    triplets = make_triplets(findings=[["tumor"]] * 30, region=["knee"] * 30, mask=[None] * 10 + [MASK] * 20)
    shuffled = DatasetDict({split: part.select(range(29, -1, -1)) for split, part in triplets.items()})
    assert found_in(shuffled)["masks (pack)"].rows["test"].tolist() == list(range(20))


def test_sides_are_split_by_patient() -> None:
    findings = [["effusion"], ["effusion"], [], []]
    task = found_in(make_triplets(findings=findings), min_positives=2)["findings (pack)"]
    features = {split: np.arange(8.0).reshape(4, 2) for split in SPLITS}
    patients = {split: np.array([f"{split}{row}" for row in range(4)]) for split in SPLITS}
    result = probe(task, task.split(features, patients), Scoring(task.name, "linear probe", num_resamples=20))
    assert result.score.value == 1.0  # the effusions come first, and the features rise
    with pytest.raises(PatientLeak):
        task.split(features, patients | {"test": patients["train"]})


def test_the_smaller_task_is_spread_over_the_images_and_keeps_rows_labels_and_test() -> None:
    findings = [["effusion"]] * 4 + [[]] * 4
    task = found_in(make_triplets(findings=findings), min_positives=2)["findings (pack)"].at_most(4)
    assert {split: rows.tolist() for split, rows in task.rows.items()} == {
        "train": [0, 2, 4, 6], "validation": [0], "test": list(range(8)),
    }  # fmt: skip
    assert task.labels["train"].ravel().tolist() == [1, 1, 0, 0]
    assert task.at_most(100).rows["train"].tolist() == [0, 2, 4, 6]


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="min_positives must be at least 1, got 0"):
        discover_tasks(make_triplets(findings=[[]]), min_positives=0)
