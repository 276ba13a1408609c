"""What one ipamd process holds and has counted: plain state, and the facts that follow from it.

Who moves the state (a random walk, a warm-pool model) and how a page is written are elsewhere.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address
from itertools import islice
from typing import NamedTuple

from exporter.sim.facts import Gauges, Series, State, series
from exporter.sim.holdings import HeldAddress, HeldCard, HeldCidr, HeldEni, Holding, told

PREFIX_SIZE = 16
COOLDOWN_SECONDS = 30.0
_JUST_NOW, _LONG_AGO = 5.0, 3600.0
_SUBNET = "subnet-0a1b2c3d4e5f60718"
UNLABELLED = (
    "awscni_add_ip_req_count",
    "awscni_force_removed_enis",
    "awscni_force_removed_ips",
    "awscni_no_available_ip_addresses",
)


class Shape(Enum):
    """The generations of the Go runtime under ipamd, by the first release that has each."""

    V1_15 = (1, 15)
    V1_23 = (1, 23)

    @classmethod
    def of(cls, image_tag: str) -> "Shape":
        """Return the page shape of an aws-node image tag such as `v1.23.1-eksbuild.1`."""
        release = Release.of(image_tag)
        older = (shape for shape in cls if shape.value <= (release.major, release.minor))
        return max(older, key=lambda shape: shape.value, default=cls.V1_15)


class Release(NamedTuple):
    """A release of the CNI."""

    major: int
    minor: int
    patch: int

    @classmethod
    def of(cls, image_tag: str) -> "Release":
        """Return the release of an image tag such as `v1.23.1-eksbuild.1`."""
        numbers = image_tag.removeprefix("v").partition("-")[0].split(".")
        major, minor, patch = (*map(int, numbers), 0, 0)[:3]
        return cls(major, minor, patch)


@dataclass(slots=True)
class Eni:
    """One attached network interface: its CIDRs, each with the addresses that pods hold."""

    id: str
    trunk: bool = False
    cidrs: dict[str, int] = field(default_factory=dict)

    @property
    def assigned(self) -> int:
        return sum(self.cidrs.values())


def size(cidr: str) -> int:
    """Return how many addresses ipamd can hand out of one CIDR it holds."""
    return PREFIX_SIZE if cidr.endswith("/28") else 1


def zeros() -> Counter[Series]:
    """Unlabelled counters exist from the start; labelled ones do not."""
    return Counter({series(family): 0 for family in UNLABELLED})


@dataclass(slots=True)
class Ipamd:
    """The state of one process; whoever changes it calls `touch`.

    Of the addresses no pod has, the first `cooling` ones were given back a moment ago.
    """

    started: float
    eni_max: int
    ip_max: int
    enis: list[Eni]
    prefix: bool = False
    counts: Counter[Series] = field(default_factory=zeros)
    given_back: set[str] = field(default_factory=set)
    cooling: int = 0
    revision: int = 0

    @property
    def slots(self) -> int:
        """How many CIDRs one ENI can hold."""
        return self.ip_max // self.eni_max // (PREFIX_SIZE if self.prefix else 1)

    @property
    def usable(self) -> list[Eni]:
        """The ENIs that hold addresses for pods."""
        return [eni for eni in self.enis if not eni.trunk]

    def touch(self) -> None:
        """Mark the state as changed, so that the next page is written anew."""
        self.revision += 1

    def count(self, family: str, by: int = 1, **labels: str) -> None:
        """Add to one counter; a labelled family first exists when it is first used."""
        self.counts[series(family, **labels)] += by

    def gauges(self) -> Gauges:
        """Return what the six gauges say."""
        cidrs = [cidr for eni in self.enis for cidr in eni.cidrs]
        return Gauges(
            assigned=sum(eni.assigned for eni in self.enis),
            total=sum(size(cidr) for cidr in cidrs),
            enis=len(self.enis),
            eni_max=self.eni_max,
            ip_max=self.ip_max,
            prefixes=sum(size(cidr) == PREFIX_SIZE for cidr in cidrs),
        )

    def state(self) -> State:
        """Return everything the page is written from; CIDRs given back stay, at 0."""
        held = dict.fromkeys(self.given_back, 0)
        for eni in self.enis:
            held |= eni.cidrs
        by_eni = {eni.id: eni.assigned for eni in self.enis}
        return State(self.gauges(), dict(self.counts), held, by_eni, self.started)

    def holding(self) -> Holding:
        """Return its ENIs with every address that was ever handed out."""
        cooling = iter(range(self.cooling))
        enis = tuple(
            HeldEni(
                eni.id,
                device=device,
                primary=device == 0,
                trunk=eni.trunk,
                subnet=_SUBNET,
                cidrs=tuple(_held(cidr, pods, cooling) for cidr, pods in eni.cidrs.items()),
            )
            for device, eni in enumerate(self.enis)
        )
        return Holding((HeldCard(0, self.gauges().total, enis),))


def _held(text: str, pods: int, cooling: Iterator[int]) -> HeldCidr:
    """Show a CIDR whose first addresses pods have; those after them were freed, lately or not."""
    places = size(text)
    freed = len(tuple(islice(cooling, places - pods)))
    base = int(IPv4Address(text.partition("/")[0]))
    addresses = [_address(base + place, pod=True) for place in range(pods)]
    addresses += [_address(base + pods + place, age=_JUST_NOW) for place in range(freed)]
    if pods and pods + freed < places:
        addresses.append(_address(base + pods + freed, age=_LONG_AGO))
    return HeldCidr(text, places, tuple(addresses))


def _address(number: int, *, pod: bool = False, age: float | None = None) -> HeldAddress:
    ip = str(IPv4Address(number))
    return HeldAddress(
        ip,
        f"app-{ip.replace('.', '-')}" if pod else "",
        assigned=2 * _LONG_AGO,
        freed=None if age is None else told(age, COOLDOWN_SECONDS),
        cooling=age == _JUST_NOW,
    )
