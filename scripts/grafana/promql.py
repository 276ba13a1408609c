"""What panels ask Prometheus, built so that two replicas of the exporter count once.

`cluster` is a label that the scrape's relabelling may add; every expression keeps it where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.core.catalog import METRICS, PREFIX, Kind

_METRICS = {it.name.removeprefix(f"{PREFIX}_"): it for it in METRICS}
_SUFFIXES = ("_sum", "_count")

RECENT = "15m"


@dataclass(frozen=True, slots=True)
class Scope:
    """One thing that series are about: its own label, and the series that tells of it."""

    label: str
    info: str

    @property
    def key(self) -> str:
        """Return the labels that tell one from another."""
        return f"cluster, {self.label}"


def last(name: str, by: str | None = None, **match: str) -> str:
    """Return the value of a gauge, once however many replicas tell it.

    `by` are the labels to keep beside `cluster`, by default all that are not matched; a match that
    begins with `~` is a regular expression.
    """
    return _once(name, f"{PREFIX}_{name}{_selector(match)}", by, match)


def least(name: str, by: str | None = None, **match: str) -> str:
    """Return the lowest value that any replica tells."""
    return last(name, by, **match).replace("max by", "min by", 1)


def rise(name: str, by: str | None = None, *, over: str = "$__rate_interval", **match: str) -> str:
    """Return by how much a counter rose over a time: of each series first, then of all replicas."""
    return _once(name, f"increase({PREFIX}_{name}{_selector(match)}[{over}])", by, match)


def rate(name: str, by: str | None = None, **match: str) -> str:
    """Return by how much a counter rises in a second."""
    return _once(name, f"rate({PREFIX}_{name}{_selector(match)}[$__rate_interval])", by, match)


def _once(name: str, of: str, by: str | None, match: dict[str, str]) -> str:
    labels = _labels(name) if by is None else tuple(filter(None, by.split(", ")))
    assert set(labels) <= set(_labels(name)), (name, labels)
    kept = [it for it in labels if by is not None or match.get(it, "~").startswith("~")]
    return f"max by ({', '.join(('cluster', *kept))}) ({of})"


def _labels(name: str) -> tuple[str, ...]:
    metric = _METRICS.get(name)
    if metric is None:
        metric = next(_METRICS[name.removesuffix(it)] for it in _SUFFIXES if name.endswith(it))
        assert metric.kind is Kind.SUMMARY, name
    return tuple(it for it in metric.labels if it != "cluster")


def _selector(match: dict[str, str]) -> str:
    matchers = ['cluster=~"$cluster"']
    for label, value in match.items():
        operator = "=~" if value.startswith("~") else "="
        matchers.append(f'{label}{operator}"{value.removeprefix("~")}"')
    return f"{{{','.join(matchers)}}}"


def or_none(count: str, told: str) -> str:
    """Return a count, or 0 where there is nothing to count while the exporter tells `told`."""
    return f"{count} or 0 * sum({told})"


# One series for each subnet, with its name, or its id where it has none, as `subnet`; and one for
# each node. The latest of two that replicas tell differently would make every join fail.
def _one(scope: Scope, labels: str, **match: str) -> str:
    told = last(scope.info, f"{scope.label}, {labels}", **match)
    return f"topk by ({scope.key}) (1, {told})"


def subnets(zone: str = "", subnet: str = "") -> str:
    """Return one series for each subnet, 1, with its zone and its name as `subnet`."""
    match = {"zone": zone} if zone else {}
    match |= {"subnet_id": subnet} if subnet else {}
    info = _one(SUBNET, "name, zone, cidr", **match)
    by_id = f'label_replace({info}, "subnet", "$1", "subnet_id", "(.+)")'
    return f'label_replace({by_id}, "subnet", "$1", "name", "(.+)")'


def nodes(**match: str) -> str:
    """Return one series for each node, 1, with what is known of it."""
    return _one(NODE, "zone, nodegroup, instance_type, ip_mode, cni_version", **match)


def join(value: str, scope: Scope, to: str, labels: str) -> str:
    """Return a value per subnet or node with labels of those that there are, others left out."""
    return f"{value} * on ({scope.key}) group_left ({labels}) {to}"


def among(value: str, scope: Scope, those: str) -> str:
    """Return a value per subnet or node of those alone that another expression has."""
    return f"{value} and on ({scope.key}) {those}"


SUBNET = Scope("subnet_id", "subnet_info")
NODE = Scope("node", "node_info")
