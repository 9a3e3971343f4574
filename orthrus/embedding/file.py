"""Embeddings files: one vector a transcript, in Parquet or in one of :mod:`orthrus.embedding.formats`.

A Parquet file has the columns ``transcript_id`` (string) and ``embedding`` (list of float), and ``embedding.NAME`` for
further readouts. Optional columns describe the transcripts (:data:`orthrus.embedding.formats.COLUMNS`). The metadata
key ``orthrus`` of the schema holds JSON on the origin of the vectors. Reading 24 k x 512 takes a fraction of a second
and 50 MB.
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

from orthrus.embedding.described import described
from orthrus.embedding.formats import (
    COLUMNS,
    MAIN,
    NUMBER_COLUMNS,
    READERS,
    TEXT_COLUMNS,
    WRITERS,
    Content,
    check_format,
    read_content,
)
from orthrus.errors import InputError
from orthrus.genome.parquet import read_columns, read_schema
from orthrus.nn.readouts import PROJECTION
from orthrus.output import atomic_file, hold
from orthrus.spec_file import parse_json
from orthrus.store import TranscriptStore

METADATA_KEY = b"orthrus"
READOUT_PREFIX = "embedding."
MAIN_READOUT = MAIN  # the name of the vectors if the file gives none


@dataclass(frozen=True)
class Embeddings:
    """Vectors of N transcripts, one row each. Any feature matrix fits, also that of a control.

    Args:
        transcript_ids: N ids.
        matrix: float32 (N, D); row i is the vector of ``transcript_ids[i]``.
        metadata: the origin of the vectors: ``file``, and for ours ``encoder``, ``checkpoint`` and more.
        species: N names, None or "" where unknown, as in all optional columns.
        gene_id: N ids of genes.
        gene_name: N names of genes.
        family_id: N ids of families, the unit of a split.
        biotype: N biotypes.
        length: N lengths of the mRNAs, nt.
        cds_length: N lengths of the CDSs, nt, 0 without one.
        readout: the name of ``matrix``.
        readouts: further vectors of the same transcripts by name, (N, any width); a probe chooses among all readouts on
            validation rows.
    """

    transcript_ids: tuple[str, ...]
    matrix: NDArray[np.float32]
    metadata: dict[str, Any] = field(default_factory=dict)
    species: tuple[str | None, ...] | None = None
    gene_id: tuple[str | None, ...] | None = None
    gene_name: tuple[str | None, ...] | None = None
    family_id: tuple[str | None, ...] | None = None
    biotype: tuple[str | None, ...] | None = None
    length: tuple[int, ...] | None = None
    cds_length: tuple[int, ...] | None = None
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

    @property
    def transcripts(self) -> pa.Table:
        """A table of the transcripts: ``transcript_id`` and the names among the optional columns."""
        columns = {"transcript_id": pa.array(self.transcript_ids, pa.string())}
        for name in ("species", "gene_id", "gene_name", "family_id"):
            if (values := getattr(self, name)) is not None:
                columns[name] = pa.array(values, pa.string())
        return pa.table(columns)

    def with_readout(self, name: str) -> "Embeddings":
        """The same transcripts with only the readout called ``name``; raises InputError if there is none.

        A ``projection`` may also be the last part of :attr:`matrix`.
        """
        matrix = self.all_readouts.get(name)
        if name == PROJECTION and matrix is None and self.holds_projection:
            matrix = self.matrix[:, -int(self.metadata["encoder"]["projection"]["d_out"]) :]
        if matrix is None:
            raise InputError(f"no readout {name!r} in the embeddings; they hold {', '.join(self.all_readouts)}.")
        return replace(self, matrix=matrix, readout=name, readouts={})

    @property
    def holds_projection(self) -> bool:
        """Whether the projection of the encoder is the last part of :attr:`matrix`, or all of it."""
        return self.readout.split("+")[-1] == PROJECTION

    def with_rows(self, rows: NDArray[np.int64]) -> "Embeddings":
        """The transcripts in these ``rows``, with their vectors and columns."""
        columns: dict[str, Any] = {
            name: tuple(values[i] for i in rows) for name in COLUMNS if (values := getattr(self, name)) is not None
        }
        ids = tuple(self.transcript_ids[i] for i in rows)
        others = {name: matrix[rows] for name, matrix in self.readouts.items()}
        return replace(self, transcript_ids=ids, matrix=self.matrix[rows], readouts=others, **columns)

    def rows_of(self, transcript_ids: Sequence[str]) -> NDArray[np.int64]:
        """The row of each of ``transcript_ids``, int64, -1 for ids that the embeddings lack."""
        row = {name: i for i, name in enumerate(self.transcript_ids)}
        return np.array([row.get(name, -1) for name in transcript_ids], dtype=np.int64)


def read_embeddings(path: str | Path) -> Embeddings:
    """Read an embeddings file.

    Args:
        path: a Parquet file, or ``.tsv``, ``.csv``, ``.npz``, ``.h5ad``, or another model's ``.npy``.

    Raises:
        InputError: if the file is missing or has none of these formats; if it has no ids, vectors or rows; if ids
            repeat or are missing; if vectors are missing, differ in width or hold a value that is not finite.

    Examples:
        >>> import orthrus
        >>> embeddings = orthrus.read_embeddings("runs/demo/embeddings.parquet")
        >>> len(embeddings), embeddings.matrix.dtype
        (2127, dtype('float32'))
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no embeddings file {path}; make one with `orthrus embed`.")
    if path.suffix not in READERS:
        return _read_parquet(path)
    content = read_content(path)
    ids = content.ids
    _check_ids(path, pa.chunked_array([pa.array(ids, pa.string())]))
    matrices = {name: _finite(path, ids, array) for name, array in content.vectors.items()}
    first, *others = matrices
    columns = {name: tuple(values) for name, values in content.columns.items()}
    metadata = {"file": str(path), **content.metadata}
    readout = _take_readout(metadata, first)
    more = {name: matrices[name] for name in others}
    return Embeddings(tuple(ids), matrices[first], metadata, readout=readout, readouts=more, **columns)


def write_embeddings(embeddings: Embeddings, path: str | Path, overwrite: bool = False) -> None:
    """Write an embeddings file, whole or not at all, in the format of its suffix.

    Args:
        embeddings: ids, vectors, readouts, columns and metadata. :func:`read_embeddings` reads all of them back, except
            that text formats have no metadata.
        path: a name that ends in ``.parquet``, ``.tsv``, ``.csv``, ``.npz`` or ``.h5ad``.
        overwrite: replace an existing file.

    Raises:
        InputError: for another suffix, for an existing file without ``overwrite``, or if the file cannot be written.

    Examples:
        >>> import numpy as np
        >>> import orthrus
        >>> mine = orthrus.Embeddings(("T1", "T2"), np.zeros((2, 4), np.float32))
        >>> orthrus.write_embeddings(mine, "mine.parquet", overwrite=True)
        >>> orthrus.read_embeddings("mine.parquet").transcript_ids
        ('T1', 'T2')
    """
    path = Path(path)
    check_format(path)
    with hold(path):
        if path.exists() and not overwrite:
            raise InputError(f"{path} exists; choose another path or pass overwrite to replace it")
        with atomic_file(path) as scratch:
            write_content(embeddings, scratch)


def write_content(embeddings: Embeddings, path: Path) -> None:
    """Write ``embeddings`` directly to ``path``, in the format of its suffix."""
    columns = {name: values for name in COLUMNS if (values := getattr(embeddings, name)) is not None}
    metadata = {name: value for name, value in embeddings.metadata.items() if name != "file"}
    metadata["readout"] = embeddings.readout
    if path.suffix != ".parquet":
        WRITERS[path.suffix](Content([*embeddings.transcript_ids], embeddings.all_readouts, columns, metadata), path)
        return
    arrays: dict[str, Any] = {"transcript_id": pa.array(embeddings.transcript_ids, pa.string())}
    for name, matrix in {MAIN: embeddings.matrix, **embeddings.readouts}.items():
        lists = pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1])
        arrays[MAIN if name == MAIN else READOUT_PREFIX + name] = lists.cast(pa.list_(pa.float32()))
    for name, values in columns.items():
        arrays[name] = pa.array(values, pa.int64() if name in NUMBER_COLUMNS else pa.string())
    table = pa.table(arrays).replace_schema_metadata({METADATA_KEY: json.dumps(metadata).encode()})
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def _read_parquet(path: Path) -> Embeddings:
    found = read_schema(path).names
    missing = [name for name in ("transcript_id", "embedding") if name not in found]
    if missing:
        raise InputError(
            f"{path} has no column {' and no column '.join(map(repr, missing))}; it has {', '.join(found)}."
            " Expected an embeddings file of `orthrus embed`."
        )
    wanted = ("transcript_id", "embedding", *COLUMNS)
    more = [name for name in found if name.startswith(READOUT_PREFIX)]
    table = read_columns(path, [*(name for name in wanted if name in found), *more])
    _check_ids(path, table["transcript_id"])
    ids = tuple(table["transcript_id"].cast(pa.string()).to_pylist())
    metadata = _metadata(path, table.schema.metadata or {})
    return Embeddings(
        transcript_ids=ids,
        matrix=_matrix(path, ids, table, "embedding"),
        metadata=metadata,
        readout=_take_readout(metadata, MAIN_READOUT),
        readouts={name.removeprefix(READOUT_PREFIX): _matrix(path, ids, table, name) for name in more},
        **{
            name: tuple(table[name].cast(pa.string() if name in TEXT_COLUMNS else pa.int64()).to_pylist())
            for name in COLUMNS
            if name in table.column_names
        },
    )


def of_store(store: TranscriptStore, matrix: NDArray[np.float32]) -> Embeddings:
    """Embeddings of all transcripts of ``store``, with its columns; ``matrix`` has their vectors, (N, D)."""
    table = pa.Table.from_batches(described(store, batch_rows=len(store)))
    columns: dict[str, Any] = {name: tuple(table[name].to_pylist()) for name in COLUMNS}
    return Embeddings(tuple(table["transcript_id"].to_pylist()), matrix, **columns)


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
    with np.errstate(over="ignore"):  # values beyond float32 become infinite and are refused below
        matrix = np.ascontiguousarray(vectors, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if bad.size:
        raise InputError(
            f"{path}: {bad.size:,} of {len(ids):,} vectors hold a value that is not finite, for example that of"
            f" {ids[bad[0]]}; embed them again."
        )
    return matrix


def _take_readout(metadata: dict[str, Any], unnamed: str) -> str:
    """Take the name of the vectors out of a file's metadata, so that :attr:`Embeddings.readout` alone states it."""
    metadata.pop("readouts", None)  # a list of all, in our older files
    return str(metadata.pop("readout", unnamed))


def _metadata(path: Path, schema_metadata: dict[bytes, bytes]) -> dict[str, Any]:
    try:
        metadata = parse_json(schema_metadata.get(METADATA_KEY, b"{}"))
    except ValueError as error:
        raise InputError(f"{path}: its 'orthrus' metadata is not JSON ({error}); embed again.") from None
    if not isinstance(metadata, dict):
        raise InputError(f"{path}: its 'orthrus' metadata is {metadata!r}; expected keys and values; embed again.")
    return {"file": str(path), **metadata}
