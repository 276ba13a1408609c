"""Why a node gives nothing more: every reason by what must hold for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from exporter.sim.blocked_books import Stuck, reasons
from exporter.sim.ec2_told import NOTHING, Ec2Told, Room
from exporter.sim.ipamd import Release
from exporter.sim.node_figures import Figures

HOME, PODS, ELSEWHERE = "subnet-home", "subnet-pods", "subnet-elsewhere"
PREFIXES = {"ENABLE_PREFIX_DELEGATION": "true"}
CUSTOM = {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"}
NO_DISCOVERY = {"ENABLE_SUBNET_DISCOVERY": "false"}
FULL = "InsufficientFreeAddressesInSubnet"
FIGURES = Figures(
    mode="secondary", assigned=18, attached=18, warm=0, cooldown=0, capacity=27, eni_capacity=3
)
NODE = Stuck(
    figures=FIGURES,
    release=Release(1, 23, 1),
    env={},
    max_pods=29,
    pods=2,
    home=HOME,
    zone="a",
)


def room(free: int = 9, for_prefixes: int = 0, blocks: int = 0, **more: Any) -> Room:
    where = {"zone": "a", "tags": {}, **more}
    return Room(**where, free=free, for_prefixes=for_prefixes, blocks=blocks)


def told(**rooms: Room) -> Ec2Told:
    names = {"home": HOME, "pods": PODS, "elsewhere": ELSEWHERE}
    return Ec2Told(rooms={names[name]: it for name, it in rooms.items()})


def node(env: Mapping[str, str] | None = None, release: str = "1.23.1", **changes: Any) -> Stuck:
    """A node with nothing warm; what changes is of the node or of its figures."""
    of_node = {name: changes.pop(name) for name in ("pods", "pods_in", "nitro") if name in changes}
    return replace(
        NODE,
        env=env or {},
        release=Release.of(release),
        figures=replace(FIGURES, **changes),
        **of_node,
    )


def test_a_node_with_room_everywhere_is_not_stuck() -> None:
    assert reasons(NODE, (), told(home=room())) == set()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (FULL, "subnet_exhausted"),
        ("InsufficientCidrBlocks", "no_free_prefix"),
        ("PrivateIpAddressLimitExceeded", "ip_limit"),
        ("AttachmentLimitExceeded", "attachment_limit"),
        ("NetworkInterfaceLimitExceeded", "eni_limit"),
        ("RequestLimitExceeded", "throttled"),
        ("UnauthorizedOperation", None),
    ],
)
@pytest.mark.parametrize("warm", [0, 5])
def test_an_error_of_late_is_a_reason_whatever_is_warm(
    code: str, reason: str | None, warm: int
) -> None:
    found = reasons(node(warm=warm), [("DescribeSubnets", code)], NOTHING)
    assert found == ({reason} if reason else set())


@pytest.mark.parametrize(
    ("api", "env", "release", "waits"),
    [
        ("CreateNetworkInterface", {}, "1.23.1", True),
        ("CreateNetworkInterface", {}, "1.9.0", False),
        ("AssignPrivateIpAddresses", {}, "1.23.1", False),
        ("AssignPrivateIpAddresses", NO_DISCOVERY, "1.23.1", True),
        ("AssignPrivateIpAddresses", CUSTOM, "1.23.1", True),
        ("AssignPrivateIpAddresses", {}, "1.17.1", True),
        ("AttachNetworkInterface", NO_DISCOVERY, "1.23.1", False),
    ],
)
def test_ipamd_backs_off_after_what_starts_its_timer(
    api: str, env: Mapping[str, str], release: str, waits: bool
) -> None:
    found = reasons(node(env, release, warm=3), [(api, FULL)], NOTHING)
    assert ("back_off" in found) is waits


@pytest.mark.parametrize(("pods", "full"), [(10, False), (11, True), (12, True)])
def test_kubelet_takes_no_more_pods_than_it_is_set_to(pods: int, full: bool) -> None:
    assert ("max_pods" in reasons(node(pods=pods, warm=3), (), NOTHING)) is full


def test_limits_and_cooling_count_where_nothing_is_warm() -> None:
    stuck: dict[str, Any] = {"attached": 27, "cooldown": 2}
    assert reasons(node(**stuck), (), NOTHING) == {"eni_limit", "cooldown"}
    assert reasons(node(**stuck, warm=1), (), NOTHING) == set()
    assert reasons(node(**stuck, warm=None), (), NOTHING) == set()
    assert reasons(node(attached=27, capacity=None), (), NOTHING) == set()


@pytest.mark.parametrize(
    ("env", "home", "reason"),
    [
        pytest.param({}, room(0, 32, 2), "subnet_exhausted", id="nothing for single addresses"),
        pytest.param(PREFIXES, room(0, 32, 2), None, id="but for prefixes"),
        pytest.param(PREFIXES, room(0, 0, 0), "subnet_exhausted", id="nothing at all"),
        pytest.param(PREFIXES, room(7, 0, 0), "no_free_prefix", id="no whole block"),
        pytest.param({}, room(7, 0, 0), None, id="no block is wanted"),
    ],
)
def test_a_subnet_can_have_run_out_of_what_a_node_wants(
    env: Mapping[str, str], home: Room, reason: str | None
) -> None:
    assert reasons(node(env), (), told(home=home)) == ({reason} if reason else set())


def test_a_type_without_prefixes_wants_single_addresses() -> None:
    stuck = node(PREFIXES, nitro=False)
    assert reasons(stuck, (), told(home=room(0, 32, 2))) == {"subnet_exhausted"}


@pytest.mark.parametrize(
    ("tag", "release", "env", "more"),
    [
        pytest.param("1", "1.23.1", {}, True, id="tagged"),
        pytest.param("0", "1.23.1", {}, False, id="excluded"),
        pytest.param("0", "1.21.1", {}, True, id="before that was minded"),
        pytest.param("1", "1.17.1", {}, False, id="before discovery"),
        pytest.param("1", "1.23.1", NO_DISCOVERY, False, id="switched off"),
    ],
)
def test_another_subnet_of_the_zone_may_have_room(
    tag: str, release: str, env: Mapping[str, str], more: bool
) -> None:
    rooms = told(home=room(0), pods=room(tags={"kubernetes.io/role/cni": tag}))
    assert reasons(node(env, release), (), rooms) == (set() if more else {"subnet_exhausted"})
    role = {"kubernetes.io/role/cni": "1"}
    far = told(home=room(0), elsewhere=room(zone="b", tags=role))
    assert reasons(node(env, release), (), far) == {"subnet_exhausted"}


def test_an_excluded_home_gives_nothing_however_empty() -> None:
    home = room(tags={"kubernetes.io/role/cni": "0"})
    assert reasons(node(), (), told(home=home)) == {"subnet_exhausted"}
    assert reasons(node(release="1.20.0"), (), told(home=home)) == set()


def test_with_custom_networking_the_named_subnet_counts() -> None:
    rooms = told(home=room(9), pods=room(0))
    assert reasons(node(CUSTOM, pods_in=PODS), (), rooms) == {"subnet_exhausted"}


def test_an_ipv6_node_is_never_stuck() -> None:
    errors = [("CreateNetworkInterface", FULL)]
    assert reasons(node(mode="ipv6", warm=None), errors, NOTHING) == set()
