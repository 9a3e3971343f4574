"""A whole RefSeq GFF3 in small: accession contigs, GeneIDs, every kind of row that NCBI writes around transcripts.

``tests/data/refseq.gff3`` is written by hand after GCF_000001405.40_GRCh38.p14_genomic.gff, on contigs of 2,000 and 400
bases.
"""

import random
from pathlib import Path

import pytest

from orthrus.genome.filters import Filters
from orthrus.genome.findings import Findings
from orthrus.genome.transcripts import Transcript, annotated_contigs, spliced_transcripts

CHR22 = "".join(random.Random(22).choices("ACGT", k=2000))
MT = "".join(random.Random(23).choices("ACGT", k=400))

EXPECTED = {  # id: gene, name, biotype, spliced length, CDS
    "NM_000101.3": ("101", "AAA", "protein_coding", 400, (50, 260)),
    "XM_000102.1": ("101", "AAA", "protein_coding", 200, (50, 130)),
    "XR_000103.1": ("101", "AAA", "non_coding", 250, None),
    "NM_000104.1": ("104", "OAZ9", "protein_coding", 200, (10, 160)),
    "TRA-AGC1-1": ("105", "TRA-AGC1-1", "tRNA", 73, None),
    "PSE1P": ("106", "PSE1P", "pseudogene", 100, None),
    "NR_000107.1": ("107", "MIR9", "primary_transcript", 80, None),
    "MIR9": ("107", "MIR9", "miRNA", 22, None),
    "IGLV9-2": ("108", "IGLV9", "V_gene_segment", 90, (10, 90)),
    "TRNF": ("4558", "TRNF", "tRNA", 40, None),
    "ND1": ("4535", "ND1", "protein_coding", 90, (0, 90)),
}


def read(annotation: Path, genome: Path) -> tuple[dict[str, Transcript], Findings]:
    findings = Findings()
    everything = Filters(biotypes=None, min_length=1, max_length=10**9)
    contigs = annotated_contigs(annotation, genome, everything, findings)
    transcripts = (t for models, bases in contigs for t in spliced_transcripts(models, bases, "human"))
    return {t.transcript_id: t for t in transcripts}, findings


@pytest.mark.parametrize("names", [("NC_000022.11", "NC_012920.1"), ("chr22", "chrM"), ("22", "MT")])
def test_refseq_on_genomes_of_every_naming(repository: Path, tmp_path: Path, names: tuple[str, str]) -> None:
    genome = tmp_path / "genome.fa"
    genome.write_text(f">{names[0]} Homo sapiens chromosome 22\n{CHR22}\n>{names[1]}\n{MT}\n")
    got, findings = read(repository / "tests" / "data" / "refseq.gff3", genome)
    told = {name: (t.gene_id, t.gene_name, t.biotype, len(t.mrna.codes), t.mrna.cds) for name, t in got.items()}
    assert told == EXPECTED
    assert got["NM_000101.3"].mrna.exon_ends.tolist() == [100, 200, 400]
    assert not findings.dropped.counts
    assert findings.noted.counts == {
        "transcripts without exon rows, whose CDS and UTR rows are taken as their exons": 1
    }
