import io
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from orthrus.errors import InputError
from orthrus.genome.codes import annotate, encode_bases
from orthrus.genome.findings import Findings
from orthrus.store import StoreBuilder, TranscriptStore
from orthrus.store.inspect import describe_store, describe_transcript
from tests.builders import build_store


def shown(described: RenderableType) -> list[str]:
    stream = io.StringIO()
    Console(width=120, file=stream).print(described)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def cells(lines: list[str], first: str) -> list[str]:
    return next(line.split() for line in lines if line.startswith(first + " "))


def test_a_store_in_numbers(tmp_path: Path) -> None:
    lines = shown(describe_store(build_store(tmp_path / "s", n_genes=6, isoforms=3)))
    assert cells(lines, "human")[1:] == ["18", "18", "6", "6", "3.00", "3"]
    assert cells(lines, "mouse")[1:] == ["3", "3", "3", "0", "1.00", "1"]
    assert cells(lines, "splice")[1] == "18"  # 6 genes x 3 pairs
    assert cells(lines, "ortholog")[1] == "9"  # 3 genes x 3 isoforms x 1
    assert cells(lines, "self")[1] == "0"


def test_many_species_are_summed_up(tmp_path: Path) -> None:
    with StoreBuilder(tmp_path / "s") as builder:
        for n in range(20):
            for isoform in range(1 + (n == 0)):
                codes = annotate(encode_bases("ACGT", "x"), None, ())
                builder.add(codes, transcript_id=f"t{n}.{isoform}", gene_id="G", species=f"species{n}")
        findings = Findings()
        findings.dropped.add("shorter than 200 nt", ["short"] * 7)
        findings.noted.add("to mind", ["this"])
        builder.finish(findings={"a.gtf": findings})
    lines = shown(describe_store(TranscriptStore.open(tmp_path / "s")))
    assert cells(lines, "species0")[1:] == ["2", "0", "1", "1", "2.00", "2"]
    assert cells(lines, "(8 others)")[2:] == ["8", "0", "8", "0", "1.00", "1"]
    assert any(line.split() == ["7", "shorter", "than", "200", "nt", "a.gtf", "short"] for line in lines)
    assert "note  1 to mind (for example this)" in lines


def test_what_was_dropped_is_summed_over_sources(tmp_path: Path) -> None:
    findings = {name: Findings() for name in ("x/a.gtf", "x/b.gtf")}
    for name, found in findings.items():
        found.dropped.add("too short", [f"{name}.1", f"{name}.2"])
    for n in range(12):
        findings["x/b.gtf"].dropped.add(f"of kind {n:02}", ["B"] * (20 - n))
    with StoreBuilder(tmp_path / "s") as builder:
        builder.add(encode_bases("ACGT", "x"), transcript_id="T", gene_id="G", species="human")
        builder.finish(findings=findings)
    lines = [" ".join(line.split()) for line in shown(describe_store(TranscriptStore.open(tmp_path / "s")))]
    assert "20 of kind 00 b.gtf B" in lines
    assert "23 (3 other reasons) dropped.parquet" in lines  # 10 and 9 of a kind, and 4 too short
    rows = TranscriptStore.open(tmp_path / "s").table("dropped").to_pylist()
    assert [row["count"] for row in rows if row["reason"] == "too short"] == [2, 2]


def test_a_transcript_with_its_tracks_aligned(tmp_path: Path) -> None:
    sequence = "A" * 58 + "ATGGCN" + "TAA" + "C" * 10
    codes = annotate(encode_bases(sequence, "x"), (58, 67), [60, 77])
    with StoreBuilder(tmp_path / "s") as builder:
        builder.add(codes, transcript_id="T.1", gene_id="G", species="human", cds=(58, 67), exon_ends=[60, 77])
        builder.finish()
    store = TranscriptStore.open(tmp_path / "s")
    lines = shown(describe_transcript(store, "T.1"))
    assert cells(lines, "5' UTR")[2:] == ["1", "58", "58"]
    assert cells(lines, "CDS")[1:] == ["59", "67", "9"]
    assert cells(lines, "2")[1:] == ["61", "77", "17"]
    start = next(i for i, line in enumerate(lines) if line.lstrip().startswith("1  A"))
    first, amino_acids, splice, second, more = lines[start : start + 5]
    column = first.index("T  60") - 1
    assert amino_acids.strip() == "M"
    assert amino_acids.index("M") == column
    assert splice.index("|") == column + 1
    assert second.split() == ["61", sequence[60:], "77"]
    assert more.index("X") == second.index("GGCN") + 1
    assert more.split() == ["X", "*"]
    with pytest.raises(InputError, match=r"no transcript 'T\.2'"):
        describe_transcript(store, "T.2")


def test_unknown_structure_is_said(tmp_path: Path) -> None:
    with StoreBuilder(tmp_path / "s") as builder:
        builder.add(encode_bases("ACGT", "x"), transcript_id="T", gene_id="G", species="human")
        builder.finish()
    lines = shown(describe_transcript(TranscriptStore.open(tmp_path / "s"), "T"))
    assert "exons unknown: no splice track" in lines
    assert cells(lines, "mRNA")[1:] == ["1", "4", "4"]
