"""The door reads what a moto server holds, written through boto3's own calls."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import botocore.session
import pytest

from exporter.aws import Requests
from exporter.core.model import Eni, InstanceType, Reservation, Subnet, Unavailable
from exporter.inputs.ec2 import Ec2, types_on_file
from tests.inputs.aws_answers import REGION, aws
from tests.inputs.ec2_answers import FakeEc2, tag_set, use
from tests.inputs.eks_answers import FakeEks
from tests.inputs.eks_answers import use as use_eks

__all__ = ["aws"]

pytestmark = pytest.mark.real

try:
    from moto.server import ThreadedMotoServer
except ImportError:
    if os.environ.get("CI"):
        raise
    pytest.skip("moto is not on this machine", allow_module_level=True)


@pytest.fixture(scope="module")
def moto() -> Iterator[FakeEc2]:
    """A moto server, under the name by which tests find an EC2."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield FakeEc2(url=f"http://{host}:{port}")
    server.stop()


@pytest.fixture
def writer(moto: FakeEc2, aws: pytest.MonkeyPatch) -> Any:
    """A client of boto3's engine as it comes."""
    session = botocore.session.get_session()
    return session.create_client("ec2", region_name=REGION, endpoint_url=moto.url)


def tagged(kind: str, tags: Mapping[str, str]) -> list[dict[str, Any]]:
    pairs = [{"Key": it["key"], "Value": it["value"]} for it in tag_set(tags)]
    return [{"ResourceType": kind, "Tags": pairs}]


@pytest.fixture
def vpc(writer: Any) -> str:
    made: str = writer.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    return made


def make_subnet(writer: Any, vpc: str, cidr: str, **tags: str) -> dict[str, Any]:
    said = writer.create_subnet(
        VpcId=vpc,
        CidrBlock=cidr,
        AvailabilityZone=f"{REGION}a",
        TagSpecifications=tagged("subnet", {"Name": "s", **tags}),
    )
    made: dict[str, Any] = said["Subnet"]
    return made


def test_subnets_and_reservations_are_what_was_made(
    writer: Any, vpc: str, moto: FakeEc2, aws: pytest.MonkeyPatch
) -> None:
    plain = make_subnet(writer, vpc, "10.20.1.0/24")
    role = {"kubernetes.io/role/cni": "1"}
    found = make_subnet(writer, vpc, "10.20.2.0/24", **role)
    make_subnet(writer, vpc, "10.20.3.0/24")
    writer.create_subnet_cidr_reservation(
        SubnetId=plain["SubnetId"], Cidr="10.20.1.64/26", ReservationType="prefix"
    )
    read = use(moto, aws, lambda door: door.read_subnets([plain["SubnetId"]]))

    def subnet(made: Mapping[str, Any], available: int) -> Subnet:
        return Subnet(
            id=made["SubnetId"],
            vpc_id=vpc,
            zone=f"{REGION}a",
            zone_id=made["AvailabilityZoneId"],
            cidr=made["CidrBlock"],
            available=available,
            name="s",
            tags={"Name": "s"},
            reservations=(),
        )

    # moto counts reserved addresses as taken.
    one = replace(subnet(plain, 251 - 64), reservations=(Reservation("10.20.1.64/26", "prefix"),))
    other = replace(subnet(found, 251), tags={"Name": "s", **role})
    assert sorted(read, key=lambda it: it.cidr) == [one, other]


def test_enis_are_what_was_made(
    writer: Any, vpc: str, moto: FakeEc2, aws: pytest.MonkeyPatch
) -> None:
    subnet = make_subnet(writer, vpc, "10.20.4.0/24")["SubnetId"]
    tags = {
        "node.k8s.amazonaws.com/instance_id": "i-1",
        "node.k8s.amazonaws.com/createdAt": "2026-03-01T12:00:00Z",
        "Name": "a & <b>",
    }
    made = writer.create_network_interface(
        SubnetId=subnet,
        Description="aws-K8S-i-1",
        PrivateIpAddress="10.20.4.20",
        SecondaryPrivateIpAddressCount=3,
        TagSpecifications=tagged("network-interface", {**tags, "team": "blue"}),
    )["NetworkInterface"]
    read = use(moto, aws, lambda door: door.read_enis(vpc_ids=[vpc]))
    held = [int(IPv4Address(it["PrivateIpAddress"])) for it in made["PrivateIpAddresses"]]
    assert held[0] == int(IPv4Address("10.20.4.20"))
    assert len(held) == 4
    assert read == (
        Eni(
            id=made["NetworkInterfaceId"],
            subnet_id=subnet,
            status="available",
            interface_type="interface",
            description="aws-K8S-i-1",
            requester_id=made.get("RequesterId", ""),
            owner_id=made["OwnerId"],
            addresses=tuple(held),
            tags=tags,
            created=1772366400.0,
        ),
    )


def test_the_vpc_of_an_instance_is_found(
    writer: Any, vpc: str, moto: FakeEc2, aws: pytest.MonkeyPatch
) -> None:
    cidr = "10.20.5.0/24"
    subnet = make_subnet(writer, vpc, cidr)["SubnetId"]
    images = writer.describe_images(Owners=["amazon"])["Images"]
    launched = writer.run_instances(
        ImageId=images[0]["ImageId"],
        InstanceType="m5.large",
        SubnetId=subnet,
        MinCount=1,
        MaxCount=1,
    )
    instance = launched["Instances"][0]["InstanceId"]
    assert use(moto, aws, lambda door: door.find_vpcs([instance])) == (vpc,)
    (eni,) = use(moto, aws, lambda door: door.read_enis(subnet_ids=[subnet]))
    assert (eni.instance_id, eni.device_index, eni.attached) == (instance, 0, True)
    assert IPv4Address(eni.addresses[0]) in IPv4Network(cidr)


def test_all_instance_types_are_what_the_file_says(moto: FakeEc2, aws: pytest.MonkeyPatch) -> None:
    names = sorted(types_on_file())[::5]

    async def read(door: Ec2) -> tuple[Mapping[str, InstanceType], Requests]:
        return await door.read_instance_types([*names, "none.such"]), door.requests

    # The first time moto is asked of them it reads them from its own files.
    found, requests = use(moto, aws, read, silence_seconds=30.0)
    assert found == {name: types_on_file()[name] for name in names}
    # Where it does not answer, the file does.
    assert set(requests) == {("ec2", "DescribeInstanceTypes", "ok")}


def test_a_cluster_is_found_by_its_name_and_in_its_region_alone(
    writer: Any, vpc: str, moto: FakeEc2, aws: pytest.MonkeyPatch
) -> None:
    """moto has no add-ons, so that a read ends where it asks for the first."""
    subnets = [make_subnet(writer, vpc, f"10.20.{n}.0/24")["SubnetId"] for n in (7, 8)]
    session = botocore.session.get_session()
    session.create_client("eks", region_name=REGION, endpoint_url=moto.url).create_cluster(
        name="prod",
        version="1.33",
        roleArn="arn:aws:iam::111122223333:role/eks",
        resourcesVpcConfig={"subnetIds": subnets},
    )
    fake = FakeEks(url=moto.url)

    def reason(name: str, region: str = REGION) -> str:
        aws.setenv("AWS_REGION", region)
        with pytest.raises(Unavailable) as raised:
            use_eks(fake, aws, lambda door: door.read(name, "v1.33.4"))
        return raised.value.reason

    missing = "EKS knows no cluster of this name in this region"
    assert reason("other") == missing
    assert reason("prod", "us-west-2") == missing
    assert reason("prod") == "DescribeAddon failed (HTTP 404)"
