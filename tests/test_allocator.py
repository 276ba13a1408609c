from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

# Four threads allocate at once; then glibc tells of its arenas, as it calls them heaps.
PROGRAM = """
import ctypes, os, re, sys, threading
from exporter.allocator import give_back

if "give_back" in sys.argv:
    give_back()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
met = threading.Barrier(4)

def allocate():
    met.wait()
    blocks = [libc.malloc(1000) for _ in range(100)]
    met.wait()
    for block in blocks:
        libc.free(block)

threads = [threading.Thread(target=allocate) for _ in range(4)]
for it in threads: it.start()
for it in threads: it.join()
# What was freed raises the size up to which blocks are kept, unless that is laid down.
libc.free(libc.malloc(8 << 20))
block = libc.malloc(4 << 20)

libc.tmpfile.restype = ctypes.c_void_p
libc.fileno.argtypes = libc.fflush.argtypes = [ctypes.c_void_p]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
told = libc.tmpfile()
libc.malloc_info(0, told)
libc.fflush(told)
text = os.pread(libc.fileno(told), 1 << 20, 0).decode()
arenas = len(set(re.findall('<heap nr="([0-9]+)"', text)))
mapped = int(re.search('type="mmap" count="([0-9]+)" size="([0-9]+)"', text)[2])
print(arenas, mapped >= 4 << 20)
"""

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="needs glibc")


def told(*arguments: str, **environ: str) -> str:
    """Return how many arenas there are, and whether a block of 4 MiB is mapped on its own."""
    said = ("MALLOC_", "GLIBC_TUNABLES")
    clean = {name: it for name, it in os.environ.items() if not name.startswith(said)}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(
        command, env={**clean, **environ}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_threads_share_an_arena_and_large_blocks_are_mapped() -> None:
    assert told("give_back") == "1 True"


def test_glibc_by_itself_does_otherwise() -> None:
    arenas, mapped = told().split()
    assert int(arenas) > 1
    assert mapped == "False"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MALLOC_MMAP_THRESHOLD_", "1048576"),
        ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=1048576"),
    ],
)
def test_what_the_environment_says_of_glibc_stays(variable: str, value: str) -> None:
    arenas, _ = told("give_back", **{variable: value}).split()
    assert int(arenas) > 1
