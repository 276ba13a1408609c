"""Which instance is which node, and what ipamd there says of the addresses on each ENI."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.core.introspection import IpamdEni
from exporter.core.model import Discovery, Eni, Identity, Outcome, Read, Target
from exporter.core.node_enis import NodeEni
from exporter.core.owners import ClusterFacts, ClusterNode, Use, classify
from exporter.core.subnets import (
    Memory,
    Survey,
    accounts,
    cooldown_on,
    facts_of,
    held_for_pods,
    node_enis,
    nodes_of,
)
from tests.builders import NOW, books, held, node, pod, read, reading, target, unread
from tests.core.subnet_worlds import address, eni, subnet

POD_USES = (
    Use.NODE_PRIMARY,
    Use.POD_ASSIGNED,
    Use.POD_WARM,
    Use.POD_COOLDOWN,
    Use.POD_UNKNOWN,
)


def card(id: str, first: str, count: int, *, device: int = 1, subnet_id: str = "subnet-a") -> Eni:
    """An ENI of node-1 with so many addresses from one on."""
    start = address(first)
    return eni(
        id,
        subnet_id=subnet_id,
        instance_id="i-1",
        device_index=device,
        addresses=tuple(range(start, start + count)),
    )


def pods_in(
    outcome: Outcome,
    enis: dict[str, tuple[Eni, ...]],
    *,
    cooldown: dict[str, int] | None = None,
) -> dict[str, tuple[int, ...]]:
    """Per subnet, the counts of POD_USES."""
    survey = Survey(
        subnets=(subnet(), subnet("10.0.1.0/24", id="subnet-b")),
        enis=enis,
        facts=ClusterFacts(),
        outcomes=(outcome,),
        cooldown=cooldown or {},
    )
    _, usages = accounts(Memory(), survey, NOW)
    return {
        usage.subnet.id: tuple(usage.uses[use] for use in POD_USES)
        for usage in usages
        if usage.uses is not None
    }


ONE = card("eni-1", "10.0.0.10", 10, device=0)
TWO = card("eni-2", "10.0.0.30", 10)
ELSEWHERE = card("eni-2", "10.0.1.30", 10, subnet_id="subnet-b")


def by_eni(*counts: int) -> Outcome:
    said = tuple((f"eni-{n}", count) for n, count in enumerate(counts, start=1))
    return read(what=reading(assigned=sum(counts), enis=len(said), assigned_by_eni=said))


def by_total(assigned: int, enis: int = 2) -> Outcome:
    return read(what=reading(assigned=assigned, enis=enis))


@pytest.mark.parametrize(
    ("outcome", "enis", "pods"),
    [
        pytest.param(
            by_eni(3, 9),
            {"subnet-a": (ONE,), "subnet-b": (ELSEWHERE,)},
            {"subnet-a": (1, 3, 6, 0, 0), "subnet-b": (1, 9, 0, 0, 0)},
            id="by-eni",
        ),
        pytest.param(
            by_eni(30, 0),
            {"subnet-a": (ONE, TWO), "subnet-b": ()},
            {"subnet-a": (2, 9, 9, 0, 0), "subnet-b": (0, 0, 0, 0, 0)},
            id="more-than-ec2-says",
        ),
        pytest.param(
            by_eni(3),
            {"subnet-a": (ONE, TWO)},
            {"subnet-a": (2, 3, 15, 0, 0)},
            id="ipamd-does-not-know-the-second",
        ),
        pytest.param(
            by_total(12),
            {"subnet-a": (ONE, TWO), "subnet-b": ()},
            {"subnet-a": (2, 12, 6, 0, 0), "subnet-b": (0, 0, 0, 0, 0)},
            id="total-in-one-subnet",
        ),
        pytest.param(
            by_total(40),
            {"subnet-a": (ONE, TWO), "subnet-b": ()},
            {"subnet-a": (2, 18, 0, 0, 0), "subnet-b": (0, 0, 0, 0, 0)},
            id="total-above-what-ec2-says",
        ),
        pytest.param(
            by_total(12),
            {"subnet-a": (ONE,), "subnet-b": (ELSEWHERE,)},
            {"subnet-a": (1, 0, 0, 0, 9), "subnet-b": (1, 0, 0, 0, 9)},
            id="total-over-two-subnets",
        ),
        pytest.param(
            by_total(7),
            {"subnet-a": (card("eni-1", "10.0.0.10", 1, device=0),), "subnet-b": (ELSEWHERE,)},
            {"subnet-a": (1, 0, 0, 0, 0), "subnet-b": (1, 7, 2, 0, 0)},
            id="custom-networking",
        ),
        pytest.param(
            by_total(5, enis=2),
            {"subnet-a": (ONE,)},
            {"subnet-a": (1, 0, 0, 0, 9)},
            id="an-eni-may-be-in-a-subnet-that-was-not-read",
        ),
        pytest.param(
            by_total(5, enis=1),
            {"subnet-a": (ONE,)},
            {"subnet-a": (1, 5, 4, 0, 0)},
            id="all-enis-are-seen-though-a-subnet-was-not-read",
        ),
        pytest.param(
            unread(), {"subnet-a": (ONE, TWO)}, {"subnet-a": (2, 0, 0, 0, 18)}, id="unread"
        ),
        pytest.param(
            read(target("node-1", pod(env={"ENABLE_IPv6": "true"})), reading(assigned=4)),
            {"subnet-a": (ONE,)},
            {"subnet-a": (1, 0, 0, 0, 9)},
            id="ipv6",
        ),
    ],
)
def test_what_pods_have_is_split_as_far_as_ipamd_tells(
    outcome: Outcome, enis: dict[str, tuple[Eni, ...]], pods: dict[str, tuple[int, ...]]
) -> None:
    assert pods_in(outcome, enis) == pods


@pytest.mark.parametrize(
    ("assigned", "cooling", "pods"),
    [
        pytest.param(3, 2, (1, 3, 4, 2, 0), id="some"),
        pytest.param(8, 5, (1, 8, 0, 1, 0), id="more-than-are-left"),
    ],
)
def test_addresses_in_cooldown_are_not_warm(
    assigned: int, cooling: int, pods: tuple[int, ...]
) -> None:
    found = pods_in(by_eni(assigned), {"subnet-a": (ONE,)}, cooldown={"eni-1": cooling})
    assert found == {"subnet-a": pods}


def in_books(*enis: IpamdEni, carried: bool = False, assigned: int = 12) -> Read:
    """A node of an old release, whose page tells a total alone, and its books."""
    said = books(*enis, carried=carried)
    return read(what=reading(assigned=assigned, enis=len(enis), introspection=said))


HELD = (
    held("eni-1", attached=9, assigned=7, cooldown=1),
    held("eni-2", attached=9, assigned=3, cooldown=4),
)


@pytest.mark.parametrize("carried", [False, True], ids=["of this cycle", "of an earlier one"])
def test_books_tell_by_eni_what_a_total_over_two_subnets_cannot(carried: bool) -> None:
    outcome = in_books(*HELD, carried=carried)
    found = pods_in(
        outcome,
        {"subnet-a": (ONE,), "subnet-b": (ELSEWHERE,)},
        cooldown=dict(cooldown_on(nodes_of((outcome,), ()).values())),
    )
    assert found == {"subnet-a": (1, 7, 1, 1, 0), "subnet-b": (1, 3, 2, 4, 0)}


def test_books_beat_the_pages_own_figures_by_eni() -> None:
    said = (("eni-1", 1), ("eni-2", 1))
    what = reading(assigned=2, assigned_by_eni=said, introspection=books(*HELD))
    assert pods_in(read(what=what), {"subnet-a": (ONE, TWO)}) == {"subnet-a": (2, 10, 8, 0, 0)}


def test_an_eni_that_is_not_in_the_books_has_given_nothing_to_pods() -> None:
    assert pods_in(in_books(HELD[0]), {"subnet-a": (ONE, TWO)}) == {"subnet-a": (2, 7, 11, 0, 0)}


def test_what_is_in_cooldown_is_known_of_the_nodes_that_were_introspected() -> None:
    ipv6 = pod(env={"ENABLE_IPv6": "true"})
    nodes = nodes_of(
        (
            by_eni(3, 4),
            read(target(node("node-2", instance_id="i-2"), ipv6), in_books(held("eni-9")).reading),
            unread(target(node("node-3", instance_id="i-3"))),
        ),
        (),
    )
    assert cooldown_on(nodes.values()) == {}
    assert cooldown_on(nodes_of((in_books(*HELD),), ()).values()) == {"eni-1": 1, "eni-2": 4}


def test_what_ec2_shows_for_pods_is_on_the_attached_enis_that_ipamd_manages() -> None:
    enis = (
        ONE,
        replace(TWO, addresses=TWO.addresses[:1], prefixes=(address("10.0.0.64"),) * 2),
        card("eni-3", "10.0.0.40", 8, device=2),
        replace(card("eni-4", "10.0.0.50", 5), tags={"node.k8s.amazonaws.com/no_manage": "true"}),
        replace(card("eni-5", "10.0.0.60", 5), network_card=1),
        eni("eni-6", instance_id="i-2", device_index=0, addresses=()),
        eni("eni-7", status="available", description="aws-K8S-i-1", addresses=ONE.addresses),
        eni("eni-8", description="ELB app/web/1", addresses=ONE.addresses),
    )
    nodes = {"i-1": ClusterNode(name="node-1"), "i-2": ClusterNode(name="node-2")}
    facts = ClusterFacts(nodes=nodes)
    several = ClusterFacts(nodes={**nodes, "i-1": ClusterNode(name="node-1", multi_nic=True)})
    assert [
        held_for_pods([(it, classify(it, known)) for it in enis]) for known in (facts, several)
    ] == [{"i-1": 9 + 32 + 7, "i-2": 0}, {"i-1": 9 + 32 + 7 + 4, "i-2": 0}]


def test_the_enis_of_nodes_are_told_by_what_they_hold_and_alike_ones_are_one_value() -> None:
    trunk = eni("eni-4", interface_type="trunk", instance_id="i-1", device_index=3)
    others = (
        eni("eni-5", instance_id="i-1", device_index=4, network_card=1),
        eni("eni-6", status="available", description="aws-K8S-i-1"),
        eni("eni-7", instance_id="i-theirs", device_index=0),
        eni("eni-8", instance_id="i-2", device_index=0, addresses=()),
    )
    prefixes = replace(ONE, id="eni-9", addresses=ONE.addresses[:1], prefixes=(1, 17))
    facts = ClusterFacts(
        cluster="green",
        nodes={"i-1": ClusterNode(name="node-1"), "i-2": ClusterNode(name="node-2")},
    )
    twins = (card("eni-2", "10.0.0.60", 8), card("eni-3", "10.0.0.70", 8))
    shown = (ONE, *twins, trunk, *others, prefixes)

    found = node_enis([(it, classify(it, facts)) for it in shown])

    assert found == {
        "i-1": (
            NodeEni("subnet-a", singles=len(ONE.addresses) - 1, primary=True),
            NodeEni("subnet-a", singles=7),
            NodeEni("subnet-a", singles=7),
            NodeEni("subnet-a", trunk=True),
            NodeEni("subnet-a", prefixes=2, primary=True),
        ),
        "i-2": (NodeEni("subnet-a", primary=True),),
    }
    assert found["i-1"][1] is found["i-1"][2]


def test_nodes_with_enis_that_are_alike_share_one_value() -> None:
    enis = (
        eni("eni-1", instance_id="i-1", device_index=0),
        eni("eni-2", instance_id="i-2", device_index=0),
    )
    nodes = {"i-1": ClusterNode(name="node-1"), "i-2": ClusterNode(name="node-2")}
    facts = ClusterFacts(nodes=nodes)
    found = node_enis([(it, classify(it, facts)) for it in enis])
    assert found["i-1"] is found["i-2"]


def test_a_prefix_is_sixteen_addresses_for_pods() -> None:
    held = eni(
        instance_id="i-1", device_index=0, prefixes=(address("10.0.0.32"), address("10.0.0.64"))
    )
    assert pods_in(by_eni(20), {"subnet-a": (held,)}) == {"subnet-a": (1, 20, 12, 0, 0)}


def test_an_eni_on_its_way_to_its_node_holds_warm_addresses() -> None:
    flying = eni(
        "eni-7",
        status="available",
        description="aws-K8S-i-1",
        addresses=tuple(range(address("10.0.0.50"), address("10.0.0.60"))),
        created=NOW - 5,
    )
    found = pods_in(by_total(9), {"subnet-a": (flying, ONE), "subnet-b": ()})
    assert found["subnet-a"] == (2, 9, 9, 0, 0)


def test_nodes_without_aws_node_have_pods_that_nobody_counts() -> None:
    windows = Survey(
        subnets=(subnet(),),
        enis={"subnet-a": (ONE,)},
        facts=ClusterFacts(nodes={"i-1": ClusterNode(name="win-1")}),
    )
    _, (usage,) = accounts(Memory(), windows, NOW)
    assert usage.uses is not None
    assert (usage.uses[Use.NODE_PRIMARY], usage.uses[Use.POD_UNKNOWN]) == (1, 9)


def test_the_nodes_that_never_run_aws_node_are_facts() -> None:
    others = (
        node("auto-1", instance_id="i-7", addresses=None),
        replace(node("fargate-1", addresses=("10.0.0.77", "fd00::7")), fargate=True),
        replace(node("fargate-2", instance_id="", addresses=None), fargate=True),
        node("hybrid-1", instance_id=""),
    )
    discovery = Discovery((), nodes_known=True, identity=Identity("green"), others=others)
    assert facts_of(discovery, eniconfig_subnets=["subnet-p"], cluster_subnets=["subnet-c"]) == (
        ClusterFacts(
            cluster="green",
            nodes={"i-7": ClusterNode(name="auto-1")},
            fargate=frozenset({address("10.0.0.77")}),
            eniconfig_subnets=frozenset({"subnet-p"}),
            cluster_subnets=frozenset({"subnet-c"}),
        )
    )


def where(addresses: tuple[str, ...] | None, *, host_network: bool = True) -> Target:
    on = node("node-1", instance_id="", addresses=addresses)
    return target(on, pod(ip="10.0.0.10", host_network=host_network))


ONE_CARD = ClusterNode(name="node-1", multi_nic=False)
KNOWN = {"i-1": ONE_CARD}


@pytest.mark.parametrize(
    ("found", "nodes"),
    [
        pytest.param(unread("node-1"), KNOWN, id="by-its-instance"),
        pytest.param(unread(where(("fd00::1", "10.0.0.10"))), KNOWN, id="by-its-address"),
        pytest.param(unread(where(None)), KNOWN, id="by-its-pods-address"),
        pytest.param(unread(where(None, host_network=False)), {}, id="pod-on-its-own-network"),
        pytest.param(unread(where(("10.0.0.11",))), {}, id="not-its-first-address"),
        pytest.param(unread(Target(node(instance_id="", addresses=None))), {}, id="no-pod"),
    ],
)
def test_a_node_is_found_by_its_instance_or_else_by_its_address(
    found: Outcome, nodes: dict[str, ClusterNode]
) -> None:
    bystanders = (TWO, eni("eni-9", addresses=()), eni("eni-8", addresses=ONE.addresses))
    assert nodes_of((found,), (*bystanders, ONE)) == nodes


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        pytest.param({}, ONE_CARD, id="nothing-set"),
        pytest.param({"MANAGE_UNTAGGED_ENI": "true"}, ONE_CARD, id="managed"),
        pytest.param({"MANAGE_UNTAGGED_ENI": "maybe"}, ONE_CARD, id="unreadable"),
        pytest.param(
            {"MANAGE_UNTAGGED_ENI": "false"},
            replace(ONE_CARD, manages_untagged=False),
            id="left-alone",
        ),
        pytest.param(
            {"ENABLE_MULTI_NIC": "true"}, ClusterNode(name="node-1", multi_nic=True), id="multi-nic"
        ),
    ],
)
def test_what_a_node_manages_is_its_own_pods_setting(
    env: dict[str, str], expected: ClusterNode
) -> None:
    assert nodes_of((unread(target("node-1", pod(env=env))),), ()) == {"i-1": expected}


def test_an_expected_node_is_known_better_than_one_that_was_only_listed() -> None:
    survey = Survey(
        subnets=(subnet(),),
        enis={"subnet-a": (ONE,)},
        facts=ClusterFacts(nodes=KNOWN),
        outcomes=(by_eni(4),),
    )
    _, (usage,) = accounts(Memory(), survey, NOW)
    assert usage.uses is not None
    assert (usage.uses[Use.POD_ASSIGNED], usage.uses[Use.POD_WARM]) == (4, 5)
