"""The surroundings of a run: what is quiet, and what is recorded about the machine and the code."""

import logging
import os
import platform
import subprocess
import warnings
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from pedclip.artefacts import read_json

_PACKAGES: Final = ("pedclip", "torch", "timm", "transformers", "lightning", "datasets", "numpy", "pydicom")
# Read by the libraries when they are imported, which is one reason why `start` comes before every other import.
_QUIET_ENVIRONMENT: Final = {
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    # Without it every worker process prints that tokenizers were used before a fork.
    "TOKENIZERS_PARALLELISM": "false",
}
# Warnings that a reader of a notebook can do nothing about: category, then how the message begins.
_QUIET_WARNINGS: Final[tuple[tuple[type[Warning], str], ...]] = (
    # Lightning advises more workers; two cores have none to spare, and the images are decoded already.
    (UserWarning, ".*does not have many workers"),
    # The demo profile has fewer batches than Lightning's default logging interval.
    (UserWarning, ".*The number of training batches"),
    # Resuming into the same folder is what `resume` asks for.
    (UserWarning, ".*Checkpoint directory .* exists and is not empty"),
    # UMAP gives up its threads for the fixed seed, which is what we want.
    (UserWarning, "n_jobs value"),
    (ImportWarning, "Tensorflow not installed"),
    # tqdm asks for Jupyter widgets; the bars that it would draw with them are off.
    (Warning, "IProgress not found"),
    # Lightning 2.6 still uses the old name of a class of torch 2.15.
    (Warning, r"`isinstance\(treespec, LeafSpec\)` is deprecated"),
)


def quiet() -> None:
    """Silence the known progress bars, notes and warnings of third parties; everything else still shows."""
    os.environ.update(_QUIET_ENVIRONMENT)
    # Read when torch is loaded: threads that wait do not spin. Beside another process a training step then keeps two
    # thirds of its speed instead of a third, and on a quiet machine nine tenths.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for category, message in _QUIET_WARNINGS:
        warnings.filterwarnings("ignore", message=message, category=category)
    # Lightning resets the level of its parent logger on import, but not that of the child that it writes to.
    for library in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(f"{library}.utilities.rank_zero").setLevel(logging.WARNING)


def provenance(notebook: str, seed: int) -> dict[str, Any]:
    """Origin of a number: seed, date (UTC), git revision ("" outside a checkout), platform and versions."""
    return {
        "notebook": notebook,
        "seed": seed,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),  # to the second: enough to order runs
        "git_revision": _git_revision(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {package: _version(package) for package in _PACKAGES},
    }


def project_root() -> Path:
    """The checkout that holds the package, or the working directory where the package was installed without one."""
    checkout = Path(__file__).resolve().parents[2]  # pedclip/notebook/environment.py
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()


def default_runs() -> Path:
    """Folder for runs when no `output` is given: `runs` of the project, or PEDCLIP_RUNS (the tests use it)."""
    return Path(os.environ.get("PEDCLIP_RUNS") or project_root() / "runs").absolute()


def benchmark_results(name: str) -> dict[str, Any]:
    """Numbers of a benchmark that the checkout keeps, such as "synthetic_phantom"; none outside of a checkout.

    Args:
        name: Of the file in ``benchmarks/results``, without its ending.
    """
    file = project_root() / "benchmarks" / "results" / f"{name}.json"
    return read_json(file) if file.is_file() else {}  # type: ignore[no-any-return]


def shown(path: Path) -> str:
    """The path as it is printed: relative to the project, so that it is the same on every machine."""
    absolute = path.absolute()
    if absolute.is_relative_to(default_runs()):
        return (Path("runs") / absolute.relative_to(default_runs())).as_posix()
    root = project_root()
    return absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else absolute.as_posix()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _git_revision() -> str:
    """The commit of the checkout, with "+changes" where tracked files differ from it."""
    # Without tags, whose names would take the place of the hash.
    describe = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty=+changes"]
    try:
        return subprocess.run(
            [*describe, "--exclude", "*"], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):  # no git, no checkout, or a slow disk
        return ""
