"""Reads subnets, and what is reserved in them.

Reservations hardly ever change and take one call per subnet, so they are kept for some minutes;
where they may not be read, subnets are told without them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from exporter.aws import UnderWay
from exporter.aws.errors import Malformed, Refused
from exporter.core.model import Reservation, Subnet
from exporter.inputs.ec2.calls import Calls
from exporter.inputs.ec2.operations import SYSTEM
from exporter.inputs.ec2.tags import kept

_DESCRIBE = "DescribeSubnets"
_RESERVATIONS = "GetSubnetCidrReservations"
# The tag that the CNI's subnet discovery looks for (reference 5.3).
_DISCOVERED = {"Name": "tag-key", "Values": ["kubernetes.io/role/cni"]}


class Subnets:
    """The subnets asked for and those that the CNI may use besides."""

    def __init__(self, calls: Calls, clock: Callable[[], float], *, keep_seconds: float) -> None:
        self._calls = calls
        self._reservations = _Reservations(calls, clock, keep_seconds)

    def read(
        self, ids: Sequence[str], vpc_ids: Sequence[str], under_way: UnderWay
    ) -> tuple[Subnet, ...]:
        """Return subnets by id, each once; where no VPC is given, that of the ids counts."""
        found = _by_id(self._calls.filtered(under_way, _DESCRIBE, "subnet-id", ids))
        vpcs = sorted(set(vpc_ids) or {subnet.vpc_id for subnet in found.values()})
        found |= _by_id(
            self._calls.filtered(under_way, _DESCRIBE, "vpc-id", vpcs, Filters=[_DISCOVERED])
        )
        return tuple(
            replace(found[name], reservations=self._reservations.of(name, under_way))
            for name in sorted(found)
        )


def _by_id(pages: Iterable[Mapping[str, Any]]) -> dict[str, Subnet]:
    """Return subnets by id, of those that have IPv4 addresses."""
    try:
        return {
            said["SubnetId"]: _subnet(said)
            for page in pages
            for said in page["Subnets"]
            if not said.get("Ipv6Native")
        }
    except (KeyError, ValueError) as error:
        raise Malformed(SYSTEM, f"{_DESCRIBE}: malformed answer") from error


def _subnet(said: Mapping[str, Any]) -> Subnet:
    tags = kept(said.get("Tags", []))
    return Subnet(
        id=said["SubnetId"],
        vpc_id=said["VpcId"],
        zone=said["AvailabilityZone"],
        zone_id=said.get("AvailabilityZoneId", ""),
        cidr=_cidr(said["CidrBlock"]),
        available=said["AvailableIpAddressCount"],
        name=tags.get("Name", ""),
        tags=tags,
    )


class _Reservations:
    """Reservations by subnet, each with the time after which it is read again."""

    def __init__(self, calls: Calls, clock: Callable[[], float], keep_seconds: float) -> None:
        self._calls = calls
        self._clock = clock
        self._keep_seconds = keep_seconds
        self._kept: dict[str, tuple[float, tuple[Reservation, ...]]] = {}
        self._refused_until = float("-inf")

    def of(self, subnet_id: str, under_way: UnderWay) -> tuple[Reservation, ...] | None:
        """Return a subnet's IPv4 reservations; None where they may not be read."""
        now = self._clock()
        if now < self._refused_until:
            return None
        due, known = self._kept.get(subnet_id, (now, ()))
        if now < due:
            return known
        try:
            read = self._read(subnet_id, under_way)
        except Refused:
            self._refused_until = now + self._keep_seconds
            self._kept.clear()
            return None
        self._kept[subnet_id] = (now + self._keep_seconds, read)
        return read

    def _read(self, subnet_id: str, under_way: UnderWay) -> tuple[Reservation, ...]:
        try:
            return tuple(
                Reservation(_cidr(said["Cidr"]), said["ReservationType"])
                for page in self._calls.pages(under_way, _RESERVATIONS, SubnetId=subnet_id)
                for said in page["SubnetIpv4CidrReservations"]
            )
        except (KeyError, ValueError) as error:
            raise Malformed(SYSTEM, f"{_RESERVATIONS}: malformed answer") from error


def _cidr(text: str) -> str:
    return str(ipaddress.IPv4Network(text))
