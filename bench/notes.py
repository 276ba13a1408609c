"""What the watched daemon notes while it runs: one JSON line per event, and how it is read back.

Times are of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

CYCLE, SURVEY, REFRESH, PUBLISH = "cycle", "survey", "refresh", "publish"
# A fixed piece of work that is not the exporter's: how fast the machine is at that moment.
YARDSTICK = "yardstick"
# What Python collects by itself, and what the exporter has it collect once an hour.
COLLECTION, HOURLY = "collection", "hourly collection"
# A collection of garbage in so many seconds is felt by nobody.
FELT_SECONDS = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One piece of work of the daemon's: what, when, its process's CPU meanwhile, tasks after it.

    `told` is what the work itself had to say, such as how many nodes were read.
    """

    work: str
    began: float
    ended: float
    cpu: float = 0.0
    tasks: int = 0
    told: Mapping[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    def overlaps(self, began: float, ended: float) -> bool:
        """Whether it was under way at some moment of that time."""
        return self.began < ended and began < self.ended


@dataclass(slots=True)
class Notebook:
    """The daemon's side: writes each event as a line of its own, at once."""

    file: TextIO

    def started(self, moment: float) -> None:
        """Note that the daemon's parts are built and run from now on."""
        self._write({"started": moment})

    def span(self, span: Span) -> None:
        """Note a piece of work that is over."""
        self._write(
            {
                "work": span.work,
                "began": span.began,
                "ended": span.ended,
                "cpu": span.cpu,
                "tasks": span.tasks,
                "told": dict(span.told),
            }
        )

    def lags(self, lags: list[tuple[float, float]]) -> None:
        """Note when the loop should have woken, and how much later it did."""
        self._write({"lags": [(round(due, 4), round(late, 5)) for due, late in lags]})

    def _write(self, event: Mapping[str, object]) -> None:
        self.file.write(json.dumps(event) + "\n")
        self.file.flush()


@dataclass(slots=True)
class Notes:
    """The reader's side: everything that has been noted so far, once `read` was called."""

    path: Path
    started: float | None = None
    spans: list[Span] = field(default_factory=list)
    lags: list[tuple[float, float]] = field(default_factory=list)
    _at: int = 0

    def read(self) -> None:
        """Take in what was noted since the last time."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._at)
            # A line that is still being written does not end yet.
            whole = file.read().rpartition(b"\n")[0]
        if whole:
            self._at += len(whole) + 1
            for line in whole.splitlines():
                self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        if "work" in event:
            self.spans.append(Span(**event))
        elif "lags" in event:
            self.lags += [(due, late) for due, late in event["lags"]]
        else:
            self.started = event["started"]

    def of(self, *works: str) -> list[Span]:
        """Return the spans of these kinds of work, in the order in which they ended."""
        return [span for span in self.spans if span.work in works]
