"""Variants of a genome, projected on the mature transcripts that contain them.

The input is a VCF on contigs and an annotation; the output has transcript coordinates, with one variant for each
transcript that has the whole reference allele in an exon. V variants, E exons.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from orthrus.embedding.variant_file import Variant
from orthrus.errors import InputError
from orthrus.genome.codes import decode_bases, encode_bases, reverse_complement
from orthrus.genome.findings import Tally
from orthrus.genome.models import TranscriptModels
from orthrus.genome.sequence import plain_contig


class Projected(NamedTuple):
    """A variant on the genome, and the same variant on a transcript."""

    genomic: Variant
    on_transcript: Variant


def project(variants: Sequence[Variant], models: TranscriptModels, left_out: Tally) -> list[Projected]:
    """Project variants on every transcript of ``models`` that contains them, in order of the variants, then the models.

    Args:
        variants: variants whose ``transcript_id`` is the contig, by the name of any convention (1, chr1, NC_000001.11).
        models: the annotation.
        left_out: counts variants in no exon, and variants that reach beyond an exon.

    Returns:
        Alleles on the strand of the transcript, positions from 1 on the mature mRNA.

    Raises:
        InputError: if no variant lies in a transcript.
    """
    contig_of = _contig_names(models, {each.transcript_id for each in variants})
    starts = np.array([each.pos - 1 for each in variants])
    ends = starts + [len(each.ref) for each in variants]
    transcript_E = np.repeat(np.arange(len(models)), np.diff(models.exon_offsets))
    contigs = models.contig.dictionary_encode()
    codes = {name: code for code, name in enumerate(contigs.dictionary.to_pylist())}
    contig_E = contigs.indices.to_numpy().astype(np.int64)[transcript_E]
    contig_V = np.array([codes.get(contig_of.get(each.transcript_id, ""), -1) for each in variants])
    span = 1 + int(max(ends.max(), models.exon_ends.max(initial=0)))  # contigs end to end, so that one search does
    starts_V, starts_E, ends_E = (
        contig_V * span + starts, contig_E * span + models.exon_starts, contig_E * span + models.exon_ends,
    )  # fmt: skip
    order_V = np.argsort(starts_V, kind="stable")
    first_E, behind_E = (np.searchsorted(starts_V, at, sorter=order_V) for at in (starts_E, ends_E))
    sorted_E = np.sort(starts_E)
    enters_V = np.searchsorted(sorted_E, starts_V + ends - starts) > np.searchsorted(sorted_E, starts_V, side="right")
    pairs = sorted(
        (int(v), e) for e in np.flatnonzero(behind_E > first_E).tolist() for v in order_V[first_E[e] : behind_E[e]]
    )
    lengths = models.exon_ends - models.exon_starts
    before_E = np.concatenate([[0], np.cumsum(lengths)])  # exon bases before each exon, counted over all transcripts
    ids = models.transcript_id.to_pylist()
    found, reaching = [], set(np.flatnonzero(enters_V).tolist())
    for v, e in pairs:
        if ends[v] > models.exon_ends[e]:
            reaching.add(v)
            continue
        t = int(transcript_E[e])
        first, behind = models.exon_offsets[t], models.exon_offsets[t + 1]
        offset = int(before_E[e] - before_E[first] + starts[v] - models.exon_starts[e])
        each = variants[v]
        ref, alt = each.ref, each.alt
        if models.strand[t] < 0:
            offset = int(before_E[behind] - before_E[first]) - offset - len(ref)
            ref, alt = (decode_bases(reverse_complement(encode_bases(allele, "allele"))) for allele in (ref, alt))
        found.append(Projected(each, Variant(each.line, ids[t], offset + 1, ref, alt)))
    placed = {(each.genomic.line, each.genomic.alt) for each in found}
    lost = [v for v, each in enumerate(variants) if (each.line, each.alt) not in placed]
    left_out.add("variants that reach beyond an exon, left out", [_name(variants[v]) for v in lost if v in reaching])
    left_out.add("variants in no exon, left out", [_name(variants[v]) for v in lost if v not in reaching])
    if not found:
        known = ", ".join(dict.fromkeys(models.contig.to_pylist()[:1000]))[:80]
        raise InputError(
            f"no variant lies in an exon of the annotation ({'; '.join(left_out.lines())}); its contigs: {known} ...;"
            " use the annotation of the assembly that the variants were called on"
        )
    return found


def _name(variant: Variant) -> str:
    return f"{variant.transcript_id}:{variant.pos}{variant.ref}>{variant.alt}"


def _contig_names(models: TranscriptModels, given: set[str]) -> dict[str, str]:
    """The annotation's name of each given contig, which may follow another convention: 1, chr1, NC_000001.11."""
    of_plain = {plain_contig(name): name for name in set(models.contig.to_pylist())}
    return {name: of_plain[plain_contig(name)] for name in given if plain_contig(name) in of_plain}
