"""The charts: each is a function of a tidy table and returns an Altair chart.

Imports anatomy and artefacts only. Call `use` once (`pedclip.notebook.start` does); a chart that ends a notebook cell
is then stored as an interactive specification and as a picture.
"""

try:
    import altair as _altair  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("the charts need Altair: pip install 'pedclip[notebooks]'") from error

from pedclip.plots.ages import predicted_age
from pedclip.plots.datasheet import data_sheet_bars, data_sheet_table, left_out_table
from pedclip.plots.differences import difference_forest
from pedclip.plots.downstream import concept_bars, learning_curves, reliability
from pedclip.plots.experts import growing_domains, region_matrix
from pedclip.plots.gallery import error_gallery
from pedclip.plots.history import gate_table, history_table
from pedclip.plots.images import contact_sheet, marked, overlay, thumbnail_url, with_thumbnails
from pedclip.plots.maps import confusion, embedding_map, gate_weights
from pedclip.plots.results import cost_bars, intervals
from pedclip.plots.retrieval import risk_coverage, search_times
from pedclip.plots.theme import COLORS, MAX_ROWS, use
from pedclip.plots.training import learning_rate, schedule, training_curves

__all__ = [
    "COLORS",
    "MAX_ROWS",
    "concept_bars",
    "confusion",
    "contact_sheet",
    "cost_bars",
    "data_sheet_bars",
    "data_sheet_table",
    "difference_forest",
    "embedding_map",
    "error_gallery",
    "gate_table",
    "gate_weights",
    "growing_domains",
    "history_table",
    "intervals",
    "learning_curves",
    "learning_rate",
    "left_out_table",
    "marked",
    "overlay",
    "predicted_age",
    "region_matrix",
    "reliability",
    "risk_coverage",
    "schedule",
    "search_times",
    "thumbnail_url",
    "training_curves",
    "use",
    "with_thumbnails",
]
