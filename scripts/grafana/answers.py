"""What Grafana would show: a panel's queries asked of a Prometheus, and made into a table.

Only what the boards use of Grafana is here: variables and four transformations.
"""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from scripts.grafana.panels import Json

CHOICES = ("cluster", "zone", "nodegroup", "subnet")
Labels = Mapping[str, str]
Cell = str | float
Line = tuple[Labels, Sequence[tuple[float, float]]]


@dataclass(frozen=True, slots=True)
class Moment:
    """When a board is looked at (Unix seconds), over which time, and what is chosen there."""

    end: float
    seconds: float = 120.0
    step: float = 2.0
    rate_seconds: int = 20
    chosen: Mapping[str, str] = field(default_factory=dict)


def substituted(text: str, moment: Moment) -> str:
    """Return an expression without variables: what is not chosen is All, which is `.*`."""
    values = {"__rate_interval": f"{moment.rate_seconds}s"} | dict.fromkeys(CHOICES, ".*")
    values |= moment.chosen
    # What is no variable stays, as Grafana leaves it: `$1` in a replacement.
    return re.sub(r"\$(\w+)", lambda found: values.get(found[1], found[0]), text)


def instant(url: str, target: Json, moment: Moment) -> list[tuple[dict[str, str], float]]:
    """Return what Prometheus answers to a query at the end of the time."""
    query = {"query": substituted(target["expr"], moment), "time": str(moment.end)}
    return [(it["metric"], float(it["value"][1])) for it in _asked(url, "query", query)]


def lines(url: str, target: Json, moment: Moment) -> list[Line]:
    """Return what Prometheus answers to a query over the time."""
    query = {
        "query": substituted(target["expr"], moment),
        "start": str(moment.end - moment.seconds),
        "end": str(moment.end),
        "step": str(moment.step),
    }
    return [
        (it["metric"], [(float(at), float(value)) for at, value in it["values"]])
        for it in _asked(url, "query_range", query)
    ]


def _asked(url: str, path: str, query: Mapping[str, str]) -> list[Json]:
    sent = urllib.parse.urlencode(query).encode()
    with urllib.request.urlopen(f"{url}/api/v1/{path}", sent, timeout=30) as answer:  # noqa: S310
        found: list[Json] = json.load(answer)["data"]["result"]
    return found


def legend(target: Json, labels: Labels) -> str:
    """Return what a series is called."""
    pattern = target["legendFormat"]
    if pattern == "__auto":
        return ", ".join(labels.values())
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), pattern).strip()


def table(url: str, panel: Json, moment: Moment) -> tuple[list[str], list[dict[str, Cell]]]:
    """Return the columns of a table or of bars, as they are named and ordered, and its rows."""
    frames = [_frame(url, it, moment, len(panel["targets"])) for it in panel["targets"]]
    merged = _merged([it for it in frames if it])
    options = {it["id"]: it["options"] for it in panel["transformations"]}
    organized = options["organize"]
    known = dict.fromkeys(name for row in merged for name in row)
    places = organized["indexByName"]
    shown = sorted(
        (it for it in known if not organized["excludeByName"].get(it)),
        key=lambda it: places.get(it, len(places)),
    )
    named = {it: organized["renameByName"].get(it, it) for it in shown}
    rows = [{named[it]: row[it] for it in shown if it in row} for row in merged]
    for order in (*options.get("sortBy", {}).get("sort", ()), *panel["options"].get("sortBy", ())):
        field = order.get("field") or order["displayName"]
        rows.sort(key=partial(_rank, field), reverse=order["desc"])
    most = options.get("limit", {}).get("limitField", len(rows))
    return list(named.values()), rows[:most]


def _frame(url: str, target: Json, moment: Moment, of: int) -> list[dict[str, Cell]]:
    value = f"Value #{target['refId']}" if of > 1 else "Value"
    return [{**labels, value: number} for labels, number in instant(url, target, moment)]


def _merged(frames: Sequence[list[dict[str, Cell]]]) -> list[dict[str, Cell]]:
    """Join rows that agree in every field that all frames have."""
    fields = [{name for row in it for name in row} for it in frames]
    shared = set.intersection(*fields) if fields else set()
    rows: dict[tuple[Cell, ...], list[dict[str, Cell]]] = {}
    for frame in frames:
        for row in frame:
            same = rows.setdefault(tuple(row.get(it, "") for it in sorted(shared)), [])
            free = next((it for it in same if not (it.keys() & row.keys()) - shared), None)
            if free is None:
                same.append(dict(row))
            else:
                free.update(row)
    return [row for same in rows.values() for row in same]


def _rank(field: str, row: Mapping[str, Cell]) -> tuple[int, float, str]:
    """Numbers before texts, and what is missing first of all, which is last downwards."""
    cell = row.get(field)
    if cell is None:
        return 0, 0.0, ""
    return (1, cell, "") if isinstance(cell, float) else (2, 0.0, cell)
