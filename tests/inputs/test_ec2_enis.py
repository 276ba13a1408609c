"""Our parser of ENIs says what boto3's says, and refuses what is not whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import botocore.session
import pytest
from botocore.parsers import create_parser
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.aws.errors import Malformed
from exporter.core.model import Eni
from exporter.inputs.ec2.enis import EniPage, parse_enis
from exporter.inputs.ec2.tags import is_kept
from tests.inputs.ec2_answers import attachment, document, eni, tag_set

ACTION = "DescribeNetworkInterfaces"
CREATED = "node.k8s.amazonaws.com/createdAt"
MODEL = botocore.session.get_session().get_service_model("ec2").operation_model(ACTION)


def page(*enis: Mapping[str, Any], **more: Any) -> bytes:
    return document(ACTION, {"networkInterfaceSet": list(enis), **more})


def by_boto3(body: bytes) -> EniPage:
    """What boto3's own parser makes of the same bytes, told in our words."""
    answer = {"headers": {}, "status_code": 200, "body": body}
    said = create_parser("ec2").parse(answer, MODEL.output_shape)
    found = said["NetworkInterfaces"]
    return EniPage(
        tuple(_eni(it) for it in found),
        frozenset(it.get("VpcId", "") for it in found),
        said.get("NextToken", ""),
    )


def _eni(said: Mapping[str, Any]) -> Eni:
    link = said.get("Attachment", {})
    addresses = [it["PrivateIpAddress"] for it in said.get("PrivateIpAddresses", [])]
    primary = [said["PrivateIpAddress"]] if said.get("PrivateIpAddress") else []
    prefixes = [IPv4Network(it["Ipv4Prefix"]) for it in said.get("Ipv4Prefixes", [])]
    tags = {it["Key"]: it.get("Value", "") for it in said.get("TagSet", [])}
    return Eni(
        id=said["NetworkInterfaceId"],
        subnet_id=said["SubnetId"],
        status=said["Status"],
        interface_type=said["InterfaceType"],
        description=said.get("Description", ""),
        requester_id=said.get("RequesterId", ""),
        requester_managed=said.get("RequesterManaged", False),
        owner_id=said.get("OwnerId", ""),
        instance_id=link.get("InstanceId", ""),
        instance_owner_id=link.get("InstanceOwnerId", ""),
        attached=link.get("Status") == "attached",
        device_index=link.get("DeviceIndex"),
        network_card=link.get("NetworkCardIndex", 0),
        addresses=tuple(int(IPv4Address(it)) for it in dict.fromkeys(primary + addresses)),
        prefixes=tuple(int(it.network_address) for it in prefixes),
        tags={key: value for key, value in tags.items() if is_kept(key)},
        created=_created(tags.get(CREATED, "")),
    )


def _created(text: str) -> float | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp()
    except ValueError:
        return None


def addresses(*numbers: int, primary: int = 0) -> list[dict[str, Any]]:
    """Addresses as EC2 tells them, public ones among them."""
    public = {"publicIp": "198.51.100.1", "ipOwnerId": "amazon", "publicDnsName": ""}
    return [
        {
            "privateIpAddress": f"10.0.1.{number}",
            "privateDnsName": f"ip-10-0-1-{number}.ec2.internal",
            "primary": index == primary,
            **({"association": public} if index == 0 else {}),
        }
        for index, number in enumerate(numbers)
    ]


CNI_TAGS = {
    "node.k8s.amazonaws.com/instance_id": "i-1",
    CREATED: "2026-03-01T12:00:00Z",
    "cluster.k8s.amazonaws.com/name": 'it\'s <b> & "c"',
    "kubernetes.io/cluster/prod": "",
    "eks:eni:owner": "amazon-vpc-cni",
    "aws:eks:cluster-name": "  prod \n ",
    "Name": "Zürich → 東京 😀",
    "team": "not ours",
}
BARE = {key: it for key, it in eni().items() if not key.startswith("private") and key != "tagSet"}
WHOLE = {
    "one of the CNI": eni(
        attachment=attachment(),
        description="aws-K8S-i-1",
        tagSet=tag_set(CNI_TAGS),
        privateIpAddressesSet=addresses(11, 12, 13),
        privateIpAddress="10.0.1.11",
    ),
    "the primary address is not the first": eni(
        privateIpAddress="10.0.1.12", privateIpAddressesSet=addresses(11, 12, 13, primary=1)
    ),
    "the primary address is not in the set": eni(privateIpAddressesSet=[]),
    "prefixes": eni(
        ipv4PrefixSet=[{"ipv4Prefix": "10.0.1.16/28"}, {"ipv4Prefix": "10.0.1.240/28"}]
    ),
    "IPv6": eni(
        ipv6Address="2001:db8::1",
        ipv6AddressesSet=[{"ipv6Address": "2001:db8::1", "isPrimaryIpv6": True}],
        ipv6PrefixSet=[{"ipv6Prefix": "2001:db8:0:0:1::/80"}],
    ),
    "IPv6 alone": BARE | {"ipv6Native": True},
    "sets that close themselves": BARE | {"tagSet": None, "privateIpAddressesSet": None},
    "a trunk": eni(interfaceType="trunk", attachment=attachment(deviceIndex=3)),
    "a branch": eni(interfaceType="branch", tagSet=tag_set({"vpcresources.k8s.aws/vlan-id": "1"})),
    "EFA without addresses": BARE
    | {"interfaceType": "efa-only", "attachment": attachment(networkCardIndex=4)},
    "a type that nobody knows yet": eni(interfaceType="quantum_link"),
    "a service's": eni(requesterManaged=True, requesterId="amazon-elb", description="ELB app/a"),
    "of another account's instance": eni(
        attachment={"status": "attached", "instanceOwnerId": "amazon-aws", "deviceIndex": 1}
    ),
    "on its way": eni(attachment=attachment(status="attaching")),
    "a creation time without a zone": eni(tagSet=tag_set({CREATED: "2026-03-01T12:00:00"})),
    "a creation time with an offset": eni(tagSet=tag_set({CREATED: "2026-03-01T12:00:00+01:00"})),
    "a creation time that is none": eni(tagSet=tag_set({CREATED: "yesterday"})),
    "a tag without a value": eni(tagSet=[{"key": "Name", "value": None}]),
    "parts with the names of others": eni(
        association={"status": "x", "subnetId": "y", "privateIpAddress": "192.0.2.9"},
        operator={"managed": True, "principal": "eks.amazonaws.com"},
        associatedSubnetSet=["subnet-8", "subnet-9"],
        futureSet=[{"networkInterfaceId": "eni-9", "innerSet": [{"key": "Name", "value": "z"}]}],
    ),
}


@pytest.mark.parametrize("said", [pytest.param(it, id=name) for name, it in WHOLE.items()])
def test_an_eni_is_what_boto3_reads(said: Mapping[str, Any]) -> None:
    body = page(said)
    assert parse_enis(body) == by_boto3(body)


def test_a_page_names_its_vpcs_and_the_page_after_it() -> None:
    body = page(eni(1), eni(2, vpcId="vpc-2"), nextToken="a+b/=&c")
    assert parse_enis(body) == by_boto3(body)
    assert parse_enis(body).vpc_ids == {"vpc-1", "vpc-2"}
    assert parse_enis(body).following == "a+b/=&c"


@pytest.mark.parametrize("enis", [[], None], ids=["with nothing in it", "that closes itself"])
def test_a_set_without_enis_is_an_answer(enis: list[Any] | None) -> None:
    assert parse_enis(document(ACTION, {"networkInterfaceSet": enis})) == EniPage((), frozenset())


def test_references_and_cdata_are_text() -> None:
    value = "&#x41;&#66;&amp;&lt;&gt;&quot;&apos;<![CDATA[<raw> & so on]]><!-- no text -->."
    body = page(eni(tagSet=[{"key": "Name", "value": "HERE"}])).replace(b"HERE", value.encode())
    assert parse_enis(body).enis[0].tags == {"Name": "AB&<>\"'<raw> & so on."}
    assert parse_enis(body) == by_boto3(body)


def test_a_page_of_many_chunks_is_read_whole() -> None:
    body = page(*(eni(n, attachment=attachment(f"i-{n}")) for n in range(600)))
    assert len(body) > 10 * 32 * 1024
    assert parse_enis(body) == by_boto3(body)


def test_equal_strings_of_a_page_are_one_object() -> None:
    one, other = parse_enis(page(eni(1), eni(2))).enis
    assert one.subnet_id is other.subnet_id
    assert one.owner_id is other.owner_id


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), max_size=12)
OCTET = st.integers(0, 255)
ADDRESS = st.builds("10.{}.{}.{}".format, OCTET, OCTET, OCTET)
KEYS = st.one_of(st.sampled_from(sorted(CNI_TAGS)), TEXT)


@st.composite
def enis(draw: st.DrawFn) -> dict[str, Any]:
    said = eni(draw(st.integers(1, 9)), description=draw(TEXT))
    held = draw(st.lists(ADDRESS, unique=True, max_size=4))
    said["privateIpAddressesSet"] = [{"privateIpAddress": it, "primary": False} for it in held]
    said["privateIpAddress"] = draw(st.sampled_from(held)) if held else None
    said["tagSet"] = tag_set(draw(st.dictionaries(KEYS, TEXT, max_size=3)))
    if draw(st.booleans()):
        said["attachment"] = attachment(draw(TEXT), deviceIndex=draw(st.integers(0, 14)))
    for name in draw(st.sets(st.sampled_from(["description", "ownerId", "tagSet", "groupSet"]))):
        del said[name]
    return dict(draw(st.permutations(list(said.items()))))


@settings(max_examples=60)
@given(st.lists(enis(), max_size=3))
def test_whatever_enis_are_like_they_are_what_boto3_reads(said: list[dict[str, Any]]) -> None:
    body = page(*said)
    assert parse_enis(body) == by_boto3(body)


GOOD = page(eni(attachment=attachment()))
BROKEN = {
    "nothing": b"",
    "cut off": GOOD[: len(GOOD) // 2],
    "cut off in its last tag": GOOD.rstrip()[:-1],
    "two documents": GOOD + GOOD,
    "no XML": b"Service Unavailable",
    "a web page": b"<html><body>Sign in</body></html>",
    "another answer": document("DescribeSubnets", {"networkInterfaceSet": []}),
    "an error": b"<Response><Errors><Error><Code>x</Code></Error></Errors></Response>",
    "no set of ENIs": document(ACTION, {}),
    "bytes that are no text": GOOD.replace(b"vpc-1", b"vpc-\xff"),
    "entities of its own": b'<!DOCTYPE x [<!ENTITY a "b">]>' + GOOD.partition(b"\n")[2],
    "a reference to nothing": GOOD.replace(b"vpc-1", b"&nothing;"),
    "no id": page({key: it for key, it in eni().items() if key != "networkInterfaceId"}),
    "an empty id": page(eni(networkInterfaceId="")),
    "no subnet": page({key: it for key, it in eni().items() if key != "subnetId"}),
    "no status": page({key: it for key, it in eni().items() if key != "status"}),
    "no type": page({key: it for key, it in eni().items() if key != "interfaceType"}),
    "no IPv4 address": page(eni(privateIpAddressesSet=[{"privateIpAddress": "10.0.1"}])),
    "an IPv6 address among IPv4": page(eni(privateIpAddress="2001:db8::1")),
    "a prefix of another size": page(eni(ipv4PrefixSet=[{"ipv4Prefix": "10.0.1.0/24"}])),
    "a prefix without one": page(eni(ipv4PrefixSet=[{"other": "1"}])),
    "a tag without a key": page(eni(tagSet=[{"value": "1"}])),
    "a device that is no number": page(eni(attachment=attachment(deviceIndex="one"))),
}


@pytest.mark.parametrize("body", [pytest.param(it, id=name) for name, it in BROKEN.items()])
def test_an_answer_that_is_not_whole_is_no_answer(body: bytes) -> None:
    with pytest.raises(Malformed) as raised:
        parse_enis(body)
    assert raised.value.args == ("ec2: DescribeNetworkInterfaces: malformed answer",)


def test_an_answer_that_ends_at_any_byte_is_no_answer() -> None:
    whole = GOOD.rstrip()
    for end in range(len(whole)):
        with pytest.raises(Malformed):
            parse_enis(whole[:end])
