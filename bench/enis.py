"""Reading 20,000 ENIs of 15 addresses over HTTP: our parser against boto3's own, both in a thread.

EC2 is a process of its own, where there is a second core on that; so is each way of reading, for
its peak of memory. As in the daemon, what was read before is held while it is read again, and
garbage collection does not walk over it.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs

import botocore.session

from bench.lag import probe
from exporter.garbage import Garbage
from exporter.inputs.ec2 import Ec2, Ec2Config

ENIS = 20_000
ADDRESSES = 15
READS = 3
_PAGE = 1_000

Read = Callable[[], Awaitable[Sequence[object]]]


def _page(first: int) -> bytes:
    following = f"<nextToken>{first + _PAGE}</nextToken>" if first + _PAGE < ENIS else ""
    enis = "".join(_eni(number) for number in range(first, first + _PAGE))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<DescribeNetworkInterfacesResponse '
        'xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">\n    <requestId>1</requestId>\n'
        f"    <networkInterfaceSet>\n{enis}    </networkInterfaceSet>\n    {following}\n"
        "</DescribeNetworkInterfacesResponse>\n"
    ).encode()


def _eni(number: int) -> str:
    instance = f"i-{number // 4:017x}"
    tags = {
        "cluster.k8s.amazonaws.com/name": "production",
        "eks:eni:owner": "amazon-vpc-cni",
        "node.k8s.amazonaws.com/createdAt": "2026-10-01T12:00:00Z",
        "node.k8s.amazonaws.com/instance_id": instance,
    }
    attachment = {
        "attachTime": "2026-10-01T12:00:00.000Z",
        "attachmentId": f"eni-attach-{number:017x}",
        "deleteOnTermination": "true",
        "deviceIndex": str(number % 4),
        "instanceId": instance,
        "instanceOwnerId": "111122223333",
        "networkCardIndex": "0",
        "status": "attached",
    }
    said: dict[str, object] = {
        "attachment": attachment,
        "availabilityZone": "eu-central-1a",
        "description": f"aws-K8S-{instance}",
        "groupSet": [{"groupId": "sg-0123456789abcdef0", "groupName": "nodes"}],
        "interfaceType": "interface",
        "ipv6AddressesSet": [],
        "macAddress": "02:00:00:00:00:00",
        "networkInterfaceId": f"eni-{number:017x}",
        "ownerId": "111122223333",
        "privateDnsName": _address(number, 0)["privateDnsName"],
        "privateIpAddress": _address(number, 0)["privateIpAddress"],
        "privateIpAddressesSet": [_address(number, index) for index in range(ADDRESSES)],
        "requesterId": f"AROAEXAMPLE:{instance}",
        "requesterManaged": "false",
        "sourceDestCheck": "true",
        "status": "in-use",
        "subnetId": f"subnet-{number % 6:017x}",
        "tagSet": [{"key": key, "value": value} for key, value in tags.items()],
        "vpcId": "vpc-0123456789abcdef0",
    }
    return _element("item", said, " " * 8)


def _address(number: int, index: int) -> dict[str, str]:
    value = number * 16 + index
    parts = (10, value >> 16 & 255, value >> 8 & 255, value & 255)
    name = "-".join(str(part) for part in parts)
    return {
        "primary": "false" if index else "true",
        "privateDnsName": f"ip-{name}.eu-central-1.compute.internal",
        "privateIpAddress": ".".join(str(part) for part in parts),
    }


def _element(name: str, said: object, indent: str) -> str:
    """Lay it out as EC2 does, one element a line."""
    if isinstance(said, str):
        return f"{indent}<{name}>{said}</{name}>\n"
    inner = indent + "    "
    if isinstance(said, dict):
        parts = "".join(_element(key, value, inner) for key, value in said.items())
    else:
        assert isinstance(said, list)
        parts = "".join(_element("item", value, inner) for value in said)
    return f"{indent}<{name}>\n{parts}{indent}</{name}>\n" if parts else f"{indent}<{name}/>\n"


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together
    pages: ClassVar[dict[int, bytes]] = {}

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        page = self.pages[int(parse_qs(text).get("NextToken", ["0"])[0])]
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _serve() -> None:
    _Answer.pages = {first: _page(first) for first in range(0, ENIS, _PAGE)}
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


async def _ours() -> Sequence[object]:
    door = Ec2(Ec2Config())
    try:
        return await door.read_enis(vpc_ids=["vpc-0123456789abcdef0"])
    finally:
        await door.close()


async def _boto3() -> Sequence[object]:
    return await asyncio.to_thread(_listed)


def _listed() -> list[Any]:
    client = botocore.session.get_session().create_client("ec2")
    pages = client.get_paginator("describe_network_interfaces").paginate(
        Filters=[{"Name": "vpc-id", "Values": ["vpc-0123456789abcdef0"]}],
        PaginationConfig={"PageSize": _PAGE},
    )
    return [eni for page in pages for eni in page["NetworkInterfaces"]]


_WAYS: dict[str, Read] = {"ours": _ours, "boto3": _boto3}


async def _measured(read: Read) -> dict[str, float]:
    lags: list[float] = []
    garbage = Garbage(time.monotonic)
    garbage.start()
    watch = asyncio.create_task(probe(lags))
    before = _resident()
    used, took = [], []
    held: Sequence[object] = ()
    for _ in range(READS):
        cpu, began = time.process_time(), time.perf_counter()
        held = await read()
        used.append(time.process_time() - cpu)
        took.append(time.perf_counter() - began)
        assert len(held) == ENIS
        garbage.after_cycle()
    watch.cancel()
    lags.sort()
    return {
        "cpu_seconds": statistics.median(used),
        "seconds": statistics.median(took),
        "loop_lag_p99_seconds": lags[int(len(lags) * 0.99)],
        "loop_lag_max_seconds": lags[-1],
        "resident_before_mib": before,
        "resident_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _resident() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def _server() -> Iterator[int]:
    with _child("serve", core=1) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def _child(*arguments: str, core: int, **variables: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.enis", *arguments],
        stdout=subprocess.PIPE,
        env={**os.environ, **variables},
    )
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, {core % (os.cpu_count() or 1)})
    return process


def measure() -> dict[str, object]:
    """Return CPU, loop lag and memory of both, and how many times less CPU ours takes."""
    found: dict[str, Any] = {}
    with _server() as port:
        for way in _WAYS:
            with _child("read", way, core=0, **_variables(port)) as process:
                assert process.stdout is not None
                found[way] = json.loads(process.stdout.read())
    ratio = found["boto3"]["cpu_seconds"] / found["ours"]["cpu_seconds"]
    rounded = {
        way: {name: round(value, 4) for name, value in figures.items()}
        for way, figures in found.items()
    }
    return {"enis": ENIS, "addresses": ADDRESSES, **rounded, "times_less_cpu": round(ratio, 1)}


def _variables(port: int) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }


def main() -> None:
    """Measure and print, or be one of the two other processes."""
    match sys.argv[1:]:
        case ["serve"]:
            _serve()
        case ["read", way]:
            print(json.dumps(asyncio.run(_measured(_WAYS[way]))))
        case _:
            print(json.dumps(measure(), indent=2))


if __name__ == "__main__":
    main()
