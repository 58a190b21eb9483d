"""What a measured rate means for an archive as large as the published one."""

from typing import Final

PUBLISHED_REPORTS: Final = 262_577  # PedCLIP, pretraining set


def extrapolate(reports_per_second: float) -> dict[str, object]:
    """Time for all published reports at a measured rate; no archive of that size was read."""
    seconds = PUBLISHED_REPORTS / reports_per_second
    return {"is_extrapolated": True, "reports": PUBLISHED_REPORTS, "minutes": round(seconds / 60, 1)}
