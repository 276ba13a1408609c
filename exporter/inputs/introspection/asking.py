"""Which node's introspection is asked when, and what stands until it is asked again.

ipamd logs every request, and by default answers on its own host only: a node that gives no answer
costs one refused connection every ten minutes. A body that fails costs nothing but itself.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from zlib import crc32

from exporter.core.introspection import Introspection
from exporter.core.model import Pod, Reason, Target
from exporter.inputs.fetch import FetchAt, FetchFailed, Place
from exporter.inputs.introspection.counting import COOLDOWN_SECONDS, MAX_BODY_BYTES, parse_enis
from exporter.inputs.introspection.shapes import decode_eniconfig

log = logging.getLogger(__name__)

PORT = 61679
ENIS = "/v1/enis"
ENICONFIG = "/v1/eni-configs"

_MAX_ENICONFIG_BYTES = 256 * 1024
# Books stand for so many intervals at most.
_CARRIED = 3
# A cycle begins a moment early or late; a node is due in the one that its interval ends on.
_BEAT_SLACK = 0.99
# A `Fetch` keeps the time limit itself; this is for one that does not.
_OVERTIME = 1.2
# Where so many nodes that never answered keep us waiting, a firewall does: no more are tried now.
_PATIENCE_SECONDS = 0.1
_MOST_SILENT = 50
# What most clusters' nodes do, since they answer on their own host only: nothing to tell.
_EXPECTED = (Reason.UNREACHABLE, Reason.TIMEOUT)
# What can happen to a request of any node once in a while.
_CHANCE = (Reason.TIMEOUT, Reason.INCOMPLETE)
_MOST_LINES = 20
_BIND_ADDRESS = re.compile(r"(?:[^:\[\]]*|\[[0-9A-Fa-f:.%]*\]):([0-9]{1,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class AskingConfig:
    """How often a node is asked, in seconds; `seconds` is how long its answer is waited for."""

    port: int = PORT
    interval: float = 30.0
    pause: float = 600.0
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit of a node: until when it may last, in the loop's time, and how to wait in it.

    `turn` waits until there is time to decode an answer; `waiting` is what the node is waited for
    in, so that others are asked meanwhile if that takes long.
    """

    deadline: float
    turn: Callable[[], Awaitable[None]]
    waiting: Callable[[], AbstractContextManager[None]]


@dataclass(slots=True)
class _Known:
    """What is known of one pod; times are the stopwatch's, of the cycle in which it was asked."""

    due: float
    answers: bool = False
    late: bool = False
    paused: bool = False
    books: Introspection | None = None
    read: float = 0.0
    eniconfig: str = ""
    eniconfig_due: float = 0.0
    told: str = ""


class Introspections:
    """The introspection of all nodes, asked beside their pages as often as it may be."""

    def __init__(
        self,
        config: AskingConfig,
        at: FetchAt,
        *,
        clock: Callable[[], float] = time.time,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._at = at
        self._clock = clock
        self._stopwatch = stopwatch
        self._now = stopwatch()
        self._known: dict[str, _Known] = {}
        self._silent = 0
        self._untold = 0
        self._lines = 0

    @property
    def known_pods(self) -> int:
        """How many pods something is remembered of."""
        return len(self._known)

    def begin(self, targets: Iterable[Target]) -> None:
        """Begin a cycle over these targets; pods that are not among them are forgotten."""
        if self._untold:
            log.warning("introspection of %d more nodes is no use", self._untold)
        self._now, self._lines, self._untold = self._stopwatch(), 0, 0
        before = self._known
        uids = (target.pod.uid for target in targets if target.pod is not None)
        self._known = {uid: before[uid] for uid in uids if uid in before}

    async def of(self, target: Target, visit: Visit) -> Introspection | None:
        """Return what a node's books say, None where that is not known; raises nothing.

        It is asked only where its answer can be waited for until the visit's deadline.
        """
        pod = target.pod
        assert pod is not None
        known = self._known.get(pod.uid)
        if known is not None and self._now < known.due:
            return self._carried(known)
        port = port_of(pod, self._config.port)
        if port is None:
            return None
        if known is None:
            known = self._known[pod.uid] = _Known(self._now)
        if not self._may_be_tried(known, visit):
            return self._carried(known)
        try:
            with visit.waiting(), self._noticed(known.answers):
                body = await self._fetch(target, ENIS, port)
            now = self._clock()
            await visit.turn()
            books = _shared(parse_enis(body, now, cooldown=cooldown_seconds(pod)), known.books)
        except FetchFailed as failed:
            self._failed(known, target, failed)
            return self._carried(known)
        known.due = self._now + self._config.interval * _BEAT_SLACK
        known.answers, known.late, known.told = True, False, ""
        if pod.enabled("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"):
            await self._ask_eniconfig(known, target, port=port, visit=visit)
            books = replace(books, eniconfig=known.eniconfig)
        known.books, known.read = books, self._now
        return books

    def _may_be_tried(self, known: _Known, visit: Visit) -> bool:
        if not known.answers and self._silent >= _MOST_SILENT:
            return False
        return self._in_time(visit)

    def _in_time(self, visit: Visit) -> bool:
        return asyncio.get_running_loop().time() + self._config.seconds <= visit.deadline

    async def _fetch(self, target: Target, path: str, port: int) -> bytes:
        limit = MAX_BODY_BYTES if path == ENIS else _MAX_ENICONFIG_BYTES
        fetch = self._at(Place(port, path, self._config.seconds, limit))
        try:
            async with asyncio.timeout(self._config.seconds * _OVERTIME):
                return await fetch(target)
        except TimeoutError as error:
            raise FetchFailed(Reason.TIMEOUT, "no answer") from error

    @contextmanager
    def _noticed(self, answers: bool) -> Iterator[None]:
        """Count a node that never answered among the silent ones once it takes long."""
        silent = 0

        def notice() -> None:
            nonlocal silent
            silent = 1
            self._silent += 1

        timer = asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, notice)
        if answers:
            timer.cancel()
        try:
            yield
        finally:
            timer.cancel()
            self._silent -= silent

    async def _ask_eniconfig(
        self, known: _Known, target: Target, *, port: int, visit: Visit
    ) -> None:
        """Ask for the ENIConfig that ipamd chose, which changes hardly ever."""
        if self._now < known.eniconfig_due or not self._in_time(visit):
            return
        known.eniconfig_due = self._now + self._config.pause
        try:
            with visit.waiting():
                body = await self._fetch(target, ENICONFIG, port)
            known.eniconfig = decode_eniconfig(body)
        except FetchFailed:
            known.eniconfig = ""

    def _carried(self, known: _Known) -> Introspection | None:
        """Return the last books while they stand, and forget them after."""
        books = known.books
        if books is None:
            return None
        if self._now - known.read > _CARRIED * self._config.interval:
            known.books = None
            return None
        return books if books.carried else replace(books, carried=True)

    def _failed(self, known: _Known, target: Target, failed: FetchFailed) -> None:
        """Put a node off; one that answers otherwise may once be late or cut off."""
        if known.answers and not known.late and failed.reason in _CHANCE:
            known.late = True
            known.due = self._now + self._config.interval * _BEAT_SLACK
            return
        assert target.pod is not None
        # At first for up to twice as long, each for another time: later they are spread out so.
        share = 0.0 if known.paused else crc32(target.pod.uid.encode()) / 2**32
        known.due = self._now + self._config.pause * (1.0 + share)
        known.answers, known.late, known.paused = False, False, True
        self._tell(known, target, failed)

    def _tell(self, known: _Known, target: Target, failed: FetchFailed) -> None:
        detail = f"{failed.reason.value}: {failed.detail}"
        if failed.reason in _EXPECTED or detail == known.told:
            return
        known.told = detail
        self._lines += 1
        if self._lines > _MOST_LINES:
            self._untold += 1
            return
        extra = {"node": target.node.name, "reason": failed.reason.value}
        log.warning("introspection of node is no use: %s", failed.detail, extra=extra)


def _shared(books: Introspection, before: Introspection | None) -> Introspection:
    """Return the books with those ENIs of the ones before that did not change: most never do."""
    if before is None:
        return books
    known = {eni: eni for eni in before.enis}
    return replace(books, enis=tuple([known.get(eni, eni) for eni in books.enis]))


def port_of(pod: Pod, usual: int) -> int | None:
    """Return the port of a pod's introspection, None where it has none (reference 2.1).

    Where the pod's settings name ipamd's own default, that is no news: `usual` stands.
    """
    if pod.enabled("DISABLE_INTROSPECTION"):
        return None
    address = pod.env.get("INTROSPECTION_BIND_ADDRESS", "")
    if address.startswith("unix:"):
        return None
    named = _BIND_ADDRESS.fullmatch(address)
    port = int(named[1]) if named else PORT
    return usual if port == PORT or not 0 < port < 65_536 else port


def cooldown_seconds(pod: Pod) -> float:
    """Return for how long a pod's ipamd keeps a freed address back; what is no number is 30."""
    text = pod.env.get("IP_COOLDOWN_PERIOD", "")
    whole = text.isascii() and text.isdigit() and len(text) < 10
    return float(text) if whole else COOLDOWN_SECONDS
