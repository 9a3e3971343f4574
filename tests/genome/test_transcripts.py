"""Transcripts that the genome cannot give: few are left out and listed, many say that it is another assembly."""

from pathlib import Path

import pytest

from orthrus.errors import InputError
from orthrus.genome.filters import Filters
from orthrus.genome.findings import Findings
from orthrus.genome.transcripts import annotated_contigs, spliced_transcripts
from tests.genome.rows import gff, gtf

EVERYTHING = Filters(biotypes=None, min_length=1)


def names(folder: Path, lines: list[str], genome: str) -> tuple[list[str], dict[str, list[str]]]:
    """Ids that are read, and those left out by reason."""
    (folder / "a").write_text("".join(f"{line}\n" for line in lines))
    (folder / "g.fa").write_text(genome)
    findings = Findings()
    contigs = annotated_contigs(folder / "a", folder / "g.fa", EVERYTHING, findings)
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
