"""EC2 as boto3 meets it, unmodified and over real HTTP: shapes, pages, ids and refusals."""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from exporter.sim.ec2_actions import unused_reserved
from tests.sim.ec2_parts import (
    CREDENTIALS,
    NOW,
    World,
    instance_id,
    refused,
    reserve,
    served,
)

_ACCOUNT = "111122223333"


def posted(url: str, fields: dict[str, str], **headers: str) -> tuple[int, dict[str, str], str]:
    """POST a form, and return status, headers and body."""
    body = urllib.parse.urlencode(fields).encode()
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read().decode()


def listed(client: Any, action: str, size: int) -> list[list[Any]]:
    """List all pages of an action by boto3's paginator."""
    found = {"describe_network_interfaces": "NetworkInterfaces", "describe_subnets": "Subnets"}
    pages = client.get_paginator(action).paginate(PaginationConfig={"PageSize": size})
    return [page[found[action]] for page in pages]


def test_a_subnet_is_told_with_everything_a_reader_needs() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24", name="pods-a", tags={"kubernetes.io/role/cni": "1"})
    world.eni(subnet, "10.1.0.9")
    with served(world.vpc) as ec2:
        (shown,) = ec2.client().describe_subnets()["Subnets"]
    assert shown == {
        "SubnetId": subnet.id,
        "SubnetArn": f"arn:aws:ec2:eu-central-1:{_ACCOUNT}:subnet/{subnet.id}",
        "State": "available",
        "OwnerId": _ACCOUNT,
        "VpcId": world.vpc.id,
        "CidrBlock": "10.1.0.0/24",
        "Ipv6CidrBlockAssociationSet": [],
        "AssignIpv6AddressOnCreation": False,
        "AvailableIpAddressCount": 250,
        "AvailabilityZone": "eu-central-1a",
        "AvailabilityZoneId": "euc1-az2",
        "DefaultForAz": False,
        "MapPublicIpOnLaunch": False,
        "Tags": [
            {"Key": "Name", "Value": "pods-a"},
            {"Key": "kubernetes.io/role/cni", "Value": "1"},
        ],
    }


def test_an_attached_eni_is_told_with_its_addresses_prefixes_and_attachment() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    reserve(subnet, "10.1.0.64/28")
    primary = world.node(subnet, primary=0x0A010009, tags={"a&b": "<c>"}, description="Primary")
    (address,) = world.vpc.assign(primary.id, 1)
    world.vpc.assign(primary.id, 1, size=16)
    attachment = primary.attachment
    assert attachment is not None
    with served(world.vpc) as ec2:
        (shown,) = ec2.client().describe_network_interfaces()["NetworkInterfaces"]
    second = f"10.1.0.{address & 255}"
    assert shown == {
        "NetworkInterfaceId": primary.id,
        "SubnetId": subnet.id,
        "VpcId": world.vpc.id,
        "AvailabilityZone": "eu-central-1a",
        "AvailabilityZoneId": "euc1-az2",
        "Description": "Primary",
        "OwnerId": _ACCOUNT,
        "RequesterManaged": False,
        "Status": "in-use",
        "MacAddress": shown["MacAddress"],
        "PrivateIpAddress": "10.1.0.9",
        "PrivateDnsName": "ip-10-1-0-9.eu-central-1.compute.internal",
        "SourceDestCheck": True,
        "Groups": [{"GroupId": "sg-0a1b2c3d4e5f60718", "GroupName": "sim-node"}],
        "Attachment": {
            "AttachmentId": attachment.id,
            "InstanceId": instance_id(),
            "InstanceOwnerId": _ACCOUNT,
            "DeviceIndex": 0,
            "NetworkCardIndex": 0,
            "Status": "attached",
            "AttachTime": datetime.fromtimestamp(NOW, UTC),
            "DeleteOnTermination": True,
        },
        "TagSet": [{"Key": "a&b", "Value": "<c>"}],
        "PrivateIpAddresses": [
            {
                "Primary": True,
                "PrivateDnsName": "ip-10-1-0-9.eu-central-1.compute.internal",
                "PrivateIpAddress": "10.1.0.9",
            },
            {
                "Primary": False,
                "PrivateDnsName": f"ip-{second.replace('.', '-')}.eu-central-1.compute.internal",
                "PrivateIpAddress": second,
            },
        ],
        "Ipv4Prefixes": [{"Ipv4Prefix": "10.1.0.64/28"}],
        "Ipv6Addresses": [],
        "InterfaceType": "interface",
    }
    assert shown["MacAddress"].startswith("02:")


def test_an_eni_of_a_service_tells_who_asked_for_it_and_no_instance() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    eni = world.eni(subnet, interface_type="lambda", requester="AROAEXAMPLE:lambda")
    world.vpc.hand_over(eni.id, "amazon-aws")
    with served(world.vpc) as ec2:
        (shown,) = ec2.client().describe_network_interfaces()["NetworkInterfaces"]
    attachment = shown["Attachment"]
    assert (shown["InterfaceType"], shown["RequesterId"]) == ("lambda", "AROAEXAMPLE:lambda")
    assert shown["RequesterManaged"] is True
    assert attachment["InstanceOwnerId"] == "amazon-aws"
    assert "InstanceId" not in attachment


def test_a_detached_eni_is_available_and_has_no_attachment() -> None:
    world = World()
    world.eni(world.subnet("10.1.0.0/24"))
    with served(world.vpc) as ec2:
        (shown,) = ec2.client().describe_network_interfaces()["NetworkInterfaces"]
    assert shown["Status"] == "available"
    assert "Attachment" not in shown


def test_enis_of_other_accounts_are_not_shown_though_their_addresses_are_gone() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    hidden = world.eni(subnet, owner="999900001111")
    with served(world.vpc) as ec2:
        client = ec2.client()
        assert client.describe_network_interfaces()["NetworkInterfaces"] == []
        assert client.describe_subnets()["Subnets"][0]["AvailableIpAddressCount"] == 250
        assert refused(client.describe_network_interfaces, NetworkInterfaceIds=[hidden.id]) == (
            400,
            "InvalidNetworkInterfaceID.NotFound",
            f"The networkInterface ID '{hidden.id}' does not exist",
        )


def test_what_changes_in_the_vpc_shows_in_the_next_answer() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    eni = world.node(subnet, primary=0x0A010009)
    with served(world.vpc) as ec2:
        client = ec2.client()

        def addresses() -> list[str]:
            (shown,) = client.describe_network_interfaces()["NetworkInterfaces"]
            return [each["PrivateIpAddress"] for each in shown["PrivateIpAddresses"]]

        assert addresses() == ["10.1.0.9"]
        (more,) = world.vpc.assign(eni.id, 1)
        assert addresses() == ["10.1.0.9", f"10.1.0.{more & 255}"]
        world.vpc.unassign(eni.id, [more])
        (other,) = world.vpc.assign(eni.id, 1)
        assert addresses() == ["10.1.0.9", f"10.1.0.{other & 255}"]


def test_all_pages_hold_every_eni_once_and_no_page_more_than_asked_for() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    made = [world.eni(subnet).id for _ in range(23)]
    with served(world.vpc) as ec2:
        pages = listed(ec2.client(), "describe_network_interfaces", 10)
    assert [[eni["NetworkInterfaceId"] for eni in page] for page in pages] == [
        made[:10],
        made[10:20],
        made[20:],
    ]


def test_without_a_page_size_a_page_is_a_thousand() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/21")
    for _ in range(1003):
        world.eni(subnet)
    with served(world.vpc) as ec2:
        client = ec2.client()
        first = client.describe_network_interfaces()
        rest = client.describe_network_interfaces(NextToken=first["NextToken"])
    assert len(first["NetworkInterfaces"]) == 1000
    assert len(rest["NetworkInterfaces"]) == 3
    assert "NextToken" not in rest


def test_a_listing_keeps_to_what_was_there_when_it_began() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    made = [world.eni(subnet).id for _ in range(10)]
    with served(world.vpc) as ec2:
        client = ec2.client()
        first = client.describe_network_interfaces(MaxResults=5)
        world.eni(subnet)
        for gone in (made[0], made[7]):
            world.vpc.delete(gone)
        rest = client.describe_network_interfaces(MaxResults=5, NextToken=first["NextToken"])
    shown = [eni["NetworkInterfaceId"] for eni in rest["NetworkInterfaces"]]
    assert shown == [made[5], made[6], made[8], made[9]]


def test_the_same_token_gives_the_same_page_again() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    made = [world.eni(subnet).id for _ in range(7)]
    with served(world.vpc) as ec2:
        client = ec2.client()
        token = client.describe_network_interfaces(MaxResults=5)["NextToken"]
        for _ in range(2):
            page = client.describe_network_interfaces(MaxResults=5, NextToken=token)
            assert [eni["NetworkInterfaceId"] for eni in page["NetworkInterfaces"]] == made[5:]


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("bm90OmE6dG9rZW4=", id="made up"),
        pytest.param("%%%", id="no base64"),
    ],
)
def test_a_token_that_was_never_given_is_refused(token: str) -> None:
    world = World()
    world.subnet("10.1.0.0/24")
    with served(world.vpc) as ec2:
        answer = refused(ec2.client().describe_subnets, MaxResults=5, NextToken=token)
    assert answer == (400, "InvalidNextToken", "The specified NextToken is not valid")


def test_a_token_is_good_for_its_own_question_only() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    for _ in range(7):
        world.eni(subnet)
    with served(world.vpc) as ec2:
        client = ec2.client()
        token = client.describe_network_interfaces(MaxResults=5)["NextToken"]
        answer = refused(
            client.describe_network_interfaces,
            MaxResults=5,
            NextToken=token,
            Filters=[{"Name": "status", "Values": ["available"]}],
        )
    assert answer[1] == "InvalidNextToken"


def test_reservations_are_told_by_kind_and_ipv6_ones_are_none() -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    other = world.subnet("10.2.0.0/24", 2)
    for cidr, kind in (("10.1.0.64/26", "prefix"), ("10.1.0.32/28", "explicit")):
        reserve(subnet, cidr, kind)
    with served(world.vpc) as ec2:
        client = ec2.client()
        shown = client.get_subnet_cidr_reservations(SubnetId=subnet.id)
        none = client.get_subnet_cidr_reservations(SubnetId=other.id)
    shared = {"SubnetId": subnet.id, "OwnerId": _ACCOUNT, "Description": "kept"}
    assert shown["SubnetIpv4CidrReservations"] == [
        {
            "SubnetCidrReservationId": "scr-10.1.0.64/26",
            "Cidr": "10.1.0.64/26",
            "ReservationType": "prefix",
            **shared,
        },
        {
            "SubnetCidrReservationId": "scr-10.1.0.32/28",
            "Cidr": "10.1.0.32/28",
            "ReservationType": "explicit",
            **shared,
        },
    ]
    assert shown["SubnetIpv6CidrReservations"] == []
    assert none["SubnetIpv4CidrReservations"] == []


@pytest.mark.parametrize(("counted", "available"), [(False, 250 - 63), (True, 250 - 16)])
def test_reserved_addresses_nobody_holds_are_available_or_not_as_the_option_says(
    counted: bool, available: int
) -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    reservation = reserve(subnet, "10.1.0.192/26")
    # The last address of the reservation is one of AWS's five.
    world.eni(subnet, "10.1.0.9", prefixes=1)
    with served(world.vpc, count_reserved=counted) as ec2:
        (shown,) = ec2.client().describe_subnets()["Subnets"]
    assert shown["AvailableIpAddressCount"] == available
    assert unused_reserved(subnet, reservation) == 63 - 16


def test_an_instance_type_tells_its_cards_and_addresses() -> None:
    with served(World().vpc) as ec2:
        (shown,) = ec2.client().describe_instance_types(InstanceTypes=["c6in.32xlarge"])[
            "InstanceTypes"
        ]
    assert shown == {
        "InstanceType": "c6in.32xlarge",
        "CurrentGeneration": True,
        "SupportedUsageClasses": ["on-demand", "spot"],
        "BareMetal": False,
        "Hypervisor": "nitro",
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
        "VCpuInfo": {"DefaultVCpus": 128},
        "EbsInfo": {"MaximumEbsAttachments": 28, "AttachmentLimitType": "shared"},
        "NetworkInfo": {
            "MaximumNetworkInterfaces": 16,
            "MaximumNetworkCards": 2,
            "DefaultNetworkCardIndex": 0,
            "NetworkCards": [
                {"NetworkCardIndex": 0, "MaximumNetworkInterfaces": 8},
                {"NetworkCardIndex": 1, "MaximumNetworkInterfaces": 8},
            ],
            "Ipv4AddressesPerInterface": 50,
            "Ipv6AddressesPerInterface": 50,
            "Ipv6Supported": True,
            "EnaSupport": "required",
        },
    }


def test_a_metal_type_has_no_hypervisor_and_an_old_one_is_xen_without_a_shared_limit() -> None:
    with served(World().vpc) as ec2:
        shown = ec2.client().describe_instance_types(InstanceTypes=["m5.metal", "m4.4xlarge"])
    told = [
        (kind["InstanceType"], kind["BareMetal"], kind.get("Hypervisor"), "EbsInfo" in kind)
        for kind in shown["InstanceTypes"]
    ]
    assert told == [("m5.metal", True, None, True), ("m4.4xlarge", False, "xen", False)]


def test_an_unknown_instance_type_is_an_error_by_name_and_absent_by_filter() -> None:
    names = ["m5.large", "z9.huge"]
    with served(World().vpc) as ec2:
        client = ec2.client()
        error = refused(client.describe_instance_types, InstanceTypes=names)
        filtered = client.describe_instance_types(
            Filters=[{"Name": "instance-type", "Values": names}]
        )
    assert error == (
        400,
        "InvalidInstanceType",
        "The following supplied instance types do not exist: [z9.huge]",
    )
    assert [kind["InstanceType"] for kind in filtered["InstanceTypes"]] == ["m5.large"]


def test_the_vpc_is_told_with_the_blocks_its_subnets_lie_in() -> None:
    world = World()
    world.subnet("10.1.0.0/24")
    world.subnet("100.64.32.0/19", 2)
    with served(world.vpc) as ec2:
        (shown,) = ec2.client().describe_vpcs(VpcIds=[world.vpc.id])["Vpcs"]
    blocks = [each["CidrBlock"] for each in shown["CidrBlockAssociationSet"]]
    assert (shown["VpcId"], shown["CidrBlock"]) == (world.vpc.id, "10.1.0.0/16")
    assert blocks == ["10.1.0.0/16", "100.64.0.0/16"]


@pytest.mark.parametrize(
    ("call", "arguments", "code", "message"),
    [
        pytest.param(
            "describe_subnets",
            {"SubnetIds": ["subnet-0"]},
            "InvalidSubnetID.NotFound",
            "The subnet ID 'subnet-0' does not exist",
            id="no such subnet",
        ),
        pytest.param(
            "get_subnet_cidr_reservations",
            {"SubnetId": "subnet-0"},
            "InvalidSubnetID.NotFound",
            "The subnet ID 'subnet-0' does not exist",
            id="no such subnet's reservations",
        ),
        pytest.param(
            "describe_vpcs",
            {"VpcIds": ["vpc-0"]},
            "InvalidVpcID.NotFound",
            "The vpc ID 'vpc-0' does not exist",
            id="no such VPC",
        ),
        pytest.param(
            "describe_subnets",
            {"MaxResults": 1001},
            "InvalidParameterValue",
            "Value ( 1001 ) for parameter maxResults is invalid. "
            "Expecting a value between 5 and 1000.",
            id="too many results",
        ),
        pytest.param(
            "describe_instance_types",
            {"MaxResults": 101},
            "InvalidParameterValue",
            "Value ( 101 ) for parameter maxResults is invalid. "
            "Expecting a value between 5 and 100.",
            id="too many types",
        ),
        pytest.param(
            "describe_network_interfaces",
            {"NetworkInterfaceIds": ["eni-0"], "MaxResults": 5},
            "InvalidParameterCombination",
            "The parameter NetworkInterfaceIds cannot be used with the parameter MaxResults",
            id="ids and pages",
        ),
        pytest.param(
            "describe_subnets",
            {"Filters": [{"Name": "colour", "Values": ["red"]}]},
            "InvalidParameterValue",
            "The filter 'colour' is invalid",
            id="no such filter",
        ),
        pytest.param(
            "describe_instances",
            {},
            "InvalidAction",
            "The action DescribeInstances is not valid for this web service.",
            id="no such action",
        ),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_in_ec2s_words(
    call: str, arguments: dict[str, Any], code: str, message: str
) -> None:
    with served(World().vpc) as ec2:
        assert refused(getattr(ec2.client(), call), **arguments) == (400, code, message)


def test_a_dry_run_says_that_it_would_have_succeeded() -> None:
    with served(World().vpc) as ec2:
        answer = refused(ec2.client().describe_subnets, DryRun=True)
    assert answer == (
        412,
        "DryRunOperation",
        "Request would have succeeded, but DryRun flag is set.",
    )


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        pytest.param({}, "MissingAction", id="no action"),
        pytest.param({"Action": "DescribeSubnets", "Colour": "1"}, "UnknownParameter", id="field"),
        pytest.param({"Action": "GetSubnetCidrReservations"}, "MissingParameter", id="no subnet"),
        pytest.param(
            {"Action": "DescribeSubnets", "Filter.1.Name": "state"},
            "InvalidParameterValue",
            id="filter without values",
        ),
    ],
)
def test_what_boto3_would_not_send_is_refused_too(fields: dict[str, str], code: str) -> None:
    with served(World().vpc) as ec2:
        status, _, body = posted(ec2.url, fields, Authorization="signed")
    assert status == 400
    assert f"<Code>{code}</Code>" in body


def test_a_request_without_a_signature_is_refused() -> None:
    with served(World().vpc) as ec2:
        status, headers, body = posted(ec2.url, {"Action": "DescribeSubnets"})
        assert ec2.outcomes() == {"DescribeSubnets": {"AuthFailure": 1}}
    assert status == 401
    assert body == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<Response><Errors><Error><Code>AuthFailure</Code>"
        "<Message>AWS was not able to validate the provided access credentials</Message>"
        f"</Error></Errors><RequestID>{headers['x-amzn-RequestId']}</RequestID></Response>"
    )


def test_an_answer_is_xml_of_ec2s_namespace_with_the_id_of_its_request() -> None:
    with served(World().vpc) as ec2:
        status, headers, body = posted(
            ec2.url, {"Action": "DescribeSubnets", "Version": "2016-11-15"}, Authorization="signed"
        )
    assert status == 200
    assert headers["Content-Type"] == "text/xml;charset=UTF-8"
    assert body == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<DescribeSubnetsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">\n'
        f"    <requestId>{headers['x-amzn-RequestId']}</requestId>\n"
        "    <subnetSet/>\n"
        "</DescribeSubnetsResponse>"
    )


def test_every_request_has_an_id_of_its_own() -> None:
    with served(World().vpc) as ec2:
        client = ec2.client()
        answers = [client.describe_subnets() for _ in range(2)]
    assert len({answer["ResponseMetadata"]["RequestId"] for answer in answers}) == 2


def test_botocores_own_variable_for_the_endpoint_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    subnet = world.subnet("10.1.0.0/24")
    with served(world.vpc) as ec2:
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL_EC2": ec2.url}.items():
            monkeypatch.setenv(name, value)
        shown = boto3.Session(region_name="eu-central-1").client("ec2").describe_subnets()
    assert [each["SubnetId"] for each in shown["Subnets"]] == [subnet.id]
