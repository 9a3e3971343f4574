"""mRNAs with the annotation that they were spliced by, against splicing the genome."""

from pathlib import Path

import numpy as np
import pytest

from orthrus.errors import InputError
from orthrus.prepare import open_or_prepare

GENOME = "".join(np.random.default_rng(3).choice(list("ACGT"), 400))
MODELS = {
    "f.1": ("+", [(10, 61), (100, 160)], (31, 130), 0),
    "r.1": ("-", [(20, 80), (120, 200), (230, 300)], (50, 250), 1),  # incomplete at the 5' end
    "n.1": ("-", [(20, 80)], None, 0),
}


@pytest.fixture
def annotation(tmp_path: Path) -> Path:
    (tmp_path / "genome.fa").write_text(f">chr1\n{GENOME}\n")
    rows = []
    for name, (strand, exons, cds, frame) in MODELS.items():
        told = f'gene_id "g_{name}"; transcript_id "{name}"; gene_name "G"; gene_type "protein_coding";'
        told += ' transcript_type "protein_coding";'

        def row(kind: str, start: int, end: int, frame: str = ".", strand: str = strand, told: str = told) -> str:
            return f"chr1\tx\t{kind}\t{start + 1}\t{end}\t.\t{strand}\t{frame}\t{told}"

        rows += [row("transcript", exons[0][0], exons[-1][1]), *(row("exon", *exon) for exon in exons)]
        coding = [(max(a, cds[0]), min(b, cds[1])) for a, b in exons if a < cds[1] and b > cds[0]] if cds else []
        done = 0
        for a, b in coding[:: 1 if strand == "+" else -1]:
            rows.append(row("CDS", a, b, str((frame - done) % 3)))
            done += b - a
    (tmp_path / "a.gtf").write_text("\n".join(rows) + "\n")
    return tmp_path / "a.gtf"


def test_a_gtf_with_the_transcripts_needs_no_genome(annotation: Path, tmp_path: Path) -> None:
    with open_or_prepare(annotation, genome=tmp_path / "genome.fa") as spliced:
        ids = spliced.column("transcript_id")
        assert sorted(ids) == sorted(MODELS)
        fasta = tmp_path / "mrna.fa"
        fasta.write_text("".join(f">{name}|extra\n{spliced.sequence(i)}\n" for i, name in enumerate(ids)))
        with open_or_prepare(fasta, coordinates=annotation) as given:
            assert given.column("transcript_id") == ids
            for i in range(len(ids)):
                assert np.array_equal(given.codes(i), spliced.codes(i))
            for column in ("gene_id", "gene_name", "biotype", "cds_start", "cds_end"):
                assert given.column(column) == spliced.column(column)


@pytest.mark.parametrize(
    ("row", "header"),
    [
        ('transcript_id "ENST00000000001"; gene_id "ENSG00000000001";', "ENST00000000001.2 cdna"),  # Ensembl
        ("ID=transcript:ENST00000000001;Parent=gene:A", "transcript:ENST00000000001 gene=A"),  # gffread -w of Ensembl
        ("ID=rna-NM_000001.1;Parent=gene-A;transcript_id=NM_000001.1", "rna-NM_000001.1"),  # and of NCBI
        ('transcript_id "A.1"; gene_id "A";', "A.1"),
    ],
)
def test_publishers_names_of_one_transcript_are_met(tmp_path: Path, row: str, header: str) -> None:
    lines = [f"1\tx\t{kind}\t1\t9\t.\t+\t.\t{row}\n" for kind in ("mRNA", "exon")]
    lines[1] = lines[1].replace("ID=", "Parent=").replace(";Parent=gene", ";gene") if "ID=" in row else lines[1]
    (tmp_path / "a.gtf").write_text("".join(lines))
    (tmp_path / "g.fa").write_text(">1\nACGTACGTA\n")
    (tmp_path / "mrna.fa").write_text(f">other\nACGTACGTA\n>{header}\nACGTACGTA\n>A.2\nACGTACGTA\n")
    with open_or_prepare(tmp_path / "a.gtf", genome=tmp_path / "g.fa") as spliced:
        ids = spliced.column("transcript_id")
    with open_or_prepare(tmp_path / "mrna.fa", coordinates=tmp_path / "a.gtf") as given:
        assert given.column("transcript_id") == ids


def test_an_equal_name_comes_before_a_similar_one(tmp_path: Path) -> None:
    (tmp_path / "a.gtf").write_text('1\tx\texon\t1\t9\t.\t+\t.\ttranscript_id "NM_1.1"; gene_id "A";\n')
    (tmp_path / "mrna.fa").write_text(">NM_1.2\nCCCCCCCCC\n>NM_1.1\nACGTACGTA\n")
    with open_or_prepare(tmp_path / "mrna.fa", coordinates=tmp_path / "a.gtf") as store:
        assert [store.sequence(i) for i in range(len(store))] == ["ACGTACGTA"]


def test_sequences_of_another_annotation_are_refused_or_left_out(annotation: Path, tmp_path: Path) -> None:
    fasta = tmp_path / "mrna.fa"
    fasta.write_text(f">other\nACGT\n>n.1\n{'A' * 60}\n>f.1\nACGT\n")
    with open_or_prepare(fasta, coordinates=annotation) as store:
        assert store.column("transcript_id") == ["n.1"]
    fasta.write_text(">other\nACGT\n")
    with pytest.raises(InputError, match="is a transcript of"), open_or_prepare(fasta, coordinates=annotation):
        pass
