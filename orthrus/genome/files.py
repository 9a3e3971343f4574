"""Input files, plain, gzip or bgzip, recognised by their content; an unreadable file gives one clear error."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from orthrus.errors import InputError

_GZIP_MAGIC = b"\x1f\x8b"
_BGZIP_MAGIC = b"\x1f\x8b\x08\x04"
_BGZIP_SUBFIELD = b"BC\x02\x00"
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")  # SAM specification, 4.1.2


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open the decompressed bytes of ``path`` as a binary stream that begins after a byte order mark.

    Raises InputError if the file does not exist, is a pipe, is named .gz but is not a gzip file, or is text in UTF-16,
    and while it is read, if it is truncated or damaged.
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
            with gzip.GzipFile(fileobj=raw) as stream:
                yield _text(cast(BinaryIO, stream), path)
        except EOFError:
            raise InputError(f"{path} is a truncated gzip file: fetch or copy it again.") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise InputError(f"{path} is a damaged gzip file ({error}): fetch or copy it again.") from None


def _text(stream: BinaryIO, path: Path) -> BinaryIO:
    """The stream, moved to the beginning of its text."""
    head = stream.read(len(_BYTE_ORDER_MARK))
    if head.startswith(_UTF_16):
        raise InputError(f"{path} is text in UTF-16; save it as UTF-8.")
    if head != _BYTE_ORDER_MARK:
        stream.seek(0)
    return stream


def _refuse_cut_bgzip(path: Path, raw: BinaryIO, head: bytes) -> None:
    """Raise InputError for a bgzip file without its end block: one that is cut between blocks is valid gzip."""
    if head.startswith(_BGZIP_MAGIC) and head[12:16] == _BGZIP_SUBFIELD:
        raw.seek(0, 2)
        raw.seek(max(0, raw.tell() - len(_BGZIP_END)))
        if raw.read() != _BGZIP_END:
            raise InputError(f"{path} is a truncated bgzip file (no end block): fetch or copy it again.")
