"""Keeps the memory of freed activations in the process, with glibc.

By default glibc returns large blocks to the kernel when they are freed, and the kernel clears every page again when the
next layer allocates them, which takes a quarter of a forward pass on a CPU. The cost is that up to 1 GiB stays with the
process.
"""

import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT, _LARGEST = 2**30, 2**25  # the largest limit that glibc accepts for a block


def keep_freed_memory() -> None:
    """Set glibc's limits; does nothing with another C library, or if the user has set glibc's own variables."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None and not any(name.startswith("MALLOC_") for name in os.environ):
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST)
