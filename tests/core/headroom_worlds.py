"""Subnets as sets of free addresses, an EC2 that gives them out, and nodes of the pool model."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TypeVar

from hypothesis import strategies as st

from exporter.core.headroom import FreeSpace, NodeRoom
from exporter.core.pool import (
    PREFIX,
    SINGLE,
    AssignPrivateIpAddresses,
    AttachNetworkInterface,
    Cidr,
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
    first,
    settle,
    start,
    step,
)

T = TypeVar("T")
# Which of its free addresses a subnet gives away.
Pick = Callable[["Ground"], int]

NO_ADDRESS = "InsufficientFreeAddressesInSubnet"
NO_BLOCK = "InsufficientCidrBlocks"
# Addresses per subnet, so that those of two never meet.
SPAN = 1 << 16


@dataclass
class Ground:
    """The free addresses of one subnet; blocks are aligned, some kept for prefixes."""

    free: set[int]
    kept: set[int] = field(default_factory=set)  # first addresses of reserved blocks

    def whole(self, block: int) -> bool:
        return all(block + n in self.free for n in range(PREFIX))

    def blocks(self, *, reserved: bool) -> list[int]:
        starts = {address - address % PREFIX for address in self.free}
        return sorted(it for it in starts if (it in self.kept) == reserved and self.whole(it))

    @property
    def singles(self) -> list[int]:
        return sorted(it for it in self.free if it - it % PREFIX not in self.kept)

    def room(self) -> FreeSpace:
        return FreeSpace(
            addresses=len(self.singles),
            blocks=len(self.blocks(reserved=False)),
            reserved_blocks=len(self.blocks(reserved=True)),
        )


def cruel(ground: Ground) -> int:
    """Break a whole block wherever there is one."""
    whole = ground.blocks(reserved=False)
    return whole[0] if whole else ground.singles[0]


def kind(ground: Ground) -> int:
    """Leave whole blocks alone as long as there is another address."""
    scattered = [it for it in ground.singles if not ground.whole(it - it % PREFIX)]
    return (scattered or ground.singles)[0]


def by_chance(seed: int) -> Pick:
    chance = random.Random(seed)
    return lambda ground: chance.choice(ground.singles)


@dataclass
class Vpc:
    """The EC2 of all nodes."""

    grounds: dict[str, Ground]
    pick: Pick = cruel
    # The subnet and the CIDRs of each ENI, its own address first.
    enis: dict[str, tuple[str, dict[int, int]]] = field(default_factory=dict)

    def rooms(self) -> dict[str, FreeSpace]:
        return {subnet: ground.room() for subnet, ground in self.grounds.items()}

    def launch(self, subnet: str) -> str | None:
        """Make an ENI with nothing but its own address."""
        created = self.create(subnet, 0, SINGLE)
        return created.eni if isinstance(created, Granted) else None

    def create(self, subnet: str, count: int, size: int) -> Granted | Refused:
        ground = self.grounds[subnet]
        if not ground.singles:
            return Refused(NO_ADDRESS)
        own = self.pick(ground)
        ground.free.remove(own)
        eni = f"eni-{own}"
        self.enis[eni] = subnet, {own: SINGLE}
        answer = self.extend(eni, count, size)
        if isinstance(answer, Refused):
            del self.enis[eni]
            ground.free.add(own)
            return answer
        return replace(answer, eni=eni, subnet=subnet)

    def extend(self, eni: str, count: int, size: int) -> Granted | Refused:
        subnet, held = self.enis[eni]
        ground = self.grounds[subnet]
        if size == SINGLE:
            if len(ground.singles) < count:
                return Refused(NO_ADDRESS)
            taken = [self._single(ground) for _ in range(count)]
        else:
            blocks = [*ground.blocks(reserved=True), *ground.blocks(reserved=False)]
            if len(blocks) < count:
                there = len(ground.singles) + PREFIX * len(ground.blocks(reserved=True))
                return Refused(NO_BLOCK if there >= PREFIX * count else NO_ADDRESS)
            taken = blocks[:count]
            ground.free -= {block + n for block in taken for n in range(PREFIX)}
        held.update(dict.fromkeys(taken, size))
        return Granted(cidrs=tuple(taken))

    def _single(self, ground: Ground) -> int:
        address = self.pick(ground)
        ground.free.remove(address)
        return address

    def release(self, eni: str, cidrs: Sequence[int]) -> None:
        subnet, held = self.enis[eni]
        for base in cidrs:
            self.grounds[subnet].free |= set(range(base, base + held.pop(base)))

    def delete(self, eni: str) -> None:
        self.release(eni, tuple(self.enis[eni][1]))
        del self.enis[eni]


@dataclass
class Node:
    """One node, whose new ENIs are in `subnets`."""

    vpc: Vpc
    rules: Rules
    subnets: tuple[str, ...]
    pool: Pool
    max_pods: int = 10_000
    now: float = 0
    flapping: bool = False
    refused: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Granted | Refused:
        answer = self._answer(request)
        if isinstance(answer, Refused):
            self.refused.append(answer.error)
        return answer

    def _answer(self, request: Request) -> Granted | Refused:
        vpc = self.vpc
        match request:
            case AssignPrivateIpAddresses(eni=eni, count=count, size=size):
                return vpc.extend(eni, count, size)
            case CreateNetworkInterface(count=count, size=size):
                return self._created(count, size)
            case UnassignPrivateIpAddresses(eni=eni, cidrs=cidrs):
                vpc.release(eni, cidrs)
            case DeleteNetworkInterface(eni=eni):
                vpc.delete(eni)
            case DescribeNetworkInterfaces():
                raise AssertionError("an ENI held more than ipamd knew")
            case AttachNetworkInterface() | DetachNetworkInterface() | _:
                pass
        return Granted()

    def _created(self, count: int, size: int) -> Granted | Refused:
        by_room = sorted(self.subnets, key=lambda it: -len(self.vpc.grounds[it].singles))
        answers = []
        for subnet in by_room:
            answer = self.vpc.create(subnet, count, size)
            if isinstance(answer, Granted):
                return answer
            answers.append(answer.error)
        return Refused(NO_BLOCK if NO_BLOCK in answers else NO_ADDRESS)

    def settle(self) -> None:
        settled = settle(self.pool, self.rules, now=self.now, ec2=self)
        self.pool, self.now, self.flapping = settled.pool, settled.now, settled.flapping

    def restart(self) -> None:
        self.pool = start(self.pool, self.rules, now=self.now, ec2=self, choose=first)
        self.settle()

    def exclude(self, subnet: str) -> None:
        """Have the CNI leave a subnet to others from now on, as the tag on it says."""
        enis = tuple(replace(it, excluded=it.subnet == subnet) for it in self.pool.enis)
        self.pool = replace(self.pool, enis=enis)
        self.subnets = tuple(it for it in self.subnets if it != subnet)
        self.restart()

    def add_pod(self) -> bool:
        """Give one more pod an address, and let the pool come to rest; False where none is left."""
        pod = f"pod-{self.pool.assigned}"
        given = assign(self.pool, self.rules, pod=pod, now=self.now, choose=self._apart)
        if given is None:
            return False
        self.pool = given.pool
        self.settle()
        return True

    def _apart(self, options: Sequence[T], /) -> T:
        """Put a pod where no other is, as long as there is such a place."""

        def unused(option: T) -> int:
            if isinstance(option, Eni):
                return option.stock(self.rules.size).unused
            return isinstance(option, Cidr) and not option.assigned

        return max(options, key=unused)

    def fill(self, most: int) -> int:
        """Add pods until the next one finds no address; return how many found one."""
        for pods in range(most):
            if not self.add_pod():
                return pods
        return most

    def refusals(self) -> list[str]:
        """What EC2 would refuse to this pool as it stands."""
        other = deepcopy(self)
        other.refused = []
        step(other.pool, self.rules, now=self.now + 1000, ec2=other, choose=first)
        return other.refused

    def room(self, pods: int) -> NodeRoom:
        """The node as headroom sees it."""
        rules, pool = self.rules, self.pool
        stock = pool.stock(rules.size)
        kept_for_trunk = rules.wants_trunk and not pool.has_trunk
        return NodeRoom(
            rules=rules,
            pods=pods,
            warm=stock.cidrs * rules.size - stock.assigned,
            cidrs=stock.cidrs,
            unused=stock.unused,
            slots=tuple(
                (self.vpc.enis[eni.id][0], rules.slots - len(eni.cidrs))
                for eni in pool.enis
                if not (eni.trunk or eni.excluded or (eni.primary and rules.custom_networking))
            ),
            enis=max(rules.max_enis - pool.unmanaged - kept_for_trunk - len(pool.enis), 0),
            subnets=self.subnets,
        )


def begun(
    vpc: Vpc, rules: Rules, home: str, subnets: tuple[str, ...] = (), *, trunk: str = ""
) -> Node | None:
    """Start a node in its subnet, with a trunk in another if it is to have one."""
    enis = []
    if trunk:
        attached = vpc.launch(trunk)
        if attached is None:
            return None
        enis.append(Eni(attached, subnet=trunk, trunk=True))
    primary = vpc.launch(home)
    if primary is None:
        return None
    excluded = not rules.custom_networking and home not in (subnets or (home,))
    pool = Pool(enis=(Eni(primary, subnet=home, primary=True, excluded=excluded), *enis))
    node = Node(vpc, rules, subnets or (home,), pool)
    node.restart()
    return node


LIMITS = st.builds(
    Limits,
    enis=st.sampled_from([4, 3, 2, 1]),
    ipv4_per_eni=st.sampled_from([4, 3, 6, 10, 2]),
    max_pods=st.sampled_from([1000, 1000, 1000, 1000, 5, 29, 110]),
    trunk_capable=st.booleans(),
)
# Targets as ENIs or prefixes, in addresses, and the trap of a minimum alone.
TARGETS = (
    *(Settings(warm_eni=1, warm_prefix=1),) * 3,
    *(Settings(warm_eni=0, warm_prefix=1), Settings(warm_eni=2, warm_prefix=2)) * 2,
    Settings(warm_eni=3, warm_prefix=3),
    *(Settings(warm_ip=ip, minimum_ip=least) for ip in (1, 2, 5, 17) for least in (0, 3, 20)),
    Settings(minimum_ip=1),
    Settings(minimum_ip=20),
)


@st.composite
def settings_of_ipamd(draw: st.DrawFn, *, custom_networking: bool = True) -> Settings:
    """Settings with which ipamd starts, in either mode."""
    seldom = st.sampled_from([False, False, False, True])
    return replace(
        draw(st.sampled_from(TARGETS)),
        max_eni=draw(st.sampled_from([-1, -1, -1, 1, 2, 3])),
        prefix_delegation=draw(st.booleans()),
        custom_networking=custom_networking and draw(seldom),
        pod_eni=draw(seldom),
        subnet_discovery=draw(st.booleans()),
        cooldown=draw(st.sampled_from([0, 30])),
        provisioning=not draw(st.sampled_from([False] * 19 + [True])),
    )


@st.composite
def grounds(draw: st.DrawFn, *, most_blocks: int = 12) -> Ground:
    """A few blocks, whole, broken or full, and some of them kept for prefixes."""
    free: set[int] = set()
    kept: set[int] = set()
    for n in range(draw(st.sampled_from((most_blocks, most_blocks // 2, 1)))):
        block = n * PREFIX
        state = draw(st.sampled_from(("whole", "whole", "broken", "kept", "full")))
        if state == "full":
            continue
        if state == "kept":
            kept.add(block)
        count = draw(st.integers(1, PREFIX - 1)) if state == "broken" else PREFIX
        free |= set(range(block, block + count))
    return Ground(free, kept)


@st.composite
def vpcs(draw: st.DrawFn, *, subnets: int, most_blocks: int = 12, pick: Pick = cruel) -> Vpc:
    """An EC2 of so many subnets, named `a`, `b` and so on."""
    made: dict[str, Ground] = {}
    for n, name in enumerate("abcdef"[:subnets]):
        ground = draw(grounds(most_blocks=most_blocks))
        shift = n * SPAN
        made[name] = Ground({shift + it for it in ground.free}, {shift + it for it in ground.kept})
    return Vpc(made, pick)


def take_some(draw: st.DrawFn, vpc: Vpc) -> None:
    """Let others take addresses of the subnets."""
    for ground in vpc.grounds.values():
        share = draw(st.sampled_from((0, 0, 0, 0.1, 0.8)))
        chance = random.Random(draw(st.integers(0, 99)))
        for address in sorted(ground.free):
            if chance.random() < share:
                ground.free.remove(address)


@st.composite
def crowded_vpcs(draw: st.DrawFn, *, subnets: int, most_blocks: int = 12) -> Vpc:
    """An EC2 in which others have been before."""
    vpc = draw(vpcs(subnets=subnets, most_blocks=most_blocks))
    take_some(draw, vpc)
    return vpc
