import time

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, roc_auc_score

from pedclip.evaluation.metrics.classification import auc
from pedclip.evaluation.metrics.per_image import accuracy, dice, mae
from pedclip.evaluation.metrics.retrieval import hit_at_k, precision_at_k, query_interval, recall_at_k
from pedclip.evaluation.metrics.small_samples import bounds

SAME = 1e-12  # both sides add the same few hundred doubles, in another order


@st.composite
def labelled_scores(draw):
    num_items = draw(st.integers(2, 60))
    labels = np.array(draw(st.lists(st.integers(0, 1), min_size=num_items, max_size=num_items)))
    assume(0 < labels.sum() < num_items)
    levels = draw(st.sampled_from([1, 2, 5, 1000]))  # few levels make many ties
    scores = np.array(draw(st.lists(st.integers(0, levels), min_size=num_items, max_size=num_items)), dtype=float)
    return labels, scores


def test_auc_by_hand_counts_a_tie_as_half():
    # pairs (positive, negative): (2, 1) won, (2, 3) lost, (3, 1) won, (3, 3) tied
    assert auc([1, 0, 1, 0], [2, 1, 3, 3]) == 2.5 / 4


@given(labelled_scores())
def test_auc_equals_scikit_learn(case):
    labels, scores = case
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=SAME)


@given(labelled_scores())
def test_auc_depends_on_the_ranking_alone(case):
    labels, scores = case
    assert auc(labels, np.exp(scores / 500) * 3 - 7) == auc(labels, scores)
    assert auc(labels, -scores) == pytest.approx(1 - auc(labels, scores), abs=SAME)
    assert auc(1 - labels, -scores) == pytest.approx(auc(labels, scores), abs=SAME)
    assert auc(labels[::-1], scores[::-1]) == pytest.approx(auc(labels, scores), abs=SAME)


def test_auc_intervals_come_from_whole_patients_drawn_with_replacement():
    rng = np.random.default_rng(4)
    labels, patients = np.arange(40) % 2, np.repeat(np.arange(10), 4)
    scores = rng.integers(0, 6, 40) + labels
    interval = auc.bootstrap(labels, scores, patients, num_resamples=300, seed=7)
    drawn = np.random.default_rng(7).integers(10, size=(300, 10))
    items = [np.concatenate([np.flatnonzero(patients == patient) for patient in row]) for row in drawn]
    literal = np.array([roc_auc_score(labels[rows], scores[rows]) for rows in items])
    # Every patient has two films of either class: ten patients each, so (1/10 + 1/10)² over 2 · (1/10)² / 9.
    freedom = 18
    influence = [np.cov(literal, (drawn == patient).sum(axis=1), bias=True)[0, 1] for patient in range(10)]
    variance = literal.var() * (freedom + 1) / freedom + max(influence, key=abs) ** 2
    assert (interval.low, interval.high) == pytest.approx(bounds(interval.value, variance, freedom, "share"), abs=SAME)
    assert (interval.num_items, interval.num_groups, interval.num_redrawn) == (40, 10, 0)


def test_resamples_without_both_classes_are_drawn_again_and_counted():
    labels, patients = np.arange(16) < 8, np.arange(16) // 2  # four patients of each class
    interval = auc.bootstrap(labels, np.random.default_rng(0).normal(size=16), patients, num_resamples=4000, seed=0)
    assert 20 < interval.num_redrawn < 50  # both classes are missed by 2 in 256 resamples


@given(labelled_scores(), st.integers(0, 5))
def test_equal_seeds_give_equal_intervals(case, seed):
    labels, scores = case
    first, second = (auc.bootstrap(labels, scores, num_resamples=20, seed=seed) for _ in range(2))
    assert first == second
    assert not first.is_known or 0 <= first.low <= first.value <= first.high <= 1


def test_a_thousand_resamples_of_two_thousand_images_take_about_a_second():
    rng = np.random.default_rng(0)
    start = time.process_time()
    auc.bootstrap(rng.integers(0, 2, 2000), rng.normal(size=2000), np.arange(2000) // 2)
    assert time.process_time() - start < 3  # measured 0.2 s; the margin is for a loaded machine


@pytest.mark.parametrize(
    ("labels", "scores", "words"),
    [
        ([1, 1], [0.1, 0.2], "none of the 2 items is negative"),
        ([0, 0], [0.1, 0.2], "none of the 2 items is positive"),
        ([0, 2], [0.1, 0.2], "labels 0 and 1"),
        ([0, 1], [0.1, float("nan")], "1 of 2 are not"),
        ([0, 1, 1], [0.1, 0.2], "one length"),
        ([], [], "at least 1"),
    ],
)
def test_auc_says_what_is_missing(labels, scores, words):
    with pytest.raises(ValueError, match=words):
        auc(labels, scores)
    with pytest.raises(ValueError, match=words):
        auc.bootstrap(labels, scores)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50))
def test_accuracy_and_mae_equal_scikit_learn(pairs):
    truth, predicted = np.array(pairs).T
    assert accuracy(truth, predicted) == pytest.approx(accuracy_score(truth, predicted), abs=SAME)
    assert mae(truth, predicted) == pytest.approx(mean_absolute_error(truth, predicted), abs=SAME)
    assert mae(12 * truth, 12 * predicted) == pytest.approx(12 * mae(truth, predicted), abs=SAME * 100)


def test_accuracy_takes_names():
    assert accuracy(["hand", "hip", "hip"], ["hand", "hip", "knee"]) == 2 / 3


def test_mae_refuses_unknown_ages():
    with pytest.raises(ValueError, match="leave out the items without a target"):
        mae([12.0, np.nan], [12.0, 3.0])


def test_dice_by_hand():
    target = np.array([[[1, 1], [0, 0]], [[0, 0], [0, 0]]])
    predicted = np.array([[[1, 0], [1, 0]], [[0, 0], [0, 0]]])
    assert dice(target, predicted) == (0.5 + 1) / 2  # one pixel of 2 + 2 shared; two empty masks agree
    assert dice(predicted, target) == dice(target, predicted)
    assert dice([np.ones((2, 3)), np.zeros((4, 4))], [np.ones((2, 3)), np.eye(4)]) == 0.5


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 7), st.integers(1, 7))
def test_dice_equals_the_f1_of_the_pixels_of_each_image(seed, num_images, height, width):
    rng = np.random.default_rng(seed)
    # A share of 0 makes empty masks, a share of 1 full ones, on either side and on both.
    shares = rng.choice([0.0, 0.0, 0.3, 0.7, 1.0], (2, num_images, 1, 1))
    target, predicted = rng.random((2, num_images, height, width)) < shares
    expected = [f1_score(a.ravel(), b.ravel(), zero_division=1.0) for a, b in zip(target, predicted, strict=True)]
    assert dice(target, predicted) == pytest.approx(np.mean(expected), abs=SAME)


@pytest.mark.parametrize(
    ("target", "predicted", "words"),
    [
        (np.ones((4, 4)), np.ones((4, 4)), "N, H, W"),
        (np.ones((1, 2, 2)), np.full((1, 2, 2), 0.4), "threshold"),
        (np.ones((1, 2, 2)), np.ones((2, 2, 2)), "as many"),
    ],
)
def test_dice_refuses_what_is_no_list_of_masks(target, predicted, words):
    with pytest.raises(ValueError, match=words):
        dice(target, predicted)


RELEVANT = np.array([[True, True, True, False], [False, False, False, True]])
SIMILARITY = np.array([[0.9, 0.1, 0.8, 0.2], [0.5, 0.5, 0.5, 0.5]])


@pytest.mark.parametrize(
    ("metric", "k", "expected"),
    [
        (recall_at_k, 1, (1 + 0) / 2),
        (recall_at_k, 2, (2 / 2 + 0) / 2),  # capped: two places, three relevant
        (recall_at_k, 3, (2 / 3 + 0) / 2),  # ties keep gallery order, so the last item comes last
        (recall_at_k, 9, 1),
        (hit_at_k, 3, (1 + 0) / 2),
        (precision_at_k, 2, (2 / 2 + 0) / 2),
        (precision_at_k, 4, (3 / 4 + 1 / 4) / 2),
    ],
)
def test_first_k_by_hand(metric, k, expected):
    assert metric(SIMILARITY, RELEVANT, k) == pytest.approx(expected, abs=SAME)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 9), st.integers(1, 12), st.integers(1, 4))
def test_first_k_equals_a_stable_sort(seed, num_queries, num_items, k, levels):
    rng = np.random.default_rng(seed)
    similarity = rng.integers(0, levels, (num_queries, num_items)).astype(float)
    relevant = rng.random((num_queries, num_items)) < 0.4
    relevant[:, rng.integers(num_items)] = True
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    hits = np.take_along_axis(relevant, order, axis=1).sum(axis=1)
    literal = np.mean([hit / min(k, total) for hit, total in zip(hits, relevant.sum(axis=1), strict=True)])
    assert recall_at_k(similarity, relevant, k) == pytest.approx(literal, abs=SAME)
    assert hit_at_k(similarity, relevant, k) == pytest.approx(np.mean(hits > 0), abs=SAME)
    assert precision_at_k(similarity, relevant, k) == pytest.approx(np.mean(hits) / k, abs=SAME)


def test_values_of_queries_a_few_at_a_time_are_those_of_all():
    rng = np.random.default_rng(1)
    similarity, relevant = rng.normal(size=(20, 9)), rng.random((20, 9)) < 0.4
    relevant[:, 0] = True
    groups = np.repeat(list("abcde"), 4)
    for metric in (recall_at_k, hit_at_k, precision_at_k):
        values = np.concatenate(
            [metric.values(similarity[rows], relevant[rows], 3) for rows in (slice(7), slice(7, 20))]
        )
        assert values.mean() == metric(similarity, relevant, 3)
        assert query_interval(values, groups, seed=2) == metric.bootstrap(similarity, relevant, 3, groups, seed=2)


def test_an_index_is_a_query_with_one_answer():
    rng = np.random.default_rng(0)
    similarity, answers = rng.normal(size=(30, 12)), rng.integers(0, 12, 30)
    table = answers[:, None] == np.arange(12)
    for k in (1, 5):
        assert (
            recall_at_k(similarity, answers, k) == hit_at_k(similarity, table, k) == recall_at_k(similarity, table, k)
        )
    shuffled = rng.permutation(30)
    assert recall_at_k(similarity[shuffled], answers[shuffled], 5) == pytest.approx(
        recall_at_k(similarity * 3 + 1, answers, 5), abs=SAME
    )


@pytest.mark.parametrize(
    ("similarity", "relevant", "k", "words"),
    [
        (np.ones((2, 3)), np.array([[True, False, False], [False, False, False]]), 1, "1 of 2 queries"),
        (np.ones((2, 3)), np.array([0, 3]), 1, "gallery of 3"),
        (np.ones((2, 3)), np.array([-1, 0]), 1, "gallery of 3"),
        (np.ones((2, 3)), np.ones((2, 3)), 1, "booleans"),
        (np.ones((2, 3)), np.array([0, 1]), 0, "at least 1"),
        (np.full((2, 3), np.nan), np.array([0, 1]), 1, "finite"),
        (np.ones(3), np.array([0]), 1, "queries, gallery"),
    ],
)
def test_first_k_refuses_a_gallery_that_cannot_answer(similarity, relevant, k, words):
    with pytest.raises(ValueError, match=words):
        recall_at_k(similarity, relevant, k)
