"""Agreement with texts against loops, and at chance where texts were shuffled."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pedclip.evaluation.embeddings import embed_texts
from pedclip.synthesis.quality.agreement import (
    finding_agreement,
    finding_labels,
    learnable_findings,
    text_agreement,
    zero_shot_scores,
)
from pedclip.synthesis.quality.encoders import film_encoder
from pedclip.synthesis.quality.floors import floor_films
from pedclip.triplets.arrays import TripletArrays
from tests.synthesis.quality.drawn_films import DrawnModel, drawn_films

MODEL = DrawnModel()
FILMS = drawn_films(200, 3)


def image_of(films):
    return film_encoder("drawn", MODEL).features(films.images, compared_at=32)


def rows(texts, regions, findings=()):
    count = len(texts)
    patients = [f"p{row}" for row in range(count)]
    return TripletArrays(np.zeros((count, 4, 4), np.uint8), texts, np.asarray(regions), patients, findings=findings)


def rank_by_loops(image, text, films, *, same_region):
    of_text = {}
    for row, one in enumerate(films.texts):
        of_text.setdefault(one, text[row])
    regions_of = {one: {int(r) for r, t in zip(films.regions, films.texts, strict=True) if t == one} for one in of_text}
    shares = []
    for row, own in enumerate(films.texts):
        others = [one for one in of_text if one != own and (not same_region or films.regions[row] in regions_of[one])]
        if others:
            mine = image[row] @ of_text[own]
            theirs = [image[row] @ of_text[one] for one in others]
            shares.append(np.mean([1.0 if one < mine else 0.5 if one == mine else 0.0 for one in theirs]))
    return np.mean(shares) if shares else None


@pytest.mark.parametrize("seed", range(5))
def test_the_rank_equals_loops(seed):
    rng = np.random.default_rng(seed)
    count = 25
    # Directions of −1, 0 and 1 only, so that cosines are often equal.
    of_text = np.eye(4)[rng.integers(0, 4, 9)]
    number = rng.integers(0, 9, count)
    films = rows([f"text {one}" for one in number], rng.integers(0, 3, count))
    image = np.eye(4)[rng.integers(0, 4, count)]
    found = text_agreement(image, of_text[number], films, num_resamples=2)
    assert found.all_texts.value == pytest.approx(rank_by_loops(image, of_text[number], films, same_region=False))
    assert found.same_region.value == pytest.approx(rank_by_loops(image, of_text[number], films, same_region=True))
    assert found.cosine.value == pytest.approx((image * of_text[number]).sum(axis=1).mean())
    assert found.num_texts == len(set(number.tolist()))


def test_films_agree_with_their_texts_and_not_with_those_of_others():
    text = embed_texts(MODEL, FILMS.texts)
    good = text_agreement(image_of(FILMS), text, FILMS)
    shuffled = floor_films(FILMS, "shuffled")
    bad = text_agreement(image_of(shuffled), text, shuffled)
    assert good.all_texts.low > 0.95
    # Harder where the place of the blob within the region must be right.
    assert 0.85 < good.same_region.value < good.all_texts.value
    assert bad.all_texts.low < 0.5 < bad.all_texts.high
    assert good.cosine.low > bad.cosine.high


def test_films_of_one_text_are_not_errors_of_each_other():
    films = rows(["a", "a", "a", "b"], [0, 0, 0, 1])
    found = text_agreement(np.eye(2)[[0, 0, 0, 1]], np.eye(2)[[0, 0, 0, 1]], films, num_resamples=2)
    assert found.all_texts.value == 1
    # No region has a second text.
    assert found.same_region is None


def test_the_order_of_the_films_does_not_matter():
    image, text = image_of(FILMS), embed_texts(MODEL, FILMS.texts)
    order = np.random.default_rng(0).permutation(200)
    moved = dataclasses.replace(
        FILMS,
        images=FILMS.images[order],
        texts=[FILMS.texts[row] for row in order],
        regions=FILMS.regions[order],
        patients=[FILMS.patients[row] for row in order],
        findings=[FILMS.findings[row] for row in order],
    )
    one = text_agreement(image, text, FILMS, num_resamples=20)
    other = text_agreement(image[order], text[order], moved, num_resamples=20)
    assert other.same_region.value == pytest.approx(one.same_region.value)
    assert other.all_texts.low == pytest.approx(one.all_texts.low)


def test_findings_are_asked_where_training_films_show_them():
    train = rows(
        list("abcdef"), [0, 0, 1, 1, 2, 2], [("Fracture",), ("fracture",), ("fracture ",), (), ("Effusion",), ()]
    )
    assert learnable_findings(train, min_patients=2) == {"fracture": frozenset({0, 1})}
    assert learnable_findings(train, min_patients=1) == {"effusion": frozenset({2}), "fracture": frozenset({0, 1})}
    test = rows(list("abc"), [1, 2, 0], [("FRACTURE",), ("fracture",), ()])
    labels = finding_labels(test, learnable_findings(train, min_patients=1))
    np.testing.assert_array_equal(labels, [[np.nan, 1], [0, np.nan], [np.nan, 0]])


def test_patients_are_counted_and_not_films():
    train = rows(list("abc"), [0, 0, 0], [("fracture",)] * 3)
    same = dataclasses.replace(train, patients=["p"] * 3)
    assert list(learnable_findings(train, min_patients=3)) == ["fracture"]
    assert learnable_findings(same, min_patients=2) == {}


def test_the_area_of_findings_equals_scikit_learn():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (60, 3)).astype(float)
    labels[:20, 1] = np.nan
    labels[:, 2] = 0
    scores = rng.normal(size=(60, 3)) + labels.copy()
    scores = np.where(np.isnan(scores), 0.3, scores)
    patients = [f"p{row // 2}" for row in range(60)]
    found = finding_agreement(scores, labels, ["a", "b", "c"], patients)
    expected = [roc_auc_score(labels[:, 0], scores[:, 0]), roc_auc_score(labels[20:, 1], scores[20:, 1])]
    assert [one.score.value for one in found.findings[:2]] == pytest.approx(expected)
    assert found.findings[2].score is None
    assert found.macro.value == pytest.approx(np.mean(expected))
    assert [(one.num_positives, one.num_items) for one in found.findings] == [
        (int(labels[:, 0].sum()), 60), (int(labels[20:, 1].sum()), 40), (0, 60),
    ]  # fmt: skip
    assert found.findings[0].score.num_groups == 30


def test_prompts_find_what_the_text_has_and_nothing_in_shuffled_films():
    places = learnable_findings(FILMS)

    def encode(texts):
        return embed_texts(MODEL, texts)

    areas = {}
    for kind, films in (("good", FILMS), ("shuffled", floor_films(FILMS, "shuffled"))):
        scores = zero_shot_scores(image_of(films), list(places), encode)
        found = finding_agreement(scores, finding_labels(films, places), list(places), films.patients)
        areas[kind] = found.macro
    assert areas["good"].low > 0.9
    assert areas["shuffled"].low < 0.5 < areas["shuffled"].high


def test_labels_with_one_answer_have_no_area():
    found = finding_agreement(np.ones((4, 1)), np.zeros((4, 1)), ["a"], list("pqrs"))
    assert found.macro is None
    assert found.findings[0].score is None


@pytest.mark.parametrize("measure", [learnable_findings, lambda films: finding_labels(films, {"a": frozenset({0})})])
def test_films_that_nobody_labelled_are_refused(measure):
    with pytest.raises(ValueError, match="carry no findings"):
        measure(rows(["a", "b"], [0, 0]))


def test_embeddings_of_other_films_are_refused():
    films = rows(["a", "b"], [0, 0])
    with pytest.raises(ValueError, match="expected 2 films and texts, got 3 and 2"):
        text_agreement(np.eye(3), np.eye(3)[:2], films)
    with pytest.raises(ValueError, match="at least 2 distinct texts, got 1"):
        text_agreement(np.eye(2), np.eye(2), rows(["a", "a"], [0, 0]))
    with pytest.raises(ValueError, match="of 2 films and 1 findings"):
        finding_agreement(np.ones((2, 2)), np.ones((2, 2)), ["a"], ["p", "q"])
