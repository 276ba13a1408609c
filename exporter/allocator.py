"""Has the C library give back what is freed.

glibc keeps an arena for each of some threads, and raises the size up to which it keeps blocks to
that of the largest one freed. Every reading of EC2 runs on a thread of its own, and drawn pages are
megabytes, so that a tenth of the memory in use would be free.
"""

from __future__ import annotations

import ctypes
import os

# malloc.h
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_LARGE_BYTES = 128 * 1024
_VARIABLES = ("MALLOC_", "GLIBC_TUNABLES")


def give_back() -> None:
    """Use one arena, and map large blocks each on its own; call it before threads are started.

    Nothing happens with another C library, or where the environment says how glibc is to allocate.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and not any(name.startswith(_VARIABLES) for name in os.environ):
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
