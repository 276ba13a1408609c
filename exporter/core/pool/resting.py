"""Where a pool comes to rest and what it holds there: the pool step run to its fixed point."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count, islice

from exporter.core.pool.choice import Choose, first
from exporter.core.pool.ec2 import (
    AssignPrivateIpAddresses,
    CreateNetworkInterface,
    Ec2,
    Granted,
    Request,
)
from exporter.core.pool.loop import BACK_OFF, step
from exporter.core.pool.pods import assign
from exporter.core.pool.settings import Limits, Rules, Settings
from exporter.core.pool.state import Eni, Pool


@dataclass(frozen=True, slots=True)
class Settled:
    """A pool that steps change no more, or a flapping one in the largest state of its round.

    A flapping one is smaller where EC2 refused to give it that state again.
    """

    pool: Pool
    now: float
    flapping: bool


@dataclass(frozen=True, slots=True)
class Rest:
    """What a node holds at rest; `enis` and `subnet_addresses` count unmanaged ENIs too.

    `cidrs` is per ENI of the pool, first to last.
    """

    enis: int
    cidrs: tuple[int, ...]
    total: int
    assigned: int
    subnet_addresses: int
    pods_without_address: int
    flapping: bool
    calls: Mapping[str, int]

    @property
    def warm(self) -> int:
        """Addresses attached and not assigned."""
        return self.total - self.assigned


class Plenty:
    """An EC2 that never refuses."""

    def __init__(self) -> None:
        self._cidrs = count(1)
        self._enis = count(1)

    def __call__(self, request: Request) -> Granted:
        match request:
            case AssignPrivateIpAddresses(count=wanted, size=size):
                return Granted(cidrs=self._new(wanted, size))
            case CreateNetworkInterface(count=wanted, size=size):
                number = next(self._enis)
                return Granted(cidrs=self._new(wanted, size), eni=f"eni-{number}")
            case _:
                return Granted()

    def _new(self, wanted: int, size: int) -> tuple[int, ...]:
        return tuple(size * number for number in islice(self._cidrs, wanted))


def settle(pool: Pool, rules: Rules, *, now: float, ec2: Ec2, choose: Choose = first) -> Settled:
    """Step until nothing changes or a state returns, so late each time that nothing has to wait.

    A choice that differs for the same options may take an accident for a return.
    """
    pause = max(BACK_OFF, rules.cooldown) + 1
    advance = partial(step, rules=rules, ec2=ec2, choose=choose)
    sizes: dict[Hashable, int] = {}
    shape = _shape(pool)
    while shape not in sizes:
        sizes[shape] = pool.subnet_addresses
        now += pause
        after = advance(pool, now=now)
        if after.enis == pool.enis:
            return Settled(after, now, flapping=False)
        pool, shape = after, _shape(after)
    largest = max(list(sizes.values())[list(sizes).index(shape) :])
    for _ in sizes:
        if pool.subnet_addresses == largest:
            break
        now += pause
        pool = advance(pool, now=now)
    return Settled(pool, now, flapping=True)


def rest(
    settings: Settings, limits: Limits, *, pods: int, trunk: bool = False, unmanaged: int = 0
) -> Rest:
    """Bring pods to a new IPv4 node one by one, the pool settling after each.

    Pods go to the first free address, and EC2 never refuses.
    """
    rules, ec2 = Rules.of(settings, limits), Plenty()
    enis = (Eni("primary", primary=True), Eni("trunk", device=1, trunk=True))
    node = Pool(enis=enis if trunk else enis[:1], unmanaged=unmanaged)
    settled = settle(node, rules, now=0.0, ec2=ec2)
    for number in range(pods):
        given = assign(settled.pool, rules, pod=str(number), now=settled.now, choose=first)
        if given is None:
            break
        settled = settle(given.pool, rules, now=settled.now, ec2=ec2)
    return _rest(settled, pods)


def _rest(settled: Settled, pods: int) -> Rest:
    pool = settled.pool
    return Rest(
        enis=len(pool.enis) + pool.unmanaged,
        cidrs=tuple(len(eni.cidrs) for eni in pool.enis),
        total=pool.attached,
        assigned=pool.assigned,
        subnet_addresses=pool.subnet_addresses,
        pods_without_address=pods - pool.assigned,
        flapping=settled.flapping,
        calls=pool.tally.calls,
    )


def _shape(pool: Pool) -> Hashable:
    return tuple(tuple(eni.stocks.items()) for eni in pool.enis)
