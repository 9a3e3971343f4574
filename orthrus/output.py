"""Outputs that appear whole or not at all, each made by one process at a time.

An output NAME is made in the folder ``.NAME.partial`` beside it and renamed into place. The folder also holds the lock:
a lease of the library filelock, a file that is created exclusively (which works on NFS and Lustre, also where mount
options disable ``flock``) and touched every third of :data:`LEASE_SECONDS`. A lock is stale, and is taken over, if its
process no longer exists on this machine, or if a process of another machine has not touched it while this one watched.
A killed process leaves files only in that folder, where the next holder finds them.
"""

import errno
import getpass
import logging
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import gethostname

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import SoftFileLease, Timeout
from pyarrow import csv

from orthrus.errors import InputError

LEASE_SECONDS = 60.0
_LOCK, _HOLDER, _NEW, _OLD = "lock", "holder", "new", "old"
_PROMPT = 0.5  # seconds until the lock of a dead process of this machine is taken over
_UNWRITABLE = {
    getattr(errno, name)
    for name in (
        "ENOSPC",
        "EDQUOT",
        "EROFS",
        "EACCES",
        "EPERM",
        "EFBIG",
        "EIO",
        "ENOTDIR",
        "EISDIR",
        "ENAMETOOLONG",
        "ESTALE",
        "EEXIST",
    )
    if hasattr(errno, name)
}

_OF_THE_DISK = _UNWRITABLE & {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}

_log = logging.getLogger(__name__)
_leases: dict[Path, SoftFileLease] = {}  # the locks that this process holds


@contextmanager
def hold(output: Path, *, keep: bool = False, grows: bool = False) -> Iterator[Path]:
    """The folder to make ``output`` in, locked against every other process on this and other machines.

    Within a process, holds of the same output may be nested. The folder is removed at the end.

    Args:
        output: the file or folder to make.
        keep: leave the folder after an error, so that a later run can continue from its contents.
        grows: ``output`` is a folder that exists while it grows, such as the folder of a training run. The lock is then
            in it, so no write permission beside it is needed.

    Raises:
        InputError: if another process holds ``output`` (naming it, and what to do if it is dead), or if nothing can be
            written there.
    """
    if not output.name and not grows:
        raise InputError(f"output {output} is a folder that is in use; expected the name of what is to be made")
    place = _place(output, grows)
    key = _key(place)
    if key in _leases:
        yield place
        return
    made = [folder for folder in place.parents if not folder.exists()]
    try:
        with writing(output):
            lease = _take(place, output)
    except BaseException:
        _remove_empty((place, *made))  # if another process holds the place, it is not empty
        raise
    _leases[key] = lease
    finished = False
    try:
        with writing(output):
            _clear(place, output, keep)
            (place / _HOLDER).write_text(_describe_holder(), encoding="utf-8")
        yield place
        finished = True
    finally:
        del _leases[key]
        with suppress(OSError):  # an earlier error has precedence
            if finished or not keep or not _left(place):
                _empty(place)
        lease.release()
        _remove_empty((place, *made))


def refuse_lost_hold(output: Path, grows: bool = False) -> None:
    """Raise InputError if another process took over the lock of ``output`` because this one seemed dead."""
    lease = _leases.get(_key(_place(output, grows)))
    if lease is not None and not lease.is_lock_held_by_us:
        raise InputError(
            f"{output}: another process took over its lock, since this one did not answer for {LEASE_SECONDS:.0f} s;"
            " nothing more is written here. Look at what the other one made, then run the command again if need be."
        )


@contextmanager
def writing(output: Path) -> Iterator[None]:
    """Turn errors such as a full disk or a read-only folder into an InputError that names ``output``."""
    try:
        yield
    except OSError as error:
        place = f".{output.name}.partial"
        ours = error.filename is None or place in str(error.filename) or output.name in str(error.filename)
        if not ours or error.errno not in _UNWRITABLE:
            raise
        raise _unwritable(output, os.strerror(error.errno) if error.errno else str(error)) from None
    except Exception as error:  # safetensors and HDF5 have the system's errors in the text of their own
        reason = next((text for text in map(os.strerror, _OF_THE_DISK) if text in str(error)), None)
        if reason is None or isinstance(error, InputError):
            raise
        raise _unwritable(output, reason) from None


def _unwritable(output: Path, reason: str) -> InputError:
    return InputError(
        f"{output} cannot be written ({reason}); what was there before is unchanged. Make room or choose another"
        " output."
    )


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A path to write a file to, which replaces ``path`` if the context ends without error, and is removed otherwise.

    Raises InputError as :func:`hold` does, and if the disk is full.
    """
    with hold(path) as place, writing(path):
        scratch = place / f"{_NEW}{path.suffix}"
        try:
            yield scratch
            with scratch.open("rb") as stream:
                os.fsync(stream.fileno())
            refuse_lost_hold(path)
            scratch.replace(path)
            sync_folder(path.parent)
        finally:
            scratch.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """An empty folder that replaces ``path`` if the context ends without error, and is removed otherwise.

    Raises InputError as :func:`hold` does, and if the disk is full.
    """
    with hold(path) as place, writing(path):
        folder = place / _NEW
        folder.mkdir()
        yield folder
        move_into_place(folder, path)


def move_into_place(folder: Path, path: Path) -> None:
    """Rename a finished ``folder`` from the place of :func:`hold` to ``path``, replacing an earlier one."""
    refuse_lost_hold(path)
    old = folder.with_name(_OLD)
    try:
        if path.exists():
            path.rename(old)
        folder.rename(path)
    except BaseException:
        if old.exists() and not path.exists():
            old.rename(path)
        raise
    sync_folder(path.parent)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A private folder in TMPDIR that lasts as long as the context; folders of killed processes are removed first."""
    root = Path(tempfile.gettempdir())
    remove_leftovers(root, ".orthrus-*.partial")
    output = root / f"orthrus-{secrets.token_hex(8)}"
    with hold(output) as place:
        folder = place / "files"
        folder.mkdir(mode=0o700)
        yield folder


@contextmanager
def reserve_file(
    path: Path, overwrite: bool, suffixes: tuple[str, ...] = (".parquet", ".tsv", ".csv")
) -> Iterator[None]:
    """Hold the place of a table while it is made; raises InputError if it is held, exists, or names no format."""
    if path.suffix not in suffixes:
        raise InputError(f"output {path} ends in {path.suffix!r}; expected {', '.join(suffixes)}")
    with hold(path):
        if path.exists() and not overwrite:
            raise InputError(f"{path} exists; choose another --output or pass --overwrite to replace it")
        yield


@contextmanager
def reserve_folder(path: Path, marker: str, overwrite: bool | None = None) -> Iterator[None]:
    """Hold the place of a folder while it is made.

    Raises InputError if it is held or exists: only a folder with a ``marker`` file is replaced, and only with
    ``overwrite`` (None: the command has no such option).
    """
    with hold(path):
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            if not (path / marker).is_file():
                raise InputError(f"{path} exists and has no {marker}; choose another --output, it will not be replaced")
            if not overwrite:
                way_out = "remove it first" if overwrite is None else "pass --overwrite to replace it"
                raise InputError(f"{path} exists; choose another --output or {way_out}")
        yield


def write_table(table: pa.Table, path: Path) -> None:
    """Write ``table`` as Parquet or, by the ending ``.tsv`` or ``.csv``, as text with empty fields for null."""
    with atomic_file(path) as scratch:
        if path.suffix == ".parquet":
            pq.write_table(table, scratch, compression="zstd")
        else:
            write_delimited(table, scratch)


def write_delimited(table: pa.Table, path: Path) -> None:
    """Write a table as text to ``path`` itself: tabs for ``.tsv``, else commas; quotes only if a value needs them.

    Numbers have the digits of a float32, which is what encoders compute in.
    """
    single = [pa.float32() if field.type == pa.float64() else field.type for field in table.schema]
    table = table.cast(pa.schema(list(zip(table.column_names, single, strict=True))))
    for quoting in ("none", "needed"):
        options = csv.WriteOptions(
            delimiter="\t" if path.suffix == ".tsv" else ",", quoting_style=quoting, quoting_header=quoting
        )
        try:
            csv.write_csv(table, path, options)
            return
        except pa.ArrowInvalid:  # a value has a delimiter, a quote or a line end
            if quoting == "needed":
                raise


def write_text(text: str, path: Path) -> None:
    """Write a text file."""
    with atomic_file(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def remove_leftovers(folder: Path, pattern: str = ".*.partial") -> None:
    """Remove unfinished outputs of killed processes in ``folder``, naming them; those of living processes stay."""
    for place in sorted(folder.glob(pattern)):
        lease = SoftFileLease(place / _LOCK, lease_duration=LEASE_SECONDS, thread_local=False)
        with suppress(OSError, Timeout):  # of another user, or just taken
            if not (place / _LOCK).exists() or _lives_here(lease.pid, _holder(place)):
                continue
            lease.acquire(timeout=_PROMPT, poll_interval=_PROMPT / 10)
            _log.warning("%s, which a process that is dead now left unfinished, is removed", place)
            _empty(place)
            lease.release()
            place.rmdir()


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut, if the file system supports it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:  # some network file systems refuse; the rename is still done
        pass
    finally:
        os.close(handle)


def _place(output: Path, grows: bool) -> Path:
    return output / ".partial" if grows else output.with_name(f".{output.name}.partial")


def _key(place: Path) -> Path:
    return place.parent.resolve() / place.name


def _take(place: Path, output: Path) -> SoftFileLease:
    """Take the lock of ``place``: at once, or after watching a holder on another machine for as long as its lease."""
    lease = SoftFileLease(place / _LOCK, lease_duration=LEASE_SECONDS, thread_local=False)
    for patience in (_PROMPT, LEASE_SECONDS + _PROMPT):
        place.mkdir(parents=True, exist_ok=True)
        try:
            lease.acquire(timeout=patience, poll_interval=_PROMPT / 10)
            return lease
        except FileNotFoundError:  # the former holder removed the folder just now
            continue
        except Timeout:
            if patience > _PROMPT or _lives_here(lease.pid, _holder(place)):
                break
            _log.warning(
                "%s is held by %s; waiting for %.0f s to see whether it lives", output, _holder(place), LEASE_SECONDS
            )
    raise InputError(
        f"{output} is being written by another process ({_holder(place)}); wait for it, or choose another output. If"
        f" that process is surely dead, remove {place} and run the command again."
    )


def _describe_holder() -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # in a container, a user may have no name
        user = f"user {os.getuid()}"
    return f"process {os.getpid()} on {gethostname()}, of {user}, since {since}"


def _holder(place: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return (place / _HOLDER).read_text(encoding="utf-8")
    return "it has not said which"


def _lives_here(pid: int | None, holder: str) -> bool:
    with suppress(ProcessLookupError, PermissionError):
        if pid is None or f" on {gethostname()}," not in holder:
            return False
        os.kill(pid, 0)
        return True
    return False


def _clear(place: Path, output: Path, keep: bool) -> None:
    """Restore the output that a killed process was replacing, and remove its unfinished one unless ``keep`` is true."""
    if (place / _OLD).exists() and not output.exists():
        (place / _OLD).rename(output)
        _log.warning("%s is put back: a process was killed while it replaced it", output)
    left = _left(place)
    if left and not keep:
        _log.warning("%s held what a killed process left (%s); it is removed", place, ", ".join(left))
        _empty(place)


def _left(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir() if path.name not in (_LOCK, _HOLDER))


def _remove_empty(folders: tuple[Path, ...]) -> None:
    """Remove folders until one is not empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _empty(place: Path) -> None:
    for path in place.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != _LOCK:
            path.unlink()
