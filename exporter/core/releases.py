"""The CNI's releases: which one a version names, and whether it has reached another."""

from __future__ import annotations

import re
from functools import lru_cache

Release = tuple[int, int, int]

_VERSION = re.compile(r"v?([0-9]{1,5})\.([0-9]{1,5})(?:\.([0-9]{1,5}))?")


@lru_cache(maxsize=256)
def release(version: str) -> Release | None:
    """Return the release of a version like `v1.21.1-eksbuild.3`, None where it names none."""
    found = _VERSION.match(version)
    return None if found is None else (int(found[1]), int(found[2]), int(found[3] or 0))


def reached(version: str, *since: int) -> bool:
    """Whether a CNI of this version does what came with a release, given as its numbers.

    A version that names no release is taken for the newest.
    """
    found = release(version)
    return found is None or found >= since
