"""Servers on loopback that do everything wrong a server can do, and a client that tells of it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from exporter.core.model import Reason, Target
from exporter.inputs import http
from exporter.inputs.fetch import FetchFailed
from tests.builders import LONG_AGO, node, pod, target

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Server = Callable[[Reader, Writer], Awaitable[None]]
Runner = Callable[[Coroutine[None, None, Any]], Any]

LIMIT = 100_000
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def length(size: int) -> bytes:
    return OK + b"Content-Length: %d\r\n\r\n" % size


def says(*parts: bytes) -> Server:
    """Answers in these parts, then ends the connection properly."""

    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    return serve


def then_hangs(*parts: bytes) -> Server:
    async def serve(reader: Reader, writer: Writer) -> None:
        try:
            for part in parts:
                writer.write(part)
            await reader.read()
        finally:
            writer.close()

    return serve


def then_resets(*parts: bytes) -> Server:
    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
        await asyncio.sleep(0.02)
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return serve


def repeats(first: bytes, then: bytes, *, pause: float = 0.0) -> Server:
    async def serve(_reader: Reader, writer: Writer) -> None:
        writer.write(first)
        while not writer.is_closing():
            writer.write(then)
            await writer.drain()
            await asyncio.sleep(pause)

    return serve


async def get(port: int, *, seconds: float = 5.0, address: str = "127.0.0.1") -> bytes:
    deadline = asyncio.get_running_loop().time() + seconds
    return await http.get(address, port, path="/metrics", deadline=deadline, limit=LIMIT)


async def fetched(serve: Server, *, seconds: float = 5.0) -> bytes | tuple[Reason, str]:
    """What comes of asking a server; it must notice soon that we are gone."""
    gone = asyncio.Event()

    async def served(reader: Reader, writer: Writer) -> None:
        try:
            await serve(reader, writer)
        except OSError:
            pass
        finally:
            writer.close()
            gone.set()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    try:
        return await get(server.sockets[0].getsockname()[1], seconds=seconds)
    except FetchFailed as failed:
        return failed.reason, failed.detail
    finally:
        async with asyncio.timeout(5.0):
            await gone.wait()
        server.close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@asynccontextmanager
async def nodes_at(servers: Mapping[str, Server]) -> AsyncIterator[int]:
    """Serve at several loopback addresses on the one port that is yielded."""
    port = 0
    running = []
    try:
        for ip, serve in servers.items():
            running.append(await asyncio.start_server(serve, ip, port))
            port = running[0].sockets[0].getsockname()[1]
        yield port
    finally:
        for server in running:
            server.close()


def at(
    ip: str,
    *,
    created: float | None = LONG_AGO,
    pending: bool = False,
    host_network: bool = True,
) -> Target:
    runs = pod(f"uid-{ip}", node=f"node-{ip}", ip=ip, pending=pending, host_network=host_network)
    return target(node(runs.node, created=created, addresses=(ip,)), runs)
