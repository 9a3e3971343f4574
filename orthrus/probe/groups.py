"""Relations of labelled transcripts: keys of families, genes, homology groups, chromosomes and sequences.

A split keeps connected components of rows that share a key together (:func:`orthrus.probe.splits.group_rows`). A row of
unknown unit stays with the other rows of its gene, if there are any.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from orthrus.errors import InputError
from orthrus.genome.kmers import CLUSTERED, similar_pairs, sketch, sketch_limit
from orthrus.probe.labels import Labels
from orthrus.probe.splits import SplitUnit
from orthrus.store import TranscriptStore

Keys = list[tuple[str, Sequence[str | None]]]

_MEMBERS = ("transcript_id", "gene_id", "gene_name", "gene", "member")
_GROUPS = ("group", "gene_group", "cluster", "family")
_CHROMOSOMES = ("chromosome", "chrom", "contig")


@dataclass(frozen=True)
class Relations:
    """The known relations of M labelled transcripts, the ``rows`` of the labels.

    ``transcripts`` is a table with a column ``transcript_id`` and, if known, ``family_id``, ``gene_id`` and
    ``gene_name``, from a store or from the embeddings. ``store`` has the sequences, if they are available.
    """

    labels: Labels
    rows: NDArray[np.int64]
    transcripts: pa.Table
    store: TranscriptStore | None

    @property
    def transcript_ids(self) -> list[str]:
        return [self.labels.transcript_ids[row] for row in self.rows]

    def of_labels(self, names: Sequence[str]) -> list[str] | None:
        """The first of these columns that the labels have."""
        for name in names:
            if name in self.labels.columns:
                return [self.labels.columns[name][row] for row in self.rows]
        return None

    def of_table(self, name: str) -> list[str | None] | None:
        """A column of the transcript table, None for a transcript that it lacks; None without the column."""
        if name not in self.transcripts.column_names:
            return None
        ids = pa.array(self.transcript_ids, pa.string())
        place = pc.index_in(ids, value_set=self.transcripts["transcript_id"].combine_chunks().cast(pa.string()))
        values: list[str | None] = self.transcripts[name].take(place).to_pylist()
        return values


def family_keys(known: Relations) -> Keys:
    """Families and genes, from the transcript table, and the labels' genes."""
    keys: Keys = []
    for kind in ("family_id", "gene_name"):
        values = known.of_table(kind)
        if values is not None:
            keys.append((kind, values))
    if known.labels.gene_name is not None:
        keys.append(("gene_name", [known.labels.gene_name[row] for row in known.rows]))
    return keys


def of_unknown_gene(known: Relations) -> NDArray[np.bool_]:
    """Whether neither the transcript table nor the labels name the gene of each of M rows, bool (M,).

    Transcripts of such a gene may be in several families, and so on several sides of a split.
    """
    stated = known.of_table("gene_known")
    named = [known.labels.gene_name[row] for row in known.rows] if known.labels.gene_name is not None else None
    columns: list[Sequence[object] | None] = [named]
    if stated is not None:
        columns.append(stated)
    else:
        ids = known.of_table("gene_id")
        columns += [known.of_table("gene_name"), known.of_table("family_id") if ids is None else ids]
    unknown = np.ones(len(known.rows), dtype=np.bool_)
    for column in columns:
        if column is not None:
            unknown &= np.array([not value or str(value).lower() == "nan" for value in column])
    return unknown


def unit_keys(unit: SplitUnit, known: Relations, groups: Path | None) -> Keys:
    """The keys that define the groups of a split by ``unit``.

    Raises InputError if the unit is unknown: no table of ``groups``, no column of chromosomes, no sequences.
    """
    families = family_keys(known)
    if unit is SplitUnit.RANDOM:
        return [("row", known.transcript_ids)]
    if unit is SplitUnit.HOMOLOGY:
        return [*families, *_homology_keys(known, groups)]
    if unit is SplitUnit.KMER_CLUSTER:
        return [("k-mer cluster", _sequence_clusters(known)), *(key for key in families if key[0] == "gene_name")]
    if unit is SplitUnit.CHROMOSOME:
        chromosomes = known.of_labels(_CHROMOSOMES)
        if chromosomes is None:
            raise InputError(
                f"{known.labels.path} has no column {', '.join(map(repr, _CHROMOSOMES[:-1]))} or {_CHROMOSOMES[-1]!r};"
                " a split by chromosome needs one."
            )
        placed = [name.removeprefix("chr") for name in chromosomes]
        genes = [(kind, values) for kind, values in families if kind == "gene_name"]
        return [("chromosome", placed), *(_of_the_unplaced(key, placed) for key in genes)]
    return families


def _of_the_unplaced(key: tuple[str, Sequence[str | None]], placed: Sequence[str]) -> tuple[str, list[str | None]]:
    """The key restricted to genes with a row that has no place."""
    kind, genes = key
    unplaced = {gene for gene, place in zip(genes, placed, strict=True) if not place}
    return kind, [gene if gene in unplaced else None for gene in genes]


def _homology_keys(known: Relations, path: Path | None) -> Keys:
    if path is None:
        raise InputError("a split by homology needs a table of gene groups: give --groups, or `groups` in the task.")
    members = read_groups(path)
    names: list[list[str | None]] = [list(known.transcript_ids)]
    for column in (
        known.of_table("gene_id"),
        known.of_table("gene_name"),
        known.of_labels(("gene_name", "gene", "gene_id")),
    ):
        if column is not None:
            names.append(list(column))
    found = [[group for name in row if name in members for group in members[name]] for row in zip(*names, strict=True)]
    if not any(found):
        raise InputError(
            f"none of the {len(found):,} labelled transcripts or their genes"
            f" ({', '.join(str(column[0]) for column in names)}, ...) is in {path}"
            f" ({', '.join(list(members)[:3])}, ...); use a table of the same ids."
        )
    most = max(map(len, found))
    return [("homology", [row[i] if i < len(row) else None for row in found]) for i in range(most)]


def read_groups(path: Path) -> Mapping[str, list[str]]:
    """The groups of each transcript or gene in a table.

    The table (comma-separated if its name ends in .csv, else tab-separated) has a column ``transcript_id``,
    ``gene_id``, ``gene_name`` or ``gene`` and a column ``group``, ``gene_group``, ``cluster`` or ``family``; or it has
    no header and the two columns of an MMseqs2 clustering (``..._cluster.tsv``): representative and member.
    """
    separator = "," if path.name.removesuffix(".gz").endswith(".csv") else "\t"
    try:
        table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, header=None, quoting=csv.QUOTE_NONE)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path} cannot be read as a table of groups: {str(error).strip().rstrip('.')}.") from None
    header = list(table.iloc[0])
    member = next((header.index(name) for name in _MEMBERS if name in header), None)
    group = next((header.index(name) for name in _GROUPS if name in header), None)
    if member is not None and group is not None:
        table = table[1:]
    elif table.shape[1] == 2:
        group, member = 0, 1
    else:
        raise InputError(
            f"{path} has the columns {', '.join(map(repr, header[:8]))}; expected one of {', '.join(_MEMBERS[:-1])} and"
            f" one of {', '.join(_GROUPS)}, or the two columns of an MMseqs2 clustering without a header."
        )
    members: dict[str, list[str]] = {}
    for name, of in zip(table[member], table[group], strict=True):
        if name and of:
            members.setdefault(name, []).append(of)
    return members


def _sequence_clusters(known: Relations) -> list[str]:
    """The number of each row's connected component under the relation 'contains 30 % of the 21-mers of'."""
    if known.store is None:
        raise InputError("a split by k-mer cluster needs the sequences: give --store.")
    indices = [known.store.index_of(name) for name in known.transcript_ids]
    limit = sketch_limit(known.store.lengths[indices])
    pairs = similar_pairs([sketch(known.store.codes(i), limit) for i in indices], CLUSTERED)
    n = len(indices)
    graph = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), (n, n))
    _, component = connected_components(graph, directed=False)
    return [str(number) for number in component]
