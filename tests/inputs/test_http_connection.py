"""How the HTTP client connects, waits, gives up and cleans up, on both event loops."""

from __future__ import annotations

import asyncio
import builtins
import errno
import os
import socket
from functools import partial
from typing import Never

import pytest
import uvloop
from httptools import HttpParserError, HttpParserUpgrade
from httptools.parser import errors

from exporter.core.model import Reason
from exporter.inputs.fetch import FetchFailed
from tests.inputs.servers import (
    OK,
    Reader,
    Runner,
    Server,
    Writer,
    fetched,
    get,
    length,
    open_files,
    repeats,
    then_hangs,
)


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Runner:
    runner: Runner = request.param
    return runner


@pytest.mark.parametrize(
    ("serve", "detail"),
    [
        pytest.param(then_hangs(), "no answer", id="says nothing"),
        pytest.param(then_hangs(OK), "connected, 17 bytes received", id="stops in the headers"),
        pytest.param(
            then_hangs(length(9), b"page"), "connected, 42 bytes received", id="stops in the body"
        ),
        pytest.param(
            then_hangs(b"HTTP/1.1 100 Continue\r\n\r\n"),
            "connected, 25 bytes received",
            id="stops after a 1xx answer",
        ),
    ],
)
def test_silence_lasts_until_the_deadline_and_tells_how_far_it_came(
    serve: Server, detail: str, run: Runner
) -> None:
    assert run(fetched(serve, seconds=0.1)) == (Reason.TIMEOUT, detail)


def test_a_drip_does_not_put_the_deadline_off(run: Runner) -> None:
    said = run(fetched(repeats(length(999), b"x", pause=0.01), seconds=0.15))

    assert isinstance(said, tuple)
    assert said[0] is Reason.TIMEOUT


async def failure(port: int, *, seconds: float = 5.0) -> tuple[Reason, str]:
    with pytest.raises(FetchFailed) as caught:
        await get(port, seconds=seconds)
    return caught.value.reason, caught.value.detail


def test_a_port_where_nobody_listens_is_unreachable(run: Runner) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]

        assert run(failure(port)) == (Reason.UNREACHABLE, "Connection refused")


def test_a_host_that_does_not_take_the_connection_times_out(run: Runner) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as busy:
        port = busy.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert run(failure(port, seconds=0.1)) == (Reason.TIMEOUT, "no connection")


def test_a_deadline_that_has_passed_is_a_timeout(run: Runner) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        assert run(failure(port, seconds=-1.0))[0] is Reason.TIMEOUT


@pytest.mark.parametrize(
    ("address", "host"), [("127.0.0.1", "127.0.0.1:{}"), ("::1", "[::1]:{}")], ids=["IPv4", "IPv6"]
)
def test_the_request_asks_for_one_plain_answer(address: str, host: str, run: Runner) -> None:
    asked: list[bytes] = []

    async def serve(reader: Reader, writer: Writer) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(length(4) + b"page")
        writer.close()

    async def ask() -> str:
        server = await asyncio.start_server(serve, address, 0)
        port: int = server.sockets[0].getsockname()[1]
        assert await get(port, address=address) == b"page"
        server.close()
        return host.format(port)

    told = run(ask())

    assert asked == [
        f"GET /metrics HTTP/1.1\r\nHost: {told}\r\nUser-Agent: vpc-cni-exporter\r\nAccept: */*\r\n"
        "Accept-Encoding: identity\r\nConnection: close\r\n\r\n".encode()
    ]


@pytest.mark.parametrize("connected", [True, False], ids=["when connected", "while connecting"])
def test_a_cancelled_read_drops_its_connection_at_once(connected: bool, run: Runner) -> None:
    async def cancel(port: int) -> None:
        read = asyncio.create_task(get(port))
        await asyncio.sleep(0.05)
        read.cancel()
        with pytest.raises(asyncio.CancelledError):
            await read
        await asyncio.sleep(0)

    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as first:
            peer, _ = server.accept()
            if connected:
                first.close()
            else:
                waiting = socket.create_connection(("127.0.0.1", port))
            before = open_files()
            run(cancel(port))
            assert open_files() == before
            peer.close()
            if not connected:
                waiting.close()


class FailingLoop(asyncio.SelectorEventLoop):
    """A loop on which every connection fails in one way."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self._error = error

    async def create_connection(self, *_: object, **__: object) -> Never:
        raise self._error


def os_errors() -> list[OSError]:
    """One of each number that the system has, and one of each class."""
    kinds = [it for it in vars(builtins).values() if isinstance(it, type)]
    classes = [it for it in kinds if issubclass(it, OSError)] + [socket.gaierror, socket.herror]
    return [OSError(it, "its words") for it in errno.errorcode] + [it() for it in classes]


def test_every_error_of_the_system_is_a_timeout_or_unreachable() -> None:
    for error in os_errors():
        with asyncio.Runner(loop_factory=partial(FailingLoop, error)) as runner:
            reason, detail = runner.run(failure(9))
        if isinstance(error, TimeoutError):
            assert (reason, detail) == (Reason.TIMEOUT, "no connection")
        else:
            words = os.strerror(error.errno) if error.errno else type(error).__name__
            assert (reason, detail) == (Reason.UNREACHABLE, words)


def test_every_error_of_the_parser_is_expected() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]

    assert kinds
    assert all(issubclass(kind, (HttpParserError, HttpParserUpgrade)) for kind in kinds)
