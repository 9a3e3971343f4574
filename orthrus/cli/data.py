"""Commands that make a transcript store and show what it holds."""

import argparse
import os
from pathlib import Path

from rich.console import Console
from rich.table import Table

from orthrus.cli.commands import AddCommand
from orthrus.errors import InputError


def add_commands(command: AddCommand) -> None:
    prepare = command("prepare", _prepare, "Turn annotation + genome, or mRNAs + coordinates, into a transcript store.")
    prepare.add_argument(
        "--config", type=Path, required=True, metavar="SPEC.yaml", help="what to read; or a shipped spec's name"
    )
    output = prepare.add_mutually_exclusive_group(required=True)
    output.add_argument("--output", type=Path, metavar="STORE", help="folder to make")
    output.add_argument("--list", action="store_true", help="print the spec's species and make nothing")
    prepare.add_argument("--species", nargs="+", default=[], metavar="NAME", help="only these: a shard, for merge")
    prepare.add_argument("--overwrite", action="store_true", help="replace an existing store")
    prepare.add_argument("--workers", type=int, metavar="N", help="processes that splice (default: one a core)")

    merge = command("merge", _merge, "Join stores of some species each into one, with their families.")
    merge.add_argument("stores", type=Path, nargs="+", metavar="STORE", help="shards, in the order they are to have")
    merge.add_argument("--output", type=Path, required=True, metavar="STORE", help="folder to make")
    merge.add_argument("--overwrite", action="store_true", help="replace an existing store")

    download = command("download", _download, "Fetch public data with checksums, going on after an interruption.")
    download.add_argument("sources", nargs="*", metavar="SOURCE", help="names in the table; none: show the table")
    download.add_argument("--folder", nargs="+", default=[], help="of a source that is many folders")
    download.add_argument(
        "--table", type=Path, default=Path("data/sources"), help="default: the shipped one, %(default)s"
    )
    download.add_argument(
        "--output", type=Path, default=os.environ.get("ORTHRUS_DATA"), metavar="DIR", help="default: $ORTHRUS_DATA"
    )

    recipes = command("recipes", _recipes, "Show the shipped recipes, tasks and Slurm scripts, or copy some of them.")
    recipes.add_argument("names", nargs="*", metavar="NAME", help="such as fit/demo, probe or slurm; none: show them")
    recipes.add_argument("--output", type=Path, default=Path(), metavar="DIR", help="default: the working folder")
    recipes.add_argument("--overwrite", action="store_true", help="replace copies that differ")

    inspect = command("inspect", _inspect, "Print what a store holds.")
    inspect.add_argument("store", type=Path, metavar="STORE")
    inspect.add_argument("--transcript", metavar="ID", help="show this transcript with its tracks")
    inspect.add_argument("--verify", action="store_true", help="compare every file with its checksum first")

    analyse = command("analyse", _analyse, "Measure structure, composition and similarity of a store's sequences.")
    analyse.add_argument("store", type=Path, metavar="STORE")
    analyse.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of tables and plots to make")
    analyse.add_argument("--text", type=Path, help="English text to compare with (default: Alice in Wonderland)")
    analyse.add_argument("--symbols", type=int, help="size of a compressed sample (default: that of the text)")
    analyse.add_argument("--pairs", type=int, default=500, help="pairs compared of each kind (default: %(default)s)")
    analyse.add_argument("--seed", type=int, default=0, help="of all samples (default: %(default)s)")
    analyse.add_argument("--overwrite", action="store_true", help="replace an existing output")


def _prepare(options: argparse.Namespace) -> None:
    from orthrus.prepare import load_spec, prepare
    from orthrus.store import TranscriptStore
    from orthrus.store.inspect import describe_store

    if options.list:
        print(*dict.fromkeys(source.species for source in load_spec(options.config).sources), sep="\n")
        return
    prepare(
        options.config,
        options.output,
        overwrite=options.overwrite,
        workers=options.workers,
        species=options.species,
    )
    Console().print(describe_store(TranscriptStore.open(options.output)))


def _merge(options: argparse.Namespace) -> None:
    from orthrus.store import merge_stores
    from orthrus.store.inspect import describe_store

    Console().print(describe_store(merge_stores(options.stores, options.output, overwrite=options.overwrite)))


def _download(options: argparse.Namespace) -> None:
    from orthrus.prepare.download import describe_sources, download, load_sources
    from orthrus.recipes import find_recipe

    sources = load_sources(find_recipe(options.table))
    if not options.sources:
        Console().print(describe_sources(sources.values()))
        return
    for name in options.sources:
        if name not in sources:
            raise InputError(f"{options.table} has no source {name!r}; expected some of {', '.join(sources)}.")
    if options.output is None:
        raise InputError("nothing says where to; pass --output DIR or set ORTHRUS_DATA.")
    for name in options.sources:
        for path in download(sources[name], options.output, options.folder):
            print(path)


def _recipes(options: argparse.Namespace) -> None:
    from orthrus.recipes import copy_recipes, describe, shipped

    if options.names:
        print(*copy_recipes(options.names, options.output, options.overwrite), sep="\n")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("name", header_style="dim", no_wrap=True)
    table.add_column("what", header_style="dim")
    for name, path in shipped().items():
        table.add_row(name, describe(path))
    Console().print(table)


def _inspect(options: argparse.Namespace) -> None:
    from orthrus.store import TranscriptStore
    from orthrus.store.inspect import describe_store, describe_transcript

    store = TranscriptStore.open(options.store)
    if options.verify:
        store.verify()
        print("all checksums match")
    described = describe_transcript(store, options.transcript) if options.transcript else describe_store(store)
    Console().print(described)


def _analyse(options: argparse.Namespace) -> None:
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
    Console().print(describe_analysis(document))
    print(f"tables and plots: {options.output}")
