"""Transcripts that the genome cannot give: few are left out and listed, many say that it is another assembly."""

from pathlib import Path

import pytest

from orthrus.errors import InputError
from orthrus.genome.filters import Filters
from orthrus.genome.findings import Findings
from orthrus.genome.transcripts import annotated_contigs, spliced_transcripts
from tests.genome.rows import gff, gtf

EVERYTHING = Filters(biotypes=None, min_length=1)
PRIMARY = Filters(biotypes=None, min_length=1, primary_contigs=True)


def names(
    folder: Path, lines: list[str], genome: str, filters: Filters = EVERYTHING
) -> tuple[list[str], dict[str, list[str]]]:
    """Ids that are read, and those left out by reason."""
    (folder / "a").write_text("".join(f"{line}\n" for line in lines))
    (folder / "g.fa").write_text(genome)
    findings = Findings()
    contigs = annotated_contigs(folder / "a", folder / "g.fa", filters, findings)
    found = [t.transcript_id for models, bases in contigs for t in spliced_transcripts(models, bases, "x")]
    return found, findings.dropped.examples


def test_few_transcripts_beyond_their_contig_are_left_out_and_many_are_refused(tmp_path: Path) -> None:
    sound = [gtf("exon", 1 + n, 20 + n, f"T{n}") for n in range(20)]
    cut = [gtf("exon", 41, 50, "cut", strand="-"), gtf("exon", 61, 101, "cut", strand="-")]
    found, dropped = names(tmp_path, [*sound, *cut], ">1\n" + "A" * 100)
    assert found == [f"T{n}" for n in range(20)]
    assert dropped == {"beyond the end of their contig": ["cut"]}
    with pytest.raises(
        InputError, match=r"g.fa: 1 of 19 .* such as cut, whose last exon ends at base 101 of 1, which has"
    ):
        names(tmp_path, [*sound[2:], *cut], ">1\n" + "A" * 100)
    found, dropped = names(tmp_path, [*sound[1:], *cut], ">1\n" + "A" * 101)
    assert (len(found), dropped) == (20, {})


def test_scaffolds_that_lie_in_a_chromosome_do_not_make_it_one(tmp_path: Path) -> None:
    exon, whole = gff("exon", 1, 9, "Parent=T"), gff("chromosome", 1, 100, "ID=1")
    inside, first = gff("scaffold", 31, 60, "ID=s2"), gff("scaffold", 1, 30, "ID=s1")
    for lines in ([exon, whole, inside, first], [exon, first, inside, whole], [exon, inside]):
        assert names(tmp_path, lines, ">1\n" + "A" * 100, PRIMARY)[0] == ["T"]
    assert names(tmp_path, [exon, gff("scaffold", 1, 100, "ID=s")], ">1\n" + "A" * 100, PRIMARY)[0] == []


@pytest.mark.parametrize("kind", ["region", "chromosome"])
def test_a_circular_contig_has_no_end_to_lie_beyond(tmp_path: Path, kind: str) -> None:
    lines = [gff(kind, 1, 60, "ID=c;Is_circular=true", contig="c")]
    lines += [gff("gene", 51, 70, "ID=round", contig="c"), gff("CDS", 51, 70, "ID=p;Parent=round", contig="c")]
    lines += [gff("mRNA", 1, 9, "ID=sound"), gff("exon", 1, 9, "Parent=sound")]
    found, dropped = names(tmp_path, lines, ">1\n" + "A" * 50 + "\n>c\n" + "A" * 60)
    assert found == ["sound"]
    assert dropped == {"over the origin of a circular contig": ["round"]}


@pytest.mark.parametrize("strand", "*?.")
def test_rows_without_a_strand_are_left_out(tmp_path: Path, strand: str) -> None:
    odd = [gtf("transcript", 1, 9, "odd", strand=strand), gtf("exon", 1, 9, "odd", strand=strand)]
    found, dropped = names(tmp_path, [*odd, gtf("exon", 1, 9, "sound")], ">1\n" + "A" * 50)
    assert (found, dropped) == (["sound"], {"transcripts without a strand": ["odd"]})
    row = f"odd\t1\t{strand}\t0\t9\t0\t0\t1\t0,\t9,"
    found, dropped = names(
        tmp_path, [row, row.replace("odd", "sound").replace(f"\t{strand}\t", "\t-\t")], ">1\nACGTACGTAC"
    )
    assert (found, dropped) == (["sound"], {"transcripts without a strand": ["odd"]})


def test_all_odd_transcripts_are_listed(tmp_path: Path) -> None:
    odd = [gtf("exon", 1, 9, f"odd{n}", strand="*") for n in range(30)]
    _, dropped = names(tmp_path, [*odd, gtf("exon", 1, 9, "sound")], ">1\n" + "A" * 50)
    assert dropped == {"transcripts without a strand": [f"odd{n}" for n in range(30)]}


@pytest.mark.parametrize(
    "line",
    [
        "##sequence-region 1 1 100",
        "##sequence-region   1 1 100",
        "#!sequence-region 1 1 100",
        gff("region", 1, 100, "ID=1:1..100;genome=chromosome;chromosome=1"),
        gff("chromosome", 1, 100, "ID=chromosome:1"),
        gff("scaffold", 1, 100, "ID=s"),
    ],
)
def test_a_contig_shorter_than_the_annotation_says_is_cut(tmp_path: Path, line: str) -> None:
    lines = ["##gff-version 3", line, gff("mRNA", 1, 9, "ID=T"), gff("exon", 1, 9, "Parent=T")]
    found, dropped = names(tmp_path, lines, ">1\n" + "A" * 60 + "\n" + "A" * 40)
    assert (found, dropped) == (["T"], {})
    with pytest.raises(InputError, match=r"g.fa: contig 1 has 97 bases, but 100 by .*/a; the genome is truncated"):
        names(tmp_path, lines, ">1\n" + "A" * 60 + "\n" + "A" * 37)


def test_a_contig_may_be_longer_than_the_annotation_says(tmp_path: Path) -> None:
    """A region may be a part, and rows inside a contig say nothing of its end."""
    lines = ["##gff-version 3", "##sequence-region 1 20 50", gff("region", 70, 200, "ID=r")]
    lines += [gff("mRNA", 21, 29, "ID=T"), gff("exon", 21, 29, "Parent=T")]
    assert names(tmp_path, lines, ">1\n" + "A" * 90) == (["T"], {})


def test_a_contig_shorter_than_in_the_index_beside_the_genome_is_cut(tmp_path: Path) -> None:
    lines = [gtf("exon", 1, 9, "one"), gtf("exon", 1, 9, "two", contig="chr2")]
    genome = ">1\n" + "A" * 100 + "\n>2 more words\n" + "A" * 40 + "\n"
    index = tmp_path / "g.fa.fai"
    index.write_text("1\t100\t3\t100\t101\n2\t40\t119\t40\t41\n3\t10\t170\t10\t11\n")
    assert names(tmp_path, lines, genome) == (["one", "two"], {})
    assert names(tmp_path, lines, genome[:-1]) == (["one", "two"], {})  # only the line end
    with pytest.raises(InputError, match=r"contig 2 has 35 bases, but 40 by .*g\.fa\.fai; the genome is truncated"):
        names(tmp_path, lines, genome[:-6])
    with pytest.raises(InputError, match=r"contig 2 has 0 bases, but 40 by .*g\.fa\.fai"):
        names(tmp_path, lines, genome[:104])
    index.write_text("no index\n")
    assert names(tmp_path, lines, genome[:-6]) == (["one", "two"], {})
