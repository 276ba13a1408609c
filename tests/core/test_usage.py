from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.introspection import Introspection
from exporter.core.model import (
    BlockedBy,
    InstanceType,
    IpMode,
    Node,
    Outcome,
    Reading,
    Reason,
    Target,
)
from exporter.core.usage import Disagreement, NodeUsage, Usage, grouped, node_usage, pod_enis, total
from tests.builders import books, held, node, pod, read, reading, target, unread

SLASH_80 = 2**48
NO_UNREAD = dict.fromkeys(Reason, 0)


def runs(env: Mapping[str, str], *, pod_eni: bool = False) -> Target:
    """A node whose aws-node pod has this environment."""
    return target(node(pod_eni_capacity=9 if pod_eni else None), pod(env=env))


PLAIN = runs({})


def usage(what: Reading, where: Target = PLAIN) -> NodeUsage:
    return node_usage(read(where, what), 0.0)


def test_a_node_that_was_read_has_every_figure_of_its_reading() -> None:
    what = reading(assigned=5, attached=18, enis=2, eni_max=3, ip_max=27, prefixes=0, actions=1)
    assert node_usage(read(PLAIN, what), 7.0, "subnet-a") == NodeUsage(
        target=PLAIN,
        unread=None,
        ip_mode=IpMode.SECONDARY,
        assigned=5,
        attached=18,
        capacity=27,
        enis=2,
        eni_capacity=3,
        prefixes=0,
        assignment_failures=7.0,
        subnet_id="subnet-a",
        actions=1,
    )


def test_a_node_that_was_not_read_has_no_figure_but_the_failures_counted_before() -> None:
    found = node_usage(unread(PLAIN, Reason.MALFORMED), 7.0, "subnet-a")
    assert found == NodeUsage(
        target=PLAIN, unread=Reason.MALFORMED, assignment_failures=7.0, subnet_id="subnet-a"
    )
    assert found.warm is None
    assert found.ip_mode is IpMode.UNKNOWN


def test_the_subnet_of_a_node_is_empty_where_nobody_told_it() -> None:
    assert [usage(reading()).subnet_id, node_usage(unread(PLAIN), 0.0).subnet_id] == ["", ""]


@pytest.mark.parametrize(
    ("what", "env", "mode"),
    [
        pytest.param(reading(prefixes=0), {}, IpMode.SECONDARY, id="addresses one by one"),
        pytest.param(reading(attached=32, prefixes=2), {}, IpMode.PREFIX, id="all in prefixes"),
        pytest.param(
            reading(attached=34, prefixes=2), {}, IpMode.MIXED, id="left over from secondary mode"
        ),
        pytest.param(
            reading(attached=18, prefixes=0),
            {"ENABLE_PREFIX_DELEGATION": "true"},
            IpMode.SECONDARY,
            id="prefixes wanted, none held yet",
        ),
        pytest.param(
            reading(attached=20, prefixes=1),
            {"ENABLE_PREFIX_DELEGATION": "false"},
            IpMode.MIXED,
            id="left over from prefix mode",
        ),
        pytest.param(reading(assigned=0, attached=0), {}, IpMode.SECONDARY, id="nothing held"),
        pytest.param(
            reading(assigned=0, attached=0),
            {"ENABLE_PREFIX_DELEGATION": "true"},
            IpMode.PREFIX,
            id="nothing held, prefixes wanted",
        ),
        pytest.param(
            reading(assigned=0, attached=0, eni_max=3, ip_max=0),
            {"ENABLE_IPv6": "true"},
            IpMode.IPV6,
            id="nothing held, IPv6 wanted",
        ),
        pytest.param(reading(attached=SLASH_80, ip_max=0), {}, IpMode.IPV6, id="one /80"),
        pytest.param(
            reading(attached=SLASH_80 - 1, prefixes=0), {}, IpMode.SECONDARY, id="less than a /80"
        ),
    ],
)
def test_the_ip_mode_is_what_is_held_and_for_an_empty_pool_what_is_wanted(
    what: Reading, env: Mapping[str, str], mode: IpMode
) -> None:
    assert usage(what, runs(env)).ip_mode is mode


def test_the_ip_mode_of_a_reading_without_a_pod_is_told_by_what_is_held() -> None:
    bare = Target(node())
    empty = reading(assigned=0, attached=0)
    assert [usage(it, bare).ip_mode for it in (empty, reading(attached=SLASH_80))] == [
        IpMode.SECONDARY,
        IpMode.IPV6,
    ]


def test_an_ipv6_node_tells_assigned_addresses_enis_and_prefixes_but_no_pool() -> None:
    what = reading(assigned=7, attached=2 * SLASH_80, enis=1, eni_max=3, ip_max=0)
    found = usage(what, runs({"ENABLE_IPv6": "true"}))
    assert found == NodeUsage(
        target=found.target,
        ip_mode=IpMode.IPV6,
        assigned=7,
        attached=None,
        capacity=None,
        enis=1,
        eni_capacity=3,
        prefixes=2,
        actions=0,
    )
    assert found.ipv4_prefixes is None
    assert found.warm is None
    assert not found.problem


def test_a_node_of_several_network_cards_tells_what_its_enis_add_up_to() -> None:
    what = reading(
        assigned=1, attached=1, enis=1, assigned_by_eni=(("eni-a", 3), ("eni-b", 2), ("eni-c", 1))
    )
    found = usage(what, runs({"ENABLE_MULTI_NIC": "true"}))
    assert found == NodeUsage(
        target=found.target,
        ip_mode=IpMode.SECONDARY,
        assigned=6,
        attached=None,
        capacity=None,
        enis=None,
        eni_capacity=None,
        prefixes=None,
        actions=0,
    )
    assert found.warm is None
    assert not found.problem


def test_the_enis_of_one_card_are_not_asked_where_the_gauge_holds() -> None:
    what = reading(assigned=5, assigned_by_eni=(("eni-a", 3),))
    assert usage(what).assigned == 5


BOOKS = books(
    held("eni-1", attached=9, assigned=4, cooldown=1),
    held("eni-2", attached=9, assigned=2, cooldown=3),
    eniconfig="pods-a",
)


def test_a_node_that_was_introspected_has_the_figures_of_its_books() -> None:
    what = reading(assigned=1, attached=2, enis=1, introspection=BOOKS)
    found = node_usage(read(PLAIN, what), 7.0, "subnet-a", None, Disagreement(16, -3))
    assert found == NodeUsage(
        target=PLAIN,
        ip_mode=IpMode.SECONDARY,
        assigned=6,
        attached=18,
        cooldown=4,
        capacity=27,
        enis=2,
        eni_capacity=3,
        prefixes=0,
        assignment_failures=7.0,
        subnet_id="subnet-a",
        introspected=True,
        eniconfig="pods-a",
        drift=16,
        ec2_drift=-3,
        actions=0,
    )
    assert found.warm == 8


@pytest.mark.parametrize(
    ("outcome", "drifts"),
    [
        pytest.param(read(PLAIN, reading()), (None, -3), id="not introspected"),
        pytest.param(unread(PLAIN), (None, None), id="not read"),
        pytest.param(read(PLAIN, reading(attached=SLASH_80)), (None, None), id="in IPv6 mode"),
        pytest.param(
            read(runs({"ENABLE_MULTI_NIC": "true"}), reading(assigned_by_eni=(("eni-a", 3),))),
            (None, None),
            id="of several network cards, not introspected",
        ),
        pytest.param(
            read(PLAIN, reading(assigned=19, introspection=replace(BOOKS, carried=True))),
            (None, -3),
            id="with books that pods have overtaken",
        ),
    ],
)
def test_a_disagreement_of_figures_that_a_node_does_not_have_is_not_told(
    outcome: Outcome, drifts: tuple[int | None, int | None]
) -> None:
    found = node_usage(outcome, 0.0, "", None, Disagreement(16, -3))
    assert (found.drift, found.ec2_drift) == drifts
    assert (found.eniconfig, found.introspected) == ("", False)


def kind(enis: int, *, attachment_limit: int | None = None, network_cards: int = 1) -> InstanceType:
    """An instance type of so many ENIs with ten addresses each."""
    return InstanceType(
        name="any",
        enis=enis,
        ipv4_per_eni=10,
        vcpus=2,
        attachment_limit=attachment_limit,
        network_cards=network_cards,
    )


CUSTOM = {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"}


@pytest.mark.parametrize(
    ("what", "where", "capacity"),
    [
        pytest.param(reading(eni_max=3, ip_max=27), PLAIN, 27, id="ENIs times addresses"),
        pytest.param(reading(eni_max=3, ip_max=27), runs({}, pod_eni=True), 18, id="less a trunk"),
        pytest.param(
            reading(eni_max=3, ip_max=27), replace(PLAIN, trunk=True), 18, id="less one asked for"
        ),
        pytest.param(
            reading(eni_max=3, ip_max=27),
            replace(runs({}, pod_eni=True), trunk=True),
            18,
            id="less one trunk, whoever tells of it",
        ),
        pytest.param(reading(eni_max=3, ip_max=27), runs(CUSTOM), 18, id="less the primary ENI"),
        pytest.param(reading(eni_max=3, ip_max=27), runs(CUSTOM, pod_eni=True), 9, id="less both"),
        pytest.param(
            reading(eni_max=1, ip_max=9), runs(CUSTOM, pod_eni=True), 0, id="never below nothing"
        ),
        pytest.param(reading(eni_max=3, ip_max=432), runs(CUSTOM), 288, id="sixteen to a prefix"),
        pytest.param(reading(eni_max=3, ip_max=27), Target(node()), 27, id="no pod to ask"),
        pytest.param(reading(eni_max=3, ip_max=0), PLAIN, None, id="IPv6 has none"),
        pytest.param(reading(eni_max=0, ip_max=0), PLAIN, None, id="no ENI left"),
        pytest.param(reading(eni_max=-1, ip_max=-9), PLAIN, None, id="less than no ENI left"),
    ],
)
def test_the_capacity_is_what_could_really_be_attached_for_pods(
    what: Reading, where: Target, capacity: int | None
) -> None:
    assert usage(what, where).capacity == capacity


@pytest.mark.parametrize(
    ("what", "limits", "enis", "capacity"),
    [
        pytest.param(reading(eni_max=3, ip_max=27), None, 3, 27, id="EC2 does not tell"),
        pytest.param(reading(eni_max=3, ip_max=27), kind(3), 3, 27, id="both say the same"),
        pytest.param(
            reading(eni_max=16, ip_max=784), kind(8), 8, 392, id="ipamd sums over the cards"
        ),
        pytest.param(reading(eni_max=2, ip_max=18), kind(3), 2, 18, id="MAX_ENI is lower"),
        pytest.param(
            reading(eni_max=8, ip_max=72),
            kind(8, attachment_limit=5),
            5,
            45,
            id="ENIs share a limit with volumes",
        ),
    ],
)
def test_the_capacity_is_never_more_than_ec2_says_of_the_type(
    what: Reading, limits: InstanceType | None, enis: int, capacity: int
) -> None:
    found = node_usage(read(PLAIN, what), 0.0, "", limits)
    assert (found.eni_capacity, found.capacity) == (enis, capacity)


MULTI_NIC = runs({"ENABLE_MULTI_NIC": "true"})


@pytest.mark.parametrize(
    ("where", "limits", "enis", "capacity"),
    [
        pytest.param(MULTI_NIC, None, None, None, id="EC2 does not tell how many cards there are"),
        pytest.param(MULTI_NIC, kind(8), 7, 63, id="one card"),
        pytest.param(MULTI_NIC, kind(8, network_cards=4), 28, 252, id="four cards"),
        pytest.param(
            MULTI_NIC, kind(5, network_cards=4), 20, 180, id="less than ipamd thinks of each"
        ),
        pytest.param(
            runs({"ENABLE_MULTI_NIC": "true", **CUSTOM}, pod_eni=True),
            kind(8, network_cards=2),
            14,
            108,
            id="trunk and unused primary are on the first card",
        ),
        pytest.param(PLAIN, kind(8, network_cards=4), 7, 63, id="ipamd manages the first alone"),
    ],
)
def test_where_ipamd_manages_all_network_cards_the_capacity_is_that_of_all(
    where: Target, limits: InstanceType | None, enis: int | None, capacity: int | None
) -> None:
    what = reading(eni_max=7, ip_max=63, assigned_by_eni=(("eni-a", 3),))
    found = node_usage(read(where, what), 0.0, "", limits)
    assert (found.eni_capacity, found.capacity) == (enis, capacity)


@pytest.mark.parametrize(
    ("excluded", "env", "capacity"),
    [
        pytest.param(0, {}, 27, id="none"),
        pytest.param(1, {}, 18, id="one"),
        pytest.param(1, CUSTOM, 9, id="one beside the primary"),
        pytest.param(4, {}, 0, id="more than there may be"),
    ],
)
def test_enis_that_are_excluded_from_pods_have_no_capacity(
    excluded: int, env: Mapping[str, str], capacity: int
) -> None:
    enis = [held(f"eni-{number}", excluded=True) for number in range(excluded)]
    what = reading(eni_max=3, ip_max=27, introspection=books(held("eni-9"), *enis))
    found = usage(what, runs(env))
    assert (found.capacity, found.eni_capacity) == (capacity, 3)


@pytest.mark.parametrize(
    ("eni_max", "told"),
    [
        pytest.param(3, 3, id="as ipamd says"),
        pytest.param(0, None, id="more unmanaged ENIs than the card has"),
        pytest.param(-2, None, id="many more"),
    ],
)
def test_a_number_of_enis_that_cannot_be_is_absent(eni_max: int, told: int | None) -> None:
    assert usage(reading(eni_max=eni_max, ip_max=9 * eni_max)).eni_capacity == told


@pytest.mark.parametrize(
    ("where", "counts", "told"),
    [
        pytest.param(node(pod_eni_capacity=9), {"i-1": 4, "i-2": 1}, 4, id="its own"),
        pytest.param(node(pod_eni_capacity=9), {"i-2": 1}, 0, id="none of those it offers"),
        pytest.param(node(), {"i-2": 1}, None, id="offers none and has none"),
        pytest.param(node(pod_eni_capacity=0), {}, None, id="offers none in so many words"),
        pytest.param(node(), {"i-1": 2}, 2, id="has some though it offers none"),
        pytest.param(node(pod_eni_capacity=9), None, None, id="EC2 told nothing"),
        pytest.param(
            node(instance_id="", pod_eni_capacity=9), {"": 7}, None, id="which instance it is"
        ),
    ],
)
def test_the_branch_enis_of_a_node_are_those_of_its_instance(
    where: Node, counts: Mapping[str, int] | None, told: int | None
) -> None:
    assert pod_enis(where, counts) == told


@pytest.mark.parametrize(
    ("outcome", "problem"),
    [
        pytest.param(read(PLAIN, reading(assigned=17, attached=18)), False, id="one left"),
        pytest.param(read(PLAIN, reading(assigned=18, attached=18)), True, id="none left"),
        pytest.param(read(PLAIN, reading(assigned=0, attached=0)), True, id="nothing attached"),
        pytest.param(
            read(PLAIN, reading(introspection=books(held(attached=10, assigned=7, cooldown=3)))),
            True,
            id="none left but in cooldown",
        ),
        pytest.param(
            read(PLAIN, reading(introspection=books(held(attached=10, assigned=7, cooldown=2)))),
            False,
            id="one left beside those in cooldown",
        ),
        pytest.param(unread(PLAIN, Reason.STARTING), True, id="not read"),
    ],
)
def test_a_problem_is_a_node_that_was_not_read_or_has_nothing_left_to_give(
    outcome: Outcome, problem: bool
) -> None:
    assert node_usage(outcome, 0.0).problem is problem


def test_a_node_that_is_blocked_is_a_problem_whatever_it_has_left() -> None:
    assert replace(usage(reading()), blocked=(BlockedBy.THROTTLED,)).problem


def test_warm_is_what_is_attached_and_not_assigned() -> None:
    assert usage(reading(assigned=5, attached=18)).warm == 13


@pytest.mark.parametrize(
    ("where", "zone", "nodegroup"),
    [
        pytest.param(node(zone="a", nodegroup="blue"), "a", "blue", id="labelled"),
        pytest.param(node(zone="", nodegroup=""), "none", "none", id="without such labels"),
        pytest.param(node(zone="", nodegroup="", addresses=()), "none", "none", id="no address"),
        pytest.param(
            node(zone="", nodegroup="", addresses=None), "", "", id="nodes may not be listed"
        ),
    ],
)
def test_a_node_without_a_zone_or_group_is_in_none_unless_nobody_knows(
    where: Node, zone: str, nodegroup: str
) -> None:
    found = usage(reading(), target(where))
    assert (found.zone, found.nodegroup) == (zone, nodegroup)


def test_a_usage_is_named_after_its_node() -> None:
    assert usage(reading(), target("node-9")).name == "node-9"


def test_a_sum_is_over_the_nodes_that_were_read_and_says_how_many_were_not() -> None:
    nodes = (
        usage(reading(assigned=5, attached=18)),
        usage(reading(assigned=1, attached=32, enis=1, prefixes=2, actions=1)),
        node_usage(unread(PLAIN, Reason.TIMEOUT), 0.0),
        node_usage(unread(PLAIN, Reason.TIMEOUT), 0.0),
        node_usage(unread(PLAIN, Reason.NO_POD), 0.0),
    )
    found = total("a", nodes)
    assert found == Usage(
        name="a",
        read=2,
        unread={**NO_UNREAD, Reason.TIMEOUT: 2, Reason.NO_POD: 1},
        assigned=6,
        attached=50,
        warm=44,
        capacity=54,
        enis=3,
        eni_capacity=6,
        prefixes=2,
        ipv4_prefixes=2,
        actions=1,
    )
    assert found.expected == 5


def test_cooldown_is_summed_over_the_nodes_that_were_introspected() -> None:
    ipv6 = reading(introspection=books(held(attached=SLASH_80, assigned=3, cooldown=1)))
    nodes = (
        usage(reading(assigned=5, attached=18)),
        usage(reading(introspection=BOOKS)),
        usage(reading(introspection=books(held(attached=9, assigned=4, cooldown=0)))),
        usage(ipv6),
        node_usage(unread(PLAIN), 0.0),
    )
    found = total("", nodes)
    assert (found.introspected, found.cooldown) == (3, 4)
    assert (found.assigned, found.attached, found.warm) == (5 + 6 + 4 + 3, 18 + 18 + 9, 13 + 8 + 5)
    assert found.warm == sum(node.warm or 0 for node in nodes)


@pytest.mark.parametrize(
    ("nodes", "introspected"),
    [
        pytest.param((), 0, id="no nodes"),
        pytest.param((usage(reading()),), 0, id="none introspected"),
        pytest.param(
            (usage(reading(introspection=books(held(attached=SLASH_80)))),), 1, id="none in IPv4"
        ),
    ],
)
def test_without_a_node_that_tells_of_cooldown_there_is_no_sum_of_it(
    nodes: tuple[NodeUsage, ...], introspected: int
) -> None:
    found = total("", nodes)
    assert (found.introspected, found.cooldown) == (introspected, None)


FIGURES = (
    "assigned",
    "attached",
    "warm",
    "capacity",
    "enis",
    "eni_capacity",
    "prefixes",
    "ipv4_prefixes",
    "actions",
)


def test_the_sum_of_no_nodes_is_zero() -> None:
    zeros = dict.fromkeys(FIGURES, 0)
    assert total("", ()) == Usage(name="", read=0, unread=NO_UNREAD, headroom=None, **zeros)


def test_a_figure_that_no_expected_node_told_is_absent_not_zero() -> None:
    found = total("", (node_usage(unread(PLAIN), 0.0),))
    absent: dict[str, Any] = dict.fromkeys(FIGURES)
    assert found == Usage(name="", read=0, unread={**NO_UNREAD, Reason.TIMEOUT: 1}, **absent)


def test_a_figure_that_some_nodes_do_not_have_is_the_sum_of_the_others() -> None:
    ipv6 = usage(reading(assigned=7, attached=SLASH_80, ip_max=0), runs({"ENABLE_IPv6": "true"}))
    found = total("", (usage(reading(assigned=5, attached=18)), ipv6))
    assert (found.assigned, found.attached, found.warm, found.capacity) == (12, 18, 13, 27)


def test_groups_come_in_the_order_of_their_names_with_their_nodes_sums() -> None:
    nodes = [
        replace(usage(reading(assigned=i)), target=target(node(f"node-{i}", zone=zone)))
        for i, zone in enumerate("bab")
    ]
    assert grouped(nodes, lambda it: it.zone) == (
        total("a", nodes[1:2]),
        total("b", (nodes[0], nodes[2])),
    )


def test_no_nodes_are_in_no_groups() -> None:
    assert grouped((), lambda it: it.zone) == ()


@st.composite
def outcomes(draw: st.DrawFn) -> Outcome:
    where = target(
        node(
            zone=draw(st.sampled_from(("a", "b", ""))),
            nodegroup=draw(st.sampled_from(("blue", ""))),
            pod_eni_capacity=draw(st.none() | st.integers(0, 3)),
        ),
        pod(
            env={
                name: draw(st.sampled_from(("true", "false")))
                for name in ("ENABLE_MULTI_NIC", "ENABLE_IPv6", *CUSTOM)
            }
        ),
    )
    if draw(st.integers(0, 3)) == 0:
        return unread(where, draw(st.sampled_from(Reason)))
    assigned = draw(st.integers(0, 50))
    what = reading(
        assigned=assigned,
        attached=assigned + draw(st.integers(0, 50)),
        enis=draw(st.integers(0, 4)),
        eni_max=draw(st.integers(-1, 4)),
        ip_max=draw(st.integers(0, 60)),
        prefixes=draw(st.integers(0, 4)),
        assigned_by_eni=(("eni-a", draw(st.integers(0, 9))),),
        introspection=draw(st.none() | introspections()),
    )
    return read(where, what)


@st.composite
def introspections(draw: st.DrawFn) -> Introspection:
    enis = []
    for number in range(draw(st.integers(0, 3))):
        assigned, cooldown, warm = (draw(st.integers(0, 20)) for _ in range(3))
        attached = assigned + cooldown + warm
        enis.append(
            held(
                f"eni-{number}",
                attached=attached,
                assigned=assigned,
                cooldown=cooldown,
                excluded=draw(st.booleans()),
            )
        )
    return books(*enis, carried=draw(st.booleans()))


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(lambda it: it.zone, id="zones"),
        pytest.param(lambda it: it.nodegroup, id="node groups"),
    ],
)
@given(st.lists(outcomes(), max_size=12))
def test_groups_sum_to_the_cluster(
    key: Callable[[NodeUsage], str], given_outcomes: list[Outcome]
) -> None:
    nodes = [node_usage(outcome, 0.0) for outcome in given_outcomes]
    cluster, groups = total("", nodes), grouped(nodes, key)
    assert len({it.name for it in groups}) == len(groups)
    assert sum(it.read for it in groups) == cluster.read
    assert sum(it.expected for it in groups) == cluster.expected == len(nodes)
    for figure in FIGURES:
        told = [value for it in groups if (value := getattr(it, figure)) is not None]
        assert getattr(cluster, figure) == (sum(told) if told or not nodes else None)
    assert sum(it.introspected for it in groups) == cluster.introspected
    cooling = [it.cooldown for it in groups if it.cooldown is not None]
    assert cluster.cooldown == (sum(cooling) if cooling else None)


@given(outcomes())
def test_no_figure_of_a_node_is_below_zero(outcome: Outcome) -> None:
    found = node_usage(outcome, 0.0)
    assert all((getattr(found, figure) or 0) >= 0 for figure in (*FIGURES, "cooldown"))


@given(outcomes())
def test_the_states_of_a_nodes_addresses_sum_to_what_is_attached(outcome: Outcome) -> None:
    found = node_usage(outcome, 0.0)
    if found.warm is not None:
        assert (found.assigned or 0) + found.warm + (found.cooldown or 0) == found.attached
    assert (found.warm is None) is (found.attached is None)


@given(st.lists(outcomes(), max_size=9))
def test_so_do_the_sums_where_every_node_tells(given_outcomes: list[Outcome]) -> None:
    nodes = [node_usage(outcome, 0.0) for outcome in given_outcomes]
    found = total("", [node for node in nodes if node.attached is not None])
    assert found.assigned is not None
    assert found.warm is not None
    assert found.assigned + found.warm + (found.cooldown or 0) == found.attached


def test_the_figures_here_are_all_that_a_usage_sums() -> None:
    told = {"name", "read", "unread", "introspected", "cooldown", "headroom", *FIGURES}
    assert {it.name for it in fields(Usage)} == told
