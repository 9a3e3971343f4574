"""Embeddings of other models, in the files that these leave: ``.npz``, ``.npy`` with ids, AnnData ``.h5ad``.

- ``.npz``: a two-dimensional array (``embeddings``, ``embedding``, ``X`` or the only one) and one of ids
  (``transcript_id``, ``transcript_ids``, ``ids``, ``names`` or the only one of text). Nothing is unpickled.
- ``.npy``: the array; ids, one a line, in ``NAME.ids.txt`` beside it, or else row numbers, as a data frame's are.
- ``.h5ad``: ``X``, ids from the names of observations; other vectors in ``obsm`` are readouts. Needs the extra
  ``anndata``.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orthrus.errors import InputError
from orthrus.genome.mrna_frames import row_ids

_VECTORS = ("embeddings", "embedding", "X")
_IDS = ("transcript_id", "transcript_ids", "ids", "names")

Content = tuple[list[str], dict[str, NDArray[Any]]]
"""Ids of N transcripts and their vectors (N, D) by name of readout."""


def _read_npz(path: Path) -> Content:
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    vectors = _pick(path, arrays, _VECTORS, "of vectors, two-dimensional numbers", lambda x: x.ndim == 2)
    ids = _pick(path, arrays, _IDS, "of ids, one-dimensional text", lambda x: x.ndim == 1 and x.dtype.kind in "US")
    return [str(name) for name in arrays[ids].astype(str)], {vectors: arrays[vectors]}


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
    return ids, {"embedding": vectors}


def _read_h5ad(path: Path) -> Content:
    try:
        import anndata
    except ImportError:
        raise InputError(f"{path}: AnnData files need anndata, which is not installed: pip install anndata.") from None
    data = anndata.read_h5ad(path)
    dense = {"X": data.X, **{name: data.obsm[name] for name in data.obsm}}
    arrays = {
        name: np.asarray(x.toarray() if hasattr(x, "toarray") else x) for name, x in dense.items() if x is not None
    }
    if not arrays:
        raise InputError(f"{path} has neither X nor obsm; expected vectors of its observations.")
    return [str(name) for name in data.obs_names], arrays


READERS: Mapping[str, Callable[[Path], Content]] = {".npz": _read_npz, ".npy": _read_npy, ".h5ad": _read_h5ad}


def read_foreign(path: Path) -> Content:
    """Ids and vectors of a file whose name ends as one of :data:`READERS`; raises InputError if it does not fit."""
    try:
        ids, arrays = READERS[path.suffix](path)
    except (ValueError, OSError, KeyError) as error:  # of NumPy, zipfile and h5py
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} cannot be read as {path.suffix} ({str(error).splitlines()[0].rstrip('.')})."
        ) from None
    for name, array in arrays.items():
        if array.ndim != 2 or len(array) != len(ids) or array.shape[1] == 0 or array.dtype.kind not in "fiu":
            raise InputError(
                f"{path}: {name} is {array.dtype} of shape {array.shape} for {len(ids):,} ids; expected one row of"
                " numbers an id."
            )
    return ids, arrays
