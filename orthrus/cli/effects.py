"""Commands about the effects of single bases: variant, mutagenesis, attribute."""

import argparse
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

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
    whole,
)
from orthrus.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from orthrus.embedding.genomic import Projected
    from orthrus.embedding.variant_file import Variant
    from orthrus.embedding.variants import Answer
    from orthrus.store import TranscriptStore

logger = logging.getLogger(__name__)


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
        answer, model = _answer(options)
        device, model = check_device(chosen_device(options)), find_model(options.model) if model is None else model
        encoder, head = load_encoder(model, device), load_mlm_head(model, device)
        projected = _on_transcripts(variants, options) if genomic else None
        with _transcripts(options, projected) as store:
            if projected is not None:
                known = set(store.column("transcript_id"))
                projected = [each for each in projected if each.on_transcript.transcript_id in known]
                variants = [each.on_transcript for each in projected]
            table = score_variants(
                encoder, store, variants, source=str(options.variants), mlm_head=head, answer=answer,
                token_budget=options.token_budget,
            )  # fmt: skip
        if projected is not None:
            table = _with_genome(table, projected)
        write_table(table, options.output)
    shown = (
        []
        if head
        else [f"mlm_log_ratio is empty: {model} has no masked-base head (a training checkpoint may have one)"]
    )
    shown.append(f"{len(table):,} variants scored: {options.output}")
    return Result([options.output], {"variants": len(table)}, [*shown])


def _mutagenesis(options: argparse.Namespace) -> Result:
    from orthrus.embedding.embed import check_device
    from orthrus.embedding.mutagenesis import draw_heat, substitutions
    from orthrus.embedding.variants import score_variants
    from orthrus.models import find_model
    from orthrus.nn.checkpoints import load_encoder, load_mlm_head
    from orthrus.output import atomic_file, reserve_file, write_table

    with ExitStack() as reserved:
        reserved.enter_context(reserve_file(options.output, options.overwrite))
        if options.plot:
            reserved.enter_context(reserve_file(options.plot, options.overwrite, (".png", ".html")))
        answer, model = _answer(options)
        model, device = find_model(options.model) if model is None else model, check_device(chosen_device(options))
        encoder, mlm_head = load_encoder(model, device), load_mlm_head(model, device)
        measure = "value_change" if answer else "relative_distance" if mlm_head is None else "mlm_log_ratio"
        with open_input(options.input, options) as store:
            scores = score_variants(
                encoder, store, substitutions(store, options.transcript, _window(options.window)),
                source="substitutions", mlm_head=mlm_head, answer=answer, token_budget=options.token_budget,
            )  # fmt: skip
        if options.plot:
            with atomic_file(options.plot) as scratch:
                draw_heat(scores, measure, f"{options.transcript}: {measure.replace('_', ' ')}", scratch)
        write_table(scores, options.output)
    outputs = [options.output, *([options.plot] if options.plot else [])]
    figures = {"substitutions": len(scores), "measure": measure}
    return Result(outputs, figures, [f"{len(scores):,} substitutions scored: {' '.join(map(str, outputs))}"])


def _attribute(options: argparse.Namespace) -> Result:
    import pyarrow as pa

    from orthrus.embedding.embed import check_device, in_frame
    from orthrus.nn.checkpoints import load_encoder
    from orthrus.output import reserve_file, write_table
    from orthrus.probe.attribution import attribute
    from orthrus.probe.predict import head_for, target_number

    with reserve_file(options.output, options.overwrite):
        head, model = head_for(options.task, options.model)
        number = target_number(head, options.label)
        encoder = load_encoder(model, check_device(chosen_device(options)))
        with open_input(options.input, options) as store:
            row = store.index_of(options.transcript)
            of_base, value = attribute(
                encoder, head, in_frame(encoder.cds_frame, store, row), number, options.method, options.steps
            )
            sequence, (start, end) = store.sequence(row), store.cds[row].tolist()
        region = ["5'UTR" if pos < start else "CDS" if pos < end else "3'UTR" for pos in range(len(sequence))]
        columns = {
            "transcript_id": [options.transcript] * len(sequence),
            "pos": pa.array(range(1, len(sequence) + 1), pa.int32()),
            "base": list(sequence),
            "region": region if start >= 0 else [""] * len(sequence),
            "attribution": of_base,
        }
        write_table(pa.table(columns), options.output)
    figures = {"score": value, "attributed": float(of_base.sum())}
    summary = (
        f"score {value:.4f}, of which {of_base.sum():.4f} is attributed to {len(sequence):,} bases: {options.output}"
    )
    return Result([options.output], figures, [summary])


def _answer(options: argparse.Namespace) -> "tuple[Answer | None, Path | None]":
    """The answer of the head that the options name, and the model it needs; None twice without a head."""
    from orthrus.probe.predict import answer_of, head_for

    if options.task is None:
        return None, None
    head, model = head_for(options.task, options.model)
    return answer_of(head, options.label), model


def _window(text: str | None) -> tuple[int, int] | None:
    from orthrus.genome.tables import is_whole

    if text is None:
        return None
    first, _, last = text.partition("-")
    if not (is_whole(first) and is_whole(last)):
        raise InputError(f"window {text!r}: expected FIRST-LAST, counted from 1, such as 101-160")
    return int(first), int(last)


def _on_transcripts(variants: "Sequence[Variant]", options: argparse.Namespace) -> "list[Projected]":
    """Variants of a genome, projected on the transcripts that contain them."""
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
    """The scores, with the genomic coordinates and alleles of the variants as first columns."""
    import pyarrow as pa

    columns = {
        "chrom": [each.genomic.transcript_id for each in projected],
        "genomic_pos": pa.array([each.genomic.pos for each in projected], pa.int64()),
        "genomic_ref": [each.genomic.ref for each in projected],
        "genomic_alt": [each.genomic.alt for each in projected],
    }
    return pa.table({**columns, **{name: table[name] for name in table.column_names}})


_TASK = (
    argument(
        "--task", metavar="TASK", help="also report how the value of a head changes (a task of `orthrus predict`)"
    ),
    argument("--label", metavar="NAME", help="the label of a head that has several"),
)
_TRANSCRIPT = argument("transcript", metavar="TRANSCRIPT", help="its id in the input")
_GROUP = "Answers"

COMMANDS = (
    Command(
        "variant", _GROUP, "Score substitutions and indels in transcripts, without training.", _variant,
        (
            OneOf((
                argument("--input", type=Path, help="a store, mRNA FASTA or annotation: for variants in transcripts"),
                argument("--annotation", type=Path, help="with --genome, for variants of the genome, in a VCF"),
            )),
            *BESIDE_INPUT,
            argument(
                "--variants", type=Path, required=True, metavar="V",
                help="columns transcript_id, pos (from 1, on the transcript), ref, alt; or a VCF whose contigs are"
                " transcripts, or with --annotation those of the genome",
            ),
            *_TASK,
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
    Command(
        "mutagenesis", _GROUP, "Score every substitution of a transcript, as a table and a heat map.", _mutagenesis,
        (
            _TRANSCRIPT,
            *INPUT,
            *_TASK,
            argument("--window", metavar="FIRST-LAST", help="positions, from 1 (default: the whole transcript)"),
            MODEL,
            argument("--output", type=Path, required=True, metavar="M.tsv", help="table: .tsv, .csv or .parquet"),
            argument("--plot", type=Path, metavar="M.png", help="heat map: .png, or .html with the values"),
            OVERWRITE,
            TOKEN_BUDGET,
            DEVICE,
        ),
        ("orthrus mutagenesis NM_000039 --input stores/demo --window 1-90 --output m.tsv --plot m.html",),
    ),
    Command(
        "attribute", _GROUP, "Attribute the value of a head to the bases of a transcript.", _attribute,
        (
            _TRANSCRIPT,
            *INPUT,
            argument("--task", required=True, metavar="TASK", help="the head, a task of `orthrus predict`"),
            _TASK[1],
            argument(
                "--method", choices=("integrated-gradients", "gradient-x-input"), default="integrated-gradients",
                help="default: %(default)s (extra attribution: Captum)",
            ),
            argument("--steps", type=whole(1, 10_000), default=32, help="steps of the integral (default: %(default)s)"),
            MODEL,
            argument("--output", type=Path, required=True, metavar="A.tsv", help="table with one row a base"),
            OVERWRITE,
            DEVICE,
        ),
        ("orthrus attribute NM_000039 --input stores/demo --task half_life --output a.tsv",),
    ),
)  # fmt: skip
