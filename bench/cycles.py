"""Whole cycles of the real daemon against a simulated fleet in a process of its own.

The daemon has the first core to itself, the fleet the second.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_CYCLES = 6
_DEADLINE_SECONDS = 300.0
_TICKS = os.sysconf("SC_CLK_TCK")

Figures = dict[str, float]


@contextlib.contextmanager
def _child(command: Sequence[str], core: int, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EXPORTER_")}
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**clean, **settings},
    )
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, {core % (os.cpu_count() or 1)})
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def measure(nodes: int, *, hanging: float = 0.0) -> Figures:
    """Return the median cycle, CPU, memory and loop lag at so many nodes, in seconds and MiB."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fleet = ["exporter.sim", "--nodes", str(nodes), "--seed", "1", "--uvloop", "--lean"]
        fleet += ["--kubeconfig", str(folder / "kubeconfig")]
        if hanging:
            fleet += ["--faults", str(hanging)]
        with _child(fleet, 1) as sim:
            assert sim.stdout is not None
            facts = json.loads(sim.stdout.readline())
            started = time.monotonic()
            daemon = ["bench.daemon", str(folder / "lags.json")]
            with _child(daemon, 0, **_settings(facts, folder)) as process:
                figures = _watch(process.pid, sim.pid, started)
            figures |= _lags(json.loads((folder / "lags.json").read_text()))
    return {"nodes": nodes, **{name: round(value, 4) for name, value in figures.items()}}


_PORT = 61699


def _settings(facts: Mapping[str, object], folder: Path) -> dict[str, str]:
    cloudwatch = facts["cloudwatch_environment"]
    assert isinstance(cloudwatch, dict)
    return {
        "EXPORTER_LISTEN_ADDRESS": f"127.0.0.1:{_PORT}",
        "EXPORTER_KUBECONFIG": str(folder / "kubeconfig"),
        "EXPORTER_INTERVAL": "1",
        "EXPORTER_IPAMD_METRICS_PORT": str(facts["ipamd_port"]),
        "EXPORTER_ALLOW_LOOPBACK_TARGETS": "true",
        "EXPORTER_SOURCES": "ipamd",
        # Points go out after every cycle instead of once a minute.
        "EXPORTER_CLOUDWATCH": "true",
        "EXPORTER_CLOUDWATCH_INTERVAL": "1",
        **cloudwatch,
    }


def _watch(daemon: int, fleet: int, started: float) -> Figures:
    """Take the figures of some cycles after the first; the first has cold caches."""
    first = _next_cycle(0.0)
    ready = time.monotonic() - started
    cycles, cpu, fleet_cpu, scrapes = [], [], [], []
    last = first["done"]
    for _ in range(_CYCLES):
        before = _cpu_seconds(daemon), _cpu_seconds(fleet)
        found = _next_cycle(last)
        after = _cpu_seconds(daemon), _cpu_seconds(fleet)
        last = found["done"]
        cycles.append(found["took"])
        scrapes.append(found["scrape"])
        cpu.append(after[0] - before[0])
        fleet_cpu.append(after[1] - before[1])
    return {
        "first_metrics_seconds": ready,
        "cycle_seconds": statistics.median(cycles),
        "cycle_cpu_seconds": statistics.median(cpu),
        "fleet_cpu_seconds": statistics.median(fleet_cpu),
        "scrape_seconds": statistics.median(scrapes),
        "nodes_read": last and found["read"],
        "peak_resident_mib": _peak_mib(daemon),
    }


def _next_cycle(last: float) -> Figures:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            found = _scrape()
            if found.get("done", 0.0) > last:
                return found
        time.sleep(0.05)
    raise SystemExit("the daemon finished no cycle")


def _scrape() -> Figures:
    began = time.monotonic()
    request = urllib.request.Request(f"http://127.0.0.1:{_PORT}/metrics")
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read().decode()
    found = {"scrape": time.monotonic() - began}
    wanted = {
        'vpc_cni_exporter_last_success_timestamp_seconds{source="ipamd"}': "done",
        'vpc_cni_exporter_cycle_duration_seconds{source="ipamd"}': "took",
        'vpc_cni_cluster_nodes{state="read"}': "read",
    }
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name in wanted:
            found[wanted[name]] = float(value)
    return found


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _lags(lags: Sequence[float]) -> Figures:
    ordered = sorted(lags)
    return {
        "loop_lag_p99_seconds": ordered[int(len(ordered) * 0.99)],
        "loop_lag_max_seconds": ordered[-1],
    }
