"""A self-contained HTML page of a run: settings, curves, a map of the embeddings, probes and their controls.

The page needs no network: style, data and the library for the charts (Vega-Lite, 0.9 MB) are in it. The map takes
nearly all of the time (about 20 s).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from orthrus.errors import InputError
from orthrus.output import hold, write_text
from orthrus.probe.document import Difference
from orthrus.probe.metrics import TITLES
from orthrus.report.curves import curve_figures
from orthrus.report.embedding_map import EmbeddingMap, map_embedding
from orthrus.report.figures import Figure
from orthrus.report.html import render_page
from orthrus.report.map_chart import colourings, map_chart, map_table
from orthrus.report.probes import aggregate_z, checkpoint_figures, latest, probe_section, write_tables
from orthrus.report.run_folder import Curves, RunFolder, read_run_folder
from orthrus.store import TranscriptStore

_TRAINER_KEYS = ("max_steps", "max_epochs", "precision", "devices", "num_nodes", "gradient_clip_val")


@dataclass(frozen=True)
class Tile:
    """A headline figure: its ``title``, ``value`` and a ``note``."""

    title: str
    value: str
    note: str


def write_report(
    run_folder: Path, output: Path | None = None, notes: Sequence[str] = (), sections: Sequence[tuple[str, Markup]] = ()
) -> Path:
    """Write the HTML page of a run and return its path.

    The page lists what is missing from the folder. It replaces an earlier page once it is complete. The scores of the
    probes are written beside it, as ``probes.csv`` and ``probes.json``.

    Args:
        run_folder: the folder of a run, with configuration, curves, embeddings or probes.
        output: the page; by default ``report.html`` in the folder.
        notes: caveats to print on the page.
        sections: further sections of the page, each a title and its HTML.

    Raises:
        InputError: if the folder has nothing to report, or if ``output`` does not end in ``.html``.

    Examples:
        >>> write_report(Path("runs/demo/probe")).name
        'report.html'
    """
    run_folder = Path(run_folder)
    output = Path(output) if output is not None else run_folder / "report.html"
    if output.suffix != ".html":
        raise InputError(f"output {output} ends in {output.suffix!r}; expected .html")
    run = read_run_folder(run_folder)
    with hold(output):  # fails before the work if it cannot be written
        return _write(run, output, notes, sections)


def _write(run: RunFolder, output: Path, notes: Sequence[str], sections: Sequence[tuple[str, Markup]]) -> Path:
    missing = list(run.missing)
    embedding_map = map_embedding(run.embeddings) if run.embeddings else None
    if isinstance(embedding_map, str):
        missing.append(f"Map of embeddings: {embedding_map}.")
        embedding_map = None
    page = render_page(
        "orthrus.report",
        "report.html.jinja",
        name=run.path.resolve().name,
        run=run,
        tiles=list(_tiles(run)),
        settings=_settings(run),
        curves=list(curve_figures(run.curves)),
        ends=list(_validation_ends(run.curves)),
        map=_map(run, embedding_map) if embedding_map else None,
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
    """The headline figures of the page of ``run_folder`` as lines of text. Errors are as in :func:`write_report`."""
    return [f"{tile.title}: {tile.value} ({tile.note})" for tile in _tiles(read_run_folder(Path(run_folder)))]


@dataclass(frozen=True)
class _Map:
    """The map on the page: its figure, the colourings to choose from, and the number of transcripts."""

    figure: Figure
    colours: dict[str, Any]
    n_points: int


def _map(run: RunFolder, shown: EmbeddingMap) -> _Map:
    assert run.embeddings is not None
    table = map_table(run.embeddings, shown, _store(run))
    colours = colourings(table)
    sentences = [
        _neighbour_sentence(what, shares)
        for what, shares in (("species", shown.same_species), ("family", shown.same_family))
        if shares
    ]
    title = f"{len(table):,} embeddings in two dimensions"
    figure = Figure(title, " ".join(sentences), f"{title}. {' '.join(sentences)}".strip(), map_chart(table))
    return _Map(figure, colours, len(table))


def _store(run: RunFolder) -> TranscriptStore | None:
    """The store of the run, if it still exists and this version can read it."""
    try:
        return TranscriptStore.open(run.store_path) if run.store_path and run.store else None
    except InputError:
        return None


def _tiles(run: RunFolder) -> Iterator[Tile]:
    for kind, title in (("splice", "Retrieval of splice isoforms"), ("ortholog", "Retrieval of orthologs")):
        series = run.curves.get(f"val/retrieval_top1_{kind}")
        if series is not None:
            chance = run.curves.get(f"val/retrieval_chance_{kind}", run.curves.get("val/retrieval_chance"))
            beside = [f"chance {chance.iloc[-1]:.1%}"] if chance is not None else []
            if series.index[0] == 0 and len(series) > 1:
                beside.insert(0, f"untrained encoder {series.iloc[0]:.0%}")
            note = f"of held-out families, step {series.index[-1]:,}; {', '.join(beside)}".removesuffix("; ")
            yield Tile(title, f"{series.iloc[-1]:.0%}", note)
    for document in latest(run.probes):
        metric = document.headline
        score = document.feature_sets[document.subject].scores[metric]
        verdicts = [
            f"{_verdict(difference[metric])} {name} ({_signed(difference[metric].mean)})"
            for name, difference in document.differences.items()
        ]
        note = "; ".join([*(verdicts or ["no control"]), document.splits])
        yield Tile(f"{document.target}, {TITLES[metric]}", f"{score.mean:.3f}", note)


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _verdict(difference: Difference) -> str:
    """The sign of a difference, if its 95 % interval excludes 0."""
    low, high = difference.interval95 or (-np.inf, np.inf)
    return "above" if low > 0 else "below" if high < 0 else "not separable from"


def _settings(run: RunFolder) -> dict[str, list[tuple[str, str]]]:
    """Names and values of the settings of the run, by group: from the configuration, or from the embeddings."""
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


def _validation_ends(curves: Curves) -> Iterator[tuple[str, int, str, int, str]]:
    """Name, first step and value, last step and value of every validation metric."""
    for name, series in curves.items():
        if name.startswith("val/"):
            yield name, series.index[0], f"{series.iloc[0]:.3f}", series.index[-1], f"{series.iloc[-1]:.3f}"


def _neighbour_sentence(what: str, shares: tuple[float, float] | None) -> str:
    if shares is None:
        return f"All of one {what}, or of none known: no neighbours to compare."
    same, chance = shares
    return (
        f"In the full space, {same:.0%} of transcripts have a nearest neighbour of their own {what};"
        f" a random one would be in {chance:.1%}."
    )
