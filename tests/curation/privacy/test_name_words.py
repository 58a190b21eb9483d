"""Words by themselves: spelling, lists, and parts of words with hyphens."""

import pytest

from pedclip.curation.privacy.name_words import (
    CAPITAL,
    EPONYM,
    FAMILY,
    GIVEN,
    INITIAL,
    ORDINARY,
    SHORT,
    UPPER,
    is_listed,
    may_begin,
    properties,
)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("Anna", CAPITAL | GIVEN),
        ("anna", GIVEN),
        ("ANNA", CAPITAL | UPPER | GIVEN),
        ("Anna's", CAPITAL | GIVEN),
        ("Müller", CAPITAL | FAMILY | EPONYM),
        ("Łukasz", CAPITAL | GIVEN),
        ("Schröder", CAPITAL | FAMILY),
        ("J", INITIAL),
        ("ZQXV", CAPITAL | UPPER | SHORT),
        ("Quillfeather", CAPITAL),
        ("Maisonneuve'", CAPITAL | EPONYM),
        ("Sarcoidosis", CAPITAL | ORDINARY),
        ("Pyeloplasty", CAPITAL | ORDINARY),  # by its ending, on no list
        ("Salter-Harris", CAPITAL | EPONYM),
        ("Anna-Lena", CAPITAL | GIVEN),
        ("Vaughan-Price", CAPITAL | FAMILY),
        ("Ha-eun", CAPITAL),
        ("Contrast-enhanced", CAPITAL | ORDINARY),
        ("Quux-like", CAPITAL | ORDINARY),  # one ordinary word of more than three letters is enough
        ("In-out", CAPITAL | ORDINARY),
    ],
)
def test_properties_of_a_word(word: str, expected: int) -> None:
    assert properties(word) == expected


@pytest.mark.parametrize(
    ("word", "begins"),
    [
        *(("Anna", True), ("anna", True), ("Quillfeather", True), ("quillfeather", False), ("Fracture", False)),
        *(("ZQXV", False), ("Mark", True), ("mark", False), ("Jones", True)),
    ],
)
def test_a_name_begins_with_a_capital_that_is_not_ordinary_or_with_a_listed_word(word: str, begins: bool) -> None:
    assert may_begin(properties(word)) is begins


def test_a_name_is_listed_when_all_its_words_are() -> None:
    assert is_listed("Müller")
    assert is_listed("van der Berg")
    assert is_listed("Anna-Lena")
    assert not is_listed("Quillfeather")
    assert not is_listed("Anna Quillfeather")
