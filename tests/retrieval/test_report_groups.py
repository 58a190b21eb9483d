"""Groups of sentences: every sentence once and in order, short and long reports, and none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedclip.retrieval.report_groups import sentence_groups, split_groups, unique_texts


@given(sentences=st.integers(1, 200), groups=st.integers(1, 30))
def test_groups_hold_every_sentence_once_in_order(sentences: int, groups: int) -> None:
    found = sentence_groups(sentences, groups)
    assert len(found) == groups
    assert [number for group in found for number in group] == list(range(sentences))
    sizes = [len(group) for group in found if group]
    assert max(sizes) - min(sizes) <= 1
    # Absent groups are the last ones, and there is none where sentences suffice.
    assert len(sizes) == min(sentences, groups)
    assert all(found[: len(sizes)])


@given(sentences=st.integers(1, 30), groups=st.integers(1, 30))
def test_repeated_sentences_follow_the_formula(sentences: int, groups: int) -> None:
    found = sentence_groups(sentences, groups, short="repeat")
    if sentences < groups:
        assert found == tuple(range(k * sentences // groups, k * sentences // groups + 1) for k in range(groups))
    else:
        assert found == sentence_groups(sentences, groups)


def test_words_of_the_groups() -> None:
    report = "No fracture. Joint is normal. Soft tissues are swollen."
    assert split_groups([report], 2) == [[("No fracture.",), ("Joint is normal.", "Soft tissues are swollen.")]]
    assert split_groups(["No fracture."], 3) == [[("No fracture.",), (), ()]]
    assert split_groups(["No fracture."], 3, short="repeat") == [[("No fracture.",)] * 3]


def test_two_hundred_sentences_make_groups_of_eight() -> None:
    report = " ".join(f"Finding number {number} is seen." for number in range(200))
    groups = split_groups([report])[0]
    assert len(groups) == 25
    assert all(len(group) == 8 for group in groups)


@pytest.mark.parametrize("empty", ["", "  \n", "...", "- -"])
def test_empty_reports_are_numbered(empty: str) -> None:
    with pytest.raises(ValueError, match=r"2 of 4 reports are empty \(rows 1, 3\): leave them out, count them"):
        split_groups(["Normal wrist.", empty, "Normal hand.", empty])


def test_a_message_does_not_number_thousands() -> None:
    with pytest.raises(ValueError, match=r"7 of 7 reports are empty \(rows 0, 1, 2, 3, 4, …\)"):
        split_groups([""] * 7)


def test_numbers_below_one_raise() -> None:
    with pytest.raises(ValueError, match="num_sentences=0, num_groups=3 is not allowed"):
        sentence_groups(0, 3)
    with pytest.raises(ValueError, match="num_sentences=3, num_groups=0 is not allowed"):
        sentence_groups(3, 0)


def test_unique_texts_are_equal_up_to_white_space() -> None:
    texts, rows = unique_texts(["Normal  wrist.", "Fracture.", "Normal\nwrist.", "normal wrist."])
    assert texts == ["Normal wrist.", "Fracture.", "normal wrist."]
    assert rows.tolist() == [0, 1, 0, 2]
