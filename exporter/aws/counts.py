"""Counts requests to AWS by how they ended, each attempt on its own."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from exporter.aws.errors import Outcome, outcome

Requests = Mapping[tuple[str, str, str], int]


class RequestCounts:
    """Requests so far by service, operation and outcome."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def watch(self, client: Any) -> None:
        """Count what this client asks from now on, its repetitions included."""
        client.meta.events.register("response-received", self._received)

    def add(self, service: str, operation: str, ended: Outcome) -> None:
        """Count a request."""
        with self._lock:
            self._counts[service, operation, ended.value] += 1

    def snapshot(self) -> Requests:
        """Return the counts of now."""
        with self._lock:
            return MappingProxyType(dict(self._counts))

    def _received(self, event_name: str, parsed_response: Any = None, **_: Any) -> None:
        service, operation = event_name.split(".")[1:]
        self.add(service, operation, outcome(parsed_response))
