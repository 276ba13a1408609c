"""A small VPC, EC2 served over real HTTP from a thread of its own, and boto3 as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from exporter.sim.ec2_actions import Ec2
from exporter.sim.ec2_api import Ec2Api
from exporter.sim.listener import Listener
from exporter.sim.vpc import Eni, Instance, NewEni, Reservation, ReservationKind, Subnet, Vpc

NOW = 1_800_000_000.0
STAMP = "2027-01-15T08:00:00Z"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_REGION": "eu-central-1",
}
_SESSION = boto3.Session(
    aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
    aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    region_name=CREDENTIALS["AWS_REGION"],
)


@dataclass(slots=True)
class Clock:
    """A clock that stands still until it is set."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class World:
    """A VPC that is made by hand."""

    clock: Clock = field(default_factory=Clock)
    vpc: Vpc = field(init=False)

    def __post_init__(self) -> None:
        self.vpc = Vpc(self.clock)

    def subnet(self, cidr: str, number: int = 1, **more: Any) -> Subnet:
        """Put a subnet in whose id ends in a number."""
        zone = {"zone": "eu-central-1a", "zone_id": "euc1-az2"}
        subnet = Subnet(f"subnet-{number:017x}", IPv4Network(cidr), **{**zone, **more})
        return self.vpc.add_subnet(subnet)

    def eni(self, subnet: Subnet, primary: str | None = None, **more: Any) -> Eni:
        """Put an ENI in, at an address or anywhere."""
        address = int(IPv4Address(primary)) if primary is not None else None
        return self.vpc.create(NewEni(subnet=subnet.id, primary=address, **more))

    def node(self, subnet: Subnet, number: int = 1, **more: Any) -> Eni:
        """Launch an instance whose id ends in a number, and return its primary ENI."""
        instance = Instance(instance_id(number), "m5.xlarge", 4, 15)
        return self.vpc.launch(instance, NewEni(subnet=subnet.id, **more))


def instance_id(number: int = 1) -> str:
    """Return an instance's id by its number."""
    return f"i-{number:017x}"


def reserve(subnet: Subnet, cidr: str, kind: str = "prefix") -> Reservation:
    """Reserve a part of a subnet."""
    reservation = Reservation(f"scr-{cidr}", IPv4Network(cidr), ReservationKind(kind), "kept")
    subnet.reserve(reservation)
    return reservation


@dataclass(slots=True)
class Served:
    """EC2 on a port."""

    api: Ec2Api
    url: str
    listener: Listener

    def client(self, **config: Any) -> Any:
        """Return boto3's client for it, which tries once unless told otherwise."""
        settings = {"retries": {"total_max_attempts": 1}, "read_timeout": 5, **config}
        return _SESSION.client("ec2", endpoint_url=self.url, config=Config(**settings))

    def outcomes(self) -> Mapping[str, Mapping[str, int]]:
        """Return how requests ended, by action."""
        return {action: dict(ended) for action, ended in self.api.requests.items()}


@contextlib.contextmanager
def served(vpc: Vpc, **options: Any) -> Iterator[Served]:
    """Serve a VPC's EC2."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    api = Ec2Api(Ec2(vpc, **options))
    listener = Listener(api.application())
    try:
        asyncio.run_coroutine_threadsafe(listener.start(), loop).result(5)
        yield Served(api, listener.url, listener)
    finally:
        asyncio.run_coroutine_threadsafe(listener.stop(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def refused(call: Any, *arguments: Any, **more: Any) -> tuple[int, str, str]:
    """Return status, code and message of the error that a call ends in."""
    with pytest.raises(ClientError) as raised:
        call(*arguments, **more)
    answer = raised.value.response
    error = answer["Error"]
    return answer["ResponseMetadata"]["HTTPStatusCode"], error["Code"], error["Message"]
