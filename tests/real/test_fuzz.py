"""Atheris, which looks for inputs that reach new code, at the decoders of what nodes send."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
PART = ROOT / ".cache" / "parts" / "fuzz"
DATA = ROOT / "tests" / "data"
SECONDS = 20
# A decoder that needs more for one input of 100 KB has no bound.
MOST_SECONDS, MOST_MIB = 5, 512


def path() -> str:
    """Return where Atheris is found, beside what is installed."""
    found = PART.is_dir() or importlib.util.find_spec("atheris") is not None
    # There are wheels for these machines alone.
    wheels = sys.platform == "linux" and os.uname().machine == "x86_64"
    wheels = wheels and sys.version_info < (3, 14)
    if not found and not (wheels and os.environ.get("CI")):
        pytest.skip("atheris is not on this machine")
    assert found, "atheris is missing, and CI needs it"
    return str(PART)


def seeds(folder: Path) -> None:
    """Write what the fuzzer begins with: the decoder's letter and something for it to decode."""
    bodies = (("e", it) for it in sorted((DATA / "introspection").glob("v*.json")))
    pages = ((kind, it) for it in sorted((DATA / "pages").rglob("*.prom")) for kind in "pc")
    for number, (kind, file) in enumerate((*bodies, *pages)):
        (folder / f"seed-{number}").write_bytes(kind.encode() + file.read_bytes())
    (folder / "seed-name").write_bytes(b'n"eu-west-1a"')
    (folder / "seed-old-name").write_bytes(b'n{"ENI":{},"MyENI":"default"}')


def test_no_input_is_found_that_a_decoder_crashes_hangs_or_swells_on(tmp_path: Path) -> None:
    library = path()
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    seeds(corpus)
    flags = [
        f"-max_total_time={SECONDS}",
        f"-timeout={MOST_SECONDS}",
        f"-rss_limit_mb={MOST_MIB}",
        "-max_len=100000",
        "-verbosity=0",
        "-print_final_stats=1",
        f"-artifact_prefix={tmp_path}/",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.harness", str(corpus), *flags],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": library},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    stats = dict(
        line.removeprefix("stat::").split(":", 1)
        for line in done.stderr.splitlines()
        if line.startswith("stat::")
    )
    assert int(stats["number_of_executed_units"]) > 1_000
    assert int(stats["new_units_added"]) > 0
