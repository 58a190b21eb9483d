"""A trained PECM as one folder: configuration and weights, complete or absent."""

from dataclasses import asdict
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from pedclip.artefacts import atomic_folder, read_json, write_json
from pedclip.retrieval.config import PECMConfig
from pedclip.retrieval.pecm import PECM

_WEIGHTS: Final = "model.safetensors"
_CONFIG: Final = "config.json"
_KINDS: Final = ("F64", "F32", "F16", "BF16")  # real numbers, as the header names them

Shapes = dict[str, tuple[int, ...]]


def save_pecm(pecm: PECM, path: str | Path) -> Path:
    """Folder of a PECM, written; an existing one is replaced.

    Args:
        pecm: What to write.
        path: Destination folder: a new one, an empty one, or that of a PECM.

    Returns:
        The destination.

    Raises:
        FileExistsError: The folder holds something else; nothing was changed.
    """
    with atomic_folder(path, holds=(_WEIGHTS, _CONFIG)) as folder:
        # Copies: projections may share one matrix, which the format refuses.
        save_file({name: value.detach().cpu().clone() for name, value in pecm.state_dict().items()}, folder / _WEIGHTS)
        write_json(folder / _CONFIG, {"num_prototypes": pecm.num_prototypes, **asdict(pecm.config)})
    return Path(path)


def load_pecm(path: str | Path) -> PECM:
    """A PECM from a folder of `save_pecm`, in evaluation mode.

    Args:
        path: The folder.

    Raises:
        OSError: A file is missing.
        ValueError: A file is damaged, the two do not fit each other, or weights are no finite real numbers; the message
            names the file. Nothing as large as the configuration says is made before the shapes have been compared.
    """
    folder = Path(path)
    values = read_json(folder / _CONFIG)
    # Validated as if a person had typed it: an unknown field or a misspelt switch is an error, not a default.
    try:
        num_prototypes = values.pop("num_prototypes")
        # A folder without this field is older than its other value: it was trained as printed, whatever today's
        # default is.
        values.setdefault("conf_loss", "as_printed")
        config = PECMConfig(**values)
        expected = _shapes_of(num_prototypes, config)
    # RuntimeError, OverflowError: more numbers than an address has bits for.
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        # Of torch's errors, the lines behind the first are a trace of its own.
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{folder / _CONFIG} describes no PECM: {reason}") from error
    try:
        _check_header(folder / _WEIGHTS, expected)
        pecm = PECM(num_prototypes, config=config)
        pecm.load_state_dict(load_file(folder / _WEIGHTS))  # strictly
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise ValueError(f"{folder / _WEIGHTS} is damaged or does not fit {_CONFIG}: {error}") from error
    # As they are now: a number may be too large for single precision.
    if spoilt := [name for name, value in pecm.state_dict().items() if not torch.isfinite(value).all()]:
        raise ValueError(f"{folder / _WEIGHTS} holds NaN or infinite values in {spoilt[0]}")
    return pecm.eval()


def _shapes_of(num_prototypes: int, config: PECMConfig) -> Shapes:
    """Shape of each weight of a PECM, which is not made."""
    # Tensors without memory. Every weight is drawn from the configuration's sizes alone.
    with torch.device("meta"):
        pecm = PECM(num_prototypes, config=config)
    return {name: tuple(value.shape) for name, value in pecm.state_dict().items()}


def _check_header(path: Path, expected: Shapes) -> None:
    """Names, shapes and types of the weights in a file, by its header alone.

    Raises:
        ValueError: They are not those of the configuration; the message has the first.
        SafetensorError: The header is damaged, or the file is shorter than it says.
    """
    with safe_open(path, framework="pt") as file:  # type: ignore[no-untyped-call]
        found = {name: file.get_slice(name) for name in file.keys()}
        if differing := sorted(found.keys() ^ expected.keys()):
            state = "missing" if differing[0] in expected else "unknown"
            raise ValueError(f"{differing[0]} is {state}")
        for name, shape in expected.items():
            if tuple(found[name].get_shape()) != shape:
                raise ValueError(f"{name} is {tuple(found[name].get_shape())}, expected {shape}")
            # Whole numbers would be taken without a word, and complex ones without their imaginary part.
            if (kind := found[name].get_dtype()) not in _KINDS:
                raise ValueError(f"{name} is of type {kind}, expected one of {', '.join(_KINDS)}")
