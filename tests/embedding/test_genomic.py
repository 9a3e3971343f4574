"""Variants of a genome on transcripts, against editing the genome itself and splicing it anew."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orthrus.cli import main
from orthrus.embedding.genomic import project
from orthrus.embedding.variant_file import Variant
from orthrus.errors import InputError
from orthrus.genome.annotation import read_annotation
from orthrus.genome.codes import decode_bases, encode_bases
from orthrus.genome.edits import apply, trimmed
from orthrus.genome.findings import Findings, Tally
from orthrus.genome.models import TranscriptModels
from orthrus.genome.splice import splice
from orthrus.nn.checkpoints import save_encoder
from tests.nn.test_checkpoints import make_encoder

GENOME = "".join(np.random.default_rng(5).choice(list("ACGT"), 300))
EXONS = {"forward": ("+", [(20, 60), (100, 140), (200, 260)]), "reverse": ("-", [(30, 70), (110, 150), (210, 250)])}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("genomic")
    (folder / "genome.fa").write_text(f">chr1\n{GENOME}\n")
    rows = []
    for name, (strand, exons) in EXONS.items():
        told = f'gene_id "{name}_gene"; transcript_id "{name}"; gene_type "lncRNA"; transcript_type "lncRNA";'
        spans = [("transcript", exons[0][0], exons[-1][1]), *(("exon", *exon) for exon in exons)]
        rows += [f"chr1\tx\t{kind}\t{start + 1}\t{end}\t.\t{strand}\t.\t{told}" for kind, start, end in spans]
    (folder / "annotation.gtf").write_text("\n".join(rows) + "\n")
    save_encoder(make_encoder(6), folder / "encoder")
    return folder


@pytest.fixture(scope="module")
def models(files: Path) -> TranscriptModels:
    return read_annotation(files / "annotation.gtf", Findings())


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["1", "chr1", "NC_000001.11"]),
    st.integers(10, 250),
    st.integers(1, 4) | st.integers(40, 50),
    st.text("ACGT", min_size=1, max_size=4),
)
def test_a_projected_variant_is_the_spliced_edited_genome(
    models: TranscriptModels, contig: str, start: int, width: int, alt: str
) -> None:
    ref = GENOME[start : start + width]
    left_out = Tally()
    inside = {name for name, (_, exons) in EXONS.items() if any(a <= start and start + width <= b for a, b in exons)}
    given_variant = Variant(1, contig, start + 1, ref, alt)
    if not inside:
        touched = any(a < start + width and start < b for _, exons in EXONS.values() for a, b in exons)
        why = "variants that reach beyond an exon" if touched else "variants in no exon"
        with pytest.raises(InputError, match=rf"no variant lies in an exon .*1 {why}"):
            project([given_variant], models, left_out)
        return
    found = project([given_variant], models, left_out)
    assert {each.on_transcript.transcript_id for each in found} == inside
    for _, variant in found:
        row = models.transcript_id.to_pylist().index(variant.transcript_id)
        mrna = next(splice(models.take(np.array([row])), encode_bases(GENOME, "chr1")))
        at = variant.pos - 1
        assert decode_bases(mrna.codes)[at : at + width] == variant.ref
        if variant.ref == variant.alt:
            continue
        edit = trimmed(at, encode_bases(variant.ref, "ref"), encode_bases(variant.alt, "alt"))
        strand, exons = EXONS[variant.transcript_id]
        edited = "".join(
            GENOME[a:start] + alt + GENOME[start + width : b] if a <= start < b else GENOME[a:b] for a, b in exons
        )
        if strand == "-":
            edited = edited[::-1].translate(str.maketrans("ACGT", "TGCA"))
        assert decode_bases(apply(mrna, edit).codes) == edited


def test_the_command_scores_a_genomic_vcf_on_every_transcript(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def row(start: int, width: int, alt: str) -> str:
        return f"1\t{start + 1}\t.\t{GENOME[start : start + width]}\t{alt}\t.\t.\t."

    other = "A" if GENOME[120] != "A" else "C"
    rows = [row(120, 1, other), row(80, 1, "A"), row(68, 4, "A"), row(25, 1, GENOME[25] + "TT")]
    vcf = tmp_path / "v.vcf"
    vcf.write_text("##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "\n".join(rows) + "\n")
    output = tmp_path / "s.tsv"
    args = [f"--annotation={files / 'annotation.gtf'}", f"--genome={files / 'genome.fa'}", f"--variants={vcf}"]
    assert main(["variant", *args, f"--model={files / 'encoder'}", f"--output={output}"]) == 0
    shown = " ".join(capsys.readouterr().err.split())
    assert "1 variants in no exon" in shown
    assert "1 variants that reach beyond an exon" in shown
    header, *lines = (line.split("\t") for line in output.read_text().splitlines())
    table = [dict(zip(header, line, strict=True)) for line in lines]
    assert [(row["chrom"], row["genomic_pos"], row["transcript_id"]) for row in table] == [
        ("1", "121", "forward"),
        ("1", "121", "reverse"),
        ("1", "26", "forward"),
    ]
    complement = dict(zip("ACGT", "TGCA", strict=True))
    assert table[0]["hgvs"] == f"forward:n.61{GENOME[120]}>{other}"
    assert table[1]["hgvs"] == f"reverse:n.70{complement[GENOME[120]]}>{complement[other]}"
    assert main(["variant", *args[:1], args[2], f"--model={files / 'encoder'}", f"--output={tmp_path / 't.tsv'}"]) == 2
    assert "pass --genome" in capsys.readouterr().err
