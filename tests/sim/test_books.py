from collections.abc import Mapping
from typing import Any

import pytest

from exporter.sim import Simulation, books
from exporter.sim.books import UNREAD_REASONS
from exporter.sim.cluster import Cluster
from exporter.sim.events import FOREIGN_ADDRESS
from exporter.sim.facts import Facts, Gauges, Page
from exporter.sim.ledger import Ledger
from exporter.sim.nodes import Kind, Machine, Node
from exporter.sim.replay import Recorded
from tests.sim.client import AWS_NODE, ask, name, on_loop, read_all, small

NOW = 1_800_000_000.0
ZONE = "eu-central-1a"


def clock() -> float:
    return NOW


def process(gauges: Gauges | None) -> Recorded:
    return Recorded(Page(b"", Facts(gauges, {}, 0.0)))


def cluster_of(*machines: tuple[Machine, Gauges | None], age: float = 3600) -> Cluster:
    cluster = Cluster(clock)
    for machine, gauges in machines:
        cluster.add(cluster.new_node(machine, age=age), process(gauges))
    return cluster


def machine(**changes: Any) -> Machine:
    return Machine(**{"instance_type": "m5.large", "zone": ZONE, "max_pods": 29, **changes})


def truth(cluster: Cluster) -> dict[str, dict[tuple[str, ...], float]]:
    """The samples, by label values in the order of label names, since the names are in no doubt."""
    return {
        metric: {tuple(labels[key] for key in sorted(labels)): value for labels, value in found}
        for metric, found in books.samples(cluster, Ledger(clock)).items()
    }


SECONDARY = Gauges(assigned=6, total=18, enis=2, eni_max=3, ip_max=27, prefixes=0)
PREFIX = Gauges(assigned=20, total=32, enis=2, eni_max=3, ip_max=432, prefixes=2)
MIXED = Gauges(assigned=20, total=35, enis=2, eni_max=3, ip_max=432, prefixes=2)
IPV6 = Gauges(assigned=4, total=2**48, enis=1, eni_max=3, ip_max=0, prefixes=0)
TOO_FEW = Gauges(assigned=6, total=5, enis=2, eni_max=3, ip_max=27, prefixes=0)


def test_sums_run_over_what_is_read_and_stand_beside_what_is_not() -> None:
    cluster = cluster_of(
        (machine(group="a"), SECONDARY),
        (machine(group="b", zone="eu-central-1b", pod_eni=9), PREFIX),
        (machine(group="b", zone="eu-central-1b"), TOO_FEW),
    )
    found = truth(cluster)
    assert found["vpc_cni_cluster_nodes"] == {("read",): 2, ("unread",): 1}
    assert found["vpc_cni_cluster_unread_nodes"] == {
        (reason,): int(reason == "inconsistent") for reason in UNREAD_REASONS
    }
    assert found["vpc_cni_cluster_ip_addresses"] == {("assigned",): 26, ("warm",): 24}
    assert found["vpc_cni_cluster_ip_capacity"] == {(): 27 + 288}
    assert found["vpc_cni_cluster_enis"] == {(): 4}
    assert found["vpc_cni_cluster_eni_capacity"] == {(): 6}
    assert found["vpc_cni_cluster_delegated_prefixes"] == {(): 2}
    assert found["vpc_cni_zone_ip_addresses"] == {
        ("assigned", ZONE): 6,
        ("warm", ZONE): 12,
        ("assigned", "eu-central-1b"): 20,
        ("warm", "eu-central-1b"): 12,
    }
    assert found["vpc_cni_nodegroup_nodes"] == {
        ("a", "read"): 1,
        ("a", "unread"): 0,
        ("b", "read"): 1,
        ("b", "unread"): 1,
    }
    assert found["vpc_cni_nodegroup_ip_capacity"] == {("a",): 27, ("b",): 288}


def test_a_zone_whose_nodes_are_all_unread_has_no_sums() -> None:
    cluster = cluster_of((machine(), SECONDARY), (machine(zone="eu-central-1b"), TOO_FEW))
    found = truth(cluster)
    assert set(found["vpc_cni_zone_enis"]) == {(ZONE,)}
    assert found["vpc_cni_zone_nodes"][("unread", "eu-central-1b")] == 1


def test_where_no_expected_node_is_read_there_are_no_sums() -> None:
    found = truth(cluster_of((machine(), TOO_FEW)))
    assert "vpc_cni_cluster_ip_addresses" not in found
    assert "vpc_cni_cluster_enis" not in found
    assert found["vpc_cni_node_read"] == {(_only(found),): 0}


def _only(found: Mapping[str, Mapping[tuple[str, ...], float]]) -> str:
    ((node,),) = found["vpc_cni_node_max_pods"]
    return node


def test_where_no_node_is_expected_the_sums_are_zero() -> None:
    cluster = Cluster(clock)
    cluster.add(cluster.new_node(machine(kind=Kind.FARGATE), age=3600), None)
    found = truth(cluster)
    assert found["vpc_cni_cluster_nodes"] == {("read",): 0, ("unread",): 0}
    assert found["vpc_cni_cluster_ip_addresses"] == {("assigned",): 0, ("warm",): 0}
    assert found["vpc_cni_cluster_ip_capacity"] == {(): 0}
    assert "vpc_cni_node_info" not in found


def test_a_node_is_described_with_none_for_labels_it_lacks() -> None:
    cluster = cluster_of((machine(zone=ZONE), SECONDARY))
    node = cluster.expected[0]
    assert books.samples(cluster, Ledger(clock))["vpc_cni_node_info"] == [
        (
            {
                "node": node.name,
                "instance_id": node.instance_id,
                "instance_type": "m5.large",
                "zone": ZONE,
                "nodegroup": "none",
                "subnet_id": "",
                "cni_version": "v1.23.1-eksbuild.1",
                "ip_mode": "secondary",
            },
            1,
        )
    ]


@pytest.mark.parametrize(
    ("gauges", "mode"),
    [(SECONDARY, "secondary"), (PREFIX, "prefix"), (MIXED, "mixed"), (IPV6, "ipv6"), (TOO_FEW, "")],
)
def test_the_ip_mode_follows_from_the_gauges(gauges: Gauges, mode: str) -> None:
    cluster = cluster_of((machine(), gauges))
    ((labels, _),) = books.samples(cluster, Ledger(clock))["vpc_cni_node_info"]
    assert labels["ip_mode"] == mode


@pytest.mark.parametrize(
    ("gauges", "pod_eni", "custom", "capacity"),
    [
        pytest.param(SECONDARY, 0, "false", 27, id="all ENIs"),
        pytest.param(SECONDARY, 9, "false", 18, id="one is a trunk"),
        pytest.param(SECONDARY, 0, "true", 18, id="the first is not for pods"),
        pytest.param(PREFIX, 9, "true", 144, id="trunk and custom networking"),
        pytest.param(IPV6, 0, "false", None, id="IPv6"),
    ],
)
def test_capacity_leaves_out_the_enis_that_hold_no_pods(
    gauges: Gauges, pod_eni: int, custom: str, capacity: float | None
) -> None:
    cluster = Cluster(clock, env={"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": custom})
    cluster.add(cluster.new_node(machine(pod_eni=pod_eni), age=3600), process(gauges))
    found = truth(cluster).get("vpc_cni_node_ip_capacity", {None: None})
    assert list(found.values()) == [capacity]


def test_an_ipv6_node_has_assigned_addresses_and_no_warm_ones() -> None:
    found = truth(cluster_of((machine(), IPV6)))
    assert found["vpc_cni_cluster_ip_addresses"] == {("assigned",): 4}
    assert "vpc_cni_cluster_ip_capacity" not in found


def reasons(sim: Simulation) -> dict[str, float]:
    unread = sim.truth()["samples"]["vpc_cni_cluster_unread_nodes"]
    return {labels["reason"]: count for labels, count in unread if count}


@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (["delete_pod"], "no_pod"),
        (["pend"], "pending"),
        (["begin_rollout"], "pending"),
        (["begin_rollout", "run"], None),
        (["terminate"], None),
        (["replace_pod"], None),
        (["restart"], None),
        (["leave_failed"], None),
        (["leave_succeeded"], None),
        (["delete_pod", "leave_failed"], "no_pod"),
        (["grow_young"], None),
        (["grow_young", "delete_pod"], "starting"),
        (["grow_young", "pend"], "starting"),
        (["grow_young", "pend", "grow_old"], "pending"),
        (["cordon"], None),
        (["show_foreign_address", "show_own_address"], None),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else str(value),
)
@on_loop
async def test_what_happens_to_a_node_decides_whether_it_is_read(
    happens: list[str], reason: str | None
) -> None:
    async with small(2) as sim:
        for event in happens:
            await sim.event(event, [name(sim)])
        assert reasons(sim) == ({reason: 1} if reason else {})
        await read_all(sim)
        assert len(sim.traffic.served_whole) == (2 if reason is None else _still_answering(happens))


def _still_answering(happens: list[str]) -> int:
    """Count who serves pages: in a rollout the old pod answers on, though nobody should ask it."""
    return 2 if happens == ["begin_rollout"] else 1


@on_loop
async def test_a_pod_that_claims_an_address_of_another_is_not_to_be_dialled() -> None:
    async with small(2) as sim:
        node = sim.cluster.expected[0]
        await sim.event("show_foreign_address", [node.name])
        _, pod = await ask(sim, f"{AWS_NODE}/{node.pods[0].name}")
        assert (pod["status"]["podIP"], pod["status"]["hostIP"]) == (FOREIGN_ADDRESS, node.address)
        assert reasons(sim) == {"refused_address": 1}


@pytest.mark.parametrize(
    ("fault", "reason"), [("refuse", "starting"), ("hang", "timeout"), ("empty", "incomplete")]
)
@on_loop
async def test_youth_excuses_only_what_a_starting_node_would_show(fault: str, reason: str) -> None:
    async with small(2) as sim:
        await sim.event("grow_young", [name(sim)])
        await sim.set_fault([name(sim)], fault)
        assert reasons(sim) == {reason: 1}


@on_loop
async def test_host_network_pods_count_what_is_not_finished() -> None:
    async with small(1) as sim:
        node = name(sim)
        counts = [_host_pods(sim)]
        for event in ("leave_failed", "begin_rollout", "run", "delete_pod"):
            await sim.event(event, [node])
            counts.append(_host_pods(sim))
        others = len(sim.cluster.nodes[node].other_pods)
        assert counts == [others + 1, others + 1, others + 2, others + 1, others]


def _host_pods(sim: Simulation) -> float:
    ((_, value),) = sim.truth()["samples"]["vpc_cni_node_host_network_pods"]
    return float(value)


@on_loop
async def test_a_node_that_joins_is_young_expected_and_counted_from_zero() -> None:
    async with small(2) as sim:
        await read_all(sim)
        (joined,) = await sim.event("join")
        node: Node = sim.cluster.nodes[joined]
        assert reasons(sim) == {}
        assert node.process is not None
        await sim.step(3)
        await read_all(sim)
        added = sum(
            value
            for found in [sim.truth()["samples"]["vpc_cni_cluster_add_requests_total"]]
            for _, value in found
        )
        counted = [_added(one) - _added_before(sim, one) for one in sim.cluster.expected]
        assert added == sum(counted)
        await sim.event("remove_node", [joined])
        assert len(sim.truth()["samples"]["vpc_cni_node_read"]) == 2


def _added(node: Node) -> float:
    assert node.process is not None
    return node.process.page().facts.counters[("awscni_add_ip_req_count", ())]


def _added_before(sim: Simulation, node: Node) -> float:
    """Return the count a fleet of this seed begins with; a node that joined began with none."""
    fresh = Cluster(sim.clock, seed=sim.options.seed)
    sim.story.begin(fresh)
    twin = fresh.nodes.get(node.name)
    return _added(twin) if twin is not None and twin in fresh.expected else 0.0
