"""Commands about encoders: embed transcripts, list the models, export an encoder."""

import argparse
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table

from orthrus.cli.command import (
    DEVICE,
    INPUT,
    MODEL,
    OVERWRITE,
    READOUT,
    TOKEN_BUDGET,
    Command,
    Result,
    argument,
    chosen_device,
    open_input,
)


def _embed(options: argparse.Namespace) -> Result:
    from orthrus.embedding.embed import embed_to_file
    from orthrus.models import find_model

    model = find_model(options.model)
    if options.per_base:
        return _embed_bases(options, model)
    with open_input(options.input, options) as store:
        n = embed_to_file(
            model,
            store,
            options.output,
            input_name=str(options.input.absolute()),
            token_budget=options.token_budget,
            device=chosen_device(options),
            readouts=options.readout,
            bf16=options.precision == "bf16",
            overwrite=options.overwrite,
        )
    figures = {"transcripts": n, "model": str(model)}
    return Result([options.output], figures, [f"{n:,} transcripts embedded: {options.output}"])


def _embed_bases(options: argparse.Namespace, model: Path) -> Result:
    from orthrus.embedding.embed import check_device
    from orthrus.embedding.per_base import write_per_base
    from orthrus.nn.checkpoints import load_encoder

    encoder = load_encoder(model, check_device(chosen_device(options)))
    with open_input(options.input, options) as store:
        write_per_base(encoder, store, options.output, options.overwrite)
        n, nt = len(store), int(store.lengths.sum())
    summary = f"{nt:,} bases of {n:,} transcripts embedded, {encoder.d_model} float16 each: {options.output}"
    return Result([options.output], {"transcripts": n, "bases": nt, "model": str(model)}, [summary])


def _export(options: argparse.Namespace) -> Result:
    from orthrus.models import find_model
    from orthrus.nn.checkpoints import export_encoder

    export_encoder(find_model(options.model), options.output)
    return Result([options.output], shown=[f"encoder: {options.output}"])


def _models(options: argparse.Namespace) -> Result:
    from orthrus.models import known_models, shipped_heads

    models = known_models()
    heads = {each.name: shipped_heads(each.folder) if each.folder else [] for each in models}
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("name", "where", "parameters", "tracks", "licence"):
        table.add_column(name, header_style="dim", no_wrap=True)
    lines: list[RenderableType] = []
    for each in models:
        table.add_row(each.name, each.place, f"{each.parameters:,}", str(each.tracks), each.licence)
        note = f" ({each.note})" if each.note else ""
        tasks = f"; predicts {', '.join(heads[each.name])}" if heads[each.name] else ""
        lines.append(f"{each.name}: {each.trained_on}{note}{tasks}")
    figures = [{**vars(each), "folder": each.folder and str(each.folder), "heads": heads[each.name]} for each in models]
    return Result(figures={"models": figures}, shown=[table, "", *lines])


_GROUP = "Encoders"

COMMANDS = (
    Command(
        "embed", _GROUP, "Embed transcripts: one vector each.", _embed,
        (
            *INPUT,
            MODEL,
            argument("--output", type=Path, required=True, metavar="E.parquet",
                help="file to make: .parquet, .tsv, .csv, .npz or .h5ad",
            ),
            READOUT,
            argument(
                "--per-base", action="store_true",
                help="a float16 vector for every base, without pooling: output .npz or .zarr",
            ),
            OVERWRITE,
            TOKEN_BUDGET,
            argument(
                "--precision", choices=("32", "bf16"), default="32",
                help="precision of matrix products; bf16 is faster on most GPUs and some CPUs (default: %(default)s)",
            ),
            DEVICE,
        ),
        (
            "orthrus embed --input my.fa --output my.parquet",
            "orthrus embed --input my.gtf --genome genome.fa --output my.parquet",
            "orthrus embed --input my.fa --per-base --output my.zarr",
            "orthrus embed --model runs/demo/checkpoints/last.ckpt --input stores/demo --output demo.parquet",
        ),
    ),
    Command(
        "models", _GROUP, "List the models that have names: shipped, cached, published.", _models,
        examples=("orthrus models", "orthrus models --json"),
    ),
    Command(
        "export", _GROUP, "Write an encoder as a folder to share: weights, config, model card.", _export,
        (MODEL, argument("--output", type=Path, required=True, metavar="FOLDER", help="folder to make")),
        ("orthrus export --model runs/demo/checkpoints/last.ckpt --output my-encoder",),
    ),
)  # fmt: skip
