"""What figures depend on beside the exporter: the machine they were measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

# Load before a run, above which absolute times say nothing.
QUIET_LOAD = 0.3
# So many times as long may the same work take later in a run, before figures of two sizes do not
# compare: what is bound by memory suffers more than the yardstick.
STEADY = 1.1


def machine() -> dict[str, object]:
    """Return what this machine is, and how busy it has been for a minute."""
    return {
        "python": platform.python_version(),
        "kernel": platform.release(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def described(machine: Mapping[str, object]) -> str:
    """Return in a few words what figures were measured on."""
    return (
        f"Python {machine['python']}, {machine['cores']} cores of {machine['processor']}, "
        f"load {machine['load_before']} before"
    )


def warning(machine: Mapping[str, object], slowed: float = 1.0) -> str:
    """Return what is to be said where the machine was busy before a run, or took `slowed` times as
    long for the same work later on; empty where neither."""
    load = float(str(machine["load_before"]))
    if load > QUIET_LOAD:
        return f"The machine was busy before this began (load {load}): take no figure for a fact."
    if slowed > STEADY:
        return (
            f"The machine became {100 * (slowed - 1):.0f} % slower meanwhile: take no figure for a "
            "fact, and no growth."
        )
    return ""
