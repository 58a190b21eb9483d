import hashlib
import io
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from datasets import DatasetDict
from PIL import Image

from pedclip.anatomy import REGIONS
from pedclip.data.phantom import FINDINGS, LESIONS, generate, render
from pedclip.data.phantom.anatomy_shapes import build, views_of
from pedclip.data.phantom.population import deck, plan_study
from pedclip.data.phantom.render import Exposure, RenderSpec, attenuation
from pedclip.data.phantom.reports import grammar, terms
from pedclip.data.phantom.scene import Scene, blob
from pedclip.data.phantom.shapes import Pose, project, stack
from pedclip.data.phantom.study import draw_study
from pedclip.data.schema import FEATURES

SIZE = 64
_NEGATED = re.compile(r"\b(no|without|negative for)\b", re.IGNORECASE)
_FINGERPRINT = (
    "import hashlib;from pedclip.data.phantom.study import draw_study;"
    "print(hashlib.sha256(repr([draw_study(k,seed=3,size=48) for k in range(12)]).encode()).hexdigest())"
)


@pytest.fixture(scope="module")
def phantom() -> DatasetDict:
    return generate(studies=200, seed=0, size=SIZE)


def _rows(phantom: DatasetDict) -> list[dict[str, Any]]:
    return [row for split in phantom.values() for row in split]


def _drawn(region: str, age: float, *, mirror: bool = False) -> np.ndarray:
    """Noiseless attenuation, (256, 256)."""
    scene = build(region, age=age, sex="F", view=views_of(region)[0], rng=np.random.default_rng(0))
    return attenuation([project(stack(scene.shapes), Pose(turn=scene.turn, mirror=mirror))], 256)[0].numpy()


def test_the_same_bytes_in_another_process() -> None:
    here = hashlib.sha256(repr([draw_study(k, seed=3, size=48) for k in range(12)]).encode()).hexdigest()
    there = subprocess.run([sys.executable, "-c", _FINGERPRINT], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_a_study_does_not_depend_on_the_number_of_studies(phantom: DatasetDict) -> None:
    few = {row["image_id"]: row for row in _rows(generate(studies=10, seed=0, size=SIZE))}
    many = {row["image_id"]: row for row in _rows(phantom)}
    assert len(few) >= 10
    for name, row in few.items():
        assert row["image"].tobytes() == many[name]["image"].tobytes()
        assert row["text"] == many[name]["text"]
        assert row["boxes"] == many[name]["boxes"]


def test_another_seed_gives_other_patients_and_pixels() -> None:
    one, two = draw_study(0, seed=0, size=48)[0], draw_study(0, seed=1, size=48)[0]
    assert one["image"]["bytes"] != two["image"]["bytes"]
    assert one["patient_id"] != two["patient_id"]


def test_schema_and_identifiers(phantom: DatasetDict) -> None:
    assert list(phantom) == ["train", "validation", "test"]
    assert all(split.features == FEATURES for split in phantom.values())
    rows = _rows(phantom)
    assert len({row["image_id"] for row in rows}) == len(rows)
    assert {row["image"].size for row in rows} == {(SIZE, SIZE)}
    assert {row["image"].mode for row in rows} == {"L"}
    assert all(0 <= row["age_months"] <= 216 for row in rows)
    assert all(row["text"] and row["findings"] is not None and row["boxes"] is not None for row in rows)
    by_study: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_study.setdefault(row["study_id"], []).append(row)
    assert {len(images) for images in by_study.values()} == {1, 2, 3}
    studies_of: dict[str, set[str]] = {}
    for row in rows:
        studies_of.setdefault(row["patient_id"], set()).add(row["study_id"])
    assert {len(studies) for studies in studies_of.values()} == {1, 2, 3}


def test_no_patient_is_in_two_splits(phantom: DatasetDict) -> None:
    patients = [set(split["patient_id"]) for split in phantom.values()]
    assert all(patients)
    assert len(set.union(*patients)) == sum(len(split) for split in patients)


def test_regions_come_in_the_documented_shares(phantom: DatasetDict) -> None:
    assert {row["region"] for row in _rows(phantom)} == set(range(len(REGIONS)))
    cards = deck()
    shares = {region: cards.count(region) / len(cards) for region in REGIONS}
    assert len(cards) == 200
    assert min(shares.values()) >= 0.015
    assert shares["chest"] + shares["wrist"] + shares["forearm"] == pytest.approx(0.46, abs=0.005)


def test_half_of_the_studies_are_abnormal_and_every_finding_occurs() -> None:
    plans = [plan_study(number, seed=0) for number in range(3000)]
    # Binomial standard error 0.009: five of them.
    assert np.mean([bool(plan.findings) for plan in plans]) == pytest.approx(0.5, abs=0.046)
    assert {finding.name for plan in plans for finding in plan.findings} == set(FINDINGS)
    assert all(plan.region in FINDINGS[finding.name] for plan in plans for finding in plan.findings)


def test_boxes_name_the_findings_and_lie_inside_the_image(phantom: DatasetDict) -> None:
    rows = _rows(phantom)
    assert sum(bool(row["boxes"]) for row in rows) > 100
    for row in rows:
        assert {box["label"] for box in row["boxes"]} == set(row["findings"])
        for box in row["boxes"]:
            assert box["x"] >= 0
            assert box["y"] >= 0
            assert box["width"] >= 1
            assert box["height"] >= 1
            assert box["x"] + box["width"] <= SIZE
            assert box["y"] + box["height"] <= SIZE


def test_mask_spans_exactly_the_boxes_of_lesions(phantom: DatasetDict) -> None:
    rows = _rows(phantom)
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


@pytest.mark.parametrize("finding", sorted(FINDINGS))
def test_a_finding_changes_the_pixels_in_its_box(finding: str) -> None:
    from pedclip.data.phantom.finding import Finding
    from pedclip.data.phantom.findings import apply

    for region in FINDINGS[finding]:
        scenes = [
            build(region, age=8.0, sex="M", view=views_of(region)[0], rng=np.random.default_rng(0)) for _ in range(2)
        ]
        apply(scenes[1], Finding(finding, 0.8, 0.5, 0.5, 1, 0.6))
        pose = Pose(turn=scenes[0].turn, scale=0.9)
        before, after = attenuation([project(stack(scene.shapes), pose) for scene in scenes], 128).numpy()
        extents = [shape for _, shape in scenes[1].extents]
        inside = attenuation([project(stack(extents), pose)], 128)[0].numpy() > 0.05
        changed = np.abs(after - before)
        assert inside.any()
        assert changed[inside].max() > 0.1, region
        assert changed[inside].mean() > 2 * changed[~inside].mean(), region


def test_texts_assert_what_is_there_and_nothing_else() -> None:
    names = {term.lower(): name for name in FINDINGS for term in terms(name)}
    for number in range(600):
        plan = plan_study(number, seed=5)
        text = _text_of(number)
        present = {finding.name for finding in plan.findings}
        for name in present:
            assert any(term.lower() in text.lower() for term in terms(name)), (name, text)
        for sentence in re.split(r"(?<=[.:;])\s", text):
            if not _NEGATED.search(sentence):
                asserted = {name for term, name in names.items() if term in sentence.lower()}
                # A compression fracture is a fracture, a pleural effusion an effusion.
                heads = {name.split()[-1] for name in present}
                assert all(name in present or name.split()[-1] in heads for name in asserted), (plan.findings, text)
            elif sentence.lower().startswith(("no ", "there is no ")):
                denied = {name for name in present if re.search(rf"\b{name}\b", sentence.lower())}
                assert not denied, text


def _text_of(number: int) -> str:
    from pedclip.data.phantom import findings
    from pedclip.data.phantom.reports import excerpt

    plan = plan_study(number, seed=5)
    scene = build(plan.region, age=plan.age, sex=plan.sex, view=plan.views[0], rng=np.random.default_rng(0))
    sites = [findings.apply(scene, finding) for finding in plan.findings]
    return excerpt(plan, sites, np.random.default_rng(number))


def test_texts_vary_and_usually_name_the_region(phantom: DatasetDict) -> None:
    texts = [_text_of(number) for number in range(400)]
    assert len(set(texts)) > 300
    assert len({word for text in texts for word in re.findall(r"[a-z]+", text.lower())}) > 250
    named = [
        any(noun.lower() in text.lower() for noun in grammar()["nouns"].get(region, [region.replace("_", " ")]))
        for text, region in zip(texts, (plan_study(number, seed=5).region for number in range(400)), strict=True)
    ]
    assert 0.6 < np.mean(named) < 0.97


def test_right_is_the_mirror_image_of_left() -> None:
    left, right = _drawn("hand", 9.0), _drawn("hand", 9.0, mirror=True)
    assert np.abs(right - left[:, ::-1]).max() < 1e-3  # rounding of float32 on the mirrored grid
    assert np.abs(right - left).max() > 0.5
    # The thumb of the layout points to the right of the image.
    assert left[100:180, 185:].sum() > 2 * left[100:180, :71].sum()
    sides = {plan_study(number, seed=0).laterality for number in range(200) if plan_study(number, 0).region == "wrist"}
    assert sides == {"left", "right"}


def test_growth_plates_narrow_with_age() -> None:
    def lucent_pixels(age: float) -> int:
        column = _drawn("wrist", age)[156:215, 142:150].mean(1)  # from the epiphysis of the radius to its shaft
        return int((column < 0.7).sum())

    at_2, at_5, at_10, at_17 = (lucent_pixels(age) for age in (2.0, 5.0, 10.0, 17.0))
    assert at_2 > at_5 > at_10 > at_17
    assert at_17 == 0


def test_carpal_bones_appear_with_age() -> None:
    def carpals(age: float) -> int:
        names = {"capitate", "hamate", "triquetrum", "lunate", "scaphoid", "trapezium", "trapezoid"}
        scene = build("hand", age=age, sex="F", view="PA", rng=np.random.default_rng(0))
        return len(names & {shape.name for shape in scene.shapes})

    assert [carpals(age) for age in (0.1, 1.0, 4.5, 12.0)] == [0, 2, 4, 7]


def test_views_differ_in_geometry() -> None:
    for region in REGIONS:
        views = views_of(region)
        drawn = []
        for view in views[:2]:
            scene = build(region, age=8.0, sex="F", view=view, rng=np.random.default_rng(0))
            drawn.append(attenuation([project(stack(scene.shapes), Pose(turn=scene.turn))], 64)[0].numpy())
        assert np.abs(drawn[0] - drawn[1]).mean() > 0.01, region


def test_attenuation_of_a_ball_by_hand() -> None:
    scene = Scene(10.0, "F", "AP", np.random.default_rng(0))
    scene.add(blob("ball", (0.0, 0.0, 0.0), (0.5, 0.5), density=2.0, depth=1.0))
    image = attenuation([project(stack(scene.shapes), Pose())], 200)[0].numpy()
    # Chord of a ball with radius 0.5 at distance d, relative to the diameter: sqrt(1 - (d / 0.5)²).
    distance = 30.5 * 0.01
    assert image[100, 130] == pytest.approx(2.0 * np.sqrt(1 - (distance / 0.5) ** 2), rel=1e-3)
    assert image[100, 155] == 0


def test_a_batch_is_drawn_like_its_images_one_by_one() -> None:
    specs = []
    for number, region in enumerate(("hand", "chest", "skull")):
        scene = build(region, age=6.0, sex="F", view=views_of(region)[0], rng=np.random.default_rng(0))
        specs.append(RenderSpec(project(stack(scene.shapes), Pose(turn=scene.turn)), Exposure(seed=number)))
    together = render(specs, 72)  # not a multiple of the tile
    single = np.concatenate([render([spec], 72) for spec in specs])
    assert together.shape == (3, 72, 72)
    assert np.abs(together.astype(int) - single.astype(int)).max() <= 1  # rounding to grey levels


def test_bone_is_bright_on_a_dark_background() -> None:
    image = np.asarray(Image.open(io.BytesIO(draw_study(_first("femur"), seed=0, size=96)[0]["image"]["bytes"])))
    assert image[:, :4].mean() < 40
    assert np.percentile(image, 99) > 180


def _first(region: str) -> int:
    return next(number for number in range(400) if plan_study(number, seed=0).region == region)


@pytest.mark.parametrize(("name", "value", "least"), [("studies", 0, "1"), ("size", 8, "32"), ("seed", -1, "0")])
def test_arguments_out_of_range(name: str, value: int, least: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be at least {least}.*got {value}"):
        generate(**{"studies": 1, name: value})


def test_render_refuses_a_size_below_the_least() -> None:
    with pytest.raises(ValueError, match="size must be at least 32 pixels, got 8"):
        render([], 8)
