"""The tables of the phantom: JSON files beside the code."""

import json
from functools import cache
from importlib import resources
from typing import Any


@cache
def table(name: str) -> dict[str, Any]:
    """The content of one file, read once.

    Args:
        name: Of the file, without ".json": "findings", "population", "grammar_findings", "grammar_regions" or
            "grammar_report".

    Returns:
        The table as stored; shared, so not to be changed.

    Raises:
        FileNotFoundError: There is no such file.
    """
    # Through the package, not the file system: it may lie in an archive.
    loaded: dict[str, Any] = json.loads(resources.files(__package__).joinpath(f"{name}.json").read_text("utf-8"))
    return loaded
