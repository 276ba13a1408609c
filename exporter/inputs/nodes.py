"""Reads the aws-node pods of all targets, many at a time, each within its own time limit.

How a page is fetched is a `Fetch`; what it says is `ipamd_page`'s business, and what ipamd's
introspection says beside it, and when it is asked, is `introspection`'s.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from exporter.core.dial import refusal
from exporter.core.model import STARTING_SECONDS, Outcome, Read, Reading, Reason, Target, Unread
from exporter.inputs import http
from exporter.inputs.fetch import Fetch, FetchFailed, Place
from exporter.inputs.introspection import Introspections, Visit
from exporter.inputs.ipamd_page import parse_page

# Reasons that a node's first minutes explain.
_STARTING = (Reason.NO_POD, Reason.PENDING, Reason.UNREACHABLE)
# A `Fetch` keeps the time limit itself and tells what it waited for; this is for one that does not.
_OVERTIME = 1.2
# Kubernetes, AWS, the web server and its clients.
_OTHER_FILES = 256
_ENOUGH_READS = 20_000
_TURN_SECONDS = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesConfig:
    """How nodes are read: `concurrency` at a time, each within `timeout` seconds.

    A read that outlasts `patience` waits on, but beside these, while there are `sockets` for it.
    """

    port: int = 61678
    timeout: float = 5.0
    concurrency: int = 200
    patience: float = 0.05  # as a share of the timeout
    sockets: int | None = None  # None: as many as the process may open, less some for the rest
    allow_loopback: bool = False
    check_addresses: bool = True  # needless where it is not we who dial

    @property
    def most_reads(self) -> int:
        """How many reads there may be at a time, the silent ones included."""
        if self.sockets is not None:
            return max(self.concurrency, self.sockets)
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return max(self.concurrency, min(files - _OTHER_FILES, _ENOUGH_READS))


def direct(config: NodesConfig) -> Fetch:
    """Return the `Fetch` of the metrics page that connects to the nodes themselves."""
    return directly(Place(config.port, "/metrics", config.timeout))


def directly(place: Place) -> Fetch:
    """Return the `Fetch` of a place that connects to the nodes themselves."""

    async def fetch(target: Target) -> bytes:
        assert target.pod is not None
        deadline = asyncio.get_running_loop().time() + place.seconds
        address, port = target.pod.ip, place.port
        return await http.get(address, port, path=place.path, deadline=deadline, limit=place.limit)

    return fetch


class _Crowd:
    """The nodes that are being asked at a time: the busy ones, and beside them the silent ones."""

    def __init__(self, config: NodesConfig) -> None:
        self._busy = asyncio.Semaphore(config.concurrency)
        self._sockets = asyncio.Semaphore(config.most_reads)
        self._patience = config.timeout * config.patience

    async def room(self) -> None:
        """Wait until one more may be asked; where sockets run out the silent ones hold it up."""
        await self._sockets.acquire()
        await self._busy.acquire()

    @contextmanager
    def place(self) -> Iterator[_Place]:
        """Take the room there is."""
        place = _Place(self._busy.release, self._patience)
        try:
            yield place
        finally:
            place.give_up()
            self._sockets.release()


class _Place:
    """A busy one's place, which is given up early for a node that keeps us waiting.

    Time that we take ourselves is not the node's: an answer that waits to be parsed must not let
    another one in beside it.
    """

    def __init__(self, release: Callable[[], None], patience: float) -> None:
        self._release = release
        self._patience = patience
        self._held = True

    def give_up(self) -> None:
        """Let another node be asked, once."""
        if self._held:
            self._held = False
            self._release()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Wait for the node, and give the place up if that takes too long."""
        patience = asyncio.get_running_loop().call_later(self._patience, self.give_up)
        try:
            yield
        finally:
            patience.cancel()


class _Pace:
    """Spreads work over turns of the event loop, so that others are not kept waiting.

    Hundreds of answers that come in one turn would otherwise all be parsed in that one turn.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._turn_ends: float | None = None

    async def wait(self) -> None:
        """Wait for a turn in which there is time left."""
        # An Event would wake all that wait in one turn.
        while self._turn_ends is not None and self._loop.time() > self._turn_ends:  # noqa: ASYNC110
            await asyncio.sleep(0)
        if self._turn_ends is None:
            self._turn_ends = self._loop.time() + _TURN_SECONDS
            self._loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._turn_ends = None


class Nodes:
    """A `NodeReader` over a way to fetch pages; without `introspection` the pages are all."""

    def __init__(
        self,
        config: NodesConfig,
        fetch: Fetch,
        *,
        introspection: Introspections | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._fetch = fetch
        self._introspection = introspection
        self._clock = clock

    async def read(self, targets: tuple[Target, ...]) -> tuple[Outcome, ...]:
        """Return one outcome per target, in the order of the targets."""
        if self._introspection is not None:
            self._introspection.begin(targets)
        crowd, pace = _Crowd(self._config), _Pace()
        outcomes: list[Outcome | asyncio.Task[Outcome]] = []
        async with asyncio.TaskGroup() as reads:
            for target in targets:
                outcome = self._without_asking(target)
                if outcome is not None:
                    outcomes.append(outcome)
                    continue
                await crowd.room()
                outcomes.append(reads.create_task(self._ask(target, crowd, pace)))
        return tuple(
            outcome.result() if isinstance(outcome, asyncio.Task) else outcome
            for outcome in outcomes
        )

    def _without_asking(self, target: Target) -> Unread | None:
        pod = target.pod
        if pod is None:
            return self._unread(target, Reason.NO_POD)
        if pod.pending or not pod.ip:
            return self._unread(target, Reason.PENDING)
        if self._config.check_addresses:
            refused = refusal(target, allow_loopback=self._config.allow_loopback)
            if refused:
                return Unread(target, Reason.REFUSED_ADDRESS, refused)
        return None

    async def _ask(self, target: Target, crowd: _Crowd, pace: _Pace) -> Outcome:
        try:
            with crowd.place() as place:
                await pace.wait()
                deadline = asyncio.get_running_loop().time() + self._config.timeout
                visit = Visit(deadline, pace.wait, place.waiting)
                reading = await self._page(target, visit)
                if self._introspection is None:
                    return Read(target, reading)
                told = await self._introspection.of(target, visit)
                return Read(target, replace(reading, introspection=told) if told else reading)
        except FetchFailed as failed:
            return self._unread(target, failed.reason, failed.detail)
        except TimeoutError:
            return self._unread(target, Reason.TIMEOUT, "no answer")

    async def _page(self, target: Target, visit: Visit) -> Reading:
        """Return what a node's page says; its bytes are not kept while introspection is asked."""
        with visit.waiting():
            async with asyncio.timeout(self._config.timeout * _OVERTIME):
                body = await self._fetch(target)
        await visit.turn()
        several_cards = target.pod is not None and target.pod.enabled("ENABLE_MULTI_NIC")
        return parse_page(body, self._clock(), several_cards=several_cards)

    def _unread(self, target: Target, reason: Reason, detail: str = "") -> Unread:
        created = target.node.created
        young = created is not None and self._clock() - created < STARTING_SECONDS
        if young and reason in _STARTING:
            return Unread(target, Reason.STARTING, f"{reason}: {detail}".removesuffix(": "))
        return Unread(target, reason, detail)
