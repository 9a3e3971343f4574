"""Merging shards gives the store that one build of all of them gives."""

import errno
import json
import os
import random
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orthrus.cli import main
from orthrus.errors import InputError
from orthrus.genome.codes import encode_bases
from orthrus.prepare import prepare
from orthrus.store import HOMOLOG_SCHEMA, ORTHOLOG_SCHEMA, StoreBuilder, TranscriptStore, merge_stores
from tests.builders import build_store

SPECIES = ("human", "mouse", "cat")


def mrnas(folder: Path, species: str, names: list[str]) -> dict[str, str]:
    """mRNAs of a species, two to a gene; genes are numbered."""
    draw = random.Random(species)
    sequences = ["".join(draw.choices("ACGT", k=200 + 10 * n)) for n in range(len(names))]
    fasta = "".join(f">{name}\n{sequence}\n" for name, sequence in zip(names, sequences, strict=True))
    (folder / f"{species}.fa").write_text(fasta)
    rows = [f"{n}\tG{i // 2}\t{len(s)}\t0\t30\t\n" for i, (n, s) in enumerate(zip(names, sequences, strict=True))]
    header = "transcript_id\tgene_name\tlength\tcds_start\tcds_end\texon_ends\n"
    (folder / f"{species}.tsv").write_text(header + "".join(rows))
    return {"transcripts": f"{species}.fa", "coordinates": f"{species}.tsv"}


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """Three species whose transcripts share names, ortholog and homolog tables about all of them."""
    names = {"human": ["A", "B", "C", "D"], "mouse": ["A", "B", "human:C"], "cat": ["B", "E", "F", "cat:B", "long"]}
    document = {
        "species": {species: mrnas(tmp_path, species, given) for species, given in names.items()},
        "orthologs": ["o.tsv"],
        "homologs": ["h.tsv"],
        "filters": {"max_length": 235},
    }
    pairs = [("human", "G0", "mouse", "G1"), ("mouse", "G1", "cat", "G1"), ("cat", "G9", "human", "G1")]
    rows = ["\t".join((*pair, "one2one")) for pair in [*pairs, ("dog", "G0", "wolf", "G0"), pairs[0]]]
    (tmp_path / "o.tsv").write_text("\n".join(["\t".join(ORTHOLOG_SCHEMA.names), *rows]) + "\n")
    groups = [("human", "G1", "x"), ("cat", "G0", "x"), ("cat", "G8", "x")]
    (tmp_path / "h.tsv").write_text("\n".join(map("\t".join, [HOMOLOG_SCHEMA.names, *groups])) + "\n")
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return tmp_path / "spec.yaml"


def same(one: TranscriptStore, other: TranscriptStore) -> None:
    """Equal in every file but ``meta.json``, and in what that says of their content."""
    for name in one.meta["files"]:
        assert (one.path / name).read_bytes() == (other.path / name).read_bytes(), name
    for name in ("species", "counts", "dropped", "warnings", "files"):
        assert one.meta[name] == other.meta[name], name


def test_shards_merge_into_the_whole(spec: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    prepare(spec, whole)
    shards = [tmp_path / species for species in SPECIES]
    for species, shard in zip(SPECIES, shards, strict=True):
        prepare(spec, shard, species=[species])
    merged = merge_stores(shards, tmp_path / "merged")
    same(merged, TranscriptStore.open(whole))
    merged.verify()
    ids = ["A", "B", "C", "D", "mouse:A", "mouse:B", "human:C", "cat:B_dup1", "E", "F", "cat:B"]
    assert merged.transcript_ids.to_pylist() == ids
    assert merged.meta["counts"]["ortholog_gene_pairs"] == 2
    assert [shard["species"] for shard in merged.meta["shards"]] == [[name] for name in SPECIES]
    sources = [{each["path"] for each in meta["sources"]} for meta in (merged.meta, TranscriptStore.open(whole).meta)]
    assert sources[0] == sources[1]
    # in two steps
    two = merge_stores(shards[:2], tmp_path / "two")
    stepwise = merge_stores([two.path, shards[2]], tmp_path / "stepwise")
    same(stepwise, merged)
    assert stepwise.meta["shards"] == merged.meta["shards"]


ROWS = st.lists(
    st.tuples(st.sampled_from(SPECIES), st.sampled_from(["A", "B", "mouse:A"]), st.sampled_from(["G1", "G2", "G3"])),
    min_size=1,
    max_size=10,
)
GENES = st.tuples(st.sampled_from((*SPECIES, "dog")), st.sampled_from(["G1", "G2", "G3"]))

PAIRS = st.lists(st.tuples(GENES, GENES), max_size=6)
GROUPS = st.lists(st.tuples(GENES, st.sampled_from("xy")), max_size=6)


@settings(max_examples=15, deadline=None)
@given(ROWS, PAIRS, GROUPS)
def test_any_shards_merge_into_the_whole(
    rows: list[tuple[str, str, str]],
    pairs: list[tuple[tuple[str, str], tuple[str, str]]],
    groups: list[tuple[tuple[str, str], str]],
) -> None:
    orthologs, homologs = (
        pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows_], schema)
        for schema, rows_ in (
            (ORTHOLOG_SCHEMA, [(*a, *b, "x") for a, b in pairs]),
            (HOMOLOG_SCHEMA, [(*a, group) for a, group in groups]),
        )
    )

    def build(path: Path, rows: list[tuple[str, str, str]]) -> Path:
        with StoreBuilder(path) as builder:
            for number, (species, name, gene) in enumerate(rows):
                codes = encode_bases("ACGT"[: 1 + number % 4], name)
                builder.add(codes, transcript_id=name, gene_id=gene, species=species)
            builder.finish(orthologs, homologs)
        return path

    parts = [rows[start : start + 4] for start in range(0, len(rows), 4)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shards = [build(folder / str(i), part) for i, part in enumerate(parts)]
        merged = merge_stores(shards, folder / "merged")
        same(merged, TranscriptStore.open(build(folder / "whole", rows)))


def test_what_cannot_be_merged_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = build_store(tmp_path / "a").path, build_store(tmp_path / "b").path
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    def refusal(*args: object) -> str:
        assert main(["merge", *map(str, args)]) == 2
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "a is given twice; name each shard once" in refusal(a, b, a, "--output", tmp_path / "m")
    assert "a is also the output" in refusal(a, b, "--output", a, "--overwrite")
    assert "b exists; choose another --output or pass --overwrite" in refusal(a, "--output", b)
    assert "none is not a transcript store: no such folder" in refusal(a, tmp_path / "none", "--output", tmp_path / "m")
    meta = b / "meta.json"
    document = json.loads(meta.read_text())
    meta.write_text(json.dumps(document | {"cds_frame": "published"}))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert "b has cds_frame published" in refusal(a, b, "--output", tmp_path / "m")
    meta.write_text(json.dumps(document | {"format_version": 1}))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert "b has store format 1; this version of orthrus reads 3" in refusal(a, b, "--output", tmp_path / "m")


def test_an_interrupted_merge_leaves_the_store_there_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, old = (build_store(tmp_path / name).path for name in ("a", "b", "old"))

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("orthrus.store.builder.write_relations", interrupted)
    with pytest.raises(KeyboardInterrupt):
        merge_stores([a, b], old, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "old"}
    TranscriptStore.open(old).verify()


@pytest.mark.parametrize("error", [AttributeError, OSError(errno.EXDEV, "another file system")])
def test_codes_are_copied_where_the_kernel_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def cannot(*args: object) -> int:
        raise error

    a, b = build_store(tmp_path / "a"), build_store(tmp_path / "b", n_genes=3)
    monkeypatch.setattr(os, "copy_file_range", cannot)
    merged = merge_stores([a.path, b.path], tmp_path / "m")
    assert (merged.path / "codes.u8").read_bytes() == b"".join((s.path / "codes.u8").read_bytes() for s in (a, b))


def test_a_spec_by_species(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", f"--config={spec}", "--list"]) == 0
    assert capsys.readouterr().out.split() == list(SPECIES)
    assert main(["prepare", f"--config={spec}", f"--output={tmp_path / 's'}", "--species", "human", "cat"]) == 0
    assert TranscriptStore.open(tmp_path / "s").species_names == ["human", "cat"]
    with pytest.raises(InputError, match=r"has no species 'dog'; expected some of human, mouse, cat"):
        prepare(spec, tmp_path / "t", species=["dog"])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here ({mounted.stderr.decode().strip()})")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("n", [30, 110])  # transcripts of 10 kB; with 30 it is the tables that do not fit
def test_a_disk_that_fills_up(tmp_path: Path, small_disk: Path, n: int, capsys: pytest.CaptureFixture[str]) -> None:
    store = build_store(small_disk / "store", n_genes=2, isoforms=1).path
    sequence = "".join(random.Random(0).choices("ACGT", k=10_000 if n > 30 else 4_000))
    names = [f"T{number:06d}" + "x" * (0 if n > 30 else 2_000) for number in range(n)]
    (tmp_path / "m.fa").write_text("".join(f">{name}\n{sequence}\n" for name in names))
    rows = [f"{name}\tG\t{len(sequence)}\t0\t30\n" for name in names]
    (tmp_path / "m.tsv").write_text("transcript_id\tgene_name\tlength\tcds_start\tcds_end\n" + "".join(rows))
    spec = tmp_path / "spec.yaml"
    spec.write_text("species: {human: {transcripts: m.fa, coordinates: m.tsv}}\n")
    assert main(["prepare", f"--config={spec}", f"--output={tmp_path / 'elsewhere'}"]) == 0
    capsys.readouterr()
    for command in (
        ["prepare", f"--config={spec}", f"--output={store}", "--overwrite"],
        ["merge", str(tmp_path / "elsewhere"), f"--output={store}", "--overwrite"],
    ):
        assert main(command) == 2
        errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert "No space left on device" in errors[0]
        assert [path.name for path in small_disk.iterdir()] == ["store"]
        TranscriptStore.open(store).verify()
