"""EC2's filters through boto3: each of them, their wildcards, and how several work together."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.sim.ec2_filters import Vocabulary
from exporter.sim.ec2_protocol import Condition
from tests.sim.ec2_parts import World, instance_id, reserve, served

WORDS: Vocabulary[str] = Vocabulary({"word": lambda word: (word,)})


def matching(words: list[str], *values: str) -> list[str]:
    return WORDS.matching(words, (Condition("word", values),))


def populated() -> World:
    """A VPC with one of each: a node's ENI, a leak, a load balancer's, and a second subnet."""
    world = World()
    first = world.subnet("10.1.0.0/24", 1, name="nodes", tags={"team": "a"})
    second = world.subnet("10.2.0.0/24", 2, zone="eu-central-1b", tags={"team": "b", "x": ""})
    reserve(first, "10.1.0.64/28")
    reserve(first, "10.1.0.32/28", "explicit")
    world.node(first, 7, primary=0x0A010009, description="node", tags={"name": "one"})
    tags = {"node.k8s.amazonaws.com/instance_id": instance_id(8), "name": "two"}
    world.eni(first, "10.1.0.10", description=f"aws-K8S-{instance_id(8)}", tags=tags, prefixes=1)
    balancer = world.eni(second, "10.2.0.9", description="ELB app/web", requester="amazon-elb")
    world.vpc.hand_over(balancer.id, "amazon-elb")
    return world


@pytest.mark.parametrize(
    ("name", "values", "addresses"),
    [
        pytest.param("subnet-id", [f"subnet-{2:017x}"], ["10.2.0.9"], id="subnet"),
        pytest.param("vpc-id", ["vpc-0"], [], id="another VPC"),
        pytest.param("status", ["available"], ["10.1.0.10"], id="status"),
        pytest.param("status", ["in-use"], ["10.1.0.9", "10.2.0.9"], id="in use"),
        pytest.param("attachment.instance-id", [instance_id(7)], ["10.1.0.9"], id="instance"),
        pytest.param("attachment.instance-id", ["*"], ["10.1.0.9"], id="any instance"),
        pytest.param("attachment.instance-owner-id", ["amazon-*"], ["10.2.0.9"], id="holder"),
        pytest.param("attachment.device-index", ["0"], ["10.1.0.9"], id="device"),
        pytest.param("attachment.delete-on-termination", ["true"], ["10.1.0.9"], id="goes too"),
        pytest.param("attachment.status", ["attached"], ["10.1.0.9", "10.2.0.9"], id="attached"),
        pytest.param("tag:name", ["two"], ["10.1.0.10"], id="tag"),
        pytest.param("tag:name", ["*"], ["10.1.0.9", "10.1.0.10"], id="any value of a tag"),
        pytest.param("tag-key", ["node.k8s.amazonaws.com/instance_id"], ["10.1.0.10"], id="key"),
        pytest.param("description", ["aws-K8S-*"], ["10.1.0.10"], id="description"),
        pytest.param("description", ["aws-k8s-*"], [], id="case counts"),
        pytest.param("interface-type", ["branch"], [], id="type"),
        pytest.param("requester-managed", ["true"], ["10.2.0.9"], id="managed"),
        pytest.param("requester-id", ["amazon-elb"], ["10.2.0.9"], id="requester"),
        pytest.param("private-ip-address", ["10.1.0.1?"], ["10.1.0.10"], id="address"),
        pytest.param("addresses.primary", ["false"], [], id="secondary addresses"),
        pytest.param("ipv4-prefix", ["10.1.0.64/28"], ["10.1.0.10"], id="prefix"),
        pytest.param("availability-zone", ["eu-central-1b"], ["10.2.0.9"], id="zone"),
        pytest.param("owner-id", ["999900001111"], [], id="owner"),
        pytest.param("mac-address", ["03:*"], [], id="no such MAC address"),
        pytest.param("network-interface-id", ["eni-0"], [], id="no such id"),
    ],
)
def test_enis_are_filtered_by(name: str, values: list[str], addresses: list[str]) -> None:
    with served(populated().vpc) as ec2:
        found = ec2.client().describe_network_interfaces(Filters=[{"Name": name, "Values": values}])
    assert [eni["PrivateIpAddress"] for eni in found["NetworkInterfaces"]] == addresses


@pytest.mark.parametrize(
    ("name", "values", "numbers"),
    [
        pytest.param("vpc-id", ["vpc-0a1b2c3d4e5f60718"], [1, 2], id="VPC"),
        pytest.param("subnet-id", [f"subnet-{1:017x}"], [1], id="id"),
        pytest.param("availability-zone", ["eu-central-1b"], [2], id="zone"),
        pytest.param("availability-zone-id", ["euc1-az2"], [1, 2], id="zone id"),
        pytest.param("cidr-block", ["10.2.*"], [2], id="CIDR"),
        pytest.param("tag:Name", ["nodes"], [1], id="name"),
        pytest.param("tag:team", ["a", "b"], [1, 2], id="either value"),
        pytest.param("tag-key", ["x"], [2], id="key"),
        pytest.param("tag:x", [""], [2], id="empty value"),
        pytest.param("state", ["pending"], [], id="state"),
        pytest.param("default-for-az", ["true"], [], id="default"),
        pytest.param("owner-id", ["111122223333"], [1, 2], id="owner"),
    ],
)
def test_subnets_are_filtered_by(name: str, values: list[str], numbers: list[int]) -> None:
    with served(populated().vpc) as ec2:
        found = ec2.client().describe_subnets(Filters=[{"Name": name, "Values": values}])
    assert [int(each["SubnetId"][-1]) for each in found["Subnets"]] == numbers


@pytest.mark.parametrize(
    ("name", "values", "types"),
    [
        pytest.param("instance-type", ["m5.2?large", "p4d.*"], ["m5.2xlarge", "p4d.24xlarge"]),
        pytest.param("bare-metal", ["true"], ["m5.metal"]),
        pytest.param("hypervisor", ["xen"], ["m4.2xlarge", "m4.4xlarge"]),
        pytest.param("current-generation", ["false"], ["m4.2xlarge", "m4.4xlarge"]),
        pytest.param("network-info.maximum-network-interfaces", ["60"], ["p4d.24xlarge"]),
        pytest.param("network-info.maximum-network-cards", ["2"], ["c6in.32xlarge"]),
        pytest.param("network-info.ipv4-addresses-per-interface", ["2"], ["t3.nano"]),
        pytest.param(
            "processor-info.supported-architecture", ["arm64"], ["m6g.large", "c6g.large"]
        ),
        pytest.param("vcpu-info.default-vcpus", ["192"], ["p5.48xlarge"]),
    ],
)
def test_instance_types_are_filtered_by(name: str, values: list[str], types: list[str]) -> None:
    with served(World().vpc) as ec2:
        found = ec2.client().describe_instance_types(Filters=[{"Name": name, "Values": values}])
    assert [kind["InstanceType"] for kind in found["InstanceTypes"]] == types


@pytest.mark.parametrize(
    ("kind", "cidrs"), [("prefix", ["10.1.0.64/28"]), ("explicit", ["10.1.0.32/28"])]
)
def test_reservations_are_filtered_by_kind(kind: str, cidrs: list[str]) -> None:
    with served(populated().vpc) as ec2:
        found = ec2.client().get_subnet_cidr_reservations(
            SubnetId=f"subnet-{1:017x}", Filters=[{"Name": "reservationType", "Values": [kind]}]
        )
    assert [each["Cidr"] for each in found["SubnetIpv4CidrReservations"]] == cidrs


@pytest.mark.parametrize(
    ("name", "value", "count"),
    [
        ("is-default", "false", 1),
        ("state", "available", 1),
        ("owner-id", "111122223333", 1),
        ("cidr", "10.1.0.0/16", 1),
        ("cidr-block-association.cidr-block", "10.2.0.0/16", 1),
        ("vpc-id", "vpc-0", 0),
    ],
)
def test_vpcs_are_filtered_by(name: str, value: str, count: int) -> None:
    with served(populated().vpc) as ec2:
        found = ec2.client().describe_vpcs(Filters=[{"Name": name, "Values": [value]}])
    assert len(found["Vpcs"]) == count


def test_several_filters_must_all_hold() -> None:
    filters: list[dict[str, Any]] = [
        {"Name": "status", "Values": ["in-use"]},
        {"Name": "requester-managed", "Values": ["false"]},
    ]
    with served(populated().vpc) as ec2:
        found = ec2.client().describe_network_interfaces(Filters=filters)
    assert [eni["PrivateIpAddress"] for eni in found["NetworkInterfaces"]] == ["10.1.0.9"]


def test_more_than_nine_values_are_all_taken() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    addresses = [f"10.1.0.{number}" for number in range(10, 24)]
    for address in addresses:
        world.eni(subnet, address)
    with served(world.vpc) as ec2:
        found = ec2.client().describe_network_interfaces(
            Filters=[{"Name": "private-ip-address", "Values": addresses}]
        )
    assert [eni["PrivateIpAddress"] for eni in found["NetworkInterfaces"]] == addresses


def test_a_backslash_takes_a_wildcards_meaning_away() -> None:
    words = ["*amazon?\\", "Xamazon?\\", "*amazonX\\"]
    assert matching(words, "\\*amazon\\?\\\\") == ["*amazon?\\"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param("a.c", ["a.c"], id="a dot is a dot"),
        pytest.param("a*", ["a.c", "abc", "a\nc"], id="star"),
        pytest.param("a?c", ["a.c", "abc", "a\nc"], id="question mark"),
        pytest.param("[ab]*", [], id="brackets are brackets"),
    ],
)
def test_wildcards_are_ec2s_and_no_others(value: str, words: list[str]) -> None:
    assert matching(["a.c", "abc", "a\nc", "xyz"], value) == words


def test_things_without_tags_have_no_tag_filter() -> None:
    with pytest.raises(Exception, match="The filter 'tag-key' is invalid"):
        WORDS.matching(["a"], (Condition("tag-key", ("x",)),))
