"""GTF and GFF3 however damaged: transcripts, or the error that names what is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthrus.genome.annotation import FORMATS, read_annotation
from orthrus.genome.findings import Findings
from tests.damage import TOKENS, damage, deep, quick
from tests.genome.conftest import returns_transcripts_or_the_error
from tests.genome.rows import gff, gtf

ODDITIES = (
    b"?", b"*", b"\t3\t", b"\t-1\t", b"part=2", b";part=1/2", b"geneID=", b"Parent=", b"ID=", b"\xef\xbb\xbf", b"\r\n",
    b"##FASTA", b">", b"exception=ribosomal slippage", b"Is_circular=true", b"_PAR_Y", b"%2C", b' "', b"gene_id",
)  # fmt: skip
SEEDS = {
    "GTF": [
        '#!genome-build x', gtf("gene", 1, 90, transcript="", gene_name="N"), gtf("transcript", 1, 90),
        gtf("exon", 1, 40), gtf("CDS", 10, 40, phase=0), gtf("exon", 60, 90), gtf("CDS", 60, 80, phase=2),
        gtf("stop_codon", 81, 83, phase=0), gtf("exon", 5, 50, "U", "-"), gtf("CDS", 5, 49, "U", "-", phase=1),
    ],
    "GFF3": [
        "##gff-version 3", "##sequence-region 1 1 400", gff("region", 1, 400, "ID=1;chromosome=2;Is_circular=true"),
        gff("gene", 1, 90, "ID=gene:G;Name=N"), gff("mRNA", 1, 90, "ID=transcript:T;Parent=gene:G;geneID=G"),
        gff("exon", 1, 40, "Parent=transcript:T,transcript:U"), gff("CDS", 10, 40, "Parent=transcript:T", phase=0),
        gff("five_prime_UTR", 1, 9, "Parent=transcript:T"), gff("CDS", 40, 80, "ID=c;Parent=transcript:T", phase=1),
        gff("exon", 60, 90, "Parent=transcript:T"), gff("mRNA", 1, 40, "ID=transcript:U;Parent=gene:G", "-"),
        gff("CDS", 7, 30, "ID=d;Parent=gene:G;part=1/2", "?"),
    ],
}  # fmt: skip
DAMAGED = st.sampled_from([*SEEDS]).flatmap(
    lambda seed: damage("".join(f"{row}\n" for row in SEEDS[seed]).encode(), tokens=(*TOKENS, *ODDITIES))
)
FORMAT = st.sampled_from([None, None, *FORMATS])


@pytest.mark.parametrize(("seed", "transcripts"), [("GTF", ["T", "U"]), ("GFF3", ["T"])])  # U is on two strands there
def test_the_whole_files_are_read(seed: str, transcripts: list[str], tmp_path: Path) -> None:
    (tmp_path / "whole").write_text("".join(f"{row}\n" for row in SEEDS[seed]))
    models = read_annotation(tmp_path / "whole", Findings())
    assert models.transcript_id.to_pylist() == transcripts


@given(text=DAMAGED, format=FORMAT)
@quick
def test_any_damage_gives_transcripts_or_the_error(text: bytes, format: str | None, tmp_path: Path) -> None:
    returns_transcripts_or_the_error(tmp_path / "fuzz", text, format)


@pytest.mark.slow
@given(text=DAMAGED, format=FORMAT)
@deep
def test_any_damage_at_length(text: bytes, format: str | None, tmp_path: Path) -> None:
    returns_transcripts_or_the_error(tmp_path / "fuzz", text, format)
