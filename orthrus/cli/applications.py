"""Commands that put a pretrained encoder to use: neighbours, variant."""

import argparse
import logging
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
)

logger = logging.getLogger(__name__)


def _neighbours(options: argparse.Namespace) -> Result:
    import json

    import numpy as np

    from orthrus.embedding.embed import embed, warn_of_bare_transcripts
    from orthrus.embedding.file import of_store, read_embeddings
    from orthrus.embedding.neighbours import (
        background,
        nearest,
        neighbour_table,
        retrieval,
        same_encoder,
        warn_of_other_annotation,
    )
    from orthrus.nn.readouts import LAST_MEAN
    from orthrus.output import reserve_file, write_table, write_text

    with ExitStack() as reserved:
        reserved.enter_context(reserve_file(options.output, options.overwrite))
        if options.metrics:
            reserved.enter_context(reserve_file(options.metrics, options.overwrite, (".json",)))
        candidates = read_embeddings(options.embeddings)
        if options.query.suffix == ".parquet":
            queries = read_embeddings(options.query)
        else:
            encoder = same_encoder(options.model, candidates, chosen_device(options))
            with open_input(options.query, options) as store:
                warn_of_bare_transcripts(encoder, store)
                readouts = [str(candidates.metadata.get("readout", LAST_MEAN))]
                vectors = embed(encoder, store, range(len(store)), description="queries", readouts=readouts)
                queries = of_store(store, vectors)
        found = nearest(queries, candidates, options.k, options.measure, options.faiss)
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
        return "no query shares a known gene or family with the candidates: no retrieval metrics"
    table = Table(title="Retrieval of relatives", caption="chance: the same, were the candidates in random order")
    table.add_column("")
    for kind in metrics:
        table.add_column(f"same {kind}", justify="right")
    for name in next(iter(metrics.values())):
        table.add_row(
            name, *(format(scores[name], ",.0f" if name == "queries" else ".3f") for scores in metrics.values())
        )
    return table


def _variant(options: argparse.Namespace) -> Result:
    from orthrus.embedding.embed import check_device
    from orthrus.embedding.variant_file import read_variants
    from orthrus.embedding.variants import score_variants
    from orthrus.genome.findings import Tally
    from orthrus.models import find_model
    from orthrus.nn.checkpoints import load_encoder, load_mlm_head
    from orthrus.output import reserve_file, write_table

    with reserve_file(options.output, options.overwrite):
        left_out = Tally()
        variants = read_variants(options.variants, left_out)
        for line in left_out.lines():
            logger.warning("%s: %s", options.variants, line)
        device, model = check_device(chosen_device(options)), find_model(options.model)
        encoder, head = load_encoder(model, device), load_mlm_head(model, device)
        with open_input(options.input, options) as store:
            table = score_variants(
                encoder, store, variants, source=str(options.variants), mlm_head=head, token_budget=options.token_budget
            )
        write_table(table, options.output)
    shown = [] if head else [f"mlm_log_ratio is empty: {model} has no masked-base head (a training checkpoint may)"]
    shown.append(f"{len(table):,} variants scored: {options.output}")
    return Result([options.output], {"variants": len(table)}, [*shown])


_GROUP = "Answers"

COMMANDS = (
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
            argument("--k", type=int, default=10, help="neighbours of each query (default: %(default)s)"),
            argument("--measure", choices=("cosine", "euclidean"), default="cosine", help="default: cosine"),
            argument("--faiss", action="store_true", help="search by faiss's flat index (extra faiss)"),
            argument("--metrics", type=Path, metavar="M.json", help="write the retrieval metrics here too"),
            OVERWRITE,
            DEVICE,
        ),
        ("orthrus neighbours --query my.fa --embeddings human.parquet --output neighbours.tsv --k 5",),
    ),
    Command(
        "variant", _GROUP, "Score substitutions and indels in transcripts, without training.", _variant,
        (
            *INPUT,
            argument(
                "--variants", type=Path, required=True, metavar="V",
                help="columns transcript_id, pos (from 1, on the transcript), ref, alt; or a VCF whose contigs are"
                " transcripts",
            ),
            MODEL,
            argument("--output", type=Path, required=True, metavar="S.tsv", help="table, .tsv or .parquet"),
            OVERWRITE,
            TOKEN_BUDGET,
            DEVICE,
        ),
        ("orthrus variant --input stores/demo --variants variants.tsv --output scores.tsv",),
    ),
)  # fmt: skip
