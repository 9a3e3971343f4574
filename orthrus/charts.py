"""The style of this project's charts, and their files.

A chart is a Vega-Lite specification, made by Altair: the page of a run shows it with hover and downloads, and
vl-convert draws it to a PNG without a browser. The colours can be distinguished with every kind of colour vision.
"""

from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#3fa7d6", "#7a4fa3", "#8c564b", "#6b7785", "#88a800")
GREY, FAINT, INK, SOFT, GRID = "#a7afb8", "#cfd5da", "#1c2530", "#5a6672", "#e4e7ea"

_FONT = "Liberation Sans, Arial, sans-serif"
_THEME = alt.Config(
    background="transparent",
    font=_FONT,
    view=alt.ViewConfig(stroke=None),
    axis=alt.AxisConfig(
        domain=False, ticks=False, grid=True, gridColor=GRID, labelColor=SOFT, titleColor=SOFT,
        titleFontWeight="normal", labelFontSize=11, titleFontSize=11, labelPadding=6, titlePadding=6, labelOverlap=True,
    ),
    legend=alt.LegendConfig(
        orient="top", direction="horizontal", title=None, labelColor=INK, labelFontSize=12, symbolType="circle",
        padding=0, labelLimit=220,
    ),
    title=alt.TitleConfig(anchor="start", color=INK, fontSize=14, subtitleColor=SOFT, subtitleFontSize=11, offset=12),
    range=alt.RangeConfig(category=list(PALETTE)),
)  # fmt: skip


def specification(chart: Any) -> dict[str, Any]:
    """The chart in this project's style, as the Vega-Lite specification that a page embeds."""
    spec: dict[str, Any] = chart.properties(config=_THEME).to_dict()
    return spec


def write_png(chart: Any, path: Path) -> None:
    """Draw a chart to a PNG on white, with two pixels a unit."""
    path.write_bytes(vl_convert.vegalite_to_png(specification(chart) | {"background": "white"}, scale=2))
