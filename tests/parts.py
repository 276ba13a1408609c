"""Real parts from outside our environment, as tests/parts.sh lays them down or PATH has them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

PARTS = Path(__file__).parents[1] / ".cache" / "parts"
_FOLDERS = (PARTS / "usr" / "bin", PARTS / "bin", PARTS / "manifests" / "bin")


def part(name: str) -> str:
    """Return the path of a program; it is missing only where CI is not set."""
    folders = [*map(str, _FOLDERS), os.environ.get("PATH", "")]
    return _there(name, shutil.which(name, path=os.pathsep.join(folders)))


def laid_down(name: str) -> str:
    """Return the path of what only tests/parts.sh has, such as the Python of an environment."""
    path = PARTS / name
    return _there(name, str(path) if path.exists() else None)


def _there(name: str, found: str | None) -> str:
    if found is None and not os.environ.get("CI"):
        pytest.skip(f"{name} is not on this machine")
    assert found is not None, f"{name} is missing, and CI needs it"
    return found
