"""Transcripts before they are written to a store: their codes end to end, and a table with a row for each."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from orthrus.genome.codes import Codes
from orthrus.genome.genetic_code import STANDARD
from orthrus.store.layout import ROW_SCHEMA


class Chunk(NamedTuple):
    """Some transcripts: ``codes`` uint8 (total nt,), ``rows`` a table of the columns of ROW_SCHEMA."""

    codes: bytes
    rows: pa.Table


class ChunkWriter:
    """Collects transcripts into a :class:`Chunk`."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._codes: list[Codes] = []
        self._columns: dict[str, list[Any]] = {name: [] for name in ROW_SCHEMA.names}

    def __len__(self) -> int:
        return len(self._codes)

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
        self._codes.append(np.ascontiguousarray(codes))
        row = {
            "transcript_id": transcript_id,
            "gene_id": gene_id,
            "gene_known": gene_known,
            "gene_name": gene_name,
            "species": species,
            "biotype": biotype,
            "length": len(codes),
            "cds_start": cds[0] if cds else -1,
            "cds_end": cds[1] if cds else -1,
            "exon_ends": np.asarray(exon_ends, dtype=np.int32),
            "source": source,
            "genetic_code": genetic_code,
        }
        for name, value in row.items():
            self._columns[name].append(value)

    def take(self) -> Chunk:
        """The transcripts added since the last call."""
        chunk = Chunk(b"".join(codes.data for codes in self._codes), pa.table(self._columns, schema=ROW_SCHEMA))
        self._clear()
        return chunk
