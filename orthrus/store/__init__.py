"""The transcript store: a folder that is built once and read through memory maps.

================================  ===================================================================================
``meta.json``                     format version, species, sources with checksums, counts, checksums of the files
``codes.u8``                      all transcripts end to end, one byte a base (:mod:`orthrus.genome.codes`)
``transcripts.parquet``           one row a transcript, in the order of the codes (:data:`TRANSCRIPT_SCHEMA`)
``orthologs.parquet``             ortholog gene pairs, both genes in the store (:data:`ORTHOLOG_SCHEMA`)
``unmatched_orthologs.parquet``   pairs of which the store lacks a gene, kept for a merge with the store that has it
``homologs.parquet``              gene groups that join families, as they were given (:data:`HOMOLOG_SCHEMA`)
``renamed.parquet``               transcripts whose id was given before: their row and the id that they came with
``dropped.parquet``               what was left out, by source and reason (:data:`FINDING_SCHEMA`)
``noted.parquet``                 what was kept but is doubtful, or was ignored, likewise
``arrays/``                       what training reads, in numbers, of n transcripts, G genes, F families, E edges:
``  offsets.npy``                 int64 (n + 1,), where each transcript begins in ``codes.u8``
``  lengths.npy``                 int64 (n,), nt
``  cds.npy``                     int32 (n, 2), half-open on the mRNA, -1 without
``  species.npy``                 uint16 (n,), into ``species`` of ``meta.json``
``  family.npy``                  int32 (n,), into ``family_names.arrow``
``  gene.npy``                    int32 (n,)
``  members.npy``                 int32 (n,), transcripts grouped by gene: of gene g ``members[first[g]:first[g + 1]]``
``  first.npy``                   int64 (G + 1,)
``  neighbours.npy``              int32 (E,), orthologous genes: of gene g ``neighbours[edge[g]:edge[g + 1]]``
``  edge.npy``                    int64 (G + 1,)
``  id_order.npy``                int64 (n,), transcripts sorted by id
``  transcript_ids.arrow``        string (n,)
``  family_names.arrow``          string (F,)
================================  ===================================================================================

Opening reads ``meta.json`` and maps the arrays: a store of 10 million transcripts opens in milliseconds, and all
processes of a machine share its pages (``benchmarks/open_store.py``). The table is read on first use.
"""

from orthrus.store.builder import StoreBuilder
from orthrus.store.chunk import Chunk, ChunkWriter
from orthrus.store.layout import (
    FINDING_SCHEMA,
    FORMAT_VERSION,
    HOMOLOG_SCHEMA,
    ORTHOLOG_SCHEMA,
    TRANSCRIPT_SCHEMA,
    sha256,
)
from orthrus.store.merge import merge_stores
from orthrus.store.reader import TranscriptStore

__all__ = [
    "FINDING_SCHEMA",
    "FORMAT_VERSION",
    "HOMOLOG_SCHEMA",
    "ORTHOLOG_SCHEMA",
    "TRANSCRIPT_SCHEMA",
    "Chunk",
    "ChunkWriter",
    "StoreBuilder",
    "TranscriptStore",
    "merge_stores",
    "sha256",
]
