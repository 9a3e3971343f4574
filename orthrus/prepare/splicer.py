"""Transcripts in chunks, on all cores: contigs are read here one by one, and spliced by worker processes.

Workers map a contig from a file, at most two at a time, so memory does not grow with the cores. Chunks have a fixed
number of transcripts and come in order, so the result does not depend on the number of workers.
"""

import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from types import TracebackType

import numpy as np

from orthrus.errors import InputError
from orthrus.genome.codes import Codes
from orthrus.genome.genetic_code import AS_STATED, STANDARD, GeneticCodes
from orthrus.genome.models import TranscriptModels
from orthrus.genome.transcripts import Transcript, spliced_transcripts
from orthrus.store import Chunk, ChunkWriter

_CHUNK = 2_000  # transcripts
_WORTH_WORKERS = 10_000  # transcripts; fewer take less time than workers take to start


def available_cores() -> int:
    """The number of cores that this process may use (in a Slurm job or a container, not all)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def chunked(transcripts: Iterable[Transcript], source: str, genetic_code: int | None = None) -> Iterator[Chunk]:
    """``transcripts`` in chunks for a store; ``source`` is the value of its column of that name.

    A ``genetic_code`` replaces those of the transcripts.
    """
    writer = ChunkWriter()
    for transcript_id, gene_id, gene_known, gene_name, species, biotype, mrna, stated in transcripts:
        writer.add(
            mrna.codes,
            transcript_id=transcript_id,
            gene_id=gene_id,
            gene_known=gene_known,
            gene_name=gene_name,
            species=species,
            biotype=biotype,
            cds=mrna.cds,
            exon_ends=mrna.exon_ends,
            source=source,
            genetic_code=genetic_code or stated,
        )
        if len(writer) == _CHUNK:
            yield writer.take()
    if len(writer):
        yield writer.take()


class Splicer:
    """Makes chunks of contigs with ``workers`` processes, which start when there is enough work.

    It is a context manager; ``folder`` is for files that last as long as the context.
    """

    def __init__(self, workers: int, folder: Path) -> None:
        self._workers, self._folder = workers, folder
        self._pool: ProcessPoolExecutor | None = None
        self._n = 0

    def __enter__(self) -> "Splicer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def chunks(
        self,
        contigs: Iterable[tuple[TranscriptModels, Codes]],
        species: str,
        source: str,
        genetic_codes: GeneticCodes = AS_STATED,
    ) -> Iterator[Chunk]:
        """The transcripts of ``contigs`` (models and bases of each), in order.

        Raises InputError if a worker was killed.
        """
        try:
            yield from self._chunks(contigs, species, source, genetic_codes)
        except BrokenProcessPool:
            raise InputError(
                "a worker process was killed, most likely for want of memory; use fewer with --workers."
            ) from None

    def _chunks(
        self,
        contigs: Iterable[tuple[TranscriptModels, Codes]],
        species: str,
        source: str,
        genetic_codes: GeneticCodes,
    ) -> Iterator[Chunk]:
        pending: deque[tuple[Future[Chunk], Path | None]] = deque()
        for number, (models, bases) in enumerate(contigs):
            parts = [models.take(rows) for rows in _parts(len(models))]
            genetic_code = STANDARD
            if parts:
                genetic_code = genetic_codes.of(models.contig[0].as_py(), models.chromosomes, models.genetic_codes)
            self._n += len(models)
            if self._workers == 1 or self._n < _WORTH_WORKERS:
                yield from _finished(pending, 0)
                for part in parts:
                    yield _splice(part, bases, species, source, genetic_code)
                continue
            path = self._folder / f"contig{number}.u8"
            bases.tofile(path)
            for part in parts:
                future = self._start().submit(_splice, part, path, species, source, genetic_code)
                pending.append((future, path if part is parts[-1] else None))
                yield from _finished(pending, 2 * self._workers)
        yield from _finished(pending, 0)

    def _start(self) -> ProcessPoolExecutor:
        if not self._pool:
            self._pool = ProcessPoolExecutor(self._workers, get_context("spawn"), _be_a_worker)
        return self._pool


def _finished(pending: deque[tuple[Future[Chunk], Path | None]], leave: int) -> Iterator[Chunk]:
    """Yield results, the oldest first, until ``leave`` are pending; the file of a contig is removed after its last."""
    while len(pending) > leave:
        future, path = pending.popleft()
        yield future.result()
        if path:
            path.unlink()


def _parts(n: int) -> list[np.ndarray]:
    return [np.arange(start, min(start + _CHUNK, n)) for start in range(0, n, _CHUNK)]


def _splice(models: TranscriptModels, bases: Codes | Path, species: str, source: str, genetic_code: int) -> Chunk:
    if isinstance(bases, Path):
        bases = np.asarray(np.memmap(bases, dtype=np.uint8, mode="r"))
    (chunk,) = chunked(spliced_transcripts(models, bases, species), source, genetic_code)
    return chunk


def _be_a_worker() -> None:
    """Leave interrupts to the parent process, and end when it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = parent_process()
    assert parent

    def leave_with_parent() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
