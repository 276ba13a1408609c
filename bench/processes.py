"""Processes of a measurement: started on a core of their own, ended with us, and what they use.

The daemon has the first core to itself; whoever it talks to, and we who measure, have the second.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

DAEMON_CORE, PEER_CORE = 0, 1
_SCHEDULER_CLOCK = 2
_END_SECONDS = 20.0
# What would configure a child, and what would have it traced while it is measured.
_FOREIGN = ("EXPORTER_", "AWS_", "KUBE", "USE_", "METRIC_UPDATE", "COVERAGE")

Child = subprocess.Popen[bytes]


def pin(process: int, core: int) -> None:
    """Keep a process to one core, where the system can; 0 is this process."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process, {core % (os.cpu_count() or 1)})


@contextlib.contextmanager
def running(
    command: Sequence[str],
    settings: Mapping[str, str],
    *,
    core: int | None,
    log: Path | None = None,
) -> Iterator[Child]:
    """Run a module of Python's as a process with these variables; it is ended when this is left.

    Its standard input and output are pipes; what it says of errors goes to `log`, or nowhere.
    """
    clean = {name: text for name, text in os.environ.items() if not name.startswith(_FOREIGN)}
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(log.open("ab")) if log else subprocess.DEVNULL
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**clean, **settings},
        )
        stack.callback(_end, process)
        if core is not None:
            pin(process.pid, core)
        yield process


def _end(process: Child) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.communicate(timeout=_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, all threads together.

    By the process's CPU clock (Linux, `clock_getcpuclockid`): /proc counts in ticks of 10 ms.
    """
    return time.clock_gettime((~pid << 3) | _SCHEDULER_CLOCK)


def family(pid: int) -> tuple[int, ...]:
    """Return a process and all that it has started, and these in turn."""
    found = [pid]
    for parent in found:
        for tasks in Path(f"/proc/{parent}/task").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found += map(int, (tasks / "children").read_text().split())
    return tuple(found)


def peak_mib(pid: int) -> float:
    """Return the most resident memory that a process and its children have had, in MiB."""
    return sum(_status(member, "VmHWM") for member in family(pid)) / 1024


def resident_mib(pid: int) -> float:
    """Return the memory that a process and its children have resident now, in MiB."""
    return sum(_status(member, "VmRSS") for member in family(pid)) / 1024


def threads(pid: int) -> int:
    """Return how many threads a process has."""
    return _status(pid, "Threads")


def descriptors(pid: int) -> int:
    """Return how many files and sockets a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(f"/proc/{pid}/status tells no {name}")
