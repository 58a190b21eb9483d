"""One finding of a study, before it is drawn."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What is found and how; equal in all views of a study."""

    name: str
    severity: float  # 0 (subtle) to 1 (marked)
    pick: float  # which of the possible sites, 0 to 1
    along: float  # where along the site, 0 to 1
    sign: int  # 1 or -1: direction or side
    variant: float  # which form, 0 to 1
