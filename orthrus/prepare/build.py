"""Builds a store from sources in turn, ortholog tables and provenance."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import pyarrow as pa
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from orthrus.errors import InputError, did_you_mean
from orthrus.genome.filters import Filters
from orthrus.genome.findings import Findings
from orthrus.genome.headers import has_headers
from orthrus.genome.mrna_frames import PARQUET_SUFFIXES
from orthrus.genome.transcripts import annotated_contigs, bare_transcripts, framed_transcripts, listed_transcripts
from orthrus.messages import messages
from orthrus.output import temporary_folder
from orthrus.prepare.clustering import cluster_genes
from orthrus.prepare.orthologs import GeneNumbers, read_homologs, read_orthologs
from orthrus.prepare.spec import Spec, load_spec
from orthrus.prepare.splicer import Splicer, available_cores, chunked
from orthrus.spec_file import File
from orthrus.store import Chunk, StoreBuilder, TranscriptStore, sha256
from orthrus.version import package_version

logger = logging.getLogger(__name__)

T = TypeVar("T")

_EVERYTHING = Filters(biotypes=None, min_length=1, max_length=2**31 - 1)


@dataclass(frozen=True)
class PrepareSummary:
    """The result of :func:`prepare`: the ``path`` of the store and the ``seconds`` it took.

    ``counts``, ``dropped`` (transcripts by reason) and ``warnings`` are as in the store's ``meta.json``.
    """

    path: Path
    counts: dict[str, int]
    dropped: dict[str, int]
    warnings: list[str]
    seconds: float

    @property
    def transcripts_per_second(self) -> float:
        return self.counts["transcripts"] / self.seconds


def prepare(
    spec_path: str | Path,
    output: str | Path,
    overwrite: bool = False,
    workers: int | None = None,
    species: Sequence[str] = (),
) -> PrepareSummary:
    """Prepare a transcript store from a spec, with progress.

    The store appears whole or, after an error or an interrupt, not at all.

    Args:
        spec_path: the spec, a YAML, or the name of a shipped one.
        output: folder of the store.
        overwrite: replace an existing store.
        workers: processes that splice annotated transcripts, by default one a core; the store does not depend on it.
        species: build only these species of the spec, a shard for :func:`orthrus.store.merge_stores`.

    Raises:
        InputError: if the spec or a file it names cannot be used, if no transcript is left, or if ``output`` exists and
            ``overwrite`` is false.

    Examples:
        >>> summary = prepare("prepare/demo", "stores/mine", overwrite=True, workers=1)
        >>> summary.counts["transcripts"], summary.dropped
        (2127, {'longer than 2,000 nt': 425})
    """
    if workers is not None and workers < 1:
        raise InputError(f"{workers} worker processes cannot splice; expected 1 or more.")
    started = time.monotonic()
    spec = load_spec(Path(spec_path), species)
    findings: dict[str, Findings] = {}
    numbers = GeneNumbers(spec)
    orthologs, homologs = read_orthologs(spec, numbers, findings), read_homologs(spec, numbers, findings)
    try:
        with StoreBuilder(output, overwrite=overwrite) as builder, _progress() as progress:
            _build(builder, spec, (orthologs, homologs), findings, workers or available_cores(), progress)
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
    relations: tuple[pa.Table, pa.Table],
    findings: dict[str, Findings],
    workers: int,
    progress: Progress,
) -> None:
    described = _in_background(lambda: _described(spec.files))  # hashing releases the interpreter lock
    with Splicer(workers, builder.folder) as splicer:
        for source in spec.chosen:
            found = findings.setdefault(source.name, Findings())
            chunks = source.chunks(spec.filters, found, splicer, spec.cds_frame)
            _add(builder, chunks, progress, f"{source.species}, {source.short_name}")
    if not len(builder):
        lines = [line for found in findings.values() for line in found.dropped.lines()]
        reasons = [reason.removeprefix("of biotype ") for found in findings.values() for reason in found.dropped.counts]
        wanted = [f"{name!r}{did_you_mean(name, reasons)}" for name in sorted(spec.filters.biotypes or ())]
        raise InputError(
            f"no transcript is left to write: {'; '.join(lines) or 'none was read'}. Change the filters of the spec"
            f" (biotypes: {', '.join(wanted) or 'all'}), or its input."
        )
    orthologs, homologs = relations
    meta = _provenance(spec, described.result())
    if spec.clustering:
        task = progress.add_task("homologs, by MMseqs2", total=None)
        groups, meta["clustering"] = cluster_genes(builder.longest_cds(), spec.clustering, builder.folder)
        homologs = pa.concat_tables([homologs, groups])
        progress.update(task, total=0)
    task = progress.add_task("families, tables, checksums", total=None)
    builder.finish(orthologs, homologs, findings=findings, meta=meta, join_similar=spec.join_similar)
    progress.update(task, total=0)


@contextmanager
def open_or_prepare(
    path: Path,
    *,
    genome: Path | None = None,
    coordinates: Path | None = None,
    find_orfs: bool = True,
    only: Set[str] | None = None,
) -> Iterator[TranscriptStore]:
    """Open the store at ``path``, or a temporary store of all transcripts of another input.

    Args:
        path: a store, an annotation, an mRNA FASTA, or a Parquet data frame of sequences and their tracks.
        genome: the genome of an annotation, FASTA or 2bit.
        coordinates: CDS and exons of an mRNA FASTA; without it, the headers of GENCODE and Ensembl are read.
        find_orfs: use the longest open reading frame (:mod:`orthrus.genome.orfs`) as CDS of an mRNA FASTA without
            coordinates.
        only: ids of the wanted transcripts of an annotation; None: all.

    Raises:
        InputError: if the arguments do not fit together or the input cannot be read.

    Examples:
        >>> fasta, table = Path("data/demo/human_short.fa.gz"), Path("data/demo/human_short.tsv.gz")
        >>> with open_or_prepare(fasta, coordinates=table) as store:
        ...     print(len(store), "transcripts of", store.lengths.sum(), "nt")
        1500 transcripts of 1651156 nt
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
    with temporary_folder() as folder:
        with (
            StoreBuilder(folder / "store") as builder,
            Splicer(available_cores(), builder.folder) as splicer,
            _progress() as progress,
        ):
            if genome:
                contigs = annotated_contigs(path, genome, _EVERYTHING, findings, only=only)
                chunks = splicer.chunks(contigs, "", path.name)
            elif path.suffix in PARQUET_SUFFIXES and not coordinates:
                chunks = chunked(framed_transcripts(path), path.name)
            elif coordinates or _has_headers(path):
                chunks = chunked(listed_transcripts(path, coordinates, "", _EVERYTHING, findings), path.name)
            else:
                chunks = chunked(bare_transcripts(path, findings, find_orfs), path.name)
            _add(builder, chunks, progress, path.name)
            if not len(builder):
                why = "; ".join(findings.dropped.lines()) or "it has no records, or unknown line ends"
                raise InputError(f"no transcript of {path} can be read ({why}); look into the file.")
            builder.finish(findings={path.name: findings})
        store = TranscriptStore.open(folder / "store")
        for line in findings.dropped.lines() + store.meta["warnings"]:
            logger.warning("%s: %s", path.name, line)
        yield store


def _has_headers(fasta: Path) -> bool:
    try:
        return has_headers(fasta)
    except InputError as error:
        raise InputError(f"{error} If it is an annotation, give its genome too: --genome.") from None


def _in_background(work: Callable[[], T]) -> Future[T]:
    """The result of ``work``, in a thread that does not delay an interrupt."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


def _described(files: Iterable[File]) -> list[dict[str, Any]]:
    """The files with their checksums."""
    return [{"path": file.given, "bytes": file.path.stat().st_size, "sha256": sha256(file.path)} for file in files]


def _provenance(spec: Spec, sources: list[dict[str, Any]]) -> dict[str, Any]:
    filters = asdict(spec.filters)
    return {
        "created_by": f"orthrus {package_version()}",
        "cds_frame": spec.cds_frame,
        "sources": sources,
        "filters": {
            **filters,
            "biotypes": sorted(filters["biotypes"]) if spec.filters.biotypes is not None else "all",
            "skip_species": sorted(filters["skip_species"]),
        },
    }


class _RateColumn(ProgressColumn):
    """Shows the number of transcripts, in total and per second."""

    def render(self, task: Task) -> Text:
        if not task.completed:
            return Text("")
        return Text(f"{task.completed:,.0f} transcripts, {task.completed / (task.elapsed or 1):,.0f}/s")


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}", markup=False),
        _RateColumn(),
        TimeElapsedColumn(),
        console=messages(),
    )


def _add(builder: StoreBuilder, chunks: Iterable[Chunk], progress: Progress, label: str) -> None:
    """Add ``chunks`` to a store, with progress."""
    task = progress.add_task(label, total=None)
    n = 0
    for chunk in chunks:
        builder.extend(chunk)
        n += len(chunk.rows)
        progress.update(task, completed=n)
    progress.update(task, completed=n, total=n)
