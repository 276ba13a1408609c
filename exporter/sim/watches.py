"""Writes one watch: changes as events, seen through the watch's selectors, and bookmarks between
them.
"""

import asyncio
from dataclasses import dataclass

import msgspec
from aiohttp import web

from exporter.sim.statuses import status
from exporter.sim.store import Change, Feed, Matches, Store, Stored


@dataclass(frozen=True, slots=True)
class Watch:
    """How one watch wants to be told: its kind's name, its selectors, its bookmarks and its end."""

    head: bytes
    matches: Matches
    bookmarks: float | None
    lasts: float


async def stream(response: web.StreamResponse, watch: Watch, *, feed: Feed, store: Store) -> None:
    """Write events until the watch ends."""
    clock = asyncio.get_running_loop().time
    ends = clock() + watch.lasts
    next_bookmark = clock() + (watch.bookmarks or watch.lasts)
    while not feed.ended and (now := clock()) < ends:
        if lines := _pending(feed, watch):
            await response.write(lines)
        if watch.bookmarks is not None and now >= next_bookmark:
            await response.write(_bookmark(watch, store.version))
            next_bookmark = now + watch.bookmarks
        await _news(feed, min(ends, next_bookmark) - now)
    await response.write(_pending(feed, watch))
    if feed.failed:
        expired = msgspec.json.encode(status(410, "too old resource version"))
        await response.write(_event(b"ERROR", expired))
    elif watch.bookmarks is not None and not feed.ended:
        await response.write(_bookmark(watch, store.version))


async def _news(feed: Feed, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await feed.arrived.wait()
    except TimeoutError:
        return


def _pending(feed: Feed, watch: Watch) -> bytes:
    feed.arrived.clear()
    told = []
    while feed.pending:
        if (event := _told(feed.pending.popleft(), watch)) is not None:
            told.append(event)
    return b"".join(told)


def _told(change: Change, watch: Watch) -> bytes | None:
    """Tell a change as one who sees only what matches: what begins to match is added."""
    old, new = change.old, change.new
    was = old is not None and watch.matches(old)
    now = new is not None and watch.matches(new)
    if now and new is not None:
        return _event(b"MODIFIED" if was else b"ADDED", typed(watch.head, new))
    if was and old is not None:
        return _event(b"DELETED", typed(watch.head, _as_of(old, new)))
    return None


def _as_of(old: Stored, new: Stored | None) -> Stored:
    return old if new is None else new


def typed(head: bytes, stored: Stored) -> bytes:
    """Return an object with its kind and apiVersion, which lists leave out."""
    return head + stored.raw[1:]


def _event(kind: bytes, body: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (kind, body)


def _bookmark(watch: Watch, version: int) -> bytes:
    body = b'%b"metadata":{"resourceVersion":"%d","creationTimestamp":null}}'
    return _event(b"BOOKMARK", body % (watch.head, version))
