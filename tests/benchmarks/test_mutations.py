"""The mutation run: which changes it makes, and how it counts."""

import ast
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import mutations
from benchmarks.mutations import Mutant, line_of, measure, mutants_of, sample, summary

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


def test_changes_that_alter_nothing_are_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutations, "ROOT", tmp_path)
    (tmp_path / "pedclip/models").mkdir(parents=True)
    (tmp_path / "pedclip/models/a.py").write_text("x = a\n    y = a\nz = e\n", encoding="utf-8")
    results = [
        {"file": "pedclip/models/a.py", "line": 1, "old": "a", "new": "b", "outcome": "survived"},
        {"file": "pedclip/models/a.py", "line": 2, "old": "a", "new": "b", "outcome": "survived"},
        {
            "file": "pedclip/models/a.py",
            "line": 3,
            "old": "e",
            "new": "f",
            "outcome": "killed by the tests of its module",
        },
    ]
    equivalent = [{"file": "pedclip/models/a.py", "source": "x = a", "old": "a", "new": "b", "reason": "the same set"}]
    found = summary(results, equivalent)
    assert found["fraction"] == 0.5
    assert (found["mutants"], found["equivalent"]) == (3, 1)
    assert found["score"]["models"] == {"tried": 2, "killed": 1}
    assert found["survivors"] == [{"file": "pedclip/models/a.py", "line": 2, "old": "a", "new": "b"}]


def test_every_change_said_to_alter_nothing_can_still_be_made() -> None:
    for item in json.loads(mutations.EQUIVALENT.read_text(encoding="utf-8")):
        source = (mutations.ROOT / item["file"]).read_text(encoding="utf-8")
        made = [
            asdict(mutant)
            for mutant in mutants_of(item["file"], source)
            if (mutant.old, mutant.new) == (item["old"], item["new"])
        ]
        assert item["source"] in {line_of(mutant) for mutant in made}, item
        assert item["reason"]


def test_slow_files_run_last(tmp_path: Path) -> None:
    folder = tmp_path / "tests/training"
    folder.mkdir(parents=True)
    for name in ("batches", "kills", "launcher", "state", "state_files"):
        (folder / f"test_{name}.py").touch()
    own, others = mutations.tests_of("pedclip/training/state.py", tmp_path)
    assert own == ["tests/training/test_state.py", "tests/training/test_state_files.py"]
    assert others == [f"tests/training/test_{name}.py" for name in ("batches", "kills", "launcher")]
    (files,) = mutations.tests_of("pedclip/training/history.py", tmp_path)
    assert files[-2:] == others[1:]


def tree_of(folder: Path, monkeypatch: pytest.MonkeyPatch, tests: dict[str, str]) -> None:
    """A repository of two modules with these files of tests; the large libraries are not loaded for it."""
    sources = {"pedclip/room/a.py": "a = 1\n", "pedclip/room/b.py": "b = 1\n"}
    for name, text in {**sources, **{f"tests/room/{name}": text for name, text in tests.items()}}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(mutations, "ROOT", folder)
    monkeypatch.setattr(mutations, "COPIED", ("pedclip", "tests"))
    for name in ("lightning", "timm", "transformers"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))


def test_every_set_of_tests_runs_once_without_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree_of(tmp_path, monkeypatch, dict.fromkeys(("test_a.py", "test_b.py", "test_c.py"), ""))
    limits = []

    def limit(tree: Path, files: Sequence[str], most: float) -> float:
        limits.append(tuple(files))
        return float(len(limits))

    used = []

    def outcome(tree: Path, files: Sequence[str], seconds: float) -> str:
        used.append((tuple(files), seconds))
        return "passed"

    monkeypatch.setattr(mutations, "_limit", limit)
    monkeypatch.setattr(mutations, "run_tests", outcome)
    found = measure([Mutant(f"pedclip/room/{name}.py", 1, "1", "2", 4) for name in "aab"], 600)
    assert [item["outcome"] for item in found] == ["survived"] * 3
    # The tests of b's folder begin with those of a, and are not judged by how long these take alone.
    own_a, rest_a, own_b, rest_b = (
        tuple(f"tests/room/test_{name}.py" for name in names) for names in ("a", "bc", "b", "ac")
    )
    assert limits == [own_a, rest_a, own_b, rest_b]
    assert used == [(own_a, 1), (rest_a, 2), (own_a, 1), (rest_a, 2), (own_b, 3), (rest_b, 4)]


def test_tests_that_fail_without_a_change_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree_of(tmp_path, monkeypatch, {"test_a.py": "def test_of_a():\n    assert 'this' == 'that'\n"})
    with pytest.raises(RuntimeError, match=r"(?s)failed without any change: tests/room/test_a.py.*'this' == 'that'"):
        measure([Mutant("pedclip/room/a.py", 1, "1", "2", 4)], 600)


def test_a_change_is_noticed_with_the_same_examples_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        "from pathlib import Path",
        "from hypothesis import settings",
        "def test_of_a():",
        "    assert (settings().derandomize, settings().deadline) == (True, None)",
        "    assert Path('pedclip/room/a.py').read_text() == 'a = 1\\n'",
    )
    tree_of(tmp_path, monkeypatch, {"test_a.py": "\n".join(lines)})
    log = tmp_path / "log.jsonl"
    changes = [Mutant(f"pedclip/room/{name}.py", 1, "1", "2", 4) for name in "ab"]
    found = measure(changes, 600, log)
    assert [item["outcome"] for item in found] == ["killed by the tests of its module", "survived"]
    assert [json.loads(line)["outcome"] for line in log.read_text(encoding="utf-8").splitlines()] == [
        item["outcome"] for item in found
    ]
