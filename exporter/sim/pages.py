"""Writes what an ipamd process knows as the page its `/metrics` serves, as its release would.

Labelled families are absent until first used, families come with their release, numbers are as Go
prints them. What the numbers mean is none of this module's business.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache

from exporter.sim import go_runtime
from exporter.sim.facts import Facts, Gauges, Labels, Page, Series, State, series, whole_hundredths
from exporter.sim.ipamd import Ipamd, Release, Shape

Releases = tuple[tuple[str, str], ...]

# First and last of the releases whose TYPE line calls a counter a gauge.
_LYING: Releases = (("1.16.0", "1.18.6"), ("1.19.2", "1.19.3"))
_BRIEFLY_LYING: Releases = (("1.16.0", "1.18.1"),)


@dataclass(frozen=True, slots=True)
class Family:
    """One family of ipamd: its header, the suffixes of its children, the releases that have it."""

    name: str
    kind: str
    text: str
    since: str = "1.0.0"
    until: str = "999.0.0"
    gauge_in: Releases = ()
    suffixes: tuple[str, ...] = ("",)

    def of(self, release: Release) -> bool:
        """Whether this release has the family."""
        return _within(release, (self.since, self.until))

    def header(self, release: Release) -> str:
        """The HELP and TYPE lines of this release."""
        lies = any(_within(release, ends) for ends in self.gauge_in)
        kind = "gauge" if lies else self.kind
        return f"# HELP {self.name} {self.text}\n# TYPE {self.name} {kind}\n"


def _within(release: Release, ends: tuple[str, str]) -> bool:
    return Release.of(ends[0]) <= release <= Release.of(ends[1])


FAMILIES = (
    Family(
        "awscni_add_ip_req_count",
        "counter",
        "The number of add IP address requests",
        gauge_in=_LYING,
    ),
    Family("awscni_assigned_ip_addresses", "gauge", "The number of IP addresses assigned to pods"),
    Family(
        "awscni_assigned_ip_per_cidr",
        "gauge",
        "The total number of IP addresses assigned per cidr",
        since="1.10.0",
    ),
    Family(
        "awscni_assigned_ip_per_eni",
        "gauge",
        "The total number of IP addresses assigned per ENI",
        since="1.15.1",
    ),
    Family(
        "awscni_assigned_ip_per_ipv4cidr",
        "gauge",
        "The total number of IP addresses assigned per cidr",
        since="1.9.0",
        until="1.9.999",
    ),
    Family(
        "awscni_aws_api_error_count",
        "counter",
        "The number of times AWS API returns an error",
        gauge_in=_LYING,
    ),
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
    Family(
        "awscni_build_info",
        "gauge",
        "A metric with a constant '1' value labeled by version",
        since="1.10.0",
    ),
    Family("awscni_connmark_backend", "gauge", "The connmark backend in use", since="1.23.0"),
    Family(
        "awscni_connmark_reconcile_total",
        "counter",
        "The number of connmark rule setups and cleanups",
        since="1.23.0",
    ),
    Family("awscni_del_ip_req_count", "counter", "The number of delete IP address requests"),
    Family(
        "awscni_ec2api_error_count",
        "counter",
        "The number of failed EC2 APIs requests",
        since="1.12.1",
    ),
    Family(
        "awscni_ec2api_req_count",
        "counter",
        "The number of requests made to EC2 APIs",
        since="1.12.1",
    ),
    Family("awscni_eni_allocated", "gauge", "The number of ENIs allocated"),
    Family(
        "awscni_eni_max",
        "gauge",
        "The maximum number of ENIs that can be attached to the instance, "
        "accounting for unmanaged ENIs",
    ),
    Family(
        "awscni_force_removed_enis",
        "counter",
        "The number of ENIs force removed",
        gauge_in=_LYING,
    ),
    Family(
        "awscni_force_removed_ips", "counter", "The number of IPs force removed", gauge_in=_LYING
    ),
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
        since="1.20.0",
        suffixes=("_bucket", "_sum", "_count"),
    ),
    Family(
        "awscni_ipamd_startup_duration_seconds",
        "histogram",
        "Time taken by ipamd to start",
        since="1.20.0",
        suffixes=("_bucket", "_sum", "_count"),
    ),
    Family(
        "awscni_no_available_ip_addresses",
        "counter",
        "The number of pod IP assignments that fail due to no available IP addresses",
        since="1.15.1",
        gauge_in=_BRIEFLY_LYING,
    ),
    Family(
        "awscni_pod_eni_error_count",
        "counter",
        "The number of errors encountered for pod ENIs",
        gauge_in=_LYING,
    ),
    Family(
        "awscni_reconcile_count",
        "counter",
        "The number of times ipamd reconciles on ENIs and IP/Prefix addresses",
    ),
    Family("awscni_total_ip_addresses", "gauge", "The total number of IP addresses"),
    Family(
        "awscni_total_ipv4_prefixes", "gauge", "The total number of IPv4 prefixes", since="1.9.0"
    ),
)

_BASE_OF = {family.name + suffix: family.name for family in FAMILIES for suffix in family.suffixes}
_BUCKETS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf")
_PER_CIDR = "awscni_assigned_ip_per_cidr"
_PER_ENI = "awscni_assigned_ip_per_eni"
_PER_OLD_CIDR = "awscni_assigned_ip_per_ipv4cidr"
_PREFIXES = "awscni_total_ipv4_prefixes"
_ACTIONS = ("decreaseDatastorePool", "increaseDatastorePool", "nodeIPPoolReconcile", "nodeInit")
_ACTIONS_TO_V1_8 = ("decreaseIPPool", "increaseIPPool", "nodeIPPoolReconcile", "nodeInit")


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


def page(state: State, release: Release) -> Page:
    """Return the page on which such a process says what its release knows how to say."""
    return Page(write(state, release), _facts(state, release))


def write(state: State, release: Release) -> bytes:
    """Return the bytes of that page."""
    families = {
        **_constant(release),
        **_held(state, per_cidr=_per_cidr(release)),
        **_lines(_gauges(state.gauges)),
        **_counters(state.counters),
    }
    own = (
        header + families[name] for name, header in _headers(release).items() if name in families
    )
    tail = go_runtime.tail(Shape.of(_tag(release)), number(state.started))
    return ("".join(own) + tail).encode()


def _tag(release: Release) -> str:
    return "v" + ".".join(map(str, release))


def _per_cidr(release: Release) -> str:
    return _PER_OLD_CIDR if _PER_OLD_CIDR in _headers(release) else _PER_CIDR


def _facts(state: State, release: Release) -> Facts:
    known = _headers(release)
    counters = {name: value for name, value in state.counters.items() if _BASE_OF[name[0]] in known}
    gauges = state.gauges if _PREFIXES in known else replace(state.gauges, prefixes=0)
    return Facts(gauges, counters, state.started)


@lru_cache(maxsize=64)
def _headers(release: Release) -> Mapping[str, str]:
    """The headers of the families this release has, in the order of the page."""
    return {family.name: family.header(release) for family in FAMILIES if family.of(release)}


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


def _counters(counters: Mapping[Series, float]) -> dict[str, str]:
    """Order children by labels, and `_sum` before `_count` within one child."""

    def place(child: tuple[Series, float]) -> tuple[Labels, bool]:
        (name, labels), _ = child
        return labels, name.endswith("_count")

    return _lines(sorted(counters.items(), key=place))


def _gauges(gauges: Gauges) -> Iterator[tuple[Series, float]]:
    yield series("awscni_assigned_ip_addresses"), gauges.assigned
    yield series("awscni_total_ip_addresses"), gauges.total
    yield series("awscni_eni_allocated"), gauges.enis
    yield series("awscni_eni_max"), gauges.eni_max
    yield series("awscni_ip_max"), gauges.ip_max
    yield series(_PREFIXES), gauges.prefixes


def _held(state: State, *, per_cidr: str) -> dict[str, str]:
    """Write the many series per CIDR and ENI, whose label values need no escaping."""
    by_cidr, by_eni = sorted(state.assigned_by_cidr.items()), sorted(state.assigned_by_eni.items())
    written = {
        per_cidr: "".join([f'{per_cidr}{{cidr="{cidr}"}} {n}\n' for cidr, n in by_cidr]),
        _PER_ENI: "".join([f'{_PER_ENI}{{eni="{eni}"}} {n}\n' for eni, n in by_eni]),
    }
    return {name: text for name, text in written.items() if text}


@lru_cache(maxsize=64)
def _constant(release: Release) -> Mapping[str, str]:
    return _lines(_same_everywhere(release))


def _same_everywhere(release: Release) -> Iterator[tuple[Series, float]]:
    go_version = go_runtime.go_version(Shape.of(_tag(release)))
    yield series("awscni_build_info", goversion=go_version, version=""), 1
    actions = _ACTIONS if release >= (1, 9) else _ACTIONS_TO_V1_8
    yield from ((series("awscni_ipamd_action_inprogress", fn=fn), 0) for fn in actions)
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


@dataclass(slots=True, eq=False)
class Writer:
    """A simulated process whose page is written from its state when it is next asked for."""

    ipamd: Ipamd
    version: str
    _page: Page | None = None
    _revision: int = field(default=-1)

    def page(self) -> Page:
        """Return the page for the state as it is."""
        if self._page is None or self._revision != self.ipamd.revision:
            self._page = page(self.ipamd.state(), Release.of(self.version))
            self._revision = self.ipamd.revision
        return self._page

    def restarted(self, now: float, version: str) -> "Writer":
        """Return the next process: it adopts what is attached and counts from zero."""
        old = self.ipamd
        # Copies, as another node may go on with the process that this one leaves.
        enis = [replace(eni, cidrs=dict(eni.cidrs)) for eni in old.enis]
        new = Ipamd(whole_hundredths(now), old.eni_max, old.ip_max, enis, old.prefix)
        return Writer(new, version)
