"""Which targets may be dialled, address by address."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.dial import refusal
from exporter.core.model import Target
from tests.builders import node, pod, target


def at(ip: str, *addresses: str) -> Target:
    return target(node(addresses=addresses or (ip,)), pod(ip=ip))


@pytest.mark.parametrize(
    "ip", ["10.0.0.1", "100.64.3.9", "192.168.0.7", "203.0.113.5", "fd12:3456::9", "2001:db8::1"]
)
def test_a_host_network_pod_at_an_address_of_its_node_may_be_dialled(ip: str) -> None:
    assert refusal(at(ip)) == ""


@pytest.mark.parametrize(
    ("ip", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("127.9.9.9", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("::ffff:0.0.0.0", "unspecified"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("::ffff:239.1.2.3", "multicast"),
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("::ffff:a9fe:a9fe", "link-local"),
        ("fd00:ec2::254", "AWS-local"),
        ("fd00:0ec2:0:0:0:0:0:0001", "AWS-local"),
    ],
)
def test_an_address_of_a_special_kind_is_refused_even_if_a_node_claims_it(
    ip: str, kind: str
) -> None:
    assert refusal(at(ip)) == f"{ip} is a {kind} address"


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_may_be_allowed(ip: str) -> None:
    assert refusal(at(ip), allow_loopback=True) == ""


@pytest.mark.parametrize("ip", ["0.0.0.0", "169.254.169.254", "fd00:ec2::254", "ff02::1"])
def test_allowing_loopback_allows_nothing_else(ip: str) -> None:
    assert refusal(at(ip), allow_loopback=True) != ""


@pytest.mark.parametrize(
    "ip",
    [
        "",
        "localhost",
        "metadata.internal",
        "10.0.0",
        "010.0.0.1",
        "10.0.0.1:80",
        "10.0.0.1/32",
        "[2001:db8::1]",
        "2001:db8::1%eth0",
        " 10.0.0.1",
        "169.254.169.254\n",
    ],
)
def test_what_is_no_plain_address_is_refused(ip: str) -> None:
    assert refusal(at(ip)) == f"{ip!r} is not an IP address"


def test_a_refusal_quotes_no_more_than_an_address_could_be_long() -> None:
    assert refusal(at("x" * 5_000)) == f"'{'x' * 45}' is not an IP address"


def test_a_pod_with_an_address_of_its_own_is_refused() -> None:
    where = target(node(addresses=("10.0.0.1",)), pod(ip="10.0.0.1", host_network=False))

    assert refusal(where) == "the pod is not on its node's network"


def test_an_address_that_is_not_the_nodes_is_refused() -> None:
    assert refusal(at("10.0.0.9", "10.0.0.1", "10.0.0.2")) == "10.0.0.9 is not its node's address"


def test_a_node_without_any_address_vouches_for_none() -> None:
    where = target(node(addresses=()), pod(ip="10.0.0.1"))

    assert refusal(where) == "10.0.0.1 is not its node's address"


def test_where_nodes_may_not_be_read_the_other_rules_still_hold() -> None:
    assert refusal(target(node(addresses=None), pod(ip="10.0.0.9"))) == ""
    assert refusal(target(node(addresses=None), pod(ip="127.0.0.1"))) != ""
    assert refusal(target(node(addresses=None), pod(ip="10.0.0.9", host_network=False))) != ""


@pytest.mark.parametrize(
    ("ip", "listed"),
    [
        ("fd12::9", "FD12:0:0::0009"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("10.0.0.1", "::ffff:a00:1"),
    ],
)
def test_addresses_are_compared_as_addresses_not_as_text(ip: str, listed: str) -> None:
    assert refusal(at(ip, "ip-10-0-0-1.internal", listed)) == ""


def test_without_a_pod_there_is_nothing_to_dial() -> None:
    assert refusal(Target(node())) == "there is no pod"


@given(st.ip_addresses())
def test_only_addresses_that_lead_to_another_machine_are_dialled(address: IPv6Address) -> None:
    mapped = getattr(address, "ipv4_mapped", None) or address
    if refusal(at(str(address))) == "":
        assert not mapped.is_loopback
        assert not mapped.is_unspecified
        assert not mapped.is_multicast
        assert not mapped.is_link_local
        assert not str(ip_address(address).exploded).startswith("fd00:0ec2:")


@given(st.text(max_size=60))
def test_any_text_for_an_address_is_answered(text: str) -> None:
    assert isinstance(refusal(at(text)), str)
