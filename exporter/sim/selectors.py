"""Label and field selectors of the Kubernetes API, as text and as predicates."""

import re
from collections.abc import Callable, Mapping

Predicate = Callable[[Mapping[str, str]], bool]

_SET = re.compile(r"^(?P<key>[^\s!=(),]+)\s+(?P<how>in|notin)\s*\((?P<values>[^)]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s!=(),]+)\s*(?P<how>==|=|!=)\s*(?P<value>[^\s!=(),]*)$")
_EXISTS = re.compile(r"^(?P<not>!?)\s*(?P<key>[^\s!=(),]+)$")
_COMMA = re.compile(r",(?![^(]*\))")


class BadSelector(ValueError):
    """The text is no selector, or names a field that cannot be selected on."""


def labels(text: str) -> Predicate:
    """Parse a label selector."""
    return _all(text, _label_term)


def fields(text: str, known: frozenset[str]) -> Predicate:
    """Parse a field selector over the fields that this resource can be selected by."""

    def term(part: str) -> Predicate:
        match = _EQUAL.match(part)
        if match is None or match["key"] not in known:
            raise BadSelector(f"field label not supported: {part.partition('=')[0]}")
        return _equality(match)

    return _all(text, term)


def name(text: str) -> str | None:
    """Return the one name that a field selector asks for, if it does."""
    found = (_EQUAL.match(part.strip()) for part in _COMMA.split(text))
    names = {
        it["value"] for it in found if it and it["key"] == "metadata.name" and it["how"] != "!="
    }
    return names.pop() if len(names) == 1 else None


def _all(text: str, term: Callable[[str], Predicate]) -> Predicate:
    terms = [term(part.strip()) for part in _COMMA.split(text) if part.strip()]
    return lambda values: all(holds(values) for holds in terms)


def _label_term(part: str) -> Predicate:
    if match := _SET.match(part):
        return _membership(match)
    if match := _EQUAL.match(part):
        return _equality(match)
    if match := _EXISTS.match(part):
        key, wanted = match["key"], not match["not"]
        return lambda values: (key in values) is wanted
    raise BadSelector(f"unable to parse requirement: {part}")


def _membership(match: re.Match[str]) -> Predicate:
    key, inside = match["key"], match["how"] == "in"
    listed = {value.strip() for value in match["values"].split(",")}
    if inside:
        return lambda values: values.get(key) in listed
    return lambda values: values.get(key) not in listed


def _equality(match: re.Match[str]) -> Predicate:
    key, value, equal = match["key"], match["value"], match["how"] != "!="
    return lambda values: (values.get(key) == value) is equal
