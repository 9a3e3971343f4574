"""The commands as a user gives them: the whole path once, and what they say when it cannot be gone."""

import gzip
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import yaml

import orthrus
from orthrus import MambaEncoder, TranscriptStore, load_encoder, scan
from orthrus.cli import main
from orthrus.cli.parser import build_parser, check_names
from orthrus.cli.table import COMMANDS
from orthrus.nn.checkpoints import save_encoder
from tests.builders import build_store


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder") / "encoder"
    save_encoder(MambaEncoder(6, 16, 1), folder)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_store(tmp_path_factory.mktemp("cli") / "store", n_genes=40).path


@pytest.fixture
def labels(store: Path, tmp_path: Path) -> Path:
    opened = TranscriptStore.open(store)
    lengths = opened.lengths.astype(float)
    table = pd.DataFrame(
        {
            "transcript_id": opened.column("transcript_id"),
            "gene_name": opened.column("gene_name"),
            "value": lengths + np.random.default_rng(0).normal(size=len(lengths)),
            "constant": 1.0,
            "empty": np.nan,
        }
    )
    path = tmp_path / "labels.tsv"
    table.to_csv(path, sep="\t", index=False)
    return path


@pytest.fixture
def embeddings(store: Path, encoder: Path, tmp_path: Path) -> Path:
    output = tmp_path / "e.parquet"
    assert main(["embed", f"--checkpoint={encoder}", f"--input={store}", f"--output={output}"]) == 0
    return output


def test_the_scan_backend_is_named_in_the_log(
    store: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORTHRUS_SCAN", "plain")
    scan._announce.cache_clear()
    assert main(["embed", f"--checkpoint={encoder}", f"--input={store}", f"--output={tmp_path / 'e.parquet'}"]) == 0
    assert "selective scan on cpu: plain" in capsys.readouterr().err


def refusal(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    """What a refused command says: a line on stderr, without a traceback."""
    assert main([str(arg) for arg in args]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    line = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(line) == 1
    return line[0]


def test_from_embedding_to_report(
    store: Path, encoder: Path, embeddings: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    embeddings = embeddings.rename(run / "embeddings.parquet")
    probe = ["probe", f"--embeddings={embeddings}", f"--labels={labels}", "--target=value", "--task=regression"]
    assert main([*probe, f"--output={run / 'probe'}", f"--store={store}", "--seeds=3"]) == 0
    out = capsys.readouterr().out
    for name in ("embedding", "random-init", "k-mer"):
        assert name in out
    assert main(["report", str(run)]) == 0
    out = capsys.readouterr().out
    assert "value, Pearson R: " in out
    assert f"page: {run / 'report.html'}" in out
    page = (run / "report.html").read_text()
    assert "<html" in page
    assert "http-equiv" not in page
    assert 'src="http' not in page


def test_without_a_store_the_missing_controls_are_named(
    embeddings: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    probe = ["probe", f"--embeddings={embeddings}", f"--labels={labels}", "--target=value", "--task=regression"]
    assert main([*probe, f"--output={tmp_path / 'probe'}", "--seeds=3"]) == 0
    shown = capsys.readouterr()
    assert "random-init" in shown.out + shown.err
    assert "--store" in shown.out + shown.err


def test_fasta_with_and_without_coordinates_embed(encoder: Path, repository: Path, tmp_path: Path) -> None:
    demo = repository / "data" / "demo"
    with gzip.open(demo / "human_short.fa.gz", "rt") as stream:
        lines = [next(stream) for _ in range(8)]
    fasta = tmp_path / "some.fa"
    fasta.write_text("".join(lines))
    embed = ["embed", f"--checkpoint={encoder}", f"--input={fasta}"]
    assert main([*embed, "--cds=none", f"--output={tmp_path / 'bare.parquet'}"]) == 0
    assert main([*embed, f"--output={tmp_path / 'found.parquet'}"]) == 0
    coordinates = f"--coordinates={demo / 'human_short.tsv.gz'}"
    assert main([*embed, coordinates, f"--output={tmp_path / 'known.parquet'}"]) == 0
    bare, found, known = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("bare", "found", "known"))
    assert bare["transcript_id"].to_pylist() == known["transcript_id"].to_pylist()
    assert bare["embedding"] != known["embedding"]  # the CDS track counts
    assert found["embedding"] == known["embedding"]  # of these mRNAs the longest open reading frame is the CDS


def test_fasta_records_without_a_sequence_are_left_out_named_and_counted_before_the_work(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fasta, output = tmp_path / "some.fa", tmp_path / "e.parquet"
    embed = ["embed", f"--checkpoint={encoder}", f"--input={fasta}", f"--output={output}"]
    fasta.write_text(">empty\n\n>a\nACGTACGT\n>last\n")
    assert main(embed) == 0
    assert pq.read_table(output)["transcript_id"].to_pylist() == ["a"]
    told = " ".join(capsys.readouterr().err.split())
    assert told.index("2 records without a sequence (for example empty, last)") < told.index("embedding ")
    fasta.write_text(">empty\n\n>last\n")
    assert main([*embed, "--overwrite"]) == 2
    told = capsys.readouterr().err
    assert "no transcript of" in told
    assert "2 records without a sequence (for example empty, last)" in told
    assert len(pq.read_table(output)) == 1  # the one before is kept


def test_fasta_with_cr_line_ends_is_refused_by_name_before_the_work(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old.fa").write_bytes(b">a\rACGT\r>b\rACGTACGT\r")
    embed = ["embed", f"--checkpoint={encoder}", f"--input={tmp_path / 'old.fa'}", f"--output={tmp_path}/e.parquet"]
    assert main(embed) == 2
    assert "old.fa has lines that end in CR alone; convert them" in capsys.readouterr().err


@pytest.mark.shared
def test_an_annotation_with_its_genome_embeds(encoder: Path, shared: Path, tmp_path: Path) -> None:
    data = shared / "data" / "mhc4"
    output = tmp_path / "e.parquet"
    annotation, genome = (data / f"cat.{name}.gz" for name in ("annotation.gtf", "genome.fa"))
    args = [f"--checkpoint={encoder}", f"--input={annotation}", f"--genome={genome}", f"--output={output}"]
    assert main(["embed", *args]) == 0
    assert len(pq.read_table(output)) >= 24


def test_what_cannot_be_embedded_is_said(
    store: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "e.parquet"
    given = ["embed", "--checkpoint", encoder, "--input", store, "--output", output]

    def with_(name: str, value: object) -> list[object]:
        return [value if given[i - 1] == name else part for i, part in enumerate(given)]

    assert "nowhere.ckpt" in refusal(capsys, *with_("--checkpoint", "nowhere.ckpt"))
    assert "nowhere" in refusal(capsys, *with_("--input", "nowhere"))
    garbage = tmp_path / "garbage.ckpt"
    garbage.write_bytes(b"no checkpoint at all")
    assert "garbage.ckpt" in refusal(capsys, *with_("--checkpoint", garbage))
    five = tmp_path / "five"
    save_encoder(MambaEncoder(5, 16, 1), five)
    assert "n_tracks is 5" in refusal(capsys, *with_("--checkpoint", five))
    protein = tmp_path / "protein.fa"
    protein.write_text(">P1\nMKLVFEEQ\n")
    assert "nucleotide" in refusal(capsys, *with_("--input", protein))
    annotation = tmp_path / "some.gtf"
    annotation.write_text('#!genome-build X\n1\ta\texon\t1\t9\t.\t+\t.\tgene_id "g"; transcript_id "t";\n')
    assert "give its genome too: --genome" in refusal(capsys, *with_("--input", annotation))
    assert "argument --token-budget: it is '0'" in refusal(capsys, *given, "--token-budget", "0")
    assert "device" in refusal(capsys, *given, "--device", "cuda:7")
    assert not output.exists()
    assert not list(tmp_path.glob("*.partial"))


def test_what_cannot_be_probed_is_said(
    embeddings: Path, labels: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "probe"

    def probe(target: str = "value", labels: Path = labels, embeddings: Path = embeddings) -> str:
        given = ["probe", "--embeddings", embeddings, "--labels", labels, "--target", target]
        return refusal(capsys, *given, "--task", "regression", "--output", output, "--store", store)

    assert "nothing" in probe("nothing")
    assert "gene_name" in probe("nothing")  # the columns that there are
    assert "constant" in probe("constant")
    assert "empty" in probe("empty")
    strangers = tmp_path / "strangers.tsv"
    strangers.write_text("transcript_id\tvalue\nX1\t1\nX2\t2\n")
    said = probe(labels=strangers)
    assert "0" in said
    assert "X1" in said
    assert "nowhere" in probe(labels=tmp_path / "nowhere")
    assert "nowhere" in probe(embeddings=tmp_path / "nowhere")
    assert not output.exists()


def test_labels_without_a_value_are_dropped_and_counted(
    embeddings: Path, labels: Path, store: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(labels, sep="\t")
    table.loc[:9, "value"] = np.nan
    table.to_csv(labels, sep="\t", index=False)
    probe = ["probe", f"--embeddings={embeddings}", f"--labels={labels}", "--target=value", "--task=regression"]
    assert main([*probe, f"--output={tmp_path / 'probe'}", f"--store={store}", "--seeds=2"]) == 0
    counts = pd.read_json(tmp_path / "probe" / "metrics.json", typ="series")["counts"]
    assert 10 in counts.values()


def test_an_inspected_transcript_shows_its_sequence(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(store), "--transcript", "h0.1", "--verify"]) == 0
    out = capsys.readouterr().out
    assert TranscriptStore.open(store).sequence(1)[:40] in out.replace(" ", "")
    assert "h0.9" in refusal(capsys, "inspect", store, "--transcript", "h0.9")


def test_an_exported_encoder_is_read_back_bit_for_bit(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "shared"
    assert main(["export", f"--checkpoint={encoder}", f"--output={folder}"]) == 0
    for name, tensor in load_encoder(folder).state_dict().items():
        assert torch.equal(tensor, load_encoder(encoder).state_dict()[name])
    assert (folder / "README.md").is_file()
    assert "exists" in refusal(capsys, "export", "--checkpoint", encoder, "--output", folder)


def test_a_resumed_run_of_another_shape_is_refused(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "four.ckpt"
    four = MambaEncoder(4, 16, 1)
    state = {f"encoder.{name}": value for name, value in four.state_dict().items()}
    torch.save({"state_dict": state, "orthrus": {"encoder": four.config}}, checkpoint)
    said = refusal(
        capsys, "fit", "--config=conf/fit/demo.yaml", f"--data.store={store}", f"--ckpt_path={checkpoint}",
        f"--trainer.default_root_dir={tmp_path / 'run'}",
    )  # fmt: skip
    assert "n_tracks 4" in said
    assert "n_tracks 6" in said
    assert not (tmp_path / "run").exists()


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    for name in ("prepare", "inspect", "fit", "validate", "embed", "probe", "report"):
        assert f"\n    {name} " in out or f"{{{name}" in out or f" {name} " in out


def test_every_command_has_examples_that_parse(capsys: pytest.CaptureFixture[str]) -> None:
    parser = build_parser(COMMANDS, "0")
    for command in COMMANDS:
        assert command.examples, command.name
        for example in command.examples:
            words = shlex.split(example.split(" > ")[0])
            assert words[:2] == ["orthrus", command.name]
            check_names(COMMANDS, words[1:])
            if not command.lightning:
                assert parser.parse_args(words[1:]).command is command
        with pytest.raises(SystemExit):
            parser.parse_args([command.name, "--help"])
        shown = capsys.readouterr().out
        assert all(example in shown for example in command.examples)


def test_the_help_of_fit_is_short_and_its_settings_are_lightnings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) < 60
    assert "--help-all" in shown
    (fit,) = (command for command in COMMANDS if command.name == "fit")
    flags = [part.flags[0] for part in fit.arguments if part.flags[0].startswith(("--data", "--model", "--trainer"))]
    values = {"--trainer.logger": "orthrus.training.wandb_run.WandbRun", "--model.learning_rate": "0.5"}
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config=fit/demo", *(f"{flag}={values.get(flag, 7)}" for flag in flags), "--print_config"])
    assert stop.value.code == 0
    recipe = yaml.safe_load(capsys.readouterr().out)
    assert recipe["model"]["encoder"]["init_args"]["d_model"] == recipe["trainer"]["max_steps"] == 7


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (["embd"], "embed"),
        (["neighbors", "--query", "x"], "neighbours"),
        (["embed", "--imput", "x"], "--input"),
        (["embed", "--ouput=x"], "--output"),
        (["embed", "--checkpoints", "x"], "--checkpoint"),
        (["fit", "--config=fit/demo", "--model.lr=1"], "--model.learning_rate"),
        (["probe", "--task=regresion", "--embeddings=x", "--output=y"], "regression"),
        (["predict", "--task=half_live", "--input=x", "--output=y.tsv"], "half_life"),
        (["download", "gencode-humn"], "gencode-human"),
    ],
)
def test_what_was_probably_meant_is_said(args: list[str], meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"did you mean {meant!r}?" in refusal(capsys, *args)


def test_a_missing_option_is_an_error_of_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--output" in refusal(capsys, "embed", "--input", "x")
    assert "orthrus embed --help" in refusal(capsys, "embed", "--input", "x")


def test_json_is_one_object_on_stdout(
    store: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fasta = tmp_path / "some.fa"
    fasta.write_text(">a\nACGTACGT\n>empty\n>b\nGGG\n")
    output = tmp_path / "e.tsv"
    given = ["embed", f"--model={encoder}", f"--input={fasta}", f"--output={output}", "--json"]
    assert main(given) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["command"] == "embed"
    assert found["outputs"] == [str(output)]
    assert found["figures"]["transcripts"] == 2
    assert any("records without a sequence" in line for line in found["warnings"])
    assert any("without CDS track" in line for line in found["warnings"])
    assert main(given) == 2
    found = json.loads(capsys.readouterr().out)
    assert "exists" in found["error"]
    help_and_recipe = (["embed", "--help"], ["fit", "--config=fit/demo", "--print_config"])
    for args in help_and_recipe:
        assert main([*args, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["outputs"] == []
    for args in (["inspect", str(store)], ["models"], ["recipes"], ["completion", "bash"]):
        assert main([*args, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["figures"]


def test_the_package_runs_as_a_module_and_lists_its_names() -> None:
    script = "import orthrus; print(orthrus.__version__, *dir(orthrus))"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert set(orthrus.__all__) <= set(shown)
    ran = subprocess.run([sys.executable, "-m", "orthrus", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == shown[0]


@pytest.mark.parametrize("args", [["recipes"], ["inspect", "STORE"], ["models", "--json"]])
def test_a_reader_that_leaves_early_is_no_error(args: list[str], store: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "orthrus", *(str(store) if arg == "STORE" else arg for arg in args)]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.returncode == 0
    assert "Error" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_scripts_know_commands_and_options(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(command.name in script for command in COMMANDS)
    assert "token-budget" in script


def test_the_notice_of_a_time_limit_that_comes_after_the_work_changes_no_status() -> None:
    script = """
import os, signal, sys
from orthrus.cli import main
class AtTheVeryEnd:  # collected when modules are taken down, after all handlers of Python have gone
    def __del__(self, kill=os.kill, process=os.getpid(), notice=signal.SIGUSR1):
        kill(process, notice)
last = AtTheVeryEnd()
sys.exit(main(["recipes"]))
"""
    assert subprocess.run([sys.executable, "-c", script], stdout=subprocess.DEVNULL).returncode == 0
