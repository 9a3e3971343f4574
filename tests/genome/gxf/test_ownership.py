"""Which rows make which transcript: repeated ids and rows, coding sequences of genes, features in parts."""

from tests.genome.conftest import Read
from tests.genome.rows import gff, gtf


def told(read: Read, lines: list[str]) -> dict[str, tuple[str, int]]:
    got, _ = read(lines)
    return dict(
        zip(got.transcript_id.to_pylist(), zip(got.gene_id.to_pylist(), got.lengths.tolist(), strict=True), strict=True)
    )


def test_one_transcript_id_of_several_genes_is_several_transcripts(read: Read) -> None:
    """NCBI's GTF of genes without mRNA."""
    lines = []
    for n, gene in enumerate(("ND1", "ND2", "ND3")):
        at = 100 * n + 1
        lines.append(gtf("gene", at, at + 8, "", gene_id=gene))
        lines.append(gtf("CDS", at, at + 5, "unknown_transcript_1", gene_id=gene, phase=0))
        lines.append(gtf("stop_codon", at + 6, at + 8, "unknown_transcript_1", gene_id=gene))
    assert sorted(told(read, lines).values()) == [("ND1", 9), ("ND2", 9), ("ND3", 9)]


def test_each_coding_sequence_of_a_gene_is_a_transcript(read: Read) -> None:
    gene = gff("gene", 1, 300, "ID=gene-g")
    long, short = "ID=cds-P1;Parent=gene-g", "ID=cds-P2;Parent=gene-g"
    rows = [gff("CDS", 1, 100, long), gff("CDS", 201, 300, long), gff("CDS", 61, 100, short)]
    assert told(read, [gene, *rows]) == {"P1": ("g", 200), "P2": ("g", 40)}
    assert told(read, [*rows[::-1], gene]) == {"P1": ("g", 200), "P2": ("g", 40)}
    assert told(read, [gene, *rows[:2]]) == {"g": ("g", 200)}
    exon = gff("exon", 1, 300, "ID=e;Parent=gene-g")  # with exons they are parts of one transcript
    assert told(read, [gene, exon, *rows]) == {"g": ("g", 300)}
    mrna = gff("mRNA", 1, 300, "ID=m;Parent=gene-g")  # which stands for the one transcript that they make
    assert len(told(read, [gene, mrna, *rows[:2]])) == 1


def test_a_coding_sequence_on_a_gene_is_that_of_its_one_transcript(read: Read) -> None:
    lines = [gff("gene", 1, 90, "ID=g"), gff("mRNA", 1, 90, "ID=t;Parent=g"), gff("exon", 1, 90, "Parent=t")]
    lines.append(gff("CDS", 11, 40, "ID=c;Parent=g", phase=0))
    got, _ = read(lines)
    assert (got.transcript_id.to_pylist(), got.frames.of(0)) == (["t"], [(10, 40)])
    other = [gff("mRNA", 1, 90, "ID=u;Parent=g"), gff("exon", 1, 90, "Parent=u")]  # of which one is not said
    assert sorted(told(read, [*lines, *other])) == ["g", "t", "u"]


def test_a_protein_is_no_transcript(read: Read) -> None:
    """As TAIR has it."""
    lines = [gff("gene", 1, 90, "ID=g"), gff("mRNA", 1, 90, "ID=t;Parent=g"), gff("exon", 1, 90, "Parent=t")]
    lines.append(gff("protein", 11, 40, "ID=t-Protein;Derives_from=t"))
    for parents in ("t,t-Protein", "t-Protein"):
        got, _ = read([*lines, gff("CDS", 11, 40, f"Parent={parents}", phase=0)])
        assert (got.transcript_id.to_pylist(), got.frames.of(0)) == (["t"], [(10, 40)])


def test_a_coding_sequence_without_parent_is_of_its_locus_tag(read: Read) -> None:
    lines = [gff("CDS", 1, 90, "ID=P_1;locus_tag=L_1"), gff("CDS", 201, 290, "ID=P_2", "-")]
    assert told(read, lines) == {"P_1": ("L_1", 90), "P_2": ("P_2", 90)}
    got, _ = read(lines)
    assert got.gene_known.tolist() == [True, False]


def test_features_in_parts_are_left_out(read: Read) -> None:
    sound = [gff("mRNA", 901, 990, "ID=sound"), gff("exon", 901, 990, "Parent=sound")]
    of_parts = [
        *(gff("gene", 1, 100, "ID=g;part=1/2"), gff("gene", 301, 400, "ID=g;part=2/2")),
        *(gff("CDS", 1, 100, "ID=c;Parent=g;part=1/2"), gff("CDS", 301, 400, "ID=c;Parent=g;part=2/2")),
    ]
    got, findings = read([*sound, *of_parts])
    assert got.transcript_id.to_pylist() == ["sound"]
    assert findings.dropped.counts == {"trans-spliced transcripts, whose sequence is not that of one place": 1}
    on_two_strands = [line.replace("\t+\t", "\t-\t") if "\t301\t" in line else line for line in of_parts]
    _, findings = read([*sound, *on_two_strands])
    assert findings.dropped.counts == {"transcripts with rows on two strands or contigs": 1}


def test_a_normal_isoform_of_a_trans_spliced_gene_stays(read: Read) -> None:
    lines = [
        *(gff("gene", 1, 100, "ID=g;part=1/2"), gff("gene", 301, 400, "ID=g;part=2/2", "-")),
        *(gff("mRNA", 1, 100, "ID=a;Parent=g"), gff("exon", 1, 100, "Parent=a")),
        gff("mRNA", 1, 400, "ID=b;Parent=g;exception=trans-splicing"),
        *(gff("exon", 1, 100, "Parent=b"), gff("exon", 301, 400, "Parent=b", "-")),
    ]
    got, findings = read(lines)
    assert (got.transcript_id.to_pylist(), got.gene_id.to_pylist()) == (["a"], ["g"])
    assert sum(findings.dropped.counts.values()) == 1


def test_escaped_commas_part_no_parents(read: Read) -> None:
    lines = [gff("mRNA", 1, 9, "ID=a%2C1", contig="c%7C1"), gff("mRNA", 1, 9, "ID=b", contig="c%7C1")]
    got, _ = read([*lines, gff("exon", 1, 9, "Parent=a%2c1,b", contig="c%7c1")])
    assert (got.transcript_id.to_pylist(), got.contig.to_pylist()) == (["a,1", "b"], ["c|1", "c|1"])
