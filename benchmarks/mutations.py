"""Mutation run: one-place changes of the code, and how many of them a test notices.

    python -m benchmarks.mutations --per-room 24 --seed 0 --json benchmarks/results/mutations.json

Each change (`<` to `<=`, `+` to `-`, a number, a constant, a keyword argument or a statement left out) is made in a
copy of the tree; the mirrored tests of its module run first, then those of its folder. What survives both is listed
with its line. Changes that alter nothing are kept by hand in benchmarks/annotations/equivalent_mutants.json,
with the reason, and are not counted.
"""

import argparse
import ast
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.report import describe, write_report

ROOT: Final = Path(__file__).resolve().parents[1]
EQUIVALENT: Final = Path(__file__).parent / "annotations/equivalent_mutants.json"
ROOMS: Final = ("models", "objectives", "training", "evaluation/metrics", "curation/privacy")
COPIED: Final = ("pedclip", "tests", "benchmarks", "data_cards", "notebooks", "pyproject.toml", "README.md")
_COMPARE: Final = {
    **{ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "=="},
    **{ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is"},
}
_BINARY: Final = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "/",
    ast.Pow: "*",
    ast.Mod: "*",
}
# Runs that are killed again and again, or in several processes: minutes, where most changes are noticed before.
_LAST: Final = ("test_distributed", "test_kills", "test_kills_two", "test_launcher")
_SHOWN: Final = 4000  # last characters of what failing tests print
_UNSEEN: Final = ("help", "description", "encoding", "strict", "ensure_ascii", "indent")  # keywords of no consequence


@dataclass(frozen=True)
class Mutant:
    """A change of one place.

    Args:
        file: Path from the root of the repository.
        line: Line of the change, from 1.
        old: Source that is replaced.
        new: What replaces it.
        start: Offset of the source in bytes.
    """

    file: str
    line: int
    old: str
    new: str
    start: int

    def applied(self, source: bytes) -> bytes:
        """Source of the module with the change."""
        end = self.start + len(self.old.encode())
        return source[: self.start] + self.new.encode() + source[end:]


def mutants_of(file: str, source: str) -> list[Mutant]:
    """Every change of a module, in the order of the source; messages, annotations and docstrings are left alone."""
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node, new in _changes(ast.parse(source)):
        start, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        old = source.encode()[start:end].decode()
        text = new if isinstance(new, str) else ast.unparse(new)
        if text != old:
            found.append(Mutant(file, node.lineno, old, text, start))
    return sorted(set(found), key=lambda mutant: (mutant.start, mutant.new))


def _changes(tree: ast.AST) -> Iterator[tuple[Any, Any]]:
    """Node and what takes its place: source, or another node."""
    for node in _visible(tree):
        match node:
            case ast.Compare(ops=[operator]) if type(operator) in _COMPARE:
                yield node, _infix(node.left, _COMPARE[type(operator)], node.comparators[0])
            case ast.BinOp(op=operator) if type(operator) in _BINARY and not _is_text(node):
                yield node, _infix(node.left, _BINARY[type(operator)], node.right)
            case ast.BoolOp():
                word = " or " if isinstance(node.op, ast.And) else " and "
                yield node, "(" + word.join(f"({ast.unparse(value)})" for value in node.values) + ")"
            case ast.UnaryOp(op=ast.Not() | ast.USub()):
                yield node, f"({ast.unparse(node.operand)})"
            case ast.Constant(value=bool(value)):
                yield node, str(not value)
            case ast.Constant(value=int(value)):
                yield node, str(value + 1)
            case ast.Constant(value=float(value)):
                yield node, str(value * 2 if value else 1.0)
            case ast.Call() if node.keywords:
                for number, keyword in enumerate(node.keywords):
                    if keyword.arg not in (None, *_UNSEEN):
                        rest = node.keywords[:number] + node.keywords[number + 1 :]
                        yield node, ast.Call(node.func, node.args, rest)
            case ast.If():
                yield node.test, f"(not ({ast.unparse(node.test)}))"
            case ast.Expr(value=ast.Call()) | ast.AugAssign():
                yield node, "pass"


def _visible(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes below one that a test could notice: no messages of errors, logs, annotations, decorators, type checks."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(
                child, ast.Raise | ast.Import | ast.ImportFrom | ast.JoinedStr
            ):
                continue
            source = ast.unparse(child) if isinstance(child, ast.Expr | ast.If) else ""
            if source.startswith(("_log.", "if TYPE_CHECKING", "warnings.")):
                continue
            yield child
            yield from _visible(child)


def _infix(left: ast.expr, operator: str, right: ast.expr) -> str:
    return f"(({ast.unparse(left)}) {operator} ({ast.unparse(right)}))"


def _is_text(node: ast.BinOp) -> bool:
    parts = (node.left, node.right)
    return any(isinstance(part, ast.JoinedStr) or isinstance(getattr(part, "value", None), str) for part in parts)


def sample(per_room: int, seed: int, rooms: Sequence[str] = ROOMS) -> list[Mutant]:
    """The same changes for the same seed and source: equally many of each room, at most one per line."""
    chosen = []
    for room in rooms:
        files = sorted((ROOT / "pedclip" / room).glob("*.py"))
        everything = [
            mutant
            for file in files
            for mutant in mutants_of(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8"))
        ]
        order = random.Random(f"{seed} {room}").sample(everything, len(everything))
        by_line = {(mutant.file, mutant.line): mutant for mutant in reversed(order)}
        one_each = [mutant for mutant in order if by_line[mutant.file, mutant.line] is mutant]
        chosen += one_each[:per_room]
    return chosen


def tests_of(file: str, tree: Path) -> list[list[str]]:
    """Files of tests in the order in which they run: those of the module, then the others of its folder."""
    module = Path(file)
    folder = tree / "tests" / module.parent.relative_to("pedclip")
    everything = sorted(path.relative_to(tree).as_posix() for path in folder.glob("test_*.py"))
    own = [name for name in everything if Path(name).stem.removeprefix("test_").startswith(module.stem)]
    others = sorted((name for name in everything if name not in own), key=lambda name: Path(name).stem in _LAST)
    return [part for part in (own, others) if part]


def run_tests(tree: Path, files: Sequence[str], limit: float, output: Path = Path(os.devnull)) -> str:
    """Outcome of some tests in a child that has the large libraries already: "passed", "failed" or "late".

    Args:
        tree: Root of the copy in which they run.
        files: Their files, from that root.
        limit: Seconds that they may take.
        output: File for what pytest prints.
    """
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        _run_in_child(tree, files, output)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "passed" if status == 0 else "failed"
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "late"


def _limit(tree: Path, files: Sequence[str], limit: float) -> float:
    """Seconds after which a change counts as noticed: a few times what the tests take without one."""
    start = time.monotonic()
    with tempfile.NamedTemporaryFile() as output:
        outcome = run_tests(tree, files, limit, Path(output.name))
        printed = output.read().decode(errors="replace")
    if outcome != "passed":
        raise RuntimeError(
            f"{outcome} without any change: {', '.join(files)}; a mutation run needs tests that pass.\n"
            f"{printed[-_SHOWN:]}"
        )
    return min(limit, 20 + 4 * (time.monotonic() - start))


def _run_in_child(tree: Path, files: Sequence[str], output: Path) -> None:
    import pytest

    # Lines, as a child that ends by _exit empties no buffer; by name too, where another pytest holds the streams.
    sys.stdout = sys.stderr = output.open("w", buffering=1, encoding="utf-8", errors="replace")
    for stream in (1, 2):
        os.dup2(sys.stdout.fileno(), stream)
    os.chdir(tree)
    # The copy, not the tree that started the run.
    sys.path[:] = [str(tree), *(path for path in sys.path if path not in ("", str(ROOT)))]
    for name in [name for name in sys.modules if name.partition(".")[0] in ("pedclip", "tests", "benchmarks")]:
        del sys.modules[name]
    os.environ |= {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    # A change may end in an endless loop or in the whole memory; both are the parent's to stop.
    quiet = ("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning")
    # The same examples for every change, however slow the machine is: an outcome can be had again.
    same = ("-p", "no:cacheprovider", "--hypothesis-profile", "ci")
    code = pytest.main(["-q", "-x", "-m", "not gpu", *same, *quiet, *files])
    os._exit(int(code))


def measure(mutants: Iterable[Mutant], limit: float, log: Path | None = None) -> list[dict[str, Any]]:
    """Outcome of every change: "killed" with the stage that noticed it, or "survived"."""
    import lightning  # noqa: F401  # loaded once, for all children
    import timm  # noqa: F401
    import transformers  # noqa: F401

    results = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, tree / name)
        limits: dict[tuple[str, ...], float] = {}
        for mutant in mutants:
            file = tree / mutant.file
            source, start, outcome = file.read_bytes(), time.monotonic(), "survived"
            for stage, files in zip(("module", "folder"), tests_of(mutant.file, tree), strict=False):
                # Without a change first, once, as only tests that pass can notice one.
                if tuple(files) not in limits:
                    limits[tuple(files)] = _limit(tree, files, limit)
                file.write_bytes(mutant.applied(source))
                ended = run_tests(tree, files, limits[tuple(files)])
                file.write_bytes(source)
                if ended != "passed":
                    outcome = f"killed by the tests of its {stage}"
                    break
            seconds = round(time.monotonic() - start, 1)
            results.append(asdict(mutant) | {"outcome": outcome, "seconds": seconds})
            if log is not None:
                with log.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(results[-1], ensure_ascii=False) + "\n")
    return results


def line_of(change: Mapping[str, Any]) -> str:
    """The line on which a change begins, without its indentation."""
    lines = (ROOT / change["file"]).read_text(encoding="utf-8").splitlines()
    return lines[change["line"] - 1].strip()


def summary(results: Sequence[dict[str, Any]], equivalent: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Score per room and in all, without the changes that alter nothing, and the survivors.

    Args:
        results: As from `measure`.
        equivalent: Changes that alter nothing: `file`, `source` (the line as it stands there), `old`, `new`, `reason`.
    """
    # By what the line says, not by its number: that moves, and the same number 1 stands on many lines.
    alike = {tuple(item[key] for key in ("file", "source", "old", "new")) for item in equivalent}
    counted = [item for item in results if (item["file"], line_of(item), item["old"], item["new"]) not in alike]
    tried: Counter[str] = Counter()
    killed: Counter[str] = Counter()
    for item in counted:
        for key in ("all", str(Path(item["file"]).parent.relative_to("pedclip"))):
            tried[key] += 1
            killed[key] += item["outcome"] != "survived"
    return {
        "mutants": len(results),
        "equivalent": len(results) - len(counted),
        "score": {key: {"tried": tried[key], "killed": killed[key]} for key in tried},
        "fraction": round(killed["all"] / max(tried["all"], 1), 4),
        "survivors": [
            {key: item[key] for key in ("file", "line", "old", "new")}
            for item in counted
            if item["outcome"] == "survived"
        ],
    }


def main() -> None:
    """Draw, run, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-room", type=int, default=24, help="changes per folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rooms", nargs="+", default=ROOMS, choices=ROOMS)
    parser.add_argument("--limit", type=float, default=600.0, help="most seconds for the tests of one change")
    parser.add_argument("--log", type=Path, help="file to which each outcome is added as it comes")
    parser.add_argument("--json", type=Path, help="file for the result")
    options = parser.parse_args()
    results = measure(sample(options.per_room, options.seed, options.rooms), options.limit, options.log)
    equivalent = json.loads(EQUIVALENT.read_text(encoding="utf-8")) if EQUIVALENT.is_file() else []
    report = summary(results, equivalent)
    print(json.dumps(report, indent=2, ensure_ascii=False))
    if options.json:
        write_report(options.json, {**describe(), "seed": options.seed, "per_room": options.per_room, **report})


if __name__ == "__main__":
    main()
