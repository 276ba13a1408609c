"""EC2's filters: all of them must hold, each by any of its values, with `*` and `?` as wildcards.

Which filters a kind of thing has is its vocabulary, a table.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

from exporter.sim.ec2_protocol import Condition, Refused

Thing = TypeVar("Thing")
Values = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Vocabulary(Generic[Thing]):
    """The filters of one kind of thing: by name, the values a thing has; and its tags."""

    fields: Mapping[str, Callable[[Thing], Values]]
    tags: Callable[[Thing], Mapping[str, str]] | None = None

    def matching(self, things: Iterable[Thing], conditions: tuple[Condition, ...]) -> list[Thing]:
        """Return the things for which every condition holds."""
        found = list(things)
        for condition in conditions:
            values, holds = self._values(condition.name), _test(condition.values)
            found = [thing for thing in found if any(map(holds, values(thing)))]
        return found

    def _values(self, name: str) -> Callable[[Thing], Values]:
        field = self.fields.get(name)
        if field is not None:
            return field
        if (tags := self.tags) is not None:
            if name == "tag-key":
                return lambda thing: tuple(tags(thing))
            kind, _, key = name.partition(":")
            if kind == "tag" and key:
                return lambda thing: (tags(thing)[key],) if key in tags(thing) else ()
        raise Refused("InvalidParameterValue", f"The filter '{name}' is invalid")


def _test(values: Values) -> Callable[[str], bool]:
    if not any(sign in value for value in values for sign in "*?\\"):
        return frozenset(values).__contains__
    pattern = re.compile("|".join(map(_pattern, values)), re.DOTALL)
    return lambda text: pattern.fullmatch(text) is not None


@lru_cache(maxsize=256)
def _pattern(value: str) -> str:
    """Translate a value to a regular expression; a backslash takes a sign's meaning away."""
    parts = []
    for sign in re.findall(r"\\.|.", value, re.DOTALL):
        known = {"*": ".*", "?": "."}.get(sign)
        parts.append(known or re.escape(sign.removeprefix("\\") or sign))
    return "".join(parts)
