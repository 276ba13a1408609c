"""A small EC2 on loopback that speaks the query protocol, with every trouble a door can meet.

It stands in for STS and for the instance metadata service as well.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import pytest

from exporter.inputs.ec2 import Ec2
from tests.inputs.aws_answers import SECRET, Handler, Reply, asked, served

T = TypeVar("T")
Params = Mapping[str, str]
Said = Mapping[str, Any]


def xml(said: object) -> str:
    """Serialize as EC2 does: a list as items, nothing as a tag that closes itself."""
    if isinstance(said, Mapping):
        return "".join(element(name, value) for name, value in said.items())
    if isinstance(said, list):
        return "".join(element("item", value) for value in said)
    if isinstance(said, bool):
        return "true" if said else "false"
    return escape(str(said))


def element(name: str, value: object) -> str:
    inner = "" if value is None else xml(value)
    return f"<{name}>{inner}</{name}>\n    " if inner or value == "" else f"<{name}/>"


def document(action: str, said: Said) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<{action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">\n'
        f"<requestId>00000000-0000</requestId>{xml(said)}</{action}Response>\n"
    ).encode()


def error(code: str, status: int = 400) -> Reply:
    """An error of EC2's; its message names what must not reach anyone's log."""
    said = {"Errors": {"Error": {"Code": code, "Message": f"{SECRET}: see {code}"}}}
    return Reply(status, f"<Response>{xml(said)}<RequestID>1</RequestID></Response>".encode())


@dataclass
class FakeEc2:
    """What there is in EC2, what it answers instead, and what it was asked."""

    subnets: Sequence[Said] = ()
    enis: Sequence[Said] = ()
    types: Sequence[Said] = ()
    reservations: Mapping[str, Sequence[Said]] = field(default_factory=dict)
    page_size: int = 1000
    instead: dict[str, list[Reply]] = field(default_factory=dict)
    always: dict[str, Reply] = field(default_factory=dict)
    asked: list[tuple[str, Params]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    regions: list[str] = field(default_factory=list)
    expired_keys: frozenset[str] = frozenset()
    metadata_asked: list[str] = field(default_factory=list)
    heard: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def count(self, action: str) -> int:
        return sum(1 for asked, _ in self.asked if asked == action)

    def reply(self, params: Params, key: str) -> Reply:
        action = params["Action"]
        self.asked.append((action, params))
        self.keys.append(key)
        self.heard.set()
        if key in self.expired_keys:
            return error("RequestExpired")
        if self.instead.get(action):
            return self.instead[action].pop(0)
        if action in self.always:
            return self.always[action]
        return Reply(200, self.answer(params))

    def answer(self, params: Params) -> bytes:
        action = params["Action"]
        match action:
            case "AssumeRoleWithWebIdentity":
                return _CREDENTIALS
            case "DescribeSubnets":
                name, everything = "subnetSet", self.subnets
            case "DescribeNetworkInterfaces":
                name, everything = "networkInterfaceSet", self.enis
            case "DescribeInstanceTypes":
                name, everything = "instanceTypeSet", self.types
            case _:
                name = "subnetIpv4CidrReservationSet"
                everything = self.reservations.get(params["SubnetId"], ())
        matching = [it for it in everything if all(_matches(it, *by) for by in _filters(params))]
        start = int(params.get("NextToken", "page-0").removeprefix("page-"))
        end = start + min(self.page_size, int(params["MaxResults"]))
        following = {"nextToken": f"page-{end}"} if end < len(matching) else {}
        return document(action, {name: matching[start:end], **following})


_CREDENTIALS = (
    b'<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
    b"<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>AKIDROLE</AccessKeyId>"
    b"<SecretAccessKey>role-secret</SecretAccessKey><SessionToken>token</SessionToken>"
    b"<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
    b"</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
)

_ROLE = (
    b'{"Code": "Success", "AccessKeyId": "AKIDNODE", "SecretAccessKey": "node-secret",'
    b' "Token": "token", "Expiration": "2099-01-01T00:00:00Z"}'
)


def _filters(params: Params) -> Iterator[tuple[str, list[str]]]:
    names = {key: value for key, value in params.items() if key.endswith(".Name")}
    for key, name in names.items():
        prefix = key.removesuffix("Name") + "Value."
        values = [value for key, value in params.items() if key.startswith(prefix)]
        assert 1 <= len(values) <= 200, "EC2 takes up to 200 values"
        yield name, values


def _matches(said: Said, name: str, values: list[str]) -> bool:
    match name:
        case "subnet-id":
            return said["subnetId"] in values
        case "vpc-id":
            return said["vpcId"] in values
        case "instance-type":
            return said["instanceType"] in values
        case "attachment.instance-id":
            return said.get("attachment", {}).get("instanceId") in values
        case "tag-key":
            return any(tag["key"] in values for tag in said.get("tagSet", ()))
        case _:
            raise AssertionError(name)


class _Handler(Handler):
    fake: FakeEc2

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        params = {name: value[0] for name, value in parse_qs(text).items()}
        self.send(self.fake.reply(params, self.signed(self.fake)), "text/xml")

    def do_PUT(self) -> None:
        self._metadata(b"token")

    def do_GET(self) -> None:
        role = self.path.endswith("/node-role")
        self._metadata(_ROLE if role else b"node-role")

    def _metadata(self, body: bytes) -> None:
        self.fake.metadata_asked.append(self.path)
        self.send(Reply(200, body), "text/plain")


def serving(ec2: FakeEc2) -> AbstractContextManager[FakeEc2]:
    """Serve it on a port of loopback."""
    return served(ec2, _Handler)


def use(
    ec2: FakeEc2,
    aws: pytest.MonkeyPatch,
    call: Callable[[Ec2], Awaitable[T]],
    **config: Any,
) -> T:
    """Return what a call of the door returns, against this EC2."""
    aws.setenv("AWS_ENDPOINT_URL", ec2.url)
    return asked(Ec2, call, **config)


def subnet(number: int = 1, **said: Any) -> dict[str, Any]:
    return {
        "subnetId": f"subnet-{number}",
        "vpcId": "vpc-1",
        "state": "available",
        "cidrBlock": f"10.0.{number}.0/24",
        "availableIpAddressCount": 200,
        "availabilityZone": "eu-central-1a",
        "availabilityZoneId": "euc1-az2",
        "ipv6Native": False,
    } | said


def eni(number: int = 1, **said: Any) -> dict[str, Any]:
    address = f"10.0.1.{number % 200 + 10}"
    return {
        "networkInterfaceId": f"eni-{number}",
        "subnetId": "subnet-1",
        "vpcId": "vpc-1",
        "availabilityZone": "eu-central-1a",
        "description": "",
        "ownerId": "111122223333",
        "requesterManaged": False,
        "status": "available",
        "privateIpAddress": address,
        "groupSet": [{"groupId": "sg-1", "groupName": "nodes"}],
        "tagSet": [],
        "privateIpAddressesSet": [{"privateIpAddress": address, "primary": True}],
        "ipv6AddressesSet": [],
        "interfaceType": "interface",
    } | said


def attachment(instance: str = "i-1", **said: Any) -> dict[str, Any]:
    return {
        "attachmentId": "eni-attach-1",
        "instanceId": instance,
        "instanceOwnerId": "111122223333",
        "deviceIndex": 1,
        "networkCardIndex": 0,
        "status": "attached",
        "attachTime": "2026-01-01T00:00:00.000Z",
        "deleteOnTermination": True,
    } | said


def tag_set(pairs: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in pairs.items()]


def instance_type(name: str = "m5.large", **said: Any) -> dict[str, Any]:
    return {
        "instanceType": name,
        "bareMetal": False,
        "hypervisor": "nitro",
        "vCpuInfo": {"defaultVCpus": 2, "defaultCores": 1},
        "ebsInfo": {"attachmentLimitType": "shared", "maximumEbsAttachments": 27},
        "networkInfo": {
            "maximumNetworkInterfaces": 3,
            "maximumNetworkCards": 1,
            "defaultNetworkCardIndex": 0,
            "networkCards": [{"networkCardIndex": 0, "maximumNetworkInterfaces": 3}],
            "ipv4AddressesPerInterface": 10,
        },
    } | said
