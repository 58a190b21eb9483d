"""Items that an index was built of: how many were given for each part, which were left out, and what they are.

`items.json` lies in the folder of the index. An edited number would lead from a row to another film or report without a
word, so that each part has a checksum.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from pedclip.artefacts import read_json, write_json
from pedclip.retrieval.archive.description import DamagedIndex
from pedclip.retrieval.archive.encoding import REASONS, Omission

Items = Literal["films", "reports"]

ITEMS: Final = "items.json"
_FORMAT: Final = "pedclip items of an index, version 2"


@dataclass(frozen=True)
class GivenItems:
    """Items given for one part.

    Args:
        count: All of them.
        omitted: Those that are not in the index, numbered within the part, in rising order.
    """

    count: int
    omitted: tuple[Omission, ...]

    def to_dict(self) -> dict[str, Any]:
        """Content of the JSON file."""
        omitted = [{"number": one.number, "reason": one.reason, "detail": one.detail} for one in self.omitted]
        content = {"given": self.count, "left_out": omitted}
        return content | {"checksum": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()}

    @classmethod
    def from_dict(cls, content: Any) -> "GivenItems":
        """Content of the JSON file, read again.

        Raises:
            ValueError: Items that were not given or are not in order, values of another kind, or another checksum.
            KeyError: Something is missing, or another reason.
            TypeError: Something of another kind.
        """
        omitted = [Omission(one["number"], REASONS[one["reason"]], one["detail"]) for one in content["left_out"]]
        given = cls(content["given"], tuple(omitted))
        numbers = [one.number for one in omitted]
        # True and 1.0 equal 1, and are no numbers of items.
        if not all(type(number) is int for number in (given.count, *numbers)):
            raise ValueError("numbers of items are whole numbers")
        if not all(isinstance(one.detail, str) for one in omitted):
            raise ValueError("details are texts")
        # Otherwise a row would be taken for another item, without a word.
        if numbers != sorted(set(numbers)) or not all(number in range(given.count) for number in numbers):
            raise ValueError(f"items left out must be different ones of {given.count}, in rising order")
        if content["checksum"] != given.to_dict()["checksum"]:
            raise ValueError("the checksum of a part differs")
        return given


def check_items(folder: Path, stored: Items | None, items: Items | None) -> None:
    """Refusal of items that do not belong into an index.

    Args:
        folder: Of the index.
        stored: What the index holds; None where nothing is known.
        items: What is to be added; None where nothing is known.

    Raises:
        ValueError: Neither films nor reports, or not what the index holds.
    """
    if items is not None and items not in get_args(Items):
        raise ValueError(f"items={items!r} is not allowed: choose from {', '.join(get_args(Items))}")
    # Numbers go on from those before: nobody could tell which list one of them is of.
    if stored is not None and items is not None and stored != items:
        raise ValueError(f"{folder} is an index of {stored}, to which no {items} can be added; build another index")


def write_items(folder: Path, given: Iterable[GivenItems], *, items: Items | None) -> None:
    """The file of an index, written whole or not at all.

    Args:
        folder: Of the index.
        given: For each part, in order.
        items: What they are; None where nothing is known.
    """
    write_json(folder / ITEMS, {"format": _FORMAT, "items": items, "parts": [one.to_dict() for one in given]})


def read_items(folder: Path) -> tuple[Items | None, tuple[GivenItems, ...]]:
    """The file of an index: what the items are, and those given for each part.

    Raises:
        FileNotFoundError: There is none.
        DamagedIndex: It is unreadable, was changed since, or says what cannot be.
    """
    path = folder / ITEMS
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} is an index without numbers ({ITEMS} is missing): its rows are its items. Open it with "
            "ArchiveIndex.open, or build one with build_report_index or build_film_index."
        )
    try:
        content = read_json(path)
        if content["format"] != _FORMAT:
            raise ValueError(f"a {content['format']!r}, not {_FORMAT!r}")
        if (items := content["items"]) not in (None, *get_args(Items)):
            raise ValueError(f"items that are {items!r}")
        return items, tuple(GivenItems.from_dict(part) for part in content["parts"])
    # A missing key is as bad as a wrong value.
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedIndex(f"{path} is damaged ({type(error).__name__}: {error}); build the index again.") from error
