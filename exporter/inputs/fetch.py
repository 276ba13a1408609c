"""What every way of fetching a node's page has in common: its contract, its limit, its failures."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from exporter.core.model import Reason, Target

# A page is 20 KB, and 3.5 MB where every address of a /16 has left its series behind.
MAX_BODY_BYTES = 4 * 1024 * 1024


class FetchFailed(Exception):
    """One target gave no usable body; it becomes an `Unread` with this reason."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Fetch(Protocol):
    """A way to one page of any node; keeps its own time limit and raises `FetchFailed` alone."""

    async def __call__(self, target: Target, /) -> bytes:
        """Return the whole body of the target's page, decompressed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node is asked, for how many seconds, and how many bytes it may answer."""

    port: int
    path: str
    seconds: float
    limit: int = MAX_BODY_BYTES


# What makes a `Fetch` of a place: directly or through the API server.
FetchAt = Callable[[Place], Fetch]


def decode_body(body: bytes, encoding: str, limit: int = MAX_BODY_BYTES) -> bytes:
    """Return a body freed of its content encoding, never more than `limit` bytes of it."""
    encoding = encoding.strip().lower()
    if encoding == "gzip":
        return _gunzip(body, limit)
    if encoding not in ("", "identity"):
        raise FetchFailed(Reason.MALFORMED, f"content encoding {encoding[:40]!r} was not asked for")
    if len(body) > limit:
        raise FetchFailed(Reason.TOO_LARGE, f"more than {limit} bytes")
    return body


def _gunzip(body: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise FetchFailed(Reason.MALFORMED, f"broken gzip: {error}") from error
    if len(plain) > limit:
        raise FetchFailed(Reason.TOO_LARGE, f"more than {limit} bytes after gunzip")
    if not inflater.eof:
        raise FetchFailed(Reason.INCOMPLETE, "gzip stream was cut off")
    if inflater.unused_data:
        raise FetchFailed(Reason.MALFORMED, "broken gzip: more after its end")
    return plain
