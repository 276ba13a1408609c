"""What CloudWatch was told, beside what it should have been told, minute by minute."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

Statistics = Mapping[str, float]
Value = float | Statistics
# By the beginning of the minute: metric -> value.
Truth = Mapping[int, Mapping[str, Value]]

# What cni-metrics-helper publishes (reference 6.1), and what is new beside it.
INCUMBENTS = frozenset(
    {
        "addReqCount",
        "assignIPAddresses",
        "awsAPIErr",
        "awsAPILatency",
        "awsUtilErr",
        "delReqCount",
        "ec2ApiErrCount",
        "ec2ApiReqCount",
        "eniAllocated",
        "eniMaxAvailable",
        "forceRemoveENI",
        "forceRemoveIPs",
        "ipamdActionInProgress",
        "ipamdErr",
        "maxIPAddresses",
        "podENIErr",
        "reconcileCount",
        "totalAssignedIPv4sPerCidr",
        "totalIPAddresses",
        "totalIPv4Prefixes",
    }
)
GAUGES = frozenset(
    {
        "assignIPAddresses",
        "coveragePercent",
        "eniAllocated",
        "eniMaxAvailable",
        "ipamdActionInProgress",
        "maxIPAddresses",
        "nodesExpected",
        "nodesRead",
        "totalAssignedIPv4sPerCidr",
        "totalIPAddresses",
        "totalIPv4Prefixes",
        "warmIPAddresses",
    }
)


@dataclass
class Told:
    """What CloudWatch took: every value of each metric and minute."""

    values: dict[tuple[int, str], list[Value]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, data: Iterable[Mapping[str, Any]], cluster: str) -> Told:
        """Take in the data that the simulated CloudWatch shows."""
        told = cls()
        for datum in data:
            if datum["dimensions"] == {"CLUSTER_ID": cluster}:
                told.values[int(datum["timestamp"]), datum["name"]].append(datum["value"])
        return told

    @property
    def copies(self) -> int:
        """How many values came more than once."""
        return sum(len(values) - 1 for values in self.values.values())

    def by_minute(self, parts: Iterable[int] = ()) -> dict[int, dict[str, Value]]:
        """Return one value a minute and metric, and in a minute of several parts their sum.

        Where a value came more than once, and not in parts, the copies must be equal.
        """
        found: dict[int, dict[str, Value]] = defaultdict(dict)
        several = frozenset(parts)
        for (minute, name), values in self.values.items():
            if minute in several and name not in GAUGES:
                found[minute][name] = summed(values)
            else:
                assert all(value == values[0] for value in values), (minute, name, values)
                found[minute][name] = values[0]
        return dict(found)


def summed(values: Iterable[Value]) -> Value:
    """Return the gains of several parts of a minute as one."""
    whole: Value = 0.0
    for value in values:
        whole = value if whole == 0 else _plus(whole, value)
    return whole


def _plus(one: Value, other: Value) -> Value:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return {
            "SampleCount": one["SampleCount"] + other["SampleCount"],
            "Sum": one["Sum"] + other["Sum"],
            "Minimum": min(one["Minimum"], other["Minimum"]),
            "Maximum": max(one["Maximum"], other["Maximum"]),
        }
    assert not isinstance(one, Mapping)
    assert not isinstance(other, Mapping)
    return one + other


def wrong(truth: Truth, told: Truth) -> list[tuple[int, str, Value | None, Value | None]]:
    """Return what differs: minute, metric, what it should be, and what it is."""
    found = []
    for minute in sorted(truth.keys() | told.keys()):
        want, got = truth.get(minute, {}), told.get(minute, {})
        for name in sorted(want.keys() | got.keys()):
            one, other = want.get(name), got.get(name)
            if one is None or other is None or one != pytest.approx(other, abs=1e-6):
                found.append((minute, name, one, other))
    return found
