"""Files of an exported model: which there must be, and the digest that tells damaged weights."""

from pathlib import Path
from typing import Final

from pedclip.artefacts import read_json, write_json
from pedclip.weights.installed import sha256_of

CONFIG_FILE: Final = "config.json"
PREPROCESS_FILE: Final = "preprocess.json"
WEIGHTS_FILE: Final = "model.safetensors"
TEXT_FOLDER: Final = "text"
CHECKSUMS_FILE: Final = "checksums.json"
OBJECTIVE_FILE: Final = "objective.json"  # name and options of an objective with heads
HEADS_FILE: Final = "heads.safetensors"  # its weights
_FILES: Final = (CONFIG_FILE, PREPROCESS_FILE, WEIGHTS_FILE)
# All that a folder of a model holds; the preprocessing first, as no other kind of checkpoint has a file of that name.
HELD: Final = (
    PREPROCESS_FILE,
    CONFIG_FILE,
    WEIGHTS_FILE,
    CHECKSUMS_FILE,
    TEXT_FOLDER,
    OBJECTIVE_FILE,
    HEADS_FILE,
    "README.md",
    # Of weights that this package ships, how they were made; `benchmarks/shipped_weights.py` replaces them.
    "training.json",
    "patients.json",
    "metrics.json",
)


def check_layout(folder: Path) -> None:
    """Make sure that a folder holds what a model is loaded from.

    Raises:
        FileNotFoundError: Something is missing; the message names all of it.
        IsADirectoryError: A folder stands in place of a file.
        NotADirectoryError: A file stands in place of the folder of the text encoder.
    """
    # All at once, so that the next attempt does not stop at the next one.
    missing = [name for name in (*_FILES, TEXT_FOLDER) if not (folder / name).exists()]
    if missing:
        raise FileNotFoundError(f"{folder} is not a PedCLIP checkpoint: it has no {', '.join(missing)}")
    # safetensors and json would name neither the file nor the reason.
    for name in (*_FILES, CHECKSUMS_FILE):
        if (folder / name).is_dir():
            raise IsADirectoryError(f"{folder / name} is a folder; expected a file")
    if not (folder / TEXT_FOLDER).is_dir():
        raise NotADirectoryError(f"{folder / TEXT_FOLDER} is a file; expected a folder")


def write_checksums(folder: Path) -> Path:
    """Write ``checksums.json``, the SHA-256 of the weights and heads of a folder; returns the file."""
    held = [name for name in (WEIGHTS_FILE, HEADS_FILE) if (folder / name).is_file()]
    return write_json(folder / CHECKSUMS_FILE, {name: sha256_of(folder / name) for name in held})


def check_weights(folder: Path, name: str = WEIGHTS_FILE) -> None:
    """Make sure that the weights of a folder are those that were written; a folder without checksums passes.

    Args:
        folder: Of the model.
        name: ``model.safetensors``, or ``heads.safetensors``, of which earlier versions kept no checksum.

    Raises:
        FileNotFoundError: There is a checksum and no such file.
        ValueError: A bit has changed, or the checksums themselves are damaged.
    """
    checksums = folder / CHECKSUMS_FILE
    if not checksums.exists():
        return  # of an earlier version
    stored = read_json(checksums)
    if name == HEADS_FILE and isinstance(stored, dict) and name not in stored:
        return  # likewise
    if not isinstance(stored, dict) or not isinstance(stored.get(name), str):
        raise ValueError(f"{checksums} is damaged: expected an object with the SHA-256 of {name}")
    # safetensors checks sizes only: one flipped bit is another weight to it.
    if sha256_of(folder / name) != stored[name]:
        raise ValueError(
            f"{folder / name} is damaged: its SHA-256 is not the one in {checksums}; copy the folder again"
        )
