"""The probe's picture: bars from chance to each feature set's mean, with 95 % intervals, and the seeds as dots."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from orthrus.probe.document import EMBEDDING_AND_CODON, ProbeDocument
from orthrus.probe.metrics import TITLES

EMBEDDING_BLUE, COMBINED_BLUE, CONTROL_GREY = (
    "#0072B2",
    "#8CC0E4",
    "#B6BDC5",
)  # told apart by every kind of colour vision, and in grey
INK, SOFT, GRID = "#1C2530", "#5A6672", "#E4E7EA"


def draw_bars(document: ProbeDocument, path: Path) -> None:
    """Draw the scores of a probe to a PNG, one panel a metric."""
    names = document.metrics
    n_sets = len(document.feature_sets)
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.06)
    figure = Figure(figsize=(1.6 + 3.0 * len(names), 1.3 + 0.62 * n_sets), dpi=200, layout=layout)
    panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    for metric, panel in zip(names, panels, strict=True):
        _draw_panel(document, metric, panel)
    panels[0].set_yticks(range(n_sets), list(document.feature_sets), fontsize=10, color=INK)
    panels[0].set_ylim(n_sets - 0.42, -0.5)
    figure.suptitle(
        f"{document.target} ({document.task}), {document.counts['rows']:,} transcripts, {document.splits}",
        fontsize=11.5, fontweight="bold", color=INK, x=0.012, ha="left",
    )  # fmt: skip
    figure.supxlabel(
        "bars from chance to the mean, whiskers its 95 % interval over splits, dots the splits",
        fontsize=8, color=SOFT, x=0.012, ha="left",
    )  # fmt: skip
    figure.savefig(path)


def _draw_panel(document: ProbeDocument, metric: str, panel: Axes) -> None:
    chance = document.chance[metric]
    for row, (name, feature_set) in enumerate(document.feature_sets.items()):
        scores = feature_set.scores[metric]
        mean, points = scores.mean, scores.per_seed
        low, high = scores.interval95 or (mean, mean)
        colour = EMBEDDING_BLUE if row == 0 else COMBINED_BLUE if name == EMBEDDING_AND_CODON else CONTROL_GREY
        panel.barh(row, mean - chance, left=chance, height=0.46, color=colour)
        panel.errorbar(mean, row, xerr=[[mean - low], [high - mean]], color=INK, capsize=2.5, linewidth=1.3)
        panel.scatter(points, [row + 0.36] * len(points), s=5, color=SOFT, alpha=0.6, linewidths=0)
        panel.annotate(
            f"{mean:.3f}", (max(mean, high), row), (6, 0), textcoords="offset points", va="center",
            fontsize=9.5, color=INK, fontweight="bold" if row == 0 else "normal",
        )  # fmt: skip
    panel.axvline(chance, color=SOFT, linewidth=1.1, linestyle=(0, (1, 2)))
    panel.set_title(f"{TITLES[metric]}   (chance {chance:.2f})", fontsize=9.5, color=SOFT, loc="left")
    panel.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    panel.tick_params(axis="x", labelsize=8, labelcolor=SOFT, length=0)
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="x", color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)
    low, high = panel.get_xlim()
    panel.set_xlim(low, high + 0.16 * (high - low))  # room for the last number
    panel.spines[:].set_visible(False)
