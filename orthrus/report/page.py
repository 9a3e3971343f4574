"""One self-contained HTML page of a run: what was trained, curves, a map of the embedding, probes beside controls.

A run's folder in, a page out that asks nothing of the network: style and drawings are inside. A few hundred kB;
nearly all of the time (about 20 s) goes into the map.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from orthrus.output import hold, write_text
from orthrus.probe.metrics import TITLES
from orthrus.probe.summary import subject
from orthrus.report.embedding_map import EmbeddingMap, map_embedding
from orthrus.report.probes import aggregate_z, checkpoint_figures, latest, probe_section, write_tables
from orthrus.report.run_folder import Curves, RunFolder, read_run_folder
from orthrus.report.svg import Cloud, Figure, Line, line_chart, point_map

MAX_CURVE_POINTS = 200

_CURVES = (
    ("Partner retrieval", "share of held-out transcripts whose nearest neighbour is their partner",
     {"val/retrieval_top1": "all", "val/retrieval_top1_splice": "splice", "val/retrieval_top1_ortholog": "ortholog",
      "val/retrieval_chance": "chance"}),
    ("Loss", "the objective as a whole", {"train/loss": "train", "val/loss": "val"}),
    ("Contrastive loss", "lower: partners closer than the rest",
     {"train/contrastive": "train", "val/contrastive": "val"}),
    ("Masked-base loss", "nats a base; ln 4 = 1.386 knows nothing", {"train/mlm": "train", "val/mlm": "val"}),
    ("Masked-base accuracy", "share of masked bases predicted",
     {"train/mlm_accuracy": "train", "val/mlm_accuracy": "val"}),
    ("Alignment", "squared distance of partners; lower is closer",
     {"val/alignment": "all", "val/alignment_splice": "splice", "val/alignment_ortholog": "ortholog"}),
    ("Uniformity", "lower: embeddings fill the sphere more evenly", {"val/uniformity": "val"}),
    ("Effective rank", "dimensions in use; a fall warns of collapse", {"val/effective_rank": "val"}),
    ("Throughput", "nucleotides a second", {"perf/nt_per_s": "nt/s"}),
)  # fmt: skip
_STYLES = {"train": "grey", "val": "c0", "all": "c0", "splice": "c1", "ortholog": "c2", "chance": "grey dashed"}
_TRAINER_KEYS = ("max_steps", "max_epochs", "precision", "devices", "num_nodes", "gradient_clip_val")


@dataclass(frozen=True)
class Tile:
    """A headline figure."""

    title: str
    before: str
    value: str
    note: str


def write_report(
    run_folder: Path, output: Path | None = None, notes: Sequence[str] = (), sections: Sequence[tuple[str, Markup]] = ()
) -> Path:
    """Write the page of a run, ``report.html`` in its folder unless ``output`` says where, and return its path.

    ``notes`` are caveats printed on the page, ``sections`` further parts of it, each a title and its HTML. What is
    missing from the folder is named on the page. An earlier page is replaced, once the new one is complete. The probes'
    numbers go beside it, as ``probes.csv`` and ``probes.json``. Raises
    InputError if the folder holds nothing to report.
    """
    run_folder = Path(run_folder)
    output = Path(output) if output is not None else run_folder / "report.html"
    run = read_run_folder(run_folder)
    with hold(output):  # refused before the work where it cannot be written
        return _write(run, output, notes, sections)


def _write(run: RunFolder, output: Path, notes: Sequence[str], sections: Sequence[tuple[str, Markup]]) -> Path:
    missing = list(run.missing)
    embedding_map = map_embedding(run.embeddings) if run.embeddings else None
    if isinstance(embedding_map, str):
        missing.append(f"Map of embeddings: {embedding_map}.")
        embedding_map = None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("orthrus.report", "."), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    page = environment.get_template("report.html.jinja").render(
        name=run.path.resolve().name,
        written=datetime.now().astimezone().strftime("%d %B %Y, %H:%M"),
        run=run,
        tiles=list(_tiles(run)),
        settings=_settings(run),
        curves=[*_curve_figures(run.curves), *_online_probes(run.curves)],
        ends=list(_validation_ends(run.curves)),
        map=embedding_map,
        map_figures=list(_map_figures(embedding_map)) if embedding_map else [],
        probes=[probe_section(name, document) for name, document in run.probes.items()],
        aggregate=aggregate_z(run.probes),
        checkpoint_curves=list(checkpoint_figures(run.probes)),
        notes=notes,
        sections=sections,
        missing=missing,
    )
    write_text(page, output)
    if run.probes:
        write_tables(run.probes, output.parent)
    return output


def headlines(run_folder: Path) -> list[str]:
    """The page's headline figures as lines of text, for the terminal. Raises InputError as :func:`write_report`."""
    return [
        f"{tile.title}: {tile.before + ' → ' if tile.before else ''}{tile.value} ({tile.note})"
        for tile in _tiles(read_run_folder(Path(run_folder)))
    ]


def _tiles(run: RunFolder) -> Iterator[Tile]:
    for metric, title in (
        ("val/retrieval_top1", "Retrieval of partners"),
        ("val/retrieval_top1_splice", "Retrieval of splice isoforms"),
    ):
        series = run.curves.get(metric)
        if series is not None:
            chance = run.curves.get("val/retrieval_chance")
            by_chance = f"; chance {chance.iloc[-1]:.0%}" if chance is not None else ""
            yield Tile(
                title,
                f"{series.iloc[0]:.0%}",
                f"{series.iloc[-1]:.0%}",
                f"held-out families, {'untrained' if series.index[0] == 0 else f'step {series.index[0]:,}'}"
                f" → step {series.index[-1]:,}{by_chance}",
            )
    for document in latest(run.probes).values():
        metric = document["metrics"][0]
        score = document["feature_sets"][subject(document)]["scores"][metric]
        verdicts = [
            f"{_verdict(difference[metric])} {name} ({_signed(difference[metric]['mean'])})"
            for name, difference in document["differences"].items()
        ]
        yield Tile(
            f"{document['target']}, {TITLES[metric]}", "", f"{score['mean']:.3f}", "; ".join(verdicts) or "no control"
        )


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _verdict(difference: Mapping[str, Any]) -> str:
    """The sign of a difference, if its 95 % interval leaves no doubt of it."""
    low, high = difference["interval95"] or (-np.inf, np.inf)
    return "above" if low > 0 else "below" if high < 0 else "not separable from"


def _settings(run: RunFolder) -> dict[str, list[tuple[str, str]]]:
    """Name and value of what shaped the run, by group: from the configuration, or else what the embeddings say."""
    config = run.config or {"model": {"encoder": run.embeddings.metadata.get("encoder")} if run.embeddings else {}}
    model = dict(config.get("model") or {})
    trainer = config.get("trainer") or {}
    groups = {
        "Encoder": model.pop("encoder", None),
        "Objective and optimiser": model,
        "Data": config.get("data"),
        "Trainer": {"seed": config.get("seed_everything")} | {key: trainer.get(key) for key in _TRAINER_KEYS},
    }
    return {name: settings for name, group in groups.items() if (settings := list(_flat(group)))}


def _flat(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "class_path":
                yield path or "class", str(value).rsplit(".", 1)[-1]
            else:
                yield from _flat(value, path if key == "init_args" else f"{path}.{key}".removeprefix("."))
    elif node is not None:
        yield path, str(node)


def _curve_figures(curves: Curves) -> Iterator[Figure]:
    for title, caption, names in _CURVES:
        lines = [
            Line(label, *_thinned(curves[metric]), style=_STYLES.get(label, "c0"))
            for metric, label in names.items()
            if metric in curves
        ]
        if lines:
            ends = ", ".join(f"{line.name} {line.y[0]:.4g} to {line.y[-1]:.4g}" for line in lines)
            yield Figure(title, caption, line_chart(lines, f"{title} over training steps: {ends}"))


def _online_probes(curves: Curves) -> Iterator[Figure]:
    """Probes of the encoder while it trained: probe/TASK/METRIC."""
    tasks = dict.fromkeys(name.split("/")[1] for name in curves if name.startswith("probe/") and name.count("/") == 2)
    for task in tasks:
        names = {name: name.split("/")[2] for name in curves if name.startswith(f"probe/{task}/")}
        lines = [Line(TITLES.get(metric, metric), *_thinned(curves[name]), style=f"c{i}")
                 for i, (name, metric) in enumerate(names.items())]  # fmt: skip
        ends = ", ".join(f"{line.name} {line.y[0]:.3f} to {line.y[-1]:.3f}" for line in lines)
        yield Figure(
            f"Probe of {task}", "of the encoder as it trained", line_chart(lines, f"{task} over steps: {ends}")
        )


def _thinned(series: pd.Series) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Steps and values, means of neighbours if there are more than 200, so that noise does not fill the drawing."""
    x, y = series.index.to_numpy(dtype=np.float64), series.to_numpy(dtype=np.float64)
    if len(x) <= MAX_CURVE_POINTS:
        return x, y
    parts = np.array_split(np.arange(len(x)), MAX_CURVE_POINTS)
    return np.array([x[part].mean() for part in parts]), np.array([y[part].mean() for part in parts])


def _validation_ends(curves: Curves) -> Iterator[tuple[str, int, str, int, str]]:
    """Name, first step and value, last step and value of every validation metric."""
    for name, series in curves.items():
        if name.startswith("val/"):
            yield name, series.index[0], f"{series.iloc[0]:.3f}", series.index[-1], f"{series.iloc[-1]:.3f}"


def _map_figures(shown: EmbeddingMap) -> Iterator[Figure]:
    species = Counter(name for name in shown.species if name)
    if species:
        names = [name for name, _ in species.most_common(8)]
        clouds = _clouds(shown, shown.species, dict.fromkeys(names, ""))
        legend = [(f"c{i}", f"{name} ({species[name]:,})") for i, name in enumerate(names)]
        rest = len(shown.species) - sum(species[name] for name in names)
        legend += [("grey", f"others ({rest:,})")] if rest else []
        yield Figure(
            "By species", _neighbour_sentence("species", shown.same_species),
            point_map(clouds, f"Two-dimensional map of {len(shown.rows):,} embeddings by species"), legend,
        )  # fmt: skip
    if shown.largest:
        clouds = _clouds(shown, shown.family, shown.largest)
        yield Figure(
            f"By family, the {len(shown.largest)} largest", _neighbour_sentence("family", shown.same_family),
            point_map(clouds, f"Two-dimensional map of {len(shown.rows):,} embeddings by family"),
            [(f"c{i}", name) for i, name in enumerate(shown.largest.values())],
        )  # fmt: skip


def _clouds(shown: EmbeddingMap, of_row: Sequence[str], labels: Mapping[str, str]) -> list[Cloud]:
    number = {name: i for i, name in enumerate(labels)}
    style = np.array([number.get(name, -1) for name in of_row])
    clouds = [Cloud(shown.points[style == -1], "grey")] if (style == -1).any() else []
    return clouds + [Cloud(shown.points[style == i], f"c{i}", labels[name]) for name, i in number.items()]


def _neighbour_sentence(what: str, shares: tuple[float, float] | None) -> str:
    if shares is None:
        return f"All of one {what}, or of none known: no neighbours to compare."
    same, chance = shares
    return (
        f"In the full space, {same:.0%} of transcripts have a nearest neighbour of their own {what};"
        f" a random one would be in {chance:.1%}."
    )
