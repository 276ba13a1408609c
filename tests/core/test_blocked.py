from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.blocked import blocked
from exporter.core.counters import AWS_ERRORS, EC2_OPERATIONS, AwsError
from exporter.core.model import (
    BlockedBy,
    InstanceType,
    IpMode,
    Reason,
    Snapshot,
    SubnetRoom,
    Target,
)
from exporter.core.usage import NodeUsage
from tests.builders import node, pod, snapshot, target
from tests.core.subnet_worlds import subnet

CUSTOM = {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"}
PREFIXES = {"ENABLE_PREFIX_DELEGATION": "true"}
NO_DISCOVERY = {"ENABLE_SUBNET_DISCOVERY": "false"}
ROLE = "kubernetes.io/role/cni"
CREATE, ASSIGN = "CreateNetworkInterface", "AssignPrivateIpAddresses"
FULL, NO_BLOCK = "InsufficientFreeAddressesInSubnet", "InsufficientCidrBlocks"
BY = BlockedBy


def runs(
    env: Mapping[str, str] | None = None,
    *,
    version: str = "v1.23.1",
    max_pods: int | None = 110,
    host_network_pods: int | None = 2,
) -> Target:
    """A node whose aws-node has this environment and release."""
    where = node(max_pods=max_pods, instance_type="m5.large")
    return target(where, pod(cni_version=version, env=env), host_network_pods)


PLAIN = runs()


def usage(where: Target = PLAIN, **figures: Any) -> NodeUsage:
    """A node that has given out 18 of its 18 addresses, and could have 27."""
    full: dict[str, Any] = {
        "ip_mode": IpMode.SECONDARY,
        "assigned": 18,
        "attached": 18,
        "capacity": 27,
        "subnet_id": "subnet-a",
    }
    return NodeUsage(target=where, **{**full, **figures})


def room(id: str = "subnet-a", free: int = 9, **figures: Any) -> SubnetRoom:
    tags = figures.pop("tags", None)
    return SubnetRoom(subnet(id=id, tags=tags), free, **figures)


NITRO = InstanceType(name="m5.large", enis=3, ipv4_per_eni=10, vcpus=2, hypervisor="nitro")
XEN = replace(NITRO, hypervisor="xen")
NOTHING = snapshot()


def told(*rooms: SubnetRoom, types: tuple[InstanceType, ...] = (NITRO,)) -> Snapshot:
    """What EC2 says of the subnets and the type."""
    return snapshot(rooms=rooms, types=types)


def test_a_node_with_nothing_warm_is_blocked_by_nothing_that_is_not_known() -> None:
    assert blocked(usage(), NOTHING) == ()


class TestErrorsThatIpamdMet:
    @pytest.mark.parametrize(
        ("code", "reasons"),
        [
            pytest.param(FULL, (BY.SUBNET_EXHAUSTED,), id="a full subnet"),
            pytest.param(NO_BLOCK, (BY.NO_FREE_PREFIX,), id="no block"),
            pytest.param("PrivateIpAddressLimitExceeded", (BY.IP_LIMIT,), id="a full ENI"),
            pytest.param("AttachmentLimitExceeded", (BY.ATTACHMENT_LIMIT,), id="a full node"),
            pytest.param("NetworkInterfaceLimitExceeded", (BY.ENI_LIMIT,), id="a full account"),
            pytest.param("RequestLimitExceeded", (BY.THROTTLED,), id="too many requests"),
            pytest.param("UnauthorizedOperation", (), id="a permission"),
        ],
    )
    @pytest.mark.parametrize("warm", [0, 5], ids=["nothing warm", "something warm"])
    def test_block_whatever_is_warm(
        self, code: str, reasons: tuple[BlockedBy, ...], warm: int
    ) -> None:
        assert blocked(usage(assigned=18 - warm), NOTHING, [("other", code)]) == reasons

    @pytest.mark.parametrize("code", [FULL, NO_BLOCK])
    @pytest.mark.parametrize(
        ("api", "env", "version", "waits"),
        [
            pytest.param(CREATE, {}, "v1.23.1", True, id="a new ENI"),
            pytest.param(CREATE, NO_DISCOVERY, "v1.23.1", True, id="whatever is discovered"),
            pytest.param(ASSIGN, {}, "v1.23.1", False, id="discovery goes on elsewhere"),
            pytest.param(ASSIGN, {}, "latest", False, id="also in a release nobody knows"),
            pytest.param(ASSIGN, NO_DISCOVERY, "v1.23.1", True, id="no discovery"),
            pytest.param(ASSIGN, CUSTOM, "v1.23.1", True, id="custom networking has none"),
            pytest.param(ASSIGN, {}, "v1.17.1", True, id="nor had releases before it"),
            pytest.param(ASSIGN, {}, "v1.9.1", True, id="the first to wait"),
            pytest.param(ASSIGN, {}, "v1.9.0", False, id="the last that did not"),
            pytest.param(CREATE, {}, "v1.9.0", False, id="for anything"),
            pytest.param("AttachNetworkInterface", {}, "v1.16.0", False, id="another operation"),
        ],
    )
    def test_make_ipamd_wait_where_it_has_nowhere_else_to_go(
        self, code: str, api: str, env: Mapping[str, str], version: str, waits: bool
    ) -> None:
        found = blocked(usage(runs(env, version=version)), NOTHING, [(api, code)])
        assert (BY.BACK_OFF in found) is waits

    @pytest.mark.parametrize("code", sorted({*AWS_ERRORS} - {FULL, NO_BLOCK}))
    def test_make_it_wait_for_no_other_code(self, code: str) -> None:
        assert BY.BACK_OFF not in blocked(usage(), NOTHING, [(CREATE, code)])

    def test_of_a_node_without_a_pod_make_nothing_wait(self) -> None:
        bare = usage(Target(node()), assigned=1)
        assert blocked(bare, NOTHING, [(CREATE, FULL)]) == (BY.SUBNET_EXHAUSTED,)

    def test_come_in_the_order_of_the_reasons(self) -> None:
        errors = [(CREATE, code) for code in reversed(AWS_ERRORS)]
        found = blocked(usage(runs(max_pods=20)), NOTHING, errors)
        assert found == (
            BY.SUBNET_EXHAUSTED,
            BY.NO_FREE_PREFIX,
            BY.ENI_LIMIT,
            BY.IP_LIMIT,
            BY.ATTACHMENT_LIMIT,
            BY.MAX_PODS,
            BY.THROTTLED,
            BY.BACK_OFF,
        )


class TestMaxPods:
    @pytest.mark.parametrize(
        ("max_pods", "host_network_pods", "pod_enis", "reached"),
        [
            pytest.param(12, 2, None, True, id="10 pods and 2 of the host's"),
            pytest.param(13, 2, None, False, id="one more fits"),
            pytest.param(11, 2, None, True, id="more than there may be"),
            pytest.param(13, 2, 1, True, id="one has an ENI of its own"),
            pytest.param(13, 2, 0, False, id="none has"),
            pytest.param(10, None, None, True, id="the host's are not known"),
            pytest.param(11, None, None, False, id="and are not made up"),
            pytest.param(None, 2, None, False, id="the figure is not known"),
            pytest.param(0, 0, None, True, id="no pod at all"),
        ],
    )
    def test_is_reached_by_all_pods_there_are_whatever_is_warm(
        self,
        max_pods: int | None,
        host_network_pods: int | None,
        pod_enis: int | None,
        reached: bool,
    ) -> None:
        where = runs(max_pods=max_pods, host_network_pods=host_network_pods)
        found = blocked(usage(where, assigned=10, pod_enis=pod_enis), NOTHING)
        assert found == ((BY.MAX_PODS,) if reached else ())

    def test_is_not_told_by_addresses_where_a_pod_may_have_several(self) -> None:
        several = runs({"ENABLE_MULTI_NIC": "true"}, max_pods=12)
        assert blocked(usage(several, attached=None), NOTHING) == ()

    def test_is_not_told_of_a_node_that_does_not_say_what_it_assigned(self) -> None:
        assert blocked(usage(runs(max_pods=1), assigned=None), NOTHING) == ()


class TestNothingWarm:
    @pytest.mark.parametrize(("cooldown", "held"), [(None, False), (0, False), (3, True)])
    def test_while_addresses_cool_down(self, cooldown: int | None, held: bool) -> None:
        found = blocked(usage(attached=18 + (cooldown or 0), cooldown=cooldown), NOTHING)
        assert found == ((BY.COOLDOWN,) if held else ())

    @pytest.mark.parametrize(
        ("attached", "capacity", "held"),
        [
            pytest.param(27, 27, True, id="all it can have"),
            pytest.param(28, 27, True, id="more than that"),
            pytest.param(26, 27, False, id="one more is to be had"),
            pytest.param(27, None, False, id="nobody knows how many"),
            pytest.param(0, 0, False, id="none to be had at all"),
        ],
    )
    def test_on_a_node_that_can_have_no_more_enis(
        self, attached: int, capacity: int | None, held: bool
    ) -> None:
        found = blocked(usage(assigned=attached, attached=attached, capacity=capacity), NOTHING)
        assert found == ((BY.ENI_LIMIT,) if held else ())

    @pytest.mark.parametrize(
        ("rooms", "held"),
        [
            pytest.param([room(free=1)], False, id="one address"),
            pytest.param([room(free=0)], True, id="none"),
            pytest.param([room(free=0, prefix_reserved=16)], True, id="none but for prefixes"),
            pytest.param([room("subnet-b", 0)], False, id="nothing told of the node's"),
            pytest.param([room(free=0), room("subnet-b", 9)], True, id="another's is no help"),
            pytest.param([room(free=9), room("subnet-b", 0)], False, id="nor any harm"),
            pytest.param(
                [room(free=0), room("subnet-b", 9, tags={ROLE: "1"})],
                False,
                id="unless the CNI may go there",
            ),
            pytest.param(
                [room(free=0), room("subnet-b", 0, tags={ROLE: "1"})], True, id="which is full too"
            ),
            pytest.param(
                [room(free=9, tags={ROLE: "0"})], True, id="no subnet is left to take from"
            ),
        ],
    )
    def test_in_an_exhausted_subnet(self, rooms: list[SubnetRoom], held: bool) -> None:
        assert blocked(usage(), told(*rooms)) == ((BY.SUBNET_EXHAUSTED,) if held else ())

    @pytest.mark.parametrize(
        ("config", "held"),
        [
            pytest.param("full", True, id="which is full"),
            pytest.param("open", False, id="which is not"),
            pytest.param("new", False, id="of which EC2 told nothing"),
            pytest.param("", False, id="that is not known"),
        ],
    )
    def test_in_the_subnet_of_the_eniconfig(self, config: str, held: bool) -> None:
        where = replace(runs(CUSTOM), eniconfig=config)
        configs = {"full": "subnet-f", "open": "subnet-o", "new": "subnet-n"}
        rooms = [
            room("subnet-a", 0 if config == "open" else 9),
            room("subnet-f", 0),
            room("subnet-o"),
        ]
        shot = snapshot(rooms=rooms, types=(NITRO,), eniconfigs=configs)
        assert blocked(usage(where), shot) == ((BY.SUBNET_EXHAUSTED,) if held else ())

    @pytest.mark.parametrize(
        ("rooms", "reasons"),
        [
            pytest.param([room(blocks=1)], (), id="one block"),
            pytest.param([room(blocks=0)], (BY.NO_FREE_PREFIX,), id="addresses, but no block"),
            pytest.param([room(blocks=None)], (), id="blocks nobody told of"),
            pytest.param([room(free=0, blocks=0)], (BY.SUBNET_EXHAUSTED,), id="no address"),
            pytest.param(
                [room(free=0, prefix_reserved=16, blocks=1)], (), id="a block kept for prefixes"
            ),
            pytest.param(
                [room(free=0, prefix_reserved=3, blocks=0)],
                (BY.NO_FREE_PREFIX,),
                id="some of a block kept for prefixes",
            ),
            pytest.param(
                [room(blocks=0), room("subnet-b", blocks=1, tags={ROLE: "1"})],
                (),
                id="a block in another that the CNI may go to",
            ),
            pytest.param(
                [room(blocks=0), room("subnet-b", blocks=None, tags={ROLE: "1"})],
                (),
                id="perhaps one there",
            ),
        ],
    )
    def test_where_prefixes_are_asked_for(
        self, rooms: list[SubnetRoom], reasons: tuple[BlockedBy, ...]
    ) -> None:
        prefixes = usage(runs(PREFIXES), ip_mode=IpMode.PREFIX)
        assert blocked(prefixes, told(*rooms)) == reasons
        assert blocked(prefixes, told(*rooms, types=())) == reasons

    @pytest.mark.parametrize(
        ("env", "mode", "kind", "asks"),
        [
            pytest.param(PREFIXES, IpMode.MIXED, NITRO, True, id="it is set"),
            pytest.param(PREFIXES, IpMode.SECONDARY, NITRO, True, id="it was set just now"),
            pytest.param(PREFIXES, IpMode.SECONDARY, XEN, False, id="the type cannot"),
            pytest.param(
                {"ENABLE_PREFIX_DELEGATION": "false"},
                IpMode.PREFIX,
                NITRO,
                False,
                id="it was unset",
            ),
            pytest.param({}, IpMode.PREFIX, NITRO, True, id="set somewhere out of sight"),
            pytest.param({}, IpMode.MIXED, NITRO, False, id="neither set nor all prefixes"),
            pytest.param({}, IpMode.SECONDARY, NITRO, False, id="not set"),
        ],
    )
    def test_asks_for_prefixes_as_it_is_set_on_types_that_can(
        self, env: Mapping[str, str], mode: IpMode, kind: InstanceType, asks: bool
    ) -> None:
        found = blocked(usage(runs(env), ip_mode=mode), told(room(blocks=0), types=(kind,)))
        assert found == ((BY.NO_FREE_PREFIX,) if asks else ())

    def test_can_be_for_several_reasons(self) -> None:
        stuck = usage(runs(max_pods=20), attached=27, assigned=25, cooldown=2)
        assert blocked(stuck, told(room(free=0)), [(ASSIGN, "RequestLimitExceeded")]) == (
            BY.SUBNET_EXHAUSTED,
            BY.ENI_LIMIT,
            BY.MAX_PODS,
            BY.THROTTLED,
            BY.COOLDOWN,
        )

    def test_on_a_node_without_a_pod_is_told_of_no_subnet(self) -> None:
        assert blocked(usage(Target(node(max_pods=None))), told(room(free=0))) == ()


EVERYTHING = [(CREATE, code) for code in AWS_ERRORS]


@pytest.mark.parametrize(
    "silent",
    [
        pytest.param(usage(unread=Reason.TIMEOUT), id="not read"),
        pytest.param(usage(ip_mode=IpMode.IPV6), id="IPv6"),
    ],
)
def test_nothing_is_said_of_nodes_that_were_not_read_or_have_no_ipv4(silent: NodeUsage) -> None:
    assert blocked(silent, told(room(free=0)), EVERYTHING) == ()


errors = st.sets(
    st.tuples(st.sampled_from(EC2_OPERATIONS), st.sampled_from((*AWS_ERRORS, "other")))
)
maybe = st.none() | st.integers(0, 40)


@st.composite
def usages(draw: st.DrawFn) -> NodeUsage:
    env = draw(st.sampled_from(({}, CUSTOM, PREFIXES, NO_DISCOVERY, {"ENABLE_MULTI_NIC": "1"})))
    where = runs(
        env,
        version=draw(st.sampled_from(("v1.8.0", "v1.16.0", "v1.19.0", "v1.23.1", "latest"))),
        max_pods=draw(maybe),
        host_network_pods=draw(maybe),
    )
    assigned = draw(st.integers(0, 30))
    return usage(
        replace(where, eniconfig=draw(st.sampled_from(("", "a", "b")))),
        ip_mode=draw(st.sampled_from([mode for mode in IpMode if mode])),
        assigned=assigned,
        attached=draw(st.none() | st.integers(assigned, assigned + 2)),
        capacity=draw(maybe),
        cooldown=draw(st.none() | st.integers(0, 2)),
        pod_enis=draw(st.none() | st.integers(0, 3)),
        subnet_id=draw(st.sampled_from(("", "subnet-a"))),
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    rooms = [
        room(
            id,
            draw(st.integers(0, 2)),
            prefix_reserved=draw(st.integers(0, 2)),
            blocks=draw(st.none() | st.integers(0, 1)),
            tags=draw(st.sampled_from(({}, {ROLE: "1"}, {ROLE: "0"}))),
        )
        for id in draw(st.sets(st.sampled_from(("subnet-a", "subnet-b", "subnet-c"))))
    ]
    types = draw(st.sampled_from(((), (NITRO,), (XEN,))))
    return snapshot(rooms=rooms, types=types, eniconfigs={"a": "subnet-b", "b": "subnet-gone"})


@given(usages(), snapshots())
def test_a_node_with_warm_addresses_is_blocked_by_its_pods_alone_unless_ec2_refused(
    it: NodeUsage, shot: Snapshot
) -> None:
    if it.warm != 0:
        assert set(blocked(it, shot)) <= {BY.MAX_PODS}


@given(usages(), snapshots(), errors)
def test_without_warm_addresses_a_node_is_blocked_by_what_blocks_it_with_some_and_more(
    it: NodeUsage, shot: Snapshot, met: set[AwsError]
) -> None:
    if it.attached is not None and it.assigned is not None:
        warm = replace(it, attached=it.assigned + 5)
        assert set(blocked(warm, shot, met)) <= set(
            blocked(replace(it, attached=it.assigned), shot, met)
        )


@given(usages(), snapshots(), errors, errors)
def test_each_error_adds_its_own_reasons_whatever_others_there_are(
    it: NodeUsage, shot: Snapshot, some: set[AwsError], more: set[AwsError]
) -> None:
    both = {*blocked(it, shot, some), *blocked(it, shot, more)}
    assert set(blocked(it, shot, some | more)) == both


@given(usages(), snapshots(), errors)
def test_the_reasons_are_a_function_of_the_facts_alone(
    it: NodeUsage, shot: Snapshot, met: set[AwsError]
) -> None:
    found = blocked(it, shot, met)
    named = replace(it, target=replace(it.target, node=replace(it.target.node, name="another")))
    elsewhere = replace(subnet(id="subnet-z", tags={ROLE: "1"}), zone="eu-west-1z")
    rooms = {**shot.ec2.rooms, "subnet-z": SubnetRoom(elsewhere, 99, 99, 9)}
    later = replace(shot, time=shot.time + 9_999, ec2=replace(shot.ec2, rooms=rooms))
    assert blocked(named, later, sorted(met, reverse=True)) == found
    assert list(found) == [reason for reason in BlockedBy if reason in found]


@given(usages(), snapshots(), st.sampled_from(("subnet-a", "subnet-b", "subnet-c")))
def test_more_room_in_a_subnet_never_blocks_more(it: NodeUsage, shot: Snapshot, id: str) -> None:
    before = shot.ec2.rooms.get(id)
    if before is not None:
        roomy = SubnetRoom(before.subnet, before.free + 16, before.prefix_reserved, blocks=1)
        facts = replace(shot.ec2, rooms={**shot.ec2.rooms, id: roomy})
        after = blocked(it, replace(shot, ec2=facts))
        assert set(after) <= set(blocked(it, shot))
