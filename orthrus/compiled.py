"""Functions that Numba compiles at first use and caches on disk if a folder is writable.

Numba caches them beside the source, or else in the user's cache folder. If neither is writable, as for a system-wide
installation in a container without a home, the cache is a private folder of the user in TMPDIR; without one, every
process compiles anew. The content of the cache is executed, so a folder that others can write to is not used.
``NUMBA_CACHE_DIR`` names another folder.
"""

import logging
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache

_Function = TypeVar("_Function", bound=Callable[..., Any])

_log = logging.getLogger(__name__)
_settings: Any = numba.config


def compiled(**options: Any) -> Callable[[_Function], _Function]:
    """A decorator like ``numba.njit(cache=True, **options)`` that also works if no cache can be written."""

    def decorate(function: _Function) -> _Function:
        made: Any = numba.njit(**options)(function)
        if not _settings.DISABLE_JIT and (cache := _cache(function)) is not None:
            made._cache = cache
        result: _Function = made
        return result

    return decorate


class _Cache(FunctionCache):
    """A cache that drops functions which it cannot write, as on a full disk."""

    def save_overload(self, *args: Any) -> None:
        try:
            super().save_overload(*args)  # type: ignore[no-untyped-call]
        except OSError as error:
            _log.info("compiled functions are not kept: %s", error)


def _cache(function: Callable[..., Any]) -> _Cache | None:
    try:
        return _Cache(function)  # type: ignore[no-untyped-call]
    except RuntimeError:  # Numba finds no writable folder
        folder = _own_folder()
    if folder is None:
        return None
    _settings.CACHE_DIR = str(folder)
    return _Cache(function)  # type: ignore[no-untyped-call]


def _own_folder() -> Path | None:
    """A folder in TMPDIR that only this user can write to; None if there is none."""
    try:
        folder = Path(tempfile.gettempdir()) / f"orthrus-numba-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o022
    return folder if ours else None
