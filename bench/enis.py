"""Reading 20,000 ENIs of 15 addresses over HTTP: our parser against boto3's own, both in a thread.

EC2 (`bench.ec2_server`) is a process of its own, where there is a second core on that; so is each
way of reading, for its peak of memory. As in the daemon, what was read before is held while it is
read again, and garbage collection does not walk over it.

`python -m bench.enis [ENIS] [READS]` prints the figures as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import botocore.session

from bench.ec2_server import ADDRESSES, VPC_ID
from bench.lag import Lag, probe
from bench.processes import DAEMON_CORE, PEER_CORE, running
from bench.trend import percentile
from exporter.aws import Account, AwsConfig
from exporter.garbage import Garbage
from exporter.inputs.ec2 import Ec2

ENIS = 20_000
READS = 3
_PAGE = 1_000

Read = Callable[[], Awaitable[Sequence[object]]]


@asynccontextmanager
async def _ours() -> AsyncIterator[Read]:
    door = Ec2(Account(AwsConfig()))
    try:
        yield lambda: door.read_enis(vpc_ids=[VPC_ID])
    finally:
        await door.close()


@asynccontextmanager
async def _boto3() -> AsyncIterator[Read]:
    client = botocore.session.get_session().create_client("ec2")
    yield lambda: asyncio.to_thread(_listed, client)


def _listed(client: Any) -> list[Any]:
    pages = client.get_paginator("describe_network_interfaces").paginate(
        Filters=[{"Name": "vpc-id", "Values": [VPC_ID]}],
        PaginationConfig={"PageSize": _PAGE},
    )
    return [eni for page in pages for eni in page["NetworkInterfaces"]]


_WAYS: Mapping[str, Callable[[], AbstractAsyncContextManager[Read]]] = {
    "ours": _ours,
    "boto3": _boto3,
}


async def _measured(way: str, enis: int, reads: int) -> dict[str, float]:
    async with _WAYS[way]() as read:
        return await _read_again_and_again(read, enis, reads)


async def _read_again_and_again(read: Read, enis: int, reads: int) -> dict[str, float]:
    lags: list[Lag] = []
    garbage = Garbage(time.monotonic)
    garbage.start()
    watch = asyncio.create_task(probe(lags))
    before = _resident()
    used, took = [], []
    held: Sequence[object] = ()
    for _ in range(reads):
        cpu, began = time.process_time(), time.perf_counter()
        held = await read()
        used.append(time.process_time() - cpu)
        took.append(time.perf_counter() - began)
        assert len(held) == enis
        garbage.after_cycle()
    watch.cancel()
    late = [lag for _, lag in lags]
    return {
        "cpu_seconds": statistics.median(used),
        "seconds": statistics.median(took),
        "loop_lag_p99_seconds": percentile(late, 0.99),
        "loop_lag_max_seconds": max(late),
        "resident_before_mib": before,
        "resident_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _resident() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(enis: int = ENIS, reads: int = READS) -> dict[str, object]:
    """Return CPU, loop lag and memory of both, and how many times less CPU ours takes."""
    found: dict[str, Any] = {}
    with running(["bench.ec2_server", f"--enis={enis}"], {}, core=PEER_CORE) as server:
        assert server.stdout is not None
        settings = json.loads(server.stdout.readline())["aws_environment"]
        for way in _WAYS:
            command = ["bench.enis", "read", way, str(enis), str(reads)]
            with running(command, settings, core=DAEMON_CORE) as reader:
                found[way] = json.loads(reader.communicate()[0])
    ratio = found["boto3"]["cpu_seconds"] / found["ours"]["cpu_seconds"]
    rounded = {
        way: {name: round(value, 4) for name, value in figures.items()}
        for way, figures in found.items()
    }
    return {"enis": enis, "addresses": ADDRESSES, **rounded, "times_less_cpu": round(ratio, 1)}


def main() -> None:
    """Measure and print, or be one of the two readers."""
    match sys.argv[1:]:
        case ["read", way, enis, reads]:
            print(json.dumps(asyncio.run(_measured(way, int(enis), int(reads)))))
        case given:
            print(json.dumps(measure(*map(int, given)), indent=2))


if __name__ == "__main__":
    main()
