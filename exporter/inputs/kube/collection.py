"""One kind of objects as the API server last told it: listed in pages, then watched, for ever.

Owns when to list, when to watch again and how long to wait; what an object means is its kind's.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import msgspec

from exporter.core.model import Unavailable
from exporter.inputs.kube.client import Client
from exporter.inputs.kube.config import SYSTEM, Timing
from exporter.inputs.kube.errors import Gone, Malformed, Missing, Refused, watch_error, well_formed
from exporter.inputs.kube.kinds import Kind

T = TypeVar("T")

PAGE_SIZE = 500
_MAX_PAGES = 2_000
_WATCH_SECONDS = 300
_BACKOFF_BASE = 1.0
_BACKOFF_CAP = 30.0
_REFUSED_CAP = 300.0
# How long a kind that the cluster does not know is not looked for again.
_MISSING_CAP = 300.0
# A version that keeps failing may be from a future that a restored etcd does not know.
_RELIST_AFTER_FAILURES = 8
# A control plane that is starting may refuse what it allows a moment later.
_REFUSAL_BELIEVED_SECONDS = 60.0
# A watch that held this long shows that all is well, however it ended.
_HEALTHY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class SourceState:
    """Whether the last attempt to list or watch a source succeeded, and when it last told news."""

    source: str
    up: bool = False
    reason: str = "not asked yet"
    last_success: float | None = None


class _Version(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _Versioned(msgspec.Struct):
    metadata: _Version = msgspec.field(default_factory=_Version)


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


_EVENT = msgspec.json.Decoder(_Event)
_VERSIONED = msgspec.json.Decoder(_Versioned)


class Listener(Protocol):
    """Whoever wants to know what happens to a collection."""

    def state_changed(self, state: SourceState) -> None:
        """A source went up or down, or is down for another reason."""

    def knowledge_changed(self) -> None:
        """Objects came, went or differ in something that is used, or cannot be had."""

    def reached(self, source: str) -> None:
        """The API server answers a source that was down, or was never asked for before."""

    def watch_opened(self, source: str) -> None:
        """The API server accepted a watch."""


class Collection(Generic[T]):
    """The objects of one kind by key; None before the first list, and once they are refused."""

    def __init__(self, client: Client, kind: Kind[T], timing: Timing, listener: Listener) -> None:
        self.objects: dict[str, T] | None = None
        self.asked = False
        self.state = SourceState(kind.route.source)
        self._client = client
        self._kind = kind
        self._timing = timing
        self._listener = listener
        self._version = ""
        self._failures = 0
        self._opened_at = math.inf
        self._refused_since: float | None = None
        self._away = True
        self._hurry = asyncio.Event()

    def hurry(self) -> None:
        """Ask again now, as the API server is back; what was refused is in no hurry."""
        if self._away:
            self.asked = self.objects is not None
            self._hurry.set()

    async def keep(self) -> None:
        """List and watch until cancelled."""
        while True:
            self._opened_at = math.inf
            cap = _BACKOFF_CAP
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except Unavailable as error:
                if self._kind.route.optional and isinstance(error, Missing):
                    await self._do_without()
                    continue
                cap = self._failed(error)
            if self._timing.clock() - self._opened_at >= _HEALTHY_SECONDS:
                self._failures = 0
            else:
                await self._pause(cap)

    async def _pause(self, cap: float) -> None:
        longest = min(cap, _BACKOFF_BASE * 2 ** min(self._failures, 16))
        self._failures += 1
        if self._failures % _RELIST_AFTER_FAILURES == 0:
            self._version = ""
        await self._sleep(self._timing.random() * longest)

    async def _sleep(self, seconds: float) -> None:
        sleep = asyncio.ensure_future(self._timing.sleep(seconds))
        hurry = asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait((sleep, hurry), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            hurry.cancel()
        self._hurry.clear()

    async def _list(self) -> None:
        found: dict[str, T] = {}
        params = {**self._kind.route.params, "limit": str(PAGE_SIZE)}
        for _ in range(_MAX_PAGES):
            body = await self._client.get(
                self._kind.route.path, params, seconds=self._timing.request_seconds
            )
            async with self._client.turn:
                page = self._kind.page(body)
                await asyncio.sleep(0)
            found.update((key, value) for key, value in page.entries if value is not None)
            if not page.following:
                break
            params["continue"] = page.following
        else:
            raise Malformed(SYSTEM, f"a list of more than {_MAX_PAGES} pages")
        self._version = page.version
        self._take(found)

    def _take(self, found: dict[str, T]) -> None:
        self._refused_since = None
        self.asked = True
        self._reached()
        if found != self.objects:
            self.objects = found
            self._listener.knowledge_changed()

    async def _do_without(self) -> None:
        """Have no objects of a kind that the cluster does not know, and look again later."""
        self._version, self._failures = "", 0
        self._take({})
        self._become(up=True, reason="")
        await self._sleep(_MISSING_CAP * (1 + self._timing.random()) / 2)

    async def _watch(self) -> None:
        params = {
            **self._kind.route.params,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            # Spread, so that a restarted API server is not asked by everyone at once.
            "timeoutSeconds": str(int(_WATCH_SECONDS * (1 + self._timing.random()))),
        }
        try:
            async with self._client.lines(
                self._kind.route.path, params, silence=self._timing.silence_seconds
            ) as lines:
                self._opened()
                async for line in lines:
                    self._apply(line)
        except Gone:
            self._version = ""

    def _apply(self, line: bytes) -> None:
        with well_formed():
            event = _EVENT.decode(line)
        if event.type == "ERROR":
            self._version = ""
            raise watch_error(event.object)
        if event.type in ("ADDED", "MODIFIED", "DELETED"):
            key, value = self._kind.entry(event.object)
            self._put(key, None if event.type == "DELETED" else value)
        with well_formed():
            self._version = _VERSIONED.decode(event.object).metadata.resource_version
        self._news()

    def _put(self, key: str, value: T | None) -> None:
        assert self.objects is not None
        if value is None:
            if self.objects.pop(key, None) is not None:
                self._listener.knowledge_changed()
        elif self.objects.get(key) != value:
            self.objects[key] = value
            self._listener.knowledge_changed()

    def _opened(self) -> None:
        self._opened_at = self._timing.clock()
        self._reached()
        self._become(up=True, reason="")
        self._listener.watch_opened(self.state.source)

    def _failed(self, error: Unavailable) -> float:
        """Take note of a failure, and return the longest time to wait after it."""
        self._away = not isinstance(error, Refused)
        # An attempt that began while the API server was away says nothing of this source.
        if not self.asked and not (self._away and self._hurry.is_set()):
            self.asked = True
            self._listener.knowledge_changed()
        self._become(up=False, reason=error.reason)
        if isinstance(error, Malformed | Refused):
            self._version = ""
        if self._away or self._kind.route.required:
            return _BACKOFF_CAP
        self._believe_refusal()
        return _REFUSED_CAP

    def _believe_refusal(self) -> None:
        now = self._timing.clock()
        if self._refused_since is None:
            self._refused_since = now
        if self.objects is not None and now - self._refused_since >= _REFUSAL_BELIEVED_SECONDS:
            self.objects = None
            self._listener.knowledge_changed()

    def _reached(self) -> None:
        self._away = False
        self._news()
        if not self.state.up:
            self._listener.reached(self.state.source)

    def _news(self) -> None:
        self.state = replace(self.state, last_success=self._timing.clock())

    def _become(self, *, up: bool, reason: str) -> None:
        if (self.state.up, self.state.reason) != (up, reason):
            self.state = replace(self.state, up=up, reason=reason)
            self._listener.state_changed(self.state)
