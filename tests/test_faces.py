"""The public names: each is imported as the documentation writes it, and each folder hands out what it lists."""

import ast
import inspect
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import pedclip

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pedclip"
FACES = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for path in PACKAGE.rglob("__init__.py")
    if "lazy_names" in path.read_text(encoding="utf-8")
)
FOLDERS = sorted(".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py"))

# Names that notebooks, tests and other people's code may rely on.
PUBLIC = (
    "pedclip.PedCLIP",
    "pedclip.PedCLIPConfig",
    "pedclip.PedCLIP.from_pretrained",
    "pedclip.PedCLIP.save_pretrained",
    "pedclip.PedCLIP.encode_image",
    "pedclip.PedCLIP.encode_text",
    "pedclip.anatomy.REGIONS",
    "pedclip.models.mobe.MixtureOfBodyExperts",
    "pedclip.models.mobe.mobe_reference",
    "pedclip.objectives.info_nce",
    "pedclip.objectives.names",
    "pedclip.objectives.build",
    "pedclip.training.schedule.expert_schedule",
    "pedclip.evaluation.metrics.auc.bootstrap",
    "pedclip.evaluation.metrics.mae.bootstrap",
    "pedclip.evaluation.metrics.dice.bootstrap",
    "pedclip.evaluation.metrics.mean_average_precision.bootstrap",
    "pedclip.evaluation.metrics.recall_at_k.bootstrap",
    "pedclip.evaluation.metrics.precision_at_k.bootstrap",
    "pedclip.curation.extract.extract_regions",
    "pedclip.data.phantom.generate",
    "pedclip.data.load",
    "pedclip.retrieval.pecm.PECM",
    "pedclip.retrieval.pecm.PECM.weights",
    "pedclip.retrieval.pecm.PECM.scores",
    "pedclip.synthesis.Generator",
    "pedclip.synthesis.Generator.generate",
    "pedclip.synthesis.synthetic_copy",
    "pedclip.ablation.run_grid",
)

# Parameters of the public functions, as documented: name -> leading parameters.
SIGNATURES = {
    "pedclip.models.mobe.MixtureOfBodyExperts": ("dim", "hidden_dim", "num_experts", "implementation"),
    "pedclip.models.mobe.mobe_reference": ("tokens", "gates", "w1", "b1", "w2", "b2"),
    "pedclip.objectives.info_nce": ("image", "text", "temperature"),
    "pedclip.objectives.build": ("name", "model"),
    "pedclip.training.schedule.expert_schedule": ("epoch", "epochs", "teacher_epochs"),
    "pedclip.retrieval.pecm.PECM": ("num_prototypes", "rerank"),
    "pedclip.retrieval.pecm.PECM.scores": ("self", "image_prototypes", "text_prototypes", "text_mask"),
    "pedclip.curation.extract.extract_regions": ("report", "regions", "extractor"),
    "pedclip.data.phantom.generate": ("studies", "seed", "size"),
    "pedclip.synthesis.Generator.generate": ("self", "texts", "seeds"),
    "pedclip.synthesis.synthetic_copy": ("triplets", "generator", "output"),
    "pedclip.ablation.run_grid": ("grid", "output"),
}


def find(path: str) -> object:
    """The object, reached in a new process's way: the longest importable module, then attributes."""
    parts = path.split(".")
    for number in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:number]))
        except ModuleNotFoundError:
            continue
        for name in parts[number:]:
            found = getattr(found, name)
        return found
    raise AssertionError(path)


@pytest.mark.parametrize("path", PUBLIC)
def test_public_names_are_found_as_written(path: str) -> None:
    assert not inspect.ismodule(find(path))


@pytest.mark.parametrize("path", SIGNATURES)
def test_public_functions_take_what_is_documented(path: str) -> None:
    parameters = tuple(inspect.signature(find(path)).parameters)  # type: ignore[arg-type]
    assert parameters[: len(SIGNATURES[path])] == SIGNATURES[path]


@pytest.mark.parametrize("package", FACES)
def test_a_face_hands_out_what_it_lists_and_types_the_same(package: str) -> None:
    tree = ast.parse((ROOT / Path(*package.split(".")) / "__init__.py").read_text(encoding="utf-8"))
    typed = {
        alias.asname
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    face = import_module(package)
    listed = set(dir(face))
    assert typed == listed, typed ^ listed
    for name in listed:
        assert getattr(face, name) is not None, name


@pytest.mark.parametrize("package", FACES)
def test_no_name_of_a_face_is_hidden_by_a_module_of_the_same_name(package: str) -> None:
    # Importing pedclip.x.name would set the attribute to the module, and the face would hand out that.
    face, folder = import_module(package), ROOT / Path(*package.split("."))
    hidden = [
        name
        for name in dir(face)
        if ((folder / f"{name}.py").exists() or (folder / name / "__init__.py").exists())
        and not inspect.ismodule(getattr(face, name))
    ]
    assert not hidden


@pytest.mark.parametrize("package", FOLDERS)
def test_every_folder_says_what_it_is_and_what_it_imports(package: str) -> None:
    path = ROOT / Path(*package.split(".")) / "__init__.py"
    words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert 40 < len(words) < 700
    if package.count(".") == 1 and package not in ("pedclip.weights",):
        assert "Imports " in words


def test_an_unknown_name_says_so() -> None:
    with pytest.raises(AttributeError, match=r"module 'pedclip' has no attribute 'PedClip'"):
        _ = pedclip.PedClip


def test_a_face_alone_loads_neither_torch_nor_datasets() -> None:
    code = f"import sys, {', '.join(face for face in FACES if 'notebook' not in face and 'plots' not in face)}\n"
    code += "print(sorted({'torch', 'datasets', 'transformers', 'altair'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_import_from_faces_only(notebook: Path) -> None:
    allowed = {*FOLDERS, "pedclip.anatomy", "pedclip.findings"}
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    modules = {node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom) and node.module}
    assert {module for module in modules if module.split(".")[0] == "pedclip"} <= allowed
