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
from exporter.sim.families import FAMILIES
from exporter.sim.holdings import Holding
from exporter.sim.ipamd import Ipamd, Release, Shape

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
    by_eni = state.assigned_by_eni if _PER_ENI in known else {}
    return Facts(gauges, counters, state.started, by_eni)


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

    def holding(self) -> Holding:
        """Return what introspection shows of the state as it is."""
        return self.ipamd.holding()

    def restarted(self, now: float, version: str) -> "Writer":
        """Return the next process: it adopts what is attached and counts from zero."""
        old = self.ipamd
        # Copies, as another node may go on with the process that this one leaves.
        enis = [replace(eni, cidrs=dict(eni.cidrs)) for eni in old.enis]
        new = Ipamd(whole_hundredths(now), old.eni_max, old.ip_max, enis, old.prefix)
        return Writer(new, version)
