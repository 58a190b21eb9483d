"""Triplets of whole studies: identifiers, splits, truth, and the same bytes however they are made."""

import hashlib
import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from datasets import DatasetDict
from PIL import Image

from pedclip.anatomy import REGIONS
from pedclip.data.phantom import LESIONS
from pedclip.data.phantom.population import plan_study
from pedclip.data.phantom.study import draw_studies, draw_study
from pedclip.triplets.annotations import BONE, LUNG
from pedclip.triplets.schema import FEATURES
from tests.data.phantom.conftest import SIZE

_FINGERPRINT = (
    "import hashlib;from pedclip.data.phantom.study import draw_study;"
    "print(hashlib.sha256(repr([draw_study(k,seed=3,size=48) for k in range(12)]).encode()).hexdigest())"
)


def test_the_same_bytes_in_another_process_and_alone() -> None:
    together = draw_studies(range(12), seed=3, size=48)
    here = hashlib.sha256(repr(together).encode()).hexdigest()
    there = subprocess.run([sys.executable, "-c", _FINGERPRINT], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_another_seed_gives_other_patients_and_pixels() -> None:
    one, two = draw_study(0, seed=0, size=48)[0], draw_study(0, seed=1, size=48)[0]
    assert one["image"]["bytes"] != two["image"]["bytes"]
    assert one["patient_id"] != two["patient_id"]


def test_schema_and_identifiers(phantom: DatasetDict, rows: list[dict[str, Any]]) -> None:
    assert list(phantom) == ["train", "validation", "test"]
    assert all(split.features == FEATURES for split in phantom.values())
    assert len({row["image_id"] for row in rows}) == len(rows)
    assert {row["image"].size for row in rows} == {(SIZE, SIZE)}
    assert {row["image"].mode for row in rows} == {"L"}
    assert {row["region"] for row in rows} == set(range(len(REGIONS)))
    for row in rows:
        plan = plan_study(int(row["study_id"].rpartition("s")[2]), 0)
        part = next(p for p in plan.parts if (p.region, p.laterality) == (REGIONS[row["region"]], row["laterality"]))
        assert row["view"] in part.views
        assert row["findings"] == [finding.name for finding in part.findings]
        assert row["severity"] == pytest.approx([finding.severity for finding in part.findings])
        assert row["age_months"] == pytest.approx(12 * plan.age, rel=1e-5)
        assert row["bone_age_months"] == pytest.approx(12 * plan.bone_age, rel=1e-5, abs=1e-5)


def test_boxes_name_the_findings_and_lie_inside_the_image(rows: list[dict[str, Any]]) -> None:
    assert sum(bool(row["boxes"]) for row in rows) > 100
    is_complete = [{box["label"] for box in row["boxes"]} == set(row["findings"]) for row in rows]
    assert np.mean(is_complete) > 0.97  # the collimator may cut a finding off
    for row in rows:
        for box in row["boxes"]:
            assert box["label"] in row["findings"]
            assert min(box["x"], box["y"]) >= 0
            assert min(box["width"], box["height"]) >= 1
            assert box["x"] + box["width"] <= SIZE
            assert box["y"] + box["height"] <= SIZE


def test_mask_spans_exactly_the_boxes_of_lesions(rows: list[dict[str, Any]]) -> None:
    assert sum(row["mask"] is not None for row in rows) > 40
    for row in rows:
        boxes = [box for box in row["boxes"] if box["label"] in LESIONS]
        assert (row["mask"] is not None) == bool(boxes)
        if boxes:
            mask = np.asarray(row["mask"])
            assert set(np.unique(mask)) == {0, 255}
            ys, xs = np.nonzero(mask)
            assert xs.min() == min(box["x"] for box in boxes)
            assert ys.min() == min(box["y"] for box in boxes)
            assert xs.max() + 1 == max(box["x"] + box["width"] for box in boxes)
            assert ys.max() + 1 == max(box["y"] + box["height"] for box in boxes)


def test_structures_are_bone_everywhere_and_lung_in_the_chest(rows: list[dict[str, Any]]) -> None:
    num_chest = 0
    for row in rows:
        labels = np.asarray(row["structures"])
        assert labels.max() <= BONE | LUNG
        assert (labels & BONE).any()
        is_chest = REGIONS[row["region"]] == "chest"
        if REGIONS[row["region"]] in ("hand", "femur", "knee", "skull"):
            assert not (labels & LUNG).any()
        if is_chest and row["view"] in ("AP", "PA"):
            num_chest += 1
            share = ((labels & LUNG) > 0).mean()
            assert 0.05 < share < 0.6
            assert (labels == BONE | LUNG).any()  # ribs in front of lung
    assert num_chest > 20


def test_bone_is_brighter_than_what_surrounds_it(rows: list[dict[str, Any]]) -> None:
    brighter = []
    for row in rows:
        if REGIONS[row["region"]] in ("femur", "forearm", "tibia_fibula", "humerus"):
            pixels, bone = np.asarray(row["image"], float), np.asarray(row["structures"]) == BONE
            brighter.append(pixels[bone].mean() > pixels[~bone].mean())
    assert len(brighter) > 20
    assert np.mean(brighter) > 0.9


def test_images_are_gray_png() -> None:
    row = draw_study(0, seed=0, size=SIZE)[0]
    with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
        assert (image.format, image.mode) == ("PNG", "L")
