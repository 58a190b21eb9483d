"""The three lists of dependencies stay in step, none is under the GPL, and importing stays cheap."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pedclip.weights.installed import weight_packages

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


def test_weights_that_are_installed_are_those_whose_hash_is_known() -> None:
    known = {package.package: package.version for package in weight_packages().values()}
    for text in EXTRAS["pretrained"]:
        name = Requirement(text).name
        assert constraints()[name] == known[name]


def test_conda_environment_installs_the_package_and_nothing_else() -> None:
    text = (ROOT / "environment.yml").read_text()
    listed = re.findall(r"^\s*- (.+)$", text, flags=re.MULTILINE)
    python = PROJECT["requires-python"]
    assert listed == [
        "conda-forge",
        f"python{python}",
        "pip",
        "pip:",
        "-c constraints.txt",
        "-e .[notebooks,tests,pretrained]",
    ]


def licences(name: str) -> str:
    """Everything that an installed distribution says of its licence, but not the text of the licence itself."""
    metadata = distribution(name).metadata
    classifiers = [text for text in metadata.get_all("Classifier") or [] if text.startswith("License ::")]
    # Some paste the whole text into the field; SciPy's goes on with the licences of what its wheel brings along.
    field = (metadata.get("License") or "").strip().partition("\n")[0]
    return "; ".join([metadata.get("License-Expression") or "", field, *classifiers])


def is_copyleft(licence: str) -> bool:
    """True where a licence is the GPL or the AGPL.

    The LGPL is none of them: it lets a package of another licence import it. Weaker ones such as the MPL are fine too.
    """
    words = re.sub(r"LGPL|(lesser|library) (gnu )?general public license", "", licence, flags=re.IGNORECASE)
    return re.search(r"GPL|general public license", words, flags=re.IGNORECASE) is not None


def required(requirements: Iterable[Requirement]) -> set[str]:
    """Names of what is installed with requirements, transitively."""
    names: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = list(requirements)
    while waiting:
        item = waiting.pop()
        key = (item.name, frozenset(item.extras))
        extras = item.extras or {""}
        if key in seen or (item.marker is not None and not item.marker.evaluate({"extra": ""})):
            continue
        seen.add(key)
        names.add(item.name)
        for text in distribution(item.name).requires or []:
            below = Requirement(text)
            if below.marker is None or any(below.marker.evaluate({"extra": extra}) for extra in extras):
                below.marker = None  # it held here, with the extra that was asked for
                waiting.append(below)
    return names


def copyleft(requirements: Iterable[Requirement]) -> dict[str, str]:
    return {name: licences(name) for name in required(requirements) if is_copyleft(licences(name))}


def test_no_dependency_is_under_the_gpl() -> None:
    names = required(map(Requirement, PROJECT["dependencies"]))
    assert {"torch", "jinja2", "pylibjpeg-openjpeg"} <= {name.lower() for name in names}  # the second through torch
    assert copyleft(map(Requirement, PROJECT["dependencies"])) == {}


def test_a_codec_under_the_gpl_two_steps_away_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = {
        "fake_reader": ["License-Expression: MIT", "Provides-Extra: all", "Requires-Dist: fake-codec; extra == 'all'"],
        "fake_codec": ["License: GPL V3.0"],
    }
    for name, lines in described.items():
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        head = ["Metadata-Version: 2.4", f"Name: {name.replace('_', '-')}", "Version: 1.0"]
        (folder / "METADATA").write_text("\n".join([*head, *lines, ""]))
    monkeypatch.syspath_prepend(tmp_path)
    assert copyleft([Requirement("fake-reader")]) == {}
    assert list(copyleft([Requirement("fake-reader[all]")])) == ["fake-codec"]


@pytest.mark.parametrize(
    ("licence", "is_one"),
    [
        ("GPL-3.0-or-later", True),
        ("MIT AND AGPL-3.0-only", True),
        ("GPL V3.0", True),
        ("License :: OSI Approved :: GNU General Public License v3 (GPLv3)", True),
        ("License :: OSI Approved :: GNU Affero General Public License v3", True),
        ("LGPL-2.1-or-later; GPL-2.0-only", True),
        ("LGPL-3.0-or-later", False),
        ("License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)", False),
        ("MPL-2.0 AND MIT", False),
    ],
)
def test_gpl_is_told_from_other_licences(licence: str, is_one: bool) -> None:
    assert is_copyleft(licence) == is_one


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
