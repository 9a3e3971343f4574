"""Which gene a transcript is of, and what is said and recorded where none can be known."""

import pytest

from orthrus.genome.models import NAMED_AFTER_ITSELF
from tests.genome.conftest import Read
from tests.genome.rows import gff, gtf


def genes(read: Read, lines: list[str]) -> list[tuple[str, bool]]:
    got, _ = read(lines)
    return list(zip(got.gene_id.to_pylist(), got.gene_known.tolist(), strict=True))


EXONS = [gff("exon", 1, 9, "Parent=a"), gff("exon", 21, 29, "Parent=b")]


@pytest.mark.parametrize(
    "rows",
    [
        [gff("mRNA", 1, 9, "ID=a;geneID=g"), gff("mRNA", 21, 29, "ID=b;geneID=g")],  # gffread
        [gff("mRNA", 1, 9, "ID=a;Parent=gene:g"), gff("mRNA", 21, 29, "ID=b;Parent=gene:g")],  # no gene row
        [
            *(gff("mRNA", 1, 9, "ID=a;Parent=Gene:g"), gff("mRNA", 21, 29, "ID=b;Parent=Gene:g")),
            gff("gene", 1, 29, "ID=Gene:g"),  # late
        ],
        [gff("mRNA", 1, 9, "ID=a;gene_id=g"), gff("mRNA", 21, 29, "ID=b;gene_id=g")],
        [gff("mRNA", 1, 9, "ID=a;locus_tag=g"), gff("mRNA", 21, 29, "ID=b;locus_tag=g")],
        [gff("mRNA", 1, 9, "ID=a;gene=g"), gff("mRNA", 21, 29, "ID=b;gene=g")],
        [
            *(gff("mRNA", 1, 9, "ID=a;Parent=p"), gff("mRNA", 21, 29, "ID=b;Parent=p")),
            *(gff("primary_transcript", 1, 29, "ID=p;Parent=g"), gff("gene", 1, 29, "ID=g;Parent=operon")),
            gff("operon", 1, 99, "ID=operon"),
        ],
        [  # FlyBase
            *(gff("pseudogene", 1, 9, "ID=a;Parent=g"), gff("pseudogene", 21, 29, "ID=b;Parent=g")),
            gff("gene", 1, 29, "ID=g"),
        ],
    ],
)
def test_isoforms_of_a_gff3_are_of_the_gene_that_is_named(read: Read, rows: list[str]) -> None:
    assert genes(read, [*rows, *EXONS]) == [("g", True), ("g", True)]
    assert genes(read, [*EXONS, *rows[::-1]]) == [("g", True), ("g", True)]


def test_transcripts_of_a_gff3_that_names_no_gene_are_of_their_locus(read: Read) -> None:
    apart = [gff("mRNA", 1, 9, "ID=a"), gff("mRNA", 21, 29, "ID=b"), *EXONS]
    assert genes(read, apart) == [("a", False), ("b", False)]
    overlapping = [*apart, gff("exon", 5, 25, "Parent=c"), gff("mRNA", 5, 25, "ID=c")]
    assert genes(read, overlapping) == [("a", False)] * 3


def test_any_row_of_a_gtf_may_name_the_gene(read: Read) -> None:
    for kind in ("transcript", "exon", "CDS"):
        lines = [
            gtf(row, 1, 9, name, gene_id="g" if row == kind else "")
            for name in ("a", "b")
            for row in ("transcript", "exon", "CDS")
        ]
        assert genes(read, lines) == [("g", True), ("g", True)]


def test_a_gene_id_that_is_the_transcript_id_names_no_gene(read: Read) -> None:
    lines = [gtf("exon", 1, 9, name, gene_id=name) for name in ("a", "b")]
    lines.append(gtf("exon", 101, 109, "c", gene_id="c"))
    got, findings = read(lines)
    assert findings.noted.counts[NAMED_AFTER_ITSELF] == 3
    assert got.gene_id.to_pylist() == ["a", "a", "c"]
    assert not got.gene_known.any()
    own_rows = [gtf("gene", 1, 9, "", gene_id=name) for name in ("a", "b", "c")]
    assert genes(read, [*lines, *own_rows]) == [("a", True), ("b", True), ("c", True)]  # as Ensembl has yeast


@pytest.mark.parametrize("kind", ["gtf", "gff3"])
def test_projections_of_toga_are_joined_by_gene_and_chain(read: Read, kind: str) -> None:
    names = ["ENST00000000001.AAA.8", "ENST00000000002.AAA.8", "ENST00000000003.BBB.9", "ENST00000000004.AAA.7"]
    lines = []
    for n, name in enumerate(names):
        at = 100 * n + 1
        if kind == "gtf":
            lines += [gtf(row, at, at + 8, name, gene_id=name) for row in ("transcript", "exon", "CDS")]
        else:
            lines += [gff("mRNA", at, at + 8, f"ID={name}"), gff("CDS", at, at + 8, f"Parent={name}")]
    got, findings = read(lines)
    assert got.gene_id.to_pylist() == [names[0], names[0], names[2], names[3]]
    assert got.gene_name.to_pylist() == ["AAA", "AAA", "BBB", "AAA"]
    assert not got.gene_known.any()
    assert NAMED_AFTER_ITSELF not in findings.noted.counts
    assert read(lines, format="toga")[0].gene_id.to_pylist() == got.gene_id.to_pylist()


def test_prefixes_that_gffread_copies_into_a_gtf_are_no_part_of_the_ids(read: Read) -> None:
    got, _ = read(
        [gtf("exon", 1, 9, "transcript:T1", gene_id="gene:G1"), gtf("exon", 1, 9, "rna-T2", gene_id="gene-G2")]
    )
    assert (got.transcript_id.to_pylist(), got.gene_id.to_pylist()) == (["T1", "T2"], ["G1", "G2"])
