"""The parts of an embeddings file while it is written, and the file that they are joined to.

A part is an ``.npz`` with the vectors of consecutive transcripts; its checksums are compared on reading. The parts are
joined one row group at a time, so memory is that of a row group for any number of transcripts (45 M x 512 are 92 GB,
for which the disk needs twice the space). The pages of the Parquet file have checksums too.
"""

import json
import logging
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from orthrus.embedding.described import described
from orthrus.embedding.file import METADATA_KEY
from orthrus.embedding.formats import NUMBER_COLUMNS, TEXT_COLUMNS
from orthrus.errors import InputError
from orthrus.spec_file import parse_json
from orthrus.store import TranscriptStore

logger = logging.getLogger(__name__)

PART_FORMAT = 2  # version of the folder that an interrupted run leaves
_PART_NT = 4_000_000  # nt of a part, the most that an interrupted run loses
_GROUP_ROWS = 8_192  # rows of a row group of the file; a part never spans two groups


class Parts:
    """The parts of a file, in a folder."""

    def __init__(self, folder: Path, lengths: NDArray[np.int64], width: int) -> None:
        self._folder, self._lengths, self._width = folder, lengths, width
        ends = np.cumsum(lengths)
        self.ranges: list[range] = []
        while (start := self.ranges[-1].stop if self.ranges else 0) < len(lengths):
            full = int(np.searchsorted(ends, (ends[start - 1] if start else 0) + _PART_NT)) + 1
            of_group = (start // _GROUP_ROWS + 1) * _GROUP_ROWS
            self.ranges.append(range(start, min(full, of_group, len(lengths))))

    def by_longest(self) -> list[range]:
        """The parts, sorted by their longest transcript, the longest first."""
        return sorted(self.ranges, key=lambda part: -int(self._lengths[part.start : part.stop].max()))

    def open(self, job: dict[str, Any], overwrite: bool) -> None:
        """Write the description of the job, or continue an interrupted run of the same job."""
        text = json.dumps(job, indent=2, sort_keys=True)
        description = self._folder / "job.json"
        left = description.read_text(encoding="utf-8", errors="replace") if description.exists() else None
        if left not in (None, text):
            if not overwrite and _is_json(left):
                raise InputError(
                    f"{self._folder} holds an unfinished run with another checkpoint or input; finish that run, or pass"
                    " --overwrite to start again"
                )
            for path in self._folder.glob("*.npz"):
                path.unlink()
        if left != text:
            description.write_text(text, encoding="utf-8")

    def write(self, part: range, vectors: NDArray[np.float32]) -> None:
        """Write the vectors of a part, float32 (n, D)."""
        scratch = self._folder / "part.scratch"
        with scratch.open("wb") as stream:
            np.savez(stream, vectors=vectors)
        scratch.replace(self._path(part))

    def read(self, part: range) -> NDArray[np.float32] | None:
        """The vectors of a part, None if they are missing or damaged."""
        path = self._path(part)
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as archive:
                vectors: NDArray[np.float32] = archive["vectors"]
            if vectors.shape == (len(part), self._width) and bool(np.isfinite(vectors).all()):
                return vectors
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            pass
        logger.warning("%s of an earlier run is damaged: it is made again", path)
        return None

    def group(self, start: int, stop: int) -> NDArray[np.float32]:
        """The vectors of the transcripts from ``start`` to ``stop``, which are bounds of parts."""
        found = [self.read(part) for part in self.ranges if start <= part.start < stop]
        if any(vectors is None for vectors in found):
            raise InputError(f"parts in {self._folder} were damaged while it was made; run the command again")
        return np.concatenate([vectors for vectors in found if vectors is not None])

    def _path(self, part: range) -> Path:
        return self._folder / f"{part.start:012d}.npz"


def _is_json(text: str | None) -> bool:
    try:
        parse_json(text or "")
    except ValueError:
        return False
    return True


def join(parts: Parts, store: TranscriptStore, readouts: dict[str, int], metadata: dict[str, Any], path: Path) -> None:
    """Write the file, one row group of _GROUP_ROWS transcripts at a time; ``readouts`` has widths by name."""
    names = ["embedding", *(f"embedding.{name}" for name in list(readouts)[1:])]
    schema = pa.schema(
        [
            ("transcript_id", pa.string()),
            *((name, pa.list_(pa.float32())) for name in names),
            *((name, pa.string()) for name in TEXT_COLUMNS),
            *((name, pa.int64()) for name in NUMBER_COLUMNS),
        ],
        {METADATA_KEY: json.dumps(metadata).encode()},
    )
    options = {"compression": "zstd", "use_dictionary": list(TEXT_COLUMNS), "write_page_checksum": True}
    start = 0
    with pq.ParquetWriter(path, schema, **options) as writer:
        for rows in described(store, _GROUP_ROWS):
            vectors = np.split(parts.group(start, start + len(rows)), np.cumsum(list(readouts.values()))[:-1], axis=1)
            ids, *columns = rows.columns
            batch = pa.record_batch([ids, *(_list_array(each) for each in vectors), *columns], schema=schema)
            writer.write_batch(batch, row_group_size=_GROUP_ROWS)
            start += len(rows)


def _list_array(vectors: NDArray[np.float32]) -> pa.ListArray:
    n, width = vectors.shape
    offsets = pa.array(np.arange(0, (n + 1) * width, width, dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(vectors.reshape(-1)))
