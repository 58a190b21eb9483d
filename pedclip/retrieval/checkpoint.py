"""A trained PECM as one folder: configuration and weights, complete or absent."""

from dataclasses import asdict
from pathlib import Path
from typing import Final

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pedclip.artefacts import atomic_folder, read_json, write_json
from pedclip.retrieval.config import PECMConfig
from pedclip.retrieval.pecm import PECM

_WEIGHTS: Final = "model.safetensors"
_CONFIG: Final = "config.json"


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
        ValueError: A file is damaged, or the two do not fit each other; the message names it.
    """
    folder = Path(path)
    values = read_json(folder / _CONFIG)
    # Validated as if a person had typed it: an unknown field or a misspelt switch is an error, not a default.
    try:
        num_prototypes = values.pop("num_prototypes")
        # A folder without this field is older than its other value: it was trained as printed, whatever today's
        # default is.
        values.setdefault("conf_loss", "as_printed")
        pecm = PECM(num_prototypes, config=PECMConfig(**values))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / _CONFIG} describes no PECM: {error}") from error
    try:
        pecm.load_state_dict(load_file(folder / _WEIGHTS))  # strictly
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"{folder / _WEIGHTS} is damaged or does not fit {_CONFIG}: {error}") from error
    return pecm.eval()
