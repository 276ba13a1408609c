"""What counters gained since a pod's last reading (DESIGN, promise 3).

FAMILIES are the closed lists that labels are folded into; SERIES gives each child a fixed index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from types import MappingProxyType

from exporter.core.model import Counts, Outcome, Read, Reading

OTHER = "other"

# A start time wobbles with clock corrections; a restart moves it by more (DESIGN, promise 3).
_WOBBLE_SECONDS = 2.0
_CLOCK_SLACK_SECONDS = 5.0

# Operation names that v1.4 to v1.23.1 use in the labels `fn` and `api` (reference 1.2).
EC2_OPERATIONS = (
    "AssignIpv6Addresses",
    "AssignPrivateIpAddresses",
    "AttachNetworkInterface",
    "CreateNetworkInterface",
    "CreateTags",
    "DeleteNetworkInterface",
    "DescribeInstanceTypes",
    "DescribeInstances",
    "DescribeNetworkInterfaces",
    "DescribeSubnets",
    "DetachNetworkInterface",
    "ModifyNetworkInterfaceAttribute",
    "UnassignIpv6Addresses",
    "UnassignPrivateIpAddresses",
)
# Not calls of the EC2 API, but timed or counted beside them by ipamd.
_PSEUDO_OPERATIONS = (
    "AssignIpv6AddressesWithContext",
    "GetMetadata",
    "IMDSMetaDataOutOfSync",
    "waitENIAttachedFailedToAssignIPs",
    "waitForENIAndIPsAttached",
)
# Error codes of EC2 that someone acts on; the rest is `other`.
AWS_ERRORS = (
    "AttachmentLimitExceeded",
    "InsufficientCidrBlocks",
    "InsufficientFreeAddressesInSubnet",
    "NetworkInterfaceLimitExceeded",
    "PrivateIpAddressLimitExceeded",
    "RequestLimitExceeded",
    "UnauthorizedOperation",
)
_IPAMD_FUNCTIONS = (
    "addENIsecondaryIPsToDataStoreFailed",
    "addENIv4prefixesToDataStoreFailed",
    "addENIv6prefixesToDataStoreFailed",
    "decreaseIPPool",
    "decreaseIPPoolFreeENIFailed",
    "eniReconcileAdd",
    "eniReconcileDel",
    "freeENIDeleteRulesFailed",
    "increaseIPPoolAllocENI",
    "increaseIPPoolAllocIPAddressesFailed",
    "increaseIPPoolGetENIaddressesFailed",
    "increaseIPPoolGetENIprefixedFailed",
    "increaseIPPoolsetupENIFailed",
    "increaseIPPoolwaitENIAttachedFailed",
    "ipReconcileAdd",
    "ipReconcileDel",
    "prefixReconcileAdd",
    "reconcileFailedGetENIs",
    "waitENIAttachedMaxRetryExceeded",
)


@dataclass(frozen=True, slots=True)
class Family:
    """One cumulative counter: its labels and, for each, the values it may take besides `other`."""

    name: str
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """One child of a family."""

    family: Family
    values: tuple[str, ...]


_API = ("api", tuple(sorted((*EC2_OPERATIONS, *_PSEUDO_OPERATIONS))))

ADD_REQUESTS = Family("add_requests")
DEL_REQUESTS = Family("del_requests", (("reason", ("PodDeleted", "SetupNSFailed")),))
ASSIGNMENT_FAILURES = Family("ip_assignment_failures")
IPAMD_ERRORS = Family("ipamd_errors", (("fn", _IPAMD_FUNCTIONS),))
AWS_API_REQUESTS = Family("aws_api_requests", (("api", EC2_OPERATIONS),))
AWS_API_ERRORS = Family("aws_api_errors", (_API, ("error", AWS_ERRORS)))
# ipamd counts whole milliseconds.
AWS_API_MILLISECONDS = Family("aws_api_milliseconds", (_API,))
AWS_API_TIMED_CALLS = Family("aws_api_timed_calls", (_API,))
RECONCILES = Family(
    "reconciles", (("fn", ("eniIPPoolReconcileDel", "eniReconcileAdd", "eniReconcileDel")),)
)
FORCED_ENI_REMOVALS = Family("forced_eni_removals")
FORCED_IP_REMOVALS = Family("forced_ip_removals")
POD_ENI_ERRORS = Family("pod_eni_errors", (("fn", ("nodeInit", "tryEnableSecurityGroupsForPods")),))
AWS_UTILS_ERRORS = Family(
    "aws_utils_errors", (("fn", ("AllocENIDeleteErr", "ENICleanupUponModifyNetworkErr")),)
)
# ipamd's calls of EC2 that failed, whatever the error; AWS_API_ERRORS knows those AWS named.
EC2_API_FAILURES = Family("ec2_api_failures")

FAMILIES = (
    ADD_REQUESTS,
    DEL_REQUESTS,
    ASSIGNMENT_FAILURES,
    IPAMD_ERRORS,
    AWS_API_REQUESTS,
    AWS_API_ERRORS,
    AWS_API_MILLISECONDS,
    AWS_API_TIMED_CALLS,
    RECONCILES,
    FORCED_ENI_REMOVALS,
    FORCED_IP_REMOVALS,
    POD_ENI_ERRORS,
    AWS_UTILS_ERRORS,
    EC2_API_FAILURES,
)


def children(family: Family) -> tuple[Series, ...]:
    """Return every child of a family, the folded ones included."""
    return tuple(
        Series(family, values)
        for values in product(*((*values, OTHER) for _, values in family.labels))
    )


SERIES: tuple[Series, ...] = tuple(child for family in FAMILIES for child in children(family))
_INDEX: Mapping[Series, int] = MappingProxyType({child: i for i, child in enumerate(SERIES)})
_ASSIGNMENT_FAILURES_INDEX = _INDEX[Series(ASSIGNMENT_FAILURES, ())]
# Series that are kept by node too.
_BY_NODE = frozenset(
    {_ASSIGNMENT_FAILURES_INDEX}
    | {
        index
        for series, index in _INDEX.items()
        if series.family is AWS_API_ERRORS and series.values[1] in AWS_ERRORS
    }
)
# How long an error of AWS says something of now: ipamd's back-off (reference 3.2).
RECENT_SECONDS = 120.0

# A failed call of ipamd's: the operation, and AWS's error code.
AwsError = tuple[str, ...]

# How many calls there were stands so far behind how long they took: both families have the same
# labels, and follow one another.
_APART = len(children(AWS_API_MILLISECONDS))
_TIMES = _INDEX[children(AWS_API_MILLISECONDS)[0]]
_CALLS = _TIMES + _APART
_AFTER_CALLS = _CALLS + _APART
# Series whose gains are looked at one by one.
_KEPT = _BY_NODE | frozenset(range(_TIMES, _AFTER_CALLS))


def index_of(family: Family, values: tuple[str, ...]) -> int:
    """Return the index of the child that these label values fold into."""
    folded = tuple(
        value if value in known else OTHER
        for value, (_, known) in zip(values, family.labels, strict=True)
    )
    return _INDEX[Series(family, folded)]


@dataclass(frozen=True, slots=True)
class Timings:
    """How long calls of AWS took: how many there were, and their milliseconds together.

    `quickest` and `slowest` are means: of one node and one API between two readings, the smallest
    and the largest.
    """

    calls: float
    milliseconds: float
    quickest: float
    slowest: float

    def plus(self, other: Timings) -> Timings:
        """Return both as one."""
        return Timings(
            self.calls + other.calls,
            self.milliseconds + other.milliseconds,
            min(self.quickest, other.quickest),
            max(self.slowest, other.slowest),
        )


@dataclass(frozen=True, slots=True)
class LastReading:
    """What is kept of a pod until its next reading."""

    time: float
    started: float | None
    counts: Counts


@dataclass(frozen=True, slots=True)
class Ledger:
    """Counters as they are published, and what each listed pod was last seen to say.

    `polled` is when the latest cycle began. `listed` holds for each pod the cycle before the one
    that first listed it: a process that started later did so under our eyes. `failures` holds the
    assignment failures by node, and `errors` when the known error codes of AWS last gained there,
    for as long as that is recent. `timings` are those of the latest cycle alone, None without a
    call.
    """

    polled: float | None = None
    listed: Mapping[str, float] = field(default_factory=dict)
    last: Mapping[str, LastReading] = field(default_factory=dict)
    totals: tuple[float, ...] = (0.0,) * len(SERIES)
    failures: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, Mapping[AwsError, float]] = field(default_factory=dict)
    timings: Timings | None = None


def advance(ledger: Ledger, outcomes: Iterable[Outcome], now: float) -> Ledger:
    """Return the ledger after one cycle that began at `now`.

    Pods that are no longer targets are forgotten; pods that were not read keep their baseline.
    """
    listed: dict[str, float] = {}
    last: dict[str, LastReading] = {}
    failures: dict[str, float] = {}
    errors = _recent(ledger.errors, now)
    totals = list(ledger.totals)
    timed: list[tuple[float, float]] = []
    polled = ledger.polled
    for outcome in outcomes:
        node = outcome.target.node.name
        failed = ledger.failures.get(node, 0.0)
        pod = outcome.target.pod
        if pod is not None:
            listed[pod.uid] = ledger.listed.get(pod.uid, now if polled is None else polled)
            before = ledger.last.get(pod.uid)
            if isinstance(outcome, Read):
                reading = outcome.reading
                spent: dict[int, float] = {}
                for index, gain in gains(before, reading, listed[pod.uid]):
                    totals[index] += gain
                    if gain <= 0 or index not in _KEPT:
                        continue
                    if index == _ASSIGNMENT_FAILURES_INDEX:
                        failed += gain
                    elif index < _TIMES or index >= _AFTER_CALLS:
                        errors.setdefault(node, {})[SERIES[index].values] = now
                    elif index < _CALLS:
                        spent[index + _APART] = gain
                    else:
                        timed.append((gain, spent.get(index, 0.0)))
                before = LastReading(reading.time, reading.started, reading.counts)
            if before is not None:
                last[pod.uid] = before
        failures[node] = failed
    expected = {node: met for node, met in errors.items() if node in failures}
    return Ledger(now, listed, last, tuple(totals), failures, expected, _timings(timed))


def _recent(
    errors: Mapping[str, Mapping[AwsError, float]], now: float
) -> dict[str, dict[AwsError, float]]:
    """The errors that are recent, by node; a clock that was set back makes none of the future."""
    kept: dict[str, dict[AwsError, float]] = {}
    for node, met in errors.items():
        recent = {error: at for error, at in met.items() if 0 <= now - at <= RECENT_SECONDS}
        if recent:
            kept[node] = recent
    return kept


def _timings(timed: Sequence[tuple[float, float]]) -> Timings | None:
    """Return what pairs of calls and milliseconds, each of one node and API, come to."""
    if not timed:
        return None
    means = [milliseconds / calls for calls, milliseconds in timed]
    return Timings(
        sum(calls for calls, _ in timed),
        sum(milliseconds for _, milliseconds in timed),
        min(means),
        max(means),
    )


def gains(before: LastReading | None, now: Reading, listed: float) -> Iterable[tuple[int, float]]:
    """Return what each series gained, as pairs of index and gain; zero gains may be left out.

    `listed` is a time at which the pod was not yet a target, or the first cycle's.
    """
    counts = now.counts
    if before is None:
        if now.started is not None and now.started > listed:
            return zip(counts.series, counts.values, strict=True)
        return ()
    old = before.counts
    if old == counts and not _restarted(before, now):
        return ()
    if _restarted(before, now) or _fell(old, counts):
        return zip(counts.series, counts.values, strict=True)
    if old.series == counts.series:
        pairs = zip(counts.series, counts.values, old.values, strict=True)
        return [(index, value - was) for index, value, was in pairs if value != was]
    baseline = dict(zip(old.series, old.values, strict=True))
    return [
        (index, value - baseline.get(index, 0.0))
        for index, value in zip(counts.series, counts.values, strict=True)
    ]


def _restarted(before: LastReading, now: Reading) -> bool:
    if before.started is None or now.started is None:
        return False
    moved = now.started - before.started > _WOBBLE_SECONDS
    return moved and now.started >= before.time - _CLOCK_SLACK_SECONDS


def _fell(old: Counts, new: Counts) -> bool:
    """Whether any series is below what it was; a series that vanished fell to nothing."""
    if old.series == new.series:
        return any(value < was for value, was in zip(new.values, old.values, strict=True))
    values = dict(zip(new.series, new.values, strict=True))
    return any(
        values.get(index, 0.0) < was for index, was in zip(old.series, old.values, strict=True)
    )
