"""Commands that put a pretrained encoder to use: neighbours, variant."""

import argparse
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

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
    OneOf,
    Result,
    argument,
    chosen_device,
    open_input,
)
from orthrus.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from orthrus.embedding.genomic import Projected
    from orthrus.embedding.variant_file import Variant
    from orthrus.store import TranscriptStore

logger = logging.getLogger(__name__)


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
    told = f"{about.target}, held-out {scores} ({about.rows['test']:,} transcripts, split by {about.split})"
    figures = {"transcripts": n, "task": about.target, "scores": about.scores, "licence": about.licence}
    return Result([options.output], figures, [told, f"{n:,} transcripts predicted: {options.output}"])


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
        genomic = options.annotation is not None
        device, model = check_device(chosen_device(options)), find_model(options.model)
        encoder, head = load_encoder(model, device), load_mlm_head(model, device)
        projected = _on_transcripts(variants, options) if genomic else None
        with _transcripts(options, projected) as store:
            if projected is not None:
                known = set(store.column("transcript_id"))
                projected = [each for each in projected if each.on_transcript.transcript_id in known]
                variants = [each.on_transcript for each in projected]
            table = score_variants(
                encoder, store, variants, source=str(options.variants), mlm_head=head, token_budget=options.token_budget
            )
        if projected is not None:
            table = _with_genome(table, projected)
        write_table(table, options.output)
    shown = [] if head else [f"mlm_log_ratio is empty: {model} has no masked-base head (a training checkpoint may)"]
    shown.append(f"{len(table):,} variants scored: {options.output}")
    return Result([options.output], {"variants": len(table)}, [*shown])


def _on_transcripts(variants: "Sequence[Variant]", options: argparse.Namespace) -> "list[Projected]":
    """Variants of a genome on the transcripts that hold them."""
    from orthrus.embedding.genomic import project
    from orthrus.genome.annotation import read_annotation
    from orthrus.genome.findings import Findings, Tally

    left_out = Tally()
    found = project(variants, read_annotation(options.annotation, Findings()), left_out)
    for line in left_out.lines():
        logger.warning("%s: %s", options.variants, line)
    return found


def _transcripts(
    options: argparse.Namespace, projected: "Sequence[Projected] | None"
) -> "AbstractContextManager[TranscriptStore]":
    """The transcripts that variants lie in."""
    from orthrus.prepare import open_or_prepare

    if projected is None:
        return open_input(options.input, options)
    if options.genome is None:
        raise InputError("variants of a genome need its sequence: pass --genome FASTA beside --annotation")
    hit = {each.on_transcript.transcript_id for each in projected}
    return open_or_prepare(options.annotation, genome=options.genome, only=hit)


def _with_genome(table: "pa.Table", projected: "Sequence[Projected]") -> "pa.Table":
    """The scores with the variants as the genome has them in front."""
    import pyarrow as pa

    columns = {
        "chrom": [each.genomic.transcript_id for each in projected],
        "genomic_pos": pa.array([each.genomic.pos for each in projected], pa.int64()),
        "genomic_ref": [each.genomic.ref for each in projected],
        "genomic_alt": [each.genomic.alt for each in projected],
    }
    return pa.table({**columns, **{name: table[name] for name in table.column_names}})


_GROUP = "Answers"

COMMANDS = (
    Command(
        "predict", _GROUP, "Predict a property such as half-life: value, interval, percentile.", _predict,
        (
            *INPUT,
            argument(
                "--task", required=True, metavar="TASK",
                help="a head that comes with the model (`orthrus models`), or a folder that `orthrus probe` left",
            ),
            MODEL,
            argument("--output", type=Path, required=True, metavar="P.tsv", help="table: .tsv, .csv or .parquet"),
            argument(
                "--level", type=float, default=0.9, metavar="SHARE",
                help="of like transcripts that the interval covers (default: %(default)s)",
            ),
            OVERWRITE,
            TOKEN_BUDGET,
            DEVICE,
        ),
        (
            "orthrus predict --input my.fa --task half_life --output half_life.tsv",
            "orthrus predict --input my.gtf --genome genome.fa --task runs/mine/head --output mine.tsv",
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
            OneOf((
                argument("--input", type=Path, help="a store, an mRNA FASTA or an annotation: variants in transcripts"),
                argument("--annotation", type=Path, help="with --genome: variants of the genome, in a VCF"),
            )),
            *BESIDE_INPUT,
            argument(
                "--variants", type=Path, required=True, metavar="V",
                help="columns transcript_id, pos (from 1, on the transcript), ref, alt; or a VCF whose contigs are"
                " transcripts, or with --annotation those of the genome",
            ),
            MODEL,
            argument("--output", type=Path, required=True, metavar="S.tsv", help="table, .tsv or .parquet"),
            OVERWRITE,
            TOKEN_BUDGET,
            DEVICE,
        ),
        (
            "orthrus variant --input stores/demo --variants variants.tsv --output scores.tsv",
            "orthrus variant --annotation human.gtf.gz --genome human.fa.gz --variants patient.vcf --output scores.tsv",
        ),
    ),
)  # fmt: skip
