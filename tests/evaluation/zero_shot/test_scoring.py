import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, roc_auc_score

from pedclip.evaluation.metrics.classification import auc
from pedclip.evaluation.metrics.per_image import accuracy
from pedclip.evaluation.metrics.retrieval import hit_at_k, recall_at_k
from pedclip.evaluation.tasks.findings import discover_findings
from pedclip.evaluation.tasks.prompts import region_prompts
from pedclip.evaluation.zero_shot.scoring import (
    retrieval,
    score_pairs,
    zero_shot_findings,
    zero_shot_regions,
)

CLOSE = 1e-12  # float64 sums of a few terms


def test_scores_by_hand():
    image = np.array([[3.0, 4.0]])
    positive = np.array([[10.0, 0.0], [0.0, 0.1]])  # the mean points to 45 degrees, whatever the lengths
    negative = np.array([[0.0, 2.0]])
    expected = 1.4 / np.sqrt(2)
    assert score_pairs(image, positive, negative, prompting="single") == pytest.approx([expected], abs=CLOSE)
    assert score_pairs(image, positive, negative) == pytest.approx([expected - 0.8], abs=CLOSE)


@given(st.integers(0, 1000))
def test_scores_ignore_lengths_and_change_sign_with_the_sides(seed):
    rng = np.random.default_rng(seed)
    image, positive, negative = (rng.normal(size=(number, 5)) for number in (4, 3, 2))
    scores = score_pairs(image, positive, negative)
    assert score_pairs(image * 7, positive * [[1], [2], [3]], negative / 5) == pytest.approx(scores, abs=CLOSE)
    assert score_pairs(image, negative, positive) == pytest.approx(-scores, abs=CLOSE)
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    rotated = score_pairs(image @ rotation, positive @ rotation, negative @ rotation)
    assert rotated == pytest.approx(scores, abs=1e-9)  # the rotation is orthogonal to about 1e-15 per entry


def test_a_pair_ranks_as_the_softmax_at_any_temperature():
    rng = np.random.default_rng(0)
    image, positive, negative = rng.normal(size=(30, 4)), rng.normal(size=(1, 4)), rng.normal(size=(1, 4))
    cosines = [score_pairs(image, prompts, prompts, prompting="single") for prompts in (positive, negative)]
    probability = 1 / (1 + np.exp((cosines[1] - cosines[0]) / 0.07))
    assert np.array_equal(np.argsort(score_pairs(image, positive, negative)), np.argsort(probability))


@pytest.mark.parametrize(
    ("image", "positive", "words"),
    [
        (np.ones((2, 3)), np.ones((1, 4)), "one width, got 3 and 4"),
        (np.zeros((2, 3)), np.ones((1, 3)), "image embeddings must be finite and longer than zero"),
        (np.ones((2, 3)), np.ones((0, 3)), "prompt embeddings must be"),
    ],
)
def test_scores_refuse_embeddings_that_do_not_compare(image, positive, words):
    with pytest.raises(ValueError, match=words):
        score_pairs(image, positive, np.ones((1, 3)))
    with pytest.raises(ValueError, match="'pair' or 'single', got 'both'"):
        score_pairs(np.ones((1, 3)), np.ones((1, 3)), np.ones((1, 3)), prompting="both")


def encode_presence(sentences):
    """A text encoder that knows one finding: e0 for it, e1 for its absence."""
    return np.array(
        [[0.0, 1.0] if sentence.startswith(("No ", "There is no")) else [1.0, 0.0] for sentence in sentences]
    )


def fracture_rows(num=40):
    return [
        {"findings": ["fracture"] if i % 2 else [], "region": "knee", "source": "a", "patient_id": str(i // 4)}
        for i in range(num)
    ]


def test_findings_are_scored_image_by_image():
    rows = [{"findings": None, "region": "knee", "source": "a", "patient_id": "x"}, *fracture_rows()]
    angles = np.random.default_rng(0).uniform(0, np.pi / 2, len(rows))
    image = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    (result,) = zero_shot_findings(image, rows, encode_presence, discover_findings(rows), num_resamples=50)
    truth = [i % 2 for i in range(40)]
    assert result.score.value == pytest.approx(roc_auc_score(truth, -angles[1:]), abs=CLOSE)
    assert (result.task, result.source, result.method) == ("fracture", "a", "zero-shot")
    assert (result.classes[0].num_positives, result.classes[0].num_items, result.score.num_groups) == (20, 40, 10)
    assert json.loads(json.dumps(result.to_dict()))["score"]["num_items"] == 40


def test_a_perfect_and_an_inverted_model():
    rows = fracture_rows()
    image = np.array([[1.0, 0.1] if row["findings"] else [0.1, 1.0] for row in rows])
    tasks = discover_findings(rows)
    assert zero_shot_findings(image, rows, encode_presence, tasks)[0].score.value == 1
    assert zero_shot_findings(image[:, ::-1], rows, encode_presence, tasks)[0].score.value == 0
    with pytest.raises(ValueError, match="40 rows, got 39"):
        zero_shot_findings(image[1:], rows, encode_presence, tasks)


ANCHORS = {"hip": [1.0, 0.0, 0.0], "knee": [0.0, 1.0, 0.0], "hand": [0.0, 0.0, 1.0]}


def encode_region(sentences):
    known = {sentence: vector for region, vector in ANCHORS.items() for sentence in region_prompts(region)}
    return np.array([known.get(sentence, [-1.0, -1.0, -1.0]) for sentence in sentences])


def region_rows(regions):
    return [{"findings": None, "region": name, "source": "a", "patient_id": i} for i, name in enumerate(regions)]


def test_regions_by_hand():
    truth = ["hip", "hip", "hip", "hip", "knee", "knee", "hand"]
    said = ["hip", "hip", "hip", "knee", "knee", "hip", "hand"]
    image = np.array([ANCHORS[region] for region in said])
    result = zero_shot_regions(image, region_rows(truth), encode_region)
    confusion = result.confusion
    assert result.score.value == pytest.approx(5 / 7)
    assert confusion.macro_accuracy == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)
    assert (result.baseline, confusion.chance_majority, confusion.chance_uniform) == (4 / 7, 4 / 7, 1 / 3)
    assert confusion.answers == confusion.truth == ("hip", "knee", "hand")  # the order of pedclip.anatomy
    assert confusion.counts == ((3, 1, 0), (1, 1, 0), (0, 0, 1))
    assert np.array_equal(confusion.counts, confusion_matrix(truth, said, labels=list(confusion.answers)))
    assert json.loads(json.dumps(result.to_dict()))["score"]["num_groups"] == 7


def test_more_candidates_lower_the_uniform_chance():
    image = np.array([ANCHORS["hip"], ANCHORS["hand"]])
    result = zero_shot_regions(
        image, region_rows(["hip", "knee"]), encode_region, candidates=["hand", "hip", "knee", "toe"]
    )
    assert result.confusion.chance_uniform == 1 / 4
    assert result.confusion.counts == ((1, 0, 0, 0), (0, 0, 0, 1))
    assert result.confusion.answers == ("hip", "knee", "toe", "hand")


def test_a_true_region_outside_the_candidates_is_always_wrong():
    image = np.array([ANCHORS["hip"], ANCHORS["knee"], ANCHORS["hip"]])
    result = zero_shot_regions(image, region_rows(["hip", "knee", "ankle"]), encode_region, candidates=["hip", "knee"])
    assert result.confusion.truth == ("hip", "knee", "ankle")
    assert result.confusion.counts == ((1, 0), (0, 1), (1, 0))
    assert result.score.value == pytest.approx(2 / 3)


def test_one_region_is_no_task():
    with pytest.raises(ValueError, match="at least 2 regions, got hip"):
        zero_shot_regions(np.eye(3)[:2], region_rows(["hip", "hip"]), encode_region)


TEXTS = ["normal", "fracture", "normal", "effusion", "normal"]


def score_table(results):
    return {(result.task, result.metric, result.settings["k"]): result for result in results}


def test_identical_texts_are_one_gallery_entry():
    text = np.eye(3)[[0, 1, 0, 2, 0]]
    results = retrieval(text, text, TEXTS, list("abcde"), method="copies")
    assert (len(results), {result.method for result in results}) == (9, {"copies"})
    table = score_table(results)
    assert (
        table["image to text", "recall", 1].settings["gallery"],
        table["text to image", "hit", 1].settings["gallery"],
    ) == (3, 5)
    assert all(score.score.value == 1 for (_, _, k), score in table.items() if k == 1)
    assert table["text to image", "recall", 5].score.num_items == 3
    assert table["image to text", "recall", 1].score.num_groups == 5


def test_retrieval_by_hand():
    text = np.eye(3)[[0, 1, 0, 2, 0]]
    image = np.eye(3)[[0, 1, 1, 2, 2]]  # two of the three normal films look like something else
    table = score_table(retrieval(image, text, TEXTS))
    assert table["image to text", "recall", 1].score.value == pytest.approx(3 / 5)
    assert table["text to image", "recall", 1].score.value == 1
    # "normal" ranks its one good film first, then ties in order: films 1, 2, 3, 4 of which 2 and 4 are normal
    assert table["text to image", "recall", 5].score.value == 1
    assert table["text to image", "hit", 1].score.value == 1


def test_every_direction_of_retrieval_is_resampled_by_patient():
    rng = np.random.default_rng(1)
    texts = [f"text {number}" for number in [4, 4, 0, 1, 1, 2, 2, 3, 3, 5, 6, 7]]
    patients = np.array(list("aaabbbccdefg"))
    # Of each text in the order of the gallery, the patient of its first film: text 0 is of a, text 4 too.
    first = [texts.index(text) for text in sorted(set(texts))]
    image, text = rng.normal(size=(12, 6)), rng.normal(size=(8, 6))
    text = text[[int(name[-1]) for name in texts]]
    unit = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (image, text[first])]
    similarity, answers = unit[0] @ unit[1].T, np.array(texts)[:, None] == np.array(texts)[first]
    for result in retrieval(image, text, texts, patients, num_resamples=100, seed=3):
        metric = hit_at_k if result.metric == "hit" else recall_at_k
        k = result.settings["k"]
        by_image = (similarity, answers, k, patients)
        by_text = (similarity.T, answers.T, k, patients[first])
        given = by_image if result.task == "image to text" else by_text
        expected = metric.bootstrap(*given, num_resamples=100, seed=3)
        assert str(result.score) == str(expected)  # to three digits: products of other shapes
        assert result.score.num_groups == (7 if result.task == "image to text" else 6)


def test_findings_and_regions_are_resampled_by_patient():
    rows, rng = fracture_rows(), np.random.default_rng(2)
    image = rng.normal(size=(40, 2))
    (finding,) = zero_shot_findings(image, rows, encode_presence, discover_findings(rows), num_resamples=100, seed=3)
    scores = score_pairs(image, np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    patients = np.array([row["patient_id"] for row in rows])
    truth = np.array([len(row["findings"]) for row in rows])
    assert finding.score == auc.bootstrap(truth, scores, patients, num_resamples=100, seed=3)
    assert finding.score != auc.bootstrap(truth, scores, num_resamples=100, seed=3)
    regions = [["hip", "knee"][number % 2] for number in range(40)]
    films = [{**row, "region": region} for row, region in zip(rows, regions, strict=True)]
    said = rng.permutation(regions).tolist()
    region = zero_shot_regions(
        np.array([ANCHORS[name] for name in said]), films, encode_region, num_resamples=100, seed=3
    )
    expected = accuracy.bootstrap(regions, said, patients, num_resamples=100, seed=3)
    assert region.score == expected


def test_chance_is_the_mean_over_random_rankings():
    rng = np.random.default_rng(0)
    texts = [f"text {number}" for number in [0] * 12 + list(range(1, 9)) * 2]
    trials = []
    for _ in range(400):
        image, text = rng.normal(size=(28, 16)), rng.normal(size=(28, 16))
        trials.append(score_table(retrieval(image, text, texts, num_resamples=1)))
    for key, score in trials[0].items():
        mean = np.mean([trial[key].score.value for trial in trials])
        assert mean == pytest.approx(score.baseline, abs=0.03)  # four standard errors of 400 trials


@pytest.mark.parametrize(
    ("texts", "groups", "words"),
    [
        (TEXTS[:4], None, "texts must have one entry per image: expected 5, got 4"),
        (TEXTS, [1, 2], "groups must have one entry per image: expected 5, got 2"),
        (["normal"] * 5, None, "at least 2 distinct texts"),
    ],
)
def test_retrieval_refuses_what_does_not_match(texts, groups, words):
    with pytest.raises(ValueError, match=words):
        retrieval(np.ones((5, 3)), np.ones((5, 3)), texts, groups)
