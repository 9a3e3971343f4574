"""What an embeddings file says of the transcripts of a store, beside their vectors."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orthrus.embedding.formats import COLUMNS, TEXT_COLUMNS
from orthrus.store import TranscriptStore


def described(store: TranscriptStore, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the transcripts of ``store`` in order, ``batch_rows`` at a time: ``transcript_id`` and the COLUMNS.

    If no source names the gene of a transcript, ``gene_id`` is null, and so is ``family_id`` unless it joins several
    transcripts: both would only repeat the id.
    """
    joins_several = np.bincount(store.family)[store.family] > 1
    table = pq.ParquetFile(store.path / "transcripts.parquet")
    start = 0
    for rows in table.iter_batches(batch_rows, columns=["transcript_id", "gene_known", *TEXT_COLUMNS]):
        at = slice(start, start + len(rows))
        known = rows["gene_known"]
        said = {
            **{name: rows[name] for name in TEXT_COLUMNS},
            "gene_id": pc.if_else(known, rows["gene_id"], None),
            "family_id": pc.if_else(pc.or_(known, pa.array(joins_several[at])), rows["family_id"], None),
            "length": pa.array(store.lengths[at], pa.int64()),
            "cds_length": pa.array(store.cds[at, 1] - store.cds[at, 0], pa.int64()),
        }
        names = ("transcript_id", *COLUMNS)
        yield pa.record_batch([rows["transcript_id"], *(said[name] for name in COLUMNS)], names=names)
        start = at.stop
