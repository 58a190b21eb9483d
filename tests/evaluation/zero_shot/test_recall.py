"""Recall from scores of any kind: texts without films, and directions that rank by scores of their own."""

import numpy as np
import pytest

from pedclip.evaluation.zero_shot.recall import recall_results


def table(results):
    return {(one.task, one.metric, one.settings["k"]): one for one in results}


def test_a_text_that_no_film_has_is_in_the_gallery_and_no_query():
    # Text 1 is nobody's, and the best for film 0.
    similarity = np.array([[0.5, 0.9, 0.1], [0.1, 0.2, 0.9], [0.8, 0.1, 0.2]])
    found = table(recall_results(similarity, np.array([0, 2, 0]), list("pqr"), method="drawn", ks=(1, 2)))
    assert found["image to text", "recall", 1].score.value == pytest.approx(2 / 3)
    assert found["image to text", "recall", 1].settings["gallery"] == 3
    assert found["image to text", "recall", 1].baseline == pytest.approx(1 / 3)
    assert found["text to image", "recall", 2].score.num_items == 2
    assert found["text to image", "recall", 2].score.value == 1
    assert found["image to text", "recall", 2].score.value == 1


def test_the_other_direction_may_have_scores_of_its_own():
    similarity, by_text = np.eye(3), np.roll(np.eye(3), 1, axis=1)
    found = table(recall_results(similarity, np.arange(3), method="drawn", by_text=by_text, ks=(1,)))
    assert found["image to text", "recall", 1].score.value == 1
    assert found["text to image", "recall", 1].score.value == 0
    assert found["text to image", "hit", 1].score.value == 0
