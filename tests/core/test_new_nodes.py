"""How many more nodes of the types in use fit into the subnets that nodes are in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from exporter.core.model import InstanceType, Outcome, Target
from exporter.core.new_nodes import with_node_headroom
from exporter.core.subnets import SubnetUsage, rooms
from tests.builders import node, pod, read, snapshot, subnet_usage, target, unread, without_enis

LARGE = InstanceType(name="m5.large", enis=3, ipv4_per_eni=10, vcpus=2, hypervisor="nitro")
OLD = InstanceType(name="m4.large", enis=2, ipv4_per_eni=10, vcpus=2, hypervisor="xen")
CUSTOM = {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"}
PREFIXES = {"ENABLE_PREFIX_DELEGATION": "true", "WARM_PREFIX_TARGET": "1"}
# 151 addresses free, and of the blocks six are free and one is kept for prefixes.
HOME, PODS = subnet_usage("subnet-a"), subnet_usage("subnet-b", free=44)


def runs(
    name: str = "node-1",
    env: Mapping[str, str] | None = None,
    *,
    type: str = "m5.large",
    max_pods: int | None = 110,
    eniconfig: str = "",
    pod_eni_capacity: int | None = None,
) -> Target:
    machine = node(
        name,
        instance_id=f"i-{name}",
        instance_type=type,
        max_pods=max_pods,
        pod_eni_capacity=pod_eni_capacity,
    )
    where = target(machine, pod(name, node=name, env=env, cni_version="v1.23.1"))
    return replace(where, eniconfig=eniconfig)


def found(
    *targets: Target,
    usages: tuple[SubnetUsage, ...] = (HOME, PODS),
    homes: Mapping[str, str] | None = None,
    types: tuple[InstanceType, ...] = (LARGE, OLD),
    eniconfigs: Mapping[str, str] | None = None,
) -> dict[str, Mapping[str, int]]:
    """The counts by subnet and type, of nodes that are in subnet-a unless said."""
    outcomes: list[Outcome] = [read(it) for it in targets]
    shot = snapshot(
        *outcomes,
        subnets={it.node.instance_id: "subnet-a" for it in targets} | dict(homes or {}),
        rooms=rooms(usages).values(),
        types=types,
        eniconfigs=eniconfigs,
    )
    told = with_node_headroom(usages, shot)
    before = [replace(it, node_headroom={}) for it in usages]
    assert [replace(it, node_headroom={}) for it in told] == before
    return {it.subnet.id: it.node_headroom for it in told}


def test_of_every_type_in_use_as_many_fit_as_the_subnet_has_addresses_for() -> None:
    bare = (replace(HOME, node_headroom={}), replace(PODS, node_headroom={}))
    assert found(runs(), runs("node-2", type="m4.large"), usages=bare) == {
        "subnet-a": {"m4.large": 15, "m5.large": 15},
        "subnet-b": {},
    }


def test_a_type_is_in_use_though_its_nodes_are_in_another_subnet_or_were_not_read() -> None:
    shot = snapshot(
        unread(runs()),
        unread(runs("node-2", type="m4.large")),
        subnets={"i-node-1": "subnet-a", "i-node-2": "subnet-b"},
        rooms=rooms((HOME, PODS)).values(),
        types=(LARGE, OLD),
    )
    assert [it.node_headroom for it in with_node_headroom((HOME, PODS), shot)] == [
        {"m4.large": 15, "m5.large": 15},
        {"m4.large": 4, "m5.large": 4},
    ]


def test_a_new_node_is_like_most_of_its_type() -> None:
    small = {"WARM_IP_TARGET": "1"}
    targets = runs(), runs("node-2", small), runs("node-3", small)
    assert found(*targets)["subnet-a"] == {"m5.large": 75}


@pytest.mark.parametrize(
    ("env", "usage", "count"),
    [
        pytest.param(PREFIXES, HOME, 2, id="a block of those kept, and one that nothing breaks"),
        pytest.param(CUSTOM, PODS, 4, id="one address here, ten in the pods' subnet"),
    ],
)
def test_a_new_node_goes_by_the_settings_in_force(
    env: Mapping[str, str], usage: SubnetUsage, count: int
) -> None:
    where = runs(env=env, eniconfig="zone-a")
    counted = found(where, eniconfigs={"zone-a": usage.subnet.id})
    assert counted["subnet-a"] == {"m5.large": count}


def test_a_trunk_takes_an_address_where_nodes_of_the_type_have_one() -> None:
    where = runs(env={"ENABLE_POD_ENI": "true"}, pod_eni_capacity=9)
    assert found(where)["subnet-a"] == {"m5.large": 13}


def test_pods_are_where_those_of_the_subnets_nodes_are_of_the_type_if_there_are_any() -> None:
    named = {"here": "subnet-a", "there": "subnet-b"}
    here = runs(env=CUSTOM, eniconfig="here")
    there = runs("node-2", CUSTOM, type="m4.large", eniconfig="there")
    assert found(here, there, eniconfigs=named)["subnet-a"] == {"m4.large": 4, "m5.large": 13}
    third = runs("node-3", CUSTOM, type="m5.large", eniconfig="there")
    elsewhere = {"i-node-3": "subnet-b"}
    both = found(here, third, homes=elsewhere, eniconfigs=named)
    assert [both["subnet-a"], both["subnet-b"]] == [{"m5.large": 13}, {"m5.large": 4}]


@pytest.mark.parametrize(
    "targets",
    [
        pytest.param((Target(node("node-1")),), id="no aws-node pod"),
        pytest.param((runs(type=""),), id="no type"),
        pytest.param((runs(type="x9.huge"),), id="a type that EC2 does not know"),
        pytest.param((runs(max_pods=None),), id="max-pods not known"),
        pytest.param((runs(env={"ENABLE_IPv6": "true"}),), id="IPv6"),
        pytest.param((runs(env={"ENABLE_MULTI_NIC": "true"}),), id="several cards"),
        pytest.param((runs(env=CUSTOM),), id="the ENIConfig is not known"),
        pytest.param(
            (runs(env=CUSTOM, eniconfig="here"), runs("node-2", CUSTOM, eniconfig="there")),
            id="pods in two places",
        ),
    ],
)
def test_nothing_is_said_where_it_is_not_known_what_a_node_would_take(
    targets: tuple[Target, ...],
) -> None:
    named = {"here": "subnet-a", "there": "subnet-b"}
    told = found(*targets, usages=(replace(HOME, node_headroom={}),), eniconfigs=named)
    assert told == {"subnet-a": {}}


def test_without_the_enis_of_a_subnet_only_types_without_prefixes_are_told() -> None:
    bare = without_enis("subnet-b", free=44)
    where = runs(env=PREFIXES), runs("node-2", PREFIXES, type="m4.large")
    homes = {"i-node-1": "subnet-b", "i-node-2": "subnet-b"}
    assert found(*where, usages=(bare,), homes=homes) == {"subnet-b": {"m4.large": 4}}
