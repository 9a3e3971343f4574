"""Functions that Numba compiles at first use, kept on disk wherever there is a folder that can be written.

Numba keeps them beside the source, or else in the user's cache folder. Where neither can be written, as with an
installation of the administrator's in a container without a home, they are kept in a folder of the user's own in
TMPDIR, or else compiled anew in every process. What is in such a folder is executed, so one that others may write to is
not used. ``NUMBA_CACHE_DIR`` names another.
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
    """A decorator as ``numba.njit(cache=True, **options)`` that does without a cache where it must."""

    def decorate(function: _Function) -> _Function:
        made: Any = numba.njit(**options)(function)
        if not _settings.DISABLE_JIT and (cache := _cache(function)) is not None:
            made._cache = cache
        return made  # type: ignore[no-any-return]

    return decorate


class _Cache(FunctionCache):  # type: ignore[misc]
    """Whose disk may be full."""

    def save_overload(self, *args: Any) -> None:
        try:
            super().save_overload(*args)  # type: ignore[no-untyped-call]
        except OSError as error:
            _log.info("compiled functions are not kept: %s", error)


def _cache(function: Callable[..., Any]) -> _Cache | None:
    try:
        return _Cache(function)  # type: ignore[no-untyped-call]
    except RuntimeError:  # Numba has no folder that can be written
        folder = _own_folder()
    if folder is None:
        return None
    _settings.CACHE_DIR = str(folder)
    return _Cache(function)  # type: ignore[no-untyped-call]


def _own_folder() -> Path | None:
    """A folder in TMPDIR that is this user's alone; None if there is none."""
    try:
        folder = Path(tempfile.gettempdir()) / f"orthrus-numba-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o022
    return folder if ours else None
