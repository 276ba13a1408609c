"""Cold HTTP reads of a node's page: ours against aiohttp's client, one connection per request.

The server is a process of its own, where there is a second core on that.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import cast

import aiohttp
import uvloop

from bench.processes import DAEMON_CORE, PEER_CORE, pin, running
from exporter.inputs import http

PAGE = Path(__file__).parents[1] / "tests" / "data" / "pages" / "v1.20.prom"
REQUESTS = 5_000
CONCURRENCY = 200
ROUNDS = 5

Get = Callable[[], Awaitable[bytes]]
Client = Callable[[int], Coroutine[None, None, None]]
Run = Callable[[Coroutine[None, None, None]], None]


class _Answer(asyncio.Protocol):
    """Answers as a node does, then ends the connection."""

    body = PAGE.read_bytes()
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.answer)
        self.transport.close()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answer, "127.0.0.1", 0, backlog=1_024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _ours(port: int) -> None:
    deadline = asyncio.get_running_loop().time() + 300.0
    await _many(lambda: http.get("127.0.0.1", port, path="/metrics", deadline=deadline))


async def _aiohttp(port: int) -> None:
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=300.0)
    url = f"http://127.0.0.1:{port}/metrics"
    headers = {"Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, headers=headers
    ) as session:

        async def get() -> bytes:
            async with session.get(url, allow_redirects=False) as response:
                return await response.read()

        await _many(get)


async def _many(get: Get) -> None:
    left = iter(range(REQUESTS))

    async def work() -> None:
        for _ in left:
            body = await get()
            assert len(body) == len(_Answer.body)

    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(work())


CLIENTS: dict[str, tuple[Client, Run]] = {
    "aiohttp_asyncio": (_aiohttp, asyncio.run),
    "aiohttp_uvloop": (_aiohttp, uvloop.run),
    "ours_asyncio": (_ours, asyncio.run),
    "ours_uvloop": (_ours, uvloop.run),
}


def measure() -> dict[str, dict[str, float]]:
    """Return speed and CPU of each client, medians of rounds taken in turn, and ratios."""
    pin(0, DAEMON_CORE)
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in CLIENTS}
    with running(["bench.clients", "serve"], {}, core=PEER_CORE) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        for _ in range(ROUNDS):
            for name, (client, run) in CLIENTS.items():
                began, used = time.perf_counter(), time.process_time()
                run(client(port))
                rounds[name].append((time.perf_counter() - began, time.process_time() - used))
    figures = {name: _figures(found) for name, found in rounds.items()}
    baseline = figures["aiohttp_asyncio"]
    for found in figures.values():
        found["times_as_fast"] = found["requests_per_second"] / baseline["requests_per_second"]
        found["times_less_cpu"] = baseline["cpu_us_per_request"] / found["cpu_us_per_request"]
    return {
        client: {name: round(value, 2) for name, value in found.items()}
        for client, found in figures.items()
    }


def _figures(found: list[tuple[float, float]]) -> dict[str, float]:
    return {
        "requests_per_second": REQUESTS / statistics.median(wall for wall, _ in found),
        "cpu_us_per_request": statistics.median(cpu for _, cpu in found) / REQUESTS * 1e6,
    }


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        uvloop.run(_serve())
    else:
        print(json.dumps(measure(), indent=2))
