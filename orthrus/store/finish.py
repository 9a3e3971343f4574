"""The last step of building a store, after all transcripts: ids, genes, families, adjacency and the tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from orthrus.genome.findings import Findings, Tally
from orthrus.store.families import join_families, joined_by
from orthrus.store.ids import make_unique
from orthrus.store.layout import FINDING_SCHEMA, HOMOLOG_SCHEMA, ORTHOLOG_SCHEMA, TRANSCRIPT_SCHEMA, write_names
from orthrus.store.relations import Genes, adjacency, gene_keys, match_homologs, match_orthologs
from orthrus.store.similar import Sequences, similar_genes

SPOOL = "rows.parquet"  # the rows in the order of the input, until their families are known

UNMATCHED = "ortholog pairs of a gene that is not in the store, ignored"
_UNKNOWN = "rows of homologs whose gene is not in the store, ignored"
_EXAMPLES_FROM = 100


def small_columns(rows: pa.Table) -> pa.Table:
    """The columns of ``rows`` that are kept in memory while a store is built."""
    return pa.table(
        {
            "id": rows["transcript_id"].cast(pa.large_string()),
            "gene": gene_keys(rows["species"], rows["gene_id"]).dictionary_encode(),
            "species": rows["species"].dictionary_encode(),
            **{name: rows[name] for name in ("length", "cds_start", "cds_end", "gene_known", "genetic_code")},
        }
    )


def write_relations(
    folder: Path,
    columns: pa.Table,
    orthologs: pa.Table | None,
    homologs: pa.Table | None,
    findings: Mapping[str, Findings],
    join_similar: bool,
) -> dict[str, Any]:
    """Write everything but codes and ``meta.json`` into ``folder``, which has SPOOL; returns entries of ``meta.json``.

    ``columns`` are the :func:`small_columns` of all rows, with one dictionary a column. With ``join_similar`` genes of
    similar sequence are of one family (:mod:`orthrus.store.similar`).
    """
    species_names: list[str] = columns["species"].chunk(0).dictionary.to_pylist()
    species, gene = _indices(columns["species"]), _indices(columns["gene"])
    genes = Genes(columns["gene"].chunk(0).dictionary)
    pairs = match_orthologs(orthologs or ORTHOLOG_SCHEMA.empty_table(), genes)
    groups = match_homologs(homologs or HOMOLOG_SCHEMA.empty_table(), genes)
    lengths = columns["length"].to_numpy().astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    edges = np.concatenate([genes.copies(), pairs.edges, groups.edges])
    sequences = Sequences(folder / "codes.u8", offsets, gene, len(genes))
    similar = similar_genes(sequences) if join_similar else np.empty((0, 2), np.int64)
    of_species = _indices_in(genes.species, species_names)
    families = join_families(of_species, species_names, genes.gene_id, np.concatenate([edges, similar]))
    noted = Tally()
    ids = make_unique(columns["id"], species, species_names, noted)
    noted.add_counted(UNMATCHED, len(pairs.unmatched), _missing_genes(pairs.unmatched.slice(0, _EXAMPLES_FROM), genes))
    unknown = groups.unknown.slice(0, _EXAMPLES_FROM)
    unknown = pc.binary_join_element_wise(unknown["species"], unknown["gene_id"], ":").to_pylist()
    noted.add_counted(_UNKNOWN, len(groups.unknown), unknown)
    arrays: dict[str, NDArray[Any]] = {
        "offsets": offsets,
        "lengths": lengths,
        "cds": np.stack([columns[name].to_numpy() for name in ("cds_start", "cds_end")], axis=1),
        "species": species.astype(np.uint16),
        "family": families.number[gene],
        "gene": gene,
        "id_order": ids.order,
        **adjacency(gene, len(genes), pairs.edges),
    }
    for name, array in arrays.items():
        np.save(folder / "arrays" / f"{name}.npy", array)
    write_names(folder / "arrays" / "transcript_ids.arrow", ids.names.combine_chunks())
    write_names(folder / "arrays" / "family_names.arrow", families.names)
    _write_transcripts(folder, ids.names, families.names, arrays["family"])
    tables = {
        "orthologs": pairs.matched,
        "unmatched_orthologs": pairs.unmatched,
        "homologs": groups.rows,
        "renamed": ids.renamed,
    }
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
    counts = {
        "transcripts": len(lengths),
        "nt": int(lengths.sum()),
        "genes": len(genes),
        "families": len(families.names),
        "transcripts_of_unknown_gene": int(pc.sum(pc.invert(columns["gene_known"])).as_py()),
        "species": len(species_names),
        "ortholog_gene_pairs": len(pairs.matched),
        "ortholog_gene_pairs_unknown_gene": len(pairs.unmatched),
        "homologs_unknown_gene": len(groups.unknown),
    }
    found = {**findings, "": Findings(noted=noted)}
    joined = {"similar_sequences": joined_by(edges, similar, families.number)} if join_similar else {}
    return {"species": species_names, "counts": counts, **joined, **_write_findings(folder, found)}


def _indices(column: pa.ChunkedArray) -> NDArray[np.int32]:
    return np.concatenate([chunk.indices.to_numpy() for chunk in column.chunks])


def _indices_in(values: pa.Array, names: list[str]) -> NDArray[np.int32]:
    return np.asarray(pc.index_in(values, value_set=pa.array(names, pa.string())))


def _missing_genes(pairs: pa.Table, genes: Genes) -> list[str]:
    """The genes of ``pairs`` that are missing, as ``species:gene_id``."""
    missing = []
    for side in "ab":
        names = (pairs[f"species_{side}"], pairs[f"gene_id_{side}"])
        unknown = pa.array(genes.find(*names) < 0)
        missing += pc.binary_join_element_wise(*names, ":").filter(unknown).to_pylist()
    return missing


def _write_transcripts(
    folder: Path, ids: pa.ChunkedArray, family_names: pa.StringArray, family: NDArray[np.int32]
) -> None:
    """The table of transcripts: the rows of SPOOL with their ids and families."""
    start = 0
    spool = pq.ParquetFile(folder / SPOOL)
    with pq.ParquetWriter(folder / "transcripts.parquet", TRANSCRIPT_SCHEMA, compression="zstd") as writer:
        for group in range(spool.num_row_groups):
            rows = spool.read_row_group(group)
            stop = start + len(rows)
            new = {
                "transcript_id": ids.slice(start, len(rows)).cast(pa.string()),
                "family_id": family_names.take(pa.array(family[start:stop])),
            }
            columns = {name: new[name] if name in new else rows[name] for name in TRANSCRIPT_SCHEMA.names}
            writer.write_table(pa.table(columns, schema=TRANSCRIPT_SCHEMA))
            start = stop


def _write_findings(folder: Path, findings: Mapping[str, Findings]) -> dict[str, Any]:
    """Write the tables ``dropped`` and ``noted``, by source, and return their totals over all sources."""
    totals = {}
    for name in ("dropped", "noted"):
        tallies: dict[str, Tally] = {source: getattr(findings[source], name) for source in sorted(findings)}
        rows = [
            {"source": source, "reason": reason, "count": count, "examples": tally.examples[reason]}
            for source, tally in tallies.items()
            for reason, count in tally.counts.items()
        ]
        pq.write_table(pa.Table.from_pylist(rows, FINDING_SCHEMA), folder / f"{name}.parquet")
        totals[name] = Tally()
        for tally in tallies.values():
            totals[name].update(tally)
    return {"dropped": totals["dropped"].counts, "warnings": totals["noted"].lines()}
