"""Films with reports as `FilmReports` holds them, without films or words."""

import numpy as np

from pedclip.retrieval.pairs import FilmReports
from pedclip.triplets.left_out import LeftOut, Reason


def reports_of(report, patients=None, **changes):
    number = len(report)
    values = {
        "split": "test",
        "section": "excerpt",
        "views": "all",
        "rows": np.arange(number),
        "texts": [f"Text {row}." for row in range(max(report) + 1)],
        "report": np.array(report),
        "patients": patients or [f"p{row}" for row in range(number)],
        "studies": [f"s{row // 2}" for row in range(number)],
        "num_films": number + 1,
        "num_other_views": 0,
        "num_label_texts": 0,
        "left_out": (LeftOut("film", Reason.NO_REPORT),),
    }
    return FilmReports(**(values | changes))
