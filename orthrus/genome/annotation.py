"""Annotation of a genome in any of its formats, as transcript models.

Each format has a reader (:data:`FORMATS`), which turns a file into a :class:`Reading`. This module does what all
formats share: it recognises the format, finds the gene of a transcript where the file does not name it, drops unusable
transcripts and makes ids unique. If transcripts at two places have the same id, the first keeps it and the later ones
get the suffix ``_dup1``, ``_dup2``, ...
"""

from collections.abc import Callable, Container, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from orthrus.errors import InputError
from orthrus.genome.findings import Findings
from orthrus.genome.genes import read_genes, with_genes
from orthrus.genome.gxf import GFF3, GTF, read_gxf
from orthrus.genome.models import Reading, TranscriptModels
from orthrus.genome.toga import are_projections, as_projections
from orthrus.genome.ucsc import LAYOUTS, read_ucsc, recognise


def _ucsc(name: str, path: Path, findings: Findings) -> Reading:
    return read_ucsc(path, LAYOUTS[name])


FORMATS: dict[str, Callable[[Path, Findings], Reading]] = {
    "gtf": partial(read_gxf, dialect=GTF),
    "gff3": partial(read_gxf, dialect=GFF3),
    **{name: partial(_ucsc, name) for name in LAYOUTS},
    "toga": lambda path, findings: _read_toga(path, findings),
}
"""The reader of each format, by the format's name in a spec."""


def read_annotation(
    path: Path, findings: Findings, *, format: str | None = None, genes: Path | None = None
) -> TranscriptModels:
    """Read the transcript models of an annotation file, in the order of the file.

    Args:
        path: the annotation, plain, gzip or bgzip.
        findings: receives what is dropped (transcripts on two strands, without a strand, with overlapping exons, or
            with a CDS outside their exons) and what is doubtful.
        format: one of :data:`FORMATS`; None recognises the format by the content.
        genes: a table of the transcripts' genes (:func:`orthrus.genome.genes.read_genes`).

    Raises:
        InputError: naming the line, if the file cannot be read or holds no usable transcript.
    """
    table = read_genes(genes) if genes else None
    if format:
        reading = FORMATS[format](path, findings)
    else:
        reading = _read(path, findings)
        unnamed = ~reading.models.gene_known
        if unnamed.any() and are_projections(reading.models.transcript_id.filter(pa.array(unnamed))):
            reading = as_projections(reading)
    models = reading.models
    keep = np.ones(len(models), dtype=bool)
    for reason, found in {**reading.refused, **_refused(models)}.items():
        findings.dropped.add(reason, models.transcript_id.filter(pa.array(found & keep)).to_pylist())
        keep &= ~found
    for note, found in reading.doubtful.items():
        findings.noted.add(note, models.transcript_id.filter(pa.array(found & keep)).to_pylist())
    if not keep.any():
        raise InputError(f"{path} holds no usable transcript: {'; '.join(findings.dropped.lines())}.")
    return _with_unique_ids(with_genes(models.take(np.flatnonzero(keep)), table, findings), findings)


def _read(path: Path, findings: Findings) -> Reading:
    """Read a file in the format that its content shows: one of UCSC's tables by its columns, else GTF or GFF3."""
    name = recognise(path)
    return _ucsc(name, path, findings) if name else read_gxf(path, findings)


def _read_toga(path: Path, findings: Findings) -> Reading:
    if name := recognise(path):
        return as_projections(_ucsc(name, path, findings))
    reading = read_gxf(path, findings)
    if reading.models.gene_known.all():
        raise InputError(
            f"{path} names the genes of its transcripts, and TOGA's annotation does not; give TOGA's file, or"
            " remove `reference` and the format `toga`."
        )
    return as_projections(reading)


def _refused(models: TranscriptModels) -> dict[str, NDArray[np.bool_]]:
    """Which transcripts are unusable in any format, by reason."""
    owner = np.repeat(np.arange(len(models)), np.diff(models.exon_offsets))
    overlap = (owner[1:] == owner[:-1]) & (models.exon_starts[1:] < models.exon_ends[:-1])
    return {
        "transcripts without a strand": models.strand == 0,
        "transcripts with overlapping exons": np.bincount(owner[1:][overlap], minlength=len(models)) > 0,
    }


def _with_unique_ids(models: TranscriptModels, findings: Findings) -> TranscriptModels:
    ids = models.transcript_id.to_pylist()
    taken = set(ids)
    if len(taken) == len(ids):
        return models
    seen: set[str] = set()
    known: set[tuple[object, ...]] = set()
    kept, renamed, again = [], [], []
    repeated = set(_repeated(ids))
    for t, name in enumerate(ids):
        if name in repeated:
            facts = _facts(models, t)
            if facts in known:
                again.append(name)
                continue
            known.add(facts)
            if name in seen:
                renamed.append(name)
                ids[t] = unused_id(name, taken)
                taken.add(ids[t])
            seen.add(name)
        kept.append(t)
    findings.noted.add("transcripts given twice, of which one is kept", again)
    findings.noted.add("transcript ids given again, the later ones suffixed _dup1, _dup2, ...", renamed)
    return models.renamed(ids).take(np.array(kept, dtype=np.int64))


def _repeated(ids: list[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            yield name
        seen.add(name)


def _facts(models: TranscriptModels, t: int) -> tuple[object, ...]:
    """Everything that distinguishes one transcript from another."""
    exons = slice(models.exon_offsets[t], models.exon_offsets[t + 1])
    place = (models.contig[t], models.strand[t], models.cds_start[t], models.cds_end[t])
    structure = (*models.exon_starts[exons].tolist(), *models.exon_ends[exons].tolist(), *models.frames.of(t))
    return (models.transcript_id[t], models.gene_id[t], *place, *structure)


def unused_id(name: str, taken: Container[str]) -> str:
    """``name`` with the first suffix ``_dup1``, ``_dup2``, ... that gives a name not in ``taken`` (as UCSC does)."""
    n = 1
    while f"{name}_dup{n}" in taken:
        n += 1
    return f"{name}_dup{n}"
