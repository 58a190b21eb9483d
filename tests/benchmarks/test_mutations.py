"""The mutation run: which changes it makes, and how it counts."""

import ast

import pytest

from benchmarks.mutations import mutants_of, sample, summary

SOURCE = '''"""Module é."""

def weight(step: int, *, warmup: int = 5) -> float:
    """A docstring with 1 number."""
    if step < warmup:
        _log.info("step %d", 1)
        raise ValueError("below 1")
    total = clip(step + 1, low=0.5)
    total /= 2
    return total
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("step < warmup", "((step) <= (warmup))"),
        ("step < warmup", "(not (step < warmup))"),
        ("step + 1", "((step) - (1))"),
        ("clip(step + 1, low=0.5)", "clip(step + 1)"),
        ("0.5", "1.0"),
        ("5", "6"),
        ("total /= 2", "pass"),
    ],
)
def test_each_kind_of_change_is_made_where_it_stands(old: str, new: str) -> None:
    (mutant,) = (mutant for mutant in mutants_of("a.py", SOURCE) if (mutant.old, mutant.new) == (old, new))
    changed = mutant.applied(SOURCE.encode()).decode()
    ast.parse(changed)
    # Offsets count bytes: the accent in the first line moves nothing.
    assert changed == SOURCE.replace(old, new, 1)


def test_messages_docstrings_and_annotations_are_left_alone() -> None:
    touched = {mutant.line for mutant in mutants_of("a.py", SOURCE)}
    assert touched == {3, 5, 8, 9}


def test_a_seed_gives_the_same_changes_at_most_one_a_line() -> None:
    first = sample(5, 0, ("objectives", "models"))
    assert first == sample(5, 0, ("objectives", "models"))
    assert first != sample(5, 1, ("objectives", "models"))
    assert len({(mutant.file, mutant.line) for mutant in first}) == len(first) == 10


def test_changes_that_alter_nothing_are_not_counted() -> None:
    results = [
        {"file": "pedclip/models/a.py", "line": 1, "old": "a", "new": "b", "outcome": "survived"},
        {"file": "pedclip/models/a.py", "line": 2, "old": "c", "new": "d", "outcome": "survived"},
        {
            "file": "pedclip/models/a.py",
            "line": 3,
            "old": "e",
            "new": "f",
            "outcome": "killed by the tests of its module",
        },
    ]
    equivalent = [{"file": "pedclip/models/a.py", "old": "a", "new": "b", "reason": "the same set"}]
    found = summary(results, equivalent)
    assert found["fraction"] == 0.5
    assert (found["mutants"], found["equivalent"]) == (3, 1)
    assert found["score"]["models"] == {"tried": 2, "killed": 1}
    assert found["survivors"] == [{"file": "pedclip/models/a.py", "line": 2, "old": "c", "new": "d"}]
