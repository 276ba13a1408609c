"""How a node's introspection can be reached, and what can be wrong with what it answers.

None of these bodies may count: a reader notes them, and the metrics page alone gives the node.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from functools import cache

from exporter.sim.faults import reply
from exporter.sim.holdings import HeldAddress, HeldCidr, HeldEni, Holding
from exporter.sim.introspection_bodies import encoded, shape
from exporter.sim.ipamd import Release

CONTENT_TYPE = "Content-Type: text/plain; charset=utf-8"


class Reach(StrEnum):
    """What a reader on the network meets: nobody (as by default), ipamd, or something wrong."""

    CLOSED = "closed"
    OPEN = "open"
    HANG = "hang"
    HALF = "half"
    OTHER_SHAPE = "other_shape"
    HUGE = "huge"
    STATUS_500 = "status_500"
    COMMANDS = "commands"
    TWICE = "twice"
    OUTSIDE = "outside"


Bytes = AsyncIterator[bytes]
Body = Callable[[Holding, Release, float], Bytes]

_HUGE_BYTES = 50 * 1024 * 1024
# What keeps ipamd's state is JSON too, and no body of introspection.
_STATE_FILE = {"version": "vpc-cni-ipam/1", "allocations": []}
_ELSEWHERE = "203.0.113.7"
_COMMANDS = (
    "/v1/enis",
    "/v1/eni-configs",
    "/v1/ipamd-env-settings",
    "/v1/networkutils-env-settings",
)
PODS = "/v1/pods"
SINCE_NO_PODS = (1, 7)


def commands(release: Release) -> dict[str, object]:
    """Return what an unknown path is answered with, in the order of a Go map: in none."""
    known = (*_COMMANDS, PODS) if release < SINCE_NO_PODS else _COMMANDS
    return {"AvailableCommands": random.sample(known, len(known))}


async def _hang(_holding: Holding, _release: Release, _now: float) -> Bytes:
    await asyncio.Event().wait()
    yield b""


async def _half(holding: Holding, release: Release, now: float) -> Bytes:
    body = encoded(shape(holding, release, now))
    yield reply(body, extra=CONTENT_TYPE)[: -(len(body) // 2)]


async def _huge(_holding: Holding, _release: Release, _now: float) -> Bytes:
    """Send a body of the right shape that only its size speaks against."""
    front, piece, back = _huge_parts()
    times = _HUGE_BYTES // len(piece)
    length = len(front) + times * len(piece) + len(back)
    head = f"HTTP/1.1 200 OK\r\n{CONTENT_TYPE}\r\nContent-Length: {length}\r\n\r\n"
    yield head.encode() + front
    for _ in range(times):
        yield piece
        await asyncio.sleep(0)
    yield back


@cache
def _huge_parts() -> tuple[bytes, bytes, bytes]:
    eni = {"ID": "eni-0aaa", "IsPrimary": True, "IsTrunk": False, "DeviceNumber": 0}
    front = encoded({"0": {"TotalIPs": 1, "AssignedIPs": 0, "ENIs": {"eni-0aaa": eni}}})
    opening, closing = front[:-4], b'"10.0.0.1/32":{"IPAddresses":{}}}}}}}'
    cidrs = (f'"10.0.{n >> 8}.{n & 255}/32":{{"IPAddresses":{{}}}},' for n in range(4096))
    return opening + b',"AvailableIPv4Cidrs":{', "".join(cidrs).encode(), closing


def _whole(answer: Callable[[Holding, Release, float], bytes]) -> Body:
    async def body(holding: Holding, release: Release, now: float) -> Bytes:
        yield answer(holding, release, now)

    return body


def _replied(value: object) -> bytes:
    return reply(encoded(value), extra=CONTENT_TYPE)


def _twice(holding: Holding, release: Release, now: float) -> bytes:
    """Have one more ENI claim the first CIDR that another one holds."""
    taken = next((c for card in holding.cards for eni in card.enis for c in eni.cidrs), None)
    return _changed(holding, release, now=now, taken=taken or HeldCidr("10.0.0.1/32", 1))


def _outside(holding: Holding, release: Release, now: float) -> bytes:
    """Have a CIDR hold an address that does not lie in it."""
    astray = HeldAddress(_ELSEWHERE, "web-1", assigned=60.0)
    return _changed(holding, release, now=now, taken=HeldCidr("10.0.0.16/28", 16, (astray,)))


def _changed(holding: Holding, release: Release, *, now: float, taken: HeldCidr) -> bytes:
    card, *others = holding.cards
    claimant = HeldEni("eni-0ffffffffffffffff", device=len(card.enis), cidrs=(taken,))
    more = replace(card, enis=(*card.enis, claimant))
    return _replied(shape(Holding((more, *others)), release, now))


WRONG: Mapping[Reach, Body] = {
    Reach.HANG: _hang,
    Reach.HALF: _half,
    Reach.HUGE: _huge,
    Reach.OTHER_SHAPE: _whole(lambda *_: _replied(_STATE_FILE)),
    Reach.STATUS_500: _whole(
        lambda *_: reply(b"internal error\n", "500 Internal Server Error", extra=CONTENT_TYPE)
    ),
    Reach.COMMANDS: _whole(lambda _, release, __: _replied(commands(release))),
    Reach.TWICE: _whole(_twice),
    Reach.OUTSIDE: _whole(_outside),
}
