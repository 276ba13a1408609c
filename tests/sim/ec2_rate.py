"""Measures how fast the simulated EC2 lists ENIs, page after page over one connection.

`python -m tests.sim.ec2_rate --enis 20000` serves a VPC with so many ENIs of 15 addresses, lists
them some times from one small client, and prints one JSON line.
"""

import argparse
import asyncio
import http.client
import json
import re
import resource
import time
from ipaddress import IPv4Network
from urllib.parse import urlencode

from exporter.sim.ec2_actions import Ec2
from exporter.sim.ec2_api import Ec2Api
from exporter.sim.listener import Listener
from exporter.sim.vpc import NewEni, Subnet, Vpc

_TAGS = {
    "node.k8s.amazonaws.com/instance_id": "i-0123456789abcdef0",
    "cluster.k8s.amazonaws.com/name": "sim",
    "eks:eni:owner": "amazon-vpc-cni",
}
_TOKEN = re.compile(rb"<nextToken>(.*?)</nextToken>")


def _vpc(enis: int) -> Vpc:
    vpc = Vpc(time.time)
    count = 1 + enis * 15 // 60_000
    for number in range(count):
        cidr = IPv4Network(f"10.{number}.0.0/16")
        vpc.add_subnet(Subnet(vpc.new_id("subnet"), cidr, "eu-central-1a", "euc1-az2"))
    subnets = list(vpc.subnets.values())
    for number in range(enis):
        subnet = subnets[number % count]
        vpc.create(NewEni(subnet=subnet.id, secondary=14, description="aws-K8S-i", tags=_TAGS))
    return vpc


def _list(url: str) -> tuple[int, int]:
    """List all ENIs, and return pages and bytes."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    pages = size = 0
    fields = {"Action": "DescribeNetworkInterfaces", "MaxResults": "1000"}
    while True:
        connection.request("POST", "/", urlencode(fields), {"Authorization": "signed"})
        body = connection.getresponse().read()
        pages, size = pages + 1, size + len(body)
        token = _TOKEN.search(body[-200:])
        if token is None:
            return pages, size
        fields["NextToken"] = token[1].decode()


async def _measure(enis: int, times: int) -> dict[str, float]:
    listener = Listener(Ec2Api(Ec2(_vpc(enis))).application())
    await listener.start()
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        pages, size = await asyncio.to_thread(_list, listener.url)
        spent.append(time.perf_counter() - began)
    await listener.stop()
    return {
        "pages": pages,
        "megabytes": round(size / 1e6, 1),
        "first_listing_s": round(spent[0], 3),
        "later_listing_s": round(min(spent[1:]), 3),
        "pages_per_s": round(pages / min(spent[1:]), 1),
        "resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--enis", type=int, default=20_000)
    parser.add_argument("--times", type=int, default=4)
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(_measure(arguments.enis, arguments.times))))


if __name__ == "__main__":
    main()
