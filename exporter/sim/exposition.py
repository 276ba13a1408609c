"""Reads a recorded page for the books: six gauges, the published counters, the start time.

It is for recordings, and trusts them as an oracle's input may be trusted.
"""

import math
import re

from exporter.sim import vocabulary
from exporter.sim.facts import Facts, Gauges, Labels, Series

_LINE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
_LABEL = re.compile(r'(?P<name>\w+)="(?P<value>(?:[^"\\]|\\.)*)"')
_START = "process_start_time_seconds"
_PER_ENI = "awscni_assigned_ip_per_eni"
_GAUGES = {
    "assigned": "awscni_assigned_ip_addresses",
    "total": "awscni_total_ip_addresses",
    "enis": "awscni_eni_allocated",
    "eni_max": "awscni_eni_max",
    "ip_max": "awscni_ip_max",
    "prefixes": "awscni_total_ipv4_prefixes",
}


def read(text: str) -> Facts:
    """Return what a recorded page says."""
    found = dict(parsed for line in text.splitlines() if (parsed := _parsed(line)) is not None)
    counters = {name: value for name, value in found.items() if name[0] in vocabulary.COUNTERS}
    values = {word: found.get((family, ())) for word, family in _GAUGES.items()}
    whole = {word: int(value) for word, value in values.items() if value is not None}
    gauges = Gauges(**whole) if len(whole) == len(_GAUGES) else None
    by_eni = {labels[0][1]: int(value) for (name, labels), value in found.items()
              if name == _PER_ENI}  # fmt: skip
    return Facts(gauges, counters, found.get((_START, ()), math.nan), by_eni)


def _parsed(line: str) -> tuple[Series, float] | None:
    match = _LINE.match(line)
    if match is None:
        return None
    return (match["name"], _labels(match["labels"] or "")), float(match["value"])


def _labels(text: str) -> Labels:
    return tuple(sorted((match["name"], match["value"]) for match in _LABEL.finditer(text)))


def with_start(body: bytes, started: float) -> bytes:
    """Return the page with another start time."""
    line = f"{_START} {started!r}".encode()
    return re.sub(rb"^process_start_time_seconds \S+$", line, body, flags=re.MULTILINE)
