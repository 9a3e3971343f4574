"""The chart of a probe: bars from chance to each feature set's mean, with 95 % intervals, and the splits as dots.

The same chart is ``bars.png`` and is on the page of a run.
"""

from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from orthrus.charts import GREY, INK, PALETTE, SOFT, write_png
from orthrus.probe.document import ProbeDocument
from orthrus.probe.metrics import TITLES

ROW = 40  # height of a feature set's row
EXPLANATION = "bars from chance to the mean, whiskers its 95 % interval over splits, dots the splits"


def bar_chart(document: ProbeDocument, metric: str) -> Any:
    """The layered chart of a probe's scores on a metric, with one row for each feature set."""
    chance, sets = document.chance[metric], document.feature_sets
    rows: list[dict[str, Any]] = []
    for i, (name, feature_set) in enumerate(sets.items()):
        scores = feature_set.scores[metric]
        low, high = scores.interval95 or (None, None)
        rows.append(
            {"features": name, "mean": scores.mean, "chance": chance, "low": low, "high": high,
             "end": max(scores.mean, scores.mean if high is None else high), "ours": i == 0,
             "splits": len(scores.per_seed)}
        )  # fmt: skip
    dots = [
        {"features": name, "score": score, "seed": str(seed)}
        for name, each in sets.items()
        for seed, score in zip(document.seeds, each.scores[metric].per_seed, strict=True)
    ]
    shown = [each.scores[metric] for each in sets.values()]
    values = [chance, *(value for each in shown for value in (each.mean, *(each.interval95 or ()), *each.per_seed))]
    least, most = min(values), max(values)
    room = 0.2 * ((most - least) or 1)  # for the numbers
    y = alt.Y("features:N", sort=list(sets), title=None).axis(
        grid=False, labelColor=INK, labelFontSize=12, labelLimit=190
    )
    x = (
        alt.X("mean:Q", title=f"{TITLES[metric]}, chance {chance:.2f} dotted")
        .scale(domain=[least, most + room], nice=False)
        .axis(tickCount=4)
    )
    hover = [
        alt.Tooltip("features:N"), alt.Tooltip("mean:Q", format=".4f"), alt.Tooltip("low:Q", format=".4f"),
        alt.Tooltip("high:Q", format=".4f"), alt.Tooltip("splits:Q"),
    ]  # fmt: skip
    base = alt.Chart(pd.DataFrame(rows)).encode(y=y)
    colour = alt.condition("datum.ours", alt.value(PALETTE[0]), alt.value(GREY))
    bars = base.mark_bar(height=18, cornerRadius=2).encode(x=x, x2="chance:Q", color=colour, tooltip=hover)
    whiskers = base.mark_rule(strokeWidth=1.6, color=INK).encode(x="low:Q", x2="high:Q").transform_filter(
        "isValid(datum.low)"
    )  # fmt: skip
    numbers = base.mark_text(align="left", dx=6, color=INK).encode(
        x="end:Q", text=alt.Text("mean:Q", format=".3f")
    )  # fmt: skip
    seeds = alt.Chart(pd.DataFrame(dots)).mark_circle(size=9, color=SOFT, yOffset=14).encode(
        y=y, x="score:Q", tooltip=["features:N", "seed:N", alt.Tooltip("score:Q", format=".4f")]
    )  # fmt: skip
    line = alt.Chart(pd.DataFrame([{"chance": chance}])).mark_rule(color=SOFT, strokeDash=[2, 3]).encode(x="chance:Q")
    return alt.layer(bars, line, whiskers, seeds, numbers).properties(height=ROW * len(sets))


def draw_bars(document: ProbeDocument, path: Path) -> None:
    """Draw the scores of a probe to a PNG with one panel for each metric; the split is the title."""
    title = f"{document.target} ({document.task}), {document.counts['rows']:,} transcripts, {document.splits}"
    panels = [bar_chart(document, metric).properties(width=300) for metric in document.metrics]
    whole = alt.hconcat(*panels, spacing=30, title=alt.TitleParams(title, subtitle=EXPLANATION))
    write_png(whole.properties(padding=16), path)
