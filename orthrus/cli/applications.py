"""Commands that put a pretrained encoder to use: neighbours, variant."""

import argparse
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from orthrus.cli.commands import AddCommand, add_device, chosen_device


def add_commands(command: AddCommand) -> None:
    neighbours = command("neighbours", _neighbours, "Find the nearest transcripts of queries among embedded ones.")
    neighbours.add_argument(
        "--query", type=Path, required=True, help="mRNA FASTA, store, annotation or embeddings file"
    )
    neighbours.add_argument("--coordinates", type=Path, help="CDS and exons of the FASTA's mRNAs (.tsv)")
    neighbours.add_argument("--genome", type=Path, help="genome of the annotation (FASTA or 2bit)")
    neighbours.add_argument("--embeddings", type=Path, required=True, metavar="E.parquet", help="what to search")
    neighbours.add_argument(
        "--checkpoint", type=Path, help="embeds the queries (default: the one that the embeddings file names)"
    )
    neighbours.add_argument("--output", type=Path, required=True, metavar="N.tsv", help="table, .tsv or .parquet")
    neighbours.add_argument("--k", type=int, default=10, help="neighbours of each query (default: %(default)s)")
    neighbours.add_argument("--measure", choices=("cosine", "euclidean"), default="cosine", help="default: cosine")
    neighbours.add_argument("--faiss", action="store_true", help="search by faiss's flat index (extra faiss)")
    neighbours.add_argument("--metrics", type=Path, metavar="M.json", help="write the retrieval metrics here too")
    neighbours.add_argument("--overwrite", action="store_true", help="replace existing output")
    add_device(neighbours)

    variant = command("variant", _variant, "Score substitutions and indels in transcripts, without training.")
    variant.add_argument("--checkpoint", type=Path, required=True, help=".ckpt file, or folder with model.safetensors")
    variant.add_argument("--input", type=Path, required=True, help="a store, an mRNA FASTA, or an annotation")
    variant.add_argument("--coordinates", type=Path, help="CDS and exons of the FASTA's mRNAs (.tsv)")
    variant.add_argument("--genome", type=Path, help="genome of the annotation (FASTA or 2bit)")
    variant.add_argument(
        "--variants", type=Path, required=True, metavar="V.tsv",
        help="columns transcript_id, pos (from 1, on the transcript), ref, alt; or a VCF whose contigs are transcripts",
    )  # fmt: skip
    variant.add_argument("--output", type=Path, required=True, metavar="S.tsv", help="table, .tsv or .parquet")
    variant.add_argument("--overwrite", action="store_true", help="replace an existing output")
    variant.add_argument("--token-budget", type=int, default=65_536, help="padded nt of a batch (default: %(default)s)")
    add_device(variant)


def _neighbours(options: argparse.Namespace) -> None:
    import json

    from orthrus.embedding.embed import embed, warn_of_bare_transcripts
    from orthrus.embedding.file import of_store, read_embeddings
    from orthrus.embedding.neighbours import nearest, neighbour_table, retrieval, same_encoder
    from orthrus.output import reserve_file, write_table, write_text
    from orthrus.prepare import open_or_prepare

    with ExitStack() as reserved:
        reserved.enter_context(reserve_file(options.output, options.overwrite))
        if options.metrics:
            reserved.enter_context(reserve_file(options.metrics, options.overwrite, (".json",)))
        candidates = read_embeddings(options.embeddings)
        if options.query.suffix == ".parquet":
            queries = read_embeddings(options.query)
        else:
            encoder = same_encoder(options.checkpoint, candidates, chosen_device(options))
            with open_or_prepare(options.query, genome=options.genome, coordinates=options.coordinates) as store:
                warn_of_bare_transcripts(encoder, store)
                queries = of_store(store, embed(encoder, store, range(len(store)), description="embedding queries"))
        found = nearest(queries, candidates, options.k, options.measure, options.faiss)
        table = neighbour_table(queries, candidates, found, options.measure)
        metrics = retrieval(queries, candidates, found)
        write_table(table, options.output)
        if options.metrics:
            write_text(json.dumps(metrics, indent=2) + "\n", options.metrics)
        _print_retrieval(metrics)
        print(f"{len(table):,} neighbours of {len(queries):,} queries: {options.output}")


def _print_retrieval(metrics: dict[str, dict[str, float]]) -> None:
    if not metrics:
        print("no query shares a known gene or family with the candidates: no retrieval metrics")
        return
    table = Table(title="Retrieval of relatives", caption="chance: the same, were the candidates in random order")
    table.add_column("")
    for kind in metrics:
        table.add_column(f"same {kind}", justify="right")
    for name in next(iter(metrics.values())):
        table.add_row(
            name, *(format(scores[name], ",.0f" if name == "queries" else ".3f") for scores in metrics.values())
        )
    Console().print(table)


def _variant(options: argparse.Namespace) -> None:
    from orthrus.embedding.embed import check_device
    from orthrus.embedding.variant_file import read_variants
    from orthrus.embedding.variants import score_variants
    from orthrus.genome.findings import Tally
    from orthrus.nn.checkpoints import load_encoder, load_mlm_head
    from orthrus.output import reserve_file, write_table
    from orthrus.prepare import open_or_prepare

    with reserve_file(options.output, options.overwrite):
        left_out = Tally()
        variants = read_variants(options.variants, left_out)
        for line in left_out.lines():
            Console(stderr=True).print(f"{options.variants}: {line}", style="yellow", highlight=False, soft_wrap=True)
        device = check_device(chosen_device(options))
        encoder, head = load_encoder(options.checkpoint, device), load_mlm_head(options.checkpoint, device)
        with open_or_prepare(options.input, genome=options.genome, coordinates=options.coordinates) as store:
            table = score_variants(
                encoder, store, variants, source=str(options.variants), mlm_head=head, token_budget=options.token_budget
            )
        write_table(table, options.output)
        if head is None:
            print(f"mlm_log_ratio is empty: {options.checkpoint} has no masked-base head (a training checkpoint may)")
        print(f"{len(table):,} variants scored: {options.output}")
