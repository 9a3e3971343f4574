"""Builds a store in a folder beside its place, and moves it there when it is complete."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from orthrus.errors import InputError
from orthrus.genome.codes import Codes
from orthrus.genome.findings import Findings
from orthrus.genome.genetic_code import STANDARD
from orthrus.output import hold, move_into_place, reserve_folder
from orthrus.store.chunk import Chunk, ChunkWriter
from orthrus.store.finish import SPOOL, small_columns, write_relations
from orthrus.store.ids import as_given
from orthrus.store.layout import FILES, FORMAT_VERSION, ROW_SCHEMA, copy_bytes, sampled_sha256, sha256
from orthrus.store.reader import TranscriptStore

_ROWS = 1 << 16  # rows of a row group
_PENDING = 1 << 12  # transcripts that are added one by one and written together


class StoreBuilder:
    """Builds a store in the folder of :func:`orthrus.output.hold` and moves it to ``path``.

    Use it as a context manager: :meth:`add` or :meth:`extend`, then :meth:`finish`. Leaving without ``finish``, by an
    error or an interrupt, removes the unfinished store; ``path`` is never half-written. Entering raises InputError if
    another process is writing ``path``, or if it exists, unless it is a store and ``overwrite`` is given: a finished
    store then replaces it. Memory holds numbers and the id of each transcript, about 60 bytes a transcript.
    """

    def __init__(self, path: str | Path, *, overwrite: bool = False) -> None:
        self._path, self._overwrite = Path(path), overwrite
        self._pending = ChunkWriter()
        self._rows: list[pa.Table] = []  # fewer rows than a row group
        self._waiting = 0  # rows in them
        self._columns: list[pa.Table] = []
        self._n = 0

    def __enter__(self) -> "StoreBuilder":
        with ExitStack() as stack:
            stack.enter_context(reserve_folder(self._path, "meta.json", self._overwrite))
            self.folder = stack.enter_context(hold(self._path)) / "new"
            (self.folder / "arrays").mkdir(parents=True)
            self._codes = (self.folder / "codes.u8").open("wb")
            self._spool = pq.ParquetWriter(self.folder / SPOOL, ROW_SCHEMA, compression="lz4")
            self._held = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._held:
            for stream in (self._codes, self._spool):
                try:
                    stream.close()
                except OSError:  # a full disk again; the first error is already raised
                    if kind is None:
                        raise

    def __len__(self) -> int:
        return self._n + len(self._pending)

    def add(
        self,
        codes: Codes,
        *,
        transcript_id: str,
        gene_id: str,
        species: str,
        gene_known: bool = True,
        gene_name: str = "",
        biotype: str = "",
        cds: tuple[int, int] | None = None,
        exon_ends: Sequence[int] | NDArray[np.int32] = (),
        source: str = "",
        genetic_code: int = STANDARD,
    ) -> None:
        """Append a transcript: annotated ``codes``, uint8 (L,), and its row in the table."""
        self._pending.add(
            codes,
            transcript_id=transcript_id,
            gene_id=gene_id,
            species=species,
            gene_known=gene_known,
            gene_name=gene_name,
            biotype=biotype,
            cds=cds,
            exon_ends=exon_ends,
            source=source,
            genetic_code=genetic_code,
        )
        if len(self._pending) == _PENDING:
            self._write(self._pending.take())

    def extend(self, chunk: Chunk) -> None:
        """Append the transcripts of a chunk."""
        self._write(self._pending.take())
        self._write(chunk)

    def longest_cds(self) -> Iterator[tuple[str, str, Codes, int]]:
        """Species, gene id, codes and genetic code of the longest CDS of each coding gene so far."""
        self._write(self._pending.take())
        self._codes.flush()
        columns = pa.concat_tables(self._columns).unify_dictionaries()
        start, end = (columns[name].to_numpy() for name in ("cds_start", "cds_end"))
        gene = np.concatenate([chunk.indices.to_numpy() for chunk in columns["gene"].chunks])
        coding = np.flatnonzero(start >= 0)
        by_length = coding[np.argsort((start - end)[coding], kind="stable")]
        chosen = by_length[np.unique(gene[by_length], return_index=True)[1]]
        offsets = np.cumsum(columns["length"].to_numpy().astype(np.int64)) - columns["length"].to_numpy()
        keys = columns["gene"].chunk(0).dictionary.take(pa.array(gene[chosen])).to_pylist()
        codes = np.memmap(self.folder / "codes.u8", dtype=np.uint8, mode="r")
        genetic_codes = columns["genetic_code"].to_numpy()
        for key, row in zip(keys, chosen.tolist(), strict=True):
            species, _, gene_id = key.partition("\t")
            yield species, gene_id, codes[offsets[row] + start[row] : offsets[row] + end[row]], int(genetic_codes[row])

    def extend_from(self, store: TranscriptStore) -> None:
        """Append all transcripts of another store, with their original ids.

        The kernel copies their codes from file to file.
        """
        self._write(self._pending.take())
        self._codes.flush()
        copy_bytes(store.path / "codes.u8", self._codes)
        table, renamed = pq.ParquetFile(store.path / "transcripts.parquet"), store.table("renamed")
        start = 0
        for group in range(table.num_row_groups):
            rows = table.read_row_group(group, columns=ROW_SCHEMA.names).select(ROW_SCHEMA.names)
            given = as_given(rows["transcript_id"], start, renamed)
            self._add_rows(rows.set_column(0, ROW_SCHEMA.field("transcript_id"), given))
            start += len(rows)

    def _write(self, chunk: Chunk) -> None:
        self._codes.write(chunk.codes)
        self._add_rows(chunk.rows)

    def _add_rows(self, rows: pa.Table) -> None:
        if not len(rows):
            return
        self._n += len(rows)
        self._columns.append(small_columns(rows))
        self._rows.append(rows)
        self._waiting += len(rows)
        if self._waiting >= _ROWS:
            waiting = pa.concat_tables(self._rows).combine_chunks()
            whole = len(waiting) // _ROWS * _ROWS
            self._spool.write_table(waiting.slice(0, whole), row_group_size=_ROWS)
            self._rows = [waiting.slice(whole)]
            self._waiting -= whole

    def finish(
        self,
        orthologs: pa.Table | None = None,
        homologs: pa.Table | None = None,
        findings: Mapping[str, Findings] | None = None,
        meta: Mapping[str, Any] | None = None,
        join_similar: bool = False,
    ) -> None:
        """Make ids unique, compute families and adjacency, write the tables and move the store into place.

        Args:
            orthologs: pairs of genes, columns of ORTHOLOG_SCHEMA. Pairs with a gene that is not in the store are
                counted, and kept for a merge.
            homologs: groups of genes of one family, columns of HOMOLOG_SCHEMA, treated in the same way.
            findings: the findings of each source.
            meta: further entries of ``meta.json``.
            join_similar: join genes of similar sequence into one family (:mod:`orthrus.store.similar`).

        Raises:
            InputError: if no transcript was added.
        """
        self._write(self._pending.take())
        if not self._n:
            raise InputError(f"no transcript to write to {self._path}: the filters or the input left none.")
        self._codes.close()
        self._spool.write_table(pa.concat_tables(self._rows))
        self._spool.close()
        columns = pa.concat_tables(self._columns).unify_dictionaries()
        self._columns.clear()
        facts = write_relations(self.folder, columns, orthologs, homologs, findings or {}, join_similar)
        (self.folder / SPOOL).unlink()
        files = {
            name: {
                "bytes": (self.folder / name).stat().st_size,
                "sha256": sha256(self.folder / name),
                "sampled_sha256": sampled_sha256(self.folder / name),
            }
            for name in FILES
        }
        document = {
            "format_version": FORMAT_VERSION, "cds_frame": "annotated", **(meta or {}), **facts, "files": files
        }  # fmt: skip
        (self.folder / "meta.json").write_text(json.dumps(document, indent=2) + "\n")
        move_into_place(self.folder, self._path)
