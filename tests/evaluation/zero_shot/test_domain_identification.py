"""Domain identification with a growing number of domains, against loops and cases whose answer is known."""

import numpy as np
import pytest

from pedclip.evaluation.zero_shot import growing_accuracy

NAMES = ("hip", "knee", "foot", "hand")


def test_each_number_of_domains_has_its_own_films_and_candidates() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), [3, 5, 2, 7])
    scores = rng.normal(size=(17, 4)) + np.eye(4)[truth]
    table = growing_accuracy(scores, truth, NAMES, num_orders=0)
    assert table["number"].tolist() == [3, 4]
    assert table["added"].tolist() == ["foot", "hand"]
    assert table["chance"].tolist() == [1 / 3, 1 / 4]
    for number, found in zip((3, 4), table["accuracy"], strict=True):
        by_domain = []
        for domain in range(number):
            films = [row for row in range(17) if truth[row] == domain]
            by_domain.append(np.mean([max(range(number), key=lambda at: scores[row, at]) == domain for row in films]))
        assert found == pytest.approx(np.mean(by_domain))


def test_all_orders_end_at_the_same_accuracy_and_differ_before() -> None:
    rng = np.random.default_rng(1)
    truth = np.arange(40) % 4
    table = growing_accuracy(rng.normal(size=(40, 4)) + np.eye(4)[truth], truth, NAMES, num_orders=8)
    last = table[table["number"] == 4].groupby("order")["accuracy"].first()
    assert np.ptp(last) < 1e-12
    assert np.ptp(table[table["number"] == 3]["accuracy"]) > 0.01
    again = growing_accuracy(rng.normal(size=(40, 4)), truth, NAMES, num_orders=8, seed=1)
    assert set(again[again["order"] == 3]["added"]) <= set(NAMES)


def test_what_makes_no_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="begins with 3"):
        growing_accuracy(np.eye(2), np.arange(2), NAMES[:2])
    with pytest.raises(ValueError, match="no film shows hand"):
        growing_accuracy(np.ones((3, 4)), np.arange(3), NAMES)
    with pytest.raises(ValueError, match="do not fit"):
        growing_accuracy(np.ones((3, 3)), np.arange(3), NAMES)
