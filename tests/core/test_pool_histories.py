"""Random lives of a node, and an EC2 that keeps its own books of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from exporter.core.pool import (
    AssignPrivateIpAddresses,
    AttachNetworkInterface,
    CreateNetworkInterface,
    DeleteNetworkInterface,
    DescribeNetworkInterfaces,
    DetachNetworkInterface,
    Eni,
    Granted,
    Limits,
    Pool,
    Refused,
    Request,
    Rules,
    Settings,
    UnassignPrivateIpAddresses,
    assign,
    reconcile,
    start,
    step,
    unassign,
)

NO_ADDRESS = "InsufficientFreeAddressesInSubnet"
NO_PREFIX = "InsufficientCidrBlocks"


@dataclass(slots=True)
class Subnet:
    """An EC2 of one subnet and one node with its own books; its mood refuses without a reason."""

    limits: Limits
    addresses: int
    mood: Iterator[bool]
    now: float = 0
    attached: list[str] = field(default_factory=lambda: ["eni-0"])
    books: dict[str, dict[int, int]] = field(default_factory=lambda: {"eni-0": {}})
    log: list[tuple[float, Request, Granted | Refused]] = field(default_factory=list)
    handed: int = 0

    def __call__(self, request: Request) -> Granted | Refused:
        answer = Refused("RequestLimitExceeded") if next(self.mood) else self._answer(request)
        self.log.append((self.now, request, answer))
        return answer

    @property
    def taken(self) -> int:
        return len(self.books) + sum(sum(cidrs.values()) for cidrs in self.books.values())

    def _answer(self, request: Request) -> Granted | Refused:
        match request:
            case AssignPrivateIpAddresses(eni=eni, count=count, size=size):
                return self._assigned(eni, count, size)
            case UnassignPrivateIpAddresses(eni=eni, cidrs=cidrs, size=size):
                assert [self.books[eni].pop(base) for base in cidrs] == [size] * len(cidrs)
            case DescribeNetworkInterfaces(eni=eni, size=size):
                held = self.books[eni].items()
                return Granted(cidrs=tuple(base for base, each in held if each == size))
            case CreateNetworkInterface(count=count, size=size):
                return self._created(count, size)
            case AttachNetworkInterface(eni=eni):
                if len(self.attached) == self.limits.enis:
                    return Refused("AttachmentLimitExceeded")
                self.attached.append(eni)
            case DetachNetworkInterface(eni=eni):
                self.attached.remove(eni)
            case DeleteNetworkInterface(eni=eni):
                assert eni not in self.attached
                del self.books[eni]
        return Granted()

    def _assigned(self, eni: str, count: int, size: int) -> Granted | Refused:
        if len(self.books[eni]) + count > self.limits.ipv4_per_eni - 1:
            return Refused("PrivateIpAddressLimitExceeded")
        if self.taken + count * size > self.addresses:
            return Refused(NO_ADDRESS if size == 1 else NO_PREFIX)
        bases = tuple(16 * (self.handed + number) for number in range(1, count + 1))
        self.handed += count
        self.books[eni].update(dict.fromkeys(bases, size))
        return Granted(cidrs=bases)

    def _created(self, count: int, size: int) -> Granted | Refused:
        eni = f"eni-{self.handed}-{len(self.log)}"
        self.books[eni] = {}
        answer = self._assigned(eni, count, size)
        if isinstance(answer, Refused):
            del self.books[eni]
            return answer
        return replace(answer, eni=eni)


@dataclass(slots=True)
class History:
    """One node's life: its pool, the time, its pods, and when addresses were freed."""

    rules: Rules
    subnet: Subnet
    chance: random.Random
    pool: Pool = field(default_factory=lambda: Pool(enis=(Eni("eni-0", primary=True),)))
    now: float = 0
    arrived: int = 0
    pods: dict[str, int] = field(default_factory=dict)
    freed: dict[int, float] = field(default_factory=dict)

    def live(self, event: str) -> None:
        match event:
            case "arrive":
                self.arrive()
            case "leave" if self.pods:
                self.leave()
            case "step":
                self.tick(5)
            case "wait":
                self.tick(self.chance.choice([29.9, 30, 60, 61, 120, 121]))
            case "restart":
                self.restart()
            case "cordon":
                self.pool = replace(self.pool, unschedulable=not self.pool.unschedulable)
            case "exclude":
                self.exclude()

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.subnet.now = self.now
        self.pool = step(
            self.pool, self.rules, now=self.now, ec2=self.subnet, choose=self.chance.choice
        )
        self.pool = reconcile(self.pool, self.rules, now=self.now)

    def restart(self) -> None:
        self.pool = start(
            self.pool, self.rules, now=self.now, ec2=self.subnet, choose=self.chance.choice
        )
        self.freed = {}

    def arrive(self) -> None:
        self.arrived += 1
        pod = f"pod-{self.arrived}"
        usable = usable_addresses(self.pool, self.rules, self.now)
        given_ = assign(self.pool, self.rules, pod=pod, now=self.now, choose=self.chance.choice)
        if given_ is None:
            assert usable == set()
            return
        assert given_.ip in usable
        assert self.now - self.freed.get(given_.ip, -1e9) > self.rules.cooldown
        self.pool = given_.pool
        self.pods[pod] = given_.ip

    def leave(self) -> None:
        pod = self.chance.choice(sorted(self.pods))
        self.freed[self.pods.pop(pod)] = self.now
        self.pool = unassign(self.pool, pod, now=self.now)

    def exclude(self) -> None:
        eni = self.chance.choice(self.pool.enis)
        self.pool = self.pool.with_eni(replace(eni, excluded=True))


def usable_addresses(pool: Pool, rules: Rules, now: float) -> set[int]:
    """Addresses a pod may have, found one by one."""
    usable = set()
    for eni in pool.enis:
        for cidr in eni.cidrs:
            known = {address.ip: address for address in cidr.addresses}
            for ip in range(cidr.base, cidr.base + cidr.size):
                address = known.get(ip)
                free = address is None or (
                    address.pod is None and now - address.unassigned_at > rules.cooldown
                )
                if free and not eni.excluded and cidr.size == rules.size:
                    usable.add(ip)
    return usable


def pods_of(pool: Pool) -> dict[str, int]:
    held = [
        (address.pod, address.ip)
        for eni in pool.enis
        for cidr in eni.cidrs
        for address in cidr.addresses
        if address.pod is not None
    ]
    assert len(held) == len(dict(held))
    return dict(held)


def held_in_ec2(pool: Pool) -> dict[str, dict[int, int]]:
    enis = (*pool.enis, *pool.unadopted, *pool.leaked)
    cidrs = {eni.id: (*eni.cidrs, *(stray.cidr for stray in eni.strays)) for eni in enis}
    assert len(cidrs) == len(enis)
    bases = {eni: {cidr.base: cidr.size for cidr in held} for eni, held in cidrs.items()}
    assert {eni: len(held) for eni, held in bases.items()} == {
        eni: len(held) for eni, held in cidrs.items()
    }
    return bases


LIMITS = st.builds(
    Limits,
    enis=st.integers(1, 4),
    ipv4_per_eni=st.integers(2, 6),
    max_pods=st.integers(1, 80),
    trunk_capable=st.booleans(),
)
SETTINGS = st.builds(
    Settings,
    warm_eni=st.integers(0, 2),
    warm_ip=st.sampled_from([0, 0, 1, 2, 5, 17]),
    minimum_ip=st.sampled_from([0, 0, 1, 6, 20]),
    warm_prefix=st.integers(0, 2),
    max_eni=st.integers(-1, 3),
    prefix_delegation=st.booleans(),
    custom_networking=st.booleans(),
    pod_eni=st.booleans(),
    subnet_discovery=st.booleans(),
    manage_unschedulable=st.booleans(),
    cooldown=st.sampled_from([0, 30, 61]),
)
CALM = st.lists(
    st.sampled_from(["arrive", "arrive", "leave", "step", "step", "step", "wait"]), max_size=60
)
EVENTS = st.lists(
    st.sampled_from(
        ["arrive"] * 4 + ["leave"] * 3 + ["step"] * 6 + ["wait", "restart", "cordon", "exclude"]
    ),
    max_size=60,
)


def never_refusing() -> Iterator[bool]:
    while True:
        yield False


def moody(seed: int, share: float) -> Iterator[bool]:
    chance = random.Random(seed)
    while True:
        yield chance.random() < share


@st.composite
def calm_histories(draw: st.DrawFn, addresses: st.SearchStrategy[int]) -> History:
    """Histories without restarts or refusals but a subnet's own."""
    limits, settings = draw(LIMITS), draw(SETTINGS)
    subnet = Subnet(limits, draw(addresses), never_refusing())
    return History(Rules.of(settings, limits), subnet, random.Random(draw(st.integers(0, 999))))


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Histories in which EC2 refuses some calls for no reason of the node's."""
    limits, settings, seed = draw(LIMITS), draw(SETTINGS), draw(st.integers(0, 999))
    mood = moody(seed, draw(st.sampled_from([0.0, 0.2, 0.6])))
    subnet = Subnet(limits, draw(st.integers(1, 300)), mood)
    return History(Rules.of(settings, limits), subnet, random.Random(seed))
