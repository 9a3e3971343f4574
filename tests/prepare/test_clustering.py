"""Homologs by MMseqs2, which must be installed; and what is said where it is not."""

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st

from orthrus import TranscriptStore
from orthrus.errors import InputError
from orthrus.genome.codes import annotate, encode_bases
from orthrus.prepare import prepare
from orthrus.prepare.clustering import Clustering, cluster_genes, protein_of

with_mmseqs = pytest.mark.skipif(shutil.which("mmseqs") is None, reason="MMseqs2 is not installed")
CODONS = [a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT" if a + b + c not in ("TAA", "TAG", "TGA")]


def coding(seed: int, length: int = 120) -> str:
    return "".join(["ATG", *random.Random(seed).choices(CODONS, k=length), "TAA"])


def mutated(sequence: str, share: float) -> str:
    """With ``share`` of the codons between the first and the last replaced."""
    draw = random.Random(9)
    codons = [sequence[i : i + 3] for i in range(0, len(sequence), 3)]
    inner = [draw.choice(CODONS) if draw.random() < share else codon for codon in codons[1:-1]]
    return "".join([codons[0], *inner, codons[-1]])


def write(folder: Path, genes: dict[str, list[str]], homologs: list[Any]) -> Path:
    """A spec of mRNAs, 9 nt of 5'UTR before each CDS; genes' isoforms by their CDS, '' for none."""
    rows, records = ["transcript_id\tgene_id\tlength\tcds_start\tcds_end"], []
    for gene, isoforms in genes.items():
        for n, cds in enumerate(isoforms):
            sequence = "ACGTACGTA" + (cds or "ACGT" * 60)
            interval = f"9\t{len(sequence)}" if cds else "\t"
            rows.append(f"{gene}.{n}\t{gene}\t{len(sequence)}\t{interval}")
            records.append(f">{gene}.{n}\n{sequence}")
    (folder / "t.tsv").write_text("\n".join(rows) + "\n")
    (folder / "t.fa").write_text("\n".join(records) + "\n")
    spec = folder / "spec.yaml"
    source = {"transcripts": "t.fa", "coordinates": "t.tsv"}
    fields = {"species": {"x": source}, "homologs": homologs, "filters": {"biotypes": "all"}, "join_similar": False}
    spec.write_text(yaml.safe_dump(fields))
    return spec


@given(st.text("ACGTN", max_size=60))
def test_translation_is_biopythons(sequence: str) -> None:
    whole = sequence[: len(sequence) // 3 * 3]
    codons = [whole[i : i + 3] for i in range(0, len(whole), 3)]
    protein = "".join("X" if "N" in c else str(Seq(c).translate()).replace("*", "X") for c in codons)
    if len(codons) > 1 and codons[-1] in ("TAA", "TAG", "TGA"):
        protein = protein[:-1]
    codes = annotate(encode_bases(sequence, "test"), (0, len(sequence)), ())
    assert protein_of(codes) == (protein or "X")


@pytest.mark.slow
@with_mmseqs
def test_homologs_by_protein_share_a_family(tmp_path: Path) -> None:
    genes = {
        "A": [coding(1), mutated(coding(5), 0)[:30] + "TAA"],  # the longest CDS speaks for the gene
        "B": [mutated(coding(1), 0.4)],
        "C": [coding(2)],
        "D": [coding(1)[:210] + "TAA"],  # covers less than 0.8 of A
        "noncoding": [""],
    }
    spec = write(tmp_path, genes, [{"mmseqs2": {"min_identity": 0.4}}])
    prepare(spec, tmp_path / "store")
    store = TranscriptStore.open(tmp_path / "store")
    family = dict(zip(store.column("gene_id"), store.column("family_id"), strict=True))
    assert family == {"A": "x:A", "B": "x:A", "C": "x:C", "D": "x:D", "noncoding": "x:noncoding"}
    record = store.meta["clustering"]
    assert record["tool"] == "MMseqs2"
    assert record["version"]
    assert (record["min_identity"], record["coverage"]) == (0.4, 0.8)
    assert (record["genes"], record["groups"]) == (4, 3)
    assert not store.orthologs.num_rows
    assert {path.name for path in tmp_path.iterdir()} == {"store", "spec.yaml", "t.fa", "t.tsv"}


@with_mmseqs
def test_no_coding_gene_gives_no_group(tmp_path: Path) -> None:
    groups, record = cluster_genes([], Clustering(), tmp_path)
    assert (groups.num_rows, record["groups"]) == (0, 0)


def test_without_mmseqs_or_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = write(tmp_path, {"A": [coding(1)]}, [{"mmseqs2": None}])
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(InputError, match="clustering homologs needs MMseqs2"):
        prepare(spec, tmp_path / "store")
    (tools / "mmseqs").write_text("#!/bin/sh\necho 'Cannot open: out of luck' >&2\nexit 7\n")
    (tools / "mmseqs").chmod(0o755)
    with pytest.raises(InputError, match=r"MMseqs2 failed \(easy-cluster, status 7\): Cannot open: out of luck"):
        prepare(spec, tmp_path / "store")
    assert {path.name for path in tmp_path.iterdir()} == {"bin", "spec.yaml", "t.fa", "t.tsv"}


@pytest.mark.parametrize(
    ("homologs", "message"),
    [
        ([{"mmseqs2": {"min_identity": 30}}], "min_identity is 30; expected a fraction"),
        ([{"mmseqs2": {"coverage": "0.8"}}], "coverage is '0.8'; expected a fraction"),
        ([{"mmseqs2": {"identity": 0.3}}], "unknown key 'identity' (did you mean 'min_identity'?)"),
        ([{"mmseqs2": {}, "table": "t.tsv"}], "expected `mmseqs2` once and by itself"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path: Path, homologs: list[Any], message: str) -> None:
    spec = write(tmp_path, {"A": [coding(1)]}, homologs)
    with pytest.raises(InputError) as caught:
        prepare(spec, tmp_path / "store")
    assert message in str(caught.value)
