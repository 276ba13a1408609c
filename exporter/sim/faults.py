"""What can be wrong with a node's answer: each fault's bytes, and the reason a reader should give.

Opening, closing and blocking sockets is the servers' part; such faults have no bytes here.
"""

import asyncio
import random
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from enum import StrEnum
from functools import cache

REDIRECTED_PATH = "/redirected"


class Fault(StrEnum):
    """Every fault a node can be given."""

    REFUSE = "refuse"
    HANG = "hang"
    HANG_CONNECT = "hang_connect"
    DRIP = "drip"
    STATUS_500 = "status_500"
    STATUS_404 = "status_404"
    TRUNCATED = "truncated"
    TRUNCATED_CHUNKED = "truncated_chunked"
    CUT_LINE = "cut_line"
    RUBBISH = "rubbish"
    RANDOM_BYTES = "random_bytes"
    ENDLESS = "endless"
    GZIP_BOMB = "gzip_bomb"
    REDIRECT = "redirect"
    INCONSISTENT = "inconsistent"
    MISSING_FAMILY = "missing_family"
    EMPTY = "empty"


# The first reason is the one the books give; the others are as true, depending on what a reader
# notices first, and the truth names them beside it.
REASONS: Mapping[Fault, tuple[str, ...]] = {
    Fault.REFUSE: ("unreachable",),
    Fault.HANG: ("timeout",),
    Fault.HANG_CONNECT: ("timeout",),
    Fault.DRIP: ("timeout",),
    Fault.STATUS_500: ("http_status",),
    Fault.STATUS_404: ("http_status",),
    Fault.TRUNCATED: ("incomplete", "malformed", "unreachable"),
    Fault.TRUNCATED_CHUNKED: ("incomplete", "malformed", "unreachable"),
    Fault.CUT_LINE: ("incomplete", "malformed"),
    Fault.RUBBISH: ("malformed", "incomplete"),
    Fault.RANDOM_BYTES: ("malformed", "incomplete"),
    Fault.ENDLESS: ("too_large", "timeout"),
    Fault.GZIP_BOMB: ("too_large", "malformed"),
    Fault.REDIRECT: ("http_status",),
    Fault.INCONSISTENT: ("inconsistent",),
    Fault.MISSING_FAMILY: ("incomplete", "malformed"),
    Fault.EMPTY: ("incomplete", "malformed"),
}

Bytes = AsyncIterator[bytes]

_TYPE = "Content-Type: text/plain; version=0.0.4; charset=utf-8"
_CHUNKED = f"HTTP/1.1 200 OK\r\n{_TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
_HTML = b"<!DOCTYPE html>\n<html><head><title>It works!</title></head><body>\x00{]}</body></html>\n"
_BOMB_BYTES = 256 * 1024 * 1024
DRIP_SECONDS = 0.25


def reply(body: bytes, status: str = "200 OK", *, extra: str = _TYPE) -> bytes:
    """Return a whole answer after which the connection is closed."""
    head = (
        f"HTTP/1.1 {status}\r\n{extra}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


async def _hang(_page: bytes) -> Bytes:
    await asyncio.Event().wait()
    yield b""


async def _drip(page: bytes) -> Bytes:
    yield f"HTTP/1.1 200 OK\r\n{_TYPE}\r\nContent-Length: {len(page)}\r\n\r\n".encode()
    for position in range(len(page)):
        yield page[position : position + 1]
        await asyncio.sleep(DRIP_SECONDS)


async def _truncated(page: bytes) -> Bytes:
    yield f"HTTP/1.1 200 OK\r\n{_TYPE}\r\nContent-Length: {len(page)}\r\n\r\n".encode()
    yield page[: len(page) // 2]


async def _truncated_chunked(page: bytes) -> Bytes:
    half = page[: len(page) // 2]
    yield _CHUNKED + b"%x\r\n%b\r\n" % (len(half), half)


async def _endless(page: bytes) -> Bytes:
    piece = page * 50
    chunk = b"%x\r\n%b\r\n" % (len(piece), piece)
    yield _CHUNKED
    while True:
        yield chunk
        await asyncio.sleep(0)


async def _gzip_bomb(_page: bytes) -> Bytes:
    """Send what expands to 256 MB, said to be gzip whether or not the reader takes gzip."""
    yield _CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    packed = _packed_bomb()
    yield b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed)


@cache
def _packed_bomb() -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    million = b"# " + b"A" * (1024 * 1024 - 3) + b"\n"
    parts = [packer.compress(million) for _ in range(_BOMB_BYTES // len(million))]
    return b"".join((*parts, packer.flush()))


def _whole(change: Callable[[bytes], bytes]) -> Callable[[bytes], Bytes]:
    async def answer(page: bytes) -> Bytes:
        yield change(page)

    return answer


def _random_bytes(_page: bytes) -> bytes:
    return reply(random.Random(0).randbytes(20_000))


def _redirect(_page: bytes) -> bytes:
    return reply(b"", "302 Found", extra=f"Location: {REDIRECTED_PATH}")


def _inconsistent(page: bytes) -> bytes:
    assigned = _value(page, b"awscni_assigned_ip_addresses ")
    return reply(
        _with_value(page, b"awscni_total_ip_addresses ", value=b"%d" % (int(assigned) - 1))
    )


def _missing_family(page: bytes) -> bytes:
    name = b"awscni_total_ip_addresses"
    kept = (line for line in page.splitlines(keepends=True) if name + b" " not in line)
    return reply(b"".join(kept))


def _value(page: bytes, name: bytes) -> bytes:
    return page.partition(b"\n" + name)[2].partition(b"\n")[0]


def _with_value(page: bytes, name: bytes, *, value: bytes) -> bytes:
    before, mark, rest = page.partition(b"\n" + name)
    return before + mark + value + b"\n" + rest.partition(b"\n")[2]


ANSWERS: Mapping[Fault, Callable[[bytes], Bytes]] = {
    Fault.HANG: _hang,
    Fault.DRIP: _drip,
    Fault.STATUS_500: _whole(lambda _: reply(b"internal error\n", "500 Internal Server Error")),
    Fault.STATUS_404: _whole(lambda _: reply(b"404 page not found\n", "404 Not Found")),
    Fault.TRUNCATED: _truncated,
    Fault.TRUNCATED_CHUNKED: _truncated_chunked,
    Fault.CUT_LINE: _whole(lambda page: reply(page[:-12])),
    Fault.RUBBISH: _whole(lambda _: reply(_HTML, extra="Content-Type: text/html")),
    Fault.RANDOM_BYTES: _whole(_random_bytes),
    Fault.ENDLESS: _endless,
    Fault.GZIP_BOMB: _gzip_bomb,
    Fault.REDIRECT: _whole(_redirect),
    Fault.INCONSISTENT: _whole(_inconsistent),
    Fault.MISSING_FAMILY: _whole(_missing_family),
    Fault.EMPTY: _whole(lambda _: reply(b"")),
}
