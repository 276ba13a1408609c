from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.core.model import Eni
from exporter.core.owners import ENI_OWNERS, LeakOwner, Use
from exporter.core.prefixes import BlockState, Drain
from exporter.core.subnets import (
    Role,
    SubnetUsage,
    Survey,
    accounts,
)
from tests.builders import NOW
from tests.core.subnet_worlds import (
    CLUSTER,
    FACTS,
    INSTANCE_TAG,
    NOTHING,
    account,
    address,
    eni,
    run_of,
    subnet,
    used,
)


def test_a_subnet_is_accounted_for_whole() -> None:
    where = subnet(available=212)
    node = eni(
        "eni-1",
        instance_id="i-1",
        device_index=0,
        addresses=run_of("10.0.0.60", 5),
        prefixes=(address("10.0.0.128"),),
    )
    balancer = eni("eni-2", description="ELB app/web/1", addresses=(address("10.0.0.5"),))
    leak = eni(
        "eni-3",
        status="available",
        description="aws-K8S-i-gone",
        addresses=run_of("10.0.0.6", 2),
        created=NOW - 601,
    )
    assert account(where, (node, balancer, leak)) == SubnetUsage(
        subnet=where,
        size=256,
        free=212,
        utilization=1 - 212 / 251,
        roles=(Role.NODE, Role.POD),
        uses=dict.fromkeys(Use, 0)
        | {
            Use.FREE: 212,
            Use.AWS_RESERVED: 5,
            Use.NODE_PRIMARY: 1,
            Use.POD_UNKNOWN: 20,
            Use.LOAD_BALANCER: 1,
            Use.LEAKED: 2,
            Use.UNATTRIBUTED: 15,
        },
        residue=15,
        blocks=dict.fromkeys(BlockState, 0)
        | {BlockState.FREE: 11, BlockState.DELEGATED: 1, BlockState.FRAGMENTED: 4},
        fragmentation=(2 * 16 - 5) / (13 * 16 - 5),
        enis=dict.fromkeys(ENI_OWNERS, 0)
        | {Use.NODE_PRIMARY: 1, Use.LOAD_BALANCER: 1, Use.LEAKED: 1},
        leaked={LeakOwner.THIS_CLUSTER: 0, LeakOwner.UNKNOWN: 1},
        drains=(Drain("node-1", 2),),
    )


def test_a_subnet_whose_enis_were_not_read_has_no_partition() -> None:
    where = subnet(available=100)
    assert account(where, None) == SubnetUsage(
        subnet=where, size=256, free=100, utilization=1 - 100 / 251, roles=()
    )


@pytest.mark.parametrize(
    ("cidr", "size"),
    [("10.0.0.0/28", 16), ("10.0.0.0/24", 256), ("10.0.0.0/16", 65536)],
)
def test_an_empty_subnet_is_free_but_for_awss_five(cidr: str, size: int) -> None:
    usage = account(subnet(cidr, available=size - 5))
    assert used(usage) == {Use.FREE: size - 5, Use.AWS_RESERVED: 5}
    assert (usage.size, usage.utilization, usage.residue) == (size, 0.0, 0)


def test_a_subnet_without_ipv4_is_left_out() -> None:
    both = (subnet("", id="subnet-6"), subnet("2600:1f::/64", id="subnet-66"), subnet())
    _, usages = accounts(NOTHING, Survey(subnets=both, enis={}, facts=FACTS), NOW)
    assert [usage.subnet.id for usage in usages] == ["subnet-a"]


def test_what_ec2_cannot_have_given_is_nobodys() -> None:
    odd = eni(
        addresses=(address("10.0.1.7"), address("10.0.0.2"), address("10.0.0.255")),
        prefixes=(address("10.0.0.240"), address("10.0.0.24"), address("10.0.0.0")),
    )
    assert used(account(subnet(), (odd,))) == {Use.FREE: 251, Use.AWS_RESERVED: 5}


def test_an_address_that_moved_during_the_listing_is_counted_where_it_is_listed_last() -> None:
    before = eni("eni-1", interface_type="lambda", addresses=run_of("10.0.0.20", 3))
    after = eni("eni-2", interface_type="nat_gateway", addresses=run_of("10.0.0.22", 2))
    assert used(account(subnet(available=247), (before, after))) == {
        Use.FREE: 247,
        Use.AWS_RESERVED: 5,
        Use.LAMBDA: 2,
        Use.NAT_GATEWAY: 2,
    }


@pytest.mark.parametrize(
    ("available", "free", "residue"),
    [
        pytest.param(250, 250, 0, id="even"),
        pytest.param(200, 200, 50, id="enis-that-are-not-visible"),
        pytest.param(0, 0, 250, id="none-left"),
        pytest.param(253, 250, -3, id="freed-since"),
    ],
)
def test_free_is_what_ec2_and_the_enis_agree_on(available: int, free: int, residue: int) -> None:
    usage = account(subnet(available=available), (eni(),))
    assert usage.uses is not None
    assert (usage.uses[Use.FREE], usage.residue) == (free, residue)
    assert usage.uses[Use.UNATTRIBUTED] == max(residue, 0)
    assert usage.free == available


@pytest.mark.parametrize(
    ("tags", "enis", "roles"),
    [
        pytest.param({}, (), (), id="none"),
        pytest.param(
            {}, (eni(instance_id="i-1", device_index=0),), (Role.NODE,), id="a-nodes-primary"
        ),
        pytest.param(
            {},
            (eni(instance_id="i-1", device_index=1, addresses=run_of("10.0.0.9", 2)),),
            (Role.POD,),
            id="pod-addresses",
        ),
        pytest.param({}, (eni(instance_id="i-1", device_index=1),), (), id="no-pod-address"),
        pytest.param(
            {},
            (eni(interface_type="branch", tags={INSTANCE_TAG: "i-1"}),),
            (Role.POD,),
            id="branch-enis",
        ),
        pytest.param(
            {},
            (eni(description=f"Amazon EKS {CLUSTER}"),),
            (Role.CONTROL_PLANE,),
            id="control-plane",
        ),
        pytest.param({}, (eni(description="Amazon EKS blue"),), (), id="others-control-plane"),
        pytest.param({"kubernetes.io/role/cni": "1"}, (), (Role.CNI_DISCOVERY,), id="discovery"),
        pytest.param(
            {"kubernetes.io/role/cni": "yes"}, None, (Role.CNI_DISCOVERY,), id="any-value"
        ),
        pytest.param({"kubernetes.io/role/cni": ""}, (), (), id="empty-value"),
        pytest.param({"kubernetes.io/role/cni": "0"}, (), (Role.EXCLUDED,), id="excluded"),
    ],
)
def test_a_subnets_roles_are_what_its_tags_and_enis_say(
    tags: dict[str, str], enis: tuple[Eni, ...] | None, roles: tuple[Role, ...]
) -> None:
    assert account(subnet(tags=tags), enis).roles == roles


def test_configured_roles_need_no_eni() -> None:
    facts = replace(
        FACTS,
        eniconfig_subnets=frozenset({"subnet-a"}),
        cluster_subnets=frozenset({"subnet-a"}),
    )
    assert account(subnet(), None, facts=facts).roles == (Role.POD, Role.CONTROL_PLANE)


def test_a_cluster_that_was_not_named_is_the_one_that_its_nodes_enis_name() -> None:
    tags = {f"kubernetes.io/cluster/{CLUSTER}": "owned"}
    node = eni("eni-1", instance_id="i-1", device_index=0, tags=tags)
    branch = eni("eni-2", interface_type="branch", tags=tags, addresses=run_of("10.0.0.9", 1))
    usage = account(subnet(available=249), (node, branch), facts=replace(FACTS, cluster=""))
    assert used(usage)[Use.POD_BRANCH] == 1


def test_a_node_that_only_tags_know_cannot_be_named_for_draining() -> None:
    tags = {f"kubernetes.io/cluster/{CLUSTER}": "owned"}
    unlisted = eni("eni-1", instance_id="i-9", device_index=0, tags=tags)
    listed = eni("eni-2", instance_id="i-1", device_index=0, addresses=run_of("10.0.0.40", 1))
    both = replace(unlisted, id="eni-3", addresses=run_of("10.0.0.41", 1))
    alone = eni("eni-4", instance_id="i-1", device_index=1, addresses=run_of("10.0.0.80", 1))
    usage = account(subnet(), (unlisted, listed, both, alone))
    assert usage.drains == (Drain("node-1", 1),)
