"""In-silico mutagenesis: scores of every substitution of a transcript, as a table and as a heat map.

Each base except N gives three variants, which are scored by :mod:`orthrus.embedding.variants`, so a transcript of L nt
costs 3 L embeddings of L nt: 12 Mnt for 2 kb. A window reduces the cost.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from orthrus.embedding.variant_file import Variant
from orthrus.errors import InputError
from orthrus.genome.codes import BASES
from orthrus.store import TranscriptStore

_LINE = 100  # bases in a row of the heat map


def substitutions(store: TranscriptStore, transcript_id: str, window: tuple[int, int] | None = None) -> list[Variant]:
    """All substitutions of a transcript, by position, then A, C, G, T.

    Args:
        store: the store with the transcript.
        transcript_id: its id.
        window: first and last position, from 1, both included; None: the whole transcript.

    Returns:
        Three variants for each base that is not N; ``line`` numbers them.

    Raises:
        InputError: if there is no such transcript, or the window does not lie in it.
    """
    sequence = store.sequence(store.index_of(transcript_id))
    first, last = window or (1, len(sequence))
    if not 1 <= first <= last <= len(sequence):
        raise InputError(
            f"window {first}-{last} does not lie in {transcript_id}, which has {len(sequence):,} nt; expected"
            " FIRST-LAST, counted from 1"
        )
    pairs = [(pos, alt) for pos in range(first, last + 1) for alt in BASES[1:]]
    changes = [(pos, sequence[pos - 1], alt) for pos, alt in pairs if sequence[pos - 1] not in ("N", alt)]
    if not changes:
        raise InputError(f"{transcript_id} has no base but N from {first} to {last}; expected one to substitute")
    return [Variant(n, transcript_id, pos, ref, alt) for n, (pos, ref, alt) in enumerate(changes, start=1)]


def heat(scores: pa.Table, measure: str) -> tuple[NDArray[np.int64], str, NDArray[np.float64]]:
    """Positions (P,), from 1, their bases, and the ``measure`` of each substitution, (4, P), NaN for the reference."""
    pos = scores["pos"].to_numpy()
    positions = np.unique(pos)
    values_4P = np.full((4, len(positions)), np.nan)
    rows = [BASES.index(alt) - 1 for alt in scores["alt"].to_pylist()]
    values_4P[rows, np.searchsorted(positions, pos)] = scores[measure].to_numpy(zero_copy_only=False)
    ref = dict(zip(pos.tolist(), scores["ref"].to_pylist(), strict=True))
    return positions, "".join(ref[int(each)] for each in positions), values_4P


def draw_heat(scores: pa.Table, measure: str, title: str, path: Path) -> None:
    """Write the heat map directly to ``path``: a PNG, or an HTML page with the picture and a table of all values."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    positions, bases, values_4P = heat(scores, measure)
    starts = range(0, len(positions), _LINE)
    limit = float(np.nanmax(np.abs(values_4P)))
    signed = bool(np.nanmin(values_4P) < 0)
    colours = {"cmap": "RdBu_r" if signed else "viridis", "vmin": -limit if signed else 0, "vmax": limit}
    figure, axes = plt.subplots(
        len(starts), 1, figsize=(14, 0.6 + 1.1 * len(starts)), squeeze=False, layout="constrained"
    )
    for start, ax in zip(starts, axes[:, 0], strict=True):
        part = slice(start, start + _LINE)
        lacking = min(_LINE, len(positions)) - len(positions[part])
        row = np.pad(values_4P[:, part], ((0, 0), (0, lacking)), constant_values=np.nan)
        image = ax.imshow(row, aspect="auto", interpolation="nearest", **colours)
        ax.set_yticks(range(4), list(BASES[1:]))
        ticks = range(0, len(positions[part]), 10)
        ax.set_xticks(ticks, [f"{positions[start + i]:,}\n{bases[start + i]}" for i in ticks], fontsize=7)
    figure.suptitle(title)
    axes[-1, 0].set_xlabel("position on the transcript (nt, from 1) and its base")
    figure.colorbar(image, ax=axes[:, 0].tolist(), label=measure.replace("_", " "))
    if path.suffix == ".html":
        _write_page(figure, scores, measure, title, path)
    else:
        figure.savefig(path, dpi=120, format="png")
    plt.close(figure)


def _write_page(figure: object, scores: pa.Table, measure: str, title: str, path: Path) -> None:
    from base64 import b64encode
    from html import escape
    from io import BytesIO

    picture = BytesIO()
    figure.savefig(picture, dpi=120, format="png")  # type: ignore[attr-defined]
    columns = ["pos", "ref", "alt", "hgvs", "consequence", measure]
    rows = zip(*(scores[name].to_pylist() for name in columns), strict=True)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(f'{x:.3g}' if isinstance(x, float) else str(x))}</td>" for x in row) + "</tr>"
        for row in rows
    )
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        "<style>body{font:14px sans-serif;margin:1em}img{max-width:100%}td,th{padding:0 .6em;text-align:left}</style>"
        f'<h1>{escape(title)}</h1><img alt="{escape(title)}: heat map"'
        f' src="data:image/png;base64,{b64encode(picture.getvalue()).decode()}">'
        f"<table><tr>{head}</tr>{body}</table></html>\n",
        encoding="utf-8",
    )
