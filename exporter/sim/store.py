"""The API's objects with their resourceVersions: lists in pages from one moment, and changes since
a version.

It knows bytes, labels and fields, and nothing of what the objects mean or of HTTP.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

_FIRST_VERSION = 1_000_000
_SLOT = "@version@"
_LISTS_KEPT = 64
_LIST_TOO_OLD = "The provided continue parameter is too old to display a consistent list result."

Object = dict[str, Any]


class Expired(Exception):
    """The version or the continue token is older than what is kept."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One object as one version of it is served, apart from its kind."""

    key: tuple[str, str]
    uid: str
    version: int
    labels: Mapping[str, str]
    fields: Mapping[str, str]
    before: bytes
    after: bytes

    @property
    def raw(self) -> bytes:
        return b"%b%d%b" % (self.before, self.version, self.after)


@dataclass(frozen=True, slots=True)
class Change:
    """One step of one object; a creation has no old, a deletion no new."""

    version: int
    old: Stored | None
    new: Stored | None


Matches = Callable[[Stored], bool]


@dataclass(frozen=True, slots=True)
class ListPage:
    """Some objects of a list, the version all pages of it share, and how to go on."""

    items: tuple[Stored, ...]
    version: int
    token: str | None
    remaining: int


@dataclass(slots=True, eq=False)
class Feed:
    """What one watch is still to be told; `arrived` is set when there is something."""

    resource: str
    pending: deque[Change] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False
    failed: bool = False

    def tell(self, change: Change) -> None:
        """Queue one change."""
        self.pending.append(change)
        self.arrived.set()

    def end(self, *, failed: bool) -> None:
        """Close the watch, with an ERROR event where it failed."""
        self.ended, self.failed = True, failed
        self.arrived.set()


class Store:
    """All objects of the cluster, by resource."""

    def __init__(self, *, history: int = 50_000) -> None:
        self._objects: dict[str, dict[tuple[str, str], Stored]] = {}
        self._log: dict[str, deque[Change]] = {}
        self._history = history
        self._lists: OrderedDict[str, tuple[int, tuple[Stored, ...]]] = OrderedDict()
        self._feeds: set[Feed] = set()
        self._lists_made = 0
        self.version = _FIRST_VERSION
        self.oldest = _FIRST_VERSION

    def put(self, resource: str, body: Object, *, fields: Mapping[str, str]) -> None:
        """Create or replace an object; its resourceVersion is set here."""
        meta = body["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        objects = self._objects.setdefault(resource, {})
        if (old := objects.get(key)) is not None and old.uid != meta["uid"]:
            self.delete(resource, key)
            old = None
        self.version += 1
        versioned = {**body, "metadata": {**meta, "resourceVersion": _SLOT}}
        before, _, after = msgspec.json.encode(versioned).partition(_SLOT.encode())
        new = Stored(key, meta["uid"], self.version, meta["labels"], fields, before, after)
        objects[key] = new
        self._record(resource, Change(self.version, old, new))

    def delete(self, resource: str, key: tuple[str, str]) -> None:
        """Remove an object; its last state carries the version of the deletion."""
        old = self._objects.get(resource, {}).pop(key, None)
        if old is None:
            return
        self.version += 1
        gone = replace(old, version=self.version)
        self._record(resource, Change(self.version, gone, None))

    def find(self, resource: str, key: tuple[str, str]) -> Stored | None:
        """Return one object, or none."""
        return self._objects.get(resource, {}).get(key)

    def everything(self, resource: str, matches: Matches) -> tuple[Stored, ...]:
        """Return the matching objects in the order of namespace and name."""
        objects = self._objects.get(resource, {})
        return tuple(objects[key] for key in sorted(objects) if matches(objects[key]))

    def first_page(self, resource: str, matches: Matches, *, limit: int) -> ListPage:
        """Begin a list; the pages that follow are of the same moment."""
        found = self.everything(resource, matches)
        if not limit or len(found) <= limit:
            return ListPage(found, self.version, None, 0)
        self._lists_made += 1
        name = str(self._lists_made)
        self._lists[name] = (self.version, found)
        while len(self._lists) > _LISTS_KEPT:
            self._lists.popitem(last=False)
        return self._page(name, start=0, limit=limit)

    def next_page(self, token: str, *, limit: int) -> ListPage:
        """Go on with a list; raise `Expired` when it is not kept any more."""
        name, _, start = token.partition(".")
        if name not in self._lists or not start.isdecimal():
            raise Expired(_LIST_TOO_OLD)
        return self._page(name, start=int(start), limit=limit)

    def watch(self, resource: str, *, since: int | None) -> Feed:
        """Follow a resource from a version on; without one, from all that exists."""
        feed = Feed(resource)
        if since is None:
            for stored in self.everything(resource, lambda _: True):
                feed.tell(Change(stored.version, None, stored))
        elif since < self.oldest:
            raise Expired(f"too old resource version: {since} ({self.oldest})")
        else:
            for change in self._log.get(resource, ()):
                if change.version > since:
                    feed.tell(change)
        self._feeds.add(feed)
        return feed

    def unwatch(self, feed: Feed) -> None:
        """Stop telling a watch."""
        self._feeds.discard(feed)

    def end_watches(self, *, failed: bool) -> int:
        """Close every open watch and say how many there were."""
        for feed in self._feeds:
            feed.end(failed=failed)
        return len(self._feeds)

    def compact(self) -> None:
        """Forget the past: earlier versions and unfinished lists answer 410 from now on."""
        # A version of its own, so that even a watcher that has seen everything is too late.
        self.version += 1
        self.oldest = self.version
        self._log.clear()
        self._lists.clear()

    def _page(self, name: str, *, start: int, limit: int) -> ListPage:
        version, found = self._lists[name]
        end = start + limit if limit else len(found)
        token = f"{name}.{end}" if end < len(found) else None
        return ListPage(found[start:end], version, token, max(0, len(found) - end))

    def _record(self, resource: str, change: Change) -> None:
        log = self._log.setdefault(resource, deque())
        log.append(change)
        if len(log) > self._history:
            self.oldest = max(self.oldest, log.popleft().version)
        for feed in self._feeds:
            if feed.resource == resource:
                feed.tell(change)
