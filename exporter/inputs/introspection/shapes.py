"""The JSON of ipamd's introspection, release by release (reference 2.2 to 2.4), as typed values.

Unknown fields are stepped over and known ones may be null. A list of addresses that is missing is
no empty list, though: a shape that nobody knows yet must not read as a node without addresses.
Of a key that is there twice the last one counts, as it does for Go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from exporter.core.model import Reason
from exporter.inputs.fetch import FetchFailed

_CARD = re.compile(r"[0-9]{1,3}")
# A name of Kubernetes' (RFC 1123).
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_NOT_JSON = (msgspec.MsgspecError, UnicodeError, RecursionError)
_MAX_DETAIL = 200
_MAX_QUOTED = 60

_Time = Annotated[datetime, msgspec.Meta(tz=True)]
_Index = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class _Wire(msgspec.Struct, gc=False):
    """A JSON object; a body makes hundreds, which the collector need not follow."""


class Key(_Wire):
    """Who has an address: empty throughout where nobody has."""

    network: str | None = msgspec.field(name="networkName", default=None)
    container: str | None = msgspec.field(name="containerID", default=None)
    interface: str | None = msgspec.field(name="ifName", default=None)


class Address(_Wire):
    """An address that was handed out before; `flag` stands in place of the key until v1.6."""

    address: str | None = msgspec.field(name="Address", default=None)
    key: Key | UnsetType | None = msgspec.field(name="IPAMKey", default=UNSET)
    flag: bool | UnsetType | None = msgspec.field(name="Assigned", default=UNSET)
    freed: _Time | UnsetType | None = msgspec.field(name="UnassignedTime", default=UNSET)


Addresses = dict[str, Address | None]


class _Cidr(_Wire):
    addresses: Addresses | UnsetType | None = msgspec.field(name="IPAddresses", default=UNSET)
    # So v1.9 calls them.
    ipv4: Addresses | UnsetType | None = msgspec.field(name="IPv4Addresses", default=UNSET)


_Cidrs = dict[str, _Cidr | None]


class Eni(_Wire):
    """An ENI; `singles` stands in place of its CIDRs until v1.8."""

    id: str | None = msgspec.field(name="ID", default=None)
    primary: bool | None = msgspec.field(name="IsPrimary", default=None)
    trunk: bool | None = msgspec.field(name="IsTrunk", default=None)
    efa: bool | None = msgspec.field(name="IsEFA", default=None)
    excluded: bool | None = msgspec.field(name="IsExcludedForPodIPs", default=None)
    device: _Index | None = msgspec.field(name="DeviceNumber", default=None)
    subnet: str | None = msgspec.field(name="SubnetID", default=None)
    cidrs: _Cidrs | UnsetType | None = msgspec.field(name="AvailableIPv4Cidrs", default=UNSET)
    ipv6: _Cidrs | UnsetType | None = msgspec.field(name="IPv6Cidrs", default=UNSET)
    singles: Addresses | UnsetType | None = msgspec.field(name="IPv4Addresses", default=UNSET)

    def held(self, name: str) -> Mapping[str, Addresses]:
        """Return the IPv4 CIDRs that it holds, and of each the addresses that were handed out."""
        if self.cidrs is not UNSET:
            return _by_cidr(name, self.cidrs)
        if self.singles is not UNSET:
            return {f"{it}/32": {it: address} for it, address in (self.singles or {}).items()}
        if self.ipv6 is not UNSET:
            return {}
        raise malformed(f"{name} tells its addresses in no known form")

    def held_ipv6(self, name: str) -> Mapping[str, Addresses]:
        """Return the IPv6 CIDRs that it holds."""
        return {} if self.ipv6 is UNSET else _by_cidr(name, self.ipv6)


Enis = dict[str, Eni | None]


class _Card(_Wire):
    enis: Enis | UnsetType | None = msgspec.field(name="ENIs", default=UNSET)


class _OldEniConfigs(_Wire):
    chosen: str | None = msgspec.field(name="MyENI", default=None)


_TOP = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENIS = msgspec.json.Decoder(Enis | None)
_CARDS = msgspec.json.Decoder(dict[str, _Card | None])
_ENICONFIG = msgspec.json.Decoder(str | _OldEniConfigs)


def decode_enis(body: bytes) -> Mapping[int, Enis]:
    """Return a body of `/v1/enis` by network card, or raise `FetchFailed`."""
    try:
        return _cards(body)
    except _NOT_JSON as error:
        raise _undecodable(error) from error


def decode_eniconfig(body: bytes) -> str:
    """Return the ENIConfig that a body of `/v1/eni-configs` says ipamd chose."""
    try:
        said = _ENICONFIG.decode(body)
    except _NOT_JSON as error:
        raise _undecodable(error) from error
    name = said if isinstance(said, str) else said.chosen or ""
    if not _OBJECT_NAME.fullmatch(name):
        raise malformed(f"{quoted(name)} is no name of an ENIConfig")
    return name


def _cards(body: bytes) -> Mapping[int, Enis]:
    """The releases are told apart by the keys at the top (reference 2.3)."""
    top = _TOP.decode(body)
    if "AvailableCommands" in top:
        raise malformed("the answer to a path that is not there")
    for name in ("ENIIPPools", "ENIs"):
        if name in top:
            return {0: _ENIS.decode(top[name]) or {}}
    if not top or not all(map(_CARD.fullmatch, top)):
        raise malformed("neither ENIs nor network cards")
    cards: dict[int, Enis] = {}
    for card, found in _CARDS.decode(body).items():
        if found is None or found.enis is UNSET:
            raise malformed(f"network card {card} without ENIs")
        cards[int(card)] = found.enis or {}
    if len(cards) < len(top):
        raise malformed("a network card under two numbers")
    return cards


def _by_cidr(name: str, cidrs: _Cidrs | UnsetType | None) -> Mapping[str, Addresses]:
    found: dict[str, Addresses] = {}
    for cidr, it in (cidrs or {}).items():
        addresses = UNSET if it is None else it.ipv4 if it.addresses is UNSET else it.addresses
        if addresses is UNSET:
            raise malformed(f"{quoted(cidr)} of {name} tells its addresses in no known form")
        found[cidr] = addresses or {}
    return found


def malformed(detail: str) -> FetchFailed:
    """Return the failure for what ipamd would not say."""
    return FetchFailed(Reason.MALFORMED, detail)


def quoted(text: str) -> str:
    """Return a text of the node's for people, cut to what can be read."""
    return repr(text if len(text) <= _MAX_QUOTED else text[:_MAX_QUOTED] + "…")


def _undecodable(error: BaseException) -> FetchFailed:
    if "truncated" in str(error):
        return FetchFailed(Reason.INCOMPLETE, "cut off")
    return malformed(str(error)[:_MAX_DETAIL])
