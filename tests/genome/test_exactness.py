"""Real annotation against what others make of it: published tracks, and pyranges with plain string slicing."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from orthrus.genome.codes import CDS_BIT, SPLICE_BIT, CdsFrame, codon_starts, decode_bases
from orthrus.genome.filters import Filters
from orthrus.genome.findings import Findings
from orthrus.genome.sequence import read_fasta
from orthrus.genome.transcripts import Transcript, annotated_contigs, spliced_transcripts

pytestmark = pytest.mark.shared
EVERYTHING = Filters(biotypes=None, min_length=1, max_length=10**9)


def read(annotation: Path, genome: Path, cds_frame: CdsFrame = "annotated") -> dict[str, Transcript]:
    contigs = annotated_contigs(annotation, genome, EVERYTHING, Findings(), cds_frame=cds_frame)
    return {t.transcript_id: t for models, bases in contigs for t in spliced_transcripts(models, bases, "x")}


def test_published_tracks_of_mini1(shared: Path) -> None:
    folder = shared / "data" / "mini1"
    files = (folder / "gencode.v29lift37.annotation.gff3.gz", folder / "hg19.mini.2bit")
    got, annotated = read(*files, "published"), read(*files)
    csv.field_size_limit(1 << 20)
    n = in_frame = 0
    with gzip.open(folder / "expected_tracks.tsv.gz", "rt") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            transcript = got[row["transcript_id"]]
            codes = transcript.mrna.codes
            starts = np.flatnonzero(codes & CDS_BIT).tolist()
            lead = len(starts) and codon_starts(annotated[row["transcript_id"]].mrna.codes)[0] - starts[0]
            assert lead == 0 or (lead in (1, 2) and starts[0] == 0)
            in_frame += lead == 0
            assert decode_bases(codes) == row["sequence"].upper()
            assert len(starts) == int(row["n_codon_starts"])
            assert (starts or [-1])[0] == int(row["first_codon_start"])
            assert (starts or [-1])[-1] == int(row["last_codon_start"])
            assert ",".join(map(str, np.flatnonzero(codes & SPLICE_BIT))) == row["exon_last_bases"]
            assert (transcript.gene_name, transcript.biotype) == (row["gene_name"], row["biotype"])
            n += 1
    assert n == 404
    assert in_frame == 384  # the others are incomplete at the 5' end
    assert len(got) == 406  # the id that is left out stands for two


@pytest.mark.parametrize(("species", "n_coding"), [("human", 291), ("mouse", 154), ("chimp", 45), ("cat", 24)])
def test_mhc4_against_pyranges(shared: Path, species: str, n_coding: int) -> None:
    pyranges = pytest.importorskip("pyranges")
    folder = shared / "data" / "mhc4"
    annotation, genome = folder / f"{species}.annotation.gtf.gz", folder / f"{species}.genome.fa.gz"
    got = read(annotation, genome)
    assert sum(t.mrna.cds is not None for t in got.values()) == n_coding

    contigs = dict(read_fasta(genome))
    complement = str.maketrans("ACGTacgt", "TGCAtgca")
    rows = pyranges.read_gtf(str(annotation)).df
    seen = 0
    for name, mine in rows[rows.Feature.isin(["exon", "CDS", "stop_codon"])].groupby("transcript_id", observed=True):
        exons = mine[mine.Feature == "exon"].sort_values("Start")
        sequence = "".join(contigs[e.Chromosome][e.Start : e.End] for e in exons.itertuples())
        before = {p: i for i, p in enumerate(p for e in exons.itertuples() for p in range(e.Start, e.End))}
        coding = mine[mine.Feature != "exon"]
        cds = None
        if len(coding):
            cds = (before[coding.Start.min()], before[coding.End.max() - 1] + 1)
        ends = np.cumsum((exons.End - exons.Start).to_numpy())
        if mine.Strand.iloc[0] == "-":
            sequence = sequence[::-1].translate(complement)
            cds = (len(sequence) - cds[1], len(sequence) - cds[0]) if cds else None
            ends = np.cumsum((exons.End - exons.Start).to_numpy()[::-1])
        assert decode_bases(got[name].mrna.codes) == "".join(c if c in "ACGT" else "N" for c in sequence.upper())
        assert got[name].mrna.cds == cds
        assert got[name].mrna.exon_ends.tolist() == ends.tolist()
        seen += 1
    assert seen == len(got)
