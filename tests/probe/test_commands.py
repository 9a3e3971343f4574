"""`orthrus probe` as a user calls it: a task's YAML, a benchmark's data frame, comparisons, what it refuses."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from orthrus import MambaEncoder
from orthrus.cli import main
from orthrus.nn.checkpoints import save_encoder
from orthrus.probe.document import read_document
from orthrus.store.families import split_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory, store):
    """A data frame as mRNABench keeps them, of the store's human transcripts, embedded with two readouts."""
    folder = tmp_path_factory.mktemp("bench") / "set"
    folder.mkdir()
    names = [name for name in store.column("transcript_id") if name.startswith("h")]
    rows = [store.index_of(name) for name in names]
    tracks = [store.tracks(row) for row in rows]
    sequences = [store.sequence(row) for row in rows]
    columns = {
        "gene": [name.split(".")[0] for name in names],
        "chromosome": [str(i // 20) for i in range(len(names))],
        "sequence": sequences,
        "cds": [list(track[4].astype(float)) for track in tracks],
        "splice": [list(track[5].astype(float)) for track in tracks],
        "target": [sequence.count("G") / len(sequence) for sequence in sequences],
        "target_bits": [[float(s.count(base) > len(s) / 4) for base in "AC"] for s in sequences],
    }
    pq.write_table(pa.table(columns), folder / "data_df.parquet")
    torch.manual_seed(0)
    save_encoder(MambaEncoder(6, 16, 1), folder / "encoder")
    (folder / "task.yaml").write_text(
        "labels: data_df.parquet\ntarget: target\ntask: regression\nmetric: r2\nsource: counted\n"
    )
    embed = ["embed", f"--checkpoint={folder / 'encoder'}", f"--input={folder / 'data_df.parquet'}"]
    assert main([*embed, f"--output={folder / 'e.parquet'}", "--readout", "last.mean", "layer0.mean"]) == 0
    return folder


def probe(folder, output, *options):
    status = main(["probe", f"--embeddings={folder / 'e.parquet'}", f"--output={output}", "--seeds=3", *options])
    return status, json.loads((output / "metrics.json").read_text()) if status == 0 else {}


def test_a_task_on_a_data_frame_has_its_rows_sequences_and_controls(folder, tmp_path):
    status, metrics = probe(folder, tmp_path / "p", f"--task={folder / 'task.yaml'}", "--kmer", "1", "2")
    assert status == 0
    assert set(metrics["feature_sets"]) == {
        "embedding", "embedding + codon control", "random-init", "codon", "k-mer", "length + composition",
        "label shuffle",
    }  # fmt: skip
    assert metrics["missing_controls"] == {}
    assert (metrics["target"], metrics["metrics"][0], metrics["source"]) == ("task", "r2", "counted")
    assert metrics["counts"]["rows"] == 300
    assert metrics["counts"]["groups"] == 150
    assert metrics["feature_sets"]["length + composition"]["scores"]["r2"]["mean"] > 0.95, "GC is a sum of features"
    for name in ("embedding", "random-init"):
        assert metrics["feature_sets"][name]["readouts"] == {"last.mean": 16, "layer0.mean": 16}
    same = [metrics["feature_sets"][name]["scores"]["r2"]["mean"] for name in ("embedding", "random-init")]
    assert same[0] == pytest.approx(same[1], abs=0.02), "the embedding's encoder is untrained too"


def test_options_replace_what_the_task_says(folder, tmp_path):
    (folder / "bits.yaml").write_text("labels: data_df.parquet\ntarget: target_bits\ntask: multilabel\n")
    status, metrics = probe(
        folder, tmp_path / "p", f"--task={folder / 'bits.yaml'}", "--split=chromosome", "--readout=layer0.mean",
        "--kmer", "1", "--label-efficiency", "60", f"--compare=other={folder / 'e.parquet'}",
    )  # fmt: skip
    assert status == 0
    assert (metrics["split"], metrics["counts"]["groups"]) == ("chromosome", 15)
    for name in ("embedding", "random-init"):  # the control has the chosen readout alone
        assert metrics["feature_sets"][name]["readouts"] == {}
    assert metrics["feature_sets"]["other"]["readouts"] == {"last.mean": 16, "layer0.mean": 16}
    assert metrics["label_efficiency"]["labels"][0] == 60


def test_rows_that_only_their_numbers_pair_are_of_one_file(folder, tmp_path, capsys):
    frame = pq.read_table(folder / "data_df.parquet")
    options = [f"--task={folder / 'task.yaml'}", "--kmer", "1", f"--labels={tmp_path / 'l.parquet'}"]
    pq.write_table(frame.take(np.random.default_rng(0).permutation(len(frame))), tmp_path / "l.parquet")
    assert probe(folder, tmp_path / "p", *options)[0] == 0
    assert "is paired with" in " ".join(capsys.readouterr().err.split())
    pq.write_table(frame.slice(1), tmp_path / "l.parquet")
    assert probe(folder, tmp_path / "q", *options)[0] == 2
    assert "are row numbers, but they have 299 and 300 rows" in " ".join(capsys.readouterr().err.split())
    assert probe(folder, tmp_path / "q", *options[:-1])[0] == 0
    assert "is paired with" not in " ".join(capsys.readouterr().err.split())


def test_several_embeddings_are_seeds_and_another_models_file_is_read(folder, tmp_path):
    vectors = np.random.default_rng(0).standard_normal((300, 5))
    np.save(tmp_path / "theirs.npy", vectors)
    status = main([
        "probe", "--embeddings", str(tmp_path / "theirs.npy"), str(tmp_path / "theirs.npy"), "--seeds=2", "--kmer", "1",
        f"--task={folder / 'task.yaml'}", f"--output={tmp_path / 'p'}",
    ])  # fmt: skip
    assert status == 0
    metrics = json.loads((tmp_path / "p/metrics.json").read_text())
    assert len(metrics["encoder_seeds"]) == 2
    assert "does not state the shape of its encoder" in metrics["missing_controls"]["random-init"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task=regression"], "--task regression needs --labels and --target"),
        (["--task=absent.yaml"], "absent.yaml is neither a file nor the name"),
        (["--task=TASK", "--split=homology"], "needs a table of gene groups"),
        (["--task=TASK", "--split=folds"], "needs the column"),
        (["--task=TASK", "--split=folds", "--folds=gone"], "no column 'gone'"),
        (["--task=TASK", "--readout=last.max"], "no readout 'last.max'"),
        (["--task=TASK", "--compare=k-mer=EMBEDDINGS"], "'k-mer' is the name of one of our feature sets"),
        (["--task=TASK", "--compare", "EMBEDDINGS", "e=EMBEDDINGS"], "has two of one name: e="),
        (["--task=TASK", "--pretraining=nowhere"], "nowhere is not a transcript store"),
    ],
)
def test_what_cannot_be_probed_is_one_line(folder, tmp_path, capsys, options, message):
    options = [
        each.replace("TASK", str(folder / "task.yaml")).replace("EMBEDDINGS", str(folder / "e.parquet"))
        for each in options
    ]
    status, _ = probe(folder, tmp_path / "p", *options)
    error = capsys.readouterr().err
    assert status == 2
    assert message in " ".join(error.split())
    assert "Traceback" not in error
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: (path.mkdir(), (path / "metrics.json").write_text("{}")), "pass --overwrite to replace it"),
        (lambda path: (path.mkdir(), (path / "thesis.tex").write_text("x")), "has no metrics.json; choose another"),
        (lambda path: path.write_text("a file"), "has no metrics.json; choose another"),
        (lambda path: path.parent.write_text("a file"), "cannot be written"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_read(
    tmp_path, capsys, monkeypatch, make, message
):
    output = tmp_path / "runs" / "probe"
    if "cannot" not in message:
        output.parent.mkdir()
    make(output)
    monkeypatch.setattr("orthrus.cli.probing._probe_reserved", lambda options: pytest.fail("work began"))
    status = main(["probe", "--embeddings=gone.parquet", "--task=gone.yaml", f"--output={output}"])
    assert status == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_without_families_the_way_out_is_named_and_works(tmp_path, capsys):
    names = [f"t{i}" for i in range(60)]
    np.savez(tmp_path / "e.npz", ids=np.array(names), vectors=np.random.default_rng(0).standard_normal((60, 3)))
    rows = "\n".join(f"{name}\t{i % 7}" for i, name in enumerate(names))
    (tmp_path / "l.tsv").write_text(f"name\ty\n{rows}\n")
    args = [
        "probe", f"--embeddings={tmp_path / 'e.npz'}", "--task=regression", f"--labels={tmp_path / 'l.tsv'}",
        "--target=y", "--id=name", "--seeds=2", f"--output={tmp_path / 'p'}",
    ]  # fmt: skip
    assert main(args) == 2
    assert "pass --split random" in " ".join(capsys.readouterr().err.split())
    assert main([*args, "--split=random"]) == 0
    document = read_document(tmp_path / "p" / "metrics.json")
    assert document.splits == "2 random splits"


def test_a_run_tells_what_its_encoder_was_pretrained_on(folder, store, tmp_path):
    """Families that the run kept for validation were not seen; the probe scores them apart."""
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text(f"data: {{store: {store.path}, val_fraction: 0.4, test_fraction: 0.1}}\n")
    ids = store.column("transcript_id")
    vectors = np.random.default_rng(0).standard_normal((len(ids), 4)).astype(np.float32)
    metadata = {b"orthrus": json.dumps({"checkpoint": str(run / "checkpoints" / "last.ckpt")}).encode()}
    table = pa.table({"transcript_id": ids, "embedding": list(vectors)})
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "e.parquet")
    values = "\n".join(f"{name}\t{len(store.sequence(i))}" for i, name in enumerate(ids))
    (tmp_path / "l.tsv").write_text(f"transcript_id\ty\n{values}\n")
    args = ["--task=regression", f"--labels={tmp_path / 'l.tsv'}", "--target=y", f"--store={store.path}", "--kmer=1"]
    assert main(["probe", f"--embeddings={tmp_path / 'e.parquet'}", f"--output={tmp_path / 'p'}", *args]) == 0
    document = read_document(tmp_path / "p" / "metrics.json")
    parts = document.by_pretraining
    assert set(parts) == {"transductive", "inductive"}
    side = split_of(store.family_names, 0.4, 0.1)
    of_all = {
        "transductive": (side[store.family] == "train").mean(),
        "inductive": (side[store.family] != "train").mean(),
    }
    for name, part in parts.items():
        share = np.sum(part.rows_per_seed) / np.sum(document.rows_by_seed["test"])
        assert share == pytest.approx(of_all[name], abs=0.1)
        assert {"embedding", "codon", "embedding + codon control"} <= set(part.feature_sets)


@pytest.mark.parametrize("named", [False, True])
def test_a_probe_of_transcripts_whose_genes_nothing_names_says_so_from_the_annotation_on(tmp_path, capsys, named):
    """A BED12 names no genes; a table of them does."""
    n, length = 60, 90
    generator = np.random.default_rng(0)
    genome = "".join(generator.choice(list("ACGT"), 100 * n))
    (tmp_path / "g.fa").write_text(f">c\n{genome}\n")
    rows = [("c", 100 * i, 100 * i + length, f"t{i}", 0, "+", *2 * (100 * i,), 0, 1, length, 0) for i in range(n)]
    (tmp_path / "a.bed").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    (tmp_path / "genes.tsv").write_text("transcript_id\tgene_id\n" + "".join(f"t{i}\tg{i}\n" for i in range(n)))
    source = "{annotation: a.bed, genome: g.fa" + (", genes: genes.tsv}" if named else "}")
    (tmp_path / "spec.yaml").write_text(f"species: {{x: {source}}}\nfilters: {{biotypes: all, min_length: 1}}\n")
    gc = [sum(genome[100 * i : 100 * i + length].count(base) for base in "GC") for i in range(n)]
    (tmp_path / "labels.tsv").write_text("transcript_id\tgc\n" + "".join(f"t{i}\t{gc[i]}\n" for i in range(n)))
    save_encoder(MambaEncoder(6, 16, 1), tmp_path / "encoder")
    store, vectors, output = tmp_path / "store", tmp_path / "e.parquet", tmp_path / "p"
    for command in (
        ["prepare", "--config", tmp_path / "spec.yaml", "--output", store],
        ["embed", "--checkpoint", tmp_path / "encoder", "--input", store, "--output", vectors],
        ["probe", "--embeddings", vectors, "--store", store, "--labels", tmp_path / "labels.tsv", "--target=gc",
         "--task=regression", "--seeds=2", "--kmer", "1", "--output", output],
    ):  # fmt: skip
        assert main([str(part) for part in command]) == 0
    leaks = json.loads((output / "metrics.json").read_text())["leaks"]
    assert leaks["unknown_genes"] == (0 if named else n)
    said = " ".join("".join(capsys.readouterr()).split())
    assert (f"nothing names the gene of {n} rows" in said) is not named
    assert ("family-disjoint splits" in said) is named


def test_a_plain_fasta_leaves_no_split_called_disjoint(tmp_path, capsys):
    bases = np.random.default_rng(0).choice(list("ACGT"), (40, 60))
    (tmp_path / "m.fa").write_text("".join(f">t{i}\n{''.join(row)}\n" for i, row in enumerate(bases)))
    (tmp_path / "l.tsv").write_text("transcript_id\ty\n" + "".join(f"t{i}\t{i % 7}\n" for i in range(40)))
    save_encoder(MambaEncoder(6, 16, 1), tmp_path / "encoder")
    vectors = tmp_path / "e.parquet"
    assert (
        main(["embed", f"--model={tmp_path / 'encoder'}", f"--input={tmp_path / 'm.fa'}", f"--output={vectors}"]) == 0
    )
    task = ["--task=regression", f"--labels={tmp_path / 'l.tsv'}", "--target=y", "--seeds=2"]
    assert main(["probe", f"--embeddings={vectors}", *task, f"--output={tmp_path / 'p'}"]) == 0
    document = read_document(tmp_path / "p" / "metrics.json")
    assert document.leaks.unknown_genes == 40
    assert "family or gene" not in document.leaks.training
    assert "disjoint splits" not in " ".join("".join(capsys.readouterr()).split())
