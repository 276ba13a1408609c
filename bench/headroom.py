"""How many more pods fit on thousands of nodes: what that adds to a cycle, by how scarce
addresses are."""

from __future__ import annotations

import functools
import json
import random
import statistics
import time
from collections.abc import Mapping

from exporter.core.headroom import headrooms
from exporter.core.model import (
    Discovery,
    Ec2Facts,
    Node,
    Pod,
    Read,
    Reading,
    Snapshot,
    Subnet,
    SubnetRoom,
    Target,
)
from exporter.core.node_enis import NodeEni
from exporter.core.node_rooms import free_spaces, node_rooms
from exporter.core.usage import node_usage

NODES = (5_000, 10_000)
ROUNDS = 5
_ZONES = 3
# ENIs, addresses for pods of each, and max-pods.
_TYPES = ((3, 9, 29), (4, 14, 58), (8, 29, 234))
_SETTINGS: Mapping[str, Mapping[str, str]] = {
    "addresses": {},
    "addresses_one_by_one": {"WARM_IP_TARGET": "3", "MINIMUM_IP_TARGET": "10"},
    "prefixes": {"ENABLE_PREFIX_DELEGATION": "true", "WARM_PREFIX_TARGET": "1"},
}
_FREE = {"plenty": 60_000, "scarce": 4_000, "none": 0}


def snapshot(count: int, env: Mapping[str, str], *, free: int, discovery: bool) -> Snapshot:
    """Nodes of three types with any number of pods, in one subnet of each of three zones.

    With `discovery` there is a second one for pods.
    """
    rng = random.Random(count)
    outcomes = tuple(_read(number, env, rng) for number in range(count))
    homes = {it.target.node.instance_id: f"subnet-{it.target.node.zone}-0" for it in outcomes}
    subnets = [_subnet(str(zone), n) for zone in range(_ZONES) for n in range(1 + discovery)]
    rooms = {it.id: SubnetRoom(it, free, 0, free // 20, 0) for it in subnets}
    enis = {it.target.node.instance_id: _enis(it) for it in outcomes}
    return Snapshot(
        time=1e9,
        discovery=Discovery(tuple(it.target for it in outcomes), nodes_known=True),
        outcomes=outcomes,
        ec2=Ec2Facts(homes=homes, rooms=rooms, node_enis=enis),
    )


@functools.cache
def _shared(subnet: str, enis: int) -> tuple[NodeEni, ...]:
    return tuple(NodeEni(subnet, singles=9, primary=not number) for number in range(enis))


def _enis(outcome: Read) -> tuple[NodeEni, ...]:
    return _shared(f"subnet-{outcome.target.node.zone}-0", outcome.reading.enis)


def _subnet(zone: str, number: int) -> Subnet:
    return Subnet(
        id=f"subnet-{zone}-{number}",
        vpc_id="vpc",
        zone=zone,
        zone_id=zone,
        cidr=f"10.{zone}.0.0/16",
        available=0,
        tags={"kubernetes.io/role/cni": "1"} if number else {},
    )


def _read(number: int, env: Mapping[str, str], rng: random.Random) -> Read:
    """A node at rest, near enough."""
    enis, slots, max_pods = rng.choice(_TYPES)
    prefixes = 0
    if "ENABLE_PREFIX_DELEGATION" in env:
        max_pods = 110 if max_pods < 110 else 250
        assigned = rng.randint(0, min(max_pods - 3, 16 * (slots - 2)))
        prefixes, used = assigned // 16 + 2, 1
        attached = 16 * prefixes
    else:
        assigned = rng.randint(0, min(max_pods - 3, enis * slots))
        wanted = max(assigned + 3, 10) if env else assigned + slots
        attached = min(wanted if env else -(-wanted // slots) * slots, enis * slots)
        used = -(-attached // slots)
    node = Node(
        name=f"node-{number}",
        instance_id=f"i-{number}",
        zone=str(number % _ZONES),
        nodegroup=f"group-{rng.randrange(10)}",
        max_pods=max_pods,
        addresses=(),
    )
    pod = Pod(
        uid=f"uid-{number}",
        name="aws-node",
        namespace="kube-system",
        node=node.name,
        cni_version="v1.23.1",
        env=env,
    )
    reading = Reading(
        time=1e9,
        started=1.0,
        assigned=assigned,
        attached=attached,
        enis=used,
        eni_max=enis,
        ip_max=enis * slots * (16 if prefixes else 1),
        prefixes=prefixes,
    )
    return Read(Target(node, pod, rng.randint(2, 6)), reading)


def measure() -> dict[str, dict[str, float]]:
    """Return milliseconds per cycle by settings and by what is free, the median of some rounds."""
    return {
        str(count): {
            f"{name}_{free}{'_with_discovery' if discovery else ''}": _milliseconds(
                snapshot(count, env, free=_FREE[free], discovery=discovery)
            )
            for name, env in _SETTINGS.items()
            for free in _FREE
            for discovery in (False, True)
        }
        for count in NODES
    }


def _milliseconds(shot: Snapshot) -> float:
    usages = [
        node_usage(it, 0.0, shot.ec2.homes[it.target.node.instance_id]) for it in shot.outcomes
    ]
    groupings = [it.zone for it in usages], [it.nodegroup for it in usages]
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        headrooms(node_rooms(usages, shot), free_spaces(shot), groupings)
        took.append(1_000 * (time.perf_counter() - began))
    return round(statistics.median(took), 1)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
