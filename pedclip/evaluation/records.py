"""What every result has: plain values for metrics.json."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Record:
    """A frozen result; subclasses are frozen dataclasses."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for metrics.json, by name, those of results inside included."""
        return asdict(self)
