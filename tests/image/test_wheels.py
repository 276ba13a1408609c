"""Every locked package comes as a wheel for both architectures of the image."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
PYTHON = re.findall(r"(?m)^ARG BASE=\S+/python:([\d.]+)-", (ROOT / "Dockerfile").read_text())[0]
# The oldest glibc that the base's Debian and its successors could be run beside.
AMD64, ARM64 = "x86_64-manylinux_2_28", "aarch64-manylinux_2_28"


def resolved(platform: str, lock: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Have uv choose wheels for a platform, by the hashes of a lock, and install none."""
    uv = Path(sysconfig.get_path("scripts")) / "uv"
    options = ["--only-binary", ":all:", "--require-hashes", "--no-deps", "--dry-run"]
    where = ["--python-platform", platform, "--python-version", PYTHON, "--target", str(folder)]
    command = [str(uv), "pip", "install", *options, *where, "--requirement", lock]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "error sending request" in done.stderr and not os.environ.get("CI"):
        pytest.skip("PyPI cannot be reached")
    return done


def locked(lock: str) -> set[str]:
    """Return the packages of a lock that Linux takes."""
    lines = (ROOT / lock).read_text().splitlines()
    return {line.split()[0] for line in lines if "==" in line and "sys_platform == 'w" not in line}


@pytest.mark.parametrize("lock", ["requirements/run.txt", "requirements/build.txt"])
@pytest.mark.parametrize("platform", [AMD64, ARM64])
def test_every_locked_package_has_a_wheel(platform: str, lock: str, tmp_path: Path) -> None:
    done = resolved(platform, lock, tmp_path / "none")
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"(?m)^ \+ (\S+)$", done.stderr)) == locked(lock)


def test_a_platform_without_wheels_is_told_apart(tmp_path: Path) -> None:
    done = resolved("wasm32-pyodide2024", "requirements/run.txt", tmp_path / "none")
    assert done.returncode != 0
    assert "no usable wheels" in done.stderr or "no wheels" in done.stderr, done.stderr
