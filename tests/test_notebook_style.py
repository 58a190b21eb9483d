"""Rules 1.1 to 1.4 of the conventions on every notebook; each message ends with what repairs it."""

import ast
import io
import json
import re
import tokenize
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from papermill.translators import PythonTranslator

from pedclip.notebook.parameters import PARAMETERS

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MAX_LINES, MAX_DEFINITION, MAX_IGNORED, MAX_FIGURES, MAX_BYTES = 25, 10, 2, 8, 500 * 1024
SECTIONS = ("You will learn", "Data", "Step", "Result", "What could fool us", "Exercises", "Take-aways")
CODE_IN_COMMENT = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Import, ast.ImportFrom, ast.Return, ast.Delete)
IGNORED = re.compile(r"^\s*#\s*(NBVAL_IGNORE_OUTPUT|PYTEST_VALIDATE_IGNORE_OUTPUT)\s*$", re.MULTILINE)


def find_problems(notebook: Any, stem: str) -> list[str]:
    """What a notebook does against the conventions, each with the place and the repair."""
    codes = [(number, cell) for number, cell in enumerate(notebook.cells, start=1) if cell.cell_type == "code"]
    problems = [*_name_problems(notebook, stem)]
    if len(codes) < 2:
        return [*problems, "fewer than two code cells: add the parameters and the start cell of conventions 1.1"]
    problems += _parameter_problems(codes[0][1], stem)
    problems += _start_problems(codes[1][1], stem)
    for number, cell in codes:
        problems += [f"cell {number}: {problem}" for problem in _code_problems(cell, may_import=cell is codes[1][1])]
    problems += _section_problems(notebook, codes)
    problems += _output_problems(notebook, codes, f"python -m pedclip.notebook notebooks/{stem}.ipynb")
    return problems


def _name_problems(notebook: Any, stem: str) -> Iterator[str]:
    number = stem.partition("_")[0]
    if not re.fullmatch(r"\d\d[a-z]?_[a-z0-9_]+", stem):
        yield f"'{stem}' is not NN_topic: git mv it to two digits (and a letter), '_' and a topic in lower case"
    first = notebook.cells[0].source if notebook.cells else ""
    if not re.match(rf"# {re.escape(number)} · \S", first) or "At a glance" not in first or "\n|" not in first:
        yield f"cell 1: begin with '# {number} · Title', one sentence and the table 'At a glance'"
    ids = [cell.get("id", "") for cell in notebook.cells]
    if "" in ids or len(set(ids)) < len(ids):
        yield "cells without an id of their own: open it in JupyterLab and save it"


def _parameter_problems(cell: Any, stem: str) -> Iterator[str]:
    if "parameters" not in cell.metadata.get("tags", []):
        yield "the first code cell is not tagged: add the tag 'parameters' in the property inspector of JupyterLab"
    lines, values = cell.source.splitlines(), {}
    for statement in ast.parse(cell.source).body:
        line = lines[statement.lineno - 1]
        if not isinstance(statement, ast.AnnAssign) or statement.value is None or line.count("=") != 1:
            yield f"parameters: '{line}' is not one 'name: type = literal  # comment' with a single '='; rewrite it"
            continue
        name, kind = ast.unparse(statement.target), ast.unparse(statement.annotation)
        try:
            values[name] = ast.literal_eval(statement.value)
        except ValueError:
            yield f"parameters: {name} is computed; write a literal and compute in a later cell"
            continue
        if kind not in {"bool", "int", "float", "str", "list", "dict"} or type(values[name]).__name__ != kind:
            yield f"parameters: {name} is {values[name]!r} for {kind}; use bool, int, float, str, list or dict alike"
        if statement.lineno != statement.end_lineno or not line.partition("#")[2].strip():
            yield f"parameters: {name} needs one line that ends in a comment for  papermill --help-notebook"
    found = {parameter.name: parameter.help for parameter in PythonTranslator.inspect(cell)}
    for name in values.keys() - found.keys():
        yield f"parameters: papermill does not see {name}; write it as in conventions 1.2"
    if stem not in PARAMETERS:
        yield f"no model for {stem}: add one to PARAMETERS in pedclip/notebook/parameters.py"
        return
    fields = {name: field.default for name, field in PARAMETERS[stem].model_fields.items()}
    for name in sorted(fields.keys() | values.keys()):
        here, there = values.get(name, "nothing"), fields.get(name, "nothing")
        if here != there or type(here) is not type(there):
            model = PARAMETERS[stem].__name__
            yield f"parameters: {name} is {here!r} in the cell and {there!r} in {model}; make them equal"


def _start_problems(cell: Any, stem: str) -> Iterator[str]:
    statements = [ast.unparse(statement) for statement in ast.parse(cell.source).body]
    expected = ["from pedclip.notebook import start", f"cfg = start(globals(), '{stem}')"]
    if statements[:2] != expected:
        yield f"the second code cell does not begin with  {expected[0]}; {expected[1]}"


def _code_problems(cell: Any, *, may_import: bool) -> Iterator[str]:
    source = cell.source
    if (length := _num_lines(source)) > MAX_LINES:
        yield f"{length} lines; split it, at most {MAX_LINES}"
    if re.search(r"^\s*[!%]|get_ipython\(", source, re.MULTILINE):
        yield "a magic or shell line; use Python, or move it to the README"
        return
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            name, length = getattr(node, "name", "lambda"), (node.end_lineno or 0) - node.lineno + 1
            if length > MAX_DEFINITION:
                yield f"{name} has {length} lines; move it into pedclip, at most {MAX_DEFINITION} are defined here"
        if isinstance(node, ast.Import | ast.ImportFrom) and not may_import:
            yield f"'{ast.unparse(node)}' belongs into the block of imports in the second code cell"
    if source.rstrip().endswith(";"):
        yield "a trailing ';' hides a result from readers but not from nbval; assign it to _"
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and _is_code(token.string.lstrip("# ")):
            yield f"commented-out code '{token.string}'; delete it"


def _num_lines(source: str) -> int:
    """Lines of a cell. The formatter gives each imported name one of its own, so an import statement counts as one."""
    length = len(source.splitlines())
    if re.search(r"^(from|import) ", source, re.MULTILINE):
        imports = [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
        length -= sum((node.end_lineno or node.lineno) - node.lineno for node in imports)
    return length


def _is_code(comment: str) -> bool:
    try:
        statements = ast.parse(comment).body
    except (SyntaxError, ValueError):
        return False
    return any(
        isinstance(one, CODE_IN_COMMENT) or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Call))
        for one in statements
    )


def _section_problems(notebook: Any, codes: list[tuple[int, Any]]) -> Iterator[str]:
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    headings = re.findall(r"^## +(.*)$", text, re.MULTILINE)
    places = [next((i for i, heading in enumerate(headings) if heading.startswith(name)), -1) for name in SECTIONS]
    for name, place in zip(SECTIONS, places, strict=True):
        if place < 0:
            yield f"no section '## {name}': add it, see conventions 1.1"
    if -1 not in places and places != sorted(places):
        yield f"the sections are not in the order {', '.join(SECTIONS)}: move them"
    for word in ("Limits", "References"):
        if not re.search(rf"^(#+ +|\*\*){word}", text, re.MULTILINE):
            yield f"no '### {word}' under Take-aways: add it"
    if re.search(r"<(div|img|center|font|span|style)\b", text):
        yield "HTML layout in markdown: write markdown, or compute the picture"
    heading, checks = "", 0
    for cell in [*notebook.cells, new_markdown_cell("## end")]:
        if cell.cell_type == "code":
            checks += len(re.findall(r"^\s*check\(", cell.source, re.MULTILINE))
        elif found := re.search(r"^## +(.*)$", cell.source, re.MULTILINE):
            if heading.startswith("Step") and checks == 0:
                yield f"'{heading}' has no check: end it with  check(name, value, at_least=…)"
            heading, checks = found[1], 0
    if not re.search(r"^finish\(cfg", codes[-1][1].source, re.MULTILINE):
        yield "the last code cell does not call  finish(cfg, …)"


def _output_problems(notebook: Any, codes: list[tuple[int, Any]], repair: str) -> Iterator[str]:
    if [cell.execution_count for _, cell in codes] != list(range(1, len(codes) + 1)):
        yield f"execution counts do not run 1 to {len(codes)}:  {repair}"
    tags = [tag for _, cell in codes for tag in cell.metadata.get("tags", [])]
    ignored = tags.count("nbval-ignore-output") + sum(bool(IGNORED.search(cell.source)) for _, cell in codes)
    if ignored > MAX_IGNORED:
        yield f"{ignored} cells ignore their output; untag all but the environment and timings, at most {MAX_IGNORED}"
    if "nbval-skip" in tags or any("NBVAL_SKIP" in cell.source for _, cell in codes):
        yield "a cell is skipped by nbval; remove nbval-skip, every cell runs in CI"
    figures = 0
    for number, cell in codes:
        if re.search(r"^\s*(check|print|finish|show_\w+)\(", cell.source, re.MULTILINE) and not cell.outputs:
            yield f"cell {number}: no stored output:  {repair}"
        for output in cell.outputs:
            data = output.get("data", {})
            described = [output.metadata.get(kind, {}).get("alt") for kind in data if kind.startswith("image/")]
            figures += len(described)
            if output.output_type == "error" or output.get("name") == "stderr":
                yield f"cell {number}: an error or a line on stderr is stored; repair its cause, then  {repair}"
            if data and "text/plain" not in data:
                yield f"cell {number}: an output without a constant text/plain; show it with pedclip.notebook"
            if not all(described):
                yield f"cell {number}: a picture without alternative text; use show_images or a chart of pedclip.plots"
    if figures > MAX_FIGURES:
        yield f"{figures} figures; join or drop some, at most {MAX_FIGURES}"
    if "papermill" in notebook.metadata or any("papermill" in cell.metadata for cell in notebook.cells):
        yield f"metadata of papermill, which hold paths and user names:  {repair}"
    outputs = json.dumps([cell.outputs for _, cell in codes])
    if place := re.search(rf"(?<![\w.])(/(home|Users|root|tmp|var/folders)|{re.escape(str(ROOT))})/", outputs):
        yield f"a path of one machine ({place[0]}…) in an output; print paths with cfg.paths, then  {repair}"


def _size_problems(path: Path) -> Iterator[str]:
    # On disk, as GitHub and git see it: the same notebook without indentation is a fifth smaller.
    if (size := path.stat().st_size) > MAX_BYTES:
        yield f"{size / 1024:.0f} KiB on disk; aggregate or shrink figures, at most {MAX_BYTES // 1024} KiB"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_keep_the_conventions(path: Path) -> None:
    problems = [*find_problems(nbformat.read(path, as_version=4), path.stem), *_size_problems(path)]
    assert not problems, "\n".join([path.name, *problems])


def test_every_notebook_has_a_model_and_every_model_a_notebook() -> None:
    assert {path.stem for path in NOTEBOOKS} == PARAMETERS.keys()


def test_the_size_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "02_mobe.ipynb"
    path.write_bytes(b"x" * MAX_BYTES)
    assert list(_size_problems(path)) == []
    path.write_bytes(b"x" * (MAX_BYTES + 1024))
    assert list(_size_problems(path)) == ["501 KiB on disk; aggregate or shrink figures, at most 500 KiB"]


def test_imported_names_on_lines_of_their_own_make_no_longer_cell() -> None:
    names = "from pedclip.notebook import (\n" + "    check,\n" * 30 + ")"
    assert _num_lines(names) == 1
    assert _num_lines(f"{names}\nx = (\n    1,\n)") == 4


def _good() -> Any:
    fields = PARAMETERS["02_mobe"].model_fields
    parameters = "\n".join(
        f"{name}: {type(field.default).__name__} = {field.default!r}  # what it is" for name, field in fields.items()
    )
    start = "from pedclip.notebook import start\n\ncfg = start(globals(), '02_mobe')\nimport numpy"
    png = new_output("display_data", data={"image/png": "aGk=", "text/plain": "images: 1"})
    png.metadata["image/png"] = {"alt": "a hand"}
    cells = [
        new_markdown_cell("# 02 · Experts\nOne sentence.\n\n**At a glance**\n\n| a | b |\n|---|---|\n| c | d |"),
        new_markdown_cell("## You will learn\n- measure"),
        new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        new_code_cell(start),
        new_markdown_cell("## Data"),
        new_markdown_cell("## Step 1 · Route"),
        new_code_cell("# (B, E), because Eq. 2 says so\ncheck('x', 1, equal=1)", outputs=[png]),
        new_markdown_cell("## Result"),
        new_markdown_cell("## What could fool us"),
        new_markdown_cell("## Exercises"),
        new_markdown_cell("## Take-aways\n### Limits\n### References"),
        new_code_cell("finish(cfg, {}, [], '')", outputs=[new_output("stream", name="stdout", text="made\n")]),
    ]
    notebook = new_notebook(cells=cells)
    for count, cell in enumerate((cell for cell in cells if cell.cell_type == "code"), start=1):
        cell.execution_count = count
    return notebook


def test_a_good_notebook_has_no_problem() -> None:
    assert find_problems(_good(), "02_mobe") == []


def _source(index: int, change: Callable[[str], str]) -> Callable[[Any], None]:
    def apply(notebook: Any) -> None:
        notebook.cells[index].source = change(notebook.cells[index].source)

    return apply


def _append(index: int, text: str) -> Callable[[Any], None]:
    return _source(index, lambda source: f"{source}\n{text}")


def _swap(index: int, old: str, new: str) -> Callable[[Any], None]:
    return _source(index, lambda source: source.replace(old, new, 1))


def _output(*outputs: Any) -> Callable[[Any], None]:
    def apply(notebook: Any) -> None:
        notebook.cells[6].outputs = list(outputs)

    return apply


PNG = {"image/png": "aGk=", "text/plain": "images: 1"}
LONG = "def long():\n" + "    pass\n" * 10
BROKEN: list[tuple[Callable[[Any], None], str]] = [
    (_swap(0, "02 ·", "Mobe"), "cell 1: begin with"),
    (lambda notebook: notebook.cells[2].metadata.pop("tags"), "add the tag 'parameters'"),
    (_swap(2, "seed: int = 0", "seed: int = 1 - 1"), "seed is computed"),
    (_swap(2, "seed: int = 0  # what it is", "seed: int = 0"), "seed needs one line that ends in a comment"),
    (_swap(2, "seed: int = 0  # what", "seed: int = 0  # >= 0"), "single '='"),
    (_swap(2, "seed: int = 0", "seed: tuple = (0, 1)"), "seed is (0, 1) for tuple"),
    (_swap(2, "seed: int = 0", "seed: int = 3"), "seed is 3 in the cell and 0 in MobeParameters"),
    (_append(2, "epochs: int = 3  # passes"), "epochs is 3 in the cell and 'nothing'"),
    (_source(2, lambda source: source.partition("\n")[2]), "profile is 'nothing' in the cell"),
    (_swap(3, "from pedclip.notebook import start", "import numpy as np"), "does not begin with"),
    (_append(6, "x = 0\n" * 25), "27 lines; split it"),
    (_append(6, LONG), "long has 11 lines; move it into pedclip"),
    (_append(6, "import numpy"), "belongs into the block of imports"),
    (_append(6, "%cd /"), "a magic or shell line"),
    (_append(6, "!pip install x"), "a magic or shell line"),
    (_append(6, "x = 1  # x = f(2)"), "commented-out code '# x = f(2)'"),
    (_append(6, "cfg;"), "trailing ';'"),
    (_swap(6, "check(", "print("), "'Step 1 · Route' has no check"),
    (_swap(8, "What could fool us", "Controls"), "no section '## What could fool us'"),
    (lambda notebook: notebook.cells.insert(1, notebook.cells.pop(4)), "not in the order"),
    (_swap(10, "### Limits", ""), "no '### Limits'"),
    (_append(8, "<div align=center>"), "HTML layout"),
    (_swap(11, "finish(cfg", "print(cfg"), "does not call  finish(cfg"),
    (lambda notebook: notebook.cells[6].update(execution_count=7), "python -m pedclip.notebook notebooks/02_mobe"),
    (lambda notebook: notebook.cells[6].metadata.update(tags=["nbval-skip"]), "remove nbval-skip"),
    (lambda notebook: [_append(i, "# NBVAL_IGNORE_OUTPUT")(notebook) for i in (3, 6, 11)], "3 cells ignore"),
    (_output(), "cell 7: no stored output"),
    (_output(new_output("stream", name="stderr", text="warning")), "on stderr is stored"),
    (_output(new_output("error", ename="E", evalue="", traceback=[])), "an error or a line"),
    (_output(new_output("display_data", data={"text/html": "<b>"})), "without a constant text/plain"),
    (_output(new_output("display_data", data=PNG)), "a picture without alternative text"),
    (_output(*[new_output("display_data", data=PNG)] * 9), "9 figures"),
    (_output(new_output("stream", name="stdout", text="made /home/me/runs")), "a path of one machine"),
    (lambda notebook: notebook.metadata.update(papermill={"input_path": "x"}), "metadata of papermill"),
    (lambda notebook: notebook.cells[4].pop("id"), "without an id"),
]


@pytest.mark.parametrize(("breaks", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_each_broken_rule_is_found_and_says_how_to_repair_it(breaks: Callable[[Any], None], message: str) -> None:
    notebook = deepcopy(_good())
    breaks(notebook)
    assert message in "\n".join(find_problems(notebook, "02_mobe"))


def test_a_notebook_needs_a_name_and_a_model() -> None:
    problems = "\n".join(find_problems(_good(), "Mobe"))
    assert "is not NN_topic" in problems
    assert "add one to PARAMETERS" in problems
