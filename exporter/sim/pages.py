"""Writes the state of one ipamd process as the page its `/metrics` serves, as its release would.

Labelled families are absent until first used, CIDRs given back stay at 0, numbers are as Go prints
them. What the numbers mean is none of this module's business.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

from exporter.sim import go_runtime
from exporter.sim.facts import Labels, Page, Series, series, whole_hundredths
from exporter.sim.ipamd import Ipamd, Shape


@dataclass(frozen=True, slots=True)
class Family:
    """One family of ipamd: its header, and the suffixes its children carry."""

    name: str
    kind: str
    text: str
    since: Shape = Shape.V1_15
    suffixes: tuple[str, ...] = ("",)

    @property
    def header(self) -> str:
        return f"# HELP {self.name} {self.text}\n# TYPE {self.name} {self.kind}\n"


FAMILIES = (
    Family("awscni_add_ip_req_count", "counter", "The number of add IP address requests"),
    Family("awscni_assigned_ip_addresses", "gauge", "The number of IP addresses assigned to pods"),
    Family(
        "awscni_assigned_ip_per_cidr",
        "gauge",
        "The total number of IP addresses assigned per cidr",
    ),
    Family(
        "awscni_assigned_ip_per_eni", "gauge", "The total number of IP addresses assigned per ENI"
    ),
    Family("awscni_aws_api_error_count", "counter", "The number of times AWS API returns an error"),
    Family(
        "awscni_aws_api_latency_ms",
        "summary",
        "AWS API call latency in ms",
        suffixes=("_sum", "_count"),
    ),
    Family(
        "awscni_aws_utils_error_count",
        "counter",
        "The number of errors not handled in awsutils library",
    ),
    Family("awscni_build_info", "gauge", "A metric with a constant '1' value labeled by version"),
    Family("awscni_connmark_backend", "gauge", "The connmark backend in use", since=Shape.V1_23),
    Family(
        "awscni_connmark_reconcile_total",
        "counter",
        "The number of connmark rule setups and cleanups",
        since=Shape.V1_23,
    ),
    Family("awscni_del_ip_req_count", "counter", "The number of delete IP address requests"),
    Family("awscni_ec2api_error_count", "counter", "The number of failed EC2 APIs requests"),
    Family("awscni_ec2api_req_count", "counter", "The number of requests made to EC2 APIs"),
    Family("awscni_eni_allocated", "gauge", "The number of ENIs allocated"),
    Family(
        "awscni_eni_max",
        "gauge",
        "The maximum number of ENIs that can be attached to the instance, "
        "accounting for unmanaged ENIs",
    ),
    Family("awscni_force_removed_enis", "counter", "The number of ENIs force removed"),
    Family("awscni_force_removed_ips", "counter", "The number of IPs force removed"),
    Family(
        "awscni_ip_max",
        "gauge",
        "The maximum number of IP addresses that can be allocated to the instance",
    ),
    Family("awscni_ipamd_action_inprogress", "gauge", "The number of ipamd actions in progress"),
    Family("awscni_ipamd_error_count", "counter", "The number of errors encountered in ipamd"),
    Family(
        "awscni_ipamd_node_initialization_duration_seconds",
        "histogram",
        "Time taken by node initialization",
        since=Shape.V1_23,
        suffixes=("_bucket", "_sum", "_count"),
    ),
    Family(
        "awscni_ipamd_startup_duration_seconds",
        "histogram",
        "Time taken by ipamd to start",
        since=Shape.V1_23,
        suffixes=("_bucket", "_sum", "_count"),
    ),
    Family(
        "awscni_no_available_ip_addresses",
        "counter",
        "The number of pod IP assignments that fail due to no available IP addresses",
    ),
    Family(
        "awscni_pod_eni_error_count", "counter", "The number of errors encountered for pod ENIs"
    ),
    Family(
        "awscni_reconcile_count",
        "counter",
        "The number of times ipamd reconciles on ENIs and IP/Prefix addresses",
    ),
    Family("awscni_total_ip_addresses", "gauge", "The total number of IP addresses"),
    Family("awscni_total_ipv4_prefixes", "gauge", "The total number of IPv4 prefixes"),
)

_BASE_OF = {family.name + suffix: family.name for family in FAMILIES for suffix in family.suffixes}
_PRINTED = {
    shape: [(f.name, f.header) for f in FAMILIES if f.since.value <= shape.value] for shape in Shape
}
_BUCKETS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf")
_PER_CIDR = "awscni_assigned_ip_per_cidr"
_PER_ENI = "awscni_assigned_ip_per_eni"
_ACTIONS = ("decreaseDatastorePool", "increaseDatastorePool", "nodeIPPoolReconcile", "nodeInit")


def number(value: float) -> str:
    """Print a number as Go's shortest `%g` does: in exponent form from 1e+06 on and below 1e-04."""
    if abs(value) < 1e6 and value == int(value):
        return str(int(value))
    parts = Decimal(repr(value)).normalize().as_tuple()
    power = len(parts.digits) + int(parts.exponent) - 1
    if -4 <= power < 6:
        return repr(value)
    first, *rest = map(str, parts.digits)
    fraction = "." + "".join(rest) if rest else ""
    return f"{'-' * parts.sign}{first}{fraction}e{power:+03d}"


def write(ipamd: Ipamd, shape: Shape) -> bytes:
    """Return the page that says what this process holds and has counted."""
    families = {**_CONSTANT[shape], **_held(ipamd), **_lines(_gauges(ipamd)), **_counters(ipamd)}
    own = (header + families[name] for name, header in _PRINTED[shape] if name in families)
    return ("".join(own) + go_runtime.tail(shape, number(ipamd.started))).encode()


def _lines(children: Iterable[tuple[Series, float]]) -> dict[str, str]:
    """Return the sample lines of each family."""
    lines: dict[str, list[str]] = defaultdict(list)
    for (name, labels), value in children:
        lines[_BASE_OF[name]].append(f"{name}{_braces(labels)} {number(value)}\n")
    return {name: "".join(found) for name, found in lines.items()}


@lru_cache(maxsize=8192)
def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _counters(ipamd: Ipamd) -> dict[str, str]:
    """Order children by labels, and `_sum` before `_count` within one child."""

    def place(child: tuple[Series, float]) -> tuple[Labels, bool]:
        (name, labels), _ = child
        return labels, name.endswith("_count")

    return _lines(sorted(ipamd.counts.items(), key=place))


def _gauges(ipamd: Ipamd) -> Iterator[tuple[Series, float]]:
    gauges = ipamd.gauges()
    yield series("awscni_assigned_ip_addresses"), gauges.assigned
    yield series("awscni_total_ip_addresses"), gauges.total
    yield series("awscni_eni_allocated"), gauges.enis
    yield series("awscni_eni_max"), gauges.eni_max
    yield series("awscni_ip_max"), gauges.ip_max
    yield series("awscni_total_ipv4_prefixes"), gauges.prefixes


def _held(ipamd: Ipamd) -> dict[str, str]:
    """Write the many series per CIDR and ENI, whose label values need no escaping."""
    held = dict.fromkeys(ipamd.given_back, 0)
    for eni in ipamd.enis:
        held |= eni.cidrs
    per_eni = sorted((eni.id, eni.assigned) for eni in ipamd.enis)
    written = {
        _PER_CIDR: "".join([f'{_PER_CIDR}{{cidr="{c}"}} {n}\n' for c, n in sorted(held.items())]),
        _PER_ENI: "".join([f'{_PER_ENI}{{eni="{eni}"}} {n}\n' for eni, n in per_eni]),
    }
    return {name: text for name, text in written.items() if text}


def _same_everywhere(shape: Shape) -> Iterator[tuple[Series, float]]:
    yield series("awscni_build_info", goversion=go_runtime.go_version(shape), version=""), 1
    yield from ((series("awscni_ipamd_action_inprogress", fn=fn), 0) for fn in _ACTIONS)
    if shape is Shape.V1_23:
        yield from _since_v1_20()


def _since_v1_20() -> Iterator[tuple[Series, float]]:
    yield series("awscni_connmark_backend", backend="nftables"), 1
    yield series("awscni_connmark_reconcile_total", result="error"), 0
    yield series("awscni_connmark_reconcile_total", result="success"), 1
    yield from _histogram("awscni_ipamd_node_initialization_duration_seconds", success="true")
    yield from _histogram(
        "awscni_ipamd_startup_duration_seconds",
        failure_reason="",
        success="true",
        with_api_server="true",
    )


def _histogram(name: str, **labels: str) -> Iterator[tuple[Series, float]]:
    for bound in _BUCKETS:
        yield series(f"{name}_bucket", **labels, le=bound), int(bound in {"5", "10", "+Inf"})
    yield series(f"{name}_sum", **labels), 2.815
    yield series(f"{name}_count", **labels), 1


_CONSTANT = {shape: _lines(_same_everywhere(shape)) for shape in Shape}


@dataclass(slots=True)
class Writer:
    """A simulated process whose page is written from its state when it is next asked for."""

    ipamd: Ipamd
    version: str
    _page: Page | None = None
    _revision: int = field(default=-1)

    def page(self) -> Page:
        """Return the page for the state as it is."""
        if self._page is None or self._revision != self.ipamd.revision:
            body = write(self.ipamd, Shape.of(self.version))
            self._page = Page(body, self.ipamd.facts())
            self._revision = self.ipamd.revision
        return self._page

    def restarted(self, now: float, version: str) -> "Writer":
        """Return the next process: it adopts what is attached and counts from zero."""
        old = self.ipamd
        new = Ipamd(whole_hundredths(now), old.eni_max, old.ip_max, old.enis, old.prefix)
        return Writer(new, version)
