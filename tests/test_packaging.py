"""The three lists of dependencies stay in step, and importing stays cheap."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.partition("==") for line in lines)
    return {name.lower().replace("_", "-"): version for name, _, version in pairs if version}


@pytest.mark.parametrize("text", [*PROJECT["dependencies"], *(text for extra in EXTRAS.values() for text in extra)])
def test_every_dependency_has_a_tested_version_within_its_bounds(text: str) -> None:
    requirement = Requirement(text)
    version = constraints()[requirement.name.lower().replace("_", "-")]
    assert requirement.specifier.contains(version), f"constraints.txt has {requirement.name} {version}"
    assert any(item.operator == ">=" for item in requirement.specifier), f"{text} has no tested lower bound"


def test_conda_environment_installs_the_package_and_nothing_else() -> None:
    text = (ROOT / "environment.yml").read_text()
    listed = re.findall(r"^\s*- (.+)$", text, flags=re.MULTILINE)
    python = PROJECT["requires-python"]
    assert listed == ["conda-forge", f"python{python}", "pip", "pip:", "-c constraints.txt", "-e .[notebooks,tests]"]


def test_importing_the_package_loads_no_torch_and_training_on_drawn_films_needs_no_datasets() -> None:
    code = (
        "import sys, pedclip, pedclip.anatomy\n"
        "assert 'torch' not in sys.modules, 'import pedclip loads torch'\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'datasets', 'altair', 'papermill', 'pydantic', 'umap', 'pydicom'}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import pedclip.training.loop, pedclip.training.__main__\n"
        "import pedclip.triplets.cache, pedclip.triplets.transforms\n"
        "from pedclip.data.phantom import draw_studies\n"
        "assert draw_studies([0], seed=0, size=32)[0]\n"
        "assert pedclip.PedCLIP.__name__ == 'PedCLIP'\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_unknown_public_name_is_an_attribute_error() -> None:
    import pedclip

    with pytest.raises(AttributeError, match="module 'pedclip' has no attribute 'PedClip'"):
        _ = pedclip.PedClip
