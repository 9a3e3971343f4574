"""Commands that make a transcript store and show its contents."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from orthrus.cli.command import OVERWRITE, Command, OneOf, Result, argument, whole
from orthrus.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from orthrus.store import TranscriptStore


def _prepare(options: argparse.Namespace) -> Result:
    from orthrus.prepare import load_spec, prepare

    if options.list:
        species = list(dict.fromkeys(source.species for source in load_spec(options.config).sources))
        return Result(figures={"species": species}, shown=[*species])
    prepare(
        options.config,
        options.output,
        overwrite=options.overwrite,
        workers=options.workers,
        species=options.species,
    )
    return _store_made(options.output)


def _merge(options: argparse.Namespace) -> Result:
    from orthrus.store import merge_stores

    merge_stores(options.stores, options.output, overwrite=options.overwrite)
    return _store_made(options.output)


def _store_made(path: Path) -> Result:
    from orthrus.store import TranscriptStore
    from orthrus.store.inspect import describe_store

    store = TranscriptStore.open(path)
    return Result([path], _counts(store), [describe_store(store)])


def _counts(store: "TranscriptStore") -> dict[str, Any]:
    return {"counts": store.meta["counts"], "dropped": store.meta["dropped"], "notes": store.meta["warnings"]}


def _download(options: argparse.Namespace) -> Result:
    from orthrus.prepare.download import describe_sources, download, load_sources
    from orthrus.recipes import find_recipe

    sources = load_sources(find_recipe(options.table))
    if not options.sources:
        return Result(figures={"sources": list(sources)}, shown=[describe_sources(sources.values())])
    for name in options.sources:
        if name not in sources:
            raise InputError(
                f"{options.table} has no source {name!r}{did_you_mean(name, sources)}; expected some of"
                f" {', '.join(sources)}."
            )
    if options.output is None:
        raise InputError("no folder to download to; pass --output DIR or set ORTHRUS_DATA.")
    paths = [path for name in options.sources for path in download(sources[name], options.output, options.folder)]
    return Result(paths, {"files": len(paths)}, [str(path) for path in paths])


def _recipes(options: argparse.Namespace) -> Result:
    from orthrus.recipes import copy_recipes, describe, shipped

    if options.names:
        copies = copy_recipes(options.names, options.output, options.overwrite)
        return Result(copies, {"files": len(copies)}, [str(path) for path in copies])
    about = {name: describe(path) for name, path in shipped().items()}
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("name", header_style="dim", no_wrap=True)
    table.add_column("what", header_style="dim")
    for name, text in about.items():
        table.add_row(name, text)
    return Result(figures={"recipes": about}, shown=[table])


def _inspect(options: argparse.Namespace) -> Result:
    from orthrus.store import TranscriptStore
    from orthrus.store.inspect import describe_store, describe_transcript

    store = TranscriptStore.open(options.store)
    result = Result(figures=_counts(store))
    if options.verify:
        store.verify()
        result.figures["verified"] = True
        result.shown.append("all checksums match")
    if options.transcript:
        row = store.index_of(options.transcript)
        result.figures = {**store.transcripts.slice(row, 1).to_pylist()[0], "sequence": store.sequence(row)}
        result.shown.append(describe_transcript(store, options.transcript))
    else:
        result.shown.append(describe_store(store))
    return result


def _analyse(options: argparse.Namespace) -> Result:
    from orthrus.analyse import analyse, describe_analysis
    from orthrus.store import TranscriptStore

    document = analyse(
        TranscriptStore.open(options.store),
        options.output,
        text=options.text,
        symbols=options.symbols,
        pairs=options.pairs,
        seed=options.seed,
        overwrite=options.overwrite,
    )
    return Result([options.output], document, [describe_analysis(document), f"tables and plots: {options.output}"])


_GROUP = "Transcripts and stores"
_STORE = argument("store", type=Path, metavar="STORE", help="folder of `orthrus prepare`")

COMMANDS = (
    Command(
        "prepare", _GROUP, "Turn annotation + genome, or mRNAs + coordinates, into a transcript store.", _prepare,
        (
            argument(
                "--config", type=Path, required=True, metavar="SPEC",
                help="YAML of the files to read, or the name of a shipped one",
            ),
            OneOf((
                argument("--output", type=Path, metavar="STORE", help="folder to make"),
                argument("--list", action="store_true", help="print the spec's species and make nothing"),
            )),
            argument("--species", nargs="+", default=[], metavar="NAME", help="only these species: a shard, for merge"),
            OVERWRITE,
            argument("--workers", type=whole(1, 1024), metavar="N", help="processes that splice (default: one a core)"),
        ),
        ("orthrus prepare --config prepare/demo --output stores/demo",),
    ),
    Command(
        "merge", _GROUP, "Join stores of some species each into one, with their families.", _merge,
        (
            argument("stores", type=Path, nargs="+", metavar="STORE", help="shards, in their order in the result"),
            argument("--output", type=Path, required=True, metavar="STORE", help="folder to make"),
            OVERWRITE,
        ),
        ("orthrus merge stores/human stores/mouse --output stores/both",),
    ),
    Command(
        "download", _GROUP, "Download public data with checksums, continuing after an interruption.", _download,
        (
            argument("sources", nargs="*", metavar="SOURCE", help="names in the table; without one, show the table"),
            argument("--folder", nargs="+", default=[], help="folders of a source that has many"),
            argument("--table", type=Path, default=Path("data/sources"), help="default: the shipped one, %(default)s"),
            argument(
                "--output", type=Path, default=os.environ.get("ORTHRUS_DATA"), metavar="DIR",
                help="default: $ORTHRUS_DATA",
            ),
        ),
        ("orthrus download", "orthrus download gencode-human --output data"),
    ),
    Command(
        "recipes", _GROUP, "Show the shipped recipes, tasks and Slurm scripts, or copy some of them.", _recipes,
        (
            argument("names", nargs="*", metavar="NAME", help="such as fit/demo, probe or slurm; without: list them"),
            argument("--output", type=Path, default=Path(), metavar="DIR", help="default: the working folder"),
            argument("--overwrite", action="store_true", help="replace copies that differ"),
        ),
        ("orthrus recipes", "orthrus recipes fit/demo --output mine"),
    ),
    Command(
        "inspect", _GROUP, "Print the contents of a store.", _inspect,
        (
            _STORE,
            argument("--transcript", metavar="ID", help="show this transcript with its tracks"),
            argument("--verify", action="store_true", help="compare every file with its checksum first"),
        ),
        ("orthrus inspect stores/demo", "orthrus inspect stores/demo --transcript NM_000039"),
    ),
    Command(
        "analyse", _GROUP, "Measure structure, composition and similarity of a store's sequences.", _analyse,
        (
            _STORE,
            argument("--output", type=Path, required=True, metavar="DIR", help="folder of tables and plots to make"),
            argument("--text", type=Path, help="English text to compare with (default: Alice in Wonderland)"),
            argument("--symbols", type=whole(1), help="size of a compressed sample (default: the size of the text)"),
            argument(
                "--pairs", type=whole(1, 1_000_000), default=500,
                help="pairs compared of each kind (default: %(default)s)",
            ),
            argument("--seed", type=whole(0, 2**32 - 1), default=0, help="seed of all samples (default: %(default)s)"),
            OVERWRITE,
        ),
        ("orthrus analyse stores/demo --output runs/demo/analysis",),
    ),
)  # fmt: skip
