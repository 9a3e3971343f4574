"""Assigns rows to transcripts.

P parts (exon, CDS, stop_codon and UTR rows), N nodes (rows of transcripts and genes), T transcripts. Whole columns are
processed at once, except ids that several rows share, which are processed one by one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from orthrus.genome.gxf.attributes import GFF3
from orthrus.genome.gxf.rows import CDS, EXON, GxfRows
from orthrus.genome.reading_frame import Rows

GENE_TYPE = r"^(.*_)?(gene|pseudogene)$"


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
    """``owner`` (P,): the transcript of each part. ``node`` (T,): its row in ``nodes`` followed by ``witnesses``.

    ``first_part`` (T,): its first part in the file, which gives its contig and strand. ``witness`` (T,): the row of its
    key in ``witnesses``, -1 without one. ``protein`` (T,): the id of the coding sequence where each coding sequence of
    a gene is a transcript of its own; else null.
    """

    owner: Rows
    node: Rows
    first_part: Rows
    witness: Rows
    protein: pa.Array


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


def distinct_nodes(rows: GxfRows) -> GxfRows:
    """The rows without nodes that repeat an earlier node or are a further part of the same feature.

    GFF3 divides a feature (``part=1/2``) into several rows with the same ID, for example for trans-spliced genes.
    """
    nodes = rows.nodes
    if pc.count_distinct(nodes["key"]).as_py() == len(nodes):
        return rows
    (place,) = places([nodes])
    facts = np.stack([_numbers(nodes["key"]), place.contig, place.strand, place.start, place.end])
    facts[1:, np.asarray(nodes["in_parts"])] = -1
    _, first = np.unique(facts, axis=1, return_index=True)
    return replace(rows, nodes=nodes.take(pa.array(np.sort(first))))


def on_transcripts(rows: GxfRows) -> GxfRows:
    """The rows, with coding sequences moved to their transcript where their parent is something else.

    In TAIR's files their parents are the transcript and its ``protein``, which is derived from it. In other files their
    parent is the gene, although it has one transcript, which has exons only.
    """
    if rows.dialect is not GFF3:
        return rows
    nodes, parts = rows.nodes, rows.parts
    types = nodes["type"].cast(pa.string())
    proteins = nodes.filter(pc.is_in(types, pa.array(["protein", "polypeptide"])))
    proteins = proteins.filter(pc.is_in(proteins["parent"], value_set=nodes["key"].combine_chunks()))
    if len(proteins):
        key = _renamed(parts["key"], proteins["key"], proteins["parent"])
        parts = parts.set_column(parts.column_names.index("key"), "key", key)
        nodes = nodes.filter(pc.invert(pc.is_in(nodes["key"], value_set=proteins["key"].combine_chunks())))
    exon = pc.equal(parts["kind"], EXON)
    genes = nodes.filter(pc.match_substring_regex(nodes["type"].cast(pa.string()), GENE_TYPE))["key"]
    of_genes = parts.filter(pc.invert(exon))["key"].unique()
    of_genes = of_genes.filter(pc.is_in(of_genes, value_set=genes.combine_chunks()))
    children = nodes.filter(pc.is_in(nodes["parent"], value_set=of_genes)) if len(of_genes) else nodes.slice(0, 0)
    if len(children):
        with_exons, coding = (parts.filter(which)["key"].combine_chunks() for which in (exon, pc.invert(exon)))
        only = children["parent"].value_counts()
        only = only.field("values").filter(pc.equal(only.field("counts"), 1))
        bare = pc.and_(pc.is_in(children["key"], value_set=with_exons), pc.is_in(children["parent"], value_set=only))
        bare = pc.and_(bare, pc.invert(pc.is_in(children["key"], value_set=coding)))
        bare = pc.and_(bare, pc.invert(pc.is_in(children["parent"], value_set=with_exons)))
        children = children.filter(bare)
        key = _renamed(parts["key"], children["parent"], children["key"])
        parts = parts.set_column(parts.column_names.index("key"), "key", key)
    return replace(rows, nodes=nodes, parts=parts)


def _renamed(keys: pa.ChunkedArray, old: pa.ChunkedArray, new: pa.ChunkedArray) -> pa.ChunkedArray:
    """The keys, with those in ``old`` replaced by ``new``."""
    return pc.coalesce(new.take(pc.index_in(keys, value_set=old.combine_chunks())), keys)


def assign_parts(rows: GxfRows) -> Ownership:
    """Assign each part to the transcript of its key, or, if several rows have that key, to the one that contains it.

    A key without a row of its own makes a transcript for each contig and gene that it occurs on. A gene that has only
    coding sequences makes a transcript for each of them. Transcripts are in the order of the file.
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

    n_nodes = len(rows.nodes)
    witness_of_key = _index_in(keys.dictionary, rows.witnesses["key"])
    attributes = np.arange(n_nodes)  # of each transcript made so far, its row in nodes + witnesses
    orphan = np.flatnonzero(chosen < 0)
    group, group_of_part = np.unique(
        np.stack([key[orphan], part.contig[orphan], _genes(rows, key)[orphan]]), axis=1, return_inverse=True
    )
    chosen[orphan] = n_nodes + group_of_part.reshape(-1)
    attributes = np.concatenate([attributes, n_nodes + witness_of_key[group[0]]])
    proteins = pa.nulls(len(attributes), pa.string())
    split = np.flatnonzero(_is_of_several_proteins(rows, chosen))
    if len(split):
        cds_id = rows.parts["cds_id"].combine_chunks().take(pa.array(split)).dictionary_encode()
        each, each_of_part = np.unique(
            np.stack([chosen[split], cds_id.indices.to_numpy()]), axis=1, return_inverse=True
        )
        chosen[split] = len(attributes) + each_of_part.reshape(-1)
        attributes = np.concatenate([attributes, each[0]])
        proteins = pa.concat_arrays([proteins, cds_id.dictionary.take(pa.array(each[1]))])

    transcript, first_part, owner = np.unique(chosen, return_index=True, return_inverse=True)
    has_row = transcript < n_nodes
    row = part.row[first_part]
    row[has_row] = node.row[transcript[has_row]]
    order = np.argsort(row, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return Ownership(
        owner=rank[owner],
        node=attributes[transcript[order]],
        first_part=first_part[order],
        witness=witness_of_key[key[first_part[order]]],
        protein=proteins.take(pa.array(transcript[order])),
    )


def _among_repeated(
    parts: Rows, key: Rows, nodes: Rows, node_key: Rows, part: Places, node: Places
) -> Iterator[tuple[int, int]]:
    """Each of ``parts``, whose keys several of ``nodes`` share, with the node that it belongs to.

    That is preferably a node on the same contig and strand that contains the part, and the last one before it in the
    file.
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


def _genes(rows: GxfRows, key: Rows) -> Rows:
    """The number of the gene that each part names; if it names none, the first gene of its key, or -1."""
    gene = _numbers(rows.parts["gene_id"])
    named = np.flatnonzero(gene >= 0)[::-1]
    if len(named) < len(gene):
        of_key = np.full(key.max() + 1, -1)
        of_key[key[named]] = gene[named]
        gene = np.where(gene >= 0, gene, of_key[key])
    return gene


def _is_of_several_proteins(rows: GxfRows, chosen: Rows) -> NDArray[np.bool_]:
    """Which parts are of GFF3 genes with several coding sequences and neither exons nor transcripts, bool (P,)."""
    nothing = np.zeros(len(chosen), dtype=bool)
    if rows.dialect is not GFF3:
        return nothing
    types = rows.nodes["type"].cast(pa.string())
    candidates = np.asarray(pc.match_substring_regex(types, GENE_TYPE))
    candidates &= ~np.asarray(pc.is_in(rows.nodes["key"], value_set=rows.nodes["parent"].combine_chunks()))
    kind, protein = rows.parts["kind"].to_numpy(), _numbers(rows.parts["cds_id"])
    owner = np.minimum(chosen, len(candidates))
    barred = np.bincount(owner[(kind == EXON) | ((kind == CDS) & (protein < 0))], minlength=len(candidates) + 1) > 0
    candidates = np.append(candidates, False) & ~barred
    mine = np.flatnonzero(candidates[owner] & (protein >= 0))
    low, high = np.full(len(candidates), protein.max(initial=0) + 1), np.full(len(candidates), -1)
    np.minimum.at(low, owner[mine], protein[mine])
    np.maximum.at(high, owner[mine], protein[mine])
    several: NDArray[np.bool_] = (low < high)[owner] & (protein >= 0)
    return several


def _numbers(column: pa.ChunkedArray) -> Rows:
    """A number of each distinct value, -1 for null."""
    codes = column.combine_chunks().dictionary_encode().indices
    return np.asarray(pc.fill_null(codes, -1), dtype=np.int64)


def _index_in(values: pa.Array, among: pa.Array) -> Rows:
    """Where each of ``values`` first occurs ``among``, -1 where it does not."""
    index: Rows = np.asarray(pc.fill_null(pc.index_in(values, value_set=among), -1), dtype=np.int64)
    return index
