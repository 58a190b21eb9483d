"""One look and one renderer for every chart."""

import base64
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import altair as alt
import pandas as pd
from PIL import Image

from pedclip.artefacts import write_bytes, write_text

# Okabe and Ito, "Color Universal Design" (2008), without their yellow, which no thin line on white survives.
COLORS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# The second cue, so that no chart depends on colour alone; same order as COLORS.
SHAPES: Final = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
# Each row is stored in the notebook and sent to the browser.
MAX_ROWS: Final = 5000
INK: Final = "#222222"
MUTED: Final = "#595959"  # 7:1 against white
GRID: Final = "#E0E0E0"
_TOO_FEW: Final = "too few patients"  # in the words of `Interval`, which a chart does not import
FONT: Final = "DejaVu Sans, Verdana, sans-serif"
_SCALE: Final = 1.5  # stored pixels per CSS pixel: sharp enough on most screens at a third of the bytes of 2
_PALETTE: Final = 64  # colours of a stored picture: enough for charts and films in gray
_DIGITS: Final = 5  # of a number in a stored chart; a pixel shows three
_VEGALITE_MIME: Final = "application/vnd.vegalite.v5+json"


def use(figures: Path | None = None) -> None:
    """Install the theme and the renderer that stores both an interactive chart and its picture.

    The default renderer of Altair needs a network and writes a random identifier; this one needs and writes neither.

    Args:
        figures: Folder where each displayed chart also leaves `<name>.png` and `<name>.json`; None saves nothing.
    """

    # Altair hands over the specification; what is returned is stored in the notebook.
    def render(spec: dict[str, Any], **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return mime_bundle(spec, figures)

    alt.theme.register("pedclip", enable=True)(_theme)
    # Tables are embedded: a file or an address beside the notebook would be lost on the way to a reader.
    alt.data_transformers.enable("default", max_rows=MAX_ROWS)
    alt.renderers.register("pedclip", render)
    alt.renderers.enable("pedclip")


def mime_bundle(spec: dict[str, Any], figures: Path | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The stored forms of one chart, and their metadata.

    Args:
        spec: Vega-Lite 5 specification whose `name` is the file name and whose `description` is the alternative text.
        figures: Folder for the picture and the specification; None saves nothing.

    Returns:
        By MIME type: the specification, its numbers to five digits, a PNG picture (base64) and a text that no number
        can change.
    """
    name = spec.get("name", "unnamed")
    png, width, height = _draw(spec)
    if figures is not None and "name" in spec:
        write_bytes(Path(figures) / f"{name}.png", png)
        write_text(Path(figures) / f"{name}.json", json.dumps(spec))
    data = {
        _VEGALITE_MIME: _rounded(spec),
        "image/png": base64.b64encode(png).decode(),
        "text/plain": f"chart: {name}",  # what nbval compares
    }
    # JupyterLab scales by these, so that the picture has the size of the chart.
    alternative = {"width": width, "height": height, "alt": spec.get("description", "")}
    return data, {"image/png": alternative}


def tidy(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The named columns of a table, after checking that a notebook can hold it.

    Raises:
        ValueError: A column is missing, there are no rows, or more than `MAX_ROWS`.
    """
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"the table has no column {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}")
    if not 0 < len(frame) <= MAX_ROWS:
        raise ValueError(f"a chart takes 1 to {MAX_ROWS} rows, not {len(frame)}: aggregate or sample the table first")
    # Other columns would be embedded for nothing.
    return frame[list(columns)].reset_index(drop=True)


def with_words(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a text column `interval` for tooltips, and `note` for rows without the ends of their interval."""
    is_known = table["low"].notna() & table["high"].notna()
    ends = [f"{low:.3f} to {high:.3f}" for low, high in zip(table["low"], table["high"], strict=True)]
    words = pd.Series(ends, index=table.index, dtype=object).where(is_known, _TOO_FEW)
    return table.assign(interval=words, note=words.where(~is_known, ""))


def categories(values: pd.Series, what: str) -> list[str]:
    """The distinct values in the order of their first appearance.

    Raises:
        ValueError: More than there are colours that everyone can tell apart.
    """
    names = [str(value) for value in pd.unique(values)]
    if len(names) > len(COLORS):
        raise ValueError(f"{len(names)} kinds of {what}; a chart shows at most {len(COLORS)}: group or split them")
    return names


def color(field: str, names: Sequence[str], **options: Any) -> Any:
    """The colour channel of a categorical field."""
    return alt.Color(f"{field}:N", scale=alt.Scale(domain=list(names), range=list(COLORS[: len(names)])), **options)


def shape(field: str, names: Sequence[str], **options: Any) -> Any:
    """The shape channel that goes with `color`; both in one legend."""
    return alt.Shape(f"{field}:N", scale=alt.Scale(domain=list(names), range=list(SHAPES[: len(names)])), **options)


def titled(chart: Any, *, title: str, subtitle: str, name: str, shows: str) -> Any:
    """Set the finding, the data, the file name and the alternative text of a finished chart.

    Args:
        chart: Any Altair chart.
        title: The finding, a sentence.
        subtitle: The data: how many patients, which split, how many seeds.
        name: File name without ending, the same on every machine.
        shows: Axes and marks in words, for those who cannot see them.
    """
    return chart.properties(
        title=alt.TitleParams(text=title, subtitle=subtitle),
        name=name,
        description=f"{title}. {subtitle}. {shows}",
    )


def _draw(spec: dict[str, Any]) -> tuple[bytes, int, int]:
    """The PNG picture with at most 64 colours, and its width and height in CSS pixels."""
    try:
        import vl_convert
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("pictures of charts need vl-convert: pip install 'pedclip[notebooks]'") from error
    # The picture is drawn by the Vega-Lite that the specification is written for.
    version = "_".join(alt.SCHEMA_VERSION.split(".")[:2])
    # Radiographs inside a chart are thumbnails: enlarged they would show no more and fill the notebook.
    scale = 1.0 if _draws_images(spec) else _SCALE
    picture = Image.open(io.BytesIO(vl_convert.vegalite_to_png(spec, vl_version=version, scale=scale)))
    buffer = io.BytesIO()
    # No dithering: it would speckle flat areas and films.
    picture.convert("RGB").quantize(_PALETTE, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue(), round(picture.width / scale), round(picture.height / scale)


def _rounded(spec: Any) -> Any:
    """A specification whose floats have five significant digits: the rest is a tenth of a notebook's bytes."""
    if isinstance(spec, float) and math.isfinite(spec):
        return float(f"{spec:.{_DIGITS}g}")
    if isinstance(spec, dict):
        return {key: _rounded(value) for key, value in spec.items()}
    return [_rounded(value) for value in spec] if isinstance(spec, list) else spec


def _draws_images(spec: Any) -> bool:
    """True where any mark of a specification is a picture."""
    if isinstance(spec, list):
        return any(_draws_images(part) for part in spec)
    if not isinstance(spec, dict):
        return False
    mark = spec.get("mark")
    form = mark.get("type") if isinstance(mark, dict) else mark
    # Layers and panels hold specifications of their own.
    layers = (spec[key] for key in ("layer", "hconcat", "vconcat", "concat", "spec") if key in spec)
    return form == "image" or any(_draws_images(part) for part in layers)


def _theme() -> Any:
    text = {"labelFont": FONT, "titleFont": FONT, "labelFontSize": 12, "titleFontSize": 12}
    ink = {"labelColor": INK, "titleColor": INK, "titleFontWeight": "normal"}
    return {
        "config": {
            "background": "white",
            "font": FONT,
            "view": {"stroke": None, "continuousWidth": 360, "continuousHeight": 220},
            "axis": text | ink | {"gridColor": GRID, "domainColor": MUTED, "tickColor": MUTED, "labelLimit": 240},
            "legend": text | ink | {"symbolSize": 80},
            "header": text | ink,
            "text": {"fontSize": 12, "color": INK},
            "title": {
                "anchor": "start",
                "frame": "group",
                "fontSize": 15,
                "subtitleFontSize": 12,
                "color": INK,
                "subtitleColor": MUTED,
                "subtitlePadding": 4,
                "offset": 12,
            },
            "range": {"category": list(COLORS), "symbol": list(SHAPES), "ordinal": {"scheme": "viridis"}},
            "line": {"strokeWidth": 2},
        }
    }
