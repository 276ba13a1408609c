"""What the HTTP client takes for an answer and what it refuses, on both event loops."""

from __future__ import annotations

import asyncio
import gc
import gzip

import pytest
import uvloop

from exporter.core.model import Reason
from exporter.inputs import http
from exporter.inputs.fetch import FetchFailed
from tests.inputs.servers import (
    CHUNKED,
    LIMIT,
    OK,
    Runner,
    Server,
    fetched,
    length,
    repeats,
    says,
    then_hangs,
    then_resets,
)

BOMB = gzip.compress(bytes(5_000_000))
_OWN = (FetchFailed, http._Exchange)


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Runner:
    runner: Runner = request.param
    return runner


ANSWERS = {
    "with a length": says(length(4), b"page"),
    "in chunks": says(CHUNKED, b"1\r\np\r\n3\r\nage\r\n0\r\n\r\n"),
    "in single bytes": says(*(bytes([it]) for it in length(4) + b"page")),
    "in single bytes of chunks": says(*(bytes([it]) for it in CHUNKED + b"4\r\npage\r\n0\r\n\r\n")),
    "as HTTP/1.0": says(b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\npage"),
    "without a reason phrase": says(b"HTTP/1.1 200\r\nContent-Length: 4\r\n\r\npage"),
    "after 1xx answers": says(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Encoding: br\r\n\r\n",
        length(4) + b"page",
    ),
    "with more after its end": says(length(4) + b"page" + length(5) + b"other"),
    "with rubbish after its end": says(length(4) + b"page\x00\x00"),
    "with trailers": says(CHUNKED, b"4\r\npage\r\n0\r\nContent-Encoding: br\r\n\r\n"),
    "with chunk extensions": says(CHUNKED, b'4;a=b;c="d"\r\npage\r\n0\r\n\r\n'),
    "packed though nobody asked": says(
        OK + b"Content-Encoding: gzip\r\nContent-Length: 24\r\n\r\n", gzip.compress(b"page")
    ),
    "and stays open": then_hangs(length(4), b"page"),
    "and resets": then_resets(length(4), b"page"),
}


@pytest.mark.parametrize("serve", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_taken(serve: Server, run: Runner) -> None:
    assert run(fetched(serve)) == b"page"


def test_an_empty_body_is_a_body(run: Runner) -> None:
    assert run(fetched(says(length(0)))) == b""


def test_a_body_of_just_the_limit_is_taken(run: Runner) -> None:
    assert run(fetched(says(length(LIMIT), b"x" * LIMIT))) == b"x" * LIMIT


TOO_LARGE = (Reason.TOO_LARGE, "more than 100000 bytes")
MANY_HEADERS = (Reason.MALFORMED, "more than 65536 header bytes")
NO_END = (Reason.INCOMPLETE, "neither a length nor chunks tell where the answer ends")
FAILURES = {
    "hangs up when asked": (says(), (Reason.INCOMPLETE, "closed without an answer")),
    "resets when asked": (then_resets(), (Reason.UNREACHABLE, "Connection reset by peer")),
    "resets after headers": (then_resets(length(9)), (Reason.INCOMPLETE, "cut off after 38 bytes")),
    "cuts the headers off": (says(OK), (Reason.INCOMPLETE, "cut off after 17 bytes")),
    "cuts the body off": (says(length(9), b"page"), (Reason.INCOMPLETE, "cut off after 42 bytes")),
    "cuts a chunk off": (
        says(CHUNKED, b"9\r\npage"),
        (Reason.INCOMPLETE, f"cut off after {len(CHUNKED) + 7} bytes"),
    ),
    "ends between chunks": (
        says(CHUNKED, b"4\r\npage\r\n"),
        (Reason.INCOMPLETE, f"cut off after {len(CHUNKED) + 9} bytes"),
    ),
    "does not say where it ends": (says(OK + b"\r\npage"), NO_END),
    "does not say it in HTTP/1.0": (says(b"HTTP/1.0 200 OK\r\n\r\npage"), NO_END),
    "says it in a 1xx answer only": (
        says(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\n" + OK + b"\r\npage"),
        NO_END,
    ),
    "goes on for ever": (repeats(OK + b"\r\n", b"page"), NO_END),
    "says 500": (
        says(b"HTTP/1.1 500 Oh no\r\nContent-Length: 999999999\r\n\r\n"),
        (Reason.HTTP_STATUS, "status 500"),
    ),
    "says 404": (
        then_hangs(b"HTTP/1.1 404 Not Found\r\n\r\n"),
        (Reason.HTTP_STATUS, "status 404"),
    ),
    "says 204": (says(b"HTTP/1.1 204 No Content\r\n\r\n"), (Reason.HTTP_STATUS, "status 204")),
    "says 304": (says(b"HTTP/1.1 304 Not Modified\r\n\r\n"), (Reason.HTTP_STATUS, "status 304")),
    "redirects": (
        says(b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"),
        (Reason.HTTP_STATUS, "status 302"),
    ),
    "switches protocols": (
        says(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nx"),
        (Reason.HTTP_STATUS, "status 101"),
    ),
    "announces too much": (then_hangs(length(LIMIT + 1)), TOO_LARGE),
    "announces an absurd length": (then_hangs(length(10**19)), TOO_LARGE),
    "sends too much in chunks": (repeats(CHUNKED, b"3e8\r\n%b\r\n" % (b"x" * 1000)), TOO_LARGE),
    "sends a little too much in chunks": (
        says(CHUNKED, b"%x\r\n%b\r\n0\r\n\r\n" % (LIMIT + 1, b"x" * (LIMIT + 1))),
        TOO_LARGE,
    ),
    "sends tiny chunks for ever": (repeats(CHUNKED, b"1\r\nx\r\n" * 500), TOO_LARGE),
    "sends trailers for ever": (repeats(CHUNKED + b"0\r\n", b"x: y\r\n" * 500), TOO_LARGE),
    "sends one chunk extension for ever": (repeats(CHUNKED + b"1;", b"x" * 5000), TOO_LARGE),
    "sends headers for ever": (repeats(OK, b"x: y\r\n" * 500), MANY_HEADERS),
    "sends one header for ever": (repeats(OK + b"x: ", b"y" * 5000), MANY_HEADERS),
    "sends 1xx answers for ever": (repeats(b"", b"HTTP/1.1 100 Go on\r\n\r\n" * 90), MANY_HEADERS),
    "sends a gzip bomb": (
        says(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB), BOMB),
        (Reason.TOO_LARGE, "more than 100000 bytes after gunzip"),
    ),
    "packs it in something else": (
        says(OK + b"Content-Encoding: br\r\nContent-Length: 4\r\n\r\npage"),
        (Reason.MALFORMED, "content encoding 'br' was not asked for"),
    ),
    "speaks another protocol": (
        says(b"SSH-2.0-OpenSSH_9.6\r\n"),
        (Reason.MALFORMED, "not HTTP: Expected HTTP/, RTSP/ or ICE/"),
    ),
    "sends a TLS alert": (
        says(b"\x15\x03\x01\x00\x02\x02\x46"),
        (Reason.MALFORMED, "not HTTP: Expected HTTP/, RTSP/ or ICE/"),
    ),
    "sends two lengths": (
        says(OK + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\npage"),
        (Reason.MALFORMED, "not HTTP: Duplicate Content-Length"),
    ),
    "sends length and chunks": (
        says(OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (Reason.MALFORMED, "not HTTP: Transfer-Encoding can't be present with Content-Length"),
    ),
    "sends a negative length": (
        says(OK + b"Content-Length: -4\r\n\r\npage"),
        (Reason.MALFORMED, "not HTTP: Invalid character in Content-Length"),
    ),
    "sends a length beyond counting": (
        says(OK + b"Content-Length: %d\r\n\r\npage" % 10**20),
        (Reason.MALFORMED, "not HTTP: Content-Length overflow"),
    ),
    "sends a bad chunk size": (
        says(CHUNKED, b"x\r\n"),
        (Reason.MALFORMED, "not HTTP: Invalid character in chunk size"),
    ),
}


@pytest.mark.parametrize(("serve", "outcome"), FAILURES.values(), ids=FAILURES)
def test_no_body_comes_of_a_server_that(
    serve: Server, outcome: tuple[Reason, str], run: Runner
) -> None:
    assert run(fetched(serve)) == outcome


@pytest.mark.parametrize("serve", [serve for serve, _ in FAILURES.values()], ids=FAILURES)
def test_what_failed_leaves_nothing_that_only_the_collector_would_free(
    serve: Server, run: Runner
) -> None:
    # What other tests keep, or left, is not looked at.
    gc.freeze()
    gc.disable()
    try:
        run(fetched(serve))
        left = [type(it) for it in gc.get_objects() if isinstance(it, _OWN)]
    finally:
        gc.enable()
        gc.unfreeze()
    assert left == []
