"""Report-level recall against loops over rankings, in both directions, with several films per report."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pedclip.retrieval.measures.evaluate import order_scores, report_recall
from pedclip.retrieval.measures.protocols import protocol_of
from pedclip.retrieval.scores import Scores
from tests.retrieval.drawn_reports import reports_of


def drawn(seed, films, reports, top_m=None, levels=5):
    rng = np.random.default_rng(seed)
    initial, final = (torch.from_numpy(rng.integers(0, levels, (films, reports)) / levels) for _ in range(2))
    return Scores(initial, torch.zeros_like(initial), final, top_m)


def ranking_by_loop(initial, final, top_m):
    """Candidates of one query by Python's sort, both stages, ties by number."""
    first = sorted(range(len(initial)), key=lambda item: (-initial[item], item))
    head = first if top_m is None else first[:top_m]
    return sorted(head, key=lambda item: (-final[item], item)) + ([] if top_m is None else first[top_m:])


def recall_by_loop(scores, report, k):
    """Mean capped recall and hits from film to report and from report to film."""
    initial, final = scores.initial.tolist(), scores.final.tolist()
    to_text, to_image, hits = [], [], []
    for film, own in enumerate(report):
        to_text.append(own in ranking_by_loop(initial[film], final[film], scores.top_m)[:k])
    for text in range(max(report) + 1):
        columns = ([row[text] for row in initial], [row[text] for row in final])
        films = {film for film, own in enumerate(report) if own == text}
        found = films & set(ranking_by_loop(*columns, scores.top_m)[:k])
        to_image.append(len(found) / min(k, len(films)))
        hits.append(bool(found))
    return np.mean(to_text), np.mean(to_image), np.mean(hits)


@given(st.integers(0, 2**32 - 1), st.sampled_from([None, 1, 3, 20]))
def test_recall_equals_loops(seed, top_m):
    report = [0, 1, 1, 2, 3, 1, 0, 4, 4]
    scores = drawn(seed, 9, 5, top_m)
    results = report_recall(scores, reports_of(report), ks=(1, 2, 5), num_resamples=2)
    table = {(one.task, one.metric, one.settings["k"]): one.score.value for one in results}
    assert len(table) == 9
    for k in (1, 2, 5):
        found = [
            table["image to text", "recall", k],
            table["text to image", "recall", k],
            table["text to image", "hit", k],
        ]
        assert found == pytest.approx(recall_by_loop(scores, report, k))


def test_the_cap_lets_five_films_of_one_report_be_found_at_two():
    report = [0, 0, 0, 0, 0, 1, 1]
    final = torch.tensor([[0.9, 0.1]] * 5 + [[0.1, 0.9]] * 2)
    results = report_recall(Scores(final, final, final), reports_of(report), ks=(1, 2), num_resamples=2)
    assert all(one.score.value == 1 for one in results)
    # One film of another report among the first two costs half of the two places, not four fifths of all films.
    final[5, 0] = 1.0
    table = {(one.task, one.metric, one.settings["k"]): one.score.value for one in
             report_recall(Scores(final, final, final), reports_of(report), ks=(2,), num_resamples=2)}  # fmt: skip
    assert table["text to image", "recall", 2] == (1 / 2 + 1) / 2
    assert table["text to image", "hit", 2] == 1


def test_places_are_the_ranking_and_not_the_scores():
    scores = drawn(0, 4, 6, 2)
    places = order_scores(scores)
    for row in range(4):
        assert np.argsort(-places[row]).tolist() == scores.ranking()[row].tolist()


def test_intervals_are_over_patients_and_a_shared_text_is_of_the_first():
    patients = ["a", "a", "b", "c", "d", "e"]
    results = report_recall(drawn(1, 6, 4), reports_of([0, 1, 0, 2, 3, 1], patients))
    groups = {one.task: one.score.num_groups for one in results}
    # Texts 0 and 1 are both of "a" first, texts 2 and 3 of "c" and "d".
    assert groups == {"image to text": 5, "text to image": 3}


def test_every_number_says_what_it_was_measured_on():
    results = report_recall(drawn(1, 6, 4), reports_of([0, 1, 0, 2, 3, 1], section="study", views="frontal"))
    to_text, to_image = protocol_of(results[0]), protocol_of(results[-1])
    assert str(to_text) == (
        "image to text: 6 queries of 6 patients, gallery of 4; 4 unique texts (study); frontal views, 2.00 per study; "
        "ties: lower number first; own item in the gallery; 1 queries left out"
    )
    assert (to_image.direction, to_image.num_queries, to_image.gallery) == ("text to image", 4, 6)
    assert to_image.num_left_out == 0
    of_labels = report_recall(drawn(1, 6, 4), reports_of([0, 1, 0, 2, 3, 1], num_label_texts=5))
    assert str(protocol_of(of_labels[0])).endswith("5 films with a text made of labels")


def test_scores_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"scores \(6, 5\) must be \(films, unique texts\) = \(6, 4\)"):
        report_recall(drawn(1, 6, 5), reports_of([0, 1, 0, 2, 3, 1]))
    broken = drawn(1, 6, 4)
    broken.initial[2, 1] = torch.nan
    with pytest.raises(ValueError, match="initial scores must be finite"):
        report_recall(broken, reports_of([0, 1, 0, 2, 3, 1]))
    with pytest.raises(ValueError, match="k must be at least 1"):
        report_recall(drawn(1, 6, 4), reports_of([0, 1, 0, 2, 3, 1]), ks=(0,))
