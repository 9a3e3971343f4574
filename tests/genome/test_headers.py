"""FASTA of GENCODE and Ensembl, whose headers are the coordinate table."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthrus.errors import InputError
from orthrus.genome.filters import Filters
from orthrus.genome.findings import Findings
from orthrus.genome.headers import has_headers, read_headers
from orthrus.genome.transcripts import Transcript, listed_transcripts
from tests.damage import TOKENS, damage, deep, quick

# headers as in gencode.v47.pc_transcripts.fa, .transcripts.fa and .lncRNA_transcripts.fa, lengths shortened
GENCODE = """\
>ENST00000641515.2|ENSG00000186092.7|OTTHUMG00000001094.4|OTTHUMT00000003223.4|OR4F5-201|OR4F5|18|UTR5:1-3|CDS:4-12|UTR3:\
13-18|
AAAATGTTT
TAACCCCCC
>ENST00000381192.9_PAR_Y|ENSG00000182162.11_PAR_Y|-|-|P2RY8-201|P2RY8|9|CDS:1-9|
ATGTTTTAA
>ENST00000456328.2|ENSG00000290825.1|OTTHUMG00000002860.3|OTTHUMT00000362751.1|DDX11L2-202|DDX11L2|4|retained_intron|
ACGT
>ENST00000473358.1|ENSG00000243485.5|-|-|MIR1302-2HG-202|MIR1302-2HG|5|
ACGTN
"""
ENSEMBL = """\
>ENST00000434970.2 cdna chromosome:GRCh38:14:22439007:22439015:1 gene:ENSG00000237235.2 gene_biotype:TR_D_gene \
transcript_biotype:TR_D_gene gene_symbol:TRDD2 description:T cell receptor delta diversity 2 [Source:HGNC Symbol]
CCTTCCTAC
>ENST00000641515.2 cdna chromosome:GRCh38:1:65419:71585:1 gene:ENSG00000186092.7 gene_biotype:protein_coding \
transcript_biotype:protein_coding
ACGTACGT
"""
EVERYTHING = Filters(biotypes=None, min_length=1, max_length=10**9)


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "t.fa"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read(path: Path) -> tuple[list[Transcript], dict[str, int]]:
    findings = Findings()
    return list(listed_transcripts(path, None, "human", EVERYTHING, findings)), findings.noted.counts


def test_gencode(tmp_path: Path) -> None:
    got, noted = read(write(tmp_path, GENCODE))
    assert [t.transcript_id for t in got] == [
        *("ENST00000641515.2", "ENST00000381192.9_PAR_Y", "ENST00000456328.2", "ENST00000473358.1"),
    ]
    assert [t.mrna.cds for t in got] == [(3, 12), (0, 9), None, None]
    assert [t.biotype for t in got] == ["protein_coding", "protein_coding", "retained_intron", "non_coding"]
    assert (got[0].gene_id, got[0].gene_name, got[0].species) == ("ENSG00000186092.7", "OR4F5", "human")
    assert len(got[0].mrna.codes) == 18
    assert noted == {"transcripts of unknown exon structure, without splice track": 4}


def test_ensembl(tmp_path: Path) -> None:
    got, noted = read(write(tmp_path, ENSEMBL))
    assert [(t.transcript_id, t.gene_id, t.gene_name, t.biotype, t.mrna.cds) for t in got] == [
        ("ENST00000434970.2", "ENSG00000237235.2", "TRDD2", "TR_D_gene", None),
        ("ENST00000641515.2", "ENSG00000186092.7", "", "protein_coding", None),
    ]
    assert noted["protein-coding transcripts whose CDS is not stated, without CDS track"] == 1
    coding, _ = read(write(tmp_path, ENSEMBL.replace(" cdna ", " cds ")))
    assert [t.mrna.cds for t in coding] == [(0, 9), (0, 8)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GENCODE.replace("CDS:4-12", "CDS:4-19"), "CDS:4-19 of ENST00000641515.2 does not lie in its 18 nt"),
        (GENCODE.replace("CDS:4-12", "CDS:0-12"), "does not lie in its 18 nt"),
        (GENCODE.replace("CDS:4-12", "CDS:13-12"), "does not lie in its 18 nt"),
        (GENCODE[:-3], "ENST00000473358.1 has 3 nt, its header says 5; is the file truncated?"),
        (GENCODE + ">x\nACGT\n", "header 'x' is not in the form of GENCODE or Ensembl"),
        (GENCODE + ENSEMBL, "is not in the form of GENCODE or Ensembl"),
        (">x\nACGT\n", "header 'x' is not in the form of GENCODE or Ensembl; give the coordinates of the sequences as"),
        (ENSEMBL.replace("CCTTCC", "MKVLE?"), "is not a nucleotide"),
        (GENCODE + GENCODE.replace("OR4F5", "x"), "two sequences are named 'ENST00000641515.2'"),
        ("", "is empty"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(write(tmp_path, text))
    assert message in str(caught.value)


def test_which_headers_say_something(tmp_path: Path) -> None:
    assert has_headers(write(tmp_path, GENCODE))
    assert has_headers(write(tmp_path, ENSEMBL))
    assert not has_headers(write(tmp_path, ">NM_000014.6 Homo sapiens A2M, mRNA\nACGT\n"))


def returns_transcripts_or_the_error(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    with suppress(InputError):
        table = read_headers(path, "human")
        assert (table.cds_end <= table.length).all()
        read(path)


HEADERS = st.sampled_from([GENCODE.encode(), ENSEMBL.encode()])


@given(text=HEADERS.flatmap(lambda seed: damage(seed, b"|", (*TOKENS, b"CDS:", b">", b"\n>"))))
@quick
def test_any_damage_gives_transcripts_or_the_error(text: bytes, tmp_path: Path) -> None:
    returns_transcripts_or_the_error(tmp_path / "t.fa", text)


@pytest.mark.slow
@given(text=HEADERS.flatmap(lambda seed: damage(seed, b"|", (*TOKENS, b"CDS:", b">", b"\n>"))))
@deep
def test_any_damage_at_length(text: bytes, tmp_path: Path) -> None:
    returns_transcripts_or_the_error(tmp_path / "t.fa", text)
