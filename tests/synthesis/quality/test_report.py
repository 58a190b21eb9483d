"""Every number of a report moves the right way: good films near the ceiling, bad ones away from it, each in its way."""

import dataclasses
import json

import numpy as np
import pytest

from pedclip.artefacts import write_json
from pedclip.evaluation.tasks.patient_split import PatientLeak
from pedclip.synthesis.quality import QualityReport, QualitySettings, quality_report
from pedclip.synthesis.quality.encoders import PIXELS, film_encoder
from pedclip.synthesis.quality.entries import Entry
from tests.synthesis.quality.drawn_films import DrawnModel, drawn_films, redrawn

TRAIN = drawn_films(240, 1)
TEST = drawn_films(160, 2, first_patient=1000)
SETTINGS = QualitySettings(num_resamples=60, subset_size=40, num_subsets=30)
ZERO_SHOT = "AUC of findings, zero-shot"
FITTED = "AUC of findings, classifier of real films"


def seeds_of(images):
    return [dataclasses.replace(TRAIN, images=one) for one in images]


@pytest.fixture(scope="module")
def report() -> QualityReport:
    synthetic = {
        "good": seeds_of([redrawn(TRAIN.texts, seed) for seed in (11, 12)]),
        "copies": seeds_of([TRAIN.images, np.roll(TRAIN.images, 1, axis=2)]),
    }
    return quality_report(
        TRAIN,
        TEST,
        synthetic,
        model=DrawnModel(),
        model_name="drawn",
        neutral=film_encoder("doubled", DrawnModel(scale=2.0)),
        settings=SETTINGS,
    )


@pytest.fixture(scope="module")
def value(report):
    table = report.table()

    def find(arm, measure, column="value", **where):
        rows = table[(table.arm == arm) & table.measure.str.startswith(measure) & table.encoder.isin(["drawn", ""])]
        for name, wanted in where.items():
            rows = rows[rows[name].str.startswith(wanted)]
        assert len(rows) == 1, (arm, measure, len(rows))
        return rows.iloc[0][column]

    return find


def distance(value, arm):
    return value(arm, "Fréchet distance")


def test_distances_are_smallest_where_films_are_real(value):
    for measure in ("Fréchet distance", "kernel distance"):
        ceiling, good = value("real test", measure), value("good", measure)
        # Thumbnails of 8 pixels see little of a blur.
        for floor, factor in (("noise", 2), ("blurred", 1.3), ("collapsed", 2)):
            assert value(floor, measure) > factor * max(ceiling, good, 0), (measure, floor)
    # The very films in another order are at the same distance.
    assert distance(value, "shuffled") == pytest.approx(distance(value, "real test"))
    # Copies are better than real films, which is how they give themselves away.
    assert distance(value, "copies") < 0.5 * distance(value, "real test")
    assert value("good", "kernel distance", "detail") == "30 subsets of 40"
    assert value("good", "kernel distance", "low") < value("good", "kernel distance", "high")


def test_precision_and_recall_fail_apart(value):
    for measure in ("precision", "recall", "density", "coverage"):
        assert value("good", measure) > 0.8 * value("real test", measure)
    for measure in ("precision", "density", "coverage"):
        assert value("noise", measure) < 0.2
    # Noise is far from itself: its balls are so large that all real films are inside.
    assert value("noise", "recall") > 0.9
    assert value("collapsed", "precision") > 0.7
    assert value("collapsed", "recall") < 0.1 < 0.6 < value("real test", "recall")
    assert value("collapsed", "coverage") < 0.5 * value("real test", "coverage")
    assert value("good", "precision", "detail") == "k = 5"


def test_agreement_is_at_chance_where_texts_are_of_other_films(value):
    arms = ("good", "real test", "shuffled")
    ranks = [value(arm, "rank of own text in its region") for arm in arms]
    areas = [[value(arm, measure, detail="mean") for arm in arms] for measure in (ZERO_SHOT, FITTED)]
    for good, ceiling, shuffled in (ranks, *areas):
        assert good > 0.9 * ceiling > 0.8
        # Four standard errors of 160 films.
        assert shuffled == pytest.approx(0.5, abs=0.16)
    regions = [value(arm, "region accuracy") for arm in ("good", "real test", "shuffled", "noise")]
    assert min(regions[:2]) > 0.9
    assert max(regions[2:]) < 0.5
    assert value("good", "region accuracy", "note").startswith("chance 0.")


def test_diversity_tells_one_film_per_region_from_many(value):
    for measure in ("MS-SSIM (2 scales)", "pixel difference", "feature difference"):
        name = f"{measure}, pairs of a region"
        # Other films of other patients: the intervals meet.
        assert value("good", name, "low") < value("real test", name, "high")
        assert value("real test", name, "low") < value("good", name, "high")
        if measure.startswith("MS-SSIM"):
            assert value("collapsed", name) > 0.999 > 2 * value("real test", name)
        else:
            assert value("collapsed", name) < 1e-5 < 0.1 < value("real test", name)
    # Films of one text differ less than films of one region; a copy and its shift hardly differ at all.
    assert value("good", "pixel difference, pairs of a text") < value("good", "pixel difference, pairs of a region")
    assert value("copies", "pixel difference, pairs of a text") < value("good", "pixel difference, pairs of a text")


def test_copies_alone_are_flagged(report, value):
    flagged = {arm for arm, found in report.memorisation.items() if any(one.is_flagged for one in found)}
    assert "copies" in flagged
    assert not flagged & {"good", "real test", "blurred", "shuffled", "noise"}
    assert [one.space.split(" (")[0] for one in report.memorisation["copies"]] == ["drawn", "doubled", PIXELS]
    assert all(one.is_flagged for one in report.memorisation["copies"])
    assert value("copies", "near copies", "note", detail=PIXELS).startswith("flagged: 1.000 of patients, limit 0.")
    assert value("good", "near copies", "note", detail=PIXELS).startswith("not flagged")
    assert value("real test", "nearer to one", detail=PIXELS) == pytest.approx(0.5, abs=0.12)
    nearest = report.memorisation["copies"][2].copies[0]
    assert nearest.synthetic == nearest.training
    assert nearest.distance == 0


def test_every_arm_has_equally_many_films_in_what_depends_on_their_number(report):
    table = report.table()
    depending = table[table.measure.isin(["Fréchet distance", "kernel distance", "precision", "density", "coverage"])]
    assert set(depending.num_films) == {160} == {report.num_compared}
    assert report.num_training == 240


def test_every_number_has_its_encoder_and_its_direction(report):
    table = report.table()
    assert list(table.columns) == [field.name for field in dataclasses.fields(Entry)]
    assert set(table.encoder) == {"drawn", "doubled", ""}
    assert set(report.encoders) == {"drawn", "doubled"}
    assert report.encoders["drawn"] != report.encoders["doubled"]
    assert set(table[table.encoder == ""].measure.str.split(",").str[0]) >= {"pixel difference", "near copies"}
    assert set(table.better) == {"lower", "higher", "near 0.5", "near the ceiling"}
    assert dict(zip(table.arm, table.role, strict=True)) == {
        "good": "synthetic", "copies": "synthetic", "real test": "ceiling",
        "noise": "floor", "blurred": "floor", "collapsed": "floor", "shuffled": "floor",
    }  # fmt: skip
    # Few films for so many features: each such number says so itself.
    notes = table[table.measure == "Fréchet distance"]
    assert (notes.num_films > 64).all()
    assert (notes.note == "").all()
    # The length of an embedding is none of its features.
    rows = table[(table.measure == "Fréchet distance") & (table.arm == "noise")].value
    assert rows.iloc[0] == pytest.approx(rows.iloc[1], rel=1e-3)


def test_the_report_is_json_and_says_what_was_compared(report, tmp_path):
    path = write_json(tmp_path / "quality.json", report.to_dict())
    content = json.loads(path.read_text())
    assert content["resolution"]["good"] == {"real": 32, "synthetic": 32, "compared_at": 32}
    assert content["shared_texts"] == {"good": 1.0, "copies": 1.0}
    assert content["num_constant"] == {"good": 0, "copies": 0}
    assert len(content["entries"]) == len(report.entries)
    assert content["memorisation"]["copies"][0]["is_flagged"] is True


def test_larger_real_films_are_reduced_for_every_arm():
    train, test = (drawn_films(60, seed, first_patient=100 * seed, size=64) for seed in (1, 2))
    films = dataclasses.replace(train, images=redrawn(train.texts, 3))
    films.images[5] = 77
    settings = QualitySettings(num_resamples=2, subset_size=20, num_subsets=5, min_patients=2, floors=("blurred",))
    found = quality_report(train, test, {"small": [films]}, model=DrawnModel(), model_name="drawn", settings=settings)
    assert str(found.resolution["small"]) == "real films of 64 and synthetic ones of 32 pixels, compared at 32"
    assert found.num_constant == {"small": 1}
    table = found.table()
    assert set(table.arm) == {"small", "real test", "blurred"}
    # One seed has no pairs of a text, and fewer films than features give a warning.
    assert not table.measure.str.contains("pairs of a text").any()
    assert table[table.measure == "Fréchet distance"].note.str.startswith("60 films for 64 features").all()


def changed(**changes):
    return [dataclasses.replace(TRAIN, **changes)]


@pytest.mark.parametrize(
    ("synthetic", "message"),
    [
        ({}, "at least one generator"),
        ({"a": []}, "at least one generation seed"),
        ({"blurred": [TRAIN]}, "another arm is called blurred"),
        ({"real test": [TRAIN]}, "another arm is called real test"),
        ({"a": [TRAIN, *changed(texts=TRAIN.texts[::-1])]}, "a: the films of all generation seeds must be of the same"),
        ({"a": [TRAIN, *changed(images=np.zeros((240, 8, 8), np.uint8))]}, "must have one size"),
        ({"a": changed(findings=())}, "some of the films carry findings and some do not"),
    ],
)
def test_films_that_do_not_belong_together_are_refused(synthetic, message):
    with pytest.raises(ValueError, match=message):
        quality_report(TRAIN, TEST, synthetic, model=DrawnModel(), model_name="drawn", settings=SETTINGS)


def test_a_patient_of_both_parts_is_refused():
    with pytest.raises(PatientLeak, match="80 patients are in both"):
        quality_report(
            TRAIN, drawn_films(160, 3), {"a": [TRAIN]}, model=DrawnModel(), model_name="drawn", settings=SETTINGS
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_resamples": 0}, "num_resamples must be at least 1, got 0"),
        ({"subset_size": 1}, "subset_size must be at least 2, got 1"),
        ({"min_patients": 1}, "min_patients must be at least 2"),
        ({"floors": ("noise", "rain")}, "floors must be of noise, blurred, collapsed, shuffled, got rain"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        QualitySettings(**options)
