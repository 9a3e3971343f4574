"""Every format of a transcript must be read to the same mRNA; the odd things of real annotation, one by one."""

import gzip
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthrus.errors import InputError
from orthrus.genome.annotation import read_annotation
from orthrus.genome.codes import CDS_BIT, SPLICE_BIT, decode_bases, encode_bases
from orthrus.genome.findings import Findings
from orthrus.genome.models import TranscriptModels
from orthrus.genome.splice import splice
from tests.damage import quick
from tests.genome.conftest import Read
from tests.genome.rows import gff, gtf
from tests.oracles import annotation as oracle
from tests.oracles.annotation import Model

GENOME = {name: "".join(random.Random(name).choices("ACGTN", [5, 5, 5, 5, 1], k=400)) for name in ("chr1", "2")}


@st.composite
def models(draw: st.DrawFn, slips: bool = False, gap: int = 1, shortest: int = 1) -> list[Model]:
    """Transcripts of two genes; exons are at least ``gap`` apart and ``shortest`` long, all CDS with ``slips`` do."""
    made = []
    for n in range(draw(st.integers(1, 5))):
        at, exons = draw(st.integers(0, 100)), []
        for _ in range(draw(st.integers(1, 4))):
            end = at + draw(st.integers(shortest, 40))
            exons.append((at, end))
            at = end + draw(st.integers(gap, 30))
        length = sum(end - start for start, end in exons)
        start = draw(st.integers(0, length - 1))
        cds = (start, draw(st.integers(start + 1, length))) if draw(st.booleans()) else None
        slip = None
        if slips and cds and cds[1] - cds[0] > 12:
            slip = (draw(st.integers(cds[0] + 3, cds[1] - 6)), draw(st.sampled_from([-1, 1, 2])))
        contig, strand = draw(st.sampled_from(sorted(GENOME))), draw(st.sampled_from("+-"))
        lead = draw(st.integers(0, 2)) if cds and cds[1] - cds[0] > 5 else 0
        made.append(Model(f"T{n}.1", f"G{n % 2}", contig, strand, tuple(exons), cds, lead, slip))
    return made


def spliced(models: TranscriptModels) -> dict[str, tuple[str, list[int], list[int]]]:
    """Sequence, codon starts and exons' last bases of each transcript."""
    contigs, found = np.array(models.contig.to_pylist()), {}
    for contig in dict.fromkeys(contigs):
        here = models.take(np.flatnonzero(contigs == contig))
        for name, mrna in zip(
            here.transcript_id.to_pylist(), splice(here, encode_bases(GENOME[contig], contig)), strict=True
        ):
            found[name] = (
                decode_bases(mrna.codes),
                np.flatnonzero(mrna.codes & CDS_BIT).tolist(),
                np.flatnonzero(mrna.codes & SPLICE_BIT).tolist(),
            )
    return found


def check(stated: list[Model], lines: list[str], read: Read, framed: bool = True) -> None:
    got, findings = read(lines)
    assert spliced(got) == {
        m.transcript_id: (
            m.sequence(GENOME),
            m.codon_starts() if framed else m.published_codon_starts(),
            m.exon_last_bases(),
        )
        for m in stated
    }
    assert spliced(got.in_published_frame()) == {
        m.transcript_id: (m.sequence(GENOME), m.published_codon_starts(), m.exon_last_bases()) for m in stated
    }
    assert not findings.dropped.counts
    assert not [note for note in findings.noted.counts if "contradict" in note]


@pytest.mark.parametrize("write", oracle.FORMATS, ids=lambda f: f.__name__)
@given(data=st.data())
@quick
def test_every_format_comes_back_to_the_mrna(
    write: Callable[[Model], list[str]], data: st.DataObject, read: Read
) -> None:
    stated = data.draw(models())
    lines = [line for model in stated for line in write(model)]
    data.draw(st.randoms()).shuffle(lines)
    check(stated, lines, read, framed=write in oracle.FRAMED)


@pytest.mark.parametrize("write", oracle.GXF_FORMATS, ids=lambda f: f.__name__)
@given(data=st.data())
@quick
def test_a_ribosome_that_slips_reads_on_where_each_row_says(
    write: Callable[[Model], list[str]], data: st.DataObject, read: Read
) -> None:
    stated = data.draw(models(slips=True, gap=3, shortest=3))
    lines = [line for model in stated for line in write(model)]
    data.draw(st.randoms()).shuffle(lines)
    check(stated, lines, read)


@pytest.mark.parametrize("write", [oracle.cds_and_utr_gff3, oracle.cds_and_utr_gtf], ids=lambda f: f.__name__)
@given(data=st.data())
@quick
def test_without_exon_rows_exons_are_what_the_other_rows_cover(
    write: Callable[[Model], list[str]], data: st.DataObject, read: Read
) -> None:
    stated = data.draw(models(gap=3).map(lambda some: [m for m in some if m.cds and m.cds[1] - m.cds[0] > 5]))
    if stated:
        lines = [line for model in stated for line in write(model)]
        data.draw(st.randoms()).shuffle(lines)
        check(stated, lines, read)


@pytest.mark.parametrize("write", oracle.FORMATS, ids=lambda f: f.__name__)
@given(data=st.data())
@quick
def test_rows_given_twice_say_nothing_new(write: Callable[[Model], list[str]], data: st.DataObject, read: Read) -> None:
    stated = data.draw(models())
    lines = [line for model in stated for line in write(model)]
    check(stated, lines + data.draw(st.lists(st.sampled_from(lines))), read, framed=write in oracle.FRAMED)


def test_stop_codon_split_over_two_exons(read: Read) -> None:
    lines = [gtf("exon", 1, 20), gtf("exon", 31, 40), gtf("CDS", 4, 18)]
    got, _ = read([*lines, gtf("stop_codon", 19, 20), gtf("stop_codon", 31, 31)])
    assert (got.cds_start[0], got.cds_end[0]) == (3, 31)
    assert [column.tolist() for column in got.mrna_cds()] == [[3], [21]]


def test_minus_strand_by_hand(read: Read) -> None:
    #                     genome 0-based: exons [10, 14) and [20, 26); CDS of the mRNA from its 2nd base, 6 nt
    got, _ = read([gtf("exon", 11, 14, strand="-"), gtf("exon", 21, 26, strand="-"), gtf("CDS", 14, 25, strand="-")])
    bases = encode_bases("NNNNNNNNNNACGTNNNNNNAACCGTNN", "1")
    mrna = next(splice(got, bases))
    assert decode_bases(mrna.codes) == "ACGGTT" + "ACGT"
    assert mrna.cds == (1, 7)
    assert mrna.exon_ends.tolist() == [6, 10]


def test_repeated_ids_are_kept_and_suffixed(read: Read) -> None:
    lines = [
        *(gtf("transcript", 1, 50), gtf("exon", 1, 50)),
        *(gtf("transcript", 1, 30, contig="Y"), gtf("exon", 1, 30, contig="Y")),
        *(gtf("transcript", 101, 140), gtf("exon", 101, 110), gtf("exon", 121, 140)),
        *(gtf("transcript", 101, 120, strand="-"), gtf("exon", 101, 120, strand="-")),
        gtf("exon", 201, 210, transcript="T_dup1"),
    ]
    got, findings = read(lines)
    assert got.transcript_id.to_pylist() == ["T", "T_dup2", "T_dup3", "T_dup4", "T_dup1"]
    assert got.lengths.tolist() == [50, 30, 30, 20, 10]
    assert list(findings.noted.counts.values()) == [3]
    shuffled = sorted(lines, key=lambda line: line.split("\t")[2])  # all exons before all transcripts
    again, _ = read(shuffled)
    assert sorted(again.lengths.tolist()) == [10, 20, 30, 30, 50]


def test_repeated_ids_without_transcript_rows_part_by_contig(read: Read) -> None:
    got, _ = read([gtf("exon", 1, 50), gtf("exon", 1, 30, contig="Y"), gtf("exon", 61, 70)])
    assert got.transcript_id.to_pylist() == ["T", "T_dup1"]
    assert got.lengths.tolist() == [60, 30]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([gtf("transcript", 1, 90), gtf("exon", 1, 50), gtf("exon", 61, 90, strand="-")], "two strands or contigs"),
        ([gtf("transcript", 1, 90), gtf("exon", 1, 50), gtf("exon", 61, 90, contig="7")], "two strands or contigs"),
        ([gtf("exon", 1, 50, strand=".")], "without a strand"),
        ([gtf("exon", 1, 50), gtf("exon", 50, 90)], "overlapping exons"),
        ([gtf("exon", 1, 50), gtf("exon", 61, 70, strand="-")], "two strands or contigs"),
        ([gtf("exon", 1, 50), gtf("exon", 61, 90), gtf("CDS", 40, 55)], "CDS outside"),
        ([gtf("exon", 11, 50), gtf("CDS", 5, 20)], "CDS outside"),
    ],
)
def test_inconsistent_transcripts_are_dropped_and_counted(read: Read, lines: list[str], reason: str) -> None:
    got, findings = read([*lines, gtf("exon", 1, 40, transcript="sound")])
    assert got.transcript_id.to_pylist() == ["sound"]
    (found,) = findings.dropped.counts
    assert reason in found
    assert findings.dropped.examples[found] == ["T"]
    with pytest.raises(InputError, match=reason):
        read(lines)


def test_abutting_exons_stay_two(read: Read) -> None:
    got, _ = read([gtf("exon", 1, 50), gtf("exon", 51, 90)])
    assert got.exon_ends.tolist() == [50, 90]


def test_cds_without_exons_is_its_own_exon(read: Read) -> None:
    lines = [gtf("CDS", 1, 30), gtf("CDS", 41, 60), gtf("stop_codon", 61, 63), gtf("exon", 1, 9, transcript="other")]
    got, findings = read(lines)
    assert got.exon_ends.tolist() == [30, 63, 9]
    assert (got.cds_start[0], got.cds_end[0]) == (0, 63)
    assert list(findings.noted.counts.values()) == [1]


def test_refseq_mitochondrial_cds_hangs_on_its_gene(read: Read) -> None:
    got, _ = read(
        [
            gff(
                "region",
                1,
                999,
                "ID=NC_012920.1:1..999;Dbxref=taxon:9606;gbkey=Src;genome=mitochondrion",
                contig="NC_012920.1",
            ),
            gff(
                "gene",
                10,
                40,
                "ID=gene-ND1;Dbxref=GeneID:4535,HGNC:HGNC:7455;Name=ND1;gbkey=Gene;gene_biotype=protein_coding",
                contig="NC_012920.1",
            ),
            gff("CDS", 10, 40, "ID=cds-YP_1.1;Parent=gene-ND1;gene=ND1;protein_id=YP_1.1", contig="NC_012920.1"),
        ]
    )
    row = (got.transcript_id[0], got.gene_id[0], got.gene_name[0], got.biotype[0])
    assert [value.as_py() for value in row] == ["ND1", "4535", "ND1", "protein_coding"]
    assert got.chromosomes == {"NC_012920.1": "MT"}


def test_several_proteins_of_one_mrna_give_the_longest(read: Read) -> None:
    lines = [
        gff("mRNA", 1, 200, "ID=rna-NM_1;transcript_id=NM_1"),
        gff("exon", 1, 200, "ID=e1;Parent=rna-NM_1"),
        gff("CDS", 11, 40, "ID=cds-NP_1;Parent=rna-NM_1;protein_id=NP_1"),
        gff("CDS", 51, 110, "ID=cds-NP_2;Parent=rna-NM_1;protein_id=NP_2"),
    ]
    got, findings = read(lines)
    assert (got.cds_start[0], got.cds_end[0]) == (50, 110)
    assert "several coding sequences" in next(iter(findings.noted.counts))


def test_exon_shared_by_several_parents(read: Read) -> None:
    lines = [gff("mRNA", 1, 90, "ID=a"), gff("mRNA", 1, 90, "ID=b"), gff("exon", 1, 9, "Parent=a,b")]
    got, _ = read([*lines, gff("exon", 31, 90, "Parent=b"), gff("CDS", 1, 9, "ID=c;Parent=b,a")])
    assert dict(zip(got.transcript_id.to_pylist(), got.lengths.tolist(), strict=True)) == {"a": 9, "b": 69}
    assert got.cds_end.tolist() == [9, 9]


def test_escapes_quotes_and_untidy_attributes(read: Read) -> None:
    got, _ = read([gff("mRNA", 1, 9, "ID=t%3B1;gene_name=A%2CB; Name=x"), gff("exon", 1, 9, "Parent=t%3B1;;")])
    assert (got.transcript_id[0].as_py(), got.gene_name[0].as_py()) == ("t;1", "A,B")
    untidy = (
        'note "x; transcript_id fake; y"; gene_id G1 ;  transcript_id  "T;1" ; havana_transcript "no"; gene_name "a b"'
    )
    got, _ = read(["\t".join(["1", ".", "exon", "1", "9", ".", "+", ".", untidy])])
    assert [column[0].as_py() for column in (got.transcript_id, got.gene_id, got.gene_name)] == ["T;1", "G1", "a b"]


@pytest.mark.parametrize(
    ("lines", "biotype"),
    [
        ([gtf("exon", 1, 9, transcript_type="retained_intron", gene_type="protein_coding")], "retained_intron"),
        ([gtf("exon", 1, 9, transcript_biotype="mRNA")], "protein_coding"),
        ([gtf("exon", 1, 9), gtf("CDS", 1, 9)], "protein_coding"),
        ([gtf("exon", 1, 9)], "non_coding"),
        ([gtf("exon", 1, 9, gene_biotype="lincRNA")], "lincRNA"),
        (
            [
                gff("gene", 1, 9, "ID=g;gene_biotype=protein_coding"),
                gff("transcript", 1, 9, "ID=t;Parent=g"),
                gff("exon", 1, 9, "Parent=t"),
            ],
            "non_coding",
        ),
        ([gff("lnc_RNA", 1, 9, "ID=t"), gff("exon", 1, 9, "Parent=t")], "lnc_RNA"),
        ([gff("gene", 1, 9, "ID=gene:g;biotype=IG_V_gene"), gff("CDS", 1, 9, "Parent=gene:g")], "IG_V_gene"),
    ],
)
def test_biotypes(read: Read, lines: list[str], biotype: str) -> None:
    assert read(lines)[0].biotype.to_pylist() == [biotype]


def test_biotype_in_column_2_as_in_old_ensembl(read: Read) -> None:
    lines = [gtf("exon", 1, 9, transcript=name, gene_biotype="protein_coding") for name in ("A", "B")]
    got, _ = read([lines[0].replace("src", "protein_coding"), lines[1].replace("src", "retained_intron")])
    assert got.biotype.to_pylist() == ["protein_coding", "retained_intron"]


def test_gencode_ids_are_the_transcript_id_attribute(read: Read) -> None:
    lines = [
        gff("gene", 1, 99, "ID=ENSG1.14;gene_id=ENSG1.14_3;gene_name=INO80B;gene_type=protein_coding"),
        gff(
            "transcript",
            1,
            99,
            "ID=ENST1.11;Parent=ENSG1.14;gene_id=ENSG1.14_3;transcript_id=ENST1.11_1;transcript_type=protein_coding",
        ),
        gff("exon", 1, 99, "ID=exon:ENST1.11:1;Parent=ENST1.11;transcript_id=ENST1.11_1"),
    ]
    got, _ = read(lines)
    assert [column[0].as_py() for column in (got.transcript_id, got.gene_id, got.gene_name)] == [
        "ENST1.11_1",
        "ENSG1.14_3",
        "INO80B",
    ]


def test_chain_from_mirna_to_gene(read: Read) -> None:
    lines = [
        gff("gene", 1, 99, "ID=gene-MIR1;Dbxref=GeneID:7;Name=MIR1;gene_biotype=miRNA"),
        gff("primary_transcript", 1, 99, "ID=rna-NR_1;Parent=gene-MIR1;transcript_id=NR_1"),
        gff("miRNA", 5, 20, "ID=rna-MIR1;Parent=rna-NR_1"),
        gff("exon", 5, 20, "Parent=rna-MIR1"),
    ]
    got, _ = read(lines)
    row = (got.transcript_id[0], got.gene_id[0], got.gene_name[0], got.biotype[0])
    assert [value.as_py() for value in row] == ["MIR1", "7", "MIR1", "miRNA"]


def test_parents_that_go_in_a_circle_end(read: Read) -> None:
    lines = [gff("mRNA", 1, 9, "ID=a;Parent=b"), gff("mRNA", 1, 9, "ID=b;Parent=a"), gff("exon", 1, 9, "Parent=a")]
    assert read(lines)[0].transcript_id.to_pylist() == ["a"]


def test_rows_that_name_no_transcript_are_noted(read: Read) -> None:
    got, findings = read([gtf("exon", 1, 9), gtf("exon", 21, 29, transcript="")])
    assert len(got) == 1
    assert findings.noted.examples == {next(iter(findings.noted.counts)): ["1:21"]}


def test_compression_line_ends_comments_and_fasta_section(tmp_path: Path) -> None:
    lines = ["##gff-version 3", "", "# 9\tcolumns\t.\t.\t.\t.\t.\t.\tin a comment", gff("mRNA", 1, 9, "ID=a"), "###"]
    lines += [gff("exon", 1, 9, "Parent=a"), "##FASTA", ">1", "ACGTACGTAC"]
    plain = "\n".join(lines).encode()
    crlf = "\r\n".join(lines).encode()
    members = gzip.compress(plain[:40]) + gzip.compress(plain[40:])
    for name, data in {"a.gff3": plain, "b.gff3": crlf, "c.gff3.gz": gzip.compress(crlf), "d.gz": members}.items():
        (tmp_path / name).write_bytes(data)
        got = read_annotation(tmp_path / name, Findings())
        assert got.transcript_id.to_pylist() == ["a"], name
        assert got.contig.to_pylist() == ["1"]


def test_exons_as_pyranges_are_those_that_pyranges_reads(read: Read, tmp_path: Path) -> None:
    pyranges = pytest.importorskip("pyranges")
    models, _ = read([gtf("exon", 101, 200), gtf("exon", 301, 400), gtf("exon", 301, 350, "T2", "-", gene_id="H")])
    ours = models.to_pyranges()
    columns = ["Chromosome", "Start", "End", "Strand", "transcript_id", "gene_id"]
    theirs = pyranges.read_gtf(str(tmp_path / "a.gtf"))
    got, expected = (each.df[columns].astype(str).sort_values(columns).to_numpy().tolist() for each in (ours, theirs))
    assert got == expected
    peak = pyranges.from_dict({"Chromosome": ["1"], "Start": [345], "End": [348]})
    assert sorted(ours.overlap(peak).df["transcript_id"]) == ["T", "T2"]
