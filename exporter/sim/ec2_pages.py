"""Listings page by page: what was found when a listing began is told to its end, whatever comes and
goes meanwhile. A token is good for as long as its listing is remembered.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from itertools import count
from typing import Generic, TypeVar

from exporter.sim.ec2_protocol import Ask, Refused

Thing = TypeVar("Thing")
_REMEMBERED = 64


class Listings(Generic[Thing]):
    """The listings of one action that are under way."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._begun: dict[int, tuple[object, list[Thing]]] = {}

    def page(self, ask: Ask, found: list[Thing], *, empty: bool = False) -> tuple[list[Thing], str]:
        """Begin a listing of what was found, and return its first page and a token for the next."""
        if not empty and len(found) <= ask.most:
            return found, ""
        number = next(self._numbers)
        self._begun[number] = (_question(ask), found)
        while len(self._begun) > _REMEMBERED:
            del self._begun[next(iter(self._begun))]
        return self._cut(ask, number, 0, empty=empty)

    def next(self, ask: Ask, *, empty: bool = False) -> tuple[list[Thing], str]:
        """Return the page that the token stands for and a token for the one after it."""
        number, start = self._read(ask.token)
        if number not in self._begun or self._begun[number][0] != _question(ask):
            raise Refused("InvalidNextToken", "The specified NextToken is not valid")
        return self._cut(ask, number, start, empty=empty)

    def _cut(self, ask: Ask, number: int, start: int, *, empty: bool) -> tuple[list[Thing], str]:
        things = self._begun[number][1]
        end = start if empty else start + ask.most
        more = empty or end < len(things)
        return things[start:end], self._token(number, end) if more else ""

    def _token(self, number: int, position: int) -> str:
        """Write a token, never the same one twice: a client may take that for a loop."""
        text = f"{number}:{position}:{next(self._numbers)}"
        return urlsafe_b64encode(text.encode()).decode()

    @staticmethod
    def _read(token: str) -> tuple[int, int]:
        try:
            number, position, _ = urlsafe_b64decode(token.encode()).decode().split(":")
            return int(number), int(position)
        except ValueError:
            return 0, 0


def _question(ask: Ask) -> object:
    return ask.ids, ask.conditions
