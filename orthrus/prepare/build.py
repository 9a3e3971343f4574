"""Building a store: sources one by one, ortholog tables, provenance."""

import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from orthrus.errors import InputError
from orthrus.genome.filters import Filters
from orthrus.genome.findings import Findings
from orthrus.genome.frames import PARQUET_SUFFIXES
from orthrus.genome.headers import has_headers
from orthrus.genome.transcripts import (
    Transcript,
    annotated_transcripts,
    bare_transcripts,
    framed_transcripts,
    listed_transcripts,
)
from orthrus.prepare.orthologs import read_homologs, read_orthologs
from orthrus.prepare.spec import Spec, load_spec
from orthrus.store import StoreBuilder, TranscriptStore, sha256

_EVERYTHING = Filters(biotypes=None, min_length=1, max_length=2**31 - 1)


@dataclass(frozen=True)
class PrepareSummary:
    """What :func:`prepare` did: ``counts`` as in the store's ``meta.json``, ``dropped`` transcripts by reason."""

    path: Path
    counts: dict[str, int]
    dropped: dict[str, int]
    warnings: list[str]
    seconds: float

    @property
    def transcripts_per_second(self) -> float:
        return self.counts["transcripts"] / self.seconds


def prepare(spec_path: Path, output: Path, overwrite: bool = False) -> PrepareSummary:
    """Read what the spec at ``spec_path`` names and write it as a transcript store to ``output``, with progress.

    The store appears whole or, after an error or an interrupt, not at all. Raises InputError if the spec or a file it
    names cannot be used, if nothing is left to write, or if ``output`` exists and ``overwrite`` is false.
    """
    started = time.monotonic()
    spec = load_spec(Path(spec_path))
    findings: dict[str, Findings] = {}
    orthologs, homologs = read_orthologs(spec, findings), read_homologs(spec, findings)
    try:
        with StoreBuilder(output, overwrite=overwrite) as builder, _progress() as progress:
            _build(builder, spec, orthologs, homologs, findings, progress)
    except OSError as error:
        raise InputError(f"the store {output} cannot be written ({error}); nothing is left of it.") from None
    meta = TranscriptStore.open(output).meta
    return PrepareSummary(
        path=Path(output),
        counts=meta["counts"],
        dropped=meta["dropped"],
        warnings=meta["warnings"],
        seconds=time.monotonic() - started,
    )


def _build(
    builder: StoreBuilder,
    spec: Spec,
    orthologs: pa.Table,
    homologs: pa.Table,
    findings: dict[str, Findings],
    progress: Progress,
) -> None:
    for source in spec.sources:
        found = findings.setdefault(source.name, Findings())
        transcripts = source.transcripts(spec.filters, found)
        _add(builder, _counted(transcripts, progress, f"{source.species}, {source.short_name}"), source.name)
    if not len(builder):
        lines = [line for found in findings.values() for line in found.dropped.lines()]
        raise InputError(
            f"no transcript is left to write: {'; '.join(lines) or 'none was read'}. Change the filters of the spec,"
            " or its input."
        )
    task = progress.add_task("families, tables, checksums", total=None)
    builder.finish(orthologs, homologs, findings=findings, meta=_provenance(spec))
    progress.update(task, total=0)


def _add(builder: StoreBuilder, transcripts: Iterable[Transcript], source: str) -> None:
    for transcript_id, gene_id, gene_name, species, biotype, mrna in transcripts:
        builder.add(
            mrna.codes,
            transcript_id=transcript_id,
            gene_id=gene_id,
            gene_name=gene_name,
            species=species,
            biotype=biotype,
            cds=mrna.cds,
            exon_ends=mrna.exon_ends,
            source=source,
        )


@contextmanager
def open_or_prepare(
    path: Path, *, genome: Path | None = None, coordinates: Path | None = None
) -> Iterator[TranscriptStore]:
    """The store at ``path``, or one made, for as long as the context lasts, of all transcripts of other input.

    ``path`` is a store, an annotation (with its ``genome``), an mRNA FASTA, with ``coordinates``, with
    GENCODE's or Ensembl's headers, or as it is, or a Parquet data frame of sequences and their tracks.
    Raises InputError if they do not go together.
    """
    if path.is_dir() or not path.exists():
        if genome or coordinates:
            raise InputError(f"{path} is no file; a genome or coordinates go with an annotation or an mRNA FASTA.")
        yield TranscriptStore.open(path)
        return
    if genome and coordinates:
        raise InputError(
            "both a genome and coordinates are given; a genome goes with an annotation, coordinates with an mRNA FASTA."
        )
    findings = Findings()
    if genome:
        transcripts = annotated_transcripts(path, genome, "", _EVERYTHING, findings)
    elif path.suffix in PARQUET_SUFFIXES and not coordinates:
        transcripts = framed_transcripts(path)
    elif coordinates or has_headers(path):
        transcripts = listed_transcripts(path, coordinates, "", _EVERYTHING, findings)
    else:
        transcripts = bare_transcripts(path)
    with tempfile.TemporaryDirectory(prefix="orthrus-") as folder:
        with StoreBuilder(Path(folder) / "store") as builder, _progress() as progress:
            _add(builder, _counted(transcripts, progress, path.name), path.name)
            builder.finish(findings={path.name: findings})
        store = TranscriptStore.open(Path(folder) / "store")
        for line in findings.dropped.lines() + store.meta["warnings"]:
            Console(stderr=True).print(line, style="yellow", highlight=False)
        yield store


def _provenance(spec: Spec) -> dict[str, Any]:
    try:
        created_by = f"orthrus {version('orthrus-mrna')}"
    except PackageNotFoundError:  # run from a checkout
        created_by = "orthrus"
    filters = asdict(spec.filters)
    return {
        "created_by": created_by,
        "sources": [
            {"path": file.given, "bytes": file.path.stat().st_size, "sha256": sha256(file.path)} for file in spec.files
        ],
        "filters": {
            **filters,
            "biotypes": sorted(filters["biotypes"]) if spec.filters.biotypes is not None else "all",
            "skip_species": sorted(filters["skip_species"]),
        },
    }


class _RateColumn(ProgressColumn):
    """How many transcripts, and how many a second."""

    def render(self, task: Task) -> Text:
        if not task.completed:
            return Text("")
        return Text(f"{task.completed:,.0f} transcripts, {task.completed / (task.elapsed or 1):,.0f}/s")


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}"),
        _RateColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )


def _counted(transcripts: Iterable[Transcript], progress: Progress, label: str) -> Iterator[Transcript]:
    """``transcripts``, shown as they pass."""
    task = progress.add_task(label, total=None)
    n = 0
    for n, transcript in enumerate(transcripts, start=1):
        if n % 500 == 0:
            progress.update(task, completed=n)
        yield transcript
    progress.update(task, completed=n, total=n)
