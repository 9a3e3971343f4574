"""A generated store of many transcripts, to measure what grows with their number: the builder, opening, drawing pairs.

    python benchmarks/make_big_store.py STORE [--transcripts 10000000] [--length 100]

Isoforms come by one to five a gene; 40 species, whose genes are orthologs of the first species' by their number. The
transcripts are short, so that 10 million take 3 GB of disk. Streamed in chunks: memory is what the builder needs.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orthrus.genome.codes import SPLICE_BIT
from orthrus.store import ORTHOLOG_SCHEMA, Chunk, StoreBuilder
from orthrus.store.layout import ROW_SCHEMA

SPECIES = 40
CHUNK = 250_000


def make_big_store(path: Path, n: int, length: int, overwrite: bool = False) -> None:
    """Write a store of ``n`` transcripts of about ``length`` nt."""
    draw = np.random.default_rng(0)
    per_species = -(-n // SPECIES)
    sizes = draw.integers(1, 6, per_species)  # isoforms of each gene, the same in every species
    gene_of = np.repeat(np.arange(per_species), sizes)[:per_species]
    with StoreBuilder(path, overwrite=overwrite) as builder:
        for start in range(0, n, CHUNK):
            rows = np.arange(start, min(start + CHUNK, n))
            builder.extend(_chunk(rows, rows // per_species, gene_of[rows % per_species], length, draw))
        builder.finish(_orthologs(int(gene_of[-1]) + 1))


def _chunk(rows: np.ndarray, species: np.ndarray, gene: np.ndarray, length: int, draw: np.random.Generator) -> Chunk:
    lengths = draw.integers(length // 2, length + length // 2, len(rows))
    ends = np.cumsum(lengths)
    codes = draw.integers(1, 5, ends[-1], dtype=np.uint8)
    codes[ends - 1] |= SPLICE_BIT
    return Chunk(
        codes.tobytes(),
        pa.table(
            {
                "transcript_id": _numbered("ENST", rows),
                "gene_id": _genes(species, gene),
                "gene_known": pa.array(np.ones(len(rows), dtype=bool)),
                "gene_name": _numbered("GENE", gene),
                "species": _numbered("species", species, 2),
                "biotype": pa.array(["protein_coding"]).take(pa.array(np.zeros(len(rows), dtype=np.int8))),
                "length": pa.array(lengths, pa.int32()),
                "cds_start": pa.array(np.full(len(rows), 9), pa.int32()),
                "cds_end": pa.array(np.full(len(rows), 39), pa.int32()),
                "exon_ends": pa.ListArray.from_arrays(
                    pa.array(np.arange(len(rows) + 1), pa.int32()), pa.array(lengths, pa.int32())
                ),
                "source": pa.array(["generated"]).take(pa.array(np.zeros(len(rows), dtype=np.int8))),
                "genetic_code": pa.array(np.ones(len(rows), dtype=np.int8)),
            },
            schema=ROW_SCHEMA,
        ),
    )


def _numbered(prefix: str, numbers: np.ndarray, width: int = 11) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0"), "")


def _genes(species: np.ndarray, gene: np.ndarray) -> pa.Array:
    return _numbered("ENSG", species * 10_000_000 + gene)


def _orthologs(n_genes: int) -> pa.Table:
    """One pair for each fourth gene of each species but the first."""
    gene = np.tile(np.arange(0, n_genes, 4), SPECIES - 1)
    species = np.repeat(np.arange(1, SPECIES), len(gene) // (SPECIES - 1))
    first = np.zeros_like(gene)
    columns = [_numbered("species", first, 2), _genes(first, gene), _numbered("species", species, 2)]
    kind = pa.array(["ortholog_one2one"]).take(pa.array(np.zeros(len(gene), dtype=np.int8)))
    return pa.table([*columns, _genes(species, gene), kind], schema=ORTHOLOG_SCHEMA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--transcripts", type=int, default=10_000_000)
    parser.add_argument("--length", type=int, default=100)
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    started = time.perf_counter()
    make_big_store(options.store, options.transcripts, options.length, options.overwrite)
    seconds = time.perf_counter() - started
    size = sum(file.stat().st_size for file in options.store.rglob("*") if file.is_file())
    print(f"{options.transcripts:,} transcripts in {seconds:.0f} s, {options.transcripts / seconds:,.0f}/s")
    print(
        f"store {size / 1e9:.1f} GB, peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"
    )


if __name__ == "__main__":
    main()
