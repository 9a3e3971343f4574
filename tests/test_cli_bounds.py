"""Every option of every command, and every key of what users write, at the edges of its type: never a traceback."""

import copy
import logging
import shutil
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from orthrus import MambaEncoder
from orthrus.cli import main
from orthrus.cli.command import Argument, Command, OneOf
from orthrus.cli.table import COMMANDS
from orthrus.nn.checkpoints import save_encoder
from tests.builders import build_store

LONG = "n" * 300  # longer than a file's name may be
NUMBERS = ["", "x", "nan", "-1", "1e400", f"{10**30}"]
TEXTS = ["", "x", "[/]", "-1", "nan", ".", LONG]
OUTPUTS = {"--output", "--plot", "--metrics"}
ELSEWHERE = {
    "fit": "tests/training/test_bounds.py",
    "validate": "tests/training/test_bounds.py",
    "finetune": "tests/finetune/test_finetune.py",
    "mcp": "it serves until its input ends",
    "dashboard": "it asks Weights & Biases",
}
WALKED = [command for command in COMMANDS if command.name not in ELSEWHERE]

Files = dict[str, Path]
GIVEN: dict[str, dict[str, str]] = {
    "prepare": {"--config": "{spec}", "--output": "{out}/store", "--workers": "1"},
    "merge": {"stores": "{store}", "--output": "{out}/store"},
    "download": {"--table": "{sources}", "--output": "{out}"},
    "recipes": {"names": "fit/demo", "--output": "{out}"},
    "inspect": {"store": "{store}", "--transcript": "h1.0"},
    "analyse": {"store": "{store}", "--output": "{out}/analysis", "--text": "{fasta}", "--pairs": "5"},
    "embed": {"--input": "{fasta}", "--model": "{encoder}", "--output": "{out}/e.parquet"},
    "models": {},
    "project": {
        "--embeddings": "{embeddings}", "--model": "{encoder}", "--store": "{store}", "--output": "{out}/projected",
    },
    "export": {"--model": "{encoder}", "--output": "{out}/encoder"},
    "predict": {"--input": "{fasta}", "--task": "{head}", "--model": "{encoder}", "--output": "{out}/p.tsv"},
    "neighbours": {
        "--query": "{fasta}", "--embeddings": "{embeddings}", "--model": "{encoder}", "--output": "{out}/n.tsv",
    },
    "variant": {"--input": "{store}", "--variants": "{variants}", "--model": "{encoder}", "--output": "{out}/s.tsv"},
    "mutagenesis": {
        "transcript": "h1.0", "--input": "{store}", "--window": "3-5", "--model": "{encoder}",
        "--output": "{out}/m.tsv",
    },
    "attribute": {
        "transcript": "h1.0", "--input": "{store}", "--task": "{head}", "--model": "{encoder}", "--steps": "2",
        "--method": "gradient-x-input", "--output": "{out}/a.tsv",
    },
    "probe": {
        "--embeddings": "{embeddings}", "--task": "{task}", "--store": "{store}", "--seeds": "1", "--kmer": "1",
        "--output": "{out}/probe",
    },
    "report": {"folder": "{run}", "--output": "{out}/report.html"},
    "study": {"config": "{study}", "--output": "{out}/study", "--list": ""},
    "completion": {"shell": "bash"},
}  # fmt: skip


def arguments(command: Command) -> Iterator[Argument]:
    """Those that take a value."""
    for part in command.arguments:
        for each in part.arguments if isinstance(part, OneOf) else (part,):
            if each.options.get("action") != "store_true":
                yield each


def name_of(argument: Argument) -> str:
    return next((flag for flag in argument.flags if flag.startswith("--")), argument.flags[0])


def argv(command: str, given: dict[str, str], files: Files) -> list[str]:
    """The command line that gives these values, positional ones first."""
    values = {name: text.format(**files) for name, text in given.items()}
    positional = [text for name, text in values.items() if not name.startswith("--")]
    options = [f"{name}={text}" if name != "--list" else name for name, text in values.items() if name.startswith("--")]
    return [command, *positional, *options]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """One small file of each kind that commands read."""
    folder = tmp_path_factory.mktemp("bounds")
    files = {
        name: folder / f"{name}{suffix}"
        for name, suffix in {
            "store": "", "encoder": "", "run": "", "fasta": ".fa", "genome": ".fa", "annotation": ".gtf",
            "variants": ".tsv", "labels": ".tsv", "task": ".yaml", "study": ".yaml", "spec": ".yaml",
            "sources": ".yaml", "empty": ".tsv", "noise": ".parquet", "embeddings": ".parquet", "orthologs": ".tsv",
            "coordinates": ".tsv",
        }.items()
    }  # fmt: skip
    files["out"], files["head"] = folder / "out", folder / "run" / "probe" / "head"
    store = build_store(files["store"], n_genes=40, isoforms=1, length=72)
    torch.manual_seed(0)
    save_encoder(MambaEncoder(6, 8, 1), files["encoder"])
    bases = "".join(np.random.default_rng(0).choice(list("ACGT"), 400))
    files["fasta"].write_text(f">a\n{bases[:90]}\n>b\n{bases[90:200]}\n")
    files["genome"].write_text(f">1\n{bases}\n")
    row = '1\tx\texon\t{0}\t{1}\t.\t+\t.\tgene_id "g{0}"; transcript_id "t{0}";\n'
    files["annotation"].write_text(row.format(1, 90) + row.format(120, 260))
    base = store.sequence(store.index_of("h1.0"))[2]
    base = store.sequence(store.index_of("h1.0"))[2]
    files["variants"].write_text(f"transcript_id\tpos\tref\talt\nh1.0\t3\t{base}\tN\n")
    names = store.column("transcript_id")
    labels = {"transcript_id": names, "value": np.arange(len(names)) % 17, "fold": np.arange(len(names)) % 3}
    pd.DataFrame(labels).to_csv(files["labels"], sep="\t", index=False)
    files["orthologs"].write_text("species_a\tgene_a\tspecies_b\tgene_b\nhuman\tg1\tmouse\tx1\n")
    files["coordinates"].write_text("transcript_id\tlength\na\t90\nb\t110\n")
    files["empty"].write_text("")
    files["noise"].write_bytes(bytes(range(256)))
    for name, document in documents(files).items():
        files[name].write_text(yaml.safe_dump(document))
    return files


@pytest.fixture(scope="module")
def answering(files: Files) -> Files:
    """Those files, embeddings and a head too."""
    given = f"--model={files['encoder']}", f"--store={files['store']}"
    probe = ["probe", *given, f"--task={files['task']}", "--seeds=1", "--kmer", "1"]
    embed = ["embed", given[0], f"--input={files['store']}", f"--output={files['embeddings']}"]
    assert main(embed) == main([*probe, f"--output={files['run'] / 'probe'}"]) == 0
    return files


def documents(files: Files) -> dict[str, Any]:
    """What users write, with every kind of key."""
    return {
        "spec": {
            "species": {
                "human": {"annotation": "annotation.gtf", "genome": "genome.fa", "genetic_code": {"MT": 2}},
                "mouse": {"transcripts": "fasta.fa", "coordinates": "coordinates.tsv", "genetic_code": 1},
            },
            "orthologs": ["orthologs.tsv"],
            "homologs": [{"table": "orthologs.tsv", "species": "human", "by": "id"}],
            "aliases": {"human": ["man"]},
            "filters": {
                "biotypes": "all", "min_length": 10, "max_length": 400, "primary_contigs": False, "skip_species": ["x"],
            },
            "cds_frame": "annotated",
            "join_similar": True,
        },
        "task": {
            "name": "value", "labels": "labels.tsv", "id": "transcript_id", "target": "value", "task": "regression",
            "metric": "pearson_r", "split": "folds", "folds": "fold", "source": "nobody", "licence": "none",
        },
        "study": {
            "fit": "fit/demo", "nucleotides": [1e5], "seeds": [0], "axes": {"size": {"one": {"data.token_budget": 9}}},
            "settings": {"data.token_budget": 1000}, "warmup": 0.1,
            "probe": {
                "store": str(files["store"]), "tasks": [str(files["task"])], "readouts": ["last.mean"], "splits": 2,
            },
        },
        "sources": {
            "a": {
                "title": "t", "version": "1", "homepage": "h", "licence": "l", "url": "http://localhost:1/a",
                "files": ["b"], "checksums": "SUMS", "folders": False,
            },
        },
    }  # fmt: skip


def test_every_command_is_walked_or_said_where() -> None:
    assert {command.name for command in WALKED} == set(GIVEN)
    assert set(ELSEWHERE) < {command.name for command in COMMANDS}


@pytest.mark.parametrize("command", WALKED, ids=lambda command: command.name)
def test_every_number_has_bounds_that_are_said(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    for argument in arguments(command):
        if argument.options.get("type", Path) is Path or name_of(argument) == "shell":
            continue
        assert argument.options["type"] is not int  # which has no bounds
        for text in NUMBERS:
            given = GIVEN[command.name] | {name_of(argument): text}
            files = {name: Path(name) for name in ("out", "spec", "store", "fasta", "encoder", "embeddings", "task",
                "head", "variants", "run", "study", "sources")}  # fmt: skip
            assert main(argv(command.name, given, files)) == 2
            assert f"argument {name_of(argument)}: it is {text!r}; expected" in capsys.readouterr().err


class Walk:
    """Runs commands one after another; what must not be is collected, rather than the first of it."""

    def __init__(self, files: Files, capsys: pytest.CaptureFixture[str]) -> None:
        self.files, self.capsys = files, capsys
        self.failed: list[str] = []

    def __call__(self, what: str, command: list[str]) -> None:
        out = self.files["out"]
        shutil.rmtree(out, ignore_errors=True)
        (out / "taken").mkdir(parents=True)
        (out / "taken" / "file").write_text("x")
        before = sorted(out.rglob("*"))
        try:
            status = main(command)
        except BaseException as error:
            self.failed.append(f"{what}: {error!r:.300}")
            return
        said = self.capsys.readouterr().err
        if status not in (0, 2) or "Traceback" in said:
            self.failed.append(f"{what}: status {status}")
        if status == 2 and (left := sorted(set(out.rglob("*")) - set(before))):
            self.failed.append(f"{what}: left {left}")


@pytest.fixture
def walk(files: Files, capsys: pytest.CaptureFixture[str]) -> Iterator[Walk]:
    logging.disable()
    walk = Walk(files, capsys)
    yield walk
    logging.disable(logging.NOTSET)
    assert not walk.failed, "\n".join(walk.failed)


@pytest.mark.parametrize("command", WALKED, ids=lambda command: command.name)
def test_outputs_that_cannot_be_are_refused(command: Command, walk: Walk) -> None:
    for argument in arguments(command):
        name = name_of(argument)
        for text in ("", "/", "{out}/taken", "{out}/taken/file/x.tsv", f"{{out}}/{LONG}.tsv", "{out}/x.unknown"):
            if name in OUTPUTS and not (command.name in ("download", "recipes") and text in ("", "/")):
                walk(
                    f"{command.name} {name}={text}", argv(command.name, GIVEN[command.name] | {name: text}, walk.files)
                )


@pytest.mark.slow
@pytest.mark.parametrize("command", WALKED, ids=lambda command: command.name)
@pytest.mark.usefixtures("answering")
def test_every_option_at_its_edges(command: Command, walk: Walk) -> None:
    folder = str(walk.files["out"] / "taken")
    paths = ["", folder, "missing", str(walk.files["empty"]), str(walk.files["noise"]), str(walk.files["labels"]), LONG]
    for argument in arguments(command):
        name, kind = name_of(argument), argument.options.get("type")
        if name in OUTPUTS or name == "--wandb":
            continue
        for text in paths if kind is Path else TEXTS if kind is None else ["1", "2", "1000"]:
            given = GIVEN[command.name] | {name: text}
            if name == "--annotation":
                del given["--input"]
            walk(f"{command.name} {name}={text[:60]}", argv(command.name, given, walk.files))


ODD = [
    None,
    "",
    "x",
    ".",
    "missing.txt",
    -1,
    0,
    10**30,
    float("nan"),
    float("inf"),
    True,
    [],
    [None],
    {},
    {"x": [1]},
    {1: 2},
]
READ: dict[str, Callable[[Files], list[str]]] = {
    "spec": lambda files: ["prepare", f"--config={files['odd']}", "--list"],
    "task": lambda files: [
        "probe",
        f"--task={files['odd']}",
        f"--embeddings={files['noise']}",
        f"--output={files['out']}/p",
    ],
    "study": lambda files: ["study", str(files["odd"]), f"--output={files['out']}/study", "--list"],
    "sources": lambda files: ["download", f"--table={files['odd']}"],
}


def changed(document: Any) -> Iterator[tuple[str, Any]]:
    """A document with one value of it exchanged for each odd one, one key or item left out, or one key too many."""

    def places(node: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        yield path
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            yield from places(node[key], (*path, key))

    for path in places(document, ()):
        for value in (*ODD, KeyError):
            new = copy.deepcopy({"": document})
            node: Any = new
            for key in ("", *path)[:-1]:
                node = node[key]
            if value is not KeyError:
                node[("", *path)[-1]] = value
            elif path:
                del node[path[-1]]
            yield f"{'.'.join(map(str, path))} = {value!r}", new[""]


def read_each(kind: str, walk: Walk, step: int) -> None:
    odd = walk.files["odd"] = walk.files[kind].with_name("odd.yaml")
    for what, document in islice(changed(documents(walk.files)[kind]), 0, None, step):
        odd.write_text(yaml.safe_dump(document))
        walk(f"{kind}: {what}", READ[kind](walk.files))


@pytest.mark.parametrize("kind", READ)
def test_keys_of_what_users_write(kind: str, walk: Walk) -> None:
    read_each(kind, walk, step=7)  # of 17 values a key, another two or three for each


@pytest.mark.slow
@pytest.mark.parametrize("kind", READ)
def test_every_key_of_what_users_write(kind: str, walk: Walk) -> None:
    read_each(kind, walk, step=1)
