"""Which rows make which transcript, and what they make: exons and a coding interval.

Shapes: P parts (exon, CDS and stop_codon rows), N nodes (rows of transcripts and genes), T transcripts, E exons. What
is common is done on whole columns; only the odd cases (ids given twice, several proteins, no exon rows) are gone
through one by one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from orthrus.genome.gxf import EXON, STOP_CODON, GxfRows
from orthrus.genome.models import Rows

_POSITION_BITS = 41  # a transcript's number and a position on its contig in one sortable integer
_POSITION_LIMIT = 1 << _POSITION_BITS


@dataclass(frozen=True)
class Places:
    """Where rows lie: contig number (one numbering for all tables), strand, interval, row in the file."""

    contig: Rows
    strand: Rows
    start: Rows
    end: Rows
    row: Rows


@dataclass(frozen=True)
class Ownership:
    """``owner`` (P,): the transcript of each part. ``node`` (T,): its row in ``nodes`` + ``witnesses``, end to end.

    ``first_part`` (T,): its first part in the file, which tells its contig and strand.
    """

    owner: Rows
    node: Rows
    first_part: Rows


@dataclass(frozen=True)
class Structure:
    """Exons of T transcripts end to end, ascending in each, and coding intervals, -1 without one.

    The bool (T,) arrays tell what was found: ``scattered`` (parts on two strands or contigs, or not on that of the
    transcript's row), a CDS row outside the exons (``cds_outside``); ``exonless`` (exons made from CDS rows) and
    ``polycistronic`` (several proteins, the longest coding sequence taken).
    """

    exon_starts: Rows
    exon_ends: Rows
    exon_offsets: Rows
    cds_start: Rows
    cds_end: Rows
    scattered: NDArray[np.bool_]
    cds_outside: NDArray[np.bool_]
    exonless: NDArray[np.bool_]
    polycistronic: NDArray[np.bool_]


def places(tables: list[pa.Table]) -> list[Places]:
    """Places of the rows of each table."""
    contigs = pa.concat_tables([table.select(["contig"]) for table in tables]).unify_dictionaries()["contig"]
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in contigs.chunks] or [np.empty(0, np.int32)])
    bounds = np.cumsum([0] + [len(table) for table in tables])
    return [
        Places(
            codes[a:b].astype(np.int64),
            *(table[name].to_numpy().astype(np.int64, copy=False) for name in ("strand", "start", "end", "row")),
        )
        for table, a, b in zip(tables, bounds[:-1], bounds[1:], strict=True)
    ]


def assign_parts(rows: GxfRows) -> Ownership:
    """Give each part to a transcript: that of its key, or, of several rows with that key, the one it lies in.

    A key without a row of its own makes a transcript for each contig and strand that it occurs on. Transcripts are in
    the order of the file.
    """
    part, node = places([rows.parts, rows.nodes])
    keys = rows.parts["key"].combine_chunks().dictionary_encode()
    key = keys.indices.to_numpy().astype(np.int64)
    node_key = _index_in(rows.nodes["key"], keys.dictionary)
    with_parts = np.flatnonzero(node_key >= 0)
    nodes_of_key = np.bincount(node_key[with_parts], minlength=len(keys.dictionary))
    first_node = np.full(len(keys.dictionary), -1)
    first_node[node_key[with_parts[::-1]]] = with_parts[::-1]
    chosen = first_node[key]
    repeated = np.flatnonzero(nodes_of_key[key] > 1)
    for p, n in _among_repeated(
        repeated, key, with_parts[nodes_of_key[node_key[with_parts]] > 1], node_key, part, node
    ):
        chosen[p] = n

    orphan = np.flatnonzero(chosen < 0)
    group, group_of_part = np.unique(
        np.stack([key[orphan], part.contig[orphan], part.strand[orphan]]), axis=1, return_inverse=True
    )
    witness_of_key = _index_in(keys.dictionary, rows.witnesses["key"])
    chosen[orphan] = len(rows.nodes) + group_of_part.reshape(-1)
    transcript, first_part, owner = np.unique(chosen, return_index=True, return_inverse=True)
    by_node = transcript < len(rows.nodes)
    row = part.row[first_part]
    row[by_node] = node.row[transcript[by_node]]
    transcript[~by_node] = len(rows.nodes) + witness_of_key[group[0]]
    order = np.argsort(row, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return Ownership(owner=rank[owner], node=transcript[order], first_part=first_part[order])


def _among_repeated(
    parts: Rows, key: Rows, nodes: Rows, node_key: Rows, part: Places, node: Places
) -> Iterator[tuple[int, int]]:
    """For each of ``parts``, whose keys several of ``nodes`` have, the one it belongs to.

    That is one on its contig and strand, around it, and the last such before it in the file.
    """
    candidates: dict[int, list[int]] = {}
    for n in nodes.tolist():
        candidates.setdefault(int(node_key[n]), []).append(n)
    for p in parts.tolist():

        def fit(n: int, p: int = p) -> tuple[bool, bool, bool, int]:
            before = bool(node.row[n] < part.row[p])
            return (
                bool(node.contig[n] == part.contig[p] and node.strand[n] == part.strand[p]),
                bool(node.start[n] <= part.start[p] and part.end[p] <= node.end[n]),
                before,
                int(node.row[n]) * (1 if before else -1),
            )

        yield p, max(candidates[int(key[p])], key=fit)


def build_structure(rows: GxfRows, ownership: Ownership) -> Structure:
    """Exons and coding intervals of the transcripts that ``ownership`` makes of ``rows``."""
    part, node = places([rows.parts, rows.nodes])
    owner, n = ownership.owner, len(ownership.node)
    kind = rows.parts["kind"].to_numpy()
    contig, strand = part.contig[ownership.first_part], part.strand[ownership.first_part]
    has_row = ownership.node < len(rows.nodes)
    own_row = ownership.node[has_row]
    contig[has_row], strand[has_row] = node.contig[own_row], node.strand[own_row]
    astray = (part.contig != contig[owner]) | (part.strand != strand[owner])
    interval = np.stack([owner, part.start, part.end])
    exonless = np.bincount(owner[kind == EXON], minlength=n) == 0
    exons = np.concatenate([interval[:, kind == EXON], _exons_of_cds(interval, kind, exonless[owner])], axis=1)
    exons = exons[:, np.lexsort(exons[::-1])]
    cds_start, cds_end, polycistronic = _coding_intervals(rows.parts["cds_id"], interval, kind, exons, n)
    return Structure(
        exon_starts=exons[1],
        exon_ends=exons[2],
        exon_offsets=np.concatenate([[0], np.cumsum(np.bincount(exons[0], minlength=n))]),
        cds_start=cds_start,
        cds_end=cds_end,
        scattered=np.bincount(owner[astray], minlength=n) > 0,
        cds_outside=np.bincount(_outside(interval[:, kind != EXON], exons), minlength=n) > 0,
        exonless=exonless,
        polycistronic=polycistronic,
    )


def _exons_of_cds(interval: Rows, kind: NDArray[np.int8], wanted: NDArray[np.bool_]) -> Rows:
    """The ``wanted`` CDS rows as exons (3, ...), each with the stop codon that it touches."""
    order = np.flatnonzero(wanted)
    order = order[np.lexsort(interval[::-1, order])]
    (owner, start, end), stop = interval[:, order], kind[order] == STOP_CODON
    joined = (owner[1:] == owner[:-1]) & (start[1:] <= end[:-1]) & (stop[1:] | stop[:-1])
    first = np.flatnonzero(np.concatenate([[True], ~joined])[: len(order)])
    last_end = np.maximum.reduceat(end, first) if len(first) else end
    return np.stack([owner[first], start[first], last_end])


def _outside(cds: Rows, exons: Rows) -> Rows:
    """The transcript of each CDS row (3, ...) that begins or ends outside the exons (3, E), sorted."""
    exon_at = (exons[0] << _POSITION_BITS) + exons[1]
    inside = np.ones(cds.shape[1], dtype=bool)
    for position in (cds[1], cds[2] - 1):
        exon = np.searchsorted(exon_at, (cds[0] << _POSITION_BITS) + position, side="right") - 1
        inside &= (exons[0, exon] == cds[0]) & (exons[1, exon] <= position) & (position < exons[2, exon])
    outside: Rows = cds[0, ~inside]
    return outside


def _coding_intervals(
    cds_ids: pa.ChunkedArray, interval: Rows, kind: NDArray[np.int8], exons: Rows, n: int
) -> tuple[Rows, Rows, NDArray[np.bool_]]:
    """Start and end of each transcript's CDS, stop codon included, and which of them have several proteins."""
    is_cds = kind != EXON
    owner, start, end = interval[:, is_cds]
    protein = pc.fill_null(cds_ids.combine_chunks().dictionary_encode().indices, -1).to_numpy()[is_cds]
    cds_start, cds_end = np.full(n, _POSITION_LIMIT), np.full(n, -1)
    np.minimum.at(cds_start, owner, start)
    np.maximum.at(cds_end, owner, end)
    cds_start[cds_end < 0] = -1
    named = protein >= 0
    low, high = np.full(n, len(protein)), np.full(n, -1)
    np.minimum.at(low, owner[named], protein[named])
    np.maximum.at(high, owner[named], protein[named])
    polycistronic = np.zeros(n, dtype=bool)
    several = np.flatnonzero(low < high)
    order = np.argsort(owner, kind="stable")
    for t in several.tolist():
        mine = order[np.searchsorted(owner[order], t) : np.searchsorted(owner[order], t, side="right")]
        longest = _longest_protein(start[mine], end[mine], protein[mine], exons[1:, exons[0] == t])
        if longest:
            polycistronic[t] = True
            cds_start[t], cds_end[t] = longest
    return cds_start, cds_end, polycistronic


def _longest_protein(start: Rows, end: Rows, protein: Rows, exons: Rows) -> tuple[int, int] | None:
    """The interval of the longest of several coding sequences; None if the rows are one, each with an id of its own.

    They are one where they follow each other from an exon's end to the next exon's start.
    """
    order = np.argsort(start)
    first, last = start[order], end[order]
    if len(np.unique(protein)) == len(protein) and all(
        (exons[1] == left).any() and (exons[0] == right).any() for left, right in zip(last, first[1:], strict=False)
    ):
        return None
    spans = [(start[protein == p], end[protein == p]) for p in np.unique(protein[protein >= 0])]
    best, best_end = max(spans, key=lambda span: int((span[1] - span[0]).sum()))
    low, high = int(best.min()), int(best_end.max())
    for s, e in zip(start[protein < 0], end[protein < 0], strict=True):  # a stop codon that names no protein
        low, high = (int(s), high) if e == low else (low, int(e)) if s == high else (low, high)
    return low, high


def _index_in(values: pa.Array, among: pa.Array) -> Rows:
    """Where each of ``values`` first occurs ``among``, -1 where it does not."""
    index: Rows = np.asarray(pc.fill_null(pc.index_in(values, value_set=among), -1), dtype=np.int64)
    return index
