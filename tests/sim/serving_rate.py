"""Measures how fast the simulated nodes answer, every request on a fresh connection.

`python -m tests.sim.serving_rate --nodes 5000` starts a simulator, reads every node some times from
one small client, and prints one JSON line.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import cast
from urllib.request import urlopen

import uvloop

_REQUEST = b"GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"


class _Read(asyncio.Protocol):
    """One request on a connection of its own."""

    def __init__(self, done: asyncio.Future[int]) -> None:
        self._done = done
        self._size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        self._size += len(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(self._size)


async def _read(address: str, port: int) -> int:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[int] = loop.create_future()
    await loop.create_connection(lambda: _Read(done), address, port)
    return await done


async def _rounds(addresses: list[str], port: int, rounds: int) -> dict[str, object]:
    seconds, sizes = [], []
    for _ in range(rounds):
        pending = iter(addresses)
        began = time.perf_counter()

        async def worker(pending: Iterator[str] = pending) -> None:
            for address in pending:
                sizes.append(await _read(address, port))

        await asyncio.gather(*(worker() for _ in range(200)))
        seconds.append(time.perf_counter() - began)
    rates = [round(len(addresses) / one) for one in seconds]
    return {
        "requests_per_second": rates,
        "bytes_per_page": sum(sizes) // len(sizes),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    began = time.perf_counter()
    command = [sys.executable, "-m", "exporter.sim", "--uvloop", "--nodes", str(arguments.nodes)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as simulator:
        assert simulator.stdout is not None
        where = json.loads(simulator.stdout.readline())
        started = time.perf_counter() - began
        with urlopen(where["control"] + "/state") as answer:
            nodes = json.load(answer)["nodes"]
        addresses = [node["address"] for node in nodes if node["kind"] == "regular"]
        result = uvloop.run(_rounds(addresses, where["ipamd_port"], arguments.rounds))
        assert simulator.stdin is not None
        simulator.stdin.close()
    print(json.dumps({"nodes": arguments.nodes, "start_seconds": round(started, 2), **result}))


if __name__ == "__main__":
    main()
