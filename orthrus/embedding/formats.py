"""Embeddings in other formats than Parquet, ours and those of other models, by the suffix of the file.

- ``.npz``: a two-dimensional array (``embedding``, ``embeddings``, ``X`` or the only one) and one of ids
  (``transcript_id``, ``transcript_ids``, ``ids``, ``names`` or the only one of text). Ours have ``embedding.NAME`` for
  further readouts, an array for each column, and the metadata as ``orthrus``. Nothing is unpickled.
- ``.npy`` (read only): the array; ids, one a line, in ``NAME.ids.txt`` beside it, or else row numbers, as for a data
  frame.
- ``.h5ad``: AnnData: ``X``, ids from the names of observations, the columns in ``obs``, further readouts in ``obsm``,
  the metadata in ``uns["orthrus"]``. Needs the extra ``anndata``.
- ``.tsv``, ``.csv``: one row a transcript: ``transcript_id``, the columns, ``embedding_0`` ... and ``embedding.NAME_0``
  ... for further readouts. Numbers are the shortest that read back as the same float32.
"""

import json
import math
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from orthrus.errors import InputError
from orthrus.genome.files import expands_too_far, most_bytes
from orthrus.genome.mrna_frames import row_ids
from orthrus.output import write_delimited
from orthrus.spec_file import parse_json

TEXT_COLUMNS = ("species", "gene_id", "gene_name", "family_id", "biotype")
NUMBER_COLUMNS = ("length", "cds_length")
COLUMNS = (*TEXT_COLUMNS, *NUMBER_COLUMNS)
"""Optional columns on the transcripts; lengths in nt, of the mRNA and of its CDS (0: none)."""

MAIN = "embedding"
_ORIGIN = "orthrus"
_BYTES_OF_A_NUMBER = 4
_VECTORS = ("embedding", "embeddings", "X")
_IDS = ("transcript_id", "transcript_ids", "ids", "names")


@dataclass(frozen=True)
class Content:
    """Ids of N transcripts, their vectors (N, D) by name of readout, columns of N values, and metadata."""

    ids: list[str]
    vectors: dict[str, NDArray[Any]]
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


def _read_npz(path: Path) -> Content:
    limit = most_bytes(path)
    with zipfile.ZipFile(path) as members:
        if sum(member.file_size for member in members.infolist()) > limit:
            raise expands_too_far(path, limit)
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    vectors = _pick(path, arrays, _VECTORS, "of vectors, two-dimensional numbers", lambda x: x.ndim == 2)
    ids = _pick(path, arrays, _IDS, "of ids, one-dimensional text", lambda x: x.ndim == 1 and x.dtype.kind in "US")
    more = {name.removeprefix(f"{MAIN}."): x for name, x in arrays.items() if name.startswith(f"{MAIN}.")}
    columns = {name: arrays[name].tolist() for name in COLUMNS if name in arrays}
    metadata = parse_json(str(arrays[_ORIGIN])) if _ORIGIN in arrays else {}
    return Content(arrays[ids].astype(str).tolist(), {vectors: arrays[vectors], **more}, columns, metadata)


def _write_npz(content: Content, path: Path) -> None:
    first, *others = content.vectors
    arrays = {"transcript_id": np.array(content.ids), MAIN: content.vectors[first]}
    arrays |= {f"{MAIN}.{name}": content.vectors[name] for name in others}
    for name, values in content.columns.items():
        arrays[name] = np.array(values if name in NUMBER_COLUMNS else [value or "" for value in values])
    arrays[_ORIGIN] = np.array(json.dumps(content.metadata))
    with path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]  # numpy's stubs say bool


def _pick(
    path: Path, arrays: Mapping[str, NDArray[Any]], names: tuple[str, ...], what: str, fits: Callable[[Any], bool]
) -> str:
    fitting = [name for name, array in arrays.items() if fits(array)]
    named = [name for name in names if name in arrays]
    if named:
        return named[0]
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(f"{name} {array.dtype}{array.shape}" for name, array in arrays.items())
    raise InputError(f"{path} has no array {what}, named {', '.join(names)}; it holds {listed or 'nothing'}.")


def _read_npy(path: Path) -> Content:
    vectors = np.load(path, allow_pickle=False, mmap_mode="r")
    beside = path.with_suffix(".ids.txt")
    ids = beside.read_text(encoding="utf-8").split() if beside.is_file() else row_ids(len(vectors))
    if len(ids) != len(vectors):
        raise InputError(
            f"{beside} has {len(ids):,} ids for the {len(vectors):,} vectors of {path}; expected one each."
        )
    return Content(ids, {MAIN: vectors})


def _anndata(path: Path) -> Any:
    try:
        import anndata
    except ImportError:
        raise InputError(f"{path}: AnnData's files need anndata: pip install anndata.") from None
    return anndata


def _read_h5ad(path: Path) -> Content:
    anndata, limit = _anndata(path), most_bytes(path)
    if _declared_in_hdf5(path) > limit:
        raise expands_too_far(path, limit)
    data = anndata.read_h5ad(path)
    given = {"X": data.X, **{name: data.obsm[name] for name in data.obsm}}
    arrays = {name: x for name, x in given.items() if x is not None}
    if sum(math.prod(x.shape) * _BYTES_OF_A_NUMBER for x in arrays.values()) > limit:  # sparse ones are made dense
        raise expands_too_far(path, limit)
    arrays = {name: np.asarray(x.toarray() if hasattr(x, "toarray") else x) for name, x in arrays.items()}
    if not arrays:
        raise InputError(f"{path} has neither X nor obsm; expected vectors of its observations.")
    columns = {name: _values_of_obs(name, data.obs[name]) for name in COLUMNS if name in data.obs}
    metadata = parse_json(data.uns[_ORIGIN]) if _ORIGIN in data.uns else {}
    return Content([str(name) for name in data.obs_names], arrays, columns, metadata)


def _values_of_obs(name: str, column: Any) -> list[str | int | None]:
    kind = str if name in TEXT_COLUMNS else int
    return [None if missing else kind(value) for value, missing in zip(column, column.isna(), strict=True)]


def _declared_in_hdf5(path: Path) -> int:
    """The bytes of all arrays of an HDF5 file by their shapes, which need not be on disk."""
    import h5py

    sizes: list[int] = []

    def add(name: str, part: Any) -> None:
        if isinstance(part, h5py.Dataset) and part.shape is not None:
            sizes.append(math.prod(part.shape) * part.dtype.itemsize)

    with h5py.File(path) as file:
        file.visititems(add)
    return sum(sizes)


def _write_h5ad(content: Content, path: Path) -> None:
    import pandas as pd

    anndata = _anndata(path)
    first, *others = content.vectors
    with pd.option_context("future.infer_string", False):  # anndata 0.12 does not write pandas 3's own strings
        about = pd.DataFrame(index=pd.Index(list(content.ids), dtype=object))
        for name, values in content.columns.items():
            about[name] = list(values) if name in NUMBER_COLUMNS else np.array([each or "" for each in values], object)
        features = pd.DataFrame(index=pd.Index([str(i) for i in range(content.vectors[first].shape[1])], dtype=object))
        anndata.AnnData(
            content.vectors[first],
            obs=about,
            var=features,
            obsm={name: content.vectors[name] for name in others},
            uns={_ORIGIN: json.dumps(content.metadata)},
        ).write_h5ad(path, compression="gzip")


_DELIMITERS = {".tsv": "\t", ".csv": ","}
_NUMBERED = re.compile(rf"({MAIN}(?:\..+)?)_(\d+)")


def _read_text(path: Path) -> Content:
    table = csv.read_csv(
        path,
        parse_options=csv.ParseOptions(delimiter=_DELIMITERS[path.suffix]),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys(("transcript_id", *TEXT_COLUMNS), pa.string())),
    )
    if "transcript_id" not in table.column_names:
        raise InputError(f"{path} has no column 'transcript_id'; it has {', '.join(table.column_names[:8])}, ...")
    numbered: dict[str, dict[int, str]] = {}
    for name in table.column_names:
        if match := _NUMBERED.fullmatch(name):
            numbered.setdefault(match[1], {})[int(match[2])] = name
    if MAIN not in numbered:
        raise InputError(f"{path} has no columns {MAIN}_0, {MAIN}_1, ...; expected the vectors of `orthrus embed`.")
    vectors = {
        name.removeprefix(f"{MAIN}."): np.stack(
            [table[columns[i]].cast(pa.float32()).to_numpy() for i in sorted(columns)], axis=1
        )
        for name, columns in numbered.items()
    }
    about = {name: table[name].to_pylist() for name in COLUMNS if name in table.column_names}
    return Content(table["transcript_id"].to_pylist(), vectors, about)


def _write_text(content: Content, path: Path) -> None:
    columns: dict[str, Any] = {"transcript_id": pa.array(content.ids, pa.string())}
    for name, values in content.columns.items():
        columns[name] = pa.array(values, pa.int64() if name in NUMBER_COLUMNS else pa.string())
    for number, (name, matrix) in enumerate(content.vectors.items()):
        prefix = f"{MAIN}.{name}" if number else MAIN
        columns |= {f"{prefix}_{i}": matrix[:, i].astype(np.float32) for i in range(matrix.shape[1])}
    write_delimited(pa.table(columns), path)


READERS: Mapping[str, Callable[[Path], Content]] = {
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".h5ad": _read_h5ad,
    **dict.fromkeys(_DELIMITERS, _read_text),
}
WRITERS: Mapping[str, Callable[[Content, Path], None]] = {
    ".npz": _write_npz,
    ".h5ad": _write_h5ad,
    **dict.fromkeys(_DELIMITERS, _write_text),
}
SUFFIXES = (".parquet", *WRITERS)
"""The suffixes of the embeddings files that can be written."""


def check_format(path: Path) -> None:
    """Raise InputError unless the suffix of ``path`` is that of a format that can be written here."""
    if path.suffix not in SUFFIXES:
        raise InputError(f"output {path} ends in {path.suffix!r}; expected {', '.join(SUFFIXES)}")
    if path.suffix == ".h5ad":
        _anndata(path)


def read_content(path: Path) -> Content:
    """Read a file with a suffix of :data:`READERS`; raises InputError if its content does not fit."""
    try:
        content = READERS[path.suffix](path)
    except InputError:
        raise
    except (ValueError, OSError, KeyError, MemoryError, TokenError, zipfile.BadZipFile) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise InputError(f"{path} cannot be read as {path.suffix} ({reason}).") from None
    for name, array in content.vectors.items():
        if array.ndim != 2 or len(array) != len(content.ids) or array.shape[1] == 0 or array.dtype.kind not in "fiu":
            raise InputError(
                f"{path}: {name} is {array.dtype} of shape {array.shape} for {len(content.ids):,} ids; expected one row"
                " of numbers an id."
            )
    return content
