"""What the door reads from an EC2 that answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from exporter.core.model import Eni, InstanceType, Reservation, Subnet
from exporter.inputs.ec2 import Ec2, types_on_file
from tests.inputs.aws_answers import GOOD_KEY, Reply, aws
from tests.inputs.ec2_answers import (
    FakeEc2,
    attachment,
    eni,
    error,
    instance_type,
    serving,
    subnet,
    tag_set,
    use,
)

__all__ = ["aws"]

DISCOVERED = tag_set({"kubernetes.io/role/cni": "1"})
LARGE = InstanceType(
    name="m5.large", enis=3, ipv4_per_eni=10, vcpus=2, hypervisor="nitro", attachment_limit=28
)


def test_a_subnet_is_told_with_its_reservations(aws: pytest.MonkeyPatch) -> None:
    tags = tag_set({"Name": "pods-a", "kubernetes.io/role/cni": "1", "team": "blue"})
    reserved = [
        {"cidr": "10.0.1.16/28", "reservationType": "prefix", "subnetId": "subnet-1"},
        {"cidr": "10.0.1.240/28", "reservationType": "explicit", "subnetId": "subnet-1"},
    ]
    ec2 = FakeEc2(subnets=[subnet(tagSet=tags)], reservations={"subnet-1": reserved})
    with serving(ec2):
        found = use(ec2, aws, lambda door: door.read_subnets(["subnet-1"]))
    assert found == (
        Subnet(
            id="subnet-1",
            vpc_id="vpc-1",
            zone="eu-central-1a",
            zone_id="euc1-az2",
            cidr="10.0.1.0/24",
            available=200,
            name="pods-a",
            tags={"Name": "pods-a", "kubernetes.io/role/cni": "1"},
            reservations=(
                Reservation("10.0.1.16/28", "prefix"),
                Reservation("10.0.1.240/28", "explicit"),
            ),
        ),
    )


SUBNETS = [
    subnet(1),
    subnet(2),
    subnet(3, tagSet=DISCOVERED),
    subnet(4, tagSet=DISCOVERED, vpcId="vpc-2"),
    subnet(5, tagSet=DISCOVERED, cidrBlock=None, ipv6Native=True),
]


@pytest.mark.parametrize(
    ("ids", "vpcs", "found"),
    [
        pytest.param(["subnet-1"], [], ["subnet-1", "subnet-3"], id="those of its VPC as well"),
        pytest.param([], ["vpc-2"], ["subnet-4"], id="the VPC alone"),
        pytest.param(
            ["subnet-1", "subnet-3"], ["vpc-2"], ["subnet-1", "subnet-3", "subnet-4"], id="both"
        ),
        pytest.param(["subnet-9"], [], [], id="one that is not there"),
        pytest.param(["subnet-2", "subnet-9"], [], ["subnet-2", "subnet-3"], id="one of two"),
        pytest.param([], [], [], id="none"),
    ],
)
def test_subnets_are_those_asked_for_and_those_tagged_for_the_cni(
    ids: list[str], vpcs: list[str], found: list[str], aws: pytest.MonkeyPatch
) -> None:
    ec2 = FakeEc2(subnets=SUBNETS)
    with serving(ec2):
        read = use(ec2, aws, lambda door: door.read_subnets(ids, vpcs))
    assert [it.id for it in read] == found


def test_lists_are_read_to_their_last_page(aws: pytest.MonkeyPatch) -> None:
    ec2 = FakeEc2(
        subnets=[subnet(number) for number in range(9)],
        enis=[eni(number) for number in range(10)],
        types=[instance_type(f"m5.{number}") for number in range(7)],
        reservations={
            "subnet-1": [
                {"cidr": f"10.0.1.{16 * number}/28", "reservationType": "prefix"}
                for number in range(5)
            ]
        },
        page_size=2,
    )

    async def read(door: Ec2) -> tuple[int, int, int, int]:
        subnets = await door.read_subnets(f"subnet-{number}" for number in range(9))
        enis = await door.read_enis(vpc_ids=["vpc-1"])
        types = await door.read_instance_types(f"m5.{number}" for number in range(7))
        return len(subnets), len(subnets[1].reservations or ()), len(enis), len(types)

    with serving(ec2):
        assert use(ec2, aws, read) == (9, 5, 10, 7)
    assert ec2.count("DescribeNetworkInterfaces") == 5


def test_a_page_may_be_empty_and_not_the_last(aws: pytest.MonkeyPatch) -> None:
    ec2 = FakeEc2(enis=[eni(1), eni(2)])
    empty = ec2.answer({"Action": "DescribeNetworkInterfaces", "MaxResults": "0"})
    assert b"page-0" in empty
    ec2.instead["DescribeNetworkInterfaces"] = [Reply(200, empty)]
    with serving(ec2):
        found = use(ec2, aws, lambda door: door.read_enis(vpc_ids=["vpc-1"]))
    assert [it.id for it in found] == ["eni-1", "eni-2"]


def test_more_subnets_than_a_filter_takes_are_asked_for_in_turn(aws: pytest.MonkeyPatch) -> None:
    subnets = [f"subnet-{number}" for number in range(450)]
    ec2 = FakeEc2(enis=[eni(number, subnetId=name) for number, name in enumerate(subnets)])
    with serving(ec2):
        found = use(ec2, aws, lambda door: door.read_enis(subnet_ids=subnets))
    assert {it.subnet_id for it in found} == set(subnets)
    assert ec2.count("DescribeNetworkInterfaces") == 3


def test_enis_are_those_of_vpcs_and_of_subnets_each_once(aws: pytest.MonkeyPatch) -> None:
    ec2 = FakeEc2(
        enis=[
            eni(1, attachment=attachment("i-7")),
            eni(2, vpcId="vpc-2", subnetId="subnet-2"),
            eni(3, vpcId="vpc-3", subnetId="subnet-3"),
        ]
    )
    with serving(ec2):
        found = use(
            ec2,
            aws,
            lambda door: door.read_enis(vpc_ids=["vpc-1"], subnet_ids=["subnet-1", "subnet-2"]),
        )
    assert found == (
        Eni(
            id="eni-1",
            subnet_id="subnet-1",
            status="available",
            interface_type="interface",
            owner_id="111122223333",
            instance_id="i-7",
            instance_owner_id="111122223333",
            attached=True,
            device_index=1,
            addresses=(0x0A00010B,),
        ),
        Eni(
            id="eni-2",
            subnet_id="subnet-2",
            status="available",
            interface_type="interface",
            owner_id="111122223333",
            addresses=(0x0A00010C,),
        ),
    )


def test_enis_that_services_hide_are_asked_for(aws: pytest.MonkeyPatch) -> None:
    ec2 = FakeEc2()
    with serving(ec2):
        assert use(ec2, aws, lambda door: door.read_enis(vpc_ids=["vpc-1"])) == ()
    assert ec2.asked[0][1]["IncludeManagedResources"] == "true"


def test_the_vpc_is_found_by_a_few_of_the_instances(aws: pytest.MonkeyPatch) -> None:
    instances = [f"i-{number}" for number in range(500)]
    ec2 = FakeEc2(
        enis=[
            *(eni(number, attachment=attachment(name)) for number, name in enumerate(instances)),
            eni(900, vpcId="vpc-9", attachment=attachment("i-9999")),
        ]
    )
    with serving(ec2):
        assert use(ec2, aws, lambda door: door.find_vpcs(instances)) == ("vpc-1",)
        assert use(ec2, aws, lambda door: door.find_vpcs(["i-unknown"])) == ()
        assert use(ec2, aws, lambda door: door.find_vpcs([])) == ()
    assert ec2.count("DescribeNetworkInterfaces") == 2


CARDS = [{"networkCardIndex": n, "maximumNetworkInterfaces": it} for n, it in enumerate((7, 8))]
MANY_CARDS = {
    "maximumNetworkInterfaces": 15,
    "maximumNetworkCards": 2,
    "defaultNetworkCardIndex": 1,
    "networkCards": CARDS,
    "ipv4AddressesPerInterface": 50,
}


@pytest.mark.parametrize(
    ("said", "limits"),
    [
        pytest.param(instance_type(), LARGE, id="Nitro"),
        pytest.param(
            instance_type("c6in.32xlarge", networkInfo=MANY_CARDS, ebsInfo={}),
            InstanceType(
                name="c6in.32xlarge",
                enis=8,
                ipv4_per_eni=50,
                vcpus=2,
                network_cards=2,
                hypervisor="nitro",
            ),
            id="the default card of several",
        ),
        pytest.param(
            {
                key: it
                for key, it in instance_type("a1.metal", bareMetal=True).items()
                if key not in ("hypervisor", "ebsInfo")
            },
            InstanceType(name="a1.metal", enis=3, ipv4_per_eni=10, vcpus=2, bare_metal=True),
            id="bare metal",
        ),
        pytest.param(
            instance_type(
                "m7i.large",
                ebsInfo={"attachmentLimitType": "dedicated", "maximumEbsAttachments": 32},
            ),
            InstanceType(name="m7i.large", enis=3, ipv4_per_eni=10, vcpus=2, hypervisor="nitro"),
            id="a limit for volumes alone",
        ),
    ],
)
def test_an_instance_type_has_the_limits_of_its_default_card(
    said: Mapping[str, Any], limits: InstanceType, aws: pytest.MonkeyPatch
) -> None:
    ec2 = FakeEc2(types=[said])
    with serving(ec2):
        found = use(ec2, aws, lambda door: door.read_instance_types([limits.name]))
    assert found == {limits.name: limits}


def test_a_type_is_asked_for_once_and_the_file_answers_where_ec2_does_not(
    aws: pytest.MonkeyPatch,
) -> None:
    ec2 = FakeEc2(types=[instance_type(), instance_type("x9.new")])

    async def read(door: Ec2) -> list[Mapping[str, InstanceType]]:
        return [
            await door.read_instance_types(["m5.large", "c5.large", "none.such"]),
            await door.read_instance_types(["m5.large", "c5.large", "none.such"]),
            await door.read_instance_types(["m5.large", "x9.new"]),
        ]

    with serving(ec2):
        first, second, third = use(ec2, aws, read)
    assert first == second == {"m5.large": LARGE, "c5.large": types_on_file()["c5.large"]}
    assert sorted(third) == ["m5.large", "x9.new"]
    assert [params["Filter.1.Value.1"] for _, params in ec2.asked] == ["c5.large", "x9.new"]


def test_the_file_answers_for_types_as_long_as_ec2_does_not(aws: pytest.MonkeyPatch) -> None:
    ec2 = FakeEc2(
        types=[instance_type(vCpuInfo={"defaultVCpus": 1})],
        instead={"DescribeInstanceTypes": [error("UnauthorizedOperation", 403)]},
    )

    async def read(door: Ec2) -> list[int]:
        answers = [await door.read_instance_types(["m5.large"]) for _ in range(2)]
        return [answer["m5.large"].vcpus for answer in answers]

    with serving(ec2):
        assert use(ec2, aws, read) == [2, 1]


class Clock:
    """Tells what time it was set to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_reservations_are_kept_for_some_minutes(aws: pytest.MonkeyPatch) -> None:
    clock = Clock()
    ec2 = FakeEc2(subnets=[subnet(1), subnet(2)])
    asked = []

    async def read(door: Ec2) -> None:
        for clock.now in (0.0, 299.0, 300.0):
            await door.read_subnets(["subnet-1", "subnet-2"])
            asked.append(ec2.count("GetSubnetCidrReservations"))

    with serving(ec2):
        use(ec2, aws, read, clock=clock)
    assert asked == [2, 2, 4]


def test_subnets_are_told_without_reservations_where_these_are_refused(
    aws: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    ec2 = FakeEc2(subnets=[subnet(1), subnet(2)])
    ec2.always["GetSubnetCidrReservations"] = error("UnauthorizedOperation", 403)
    found = []

    async def read(door: Ec2) -> None:
        for clock.now in (0.0, 299.0, 300.0):
            subnets = await door.read_subnets(["subnet-1", "subnet-2"])
            found.append([it.reservations for it in subnets])
            ec2.always.clear()

    with serving(ec2):
        use(ec2, aws, read, clock=clock)
    assert found == [[None, None], [None, None], [(), ()]]
    assert ec2.count("GetSubnetCidrReservations") == 3


def test_reservations_that_fail_are_read_on_where_they_failed(aws: pytest.MonkeyPatch) -> None:
    ec2 = FakeEc2(subnets=[subnet(number) for number in range(5)])

    async def read(door: Ec2) -> int:
        await door.read_subnets(["subnet-0", "subnet-1", "subnet-2"])
        ec2.instead["GetSubnetCidrReservations"] = [error("InternalError", 500)]
        ids = [f"subnet-{number}" for number in range(5)]
        with pytest.raises(Exception, match="GetSubnetCidrReservations failed"):
            await door.read_subnets(ids)
        return len(await door.read_subnets(ids))

    with serving(ec2):
        assert use(ec2, aws, read) == 5
    assert ec2.count("GetSubnetCidrReservations") == 3 + 1 + 2


def test_reads_at_the_same_time_share_one_client(aws: pytest.MonkeyPatch) -> None:
    ec2 = FakeEc2(subnets=SUBNETS, enis=[eni(1)], types=[instance_type()])

    async def read(door: Ec2) -> list[int]:
        return [
            len(it)
            for it in await asyncio.gather(
                door.read_subnets(["subnet-1"]),
                door.read_enis(vpc_ids=["vpc-1"]),
                door.read_instance_types(["m5.large"]),
                door.find_vpcs(["i-1"]),
            )
        ]

    with serving(ec2):
        assert use(ec2, aws, read) == [2, 1, 1, 0]
    assert set(ec2.keys) == {GOOD_KEY}
