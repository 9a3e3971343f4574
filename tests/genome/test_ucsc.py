"""genePred, genePredExt, refFlat, BED12 and TOGA: layouts, headers, genes, and what is wrong with a line."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthrus.errors import InputError
from orthrus.genome.annotation import FORMATS, read_annotation
from orthrus.genome.findings import Findings
from orthrus.genome.genes import read_genes
from orthrus.genome.models import TranscriptModels
from orthrus.genome.toga import parse_projections
from tests.damage import damage, deep, quick
from tests.genome.conftest import Read, returns_transcripts_or_the_error
from tests.oracles.annotation import (
    Model,
    bed12,
    gene_pred,
    gene_pred_ext,
    gene_pred_ext_bin,
    gtf,
    ref_flat,
    refseq_gff3,
    ucsc_bin,
)

GENE_PRED = (
    *("name", "chrom", "strand", "txStart", "txEnd", "cdsStart", "cdsEnd"),
    *("exonCount", "exonStarts", "exonEnds"),
)
CODING = Model("T1", "GA", "chr1", "+", ((100, 150), (200, 260)), (5, 90))
REVERSE = Model("T2", "GA", "chr1", "-", ((120, 150), (300, 330)), None)
FAR = Model("T3", "GB", "chr1", "+", ((600_000_000, 600_000_090),), (0, 90))


def rows(write: Callable[[Model], list[str]], *models: Model) -> list[str]:
    return [line for model in models or (CODING, REVERSE, FAR) for line in write(model)]


def told(models: TranscriptModels) -> dict[str, list[object]]:
    return {
        "id": models.transcript_id.to_pylist(),
        "contig": models.contig.to_pylist(),
        "strand": models.strand.tolist(),
        "cds": list(zip(models.cds_start.tolist(), models.cds_end.tolist(), strict=True)),
        "exons": [models.exon_starts.tolist(), models.exon_ends.tolist(), models.exon_offsets.tolist()],
        "biotype": models.biotype.to_pylist(),
    }


EXPECTED = {
    "id": ["T1", "T2", "T3"],
    "contig": ["chr1"] * 3,
    "strand": [1, -1, 1],
    "cds": [(105, 240), (-1, -1), (600_000_000, 600_000_090)],
    "exons": [[100, 200, 120, 300, 600_000_000], [150, 260, 150, 330, 600_000_090], [0, 2, 4, 5]],
    "biotype": ["protein_coding", "non_coding", "protein_coding"],
}


def with_bin(write: Callable[[Model], list[str]]) -> Callable[[Model], list[str]]:
    return lambda model: [f"{ucsc_bin(model.exons[0][0], model.exons[-1][1])}\t{row}" for row in write(model)]


def known_gene(model: Model) -> list[str]:
    return [f"{row}\tP12345\tuc001" for row in gene_pred(model)]


def big_gene_pred(model: Model) -> list[str]:
    """As `bigBedToBed` prints it."""
    frames = gene_pred_ext(model)[0].split("\t")[-1]
    return [f"{row}\tname2\tcmpl\tcmpl\t{frames}\tnone\t{model.gene_id}\tnone\tnone" for row in bed12(model)]


@pytest.mark.parametrize(
    ("write", "name", "genes"),
    [
        (gene_pred, "genePred", ["T1", "T1", "T3"]),
        (known_gene, "genePred", ["T1", "T1", "T3"]),
        (gene_pred_ext, "genePredExt", ["GA", "GA", "GB"]),
        (gene_pred_ext_bin, "genePredExt", ["GA", "GA", "GB"]),
        (with_bin(gene_pred), "genePred", ["T1", "T1", "T3"]),
        (ref_flat, "refFlat", ["GA", "GA", "GB"]),
        (bed12, "bed12", ["T1", "T1", "T3"]),
        (with_bin(bed12), "bed12", ["T1", "T1", "T3"]),
        (big_gene_pred, "bed12", ["GA", "GA", "GB"]),
    ],
)
@pytest.mark.parametrize("stated", [False, True])
def test_every_layout_is_told_by_its_columns(
    read: Read, write: Callable[[Model], list[str]], name: str, genes: list[str], stated: bool
) -> None:
    # T1 and T2 overlap, but on two strands: a locus is not what only shares a place
    same_strand = Model("T2", "GA", "chr1", "+", REVERSE.exons, None)
    got, _ = read(rows(write), format=name if stated else None)
    assert told(got) == EXPECTED
    got, _ = read(rows(write, CODING, same_strand, FAR), format=name if stated else None)
    assert got.gene_id.to_pylist() == genes


def test_isoforms_without_a_named_gene_are_joined_by_exons_on_one_strand(read: Read) -> None:
    placed = {
        "a": ("chr1", "+", ((0, 10), (50, 60))),
        "b": ("chr1", "+", ((55, 70), (90, 95))),
        "c": ("chr1", "+", ((92, 99),)),
        "intron": ("chr1", "+", ((20, 30),)),
        "touching": ("chr1", "+", ((99, 110),)),
        "antisense": ("chr1", "-", ((0, 10),)),
        "elsewhere": ("chr2", "+", ((0, 10),)),
    }
    models = [Model(name, "", contig, strand, exons, None) for name, (contig, strand, exons) in placed.items()]
    got, findings = read(rows(bed12, *models))
    assert got.gene_id.to_pylist() == ["a", "a", "a", "intron", "touching", "antisense", "elsewhere"]
    assert list(findings.noted.counts.values()) == [7]


@pytest.mark.parametrize(
    ("header", "write"),
    [
        ("#" + "\t".join(["bin", *GENE_PRED]), gene_pred),
        ("#" + "\t".join(f"hg38.refFlat.{name}" for name in ("geneName", *GENE_PRED)), ref_flat),
        (
            "#chrom\tchromStart\tchromEnd\tname\tscore\tstrand\tthickStart\tthickEnd\titemRgb\tblockCount\tblockSizes"
            "\tblockStarts",
            bed12,
        ),
    ],
)
def test_headers_as_downloaded(read: Read, header: str, write: Callable[[Model], list[str]]) -> None:
    lines = rows(write)
    if header.startswith("#bin"):  # numbers that are no bins: the header is believed
        lines = [f"7\t{line}" for line in lines]
    got, _ = read(["browser position chr1:1-9", "track name=x", *lines] if write is bed12 else [header, *lines])
    assert told(got) == EXPECTED
    got, _ = read([header, lines[0], "", "# a remark", *lines[1:]])
    assert told(got) == EXPECTED


def test_columns_of_a_header_may_stand_in_any_order(read: Read) -> None:
    names = [
        "name2",
        "exonEnds",
        "exonStarts",
        "exonCount",
        "cdsEnd",
        "cdsStart",
        "txEnd",
        "txStart",
        "strand",
        "chrom",
        "name",
    ]
    lines = ["#" + "\t".join(names)]
    for row in rows(gene_pred_ext):
        fields = row.split("\t")
        lines.append("\t".join([fields[11], *fields[9::-1]]))
    got, _ = read(lines)
    assert told(got) == EXPECTED
    assert got.gene_id.to_pylist() == ["GA", "GA", "GB"]


def test_a_gene_number_is_no_bin(read: Read) -> None:
    numbered = [f"7157\t{row}" for row in rows(gene_pred)]
    assert read(numbered)[0].gene_id.to_pylist() == ["7157"] * 3
    assert read(rows(gene_pred_ext_bin))[0].gene_id.to_pylist() == ["GA", "GA", "GB"]


def test_ensembl_ids_are_no_gene_names(read: Read) -> None:
    models = [CODING, Model("T2", "ENSMUSG00000000001.5", "chr1", "-", REVERSE.exons, None)]
    got, _ = read(rows(gene_pred_ext, *models))
    assert got.gene_id.to_pylist() == ["GA", "ENSMUSG00000000001.5"]
    assert got.gene_name.to_pylist() == ["GA", ""]


def test_exons_in_any_order(read: Read) -> None:
    (row,) = gene_pred(CODING)
    got, _ = read([row.replace("100,200,", "200,100,").replace("150,260,", "260,150,")])
    assert told(got)["exons"] == [[100, 200], [150, 260], [0, 2]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("150,260", "201,260"), "overlapping exons"),
        (("\t105\t", "\t99\t"), "CDS outside"),
        (("\t105\t", "\t160\t"), "CDS outside"),
        (("\t240\t", "\t200\t"), "CDS outside"),
        (("\t+\t", "\t.\t"), "without a strand"),
    ],
)
def test_inconsistent_transcripts_are_dropped_and_counted(read: Read, change: tuple[str, str], reason: str) -> None:
    (bad,), (sound,) = gene_pred(CODING), gene_pred(REVERSE)
    assert change[0] in bad
    got, findings = read([sound, bad.replace(*change)])
    assert got.transcript_id.to_pylist() == ["T2"]
    (found,) = findings.dropped.counts
    assert reason in found
    with pytest.raises(InputError, match=reason):
        read([bad.replace(*change)], format="genePred")


@pytest.mark.parametrize(
    ("write", "change", "message"),
    [
        (gene_pred, ("\t100,200,", ""), "9 tab-separated columns; expected 10 as in the first row"),
        (gene_pred, ("\t+\t", "\tplus\t"), "strand is 'plus'; expected one of + - ."),
        (gene_pred, ("\t105\t", "\t1e5\t"), "cdsStart is '1e5'; expected a whole number"),
        (gene_pred, ("\t105\t", "\t-1\t"), "cdsStart is '-1'; expected a whole number"),
        (gene_pred, ("\t105\t", "\t250\t"), "the CDS ends at 240, before its start, 250"),
        (gene_pred, ("\t100\t", "\t261\t"), "the transcript ends at 260, not after its start, 261"),
        (gene_pred, ("\t2\t", "\t3\t"), "exonStarts has 2 numbers; expected 3, one an exon"),
        (gene_pred, ("100,200,", "100,200,,"), "exonStarts is '100,200,,'; expected numbers joined by commas"),
        (gene_pred, ("150,260,", "150,26"), "an exon has no length"),
        (gene_pred, ("150,260,", "150,259"), "its exons span 100-259, but the transcript 100-260"),
        (gene_pred, ("\t100\t", "\t1000000000000000\t"), "txStart is '1000000000000000'"),
        (gene_pred, ("T1\t", "\t"), "it has no name"),
        (bed12, ("\t50,60,", "\t50,60,7"), "blockSizes has 3 numbers; expected 2"),
        (bed12, ("\t50,60,", "\t50,61"), "its exons span 100-261, but the transcript 100-260"),
        (bed12, ("\t0,100,", "\t5,100,"), "its exons span 105-260, but the transcript 100-260"),
        (bed12, ("\t0,100,", "\t0,100;"), "chromStarts is '0,100;'"),
        (gene_pred, ("chr1", "chr\udcff"), "not UTF-8"),
    ],
)
def test_the_bad_line_is_named(
    tmp_path: Path, write: Callable[[Model], list[str]], change: tuple[str, str], message: str
) -> None:
    (bad,), (sound,) = write(CODING), write(REVERSE)
    assert change[0] in bad
    path = tmp_path / "a.txt"
    text = "\n".join(["# made by hand", sound, "", bad.replace(change[0], change[1], 1), sound, ""])
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError) as caught:
        read_annotation(path, Findings())
    assert f"{path}, line 4: {message}" in str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("data", [b"", b"# nothing\n", b">chr1\nACGT\n", b"a\tb\tc\n", b"\x1f\x8b\x08", b"\xff\xfe\n"])
def test_what_is_not_of_the_stated_format(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_annotation(path, Findings(), format=name)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def projection(name: str, start: int = 0, contig: str = "chr1") -> str:
    return bed12(Model(name, "", contig, "+", ((start, start + 30), (start + 60, start + 90)), (0, 60)))[0]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ENST00000367064.CD55.8", ("ENST00000367064", "CD55", "8", None)),
        ("ENST00000262304.14.PKD1.22", ("ENST00000262304.14", "PKD1", "22", None)),
        ("ENST00000417324.RP11-34P13.7.55", ("ENST00000417324", "RP11-34P13.7", "55", None)),
        ("ENST00000539924.5.-1", ("ENST00000539924.5", None, "-1", None)),
        ("ENST00000700022.138", ("ENST00000700022", None, "138", None)),
        ("rna-XM_047385747.1.9", ("rna-XM_047385747.1", None, "9", None)),
        ("NM_001291281.3#FOXO6#5", ("NM_001291281.3", "FOXO6", "5", None)),
        ("ENST00000369354.7#PDE4DIP#528,345", ("ENST00000369354.7", "PDE4DIP", "528,345", None)),
        ("NM_001354845.2#CCNB1#26913#retro", ("NM_001354845.2", "CCNB1", "26913", "retro")),
        ("plain", (None, None, None, None)),
    ],
)
def test_names_of_projections(name: str, said: tuple[str | None, ...]) -> None:
    assert tuple(parse_projections(pa.array([name])).to_pylist()[0].values()) == said


def test_toga_is_told_by_its_names(read: Read) -> None:
    lines = [
        projection("ENST00000367064.CD55.8"),
        projection("ENST00000314754.CD55.8", 60),
        projection("ENST00000367064.CD55.9", 900),
    ]
    got, findings = read(
        [*lines, projection("ENST00000644269.SLC26A4.-1", 2000), projection("ENST00000644269.SLC26A4.-1", 9, "s")]
    )
    assert got.gene_id.to_pylist() == ["ENST00000367064.CD55.8", "ENST00000367064.CD55.8", "ENST00000367064.CD55.9"]
    assert got.gene_name.to_pylist() == ["CD55"] * 3
    assert findings.dropped.counts == {"TOGA projections in pieces, on several chains": 2}
    versions = [projection("ENST00000367064.8"), projection("ENST00000314754.2", 60)]  # or are these chains?
    assert read(versions)[0].gene_name.to_pylist() == ["", ""]
    assert "not named as TOGA" in next(iter(read([projection("odd")], format="toga")[1].noted.counts))


@pytest.mark.parametrize(
    "table",
    [
        "transcript_id\tgene_id\tgene_name\tbiotype\nT1\tG1\tN1\tmiRNA\nT1\tlater\t\t\nT9\tG9\t\t\n",
        "t_gene\tt_transcript\tq_gene\tq_transcript\torthology_class\nA\tB\tNone\tNone\tone2zero\nA\tB\tG1\tT1\tone2one\n",
        "Gene stable ID\tTranscript stable ID\tGene name\nG1\tT1\tN1\n",
    ],
)
def test_tables_of_genes(read: Read, tmp_path: Path, table: str) -> None:
    (tmp_path / "genes.tsv").write_text(table)
    got, findings = read(rows(gene_pred_ext), genes=tmp_path / "genes.tsv")
    assert got.gene_id.to_pylist() == ["G1", "GA", "GB"]
    assert findings.noted.counts == {"transcripts that the table of genes does not list": 2}
    if "biotype" in table:
        assert got.biotype.to_pylist() == ["miRNA", "non_coding", "protein_coding"]
    if "name" in table:
        assert got.gene_name.to_pylist() == ["N1", "GA", "GB"]
    (tmp_path / "genes.tsv").write_text("gene\ttranscript\n")
    with pytest.raises(InputError, match="no column 'transcript_id'"):
        read_genes(tmp_path / "genes.tsv")


def test_what_a_table_of_genes_does_not_list_is_of_the_gene_that_it_overlaps_most(read: Read, tmp_path: Path) -> None:
    (tmp_path / "genes.tsv").write_text("transcript_id\tgene_id\nT1\tGA\nT2\tGA\nT3\tGB\n")
    placed = {
        "T1": ((0, 100), (200, 300)),
        "isoform": ((0, 100), (400, 500)),
        "of it": ((450, 460), (900, 910)),
        "T2": ((250, 320),),
        "T3": ((1000, 1100),),
        "through": ((290, 320), (1000, 1050)),
        "apart": ((600, 700),),
        "beside": ((650, 660), (800, 810)),
    }
    models = [Model(name, "", "chr1", "+", exons, None) for name, exons in placed.items()]
    for order in (models, models[::-1]):
        got, _ = read(rows(bed12, *order), genes=tmp_path / "genes.tsv")
        genes = dict(zip(got.transcript_id.to_pylist(), got.gene_id.to_pylist(), strict=True))
        first = next(name for name in genes if name in ("apart", "beside"))
        assert genes == {
            **dict.fromkeys(("T1", "T2", "isoform", "of it"), "GA"),
            **dict.fromkeys(("T3", "through"), "GB"),
            **dict.fromkeys(("apart", "beside"), first),
        }
        named = zip(got.transcript_id.to_pylist(), got.gene_known.tolist(), strict=True)
        assert {name for name, known in named if known} == {"T1", "T2", "T3"}


GTF = "".join(f"{row}\n" for row in rows(gtf)).encode()
GFF3 = b"##gff-version 3\n" + "".join(f"{row}\n" for row in rows(refseq_gff3)).encode()
SEEDS = {
    write.__name__: "".join(f"{row}\n" for row in rows(write)).encode()
    for write in (gene_pred, gene_pred_ext_bin, ref_flat, bed12, big_gene_pred)
} | {
    "toga": (projection("ENST00000367064.CD55.8") + "\n" + projection("ENST00000644269.SLC26A4.-1", 9) + "\n").encode()
}


@pytest.mark.parametrize("seed", SEEDS)
@given(data=st.data())
@quick
def test_any_damage_gives_transcripts_or_the_error(seed: str, data: st.DataObject, tmp_path: Path) -> None:
    text, format = data.draw(damage(SEEDS[seed])), data.draw(st.sampled_from([None, *FORMATS]))
    returns_transcripts_or_the_error(tmp_path / "fuzz", text, format)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@given(data=st.data())
@deep
def test_any_damage_at_length(seed: str, data: st.DataObject, tmp_path: Path) -> None:
    text, format = data.draw(damage(SEEDS[seed])), data.draw(st.sampled_from([None, *FORMATS]))
    returns_transcripts_or_the_error(tmp_path / "fuzz", text, format)
