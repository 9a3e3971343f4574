"""From a spec to a store: what is kept and under which names, what is refused, and that nothing half-made is left."""

import gzip
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from orthrus import TranscriptStore
from orthrus.errors import InputError
from orthrus.genome.codes import codon_starts
from orthrus.prepare import PrepareSummary, open_or_prepare, prepare

GTF_LINE = '{}\ts\t{}\t{}\t{}\t.\t+\t.\tgene_id "{}"; transcript_id "{}"; transcript_biotype "{}";\n'
CHR1 = "".join(random.Random(1).choices("ACGT", k=2000))


def gtf(*transcripts: tuple[str, str, int], contig: str = "1", biotype: str = "protein_coding") -> str:
    """Single-exon transcripts (id, gene, length) from the first base of the contig on."""
    return "".join(
        GTF_LINE.format(contig, "exon", 1, length, gene, name, biotype) for name, gene, length in transcripts
    )


def mrnas(folder: Path, stem: str, rows: dict[str, tuple[str, str]], species: str = "") -> dict[str, str]:
    """FASTA and table of mRNAs: id -> (gene, sequence); the CDS is the whole of each."""
    (folder / f"{stem}.fa").write_text("".join(f">{name}\n{seq}\n" for name, (_, seq) in rows.items()))
    lines = [f"{n}\t{gene}\t{species}\t{len(seq)}\t0\t{len(seq)}\t\n" for n, (gene, seq) in rows.items()]
    header = "transcript_id\tgene_name\tspecies\tlength\tcds_start\tcds_end\texon_ends\n"
    (folder / f"{stem}.tsv").write_text(header + "".join(lines))
    return {"transcripts": f"{stem}.fa", "coordinates": f"{stem}.tsv"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Input files: an annotation with its genome, and mRNAs."""
    folder = tmp_path / "input"
    folder.mkdir()
    (folder / "genome.fa").write_text(f">chr1 first\n{CHR1}\n>chr2\nACGT\n")
    (folder / "a.gtf").write_text(gtf(("A.1", "GA", 300), ("A.2", "GA", 400), ("B.1", "GB", 500)))
    return folder


ANNOTATED = {"annotation": "a.gtf", "genome": "genome.fa"}


def build(folder: Path, document: Any, **options: bool) -> tuple[TranscriptStore, PrepareSummary]:
    spec = folder / "spec.yaml"
    if isinstance(document, dict):
        document = {"join_similar": False, **document}  # the transcripts here are pieces of one sequence
    spec.write_text(document if isinstance(document, str) else yaml.safe_dump(document, sort_keys=False))
    summary = prepare(spec, folder.parent / "store", **options)
    return TranscriptStore.open(folder.parent / "store"), summary


def refused(folder: Path, document: Any) -> str:
    """The message of the refusal; what was there before is there after, and no more."""
    before = {*folder.parent.rglob("*"), folder / "spec.yaml"}
    with pytest.raises(InputError) as caught:
        build(folder, document)
    assert set(folder.parent.rglob("*")) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_annotation_and_genome(folder: Path) -> None:
    store, summary = build(folder, {"species": {"human": ANNOTATED}})
    assert store.column("transcript_id") == ["A.1", "A.2", "B.1"]
    assert store.sequence(1) == CHR1[:400]
    assert store.column("family_id") == ["human:GA", "human:GA", "human:GB"]
    assert store.column("source") == ["a.gtf"] * 3
    assert summary.counts == store.meta["counts"]
    assert summary.counts["transcripts"] == 3
    assert summary.transcripts_per_second > 0
    assert [source["path"] for source in store.meta["sources"]] == ["a.gtf", "genome.fa"]
    assert store.meta["filters"]["biotypes"] == ["protein_coding"]
    store.verify()


@pytest.mark.parametrize("frame", ["annotated", "published"])
def test_codons_begin_where_the_spec_says(folder: Path, frame: str) -> None:
    row = 'chr1\ts\t{}\t1\t300\t.\t+\t{}\tgene_id "G"; transcript_id "T";\n'
    (folder / "a.gtf").write_text(row.format("exon", ".") + row.format("CDS", 2))
    (folder / "mrna.fa").write_text(f">T\n{CHR1[:300]}\n")
    for source in (ANNOTATED, {"transcripts": "mrna.fa", "coordinates": "a.gtf"}):
        document = {"species": {"human": source}} | ({"cds_frame": frame} if frame == "published" else {})
        store, _ = build(folder, document, overwrite=True)
        assert store.cds_frame == store.meta["cds_frame"] == frame
        assert store.cds.tolist() == [[0, 300]]
        assert codon_starts(store.codes(0)).tolist() == list(range(2 if frame == "annotated" else 0, 300, 3))


def test_the_genetic_code_of_mrnas_is_that_of_their_annotation(folder: Path) -> None:
    row = "MT\ts\t{}\t1\t300\t.\t+\t.\t{};transl_table=2\n"
    (folder / "a.gff3").write_text(row.format("mRNA", "ID=T") + row.format("CDS", "Parent=T"))
    (folder / "mrna.fa").write_text(f">T\n{CHR1[:300]}\n")
    files: dict[str, Any] = {"transcripts": "mrna.fa", "coordinates": "a.gff3"}
    for stated, expected in (({}, 2), ({"genetic_code": 5}, 5)):
        store, _ = build(folder, {"species": {"human": files | stated}}, overwrite=True)
        assert store.column("genetic_code") == [expected]


def test_transcripts_of_unknown_genes_are_counted(folder: Path) -> None:
    row = 'chr1\ts\texon\t{}\t{}\t.\t+\t.\tgene_id "{}"; transcript_id "{}"; transcript_type "protein_coding";\n'
    rows = [(1, 300, "A", "A"), (101, 400, "B", "B"), (501, 800, "G", "C")]
    (folder / "a.gtf").write_text("".join(row.format(*each) for each in rows))
    store, summary = build(folder, {"species": {"human": ANNOTATED}})
    assert store.column("gene_known") == [False, False, True]
    assert store.column("gene_id") == ["A", "A", "G"]
    assert summary.counts["transcripts_of_unknown_gene"] == 2
    assert any("gene_id is their transcript_id" in line for line in summary.warnings)


def test_several_sources_of_a_species_and_a_species_column(folder: Path) -> None:
    more = mrnas(folder, "more", {"C.1": ("GC", CHR1[:200]), "A.1": ("GA", CHR1[:250])})
    apes = mrnas(folder, "apes", {"P.1": ("GP", CHR1[:210]), "B.1": ("GB", CHR1[:220])}, species="chimp")
    orthologs = "species_a\tgene_id_a\tspecies_b\tgene_id_b\thomology_type\nhuman\tGA\tchimp\tGP\tone2one\n"
    (folder / "o.tsv.gz").write_bytes(gzip.compress((orthologs + "human\tGZ\tchimp\tGP\tone2one\n").encode()))
    document = {"species": {"human": [ANNOTATED, more], "apes": apes}, "orthologs": ["o.tsv.gz"]}
    store, summary = build(folder, document)
    assert store.column("transcript_id") == ["A.1", "A.2", "B.1", "C.1", "A.1_dup1", "P.1", "chimp:B.1"]
    assert store.column("species") == ["human"] * 5 + ["chimp"] * 2
    assert store.column("family_id")[5] == "human:GA"
    assert store.column("family_id")[6] == "chimp:GB"
    for part in ("suffixed _dup1", "species:id", "not in the store", "unknown exon structure"):
        assert any(part in line for line in summary.warnings), part
    assert store.meta["warnings"] == summary.warnings
    (folder / "o.tsv.gz").write_bytes(gzip.compress(orthologs.replace("chimp", "pan_troglodytes").encode()))
    store, _ = build(folder, document, overwrite=True)
    assert store.column("family_id")[5] == "human:GA"
    (folder / "o.tsv.gz").write_bytes(gzip.compress(orthologs.replace("chimp", "apes!").encode()))
    assert "does not name (apes!)" in refused(folder, document)


def test_ensembl_ids_match_without_their_version(folder: Path) -> None:
    (folder / "a.gtf").write_text(gtf(("T", "ENSG00000000001.7", 300)))
    apes = mrnas(folder, "apes", {"P.1": ("ENSPTRG00000000002", CHR1[:210])})
    header = "species_a\tgene_id_a\tspecies_b\tgene_id_b\thomology_type\n"
    (folder / "o.tsv").write_text(header + "human\tENSG00000000001\tchimp\tENSPTRG00000000002\tortholog_one2one\n")
    store, _ = build(folder, {"species": {"human": ANNOTATED, "chimp": apes}, "orthologs": ["o.tsv"]})
    assert store.column("family_id") == ["human:ENSG00000000001.7"] * 2
    assert store.orthologs["gene_id_a"].to_pylist() == ["ENSG00000000001.7"]


def test_filters_and_what_they_drop(folder: Path) -> None:
    text = gtf(("A", "G", 300), ("short", "G", 199), ("long", "G", 401), ("kept", "G", 400))
    text += gtf(("nc", "H", 300), biotype="lncRNA") + gtf(("alt", "I", 300), contig="chr1_x_alt")
    (folder / "a.gtf").write_text(text + gtf(("lost", "J", 300), contig="chr9"))
    fox = mrnas(folder, "fox", {"F": ("F", CHR1[:300])}, species="fox")
    filters = {"min_length": 200, "max_length": 400, "primary_contigs": True, "skip_species": ["fox"]}
    store, summary = build(folder, {"species": {"human": ANNOTATED, "fox": fox}, "filters": filters})
    assert store.column("transcript_id") == ["A", "kept"]
    assert summary.dropped == store.meta["dropped"]
    assert summary.dropped == {
        "shorter than 200 nt": 1,
        "longer than 400 nt": 1,
        "of biotype lncRNA": 1,
        "on contigs that are not chromosomes": 1,
        "on contigs that the genome lacks": 1,
        "of species fox, skipped": 1,
    }
    assert any("1 contigs of the annotation that the genome lacks (for example chr9)" in w for w in summary.warnings)
    everything, _ = build(folder, {"species": {"human": ANNOTATED}, "filters": {"biotypes": "all"}}, overwrite=True)
    assert everything.column("transcript_id") == ["A", "long", "kept", "nc"]


def test_the_same_input_gives_the_same_store(folder: Path) -> None:
    first, _ = build(folder, {"species": {"human": ANNOTATED}})
    files = first.meta["files"]
    second, _ = build(folder, {"species": {"human": ANNOTATED}}, overwrite=True)
    assert second.meta["files"] == files


def test_paths_with_variables_are_the_shells(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    document = {"species": {"human": {"annotation": "${DATA}/a.gtf", "genome": "$DATA/genome.fa"}}}
    monkeypatch.delenv("DATA", raising=False)
    assert "needs the variable ${DATA}, which is not set; export it first" in refused(folder, document)
    for value in ("input", str(folder)):
        monkeypatch.setenv("DATA", value)
        store, _ = build(folder, document, overwrite=True)
        assert store.meta["sources"][0]["path"] == "${DATA}/a.gtf"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("a: [", "is no valid YAML"),
        ("- a\n- b\n", "found ['a', 'b']; expected keys and values (species, orthologs, homologs, aliases,"),
        ("", "found None; expected keys and values"),
        ("species:\n  a: {}\nspecies:\n  b: {}\n", "key 'species' occurs twice"),
        (
            {"specie": {}},
            "unknown key 'specie' (did you mean 'species'?); expected species, orthologs, homologs, aliases,",
        ),
        ({"species": {}}, "`species` is {}"),
        ({"orthologs": []}, "`species` is None"),
        (
            {"species": {"human": {"anotation": "a.gtf"}}},
            "species human: unknown key 'anotation' (did you mean 'annotation'?)",
        ),
        ({"species": {"human": {"annotation": "a.gtf"}}}, "it has annotation; expected `annotation` and `genome`"),
        ({"species": {"human": {**ANNOTATED, "transcripts": "a.gtf"}}}, "expected `annotation` and `genome`, or"),
        ({"species": {"human": "a.gtf"}}, "found 'a.gtf'; expected keys and values"),
        ({"species": {"human": []}}, "found []; expected keys and values"),
        ({"species": {"human": {**ANNOTATED, "genome": "none.fa"}}}, "none.fa does not exist; expected a file"),
        ({"species": {"human": {**ANNOTATED, "genome": "."}}}, "is no regular file; expected a file"),
        ({"species": {"human": {**ANNOTATED, "genome": 7}}}, "genome: found 7; expected the path of a file"),
        ({"species": {"human": ANNOTATED}, "orthologs": "a.tsv"}, "orthologs is 'a.tsv'; expected a list"),
        ({"species": {"human": ANNOTATED}, "orthologs": ["o.tsv"]}, "o.tsv does not exist"),
        ({"species": {"human": ANNOTATED}, "orthologs": ["a.gtf"]}, "has no column 'species_a'"),
        (
            {"species": {"human": ANNOTATED}, "filters": {"min_lenght": 2}},
            "filters: unknown key 'min_lenght' (did you mean 'min_length'?)",
        ),
        (
            {"species": {"human": ANNOTATED}, "filters": {"min_length": "2"}},
            "min_length is '2'; expected a whole number",
        ),
        ({"species": {"human": ANNOTATED}, "filters": {"max_length": 100}}, "min_length 200 exceeds max_length 100"),
        ({"species": {"human": ANNOTATED}, "filters": {"biotypes": "lncRNA"}}, "such as [lncRNA]"),
        ({"species": {"human": ANNOTATED}, "filters": {"primary_contigs": 1}}, "expected true or false"),
        ({"species": {"human": ANNOTATED}, "cds_frame": "codons"}, "'codons'; expected one of annotated, published"),
        (
            {"species": {"human": ANNOTATED}, "filters": {"biotypes": ["lncRNA"]}},
            "no transcript is left to write: 3 of biotype protein_coding",
        ),
        (
            {"species": {"human": ANNOTATED}, "filters": {"biotypes": ["protein_codng"]}},
            "(biotypes: 'protein_codng' (did you mean 'protein_coding'?))",
        ),
    ],
)
def test_specs_that_cannot_be_used(folder: Path, document: Any, message: str) -> None:
    assert message in refused(folder, document)


def test_a_spec_that_is_not_there(folder: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml is neither a file nor the name of a shipped recipe"):
        prepare(folder / "none.yaml", folder.parent / "store")


@pytest.mark.parametrize(
    ("file", "data", "message"),
    [
        ("a.gtf", gtf(("A", "G", 300), contig="7"), "none of the annotation's contigs (7) is in the genome"),
        (
            "a.gtf",
            gtf(("A", "G", 2001)),
            "such as A, whose last exon ends at base 2,001 of 1, which has 2,000 bases",
        ),
        ("a.gtf", "1\ts\texon\t1\t9\n", "line 1: 5 tab-separated columns"),
        ("a.gtf", "", "no annotation rows"),
        ("a.gtf", f">chr1\n{CHR1}\n", "header of a FASTA"),
        ("genome.fa", ">chr1\nMKVLILACLVALALARE\n", "letter 'L' at position 4 is not a nucleotide"),
        ("genome.fa", gtf(("A", "G", 300)), "expected a FASTA"),
        ("genome.fa", "", "genome.fa is empty"),
    ],
)
def test_files_that_cannot_be_used(folder: Path, file: str, data: str, message: str) -> None:
    (folder / file).write_text(data)
    assert message in refused(folder, {"species": {"human": ANNOTATED}})


def test_mrnas_and_tables_that_do_not_match(folder: Path) -> None:
    files = mrnas(folder, "m", {"A": ("G", CHR1[:300]), "B": ("G", CHR1[:400])})
    fasta, table = folder / "m.fa", folder / "m.tsv"
    listed = table.read_text()
    fasta.write_text(f">A\n{CHR1[:300]}\n>other\nACGT\n")
    store, summary = build(folder, {"species": {"human": files}})
    assert store.column("transcript_id") == ["A"]
    assert "1 sequences that the coordinate table does not list, ignored (for example other)" in summary.warnings
    assert "1 rows of the coordinate table without a sequence, ignored (for example B)" in summary.warnings
    (folder.parent / "store").rename(folder.parent / "kept")
    fasta.write_text(">other\nACGT\n")
    assert "no id of" in refused(folder, {"species": {"human": files}})
    fasta.write_text(f">A\n{CHR1[:299]}\n")
    assert "A has 299 nt in" in refused(folder, {"species": {"human": files}})
    fasta.write_text(f">A\n{'MKVL' * 75}\n")
    assert "is not a nucleotide" in refused(folder, {"species": {"human": files}})
    table.write_text(listed.replace("\t0\t300", "\t0\t301"))
    assert "line 2: CDS 0-301 of A does not lie in its 300 nt" in refused(folder, {"species": {"human": files}})


def test_an_existing_output_is_refused(folder: Path) -> None:
    build(folder, {"species": {"human": ANNOTATED}})
    assert "exists; choose another --output or pass --overwrite" in refused(folder, {"species": {"human": ANNOTATED}})


def test_an_output_that_cannot_be_written(folder: Path) -> None:
    build(folder, {"species": {"human": ANNOTATED}})
    with pytest.raises(InputError, match="cannot be written"):
        prepare(folder / "spec.yaml", folder / "a.gtf" / "store")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupt_leaves_no_store(folder: Path, number: signal.Signals, status: int) -> None:
    letters = "".join(random.Random(0).choices("ACGT", k=2000))
    files = mrnas(folder, "many", {f"T{n}": (f"G{n}", letters) for n in range(20_000)})
    spec = folder / "spec.yaml"
    spec.write_text(yaml.safe_dump({"species": {"human": files}}))
    before = set(folder.parent.rglob("*"))
    command = [sys.executable, "-m", "orthrus", "prepare", "--config", str(spec)]
    process = subprocess.Popen([*command, "--output", str(folder.parent / "store")], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(folder.parent.glob(".store.partial/new/codes.u8")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert "Traceback" not in errors
    assert set(folder.parent.rglob("*")) == before


def test_records_without_a_sequence_are_left_out_and_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "some.fa").write_text(">a\nACGT\n>b\n\n>c\nACG\n")
    with open_or_prepare(folder / "some.fa") as made:
        assert made.column("transcript_id") == ["a", "c"]
    assert "1 records without a sequence (for example b)" in caplog.text
    for text, message in ((">a\n\n>b\n", r"no transcript of .*none\.fa"), (">a\rACGT\r", "lines that end in CR alone")):
        (folder / "none.fa").write_bytes(text.encode())
        with pytest.raises(InputError, match=message), open_or_prepare(folder / "none.fa"):
            pass


def test_open_or_prepare(folder: Path) -> None:
    store, _ = build(folder, {"species": {"human": ANNOTATED}})
    with open_or_prepare(store.path) as opened:
        assert len(opened) == 3
    with open_or_prepare(folder / "a.gtf", genome=folder / "genome.fa") as made:
        assert made.column("transcript_id") == ["A.1", "A.2", "B.1"]
        path = made.path
    assert not path.exists()
    files = mrnas(folder, "m", {"A": ("G", "ACGT")})
    with open_or_prepare(folder / files["transcripts"]) as bare:
        assert bare.sequence(0) == "ACGT"
        assert bare.column("cds_start") == [-1]
    with open_or_prepare(folder / "m.fa", coordinates=folder / "m.tsv") as listed:
        assert listed.column("cds_end") == [4]
    for options, message in [
        ({"genome": folder / "genome.fa", "coordinates": folder / "m.tsv"}, "both a genome and coordinates"),
        ({}, "expected a FASTA"),
    ]:
        with pytest.raises(InputError, match=message), open_or_prepare(folder / "a.gtf", **options):
            pass
    with pytest.raises(InputError, match="no such folder"), open_or_prepare(folder / "none"):
        pass


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("mhc4", {"transcripts": 458, "species": 4, "ortholog_gene_pairs": 103}),
        ("corpus", {"transcripts": 46_652, "species": 93, "genes": 40_492}),
    ],
)
@pytest.mark.shared
def test_recipes_of_real_data(
    name: str, counts: dict[str, int], shared: Path, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORTHRUS_SHARED", str(shared))
    summary = prepare(repository / "conf" / "prepare" / f"{name}.yaml", tmp_path / "store")
    assert summary.counts.items() >= counts.items()


def test_recipe_of_the_demo(repository: Path, tmp_path: Path) -> None:
    summary = prepare(repository / "conf" / "prepare" / "demo.yaml", tmp_path / "store")
    store = TranscriptStore.open(tmp_path / "store")
    assert summary.counts["transcripts"] == 2127
    for i in range(0, 627, 15):  # the primates' coding sequences are whole
        start, end = (store.transcripts[name][i].as_py() for name in ("cds_start", "cds_end"))
        assert store.sequence(i)[start : start + 3] == "ATG"
        assert store.sequence(i)[end - 3 : end] in ("TAA", "TAG", "TGA")
