"""Which ENI or CIDR ipamd takes: the random order of a Go map there, an argument here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Choose(Protocol):
    """Picks one of several equal options; `random.Random(seed).choice` is one, `first` another."""

    def __call__(self, options: Sequence[T], /) -> T: ...


def first(options: Sequence[T], /) -> T:
    """The option that was there first: packs pods onto as few ENIs as can be."""
    return options[0]


def drawn(options: Sequence[T], count: int, *, choose: Choose) -> tuple[T, ...]:
    """Draw up to `count` of the options, none twice."""
    left = list(options)
    taken = []
    for _ in range(min(count, len(left))):
        option = choose(left)
        left.remove(option)
        taken.append(option)
    return tuple(taken)
