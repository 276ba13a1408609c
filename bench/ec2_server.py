"""The simulated EC2 in a process of its own, with as many ENIs as are asked for.

`python -m bench.ec2_server --enis N` spreads N ENIs of 15 addresses over the nodes of a Kubernetes
API (--api, --token), or over instances that are in no cluster. Once it could answer every listing
from what it has written it prints one JSON line that says where it is, and serves until it is
ended or its standard input is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import cycle, islice
from typing import Any
from urllib.parse import urlencode

from bench.peers import ENIS_PER_NODE
from bench.serving import serve
from exporter.sim.ec2_actions import Ec2
from exporter.sim.ec2_api import Ec2Api
from exporter.sim.fleet import ZONES
from exporter.sim.vpc import (
    Instance,
    NewEni,
    Reservation,
    ReservationKind,
    Subnet,
    Vpc,
)

ADDRESSES = 15
VPC_ID = "vpc-0a1b2c3d4e5f60718"
_PAGE = 1_000
_NODES_PAGE = 500
# A subnet is a /16; beside what is reserved there, so many addresses are left to ENIs.
_SUBNET_ADDRESSES = 60_000
_LISTING = {"Action": "DescribeNetworkInterfaces", "MaxResults": str(_PAGE)}


@dataclass(frozen=True, slots=True)
class Machine:
    """An instance that shall have ENIs."""

    id: str
    type: str
    zone: str


def nodes_of(api: str, token: str) -> Iterator[Machine]:
    """Yield the instances of a cluster's nodes, those that are no instance left out."""
    following = ""
    while True:
        query = urlencode({"limit": str(_NODES_PAGE), "continue": following})
        headers = {"Authorization": f"Bearer {token}"}
        asked = urllib.request.Request(f"{api}/api/v1/nodes?{query}", headers=headers)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            page: dict[str, Any] = json.load(answer)
        for node in page["items"]:
            instance = node["spec"].get("providerID", "").rpartition("/")[2]
            labels = node["metadata"]["labels"]
            kind = labels.get("node.kubernetes.io/instance-type", "")
            if instance.startswith("i-") and kind:
                yield Machine(instance, kind, labels["topology.kubernetes.io/zone"])
        following = page["metadata"].get("continue", "")
        if not following:
            return


def made_up(count: int) -> Iterator[Machine]:
    """Yield instances of no cluster."""
    for number in range(count):
        yield Machine(f"i-{number:017x}", "m5.xlarge", ZONES[number % len(ZONES)])


def filled(machines: list[Machine], enis: int) -> Vpc:
    """Return a VPC in which the machines have so many ENIs, as evenly as it goes."""
    vpc = Vpc(time.time, id=VPC_ID)
    zones = sorted({machine.zone for machine in machines})
    most = -(-enis * ADDRESSES // len(zones))
    subnets = _subnets(vpc, zones, -(-most // _SUBNET_ADDRESSES))
    chosen = {zone: cycle(found) for zone, found in subnets.items()}
    launched: set[str] = set()
    for machine in islice(cycle(machines), enis):
        new = NewEni(
            subnet=next(chosen[machine.zone]).id,
            secondary=ADDRESSES - 1,
            description=f"aws-K8S-{machine.id}",
            tags=_tags(machine.id),
        )
        if machine.id not in launched:
            launched.add(machine.id)
            most_enis = -(-enis // len(machines))
            vpc.launch(Instance(machine.id, machine.type, most_enis, ADDRESSES), new)
        else:
            vpc.attach(vpc.create(new).id, machine.id)
    return vpc


def _subnets(vpc: Vpc, zones: list[str], each: int) -> Mapping[str, list[Subnet]]:
    """So many subnets in each zone, part of each reserved in either way."""
    found: dict[str, list[Subnet]] = {zone: [] for zone in zones}
    for number in range(each * len(zones)):
        zone = zones[number % len(zones)]
        cidr = IPv4Network(f"10.{number}.0.0/16")
        subnet = Subnet(vpc.new_id("subnet"), cidr, zone, f"id-of-{zone}", name=f"nodes-{number}")
        for kind, length in ((ReservationKind.PREFIX, 20), (ReservationKind.EXPLICIT, 28)):
            part = list(cidr.subnets(new_prefix=length))[-2]
            subnet.reserve(Reservation(vpc.new_id("scr"), part, kind))
        found[zone].append(vpc.add_subnet(subnet))
    return found


def _tags(instance: str) -> Mapping[str, str]:
    return {
        "cluster.k8s.amazonaws.com/name": "sim",
        "eks:eni:owner": "amazon-vpc-cni",
        "node.k8s.amazonaws.com/createdAt": "2026-10-01T12:00:00Z",
        "node.k8s.amazonaws.com/instance_id": instance,
    }


def _write_everything(ec2: Ec2) -> None:
    """List all ENIs once: what was written is kept, and listings cost little from then on."""
    fields = dict(_LISTING)
    while True:
        page = ec2.actions[_LISTING["Action"]].answer(fields, "bench", empty=False)
        _, found, rest = page[-1_000:].partition(b"<nextToken>")
        if not found:
            return
        fields["NextToken"] = rest.partition(b"<")[0].decode()


def main() -> None:
    """Fill a VPC, and serve it."""
    parser = argparse.ArgumentParser(prog="python -m bench.ec2_server", description=__doc__)
    parser.add_argument("--enis", type=int, default=20_000)
    parser.add_argument("--api", help="the Kubernetes API whose nodes have the ENIs")
    parser.add_argument("--token", default="")
    options = parser.parse_args()
    if options.api:
        machines = list(nodes_of(options.api, options.token))
    else:
        machines = list(made_up(-(-options.enis // ENIS_PER_NODE)))
    ec2 = Ec2(filled(machines, options.enis))
    _write_everything(ec2)
    asyncio.run(serve(Ec2Api(ec2).application(), "AWS_ENDPOINT_URL_EC2"))


if __name__ == "__main__":
    main()
