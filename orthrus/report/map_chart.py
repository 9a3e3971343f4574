"""The map of an embedding as a chart: a table of the transcripts, and a colouring for every column.

The page changes the colouring and dims the points that do not match the chart's parameter ``search``.
"""

import json
from collections.abc import Iterator
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from orthrus.charts import FAINT, PALETTE
from orthrus.embedding.file import Embeddings
from orthrus.errors import InputError
from orthrus.report.embedding_map import EmbeddingMap
from orthrus.store import TranscriptStore

HEIGHT = 460
MAX_COLOURS = 10
_SEARCHED = ("transcript", "gene", "gene id", "family")
_ID_COLUMNS = ("transcript", "gene id")  # every value would have its own colour


def map_table(embeddings: Embeddings, shown: EmbeddingMap, store: TranscriptStore | None) -> pd.DataFrame:
    """One row a point: x, y, and the columns of the embeddings, and of the store if it has all of the transcripts."""
    rows = shown.rows
    columns: dict[str, Any] = {
        "x": shown.points[:, 0].round(3),
        "y": shown.points[:, 1].round(3),
        "transcript": [embeddings.transcript_ids[row] for row in rows],
    }
    for name, values in (
        ("species", embeddings.species), ("gene", embeddings.gene_name), ("gene id", embeddings.gene_id),
        ("family", embeddings.family_id),
    ):  # fmt: skip
        if values is not None and any(values):
            columns[name] = [values[row] or None for row in rows]
    table = pd.DataFrame(columns)
    if {"family", "gene"} <= set(table):
        table["family"] = _readable(table)
    if store is not None:
        try:
            places = np.array([store.index_of(name) for name in table["transcript"]], dtype=np.int64)
        except InputError:  # the embeddings are of another store
            return table
        table = table.assign(**_measures(store, places))
    return table


def _readable(table: pd.DataFrame) -> pd.Series:
    """Families by the name of their most frequent gene, followed by their own name if two would be equal."""
    genes = table.dropna(subset=["family", "gene"]).groupby("family")["gene"].agg(lambda names: names.mode().iloc[0])
    shared = genes.duplicated(keep=False)
    names = genes.where(~shared, genes + " (" + genes.index.astype(str) + ")")
    return table["family"].map(names).fillna(table["family"])


def _measures(store: TranscriptStore, places: np.ndarray) -> dict[str, Any]:
    chosen = store.transcripts.take(places)
    start, end = (np.asarray(store.cds[places, i], dtype=np.int64) for i in (0, 1))
    lengths = np.asarray(store.lengths[places])
    coding = start >= 0
    bases = (store.codes(int(i)) & 7 for i in places)
    return {
        "biotype": [name or None for name in chosen["biotype"].to_pylist()],
        "length (nt)": lengths,
        "5'UTR (nt)": _where(coding, start),
        "CDS (nt)": _where(coding, end - start),
        "3'UTR (nt)": _where(coding, lengths - end),
        "exons": [len(ends) for ends in chosen["exon_ends"].to_pylist()],
        "GC share": [round(float(np.isin(base, (2, 3)).sum() / max(np.count_nonzero(base), 1)), 3) for base in bases],
    }


def _where(known: np.ndarray, values: np.ndarray) -> list[int | None]:
    return [int(value) if yes else None for yes, value in zip(known, values, strict=True)]


def map_chart(table: pd.DataFrame) -> Any:
    """Points that show every column on hover, coloured by the first column; ``search`` dims those that do not match."""
    hover = [alt.Tooltip(f"{_escaped(name)}:N", title=name) for name in map(str, table) if name not in ("x", "y")]
    searched = " + ' ' + ".join(_datum(name) for name in _SEARCHED if name in table)
    search = alt.param(name="search", value="")
    found = f"search == '' || indexof(lower({searched}), lower(search)) >= 0"
    axis = alt.Axis(grid=False, labels=False, title=None)
    move = alt.selection_interval(bind="scales", zoom="wheel![event.shiftKey]", name="move")
    return (
        alt.Chart(table)
        .mark_circle(clip=True)
        .encode(
            x=alt.X("x:Q", axis=axis).scale(zero=False),
            y=alt.Y("y:Q", axis=axis).scale(zero=False),
            tooltip=hover,
            opacity=alt.condition(found, alt.value(0.8), alt.value(0.06)),
            size=alt.condition(f"search != '' && ({found})", alt.value(90), alt.value(26)),
        )
        .add_params(search, move)
        .properties(width="container", height=HEIGHT)
    )


def colourings(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The Vega-Lite encoding of colour for every column that colour can show, the most informative first."""
    return dict(_colourings(table))


def _colourings(table: pd.DataFrame) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in map(str, table):
        column = table[name]
        if name in ("x", "y", *_ID_COLUMNS) or column.nunique() < 2:
            continue
        if pd.api.types.is_numeric_dtype(column):
            yield name, _by_number(name)
        else:
            yield name, _by_category(name, list(column.value_counts().index[:MAX_COLOURS]))


def _by_number(name: str) -> dict[str, Any]:
    known = f"isValid({_datum(name)})"
    return {
        "condition": {
            "test": known, "field": _escaped(name), "type": "quantitative",
            "scale": {"scheme": "viridis", "type": "sqrt"},
            "legend": {"title": name, "type": "gradient", "gradientLength": 180, "format": "~s"},
        },
        "value": FAINT,
    }  # fmt: skip


def _by_category(name: str, shown: list[str]) -> dict[str, Any]:
    """Colours for the most frequent values, grey for the rest."""
    return {
        "condition": {
            "test": f"indexof({json.dumps(shown)}, {_datum(name)}) >= 0", "field": _escaped(name), "type": "nominal",
            "scale": {"domain": shown, "range": list(PALETTE[: len(shown)])},
            "legend": {"title": None, "columns": {"expr": "max(1, floor(width / 140))"}},
        },
        "value": FAINT,
    }  # fmt: skip


def _datum(name: str) -> str:
    return f"datum[{json.dumps(name)}]"


def _escaped(name: str) -> str:
    """A field's name with the dots, brackets and quotes escaped that are special in Vega."""
    return "".join(f"\\{letter}" if letter in ".[]'\"" else letter for letter in name)
