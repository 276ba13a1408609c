"""Bodies of `/v1/enis` in the shape of any release, and a plain reader of them as the oracle."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from datetime import datetime, timezone
from ipaddress import ip_network
from typing import Any

from hypothesis import strategies as st

from exporter.core.introspection import Introspection, IpamdEni
from tests.builders import NOW

COOLDOWN = 30.0
_NEVER = "0001-01-01T00:00:00Z"

Json = Any


@dataclass
class Made:
    """A body, and what it was made of."""

    release: int  # of v1.x
    cards: dict[int, dict[str, Json]] = field(default_factory=dict)
    enis: list[IpamdEni] = field(default_factory=list)

    @property
    def json(self) -> Json:
        """The body as the release writes it (reference 2.3)."""
        cards = {
            str(card): {"TotalIPs": 7, "AssignedIPs": -1, "ENIs": enis}
            for card, enis in self.cards.items()
        }
        if self.release >= 20:
            return cards
        first = cards["0"]
        return first if self.release >= 7 else {**first, "ENIIPPools": first.pop("ENIs")}

    @property
    def introspection(self) -> Introspection:
        """What a right reader makes of it."""
        ordered = sorted(self.enis, key=lambda eni: (eni.card, eni.id))
        return Introspection(time=NOW, enis=tuple(ordered))


class _Space:
    """Gives out blocks of addresses, each once."""

    def __init__(self, draw: st.DrawFn) -> None:
        chosen = random.Random(draw(st.integers(0, 2**16)))
        self._blocks = iter(chosen.sample(range(2**20), 64))

    def single(self) -> str:
        """Return an address in a block of its own."""
        return f"10.{self._third(next(self._blocks), 7)}"

    def prefix(self) -> tuple[str, list[str]]:
        """Return a /28 and all its addresses."""
        block = next(self._blocks)
        ips = [f"10.{self._third(block, n)}" for n in range(16)]
        return f"{ips[0]}/28", ips

    def ipv6(self) -> tuple[str, list[str]]:
        """Return a /80 and some of its addresses."""
        base = f"2001:db8:0:{next(self._blocks) & 65535:x}:1::"
        return f"{base}/80", [base, *(f"{base}{n:x}" for n in range(1, 5))]

    @staticmethod
    def _third(block: int, offset: int) -> str:
        number = block * 16 + offset
        return f"{number >> 16}.{number >> 8 & 255}.{number & 255}"


@st.composite
def bodies(draw: st.DrawFn) -> Made:
    """Any mode in the shape of any release from v1.4 to v1.23."""
    made = Made(draw(st.integers(4, 23)))
    space = _Space(draw)
    cards = draw(st.lists(st.integers(1, 12), unique=True, max_size=2))
    for card in (0, *(cards if made.release >= 20 else ())):
        made.cards[card] = {}
        for number in range(draw(st.integers(0, 3))):
            id = f"eni-{card:02x}{number:015x}"
            made.cards[card][id], eni = _eni(draw, made.release, space, id)
            made.enis.append(IpamdEni(**{**eni, "id": id, "card": card}))
    return made


def _eni(draw: st.DrawFn, release: int, space: _Space, id: str) -> tuple[Json, dict[str, Any]]:
    """An ENI as the release writes it, and what it comes to."""
    flags = {
        name: draw(st.booleans())
        for name, since in (("primary", 4), ("trunk", 7), ("efa", 8), ("excluded", 22))
        if release >= since
    }
    names = {
        "primary": "IsPrimary",
        "trunk": "IsTrunk",
        "efa": "IsEFA",
        "excluded": "IsExcludedForPodIPs",
    }
    device = draw(st.integers(0, 14))
    told: dict[str, Any] = {**flags, "device": device, "attached": 0, "prefixes": 0}
    told |= {"assigned": 0, "cooldown": 0}
    eni: Json = {names[name]: value for name, value in flags.items()}
    eni |= {"ID": id, "DeviceNumber": device, "RouteTableID": 254}
    if release >= 22:
        eni["SubnetID"] = told["subnet_id"] = "subnet-0a"
    singles = [space.single() for _ in range(draw(st.integers(0, 4)))]
    if release <= 8:
        eni["IPv4Addresses"] = {ip: _address(draw, release, ip, told) for ip in singles}
        told["attached"] += len(singles)
        return eni, told
    cidrs = [(f"{ip}/32", [ip]) for ip in singles]
    prefixes = [space.prefix() for _ in range(draw(st.integers(0, 2)))]
    eni["AvailableIPv4Cidrs"] = {
        cidr: _cidr(draw, release, ips, told) for cidr, ips in cidrs + prefixes
    }
    told["attached"] += len(singles) + 16 * len(prefixes)
    told["prefixes"] += len(prefixes)
    if release >= 10:
        ipv6 = [space.ipv6() for _ in range(draw(st.integers(0, 1)))]
        eni["IPv6Cidrs"] = {cidr: _cidr(draw, release, ips, told) for cidr, ips in ipv6}
        told["attached"] += 2**48 * len(ipv6)
    return eni, told


def _cidr(draw: st.DrawFn, release: int, ips: list[str], told: dict[str, Any]) -> Json:
    known = draw(st.lists(st.sampled_from(ips), unique=True, max_size=4))
    name = "IPv4Addresses" if release == 9 else "IPAddresses"
    return {name: {ip: _address(draw, release, ip, told) for ip in known}, "IsPrefix": False}


def _address(draw: st.DrawFn, release: int, ip: str, told: dict[str, Any]) -> Json:
    """An address in one of the states that it can have, which is counted."""
    state = draw(st.sampled_from(("assigned", "cooldown", "free", "never")))
    if release == 4 and state == "cooldown":
        state = "free"
    if state in ("assigned", "cooldown"):
        told[state] += 1
    address: Json = {"Address": ip}
    if release <= 6:
        address["Assigned"] = state == "assigned"
    else:
        parts = ["networkName", "containerID", "ifName"]
        said = draw(st.sampled_from(parts))
        address["IPAMKey"] = {
            part: "x" if state == "assigned" and part == said else "" for part in parts
        }
    if release >= 5:
        ago = draw(st.floats(0.001, 29.9) if state == "cooldown" else st.floats(31, 1e6))
        address["UnassignedTime"] = _NEVER if state == "never" else _iso(draw, NOW - ago)
    return address


def _iso(draw: st.DrawFn, time: float) -> str:
    """A time as Go writes it, in any zone, with any number of digits."""
    zone = draw(st.sampled_from(("Z", "Z", "+05:30", "-08:00")))
    offset = datetime.fromisoformat(f"2026-01-01T00:00:00{zone}").utcoffset()
    assert offset is not None
    there = datetime.fromtimestamp(time, timezone(offset)).replace(tzinfo=None)
    text = there.isoformat(timespec="microseconds") + draw(st.sampled_from(("", "789")))
    return text + zone


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(("", "eni-0a1", "10.0.0.1", "10.0.0.1/32", "10.0.0.0/28", _NEVER, "x" * 99))
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def damaged(draw: st.DrawFn) -> Json:
    """A body in which up to three parts were taken out, replaced, renamed or doubled."""
    whole: Json = draw(bodies()).json
    for _ in range(draw(st.integers(1, 3))):
        objects = [it for it in _objects(whole) if it]
        if not objects:
            break
        there = draw(st.sampled_from(objects))
        key = draw(st.sampled_from(sorted(there)))
        match draw(st.integers(0, 3)):
            case 0:
                del there[key]
            case 1:
                there[key] = draw(JUNK)
            case 2:
                there[draw(st.sampled_from(_names(whole)) | st.text(max_size=9))] = there.pop(key)
            case _:
                there[draw(st.sampled_from(_names(whole)))] = json.loads(json.dumps(there[key]))
    return whole


def _objects(part: Json) -> list[dict[str, Json]]:
    if not isinstance(part, dict):
        return []
    return [part, *(it for value in part.values() for it in _objects(value))]


def _names(whole: Json) -> list[str]:
    return sorted({key for part in _objects(whole) for key in part} | {"0", "ENIs", "ENIIPPools"})


def plainly_read(whole: Json) -> Introspection:
    """Count a body that is right, as simply as that can be said."""
    if "ENIIPPools" in whole or "ENIs" in whole:
        whole = {"0": {"ENIs": whole.get("ENIIPPools", whole.get("ENIs"))}}
    enis = [
        _counted(int(card), id, eni)
        for card, held in whole.items()
        for id, eni in (held["ENIs"] or {}).items()
    ]
    return Introspection(time=NOW, enis=tuple(sorted(enis, key=lambda eni: (eni.card, eni.id))))


def _counted(card: int, id: str, eni: Json) -> IpamdEni:
    if "AvailableIPv4Cidrs" in eni:
        cidrs = dict(eni["AvailableIPv4Cidrs"] or {})
    else:
        singles = eni.get("IPv4Addresses") or {}
        cidrs = {f"{ip}/32": {"IPAddresses": {ip: it}} for ip, it in singles.items()}
    networks = [ip_network(cidr) for cidr in (*cidrs, *(eni.get("IPv6Cidrs") or {}))]
    states = [
        _state(address)
        for cidr in (*cidrs.values(), *(eni.get("IPv6Cidrs") or {}).values())
        for address in (cidr.get("IPAddresses", cidr.get("IPv4Addresses")) or {}).values()
    ]
    return IpamdEni(
        id=id,
        card=card,
        device=eni.get("DeviceNumber"),
        primary=bool(eni.get("IsPrimary")),
        trunk=bool(eni.get("IsTrunk")),
        efa=bool(eni.get("IsEFA")),
        excluded=bool(eni.get("IsExcludedForPodIPs")),
        subnet_id=eni.get("SubnetID") or "",
        attached=sum(network.num_addresses for network in networks),
        assigned=states.count("assigned"),
        cooldown=states.count("cooldown"),
        prefixes=sum(network.prefixlen == 28 for network in networks),
    )


def _state(address: Json) -> str:
    key = (address or {}).get("IPAMKey") or {}
    parts = ("networkName", "containerID", "ifName")
    keyed = any(key.get(part) for part in parts)
    if (address or {}).get("Assigned", keyed):
        return "assigned"
    freed = (address or {}).get("UnassignedTime")
    if freed is None or freed.startswith("0001-"):
        return "free"
    ago = NOW - datetime.fromisoformat(freed).timestamp()
    return "cooldown" if -5.0 <= ago <= COOLDOWN else "free"
