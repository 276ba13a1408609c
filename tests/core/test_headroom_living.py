"""The headroom by what is read of a living cluster, against the pods that its nodes then take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from exporter.core import model
from exporter.core.headroom import Headroom
from exporter.core.model import Discovery, Ec2Facts, InstanceType, Read, Reservation, Snapshot
from exporter.core.new_nodes import with_node_headroom
from exporter.core.owners import Use, classify
from exporter.core.report import Memory, step
from exporter.core.subnets import Memory as Accounted
from exporter.core.subnets import (
    SubnetUsage,
    Survey,
    accounts,
    facts_of,
    node_enis,
    nodes_of,
    rooms,
)
from exporter.core.usage import Usage
from exporter.sim import vpc as simulated
from exporter.sim.living.kubelets import LivingNode
from exporter.sim.living.trial import Trial, rest
from exporter.sim.living.types import GROUPS
from exporter.sim.living.world import World
from exporter.sim.vpc import NewEni
from tests.builders import NOW, node, pod, reading, target
from tests.sim.living import SECONDARY, begun, process, stepped

pytestmark = pytest.mark.long

SECURITY_GROUPS = {"ENABLE_POD_ENI": "true"}
BY_ADDRESS = {"WARM_IP_TARGET": "3", "MINIMUM_IP_TARGET": "10"}
TYPES = {
    group.type.name: InstanceType(
        name=group.type.name,
        enis=group.type.enis,
        ipv4_per_eni=group.type.ipv4_per_eni,
        vcpus=group.type.cpu // 1000,
        hypervisor="nitro" if group.type.nitro else "xen",
    )
    for group in GROUPS.values()
}


def read(world: World, it: LivingNode) -> Read:
    """What is read of a node from Kubernetes and from its page."""
    machine, gauges = it.node.machine, process(it).state().gauges
    env, version = world.cluster.plan.env, process(it).version
    where = target(
        node(
            it.node.name,
            instance_id=it.node.instance_id,
            instance_type=machine.instance_type,
            zone=machine.zone,
            nodegroup=machine.group,
            max_pods=machine.max_pods,
            pod_eni_capacity=machine.pod_eni if it.host.pool.has_trunk else None,
        ),
        pod(f"aws-node-{it.node.name}", node=it.node.name, env=env, cni_version=version),
        it.node.host_network_pods,
    )
    return Read(
        where,
        reading(
            assigned=gauges.assigned,
            attached=gauges.total,
            enis=gauges.enis,
            eni_max=gauges.eni_max,
            ip_max=gauges.ip_max,
            prefixes=gauges.prefixes,
        ),
    )


def as_told(eni: simulated.Eni) -> model.Eni:
    at = eni.attachment
    return model.Eni(
        id=eni.id,
        subnet_id=eni.subnet,
        status=eni.status,
        interface_type=eni.interface_type,
        description=eni.description,
        requester_id=eni.requester,
        requester_managed=eni.requester_managed,
        owner_id=eni.owner,
        instance_id="" if at is None else at.instance,
        instance_owner_id="" if at is None else at.instance_owner,
        attached=at is not None,
        device_index=None if at is None else at.device,
        addresses=(eni.primary, *eni.secondary),
        prefixes=tuple(eni.prefixes),
        tags=eni.tags,
    )


def subnet_as_told(vpc: simulated.Vpc, it: simulated.Subnet) -> model.Subnet:
    return model.Subnet(
        id=it.id,
        vpc_id=vpc.id,
        zone=it.zone,
        zone_id=it.zone_id,
        cidr=str(it.cidr),
        available=it.available,
        tags=it.tags,
        reservations=tuple(Reservation(str(r.cidr), r.kind.value) for r in it.reservations),
    )


@dataclass(frozen=True)
class Seen:
    """What an exporter reads, and its accounts of the subnets."""

    snapshot: Snapshot
    usages: tuple[SubnetUsage, ...]


def seen(world: World, nodes: Iterable[LivingNode]) -> Seen:
    outcomes = tuple(read(world, it) for it in nodes)
    discovery = Discovery(tuple(it.target for it in outcomes), nodes_known=True)
    enis = tuple(as_told(eni) for eni in world.vpc.visible_enis())
    facts = replace(facts_of(discovery), nodes=nodes_of(outcomes, enis))
    owned = [(eni, classify(eni, facts)) for eni in enis]
    subnets = tuple(subnet_as_told(world.vpc, it) for it in world.vpc.subnets.values())
    by_subnet = {it.id: tuple(eni for eni in enis if eni.subnet_id == it.id) for it in subnets}
    survey = Survey(subnets=subnets, enis=by_subnet, facts=facts, outcomes=outcomes)
    usages = accounts(Accounted(), survey, NOW)[1]
    told = Ec2Facts(
        homes={it.node.instance_id: it.host.ec2.home for it in nodes},
        types=TYPES,
        rooms=rooms(usages),
        pod_enis=Counter(who.instance for _, who in owned if who.use is Use.POD_BRANCH),
        node_enis=node_enis(owned),
    )
    return Seen(Snapshot(NOW, discovery, outcomes, told), usages)


def crowd(world: World, left: int) -> None:
    """Let others take addresses of every subnet until so many are left."""
    for subnet in world.vpc.subnets.values():
        while subnet.available > left:
            world.vpc.create(NewEni(subnet=subnet.id))


@dataclass(frozen=True)
class Scene:
    """What is read of a living cluster at rest, and what it has room for by trying."""

    seen: Seen
    room: Mapping[str, Any]
    prefixes: bool


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("normal", {}, 20, None), id="prefixes"),
        pytest.param(("normal", SECONDARY, 20, None), id="addresses"),
        pytest.param(("normal", SECONDARY, 20, 37), id="few addresses"),
        pytest.param(("normal", {**SECONDARY, **BY_ADDRESS}, 20, 20), id="one by one"),
        pytest.param(("normal", {**SECONDARY, **SECURITY_GROUPS}, 30, 25), id="branch ENIs"),
        pytest.param(("exhaustion", {}, 150, None), id="prefixes run out"),
        pytest.param(("exhaustion", SECONDARY, 150, 11), id="addresses run out"),
        pytest.param(("discovery", SECONDARY, 30, 30), id="subnet discovery"),
    ],
)
def scene(request: pytest.FixtureRequest) -> Scene:
    scenario, env, steps, left = request.param
    story, cluster = begun(12, scenario=scenario, env=env, seed=3)
    stepped(story, cluster, steps)
    rest(story.world)
    if left is not None:
        crowd(story.world, left)
        rest(story.world)
    trial = Trial.of(story.world)
    return Scene(
        seen(story.world, trial.nodes), trial.told(), story.world.settings.prefix_delegation
    )


def pods(headroom: Headroom | None) -> int | None:
    return None if headroom is None else headroom.pods


def test_each_node_takes_as_many_pods_as_is_said_of_it(scene: Scene) -> None:
    nodes = step(Memory(), scene.seen.snapshot)[1].nodes
    assert {it.name: pods(it.headroom) for it in nodes} == scene.room["nodes"]


def test_together_they_take_as_many_as_is_said_of_every_scope(scene: Scene) -> None:
    report = step(Memory(), scene.seen.snapshot)[1]

    def told(usages: Iterable[Usage]) -> dict[str, int | None]:
        return {it.name: pods(it.headroom) for it in usages}

    assert told([report.cluster]) == {"": scene.room["cluster"]}
    assert told(report.zones) == scene.room["zones"]
    assert told(report.nodegroups) == scene.room["nodegroups"]


def test_as_many_nodes_start_in_a_subnet_as_is_said_of_it(scene: Scene) -> None:
    told = with_node_headroom(scene.seen.usages, scene.seen.snapshot)

    found = {it.subnet.id: it.node_headroom for it in told if it.node_headroom}

    assert found.keys() == scene.room["subnets"].keys()
    for subnet, started in scene.room["subnets"].items():
        assert found[subnet].keys() == started.keys()
        # With prefixes the nodes' own addresses may break fewer blocks than they could.
        assert scene.prefixes or found[subnet] == started
        assert all(count <= started[type] for type, count in found[subnet].items())
