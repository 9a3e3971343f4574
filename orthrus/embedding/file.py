"""Embeddings files: one vector a transcript, in Parquet.

Columns ``transcript_id`` (string) and ``embedding`` (list of float), and ``embedding.NAME`` for further readouts;
``species``, ``gene_id``, ``gene_name`` and ``family_id`` are kept where the file has them. The schema's metadata key
``orthrus`` holds JSON on where the vectors come from. Reading 24 k x 512 takes a fraction of a second and 50 MB.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from orthrus.embedding.foreign import READERS, read_foreign
from orthrus.errors import InputError
from orthrus.store import TranscriptStore

METADATA_KEY = b"orthrus"
READOUT_PREFIX = "embedding."
MAIN_READOUT = "embedding"  # the name of the vectors of a file that says no other


@dataclass(frozen=True)
class Embeddings:
    """Vectors of N transcripts: ``matrix`` float32 (N, D), row i that of ``transcript_ids[i]``.

    The optional columns have N entries, None or "" where unknown. ``readouts`` are further vectors of the same
    transcripts by name, (N, any width): a probe chooses among them and the matrix, whose own name is ``readout``, on
    validation rows. Any feature matrix fits, the controls' too.
    """

    transcript_ids: tuple[str, ...]
    matrix: NDArray[np.float32]
    metadata: dict[str, Any] = field(default_factory=dict)
    species: tuple[str | None, ...] | None = None
    gene_id: tuple[str | None, ...] | None = None
    gene_name: tuple[str | None, ...] | None = None
    family_id: tuple[str | None, ...] | None = None
    readout: str = MAIN_READOUT
    readouts: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or len(self.matrix) != len(self.transcript_ids):
            raise InputError(
                f"embeddings of shape {self.matrix.shape} for {len(self.transcript_ids):,} transcripts;"
                " expected one row a transcript"
            )

    def __len__(self) -> int:
        return len(self.transcript_ids)

    @property
    def all_readouts(self) -> dict[str, NDArray[np.float32]]:
        """The matrix and the other readouts, by name."""
        return {self.readout: self.matrix, **self.readouts}

    def with_readout(self, name: str) -> "Embeddings":
        """The same transcripts with one readout alone; raises InputError naming those there are."""
        if name not in self.all_readouts:
            raise InputError(f"no readout {name!r} in the embeddings; they hold {', '.join(self.all_readouts)}.")
        return replace(self, matrix=self.all_readouts[name], readout=name, readouts={})

    def rows_of(self, transcript_ids: Sequence[str]) -> NDArray[np.int64]:
        """Row of each transcript, int64, -1 for those that are not here."""
        row = {name: i for i, name in enumerate(self.transcript_ids)}
        return np.array([row.get(name, -1) for name in transcript_ids], dtype=np.int64)


def read_embeddings(path: str | Path) -> Embeddings:
    """Read an embeddings file: Parquet, or another model's ``.npz``, ``.npy`` or ``.h5ad``.

    Raises InputError if it is missing, of none of these formats, without ids, vectors or rows, or if ids repeat or are
    missing, or if vectors differ in width, are missing or hold a value that is not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no embeddings file {path}; make one with `orthrus embed`.")
    if path.suffix in READERS:
        ids, arrays = read_foreign(path)
        _check_ids(path, pa.chunked_array([pa.array(ids, pa.string())]))
        matrices = {name: _finite(path, ids, array) for name, array in arrays.items()}
        readout, matrix = next(iter(matrices.items()))
        del matrices[readout]
        return Embeddings(tuple(ids), matrix, {"file": str(path)}, readout=readout, readouts=matrices)
    return _read_parquet(path)


def _read_parquet(path: Path) -> Embeddings:
    try:
        parquet = pq.ParquetFile(path, page_checksum_verification=True)
        found = parquet.schema_arrow.names
        missing = [name for name in ("transcript_id", "embedding") if name not in found]
        if missing:
            raise InputError(
                f"{path} has no column {' and no column '.join(map(repr, missing))}; it has {', '.join(found)}."
                " Expected an embeddings file as `orthrus embed` writes it."
            )
        wanted = ("transcript_id", "embedding", "species", "gene_id", "gene_name", "family_id")
        more = [name for name in found if name.startswith(READOUT_PREFIX)]
        table = parquet.read(columns=[*(name for name in wanted if name in found), *more])
    except (pa.ArrowException, OSError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise InputError(f"{path} is no readable Parquet file ({reason}); make it with `orthrus embed`.") from None
    _check_ids(path, table["transcript_id"])
    ids = tuple(table["transcript_id"].cast(pa.string()).to_pylist())
    metadata = _metadata(path, table.schema.metadata or {})
    return Embeddings(
        transcript_ids=ids,
        matrix=_matrix(path, ids, table, "embedding"),
        metadata=metadata,
        readout=str(metadata.get("readout", MAIN_READOUT)),
        readouts={name.removeprefix(READOUT_PREFIX): _matrix(path, ids, table, name) for name in more},
        **{
            name: tuple(table[name].cast(pa.string()).to_pylist())
            for name in ("species", "gene_id", "gene_name", "family_id")
            if name in table.column_names
        },
    )


def of_store(store: TranscriptStore, matrix: NDArray[np.float32]) -> Embeddings:
    """Vectors (N, D) of a store's transcripts, with what the store says of them."""
    columns: dict[str, Any] = {
        name: tuple(store.column(name)) for name in ("species", "gene_id", "gene_name", "family_id")
    }
    return Embeddings(tuple(store.column("transcript_id")), matrix, **columns)


def _check_ids(path: Path, column: pa.ChunkedArray) -> None:
    if not len(column):
        raise InputError(f"{path} holds no transcript; embed an input that has some.")
    if column.null_count:
        raise InputError(f"{path}: {column.null_count:,} rows have no transcript_id; each row needs one.")
    counts = pc.value_counts(column.cast(pa.string()))
    repeated = counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist()
    if repeated:
        raise InputError(
            f"{path}: {len(repeated):,} transcript ids occur more than once, for example"
            f" {', '.join(repeated[:3])}; expected one row a transcript."
        )


def _matrix(path: Path, ids: Sequence[str], table: pa.Table, name: str) -> NDArray[np.float32]:
    column = table[name]
    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not is_list or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        raise InputError(f"{path}: column {name!r} is of type {kind}; expected a list of float32.")
    widths = pc.list_value_length(column).fill_null(0).to_numpy()
    odd = np.flatnonzero(widths != widths[0])
    if odd.size:
        raise InputError(
            f"{path}: vectors differ in width: {widths[0]} for {ids[0]}, {widths[odd[0]]} for {ids[odd[0]]};"
            " expected one width throughout."
        )
    if widths[0] == 0:
        raise InputError(f"{path}: the vectors are empty; embed the transcripts again.")
    return _finite(path, ids, pc.list_flatten(column).to_numpy().reshape(len(ids), -1))


def _finite(path: Path, ids: Sequence[str], vectors: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused below
        matrix = np.ascontiguousarray(vectors, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if bad.size:
        raise InputError(
            f"{path}: {bad.size:,} of {len(ids):,} vectors hold a value that is not finite, for example that of"
            f" {ids[bad[0]]}; embed them again."
        )
    return matrix


def _metadata(path: Path, schema_metadata: dict[bytes, bytes]) -> dict[str, Any]:
    try:
        metadata = json.loads(schema_metadata.get(METADATA_KEY, b"{}"))
    except ValueError as error:
        raise InputError(f"{path}: its 'orthrus' metadata is no JSON ({error}); embed again.") from None
    return {"file": str(path), **metadata}
