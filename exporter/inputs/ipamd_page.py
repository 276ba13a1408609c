"""ipamd's metrics page: how its bytes become a `Reading`.

What is not in SOURCES is stepped over unread, TYPE lines too: they lie (reference 1.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from exporter.core import counters
from exporter.core.counters import Family
from exporter.core.model import Counts, Reading, Reason
from exporter.inputs.fetch import FetchFailed
from exporter.inputs.ipamd_sources import SOURCES, Source

_BY_NAME = {source.name: source for source in SOURCES}
_NAME_OF = {source.into: source.name for source in SOURCES if isinstance(source.into, str)}
_REQUIRED = {source.into: source.name for source in SOURCES if source.required}
# Gauges without labels, by the bytes of their series.
_PLAIN = {s.name.encode() for s in SOURCES if isinstance(s.into, str) and not s.labels}
# The unmanaged ENIs that ipamd takes off can be more than there are (reference 1.3).
_MAY_BE_NEGATIVE = ("eni_max", "ip_max")

_WANTED = re.compile(
    # The many series per CIDR are stepped over before the long list of names is tried.
    rb"\n[ \t\r]*+((?:awscni_(?!assigned_ip_per_(?:ipv4)?cidr)(?:%b)|%b)(?=[ \t{]|\r*+\n)"
    rb"(?:\{[^\n]*\})?)([^\n]*)"
    % (
        b"|".join(n[7:].encode() for n in _BY_NAME if n.startswith("awscni_")),
        b"|".join(n.encode() for n in _BY_NAME if not n.startswith("awscni_")),
    )
)
_LABEL = re.compile(
    rb'(?s)[ \t]*+([a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*+=[ \t]*+"((?:[^"\\]++|\\.)*+)"[ \t]*+(?:,|\Z)'
)
_VALUE = re.compile(
    rb"([+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?|[+-]?(?i:inf|nan))"
    rb"(?:[ \t]++-?[0-9]++)?"
)
_ENI_ID = r"eni-[0-9A-Za-z-]{1,40}"
_ENI_SERIES = re.compile(rb'awscni_assigned_ip_per_eni\{eni="(%b)"\}' % _ENI_ID.encode())
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})

# Real pages have some 60 wanted series with up to 3 labels; a hostile one shall not hold up the
# event loop for more than a few dozen milliseconds.
_MAX_SERIES = 5_000
_MAX_LABELS = 8
_MAX_ENIS = 256
_QUICK_BYTES = 1024 * 1024
# Above it a float no longer counts one by one.
_MAX_COUNT = 2.0**53
# Far above any number of /80s (reference 1.3), far below where a sum over nodes overflows.
_MAX_GAUGE = 2.0**63

# The index of each counter's series as pages spell it. One page refills it, so it is emptied when
# it is full of what some page made up.
_known: dict[bytes, int] = {}
_KNOWN_SERIES = 4_096
_KNOWN_BYTES = 256
_NOWHERE, _ACTIONS = -1, -2


class Sample(NamedTuple):
    """One wanted sample and the line it stands on."""

    line: int
    name: str
    labels: Mapping[str, str]
    value: float


def parse_page(body: bytes, time: float, *, several_cards: bool = False) -> Reading:
    """Return what a page says, or raise `FetchFailed` with why it says nothing that can be used.

    With `several_cards` the gauges are those of whichever card wrote last, and are not compared.
    """
    if not body:
        raise FetchFailed(Reason.INCOMPLETE, "empty page")
    # What is no page of ipamd's at all may end as it likes.
    if not body.endswith(b"\n") and _WANTED.search(b"\n" + body):
        raise FetchFailed(Reason.INCOMPLETE, "cut off: the last line has no end")
    return _reading(_tally_quickly(body) or _tally(body), time, several_cards=several_cards)


def samples(body: bytes) -> Iterator[Sample]:
    """Yield the wanted samples of a page in any legal spelling."""
    page = b"\n" + body
    line = counted = 0
    for number, match in enumerate(_WANTED.finditer(page)):
        if number == _MAX_SERIES:
            raise FetchFailed(Reason.TOO_LARGE, f"more than {_MAX_SERIES} series")
        begin = match.start() + 1
        line += page.count(b"\n", counted, begin)
        counted = begin
        text = match[0].strip(b"\n\t\r ")
        try:
            name, labels, rest = _split(text)
            value = _VALUE.fullmatch(rest)
            if value is None:
                raise ValueError("no value")
        except ValueError as error:
            detail = f"line {line}: {error}: {text[:80].decode(errors='replace')!r}"
            raise FetchFailed(Reason.MALFORMED, detail) from error
        yield Sample(line, name, labels, float(value[1]))


def _split(text: bytes) -> tuple[str, Mapping[str, str], bytes]:
    """Return a line's name, labels, and what follows them."""
    head, opening, rest = text.partition(b"{")
    name, *more = head.split(maxsplit=1)
    if not opening:
        return name.decode(), {}, b"".join(more)
    inside, closing, rest = rest.rpartition(b"}")
    if more or not closing:
        raise ValueError("unreadable labels")
    return name.decode(), _labels(inside.strip(b" \t")), rest.strip(b" \t")


def _labels(text: bytes) -> Mapping[str, str]:
    labels: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _LABEL.match(text, at)
        if match is None:
            raise ValueError("unreadable labels")
        name, value = match[1].decode(), match[2].decode()
        if name in labels or len(labels) == _MAX_LABELS:
            raise ValueError("a label too many")
        labels[name] = _unescaped(value) if "\\" in value else value
        at = match.end()
    return labels


def _unescaped(value: str) -> str:
    parts = value.split(r"\\")
    return "\\".join([part.replace(r"\n", "\n").replace(r"\"", '"') for part in parts])


def _spelled(name: str, labels: Mapping[str, str]) -> bytes:
    """Return a series as client_golang writes it: labels sorted, no blanks, escapes in full."""
    if not labels:
        return name.encode()
    pairs = (f'{label}="{value.translate(_ESCAPES)}"' for label, value in sorted(labels.items()))
    return f"{name}{{{','.join(pairs)}}}".encode()


@dataclass(frozen=True, slots=True)
class _Tally:
    """What a page's wanted samples come to: gauges by field, ENIs by id, counters by index."""

    fields: dict[str, float] = field(default_factory=dict)
    enis: dict[str, float] = field(default_factory=dict)
    counts: dict[int, float] = field(default_factory=dict)

    def add(self, name: str, labels: Mapping[str, str], value: float) -> None:
        """Take one sample in; `ValueError` says why it cannot be one of ipamd's."""
        source = _BY_NAME[name]
        if source.summed:
            index = _index(source, labels)
            self.counts[index] = self.counts.get(index, 0.0) + _count(value)
        elif source.into == "assigned_by_eni":
            eni = labels.get("eni", "")
            if not re.fullmatch(_ENI_ID, eni):
                raise ValueError("no ENI id")
            self.enis[eni] = self.enis.get(eni, 0.0) + value
        elif labels:
            raise ValueError("a figure without labels was expected")
        else:
            self.fields[str(source.into)] = _count(value) if source.into == "started" else value


def _index(source: Source, labels: Mapping[str, str]) -> int:
    if not isinstance(source.into, Family):
        return _ACTIONS
    values = tuple([labels.get(label, "") for label in source.labels])
    if source.leave_out and values[0] == source.leave_out:
        return _NOWHERE
    return counters.index_of(source.into, values)


def _count(value: float) -> float:
    if not 0.0 <= value < _MAX_COUNT:
        raise ValueError(f"{value:g} is not a believable count")
    return value


def _tally(body: bytes) -> _Tally:
    tally = _Tally()
    seen = set()
    for line, name, labels, value in samples(body):
        series = (name, frozenset(labels.items()))
        try:
            if series in seen:
                raise ValueError("same series as on a line before")
            tally.add(name, labels, value)
        except ValueError as error:
            raise FetchFailed(Reason.MALFORMED, f"line {line}: {name}: {error}") from error
        seen.add(series)
    return tally


def _tally_quickly(body: bytes) -> _Tally | None:
    """Tally a page that is spelled as client_golang does it; None for a closer look."""
    if len(body) > _QUICK_BYTES:
        return None
    found = _WANTED.findall(b"\n" + body)
    lines = dict(found)
    if len(lines) < len(found) or len(lines) > _MAX_SERIES:
        return None
    tally = _Tally()
    counts = tally.counts
    try:
        for series, text in lines.items():
            value = float(text)
            index = _known.get(series)
            if index is None:
                index = _find_place(tally, series, value)
            elif not 0.0 <= value < _MAX_COUNT:
                return None
            counts[index] = counts.get(index, 0.0) + value
    except ValueError:
        return None
    # float takes underscores, the format does not.
    return None if b"_" in b"".join(lines.values()) else tally


def _find_place(tally: _Tally, series: bytes, value: float) -> int:
    """Take in what is not a known counter; return the index of a counter, else nowhere."""
    if series in _PLAIN:
        tally.add(series.decode(), {}, value)
        return _NOWHERE
    if eni := _ENI_SERIES.fullmatch(series):
        tally.enis[eni[1].decode()] = value
        return _NOWHERE
    name, labels, _ = _split(series)
    source = _BY_NAME[name]
    # In that spelling two different texts are two different series, so none can come in twice.
    if not source.summed or _spelled(name, labels) != series:
        raise ValueError("needs a closer look")
    _count(value)
    index = _index(source, labels)
    if len(series) <= _KNOWN_BYTES:
        if len(_known) == _KNOWN_SERIES:
            _known.clear()
        _known[series] = index
    return index


def _reading(tally: _Tally, time: float, *, several_cards: bool) -> Reading:
    tally.counts.pop(_NOWHERE, None)
    actions = tally.counts.pop(_ACTIONS, 0.0)
    started = tally.fields.pop("started", None)
    _check_parts(tally)
    gauges = {field: _whole(field, value) for field, value in tally.fields.items()}
    if gauges["attached"] < gauges["assigned"] and not several_cards:
        detail = f"{gauges['assigned']} addresses assigned of {gauges['attached']} in all"
        raise FetchFailed(Reason.INCONSISTENT, detail)
    if several_cards and gauges["enis"] and not tally.enis:
        raise FetchFailed(Reason.INCOMPLETE, f"without {_NAME_OF['assigned_by_eni']}")
    enis = [(eni, _whole("assigned_by_eni", n)) for eni, n in sorted(tally.enis.items())]
    series = tuple(sorted(tally.counts))
    return Reading(
        time=time,
        started=started,
        assigned=gauges["assigned"],
        attached=gauges["attached"],
        enis=gauges["enis"],
        eni_max=gauges["eni_max"],
        ip_max=gauges["ip_max"],
        prefixes=gauges.get("prefixes", 0),
        actions=int(actions),
        assigned_by_eni=tuple(enis),
        counts=Counts(_shared(series), tuple([tally.counts[index] for index in series])),
    )


def _check_parts(tally: _Tally) -> None:
    if not tally.fields and not tally.enis and not tally.counts:
        raise FetchFailed(Reason.MALFORMED, "not an ipamd page")
    missing = [name for field, name in _REQUIRED.items() if field not in tally.fields]
    if missing:
        raise FetchFailed(Reason.INCOMPLETE, f"without {', '.join(missing)}")
    if len(tally.enis) > _MAX_ENIS:
        raise FetchFailed(Reason.TOO_LARGE, f"more than {_MAX_ENIS} ENIs")


def _whole(field: str, value: float) -> int:
    if not abs(value) < _MAX_GAUGE or not value.is_integer():
        detail = f"{_NAME_OF[field]} is {value:g}, not a believable number"
        raise FetchFailed(Reason.MALFORMED, detail)
    if value < 0 and field not in _MAY_BE_NEGATIVE:
        raise FetchFailed(Reason.INCONSISTENT, f"{_NAME_OF[field]} is {value:g}")
    return int(value)


@lru_cache(maxsize=1024)
def _shared(series: tuple[int, ...]) -> tuple[int, ...]:
    """Return the one tuple that all pages with these series have."""
    return series
