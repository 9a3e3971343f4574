"""Files as users have them: plain, gzip or bgzip, told by content, and unreadable ones as one clear error.

Some readers hold a file whole, and a small gzip file may hold a thousand times its size, enough to fill any memory.
What expands beyond all proportion is refused while it is read: annotation packs 20 to 50 times, sequences 4 times.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from orthrus.errors import InputError

_GZIP_MAGIC = b"\x1f\x8b"
_BGZIP_MAGIC = b"\x1f\x8b\x08\x04"
_BGZIP_SUBFIELD = b"BC\x02\x00"
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")  # SAM specification, 4.1.2


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

MAX_RATIO = 100
HARMLESS = 256 << 20  # bytes that any file may expand to
_BUFFER = 1 << 20
_HEAD = 1 << 16  # bytes that show what a file is


def most_bytes(path: Path) -> int:
    """How many bytes a compressed file may expand to."""
    return max(HARMLESS, MAX_RATIO * path.stat().st_size)


def expands_too_far(path: Path, limit: int) -> InputError:
    """The error of a file that expands to more than ``limit`` bytes, of :func:`most_bytes`."""
    return InputError(
        f"{path} ({path.stat().st_size:,} bytes) expands to more than {limit:,} bytes; expected at most {MAX_RATIO}"
        f" times its size, or {HARMLESS >> 20} MiB. If it is sound, write it without compression and give that."
    )


class _Expanded(io.RawIOBase):
    """The decompressed bytes of a file, up to the limit; raises InputError beyond it."""

    def __init__(self, stream: gzip.GzipFile, path: Path) -> None:
        self._stream, self._path, self._limit = stream, path, most_bytes(path)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def readall(self) -> bytes:
        return b"".join(iter(lambda: self.read(_BUFFER), b""))  # in place of 8 KB at a time

    def readinto(self, buffer: Any) -> int:
        n = self._stream.readinto(buffer)
        if self._stream.tell() > self._limit:
            raise expands_too_far(self._path, self._limit)
        return n


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open the decompressed bytes of ``path`` as a binary stream that begins after a byte order mark.

    Raises InputError if there is no such file, if it is a pipe, if it is named .gz but is none, if it is text in
    UTF-16 or with lines that end in CR alone, or, while it is read, if it is truncated or damaged or expands to more
    than :func:`most_bytes`.
    """
    try:
        raw = path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path and its permissions.") from None
    with raw:
        if not raw.seekable():
            raise InputError(
                f"{path} is a pipe, and reading needs a file that can be read twice; write it to a file first."
            )
        head = raw.read(18)
        _refuse_cut_bgzip(path, raw, head)
        raw.seek(0)
        if not head.startswith(_GZIP_MAGIC):
            if path.suffix in (".gz", ".bgz"):
                raise InputError(f"{path} is named {path.suffix} but is not a gzip file; rename or compress it.")
            yield _text(raw, path)
            return
        try:
            with gzip.GzipFile(fileobj=raw) as stream, io.BufferedReader(_Expanded(stream, path), _BUFFER) as expanded:
                yield _text(expanded, path)
        except EOFError:
            raise InputError(f"{path} is a truncated gzip file: fetch or copy it again.") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise InputError(f"{path} is a damaged gzip file ({error}): fetch or copy it again.") from None


def _text(stream: BinaryIO, path: Path) -> BinaryIO:
    """The stream, moved to the beginning of its text."""
    head = stream.read(_HEAD)
    if head.startswith(_UTF_16):
        raise InputError(f"{path} is text in UTF-16; save it as UTF-8.")
    if b"\r" in head[:-1] and b"\n" not in head and b"\0" not in head:
        raise InputError(f"{path} has lines that end in CR alone; convert them, for example by tr '\\r' '\\n'.")
    stream.seek(len(_BYTE_ORDER_MARK) if head.startswith(_BYTE_ORDER_MARK) else 0)
    return stream


def _refuse_cut_bgzip(path: Path, raw: BinaryIO, head: bytes) -> None:
    """Raise InputError for a bgzip file without its end block: one that is cut between blocks is valid gzip."""
    if head.startswith(_BGZIP_MAGIC) and head[12:16] == _BGZIP_SUBFIELD:
        raw.seek(0, 2)
        raw.seek(max(0, raw.tell() - len(_BGZIP_END)))
        if raw.read() != _BGZIP_END:
            raise InputError(f"{path} is a truncated bgzip file (no end block): fetch or copy it again.")
