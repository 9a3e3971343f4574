from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@pytest.fixture
def write_parquet(tmp_path: Path) -> Callable[..., Path]:
    """Writes columns to an embeddings file, ``metadata`` to its schema."""

    def write(metadata: bytes | None = None, **columns: object) -> Path:
        path = tmp_path / "embeddings.parquet"
        table = pa.table(columns)
        if metadata is not None:
            table = table.replace_schema_metadata({b"orthrus": metadata})
        pq.write_table(table, path)
        return path

    return write
