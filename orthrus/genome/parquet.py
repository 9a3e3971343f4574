"""Parquet files of users: unreadable ones, and those that expand beyond all proportion, are one clear error.

Compression, repeated values and lists make a few kilobytes of Parquet stand for any number of bytes, so the sizes that
a file declares are compared with :func:`orthrus.genome.files.most_bytes` before it is read, and what comes out is
counted.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from orthrus.errors import InputError
from orthrus.genome.files import expands_too_far, most_bytes

_BYTES = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}  # of a value, once decoded
_BATCH_ROWS = 1000


def read_schema(path: Path) -> pa.Schema:
    """The columns of a file, with its metadata; raises InputError if it is no Parquet file."""
    with _readable(path):
        return pq.read_schema(path)


def read_batches(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield ``columns`` of the rows of a file, 1,000 at a time.

    Raises InputError if the file is damaged or expands to more than :func:`orthrus.genome.files.most_bytes`.
    """
    limit, n_bytes = most_bytes(path), 0
    with _readable(path):
        parquet = pq.ParquetFile(path, page_checksum_verification=True)
        if _declared(parquet.metadata, columns) > limit:
            raise expands_too_far(path, limit)
        for batch in parquet.iter_batches(_BATCH_ROWS, columns=list(columns)):
            n_bytes += batch.nbytes
            if n_bytes > limit:
                raise expands_too_far(path, limit)
            yield batch


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """Read ``columns`` of a file whole; raises InputError as :func:`read_batches` does."""
    schema = read_schema(path)
    return pa.Table.from_batches(
        read_batches(path, columns), pa.schema([schema.field(name) for name in columns], schema.metadata)
    )


def _declared(about: pq.FileMetaData, columns: Sequence[str]) -> int:
    """The bytes that ``columns`` take by the file's own word, decompressed or, if that is more, decoded."""
    total = 0
    for group in (about.row_group(number) for number in range(about.num_row_groups)):
        for column in (group.column(number) for number in range(group.num_columns)):
            if any(f"{column.path_in_schema}.".startswith(f"{name}.") for name in columns):
                total += max(column.total_uncompressed_size, column.num_values * _BYTES.get(column.physical_type, 0))
    return total


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise InputError(f"{path} is not a readable Parquet file ({reason}).") from None
