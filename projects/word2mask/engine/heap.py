"""Memory of a process that asks for the same large blocks again and again: what is freed is kept for the next time."""

from __future__ import annotations

import ctypes
import os

__all__ = ["keep_freed_memory"]

#: glibc's numbers of ``mallopt`` (malloc.h).
_MMAP_MAX, _TRIM_THRESHOLD = -4, -1


def keep_freed_memory(most: int) -> bool:
    """Tells glibc not to give freed memory back to the system, but to use it again.

    It would give back every block of over 32 MB at once, and each sample of a loader asks for blocks as large as those
    of the one before: the system then clears them anew, page by page, which took about a quarter of the time of a
    picture of 13 tiles (benchmarks/loading.md). Whoever has set the allocator from outside (``MALLOC_…``,
    ``GLIBC_TUNABLES``, another allocator by ``LD_PRELOAD``) is left alone.

    Args:
        most: bytes; what is free beyond them at the heap's end is given back. -1: the process keeps what it needed at
            most.

    Returns:
        whether it was done; not where the C library is another one.
    """
    if any(name.startswith("MALLOC_") for name in os.environ) or {"GLIBC_TUNABLES", "LD_PRELOAD"} & os.environ.keys():
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return bool(library.mallopt(_MMAP_MAX, 0) and library.mallopt(_TRIM_THRESHOLD, most))
