"""Weights that come with the package, one folder each; made by ``python -m benchmarks.shipped_weights``."""

from pathlib import Path
from typing import Final

SHIPPED: Final = ("pedclip-phantom-small",)


def shipped_folder(name: str) -> Path:
    """Folder of weights of this package, as ``PedCLIP.from_pretrained`` reads it.

    Args:
        name: One of ``SHIPPED``.

    Raises:
        ValueError: There are no weights of that name.
    """
    if name not in SHIPPED:
        raise ValueError(f"no weights are called {name!r}; there are: {', '.join(SHIPPED)}")
    # safetensors maps the file into memory, so it must be a file and not a part of an archive.
    return Path(__file__).parent / name
