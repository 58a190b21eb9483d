"""Classifiers of real films recognise what was drawn well, and nothing where the films are of other rows."""

import dataclasses

import numpy as np
import pytest

from pedclip.synthesis.quality.agreement import learnable_findings
from pedclip.synthesis.quality.classifiers import fit_classifiers
from pedclip.synthesis.quality.encoders import film_encoder
from pedclip.synthesis.quality.floors import floor_films
from tests.synthesis.quality.drawn_films import DrawnModel, drawn_films, redrawn

TRAIN = drawn_films(240, 1)
TEST = drawn_films(120, 2, first_patient=1000)


def features(films):
    return film_encoder("drawn", DrawnModel()).features(films.images, compared_at=32)


@pytest.fixture(scope="module")
def classifiers():
    return fit_classifiers(features(TRAIN), TRAIN, learnable_findings(TRAIN))


def test_good_synthetic_films_are_recognised_as_real_ones_are(classifiers):
    synthetic = dataclasses.replace(TRAIN, images=redrawn(TRAIN.texts, 9))
    for films in (TEST, synthetic):
        regions = classifiers.region_accuracy(features(films), films)
        assert regions.accuracy.value > 0.9
        assert regions.accuracy.low > 0.8 > 2 * regions.chance
        assert regions.macro == pytest.approx(regions.accuracy.value, abs=0.05)
        assert regions.num_regions == len(regions.by_region) == 4
        assert np.mean([share for share, _ in regions.by_region.values()]) == pytest.approx(regions.macro)
        assert sum(count for _, count in regions.by_region.values()) == len(films)
        assert regions.chance == pytest.approx(np.bincount(films.regions).max() / len(films))
        found = classifiers.finding_agreement(features(films), films)
        assert found.macro.low > 0.9
        assert [one.name for one in found.findings] == ["fracture"]


@pytest.mark.parametrize("kind", ["shuffled", "noise"])
def test_bad_films_are_not_recognised(classifiers, kind):
    films = floor_films(TEST, kind)
    regions = classifiers.region_accuracy(features(films), films)
    assert regions.accuracy.high < 0.5
    found = classifiers.finding_agreement(features(films), films)
    assert found.macro.low < 0.5 < found.macro.high


def test_collapsed_films_keep_the_region_and_lose_the_finding(classifiers):
    films = floor_films(TEST, "collapsed")
    assert classifiers.region_accuracy(features(films), films).accuracy.value > 0.7
    assert classifiers.finding_agreement(features(films), films).macro.value < 0.75


def test_a_region_that_training_has_not_shown_is_wrong(classifiers):
    elsewhere = dataclasses.replace(TEST, regions=TEST.regions + 10)
    found = classifiers.region_accuracy(features(TEST), elsewhere)
    assert found.accuracy.value == found.macro == 0


def test_regions_are_those_of_the_films_whatever_their_numbers():
    shift = np.array([7, 2, 20, 11])
    train, test = (dataclasses.replace(films, regions=shift[films.regions]) for films in (TRAIN, TEST))
    fitted = fit_classifiers(features(train), train, {})
    assert fitted.region_accuracy(features(test), test).accuracy.value > 0.9
    with pytest.raises(ValueError, match="no finding of the training films is frequent enough"):
        fitted.finding_agreement(features(test), test)


def test_what_cannot_be_fitted_is_refused():
    one = features(TRAIN)
    with pytest.raises(ValueError, match="240 films, got 10"):
        fit_classifiers(one[:10], TRAIN, {})
    with pytest.raises(ValueError, match="at least 2, got 1"):
        fit_classifiers(one, dataclasses.replace(TRAIN, regions=np.zeros(240, int)), {})
    with pytest.raises(ValueError, match="at least 2 patients, got 1"):
        fit_classifiers(one, dataclasses.replace(TRAIN, patients=["p"] * 240), {})


def test_the_patients_that_choose_are_not_fitted_on(monkeypatch):
    seen = {}

    def record(train, validation, **options):
        seen[options["kind"]] = set(train.patients.tolist()), set(validation.patients.tolist())

    monkeypatch.setattr("pedclip.synthesis.quality.classifiers.fit_probe", record)
    fit_classifiers(features(TRAIN), TRAIN, learnable_findings(TRAIN), seed=3)
    assert set(seen) == {"multi-class", "multi-label"}
    for fitted, chosen in seen.values():
        assert not fitted & chosen
        assert fitted | chosen == set(TRAIN.patients)
        assert len(chosen) == round(0.2 * len(set(TRAIN.patients)))
