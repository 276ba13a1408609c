"""The four gauges that a datastore of ipamd writes when it changes, and what they say in between.

With several network cards the last writer's word stands. An ENI that vanished with pods on it is
taken off the total twice, and no gauge but two is written then (reference 1.3).
"""

from dataclasses import dataclass

from exporter.core.pool import PREFIX, Eni, Pool


@dataclass(slots=True)
class Written:
    """What was written last; `missing` addresses were taken off the total once too often."""

    enis: int = 0
    total: int = 0
    assigned: int = 0
    prefixes: int = 0
    missing: int = 0
    _missing_prefixes: int = 0

    def begin(self, held: Pool) -> None:
        """Write what a card has at ipamd's start, where it has anything."""
        if held.enis or not self.enis:
            self.enis, self.total, self.assigned = len(held.enis), held.attached, held.assigned
            self.prefixes = _prefixes(held)

    def changed(self, before: Pool, after: Pool, *, first: bool) -> None:
        """Write what is different now on one card; `first` is the one that ENIs vanish from."""
        if len(before.enis) != len(after.enis):
            self.enis = len(after.enis)
        if before.attached != after.attached:
            self.total = after.attached - first * self.missing
        if before.assigned != after.assigned:
            self.assigned = after.assigned
        if _prefixes(before) != _prefixes(after):
            self.prefixes = _prefixes(after) - first * self._missing_prefixes

    def lost(self, eni: Eni, left: Pool, *, twice: bool) -> None:
        """Write what ipamd writes when an ENI has vanished: how many there are, and the pods."""
        self.enis = len(left.enis)
        if eni.assigned:
            self.assigned = left.assigned
        if twice:
            self.missing += eni.attached
            self._missing_prefixes += eni.stock(PREFIX).cidrs


def _prefixes(held: Pool) -> int:
    return sum(eni.stock(PREFIX).cidrs for eni in held.enis)
