"""The curves of a run: what each measures, its unit, and its interpretation."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from orthrus.charts import GREY, PALETTE
from orthrus.probe.metrics import TITLES
from orthrus.report.figures import Figure, Line, baseline, line_figure
from orthrus.report.run_folder import Curves

_COLOURS = {"training": GREY, "validation": PALETTE[0], "splice isoforms": PALETTE[1], "orthologs": PALETTE[2]}
_BASELINES = ("chance", "untrained")


@dataclass(frozen=True)
class _Kind:
    title: str
    unit: str
    caption: str
    names: Mapping[str, str]
    """Name of the line by metric."""


_KINDS = (
    _Kind(
        "Retrieval of splice isoforms", "share of transcripts",
        "Of held-out transcripts, the share whose nearest neighbour by cosine, among transcripts of other families and"
        " of like length, is another isoform of their gene; higher is better.",
        {"val/retrieval_top1_splice": "splice isoforms", "val/retrieval_chance_splice": "chance"},
    ),
    _Kind(
        "Retrieval of orthologs", "share of transcripts",
        "The same for a transcript of the orthologous gene of another species; close species make this easy.",
        {"val/retrieval_top1_ortholog": "orthologs", "val/retrieval_chance_ortholog": "chance"},
    ),
    _Kind(
        "Loss", "weighted sum of the objectives",
        "What training minimises; validation is on families that it never saw, so that a rising validation curve is"
        " over-fitting.",
        {"train/loss": "training", "val/loss": "validation"},
    ),
    _Kind(
        "Contrastive loss", "nats",
        "Lower: partners are closer to each other than to the rest; its level depends on the size of a batch.",
        {"train/contrastive": "training", "val/contrastive": "validation"},
    ),
    _Kind(
        "Masked-base loss", "nats a base",
        "Cross-entropy of hidden bases; ln 4 = 1.386 is a model that knows nothing of them.",
        {"train/mlm": "training", "val/mlm": "validation"},
    ),
    _Kind(
        "Masked-base accuracy", "share of masked bases",
        "The share of hidden bases that are predicted; a guess at random gives 0.25.",
        {"train/mlm_accuracy": "training", "val/mlm_accuracy": "validation"},
    ),
    _Kind(
        "Alignment", "squared distance, 0 to 4",
        "How far apart partners lie on the unit sphere; lower is closer, but 0 with a uniformity of 0 is collapse.",
        {"val/alignment_splice": "splice isoforms", "val/alignment_ortholog": "orthologs"},
    ),
    _Kind(
        "Uniformity", "log of a mean kernel, at most 0",
        "How evenly embeddings fill the unit sphere; lower is more even, 0 is collapse onto one point.",
        {"val/uniformity": "validation"},
    ),
    _Kind(
        "Effective rank", "dimensions",
        "How many dimensions the embeddings make use of; a fall warns of collapse.",
        {"val/effective_rank": "validation"},
    ),
    _Kind(
        "Throughput", "nucleotides a second",
        "Nucleotides that training takes in a second, padding not counted.",
        {"train/nt_per_s": "training"},
    ),
)  # fmt: skip


def curve_figures(curves: Curves) -> Iterator[Figure]:
    """Yield a figure for every kind of curve that the run logged, then for its online probes."""
    for kind in _KINDS:
        lines = [_line(name, *_values(curves, metric)) for metric, name in kind.names.items() if metric in curves]
        if lines and lines[0].name not in _BASELINES:
            yield line_figure(kind.title, kind.caption, lines, kind.unit)
    yield from _online_probes(curves)


def _line(name: str, x: np.ndarray, y: np.ndarray) -> Line:
    return baseline(name, x, y) if name in _BASELINES else Line(name, x, y, _COLOURS[name])


def _values(curves: Curves, metric: str) -> tuple[np.ndarray, np.ndarray]:
    series = curves[metric]
    return series.index.to_numpy(dtype=np.float64), series.to_numpy(dtype=np.float64)


def _online_probes(curves: Curves) -> Iterator[Figure]:
    """Probes of the encoder while it trained: probe/TASK/METRIC."""
    tasks = dict.fromkeys(name.split("/")[1] for name in curves if name.startswith("probe/") and name.count("/") == 2)
    for task in tasks:
        names = {name: name.split("/")[2] for name in curves if name.startswith(f"probe/{task}/")}
        lines = [
            Line(TITLES.get(metric, metric), *_values(curves, name), PALETTE[i % len(PALETTE)])
            for i, (name, metric) in enumerate(names.items())
        ]
        caption = "A linear probe of the encoder as it trained, on the test rows of one split; higher is better."
        yield line_figure(f"Probe of {task}", caption, lines, "score")
