"""Writes what an ipamd holds as the body its `/v1/enis` answers, in the shape of its release.

Shapes are those of reference 2.2 and 2.3: keys in the order of Go's structs, maps sorted by key, no
line end.
"""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from exporter.core.pool import IPV6_PREFIX, PREFIX
from exporter.sim.holdings import HeldAddress, HeldCard, HeldCidr, HeldEni, Holding
from exporter.sim.ipamd import Release

Shape = dict[str, object]

_SINCE_UNASSIGNED = (1, 5)
_SINCE_KEYS = (1, 7)
_SINCE_EFA = (1, 7, 6)
_SINCE_CIDRS = (1, 9)
_SINCE_IPV6 = (1, 10)
_SINCE_METADATA = (1, 11)
_SINCE_CARDS = (1, 20)
_SINCE_ROUTE_TABLES = (1, 20, 3)
_SINCE_SUBNETS = (1, 22)
_SINCE_BLANK_KEYS = (1, 23)

_NETWORK, _INTERFACE, _NAMESPACE = "aws-cni", "eth0", "default"
_NEVER = "0001-01-01T00:00:00Z"
# Base64 of the mask's bytes, which is how Go writes one.
_MASKS = {1: "/////w==", PREFIX: "////8A==", IPV6_PREFIX: "/////////////wAAAAAAAA=="}
_MAIN_ROUTE_TABLE = 254


@dataclass(frozen=True, slots=True)
class _Writer:
    """What is the same for a whole body: the release, and the moment of serving."""

    release: Release
    now: float

    def card(self, card: HeldCard) -> Shape:
        """Return one card, which up to v1.19 is the whole body."""
        pools = "ENIs" if self.release >= _SINCE_KEYS else "ENIIPPools"
        enis = {eni.id: self._eni(eni, card.number) for eni in _sorted(card.enis)}
        assigned = sum(bool(address.pod) for eni in card.enis for address in _addresses(eni))
        return {"TotalIPs": card.total, "AssignedIPs": assigned, pools: enis}

    def _eni(self, eni: HeldEni, card: int) -> Shape:
        release = self.release
        if release < _SINCE_KEYS:
            return self._old_eni(eni)
        found: Shape = {"ID": eni.id, "IsPrimary": eni.primary, "IsTrunk": eni.trunk}
        if release >= _SINCE_EFA:
            found["IsEFA"] = eni.efa
        found["DeviceNumber"] = eni.device
        if release < _SINCE_CIDRS:
            return found | {"IPv4Addresses": self._singles(eni)}
        cidrs = sorted(eni.cidrs, key=lambda cidr: cidr.cidr)
        found["AvailableIPv4Cidrs"] = {it.cidr: self._cidr(it) for it in cidrs if not it.ipv6}
        if release >= _SINCE_IPV6:
            found["IPv6Cidrs"] = {it.cidr: self._cidr(it) for it in cidrs if it.ipv6}
        if release >= _SINCE_SUBNETS:
            found["IsExcludedForPodIPs"] = eni.excluded
        if release >= _SINCE_ROUTE_TABLES:
            found["RouteTableID"] = _route_table(eni, card)
        if release >= _SINCE_SUBNETS:
            found["SubnetID"] = eni.subnet
        return found

    def _old_eni(self, eni: HeldEni) -> Shape:
        return {
            "IsPrimary": eni.primary,
            "ID": eni.id,
            "DeviceNumber": eni.device,
            "AssignedIPv4Addresses": sum(bool(address.pod) for address in _addresses(eni)),
            "IPv4Addresses": self._singles(eni),
        }

    def _singles(self, eni: HeldEni) -> Shape:
        """Return every address held, as releases do that know no CIDRs."""
        used = {address.ip: address for address in _addresses(eni)}
        unused = HeldAddress("", "", 0.0)
        return {ip: self._address(used.get(ip, unused), ip)
                for ip in sorted(cidr.base for cidr in eni.cidrs)}  # fmt: skip

    def _cidr(self, cidr: HeldCidr) -> Shape:
        addresses = "IPAddresses" if self.release >= _SINCE_IPV6 else "IPv4Addresses"
        used = sorted(cidr.addresses, key=lambda address: address.ip)
        found: Shape = {
            "Cidr": {"IP": cidr.base, "Mask": _MASKS[cidr.size]},
            addresses: {address.ip: self._address(address, address.ip) for address in used},
            "IsPrefix": cidr.size != 1,
        }
        return found | {"AddressFamily": ""} if self.release >= _SINCE_IPV6 else found

    def _address(self, address: HeldAddress, ip: str) -> Shape:
        release = self.release
        found: Shape = {"Address": ip}
        if release < _SINCE_KEYS:
            found["Assigned"] = bool(address.pod)
        else:
            found["IPAMKey"] = self._key(address)
        if release >= _SINCE_METADATA:
            found["IPAMMetadata"] = self._metadata(address)
            found["AssignedTime"] = self._time(address.assigned)
        if release >= _SINCE_UNASSIGNED:
            freed = address.freed
            found["UnassignedTime"] = _NEVER if freed is None else self._time(freed)
        return found

    def _key(self, address: HeldAddress) -> Shape:
        if not address.pod:
            return {"networkName": "", "containerID": "", "ifName": ""}
        if self.release >= _SINCE_BLANK_KEYS:
            return {"networkName": _NETWORK, "containerID": "", "ifName": ""}
        sandbox = sandbox_of(address.pod)
        return {"networkName": _NETWORK, "containerID": sandbox, "ifName": _INTERFACE}

    def _metadata(self, address: HeldAddress) -> Shape:
        if not address.pod:
            return {}
        found: Shape = {"k8sPodNamespace": _NAMESPACE, "k8sPodName": address.pod}
        if self.release >= _SINCE_CARDS:
            found["interfacesCount"] = address.interfaces
        return found

    def _time(self, age: float) -> str:
        return go_time(self.now - age)


def enis(holding: Holding, release: Release, now: float) -> bytes:
    """Return the body of `/v1/enis`, served at `now` (Unix seconds)."""
    return encoded(shape(holding, release, now))


def shape(holding: Holding, release: Release, now: float) -> Shape:
    """Return that body before it is encoded."""
    write = _Writer(release, now).card
    if release < _SINCE_CARDS:
        return write(holding.cards[0])
    return {str(card.number): write(card) for card in holding.cards}


def pods(holding: Holding) -> bytes:
    """Return the body of `/v1/pods`, which releases up to v1.6 have."""
    found: Mapping[str, object] = {
        f"{address.pod}_{_NAMESPACE}_{sandbox_of(address.pod)}": {
            "IP": address.ip,
            "DeviceNumber": eni.device,
        }
        for eni in holding.cards[0].enis
        for address in _addresses(eni)
        if address.pod
    }
    return encoded(dict(sorted(found.items())))


def encoded(value: object) -> bytes:
    """Return JSON as Go writes it: compact, and without a line end."""
    return msgspec.json.encode(value)


def go_time(moment: float) -> str:
    """Write a time as Go does: as many digits of a second as it takes."""
    text = f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%S.%f}"
    return text.rstrip("0").rstrip(".") + "Z"


def sandbox_of(pod: str) -> str:
    """Return the id of a pod's sandbox, which its name alone decides."""
    return f"{zlib.crc32(pod.encode()):08x}" * 8


def _sorted(enis: Iterable[HeldEni]) -> list[HeldEni]:
    return sorted(enis, key=lambda eni: eni.id)


def _addresses(eni: HeldEni) -> list[HeldAddress]:
    return [address for cidr in eni.cidrs for address in cidr.addresses]


def _route_table(eni: HeldEni, card: int) -> int:
    if card:
        return 10_000 + 100 * card + eni.device
    return _MAIN_ROUTE_TABLE if eni.primary else eni.device + 1
