"""Docstrings begin with the noun and give shapes, and comments say why: read from the source, room by room."""

import ast
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "pedclip"
ROOMS = sorted({path.relative_to(ROOT).parts[0] for path in ROOT.rglob("*.py")})  # folders, and modules at the top
LEAST = 8  # comments per 100 lines that are not blank
FEWEST_LINES = 100  # of a room whose comments are counted
# Functions that need no shape, each with the reason.
WITHOUT_SHAPE: dict[str, str] = {}

_QUESTION = re.compile(r"(What|Whether|How|Where|Who|When|Why)\b")
_AXIS = r"(?:…|\*?[A-Z]\w*|[a-z]|\d+|size|count|len\(\w+\))(?: ?[-+*/·] ?\w+)*"
_SHAPE = re.compile(rf"(?<!\w)\((?:|{_AXIS},|{_AXIS}(?:, {_AXIS})+)\)")
_DIRECTIVE = re.compile(r"# ?(noqa|type:|fmt:|ruff:|pragma)")

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def sources(room: str) -> list[Path]:
    path = ROOT / room
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def place(path: Path, node: ast.AST) -> str:
    return f"pedclip/{path.relative_to(ROOT).as_posix()}:{getattr(node, 'lineno', 1)}"


def first_words(room: str) -> list[str]:
    """Docstrings that begin with a question word."""
    return [
        f"{place(path, node)} {text.splitlines()[0]}"
        for path in sources(room)
        for node in ast.walk(parsed(path))
        if isinstance(node, Documented) and (text := ast.get_docstring(node)) and _QUESTION.match(text)
    ]


@cache
def array_types() -> re.Pattern[str]:
    """The names of tensors and arrays, and of the types that the package names after them."""
    names = {"Tensor", "NDArray"}
    for path in ROOT.rglob("*.py"):
        for node in parsed(path).body:
            if isinstance(node, ast.Assign) and re.match(r"(NDArray\[|Tensor$)", ast.unparse(node.value)):
                names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return re.compile(rf"\b({'|'.join(sorted(names))})\b")


def public_functions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield f"{prefix}{node.name}", node


def shapeless(room: str) -> list[str]:
    """Public functions of arrays whose docstring gives no shape in parentheses."""
    found = []
    for path in sources(room):
        for name, node in public_functions(parsed(path).body):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            annotations = [argument.annotation for argument in arguments] + [node.returns]
            types = " ".join(ast.unparse(annotation) for annotation in annotations if annotation is not None)
            is_inherited = any(ast.unparse(decorator).endswith("override") for decorator in node.decorator_list)
            if array_types().search(types) and not is_inherited and name not in WITHOUT_SHAPE:
                if not _SHAPE.search(ast.get_docstring(node) or ""):
                    found.append(f"{place(path, node)} {name}: {types}")
    return found


def comments(room: str) -> tuple[int, int]:
    """Lines with a comment that is no directive to a tool, and lines that are not blank."""
    num_comments = num_lines = 0
    for path in sources(room):
        with path.open(encoding="utf-8") as file:
            tokens = [token for token in tokenize.generate_tokens(file.readline) if token.type == tokenize.COMMENT]
        num_comments += sum(not _DIRECTIVE.match(token.string) for token in tokens)
        num_lines += sum(bool(line.strip()) for line in path.read_text(encoding="utf-8").splitlines())
    return num_comments, num_lines


@pytest.mark.parametrize("room", ROOMS)
def test_no_docstring_begins_with_a_question_word(room: str) -> None:
    assert not (found := first_words(room)), "begin with the noun:\n" + "\n".join(found)


@pytest.mark.parametrize("room", ROOMS)
def test_functions_of_arrays_give_shapes(room: str) -> None:
    assert not (found := shapeless(room)), "give a shape such as (H, W):\n" + "\n".join(found)


@pytest.mark.parametrize("room", ROOMS)
def test_comments_say_why(room: str) -> None:
    num_comments, num_lines = comments(room)
    if num_lines >= FEWEST_LINES:
        assert 100 * num_comments / num_lines >= LEAST, f"{num_comments} comments in {num_lines} lines of {room}"


def test_exceptions_are_functions_of_the_package() -> None:
    known = {name for path in ROOT.rglob("*.py") for name, _ in public_functions(parsed(path).body)}
    assert set(WITHOUT_SHAPE) <= known


@pytest.mark.parametrize(
    "text", ["(H, W) uint8", "() mean", "(N,) labels", "(B, 1 + S, C)", "(P, len(FLAT))", "(…, 3)"]
)
def test_a_shape_is_recognized(text: str) -> None:
    assert _SHAPE.search(text)


@pytest.mark.parametrize("text", ["f(x, y)", "globals()", "(in months)", "(see above, below)", "(N)", "a shape"])
def test_other_parentheses_are_no_shape(text: str) -> None:
    assert not _SHAPE.search(text)
