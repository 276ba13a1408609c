"""Every trouble of EC2's as boto3 and a plain socket meet it: the wire says what was asked for."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from botocore import UNSIGNED, exceptions, parsers

from exporter.sim.ec2_protocol import Refused
from exporter.sim.ec2_troubles import refuse
from exporter.sim.troubles import ANY, Plan, Trouble, Troubles
from tests.sim.ec2_parts import World, refused, served

SUBNETS = "DescribeSubnets"
ENIS = "DescribeNetworkInterfaces"
REFUSALS = [
    (Trouble.THROTTLED, 503, "RequestLimitExceeded", "Request limit exceeded."),
    (Trouble.ERROR_500, 500, "InternalError", "An internal error has occurred"),
    (Trouble.UNAVAILABLE, 503, "Unavailable", "The service is temporarily unavailable"),
    (
        Trouble.DENIED,
        403,
        "UnauthorizedOperation",
        "You are not authorized to perform this operation.",
    ),
    (Trouble.EXPIRED, 400, "RequestExpired", "Request has expired."),
    (
        Trouble.EXPIRED_TOKEN,
        400,
        "ExpiredToken",
        "The security token included in the request is expired",
    ),
    (
        Trouble.AUTH_FAILURE,
        401,
        "AuthFailure",
        "AWS was not able to validate the provided access credentials",
    ),
]


def raw(url: str) -> bytes:
    """Ask for subnets over a plain socket, and return all that comes until it is closed."""
    host, port = url.removeprefix("http://").split(":")
    body = b"Action=DescribeSubnets&Version=2016-11-15"
    head = (
        f"POST / HTTP/1.1\r\nHost: {host}\r\nAuthorization: signed\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(head.encode() + body)
        received = b""
        while piece := sock.recv(65536):
            received += piece
    return received


def small() -> World:
    world = World()
    world.subnet("10.1.0.0/24")
    return world


@pytest.mark.parametrize(("trouble", "status", "code", "message"), REFUSALS)
def test_a_refusal_comes_with_its_status_code_and_message(
    trouble: Trouble, status: int, code: str, message: str
) -> None:
    with served(small().vpc) as ec2:
        ec2.api.troubles.set(SUBNETS, Plan(trouble))
        assert refused(ec2.client().describe_subnets) == (status, code, message)
        assert ec2.outcomes() == {SUBNETS: {code: 1}}


def test_all_troubles_that_are_no_refusals_let_the_answer_be_made() -> None:
    refusals = {trouble for trouble, *_ in REFUSALS}
    for trouble in Trouble:
        if trouble in refusals:
            with pytest.raises(Refused):
                refuse(trouble)
        else:
            refuse(trouble)


def test_botocore_retries_a_burst_of_throttling_until_it_is_over() -> None:
    with served(small().vpc) as ec2:
        ec2.api.troubles.set(SUBNETS, Plan(Trouble.THROTTLED, times=1))
        retries = {"total_max_attempts": 2, "mode": "standard"}
        answer = ec2.client(retries=retries).describe_subnets()
        assert len(answer["Subnets"]) == 1
        assert answer["ResponseMetadata"]["RetryAttempts"] == 1
        assert ec2.outcomes() == {SUBNETS: {"RequestLimitExceeded": 1, "ok": 1}}


def test_a_trouble_begins_after_so_many_good_answers_and_ends_after_so_many_bad_ones() -> None:
    world = small()
    subnet = next(iter(world.vpc.subnets.values()))
    for _ in range(11):
        world.eni(subnet)
    with served(world.vpc) as ec2:
        client = ec2.client()
        ec2.api.troubles.set(ENIS, Plan(Trouble.ERROR_500, times=1, after=2))
        token, ended = "", []
        for _ in range(4):
            more = {"NextToken": token} if token else {}
            try:
                page = client.describe_network_interfaces(MaxResults=5, **more)
            except exceptions.ClientError as error:
                ended.append(error.response["Error"]["Code"])
            else:
                token = page.get("NextToken", "")
                ended.append(len(page["NetworkInterfaces"]))
    assert ended == [5, 5, "InternalError", 1]


def test_a_slow_answer_is_whole_and_late() -> None:
    with served(small().vpc) as ec2:
        ec2.api.troubles.set(SUBNETS, Plan(Trouble.SLOW, seconds=0.3))
        began = time.monotonic()
        answer = ec2.client().describe_subnets()
        assert 0.3 <= time.monotonic() - began < 3
        assert len(answer["Subnets"]) == 1
        assert ec2.outcomes() == {SUBNETS: {"slow": 1}}


def test_a_hanging_answer_never_comes() -> None:
    with served(small().vpc) as ec2:
        ec2.api.troubles.set(SUBNETS, Plan(Trouble.HANG))
        with pytest.raises(exceptions.ReadTimeoutError):
            ec2.client(read_timeout=0.2).describe_subnets()


def test_a_reset_connection_gives_no_answer_at_all() -> None:
    with served(small().vpc) as ec2:
        ec2.api.troubles.set(SUBNETS, Plan(Trouble.RESET))
        with pytest.raises(exceptions.ConnectionClosedError):
            ec2.client().describe_subnets()
        with pytest.raises(ConnectionResetError):
            raw(ec2.url)


def test_a_cut_off_answer_promises_more_bytes_than_come() -> None:
    with served(small().vpc) as ec2:
        whole = raw(ec2.url).partition(b"\r\n\r\n")[2]
        ec2.api.troubles.set(SUBNETS, Plan(Trouble.CUT_OFF))
        head, _, body = raw(ec2.url).partition(b"\r\n\r\n")
        # urllib3 does not tell botocore that bytes are missing: it finds out by the XML.
        with pytest.raises(parsers.ResponseParserError):
            ec2.client().describe_subnets()
    assert f"Content-Length: {len(whole)}".encode() in head
    assert len(body) == len(whole) // 2


def test_a_malformed_answer_has_all_its_bytes_and_is_no_xml() -> None:
    with served(small().vpc) as ec2:
        ec2.api.troubles.set(SUBNETS, Plan(Trouble.MALFORMED))
        head, _, body = raw(ec2.url).partition(b"\r\n\r\n")
        with pytest.raises(parsers.ResponseParserError):
            ec2.client().describe_subnets()
    assert f"Content-Length: {len(body)}".encode() in head
    assert body.startswith(b"<?xml")
    assert not body.endswith(b"</DescribeSubnetsResponse>")


def test_rubbish_is_a_gateways_page_under_a_good_status() -> None:
    with served(small().vpc) as ec2:
        ec2.api.troubles.set(SUBNETS, Plan(Trouble.RUBBISH))
        head, _, body = raw(ec2.url).partition(b"\r\n\r\n")
        with pytest.raises(parsers.ResponseParserError):
            ec2.client().describe_subnets()
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/html")
    assert body.startswith(b"<html>")


def test_an_empty_page_has_a_token_behind_which_everything_is() -> None:
    world = small()
    subnet = next(iter(world.vpc.subnets.values()))
    made = [world.eni(subnet).id for _ in range(12)]
    with served(world.vpc) as ec2:
        ec2.api.troubles.set(ENIS, Plan(Trouble.EMPTY_PAGE, times=2, after=1))
        paginator = ec2.client().get_paginator("describe_network_interfaces")
        pages: list[Any] = list(paginator.paginate(PaginationConfig={"PageSize": 5}))
    shown = [[eni["NetworkInterfaceId"] for eni in page["NetworkInterfaces"]] for page in pages]
    assert shown == [made[:5], [], [], made[5:10], made[10:]]


def test_a_first_page_can_be_empty_too() -> None:
    with served(small().vpc) as ec2:
        ec2.api.troubles.set(SUBNETS, Plan(Trouble.EMPTY_PAGE, times=1))
        pages = list(ec2.client().get_paginator("describe_subnets").paginate())
    assert [len(page["Subnets"]) for page in pages] == [0, 1]


def test_a_trouble_of_one_action_leaves_the_others_alone() -> None:
    with served(small().vpc) as ec2:
        client = ec2.client()
        ec2.api.troubles.set(ENIS, Plan(Trouble.DENIED))
        assert refused(client.describe_network_interfaces)[1] == "UnauthorizedOperation"
        assert len(client.describe_subnets()["Subnets"]) == 1


def test_a_trouble_of_any_action_gives_way_to_one_of_its_own() -> None:
    with served(small().vpc) as ec2:
        client = ec2.client()
        ec2.api.troubles.set(ANY, Plan(Trouble.THROTTLED))
        ec2.api.troubles.set(ENIS, Plan(Trouble.DENIED))
        codes = [
            refused(call)[1] for call in (client.describe_network_interfaces, client.describe_vpcs)
        ]
        assert codes == ["UnauthorizedOperation", "RequestLimitExceeded"]
        assert ec2.api.troubles.current() == {"*": "throttled", ENIS: "denied"}


def test_healing_one_action_heals_it_and_healing_any_heals_all() -> None:
    troubles = Troubles()
    for action in (SUBNETS, ENIS, ANY):
        troubles.set(action, Plan(Trouble.DENIED))
    troubles.set(SUBNETS, None)
    assert troubles.current() == {ENIS: "denied", ANY: "denied"}
    troubles.set(ANY, None)
    assert troubles.current() == {}


def test_an_unsigned_request_uses_no_trouble_up() -> None:
    with served(small().vpc) as ec2:
        ec2.api.troubles.set(SUBNETS, Plan(Trouble.THROTTLED, times=1))
        outcomes = [
            refused(ec2.client(signature_version=UNSIGNED).describe_subnets)[:2],
            refused(ec2.client().describe_subnets)[:2],
        ]
    assert outcomes == [(401, "AuthFailure"), (503, "RequestLimitExceeded")]
