"""What a client asks of EC2: a form of the query protocol read into values, or a refusal in EC2's
own words.

What the asked action then does is told in `ec2_actions`, and how it goes over the wire in
`ec2_api`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

_COMMON = frozenset({"Action", "Version", "DryRun", "Filter", "MaxResults", "NextToken"})


class Refused(Exception):
    """The request is answered by an error of this code."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True, slots=True)
class Condition:
    """One filter: the thing named must have one of these values."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How an action is asked: its list of ids, and what MaxResults may be."""

    ids: str
    most: int
    least: int = 5
    default: int = 1000
    ids_or_pages: bool = False
    other: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, whole and well-formed."""

    action: str
    ids: tuple[str, ...]
    conditions: tuple[Condition, ...]
    most: int
    token: str


def form(body: bytes) -> dict[str, str]:
    """Read the fields of a form."""
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def ask(fields: Mapping[str, str], bounds: Bounds) -> Ask:
    """Read what is asked of an action, or refuse it as EC2 would."""
    action = fields["Action"]
    known = _COMMON | bounds.other | {bounds.ids}
    for name in fields:
        if name.partition(".")[0] not in known:
            raise Refused("UnknownParameter", f"The parameter {name} is not recognized")
    if fields.get("DryRun") == "true":
        message = "Request would have succeeded, but DryRun flag is set."
        raise Refused("DryRunOperation", message, status=412)
    ids = _listed(fields, bounds.ids)
    if ids and bounds.ids_or_pages and "MaxResults" in fields:
        message = f"The parameter {bounds.ids}s cannot be used with the parameter MaxResults"
        raise Refused("InvalidParameterCombination", message)
    return Ask(action, ids, _conditions(fields), _most(fields, bounds), fields.get("NextToken", ""))


def _most(fields: Mapping[str, str], bounds: Bounds) -> int:
    given = fields.get("MaxResults")
    if given is None:
        return bounds.default
    if not given.isdecimal() or not bounds.least <= int(given) <= bounds.most:
        message = (
            f"Value ( {given} ) for parameter maxResults is invalid. "
            f"Expecting a value between {bounds.least} and {bounds.most}."
        )
        raise Refused("InvalidParameterValue", message)
    return int(given)


def _conditions(fields: Mapping[str, str]) -> tuple[Condition, ...]:
    numbers = {name.split(".")[1] for name in fields if name.startswith("Filter.")}
    found = []
    for number in sorted(numbers, key=int):
        prefix = f"Filter.{number}"
        values = _listed(fields, f"{prefix}.Value")
        if f"{prefix}.Name" not in fields or not values:
            raise Refused("InvalidParameterValue", f"The filter '{prefix}' is invalid")
        found.append(Condition(fields[f"{prefix}.Name"], values))
    return tuple(found)


def _listed(fields: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Take the values of `Name.1`, `Name.2` and so on; `Name` alone is a list of one."""
    if name in fields:
        return (fields[name],)
    start = f"{name}."
    numbered = {key.removeprefix(start): text for key, text in fields.items()
                if key.startswith(start)}  # fmt: skip
    return tuple(numbered[number] for number in sorted(numbered, key=int))
