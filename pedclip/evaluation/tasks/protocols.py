"""Protocols of published data sets as the papers use them, beyond their labels; the entries are in protocols.json."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final

_TRAINING: Final = ("all", "equal")
_ANSWERS: Final = ("present", "absent")


@dataclass(frozen=True)
class EmptyMasks:
    """Films without a finding that take part in its segmentation, with an empty mask.

    Args:
        finding: Normalized name; a labelled film without it has an empty mask.
        training: "all" of them, or "equal": as many as there are training films with the finding. Validation and test
            keep all.

    Raises:
        ValueError: Another word for `training`.

    Source: MGCA's public code (methods of the baselines, section 4), which the synthetic-image study uses.
    """

    finding: str
    training: str

    def __post_init__(self) -> None:
        if self.training not in _TRAINING:
            raise ValueError(f"training must be one of {', '.join(_TRAINING)}, got {self.training!r}")


@dataclass(frozen=True)
class Protocol:
    """The entry of one source.

    Args:
        columns: Columns of PedCLIP's tables that tasks of the source may stand beside; None: any that ask the same.
            Films of adults, and sets made for one question, are no stand-in for a column of children's films.
        empty_masks: Films without a mask that take part in segmentation; None: none do.
        uncertain: Normalized finding to "present" or "absent", as which it counts where it is labelled uncertain; an
            uncertain finding that is not named takes no part.

    Raises:
        ValueError: An answer to an uncertain finding that is neither.

    Source: of CheXpert's uncertain findings, MGCA's public code (methods of the baselines, section 4).
    """

    columns: tuple[str, ...] | None = None
    empty_masks: EmptyMasks | None = None
    uncertain: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A misspelt answer would leave the finding uncertain without a word.
        if wrong := set(self.uncertain.values()).difference(_ANSWERS):
            raise ValueError(f"an uncertain finding counts as {' or '.join(_ANSWERS)}, got {', '.join(sorted(wrong))}")

    def column(self, paper: str) -> str:
        """The column if tasks of the source may carry it, else ""."""
        return paper if self.columns is None or paper in self.columns else ""


def protocol_of(source: str) -> Protocol:
    """The protocol of a source; an empty entry where nothing is known."""
    # A folder of one's own has no entry: all of its films with a mask take part, and no uncertain finding.
    return _protocols().get(source, Protocol())


@cache
def _protocols() -> dict[str, Protocol]:
    stored = json.loads(files(__package__).joinpath("protocols.json").read_text(encoding="utf-8"))
    return {source: _read(entry) for source, entry in stored.items()}


def _read(entry: Mapping[str, Any]) -> Protocol:
    empty = entry.get("empty_masks")
    return Protocol(
        # No "columns" means any, an empty list means none.
        columns=tuple(entry["columns"]) if "columns" in entry else None,
        uncertain=entry.get("uncertain", {}),
        empty_masks=EmptyMasks(finding=empty["finding"], training=empty["training"]) if empty else None,
    )
