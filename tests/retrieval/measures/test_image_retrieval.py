"""P@K of classes and body parts against loops over sorted neighbours."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedclip.retrieval.measures import image_retrieval
from pedclip.retrieval.measures.image_retrieval import LabelledFilms, class_precision, region_precision
from pedclip.retrieval.measures.protocols import protocol_of


def drawn(seed, number, classes="abcd", patients=6, width=3):
    rng = np.random.default_rng(seed)
    # Few directions, so that equal cosines are common; products of -1, 0 and 1 are exact up to one common length.
    vectors = np.eye(width, dtype=np.float32)[rng.integers(0, width, number)]
    names = rng.choice(list(classes), number).tolist()
    return LabelledFilms(vectors, names, [f"p{one}" for one in rng.integers(0, patients, number)])


def by_loop(queries, index, k, *, is_capped, exclude_same_patient):
    """Micro and macro precision, queries and classes left out."""
    gallery, values = queries if index is None else index, {}
    for row in range(len(queries)):
        items = [
            item for item in range(len(gallery))
            if not (index is None and item == row)
            and not (exclude_same_patient and gallery.patients[item] == queries.patients[row])
        ]  # fmt: skip
        items.sort(key=lambda item: (-float(queries.vectors[row] @ gallery.vectors[item]), item))
        right = [item for item in items if gallery.classes[item] == queries.classes[row]]
        if right:
            hits = sum(gallery.classes[item] == queries.classes[row] for item in items[:k])
            values[row] = hits / (min(k, len(right)) if is_capped else k)
    by_class = {}
    for row, value in values.items():
        by_class.setdefault(queries.classes[row], []).append(value)
    lost = len(queries) - len(values), len(set(queries.classes)) - len(by_class)
    return np.mean([*values.values()]), np.mean([np.mean(one) for one in by_class.values()]), lost


@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans(), st.booleans())
def test_precision_equals_loops(seed, is_capped, exclude_same_patient, is_among_themselves):
    queries = drawn(seed, 14)
    index = None if is_among_themselves else drawn(seed + 1, 11, classes="abc")
    options = {"is_capped": is_capped, "exclude_same_patient": exclude_same_patient}
    results = class_precision(queries, index, ks=(1, 3, 30), num_resamples=2, **options)
    table = {(one.metric, one.settings["k"]): one for one in results}
    for k in (1, 3, 30):
        micro, macro, lost = by_loop(queries, index, k, **options)
        assert table["P@K (micro)", k].score.value == pytest.approx(micro)
        assert table["P@K (macro)", k].score.value == pytest.approx(macro)
        protocol = protocol_of(table["P@K (micro)", k])
        assert protocol.num_left_out == lost[0]
        assert f"{lost[1]} left out" in protocol.note


def test_two_films_of_a_class_are_all_that_five_places_can_hold():
    index = LabelledFilms(np.eye(4), ["a", "a", "b", "b"], list("pqrs"))
    queries = LabelledFilms(np.eye(1, 4), ["a"], ["t"])
    two = LabelledFilms(np.tile(np.eye(1, 4), (2, 1)), ["a", "a"], ["t", "u"])
    capped = class_precision(two, index, ks=(4,), num_resamples=2)
    assert [one.score.value for one in capped] == [1, 1]
    assert [one.score.value for one in class_precision(two, index, ks=(4,), is_capped=False, num_resamples=2)] == [
        0.5, 0.5,
    ]  # fmt: skip
    with pytest.raises(ValueError, match="a bootstrap needs at least 2 patients"):
        class_precision(queries, index)


def test_macro_counts_a_rare_class_as_much_as_a_common_one():
    index = LabelledFilms(np.eye(2), ["a", "b"], ["x", "y"])
    # Nine films of "a" find it; the one of "b" does not.
    vectors = np.tile(np.eye(1, 2), (10, 1))
    films = LabelledFilms(vectors, ["a"] * 9 + ["b"], [f"p{row}" for row in range(10)])
    micro, macro = class_precision(films, index, ks=(1,))
    assert (micro.score.value, macro.score.value) == (0.9, 0.5)
    # One patient of "b": how another would do nobody knows.
    assert micro.score.is_known
    assert not macro.score.is_known


def test_a_class_that_was_not_drawn_is_not_in_the_mean_of_that_resample():
    values, members = np.array([1.0, 0.5, 0.0]), np.array([[1.0, 0], [1, 0], [0, 1]])
    counts = np.array([[1.0, 1, 1], [2, 1, 0], [0, 0, 3]])
    means = image_retrieval._resampled_macro(values, members)(counts)
    assert means.tolist() == pytest.approx([(0.75 + 0) / 2, 2.5 / 3, 0])


def test_the_interval_of_macro_is_wider_over_patients_than_over_films():
    rng = np.random.default_rng(0)
    classes = np.repeat(["a", "b"], 60)
    # Six films of a patient are right or wrong together.
    is_right = np.repeat(rng.random(20) < 0.6, 6)
    vectors = np.where(is_right[:, None] == (classes == "a")[:, None], [1.0, 0.0], [0.0, 1.0])
    index = LabelledFilms(np.eye(2), ["a", "b"], ["x", "y"])
    by_patient, by_film = (
        class_precision(LabelledFilms(vectors, classes.tolist(), patients), index, ks=(1,))[1].score
        for patients in (np.repeat(np.arange(20), 6).astype(str), np.arange(120).astype(str))
    )
    assert by_patient.value == by_film.value
    assert by_patient.high - by_patient.low > 1.5 * (by_film.high - by_film.low)


def test_study_mates_are_no_answers_among_body_parts():
    # Films 0 and 1 are of one patient and alike; 2 is of the same part, 3 of another.
    films = LabelledFilms(
        np.array([[1, 0], [1, 0.1], [0, 1], [0.5, 1]]), ["hand", "hand", "hand", "knee"], ["p", "p", "q", "q"]
    )
    free = region_precision(films, ks=(1,), exclude_same_patient=False, num_resamples=2)[0]
    strict = region_precision(films, ks=(1,), num_resamples=2)[0]
    assert free.score.value == pytest.approx(2 / 3)  # each of the first two finds the other; the third finds the knee
    assert strict.score.value == pytest.approx(1 / 3)  # the first two meet the knee first, the third meets a hand
    assert protocol_of(strict).num_left_out == 1  # no other knee
    assert "same patient excluded" in str(protocol_of(strict))
    assert "own item excluded" in str(protocol_of(free))


def test_chance_is_the_mean_over_random_rankings():
    rng = np.random.default_rng(3)
    labels, patients = list("aaabbbbccd"), list("pqrpqrpqrs")
    found = {"P@K (micro)": [], "P@K (macro)": []}
    for _ in range(300):
        films = LabelledFilms(rng.normal(size=(10, 8)), labels, patients)
        for result in class_precision(films, ks=(3,), exclude_same_patient=True, num_resamples=1):
            found[result.metric].append(result.score.value)
    for result in class_precision(films, ks=(3,), exclude_same_patient=True, num_resamples=1):
        assert np.mean(found[result.metric]) == pytest.approx(result.baseline, abs=0.03)


def test_blocks_change_nothing(monkeypatch):
    films = drawn(5, 40)
    whole = [one.score.value for one in class_precision(films, exclude_same_patient=True, num_resamples=2)]
    monkeypatch.setattr(image_retrieval, "_QUERIES_AT_ONCE", 7)
    assert [one.score.value for one in class_precision(films, exclude_same_patient=True, num_resamples=2)] == whole


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vectors": np.zeros(3)}, r"vectors must be \(N, D\)"),
        ({"classes": ["a"]}, "1 classes for 2 films"),
        ({"classes": "ab"}, "classes must be a list of 2 names, one for each film, not one text"),
        ({"patients": "pq"}, "patients must be a list of 2 names"),
        ({"patients": ["a"]}, "1 patients for 2 films"),
        ({"vectors": np.array([[1, 0], [0, 0]])}, "1 of 2 vectors are zero or not finite, the first at 1"),
        ({"vectors": np.array([[np.nan, 0], [0, 1]])}, "1 of 2 vectors are zero or not finite, the first at 0"),
        ({"classes": ["a", ""]}, "1 of 2 films have no class"),
        ({"classes": [0, 1]}, "2 of 2 classes are no text; give names"),
        ({"classes": np.array([0, 1])}, "2 of 2 classes are no text"),
        ({"classes": ["a", None]}, "1 of 2 classes are no text"),
    ],
)
def test_films_that_cannot_be_searched_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        LabelledFilms(**({"vectors": np.eye(2), "classes": ["a", "b"], "patients": ["p", "q"]} | changes))


def test_misuse_is_refused():
    films = LabelledFilms(np.eye(2), ["a", "b"], ["p", "q"])
    with pytest.raises(ValueError, match="none of 2 queries has a film of its class in the index of 2"):
        class_precision(films)
    with pytest.raises(ValueError, match="queries of width 2, an index of 3"):
        class_precision(films, LabelledFilms(np.eye(3), ["a", "b", "c"], ["p", "q", "r"]))
    for ks in ((), (0,)):
        with pytest.raises(ValueError, match="is not allowed: each at least 1"):
            class_precision(films, films, ks=ks)
