"""Counts of what the simulated servers were asked: tests look here for what a reader did or did
not do.
"""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Traffic:
    """Requests seen since the start or the last `clear`."""

    connections: Counter[str] = field(default_factory=Counter)
    pages: Counter[str] = field(default_factory=Counter)
    served_whole: Counter[str] = field(default_factory=Counter)
    other_paths: Counter[str] = field(default_factory=Counter)
    introspected: Counter[str] = field(default_factory=Counter)
    introspected_whole: Counter[str] = field(default_factory=Counter)
    redirects_followed: int = 0
    idle_closed: int = 0
    lists: Counter[str] = field(default_factory=Counter)
    list_pages: Counter[str] = field(default_factory=Counter)
    watches: Counter[str] = field(default_factory=Counter)
    gets: Counter[str] = field(default_factory=Counter)
    proxied: Counter[str] = field(default_factory=Counter)
    reviews: Counter[str] = field(default_factory=Counter)
    unauthorized: int = 0
    forbidden: Counter[str] = field(default_factory=Counter)
    expired: int = 0

    def summary(self) -> dict[str, object]:
        """Return all counts as plain JSON values."""
        return {
            name: dict(value) if isinstance(value, Counter) else value
            for name in self.__dataclass_fields__
            for value in (getattr(self, name),)
        }

    def clear(self) -> None:
        """Count from zero again."""
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, Counter):
                value.clear()
            else:
                setattr(self, name, 0)
