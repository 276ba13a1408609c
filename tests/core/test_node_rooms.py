"""What is known of a node's room, by its ipamd, by Kubernetes and by EC2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from exporter.core.headroom import FreeSpace, NodeRoom
from exporter.core.in_force import settings_of
from exporter.core.introspection import Introspection
from exporter.core.model import Outcome, Reading, SubnetRoom, Target
from exporter.core.node_enis import NodeEni
from exporter.core.node_rooms import free_spaces, node_rooms
from exporter.core.pool import IPV6_PREFIX, Limits, Rules
from exporter.core.usage import node_usage, pod_enis
from tests.builders import books, held, node, pod, read, reading, snapshot, target, unread
from tests.core.subnet_worlds import subnet

ROLE = "kubernetes.io/role/cni"
CUSTOM = {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"}
PREFIXES = {"ENABLE_PREFIX_DELEGATION": "true", "WARM_PREFIX_TARGET": "1"}
HOME = SubnetRoom(subnet(id="subnet-home"), 100, 0, 5, 2)
PODS = SubnetRoom(subnet(id="subnet-pods", tags={ROLE: "1"}), 300, 0, 9, 0)
OTHER = SubnetRoom(subnet(id="subnet-other"), 50, 0, 3, 0)
PRIMARY = NodeEni("subnet-home", singles=9, primary=True)
SECOND = NodeEni("subnet-home", singles=9)
TRUNK = NodeEni("subnet-home", trunk=True)


def runs(
    env: Mapping[str, str] | None = None,
    *,
    max_pods: int | None = 29,
    version: str = "v1.23.1",
    pod_eni_capacity: int | None = None,
) -> Target:
    """An m5.large whose aws-node is of this release and has this environment."""
    machine = node(max_pods=max_pods, pod_eni_capacity=pod_eni_capacity)
    return target(machine, pod(env=env, cni_version=version))


def rooms_of(
    *outcomes: Outcome,
    rooms: Iterable[SubnetRoom] = (HOME,),
    enis: Mapping[str, tuple[NodeEni, ...]] | None = None,
    eniconfigs: Mapping[str, str] | None = None,
    branches: Mapping[str, int] | None = None,
) -> tuple[NodeRoom | None, ...]:
    shot = snapshot(
        *outcomes,
        rooms=rooms,
        node_enis=enis,
        eniconfigs=eniconfigs,
        pod_enis=branches,
        subnets={"i-1": "subnet-home"},
    )
    usages = [node_usage(it, 0.0, "subnet-home") for it in outcomes]
    counted = [replace(it, pod_enis=pod_enis(it.target.node, branches)) for it in usages]
    return node_rooms(counted, shot)


def room(
    where: Target,
    what: Reading,
    *shown: NodeEni,
    rooms: Iterable[SubnetRoom] = (HOME,),
    eniconfigs: Mapping[str, str] | None = None,
) -> NodeRoom:
    enis = {"i-1": shown} if shown else {}
    (found,) = rooms_of(read(where, what), rooms=rooms, enis=enis, eniconfigs=eniconfigs)
    assert found is not None
    return found


def said(
    *,
    assigned: int = 5,
    attached: int = 18,
    enis: int = 2,
    prefixes: int = 0,
    per_eni: int = 9,
    eni_max: int = 3,
    introspection: Introspection | None = None,
) -> Reading:
    return reading(
        assigned=assigned,
        attached=attached,
        enis=enis,
        eni_max=eni_max,
        ip_max=eni_max * per_eni,
        prefixes=prefixes,
        introspection=introspection,
    )


def rules(where: Target, *, slots: int = 9, prefixes: bool = False, max_pods: int = 29) -> Rules:
    assert where.pod is not None
    limits = Limits(1, slots + 1, max_pods, prefix_capable=prefixes)
    return Rules.of(settings_of(where.pod), limits)


def test_a_node_has_what_ipamd_counts_and_max_pods_leave() -> None:
    where = runs()
    assert room(where, said(attached=16), PRIMARY, replace(SECOND, singles=7)) == NodeRoom(
        rules=rules(where),
        pods=29 - 5 - 2,
        warm=11,
        cidrs=16,
        slots=(("subnet-home", 2),),
        enis=1,
        subnets=("subnet-home",),
    )


def test_so_does_one_in_prefix_mode() -> None:
    where = runs(PREFIXES, max_pods=110)
    what = said(assigned=20, attached=48, enis=1, prefixes=3, per_eni=144)
    assert room(where, what, replace(PRIMARY, singles=0, prefixes=3)) == NodeRoom(
        rules=rules(where, prefixes=True, max_pods=110),
        pods=88,
        warm=28,
        cidrs=3,
        slots=(("subnet-home", 6),),
        enis=2,
        subnets=("subnet-home",),
    )


def test_a_type_that_has_no_prefixes_stays_with_addresses_whatever_the_setting() -> None:
    where = runs(PREFIXES)
    found = room(where, said())
    assert (found.rules, found.cidrs, found.warm) == (rules(where), 18, 13)


def test_in_ipv6_mode_max_pods_alone_count_and_no_subnet() -> None:
    where = runs({"ENABLE_IPv6": "true"}, max_pods=110)
    what = reading(assigned=7, attached=IPV6_PREFIX, enis=1, eni_max=3, ip_max=0)
    (found,) = rooms_of(read(where, what), rooms=())
    assert found is not None
    assert (found.pods, found.warm, found.slots, found.enis) == (101, 101, (), 0)


def test_branch_enis_take_places_of_pods_but_no_addresses() -> None:
    where = runs(pod_eni_capacity=9)
    (found,) = rooms_of(read(where, said()), branches={"i-1": 4})
    assert found is not None
    assert (found.pods, found.warm) == (18, 13)


def test_no_pod_fits_on_a_node_with_more_than_max_pods() -> None:
    assert room(runs(max_pods=4), said()).pods == 0


@pytest.mark.parametrize(
    ("shown", "trunk", "usable", "more"),
    [
        pytest.param((PRIMARY, TRUNK), True, 1, 1, id="attached"),
        pytest.param((PRIMARY, SECOND), True, 2, 0, id="to come: its slot is kept"),
        pytest.param((), True, 1, 1, id="offered, on a node that EC2 does not show yet"),
        pytest.param((), False, 2, 1, id="none"),
    ],
)
def test_a_trunk_takes_an_eni(
    shown: tuple[NodeEni, ...], trunk: bool, usable: int, more: int
) -> None:
    where = runs({"ENABLE_POD_ENI": "true"}, pod_eni_capacity=9 if trunk else None)
    found = room(where, said(attached=9), *shown)
    assert (sum(slots for _, slots in found.slots), found.enis) == (9 * usable - 9, more)


def test_a_trunk_that_a_node_was_promised_keeps_a_slot() -> None:
    where = replace(runs({"ENABLE_POD_ENI": "true"}), trunk=True)
    assert room(where, said(), PRIMARY, SECOND).enis == 0
    assert room(where, said()).enis == 0


@pytest.mark.parametrize("shown", [(), (PRIMARY, NodeEni("subnet-pods", singles=7))])
def test_under_custom_networking_pods_are_where_their_eniconfig_says(
    shown: tuple[NodeEni, ...],
) -> None:
    where = replace(runs(CUSTOM), eniconfig="zone-a")
    found = room(
        where, said(attached=7), *shown, rooms=(HOME, PODS), eniconfigs={"zone-a": "subnet-pods"}
    )
    assert (found.slots, found.enis, found.subnets) == (
        (("subnet-pods", 2),),
        1,
        ("subnet-pods",),
    )


def test_the_eniconfig_that_ipamd_chose_is_surer_than_what_its_node_asks_for() -> None:
    where = replace(runs(CUSTOM), eniconfig="zone-a")
    enis = (held("eni-0", primary=True, attached=0, assigned=0), held("eni-1", attached=9))
    what = said(introspection=books(*enis, eniconfig="zone-b"))
    named = {"zone-a": "subnet-other", "zone-b": "subnet-pods"}
    found = room(where, what, rooms=(HOME, PODS, OTHER), eniconfigs=named)
    assert found.subnets == ("subnet-pods",)


def test_enis_in_a_subnet_that_is_kept_from_pods_give_them_nothing_more() -> None:
    kept = SubnetRoom(subnet(id="subnet-kept", tags={ROLE: "0"}), 100)
    shown = (PRIMARY, NodeEni("subnet-kept", singles=6), NodeEni("subnet-unread", singles=1))
    found = room(runs(), said(attached=16, enis=3), *shown, rooms=(HOME, kept))
    # At the worst all five pods have addresses of the ENIs that still give some.
    assert (found.cidrs, found.warm, sum(n for _, n in found.slots)) == (10, 5, 8)


def test_a_node_of_which_even_the_own_subnet_is_kept_from_pods_waits_for_enis_elsewhere() -> None:
    kept = SubnetRoom(subnet(id="subnet-home", tags={ROLE: "0"}), 100)
    found = room(runs(), said(assigned=0, attached=0, enis=1), rooms=(kept, PODS))
    assert (found.slots, found.enis, found.subnets) == ((), 2, ("subnet-pods",))


def test_leftovers_of_the_other_mode_take_slots_and_give_pods_nothing() -> None:
    where = runs(PREFIXES, max_pods=110)
    found = room(where, said(assigned=9, attached=4 + 32, enis=1, prefixes=2, per_eni=144))
    # At the worst all nine pods have addresses of prefixes.
    assert (found.cidrs, found.warm, found.slots) == (2, 23, (("subnet-home", 3),))


def test_where_enis_are_in_several_subnets_free_slots_are_where_ec2_shows_them() -> None:
    shown = (
        replace(PRIMARY, singles=6),
        NodeEni("subnet-pods", singles=9),
        NodeEni("subnet-pods", singles=5),
    )
    where, rooms = runs(), (HOME, PODS)
    assert room(where, said(attached=20, enis=3), *shown, rooms=rooms).slots == (
        ("subnet-home", 3),
        ("subnet-pods", 4),
    )
    # ipamd has taken some since, or has attached an ENI.
    assert room(where, said(attached=23, enis=3), *shown, rooms=rooms).slots == (
        ("subnet-home", 3),
        ("subnet-pods", 1),
    )
    assert room(where, said(attached=20, enis=4, eni_max=4), *shown, rooms=rooms).slots == (
        ("subnet-home", 3),
        ("subnet-pods", 4),
        ("subnet-home", 9),
    )


class TestByBooks:
    """Where ipamd's introspection was read."""

    def test_every_eni_is_where_and_what_ipamd_says(self) -> None:
        enis = (
            held("eni-0", primary=True, attached=7, assigned=4, subnet_id="subnet-home"),
            held("eni-1", attached=9, assigned=6, subnet_id="subnet-pods"),
            held("eni-2", attached=5, assigned=5, excluded=True, subnet_id="subnet-other"),
            held("eni-3", trunk=True, attached=0, assigned=0, cooldown=0, subnet_id="subnet-home"),
        )
        what = said(eni_max=5, introspection=books(*enis))
        where = runs({"ENABLE_POD_ENI": "true"}, pod_eni_capacity=9)
        found = room(where, what, PRIMARY, rooms=(HOME, PODS, OTHER))
        assert (found.pods, found.cidrs, found.warm) == (29 - 15 - 2, 16, 6)
        assert (found.slots, found.enis) == ((("subnet-home", 2),), 1)

    def test_without_subnets_in_them_the_places_are_those_that_ec2_shows(self) -> None:
        enis = (held("eni-0", primary=True, attached=9), held("eni-1", attached=5))
        shown = (PRIMARY, NodeEni("subnet-pods", singles=5))
        what = said(introspection=books(*enis))
        found = room(runs(), what, *shown, rooms=(HOME, PODS))
        assert found.slots == (("subnet-pods", 4),)

    def test_prefixes_beside_leftovers_have_at_least_what_pods_cannot_have_of_them(self) -> None:
        enis = (
            held("eni-0", attached=4 + 32, prefixes=2, assigned=9, subnet_id="subnet-home"),
            held("eni-1", attached=16, prefixes=1, assigned=0, subnet_id="subnet-home"),
        )
        what = said(per_eni=144, introspection=books(*enis))
        assert room(runs(PREFIXES, max_pods=110), what).warm == 39

    def test_of_excluded_enis_pods_are_not_held_against_the_others(self) -> None:
        enis = (
            held("eni-0", attached=9, assigned=1, subnet_id="subnet-home"),
            held("eni-1", attached=9, assigned=9, excluded=True, subnet_id="subnet-other"),
        )
        current = said(introspection=books(*enis))
        later = said(assigned=12, introspection=books(*enis, carried=True))
        assert [room(runs(), it, rooms=(HOME, OTHER)).warm for it in (current, later)] == [8, 6]


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(unread("node-1"), id="not read"),
        pytest.param(read(Target(node()), said()), id="no aws-node pod"),
        pytest.param(read(runs(max_pods=None), said()), id="max-pods not known"),
        pytest.param(read(runs({"ENABLE_MULTI_NIC": "true"}), said()), id="several cards"),
        pytest.param(read(runs(CUSTOM), said()), id="the ENIConfig is not known"),
        pytest.param(read(runs(), said(eni_max=-1)), id="more ENIs unmanaged than there are"),
        pytest.param(read(runs(), said(per_eni=0)), id="no address to an ENI"),
        pytest.param(read(runs(), said(per_eni=16 * 129)), id="no ENI has as many addresses"),
        pytest.param(read(runs(), said(eni_max=129)), id="no node has as many ENIs"),
    ],
)
def test_the_room_is_not_known_of_a_node(outcome: Outcome) -> None:
    assert rooms_of(outcome) == (None,)


def test_nor_is_it_where_ec2_did_not_tell_of_the_subnet() -> None:
    assert rooms_of(read(runs(), said()), rooms=()) == (None,)


@pytest.mark.parametrize(
    ("env", "per_eni", "known"),
    [pytest.param(PREFIXES, 144, False, id="prefixes"), pytest.param({}, 9, True, id="addresses")],
)
def test_where_the_enis_could_not_be_read_prefixes_are_not_known(
    env: Mapping[str, str], per_eni: int, known: bool
) -> None:
    bare = SubnetRoom(subnet(id="subnet-home"), 100)
    (found,) = rooms_of(read(runs(env), said(per_eni=per_eni)), rooms=(bare,))
    assert (found is not None) is known


def test_several_warm_prefixes_ask_how_many_are_without_pods_at_the_least() -> None:
    where = runs({**PREFIXES, "WARM_PREFIX_TARGET": "3"}, max_pods=110)
    what = said(assigned=2, attached=64, enis=1, prefixes=4, per_eni=144)
    assert room(where, what).unused == 2
    assert room(where, replace(what, assigned=9)).unused == 0


def test_nodes_that_are_alike_share_their_rules() -> None:
    one, other = rooms_of(read(runs(), said()), read(runs(), said()))
    where = runs()
    same, again = rooms_of(read(where, said()), read(where, said(assigned=6)))
    assert one is not None
    assert other is not None
    assert one.rules == other.rules
    assert same is not None
    assert again is not None
    assert same.rules is again.rules


def test_nodes_with_the_same_enis_share_what_is_known_of_them() -> None:
    where, shown = runs(), {"i-1": (PRIMARY, NodeEni("subnet-home", singles=7))}
    one, other = rooms_of(read(where, said(attached=16)), read(where, said(attached=9)), enis=shown)
    assert one is not None
    assert other is not None
    assert (one.slots, other.slots) == ((("subnet-home", 2),), (("subnet-home", 9),))


def test_what_is_free_in_a_subnet_is_told_by_kind() -> None:
    bare = SubnetRoom(subnet(id="subnet-bare"), 7)
    shared, full = replace(PODS, hidden=4), replace(OTHER, hidden=99)
    assert free_spaces(snapshot(rooms=(HOME, bare, shared, full))) == {
        "subnet-home": FreeSpace(100, 3, 2),
        "subnet-bare": FreeSpace(7, 0, 0),
        "subnet-pods": FreeSpace(300, 5, 0),
        "subnet-other": FreeSpace(50, 0, 0),
    }
