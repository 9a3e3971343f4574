"""Commands that answer questions about transcripts: predict, neighbours."""

import argparse
from contextlib import ExitStack
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table

from orthrus.cli.command import (
    BESIDE_INPUT,
    DEVICE,
    INPUT,
    MODEL,
    OVERWRITE,
    TOKEN_BUDGET,
    Command,
    Result,
    argument,
    chosen_device,
    open_input,
    share,
    whole,
)


def _predict(options: argparse.Namespace) -> Result:
    import pyarrow as pa

    from orthrus.output import reserve_file, write_table
    from orthrus.probe.predict import head_for, predict

    with reserve_file(options.output, options.overwrite):
        head, model = head_for(options.task, options.model)
        with open_input(options.input, options) as store:
            n = len(store)
            frame = predict(
                store, options.task, model, level=options.level, device=chosen_device(options),
                token_budget=options.token_budget,
            )  # fmt: skip
        write_table(pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None), options.output)
    about = head.description
    scores = ", ".join(f"{name} {value:.3f}" for name, value in about.scores.items())
    summary = f"{about.target}, held-out {scores} ({about.rows['test']:,} transcripts, split by {about.split})"
    figures = {"transcripts": n, "task": about.target, "scores": about.scores, "licence": about.licence}
    return Result([options.output], figures, [summary, f"{n:,} transcripts predicted: {options.output}"])


def _neighbours(options: argparse.Namespace) -> Result:
    import json

    import numpy as np

    from orthrus.embedding.embed import warn_of_bare_transcripts
    from orthrus.embedding.file import read_embeddings
    from orthrus.embedding.formats import READERS
    from orthrus.embedding.neighbours import (
        background,
        comparable,
        embed_queries,
        nearest,
        neighbour_table,
        read_queries,
        retrieval,
        same_encoder,
        warn_of_other_annotation,
    )
    from orthrus.output import reserve_file, write_table, write_text

    with ExitStack() as reserved:
        reserved.enter_context(reserve_file(options.output, options.overwrite))
        if options.metrics:
            reserved.enter_context(reserve_file(options.metrics, options.overwrite, (".json",)))
        candidates = comparable(read_embeddings(options.embeddings))
        if options.query.suffix in (".parquet", *READERS):
            queries = read_queries(options.query, candidates)
        else:
            encoder = same_encoder(options.model, candidates, chosen_device(options))
            with open_input(options.query, options) as store:
                warn_of_bare_transcripts(encoder, store)
                queries = embed_queries(encoder, store, candidates)
        found = nearest(queries, candidates, options.k, options.measure)
        warn_of_other_annotation(queries, candidates)
        random_pairs = background(candidates, options.measure)
        table = neighbour_table(queries, candidates, found, options.measure, random_pairs)
        metrics = retrieval(queries, candidates, found)
        write_table(table, options.output)
        if options.metrics:
            write_text(json.dumps(metrics, indent=2) + "\n", options.metrics)
    figures = {"queries": len(queries), "neighbours": len(table), "retrieval": metrics}
    shown = [_retrieval_table(metrics)]
    if len(random_pairs):
        figures["background_median"] = middle = float(np.median(random_pairs))
        shown.append(f"{options.measure} of random pairs: median {middle:.3f}; see the column percentile")
    return Result(
        [options.output, *([options.metrics] if options.metrics else [])],
        figures,
        [*shown, f"{len(table):,} neighbours of {len(queries):,} queries: {options.output}"],
    )


def _retrieval_table(metrics: dict[str, dict[str, float]]) -> RenderableType:
    if not metrics:
        return "no query shares a known gene or family with the candidates, so there are no retrieval metrics"
    table = Table(title="Retrieval of relatives", caption="chance: the score with the candidates in random order")
    table.add_column("")
    for kind in metrics:
        table.add_column(f"same {kind}", justify="right")
    for name in next(iter(metrics.values())):
        table.add_row(
            name, *(format(scores[name], ",.0f" if name == "queries" else ".3f") for scores in metrics.values())
        )
    return table


_GROUP = "Answers"

COMMANDS = (
    Command(
        "predict", _GROUP, "Predict a property such as half-life: value, interval, percentile.", _predict,
        (
            *INPUT,
            argument(
                "--task", required=True, metavar="TASK",
                help="a head of the model (`orthrus models`), or a folder that `orthrus probe` wrote",
            ),
            MODEL,
            argument("--output", type=Path, required=True, metavar="P.tsv", help="table: .tsv, .csv or .parquet"),
            argument(
                "--level", type=share, default=0.9, metavar="SHARE",
                help="share of similar transcripts whose value the interval covers (default: %(default)s)",
            ),
            OVERWRITE,
            TOKEN_BUDGET,
            DEVICE,
        ),
        (
            "orthrus predict --input my.fa --task half_life --output half_life.tsv",
            "orthrus predict --input my.gtf --genome genome.fa --task runs/mine --output mine.tsv",
        ),
    ),
    Command(
        "neighbours", _GROUP, "Find the nearest transcripts of queries among embedded ones.", _neighbours,
        (
            argument(
                "--query", type=Path, required=True, help="mRNA FASTA, store, annotation or embeddings file"
            ),
            *BESIDE_INPUT,
            argument("--embeddings", type=Path, required=True, metavar="E.parquet", help="what to search"),
            argument(
                *MODEL.flags, dest="model", metavar="MODEL",
                help="embeds the queries (default: the one that the embeddings file names)",
            ),
            argument("--output", type=Path, required=True, metavar="N.tsv", help="table, .tsv or .parquet"),
            argument(
                "--k", type=whole(1, 1_000_000), default=10, help="neighbours of each query (default: %(default)s)"
            ),
            argument("--measure", choices=("cosine", "euclidean"), default="cosine", help="default: cosine"),
            argument("--metrics", type=Path, metavar="M.json", help="write the retrieval metrics here too"),
            OVERWRITE,
            DEVICE,
        ),
        ("orthrus neighbours --query my.fa --embeddings human.parquet --output neighbours.tsv --k 5",),
    ),
)  # fmt: skip
