"""A measured value with its interval, as it is kept, printed and written to files."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

TOO_FEW: Final = "too few patients"


@dataclass(frozen=True)
class Record:
    """A frozen result; subclasses are frozen dataclasses."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for metrics.json, by name, those of results inside included; None for what is not known."""
        return _without_nan(asdict(self))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Interval(Record):
    """A measured value with its 95 % interval over patients, or without where there are too few of them.

    Args:
        value: The metric on all items.
        low: Lower end; NaN where patients are too few (None in files).
        high: Upper end; NaN where patients are too few (None in files).
        num_items: Images, queries or masks measured.
        num_groups: Patients resampled; the number of items where none were given.
        num_redrawn: Resamples thrown away and drawn again because the metric was undefined on them.
    """

    value: float
    low: float
    high: float
    num_items: int
    num_groups: int
    num_redrawn: int = 0

    @property
    def is_known(self) -> bool:
        """False where patients are too few for an interval."""
        return not (math.isnan(self.low) or math.isnan(self.high))

    def __str__(self) -> str:
        return entry_text(self.to_dict())


def entry_text(entry: Mapping[str, Any], *, between: str = " to ") -> str:
    """An interval of metrics.json as one text, "0.812 (0.745 to 0.862)" or "0.812 (too few patients)"."""
    ends = [f"{entry[end]:.3f}" for end in ("low", "high") if entry[end] is not None]
    return f"{entry['value']:.3f} ({between.join(ends) if len(ends) == 2 else TOO_FEW})"


def _without_nan(value: Any) -> Any:
    """The same, with None for NaN, which JSON does not know."""
    if isinstance(value, Mapping):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_without_nan(one) for one in value)
    return None if isinstance(value, float) and math.isnan(value) else value
