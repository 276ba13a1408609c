"""A small reader of `/v1/enis`, written from the reference alone: what a body's CIDRs come to."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Counted:
    """What one ENI holds, in addresses and prefixes."""

    total: int
    assigned: int
    cooldown: int
    prefixes: int
    primary: bool
    trunk: bool
    excluded: bool = False

    @property
    def free(self) -> int:
        return self.total - self.assigned - self.cooldown


def cards(body: bytes) -> Mapping[str, Json]:
    """Return the ENIs of each card, whatever the release."""
    found = json.loads(body)
    if "ENIIPPools" in found:
        return {"0": found["ENIIPPools"]}
    if "ENIs" in found:
        return {"0": found["ENIs"]}
    assert all(key.isdecimal() for key in found), found
    return {card: it["ENIs"] for card, it in found.items()}


def counted(body: bytes, now: float, cooldown: float = 30) -> Mapping[tuple[str, str], Counted]:
    """Return what each ENI comes to at `now`, by card and id."""
    return {
        (card, name): _eni(eni, now, cooldown)
        for card, enis in cards(body).items()
        for name, eni in enis.items()
    }


def cidrs(eni: Json) -> Iterator[tuple[str, Json]]:
    """Return the CIDRs of an ENI, each with its addresses ever handed out."""
    if "AvailableIPv4Cidrs" not in eni:
        for ip, address in eni["IPv4Addresses"].items():
            yield f"{ip}/32", {ip: address}
        return
    for name, cidr in {**eni["AvailableIPv4Cidrs"], **eni.get("IPv6Cidrs", {})}.items():
        yield name, cidr["IPAddresses"] if "IPAddresses" in cidr else cidr["IPv4Addresses"]


def is_assigned(address: Json) -> bool:
    """Tell whether a pod has an address."""
    if "IPAMKey" in address:
        return any(address["IPAMKey"].values())
    return bool(address["Assigned"])


def freed_ago(address: Json, now: float) -> float | None:
    """Return how long ago an address was given back, None where it never was."""
    text = address.get("UnassignedTime", "0001-01-01T00:00:00Z")
    if text.startswith("0001"):
        return None
    return now - datetime.fromisoformat(text).timestamp()


def _eni(eni: Json, now: float, cooldown: float) -> Counted:
    held = [(ipaddress.ip_network(name), addresses) for name, addresses in cidrs(eni)]
    for network, addresses in held:
        assert all(ipaddress.ip_address(ip) in network for ip in addresses)
    flat = [address for _, addresses in held for address in addresses.values()]
    free = [address for address in flat if not is_assigned(address)]
    ages = [age for it in free if (age := freed_ago(it, now)) is not None]
    assert all(age >= 0 for age in ages)
    return Counted(
        total=sum(network.num_addresses for network, _ in held),
        assigned=len(flat) - len(free),
        cooldown=sum(age <= cooldown for age in ages),
        prefixes=sum(network.prefixlen in (28, 80) for network, _ in held),
        primary=eni["IsPrimary"],
        trunk=eni.get("IsTrunk", False),
        excluded=eni.get("IsExcludedForPodIPs", False),
    )
