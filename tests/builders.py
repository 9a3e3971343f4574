"""Small stores for tests, made of random transcripts whose families and lengths a test can choose."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from orthrus.genome.codes import annotate, encode_bases
from orthrus.store import ORTHOLOG_SCHEMA, StoreBuilder, TranscriptStore


def random_mrna(generator: np.random.Generator, length: int, cds: tuple[int, int] | None) -> str:
    """A sequence whose CDS begins with ATG and ends with TAA."""
    letters = generator.choice(list("ACGT"), length)
    if cds is not None:
        letters[cds[0] : cds[0] + 3] = list("ATG")
        letters[cds[1] - 3 : cds[1]] = list("TAA")
    return "".join(letters)


def build_store(
    path: Path, n_genes: int = 12, isoforms: int = 3, length: int = 120, cds_only_species: bool = False
) -> TranscriptStore:
    """Genes of 'human', each with isoforms, and of 'mouse', orthologs of the even ones, one transcript each.

    Isoforms share a mutated sequence. With ``cds_only_species`` the mouse transcripts are coding sequences only,
    without stop codon.
    """
    generator = np.random.default_rng(0)
    with StoreBuilder(path) as builder:
        for gene in range(n_genes):
            cds = (12, 12 + 3 * (length // 6))
            for isoform in range(isoforms):
                sequence = random_mrna(generator, length + 10 * isoform + gene, cds)
                builder.add(
                    annotate(encode_bases(sequence, "test"), cds, [40, len(sequence)]),
                    transcript_id=f"h{gene}.{isoform}",
                    gene_id=f"HG{gene}",
                    gene_name=f"GENE{gene}",
                    species="human",
                    biotype="protein_coding",
                    cds=cds,
                    exon_ends=[40, len(sequence)],
                    source="test",
                )
        for gene in range(0, n_genes, 2):
            size = 60 if cds_only_species else length + gene
            cds = (0, 60) if cds_only_species else (9, 69)
            sequence = random_mrna(generator, size, cds)
            if cds_only_species:
                sequence = sequence[:-3] + "GCC"
            builder.add(
                annotate(encode_bases(sequence, "test"), cds, []),
                transcript_id=f"m{gene}",
                gene_id=f"MG{gene}",
                gene_name=f"Gene{gene}",
                species="mouse",
                biotype="protein_coding",
                cds=cds,
                source="test",
            )
        rows = [("human", f"HG{gene}", "mouse", f"MG{gene}", "ortholog_one2one") for gene in range(0, n_genes, 2)]
        builder.finish(pa.table(list(zip(*rows, strict=True)), schema=ORTHOLOG_SCHEMA))
    return TranscriptStore.open(path)
