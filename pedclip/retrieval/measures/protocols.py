"""Protocols of retrieval: what a number was measured on, without which two numbers cannot be compared."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Literal

import pandas as pd

from pedclip.evaluation.metrics.interval import Record
from pedclip.evaluation.result import Result

Direction = Literal["image to text", "text to image", "image to image"]

BY_NUMBER: Final = "lower number first"


@dataclass(frozen=True, kw_only=True)
class Protocol(Record):
    """Circumstances of one number of retrieval.

    Args:
        direction: From query to answer.
        num_queries: That the number is a mean over.
        gallery: Items that each query is compared with, its own excluded ones among them.
        unique_texts: Different texts in the gallery or among the queries; None where no text takes part.
        section: Which words stand for a report, such as "excerpt" or "study"; "" where no text takes part.
        views: Which films take part, "all" or "frontal".
        views_per_study: Mean number of films of a study that take part; None where nobody knows the studies.
        num_patients: Of the queries.
        ties: Order of equal scores.
        is_self_included: True where a query may find itself or its own text.
        excludes_same_patient: True where films of the query's patient are no answers.
        num_left_out: Queries without a possible answer, or without a text, which the number is not of.
        note: Whatever else is a choice, such as the classes left out or the variant of a measure.

    Raises:
        ValueError: Fewer than one query or item.
    """

    direction: Direction
    num_queries: int
    gallery: int
    unique_texts: int | None = None
    section: str = ""
    views: str = "all"
    views_per_study: float | None = None
    num_patients: int
    ties: str = BY_NUMBER
    is_self_included: bool
    excludes_same_patient: bool = False
    num_left_out: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        # A mean over nothing, or a gallery of nothing, has no protocol.
        for name in ("num_queries", "gallery"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is not allowed: at least 1")

    def __str__(self) -> str:
        own = "own item in the gallery" if self.is_self_included else "own item excluded"
        # In the order in which a reader asks: what, against what, of whom, by which rules.
        parts = [
            f"{self.direction}: {self.num_queries} queries of {self.num_patients} patients, gallery of {self.gallery}",
            f"{self.unique_texts} unique texts ({self.section or 'section not told'})" if self.unique_texts else "",
            f"{self.views} views" + (f", {self.views_per_study:.2f} per study" if self.views_per_study else ""),
            f"ties: {self.ties}",
            own + (", same patient excluded" if self.excludes_same_patient else ""),
            f"{self.num_left_out} queries left out",
            self.note,
        ]
        return "; ".join(part for part in parts if part)


def with_protocol(result: Result, protocol: Protocol) -> Result:
    """The same result, its settings saying what it was measured on."""
    return replace(result, settings={**result.settings, **protocol.to_dict()})


def protocol_of(result: Result) -> Protocol:
    """The protocol of a result.

    Raises:
        ValueError: It has none.
    """
    names = [one.name for one in fields(Protocol)]
    if missing := [name for name in names if name not in result.settings]:
        raise ValueError(f"{result.task}, {result.metric}: no protocol ({', '.join(missing)} missing)")
    return Protocol(**{name: result.settings[name] for name in names})


def protocol_table(results: Sequence[Result]) -> pd.DataFrame:
    """Numbers of retrieval, each beside its protocol.

    Args:
        results: With protocols, of any methods and directions.

    Returns:
        Columns `method`, `direction`, `metric`, `k`, `value`, `low`, `high`, `chance`, then the fields of `Protocol`.

    Raises:
        ValueError: A result without a protocol.
    """
    rows: list[dict[str, Any]] = []
    for result in results:
        # Every row repeats its protocol: rows are copied one by one into papers.
        values = asdict(protocol_of(result))
        head = {"method": result.method, "direction": values.pop("direction"), "metric": result.metric}
        score = {"value": result.score.value, "low": result.score.low, "high": result.score.high}
        rows.append({**head, "k": result.settings["k"], **score, "chance": result.baseline, **values})
    return pd.DataFrame(rows)
