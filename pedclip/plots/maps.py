"""Charts of two-dimensional arrangements: gates, confusions, embeddings."""

from typing import Any

import altair as alt
import pandas as pd

from pedclip.plots.theme import categories, color, tidy, titled

_CELL = 19  # pixels, the least at which labels of 12 px do not touch


def gate_weights(frame: pd.DataFrame, *, title: str, subtitle: str, name: str = "gate_weights") -> Any:
    """Weight of each expert in the images of each region.

    Args:
        frame: Columns `region` (true region of the images), `expert` (the region it is named after) and `weight`
            (mean gate weight in [0, 1]); the order of first appearance is the order on the page.
        title: The finding.
        subtitle: The data.
        name: File name without ending.

    Returns:
        Heat map from 0 to 1 (viridis).

    Raises:
        ValueError: A column is missing, or a weight lies outside [0, 1].
    """
    table = tidy(frame, "region", "expert", "weight")
    if not table["weight"].between(0, 1).all():
        raise ValueError(f"gate weights lie in [0, 1], not {table['weight'].min()} to {table['weight'].max()}")
    chart = (
        alt.Chart(table)
        .mark_rect()
        .encode(
            x=alt.X("expert:N", title="expert", sort=None, axis=alt.Axis(labelAngle=-90, grid=False)),
            y=alt.Y("region:N", title="region of the image", sort=None, axis=alt.Axis(grid=False)),
            color=alt.Color("weight:Q", title="weight", scale=alt.Scale(domain=[0, 1], scheme="viridis")),
            tooltip=["region:N", "expert:N", alt.Tooltip("weight:Q", format=".3f")],
        )
        .properties(width={"step": _CELL}, height={"step": _CELL})
    )
    shows = f"Heat map of {table['region'].nunique()} regions by {table['expert'].nunique()} experts"
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)


def confusion(frame: pd.DataFrame, *, title: str, subtitle: str, name: str = "confusion") -> Any:
    """Counts of the region that is taken for each region.

    Args:
        frame: Columns `true`, `predicted` and `count` (0 or more); pairs that are missing count 0.
        title: The finding.
        subtitle: The data.
        name: File name without ending.

    Returns:
        Heat map of counts (cividis, square-root scale, so that rare regions show); up to 12 regions show the numbers.

    Raises:
        ValueError: A column is missing, or a count is negative.
    """
    table = tidy(frame, "true", "predicted", "count")
    if (table["count"] < 0).any():
        raise ValueError(f"counts are 0 or more, not {table['count'].min()}")
    # True and predicted regions in one order, or the diagonal would not be one.
    order = [str(region) for region in pd.unique(pd.concat([table["true"], table["predicted"]]))]
    counts = table.pivot_table(index="true", columns="predicted", values="count", aggfunc="sum", fill_value=0)
    # (regions, regions); pairs that never occur count 0.
    counts = counts.reindex(index=order, columns=order, fill_value=0)
    full = counts.rename_axis(index="true").reset_index().melt("true", var_name="predicted", value_name="count")
    # Of its row: what becomes of the films of one region. A region without films has none.
    full["share"] = full["count"] / full.groupby("true")["count"].transform("sum").clip(lower=1)
    cells = alt.Chart(full).encode(
        x=alt.X("predicted:N", title="predicted region", sort=order, axis=alt.Axis(labelAngle=-90, grid=False)),
        y=alt.Y("true:N", title="true region", sort=order, axis=alt.Axis(grid=False)),
        tooltip=[
            "true:N",
            "predicted:N",
            alt.Tooltip("count:Q", format=",d"),
            alt.Tooltip("share:Q", title="share of the true region", format=".1%"),
        ],
    )
    top = max(1, int(full["count"].max()))
    tint = alt.Color("count:Q", title="images", scale=alt.Scale(type="sqrt", domain=[0, top], scheme="cividis"))
    chart = cells.mark_rect().encode(color=tint)
    step = _CELL
    if len(order) <= 12:
        step = 34
        # Black on the light end of cividis, white on the dark one.
        dark = alt.condition(alt.datum.count > top * 0.45, alt.value("black"), alt.value("white"))
        # Numbers only where they fit into a cell.
        chart += cells.mark_text().encode(text=alt.Text("count:Q", format=",d"), color=dark)
    chart = chart.properties(width={"step": step}, height={"step": step})
    shows = f"Heat map of counts, {len(order)} true by {len(order)} predicted regions"
    return titled(chart, title=title, subtitle=subtitle, name=name, shows=shows)


def embedding_map(frame: pd.DataFrame, *, title: str, subtitle: str, name: str = "embedding_map") -> Any:
    """A two-dimensional map of embeddings; a dragged rectangle counts its regions.

    Distances between clusters mean nothing in such a map (UMAP keeps neighbourhoods only).

    Args:
        frame: Columns `x`, `y`, `region`, `group` (at most seven groups of regions) and `modality` ("image" or
            "text"); also `image` (a `data:` URL, drawn by the tooltip) and `text`, where there are any.
        title: The finding.
        subtitle: The data.
        name: File name without ending.

    Returns:
        The map (colour by group, shape by modality) beside a bar per region.

    Raises:
        ValueError: A column is missing, there are more than seven groups, or an image is not a `data:` URL.
    """
    extra = [column for column in ("image", "text") if column in frame.columns]
    table = tidy(frame, "x", "y", "region", "group", "modality", *extra)
    if "image" in extra:
        table["image"] = table["image"].fillna("")
        if not table["image"].str.match(r"data:image/|$").all():
            raise ValueError("the column image holds data: URLs (see thumbnail_url) or empty texts")
    groups, modalities = categories(table["group"], "group"), categories(table["modality"], "modality")
    # Regions of a group stand together, as they share a colour.
    regions = [str(region) for group in groups for region in pd.unique(table.loc[table["group"] == group, "region"])]
    tints = color("group", groups, title="group of regions", legend=alt.Legend(symbolType="square"))
    brush = alt.selection_interval(name="brush")
    # The second cue tells images from texts; colour tells the groups.
    shapes = alt.Shape("modality:N", scale=alt.Scale(domain=modalities, range=["circle", "cross", "diamond"]))
    points = (
        alt.Chart(table)
        .mark_point(filled=True, size=45)
        .encode(
            # The coordinates of UMAP have no unit and no origin.
            x=alt.X("x:Q", axis=None, scale=alt.Scale(zero=False)),
            y=alt.Y("y:Q", axis=None, scale=alt.Scale(zero=False)),
            color=alt.condition(brush, tints, alt.value("#CCCCCC")),
            shape=shapes,
            opacity=alt.value(0.85),
            tooltip=[*extra, "region:N", "modality:N"],
        )
        .add_params(brush)
        .properties(width=400, height=400)
    )
    # The bars read the same table as the points, so the pictures are stored once.
    bars = (
        alt.Chart(table)
        .mark_bar()
        .encode(
            x=alt.X("count():Q", title="points, or those in the rectangle", axis=alt.Axis(tickMinStep=1, tickCount=4)),
            y=alt.Y("region:N", title=None, sort=regions),
            color=tints,
            tooltip=["region:N", "count():Q"],
        )
        .transform_filter(brush)
        .properties(width=150, height={"step": 17})
    )
    shows = f"Scatter of {len(table)} embeddings, coloured by {len(groups)} groups of regions, shaped by modality"
    return titled(alt.hconcat(points, bars, spacing=16), title=title, subtitle=subtitle, name=name, shows=shows)
