"""Description of an index: the JSON file that says which parts there are, and the refusal of what cannot be.

It is read as something that others may have changed: each value is looked at before it is used.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pedclip.artefacts import read_json

VERSION: Final = 1  # of the files: raise it when they are laid out in another way
FORMAT: Final = "pedclip archive index"
DESCRIPTION: Final = "index.json"
# Files of a part, with the type of their numbers; little-endian on every machine.
FILES: Final[Mapping[str, str]] = {"similarity.f16": "<f2", "confidence.f16": "<f2", "weight.f32": "<f4"}


class DamagedIndex(ValueError):
    """An index that is cut short, changed since, or described by something unreadable."""


class OtherModel(ValueError):
    """An index or a query whose vectors are of another model, or of other widths."""


class OtherIndex(ValueError):
    """A bound or a first stage that was made of another index, or of fewer of its items."""


@dataclass(frozen=True)
class PartDescription:
    """A part as the description has it.

    Args:
        name: Of its folder.
        count: Items, at least 1.
        checksums: SHA-256 of each file, by name.
    """

    name: str
    count: int
    checksums: Mapping[str, str]


@dataclass(frozen=True)
class Description:
    """The content of an index, without the numbers.

    Args:
        model: Fingerprint of the model that made the vectors.
        dimension: D, width of a similarity vector.
        width: W, width of a confidence vector.
        parts: At least one.
    """

    model: str
    dimension: int
    width: int
    parts: tuple[PartDescription, ...]

    def to_dict(self) -> dict[str, Any]:
        """Content of the JSON file."""
        parts = [{"name": part.name, "count": part.count, "checksums": dict(part.checksums)} for part in self.parts]
        facts = {"model": self.model, "dimension": self.dimension, "width": self.width}
        return {"format": FORMAT, "version": VERSION, **facts, "parts": parts}


def read_description(folder: Path) -> Description:
    """The description of an index.

    Raises:
        FileNotFoundError: There is no index in the folder.
        DamagedIndex: The description is unreadable, of another version, or says what cannot be.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no index ({DESCRIPTION} is missing); build it with ArchiveIndex.create."
        )
    try:
        content = read_json(path)
        if (content["format"], content["version"]) != (FORMAT, VERSION):
            raise DamagedIndex(f"{path} is a {content['format']!r} of version {content['version']}, not {VERSION}.")
        facts = _text(content["model"]), _count(content["dimension"]), _count(content["width"])
        parts = tuple(_part(part) for part in content["parts"])
        if not parts or len({part.name for part in parts}) != len(parts):
            raise ValueError("parts that are there once each, and at least one")
    except DamagedIndex:
        raise
    # A missing key is as bad as a wrong value, and a list as bad as no JSON at all.
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedIndex(f"{path} is damaged ({type(error).__name__}: {error}); build the index again.") from error
    return Description(*facts, parts)


def _part(content: Any) -> PartDescription:
    name = _text(content["name"])
    # The name becomes a path: nothing that leads out of the folder.
    if not re.fullmatch(r"part-\d{5}", name):
        raise ValueError(f"a part is named part-00000, not {name!r}")
    # Exactly the files that are read; anything else that is listed does not matter.
    checksums = {file: _text(content["checksums"][file]) for file in FILES}
    return PartDescription(name, _count(content["count"]), checksums)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a text, got {value!r}")
    return value


def _count(value: Any) -> int:
    # True is an int in Python, but no number of items.
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"expected a number of at least 1, got {value!r}")
    return value
