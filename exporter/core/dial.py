"""Which addresses the exporter may connect to (DESIGN, section 8)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from exporter.core.model import Target

# The instance metadata service and its neighbours; link-local in IPv4, but not in IPv6.
_AWS_LOCAL = IPv6Network("fd00:ec2::/32")

_Address = IPv4Address | IPv6Address


def refusal(target: Target, *, allow_loopback: bool = False) -> str:
    """Return why the target's pod may not be dialled, or nothing where it may."""
    pod, node = target.pod, target.node
    if pod is None:
        return "there is no pod"
    address = _parsed(pod.ip)
    if address is None:
        return f"{pod.ip[:45]!r} is not an IP address"
    kind = _forbidden_kind(address)
    if kind and not (kind == "loopback" and allow_loopback):
        return f"{pod.ip} is a {kind} address"
    if not pod.host_network:
        return "the pod is not on its node's network"
    if node.addresses is not None and address not in _all_parsed(node.addresses):
        return f"{pod.ip} is not its node's address"
    return ""


def _parsed(text: str) -> _Address | None:
    """Return an address, freed of an IPv4-mapped form; None for what names an interface too."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return None if address.scope_id is not None else address.ipv4_mapped or address


def _all_parsed(texts: Iterable[str]) -> set[_Address]:
    return {address for address in map(_parsed, texts) if address is not None}


def _forbidden_kind(address: _Address) -> str:
    if address.is_loopback:
        return "loopback"
    if address.is_unspecified:
        return "unspecified"
    if address.is_multicast:
        return "multicast"
    if address.is_link_local:
        return "link-local"
    return "AWS-local" if address in _AWS_LOCAL else ""
