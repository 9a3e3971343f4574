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
    whole,
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


def _project(options: argparse.Namespace) -> Result:
    from orthrus.embedding.file import read_embeddings
    from orthrus.store import TranscriptStore
    from orthrus.training.projection import project

    embeddings = read_embeddings(options.embeddings)
    store = None if options.store is None else TranscriptStore.open(options.store)
    found = project(embeddings, options.output, options.model, store, options.seed)
    return Result(
        [options.output],
        {"retrieval": found},
        [_retrieval_table(found), f"encoder with its projection: {options.output}"],
    )


def _retrieval_table(found: dict[str, dict[str, dict[str, float]]]) -> RenderableType:
    """Recall of relatives, by the vectors as they were and by the projection."""
    if not any(found.values()):
        return "no held-out transcript has a relative, so how well the projection finds them is not known"
    table = Table(title="Relatives of held-out transcripts among all", box=None, padding=(0, 2, 0, 0))
    for name in ("", "queries", "nearest is one", "one of ten is", "by chance"):
        table.add_column(name, justify="left" if not name else "right", header_style="dim")
    for kind in found["after"]:
        for when, title in (("before", "whole vector"), ("after", "projection")):
            scores = found[when][kind]
            figures = (format(scores[name], ".3f") for name in ("recall@1", "recall@10", "chance@10"))
            table.add_row(f"same {kind}, {title}", f"{scores['queries']:,.0f}", *figures)
    return table


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
        "project", _GROUP, "Fit a projection in which relatives are close, and write the encoder with it.", _project,
        (
            argument(
                "--embeddings", type=Path, required=True, metavar="E.parquet",
                help="the encoder's vectors of the transcripts to fit on, from `orthrus embed`",
            ),
            argument(
                "--model", "--checkpoint", dest="model", metavar="MODEL",
                help="the encoder that made them (default: the one that they name)",
            ),
            argument(
                "--store", type=Path, help="gives genes and families (default: those in the embeddings)"
            ),
            argument("--output", type=Path, required=True, metavar="FOLDER", help="folder to make"),
            argument("--seed", type=whole(0), default=0, help="of weights and pairs (default: %(default)s)"),
        ),
        (
            "orthrus project --embeddings runs/demo/embeddings.parquet --output runs/demo/projected",
            "orthrus project --embeddings human.parquet --store stores/corpus --output runs/codon/projected",
        ),
    ),
    Command(
        "export", _GROUP, "Write an encoder as a folder to share: weights, config, model card.", _export,
        (MODEL, argument("--output", type=Path, required=True, metavar="FOLDER", help="folder to make")),
        ("orthrus export --model runs/demo/checkpoints/last.ckpt --output my-encoder",),
    ),
)  # fmt: skip
