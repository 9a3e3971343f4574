"""Data frames of mRNAs in Parquet, in the form of mRNABench: sequences with their CDS and splice tracks.

The column ``sequence`` (string) is required. Optional columns are ``cds`` and ``splice`` (lists of 0 and 1, one a base:
1 at the first base of each codon, at the last base of each exon), ``transcript_id`` (default: the row's number),
``gene`` (or ``gene_name``) and ``species``. mRNABench (bioRxiv 2025.07.05.662870) has one as ``data_df.parquet`` in the
folder of each data set.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orthrus.errors import InputError
from orthrus.genome.codes import CDS_BIT, SPLICE_BIT, Codes, codon_interval, encode_bases
from orthrus.genome.parquet import read_batches, read_schema
from orthrus.genome.splice import Mrna

PARQUET_SUFFIXES = (".parquet", ".pq")
_OPTIONAL = ("transcript_id", "gene", "gene_name", "species", "cds", "splice")


def row_ids(n_rows: int) -> list[str]:
    """The ids of the rows of a frame without a column of ids: their numbers from 0."""
    return [str(row) for row in range(n_rows)]


def read_frame(path: Path) -> Iterator[tuple[str, str, str, Mrna]]:
    """Yield ``transcript_id``, gene, species and mRNA of each row, in order.

    A CDS track is kept unchanged; the CDS is the interval from its first codon to the end of the last. Exon ends are
    known where the splice track marks the last base. Raises InputError if the file is not such a frame, or, naming the
    row, if a track does not fit its sequence.
    """
    found = read_schema(path).names
    if "sequence" not in found:
        raise InputError(f"{path} has no column 'sequence'; it has {', '.join(found[:12])}.")
    row = 0
    for batch in read_batches(path, ["sequence", *(name for name in _OPTIONAL if name in found)]):
        for record in batch.to_pylist():
            name = str(record["transcript_id"]) if record.get("transcript_id") is not None else str(row)
            gene = record.get("gene") or record.get("gene_name") or ""
            yield name, str(gene), str(record.get("species") or ""), _mrna(record, f"{path}, row {row}")
            row += 1


def _mrna(record: dict[str, Any], where: str) -> Mrna:
    sequence = record["sequence"]
    if not sequence:
        raise InputError(f"{where}: the row has no sequence; give each row one.")
    codes: Codes = encode_bases(sequence, where).copy()
    codon, end = (read_track(record.get(name), len(codes), f"{where}: {name}") for name in ("cds", "splice"))
    codes[codon] |= CDS_BIT
    codes[end] |= SPLICE_BIT
    ends = (np.flatnonzero(end) + 1).astype(np.int32)
    complete = len(ends) and ends[-1] == len(codes)
    return Mrna(codes, codon_interval(codes), ends if complete else np.empty(0, np.int32))


def read_track(values: Any, length: int, where: str) -> NDArray[np.bool_]:
    """A track, bool (``length``,): where ``values`` are 1, and nowhere if they are None.

    Raises InputError, after ``where``, unless they are one 0 or 1 a base.
    """
    if values is None:
        return np.zeros(length, dtype=np.bool_)
    try:
        track = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{where} is {values!r:.30}; expected one 0 or 1 a base.") from None
    if track.shape != (length,) or not np.isin(track, (0, 1)).all():
        raise InputError(f"{where} has {track.size:,} values for {length:,} nt; expected one 0 or 1 a base.")
    marked: NDArray[np.bool_] = track == 1
    return marked
