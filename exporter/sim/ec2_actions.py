"""What EC2's actions answer about one VPC, as XML; nothing here knows of HTTP.

An ENI that did not change is not written again: a cluster's listing is megabytes of XML.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from exporter.sim import ec2_fields, ec2_shapes, ec2_xml
from exporter.sim.ec2_pages import Listings
from exporter.sim.ec2_protocol import Ask, Bounds, Refused, ask
from exporter.sim.ec2_types import TYPES, InstanceType
from exporter.sim.vpc import Eni, Reservation, Subnet, Vpc

Thing = TypeVar("Thing")
Reserved = tuple[Reservation, Subnet]

_ENI_BOUNDS = Bounds(
    "NetworkInterfaceId",
    most=1000,
    ids_or_pages=True,
    other=frozenset({"IncludeManagedResources"}),
)
_SUBNET_BOUNDS = Bounds("SubnetId", most=1000)
_VPC_BOUNDS = Bounds("VpcId", most=1000)
_TYPE_BOUNDS = Bounds(
    "InstanceType", most=100, default=100, other=frozenset({"IncludeUnsupportedInRegion"})
)


class Action(Protocol):
    """One action of EC2's."""

    def answer(self, fields: Mapping[str, str], request: str, *, empty: bool) -> bytes:
        """Answer a request with one page, which may be kept empty though there is more."""


@dataclass(frozen=True, slots=True)
class Describe(Generic[Thing]):
    """An action that lists things: how it is asked, what it finds, how a thing is written."""

    bounds: Bounds
    set: str
    find: Callable[[Ask], list[Thing]]
    write: Callable[[Thing], bytes]
    empty_set: str = ""
    listings: Listings[Thing] = field(default_factory=Listings)

    def answer(self, fields: Mapping[str, str], request: str, *, empty: bool) -> bytes:
        """Answer a request with one page, which may be kept empty though there is more."""
        asked = ask(fields, self.bounds)
        if asked.token:
            things, token = self.listings.next(asked, empty=empty)
        else:
            things, token = self.listings.page(asked, self.find(asked), empty=empty)
        sets = {self.set: map(self.write, things)}
        if self.empty_set:
            sets[self.empty_set] = map(self.write, ())
        return ec2_xml.answer(asked.action, request, sets, token=token)


class Ec2:
    """EC2 as it knows one VPC; `count_reserved` counts reserved addresses as available ones."""

    def __init__(self, vpc: Vpc, *, count_reserved: bool = False) -> None:
        self.vpc = vpc
        self.count_reserved = count_reserved
        self._written: dict[str, tuple[object, bytes]] = {}
        self.actions: Mapping[str, Action] = {
            "DescribeNetworkInterfaces": Describe(
                _ENI_BOUNDS, "networkInterfaceSet", self._enis, self._write_eni
            ),
            "DescribeSubnets": Describe(
                _SUBNET_BOUNDS, "subnetSet", self._subnets, self._write_subnet
            ),
            "GetSubnetCidrReservations": Describe(
                _SUBNET_BOUNDS,
                "subnetIpv4CidrReservationSet",
                self._reservations,
                _write_reserved,
                empty_set="subnetIpv6CidrReservationSet",
            ),
            "DescribeInstanceTypes": Describe(_TYPE_BOUNDS, "instanceTypeSet", _types, _write_type),
            "DescribeVpcs": Describe(_VPC_BOUNDS, "vpcSet", self._vpcs, _write_vpc),
        }

    def _enis(self, asked: Ask) -> list[Eni]:
        if len(self._written) > 2 * len(self.vpc.enis):
            self._written = {eni: kept for eni, kept in self._written.items()
                             if eni in self.vpc.enis}  # fmt: skip
        visible = self.vpc.visible_enis()
        if asked.ids:
            visible = iter(_named(asked.ids, {eni.id: eni for eni in visible}, refused=_NO_ENI))
        return ec2_fields.enis(self.vpc).matching(visible, asked.conditions)

    def _write_eni(self, eni: Eni) -> bytes:
        """Write an ENI, or nothing where it has gone since its listing began."""
        if eni.id not in self.vpc.enis:
            return b""
        looks = ec2_shapes.fingerprint(eni)
        kept = self._written.get(eni.id)
        if kept is None or kept[0] != looks:
            shape = ec2_shapes.eni(eni, self.vpc.subnets[eni.subnet], self.vpc)
            kept = self._written[eni.id] = (looks, ec2_xml.item(shape))
        return kept[1]

    def _subnets(self, asked: Ask) -> list[Subnet]:
        found = self.vpc.subnets
        chosen = _named(asked.ids, found, refused=_NO_SUBNET) if asked.ids else found.values()
        return ec2_fields.subnets(self.vpc).matching(chosen, asked.conditions)

    def available(self, subnet: Subnet) -> int:
        """Return AvailableIpAddressCount, as this EC2 counts it."""
        if not self.count_reserved:
            return subnet.available
        unused = sum(unused_reserved(subnet, part) for part in subnet.reservations)
        return subnet.available + unused

    def _write_subnet(self, subnet: Subnet) -> bytes:
        available = self.available(subnet)
        return ec2_xml.item(ec2_shapes.subnet(subnet, self.vpc, available=available))

    def _reservations(self, asked: Ask) -> list[Reserved]:
        if not asked.ids:
            raise Refused("MissingParameter", "The request must contain the parameter SubnetId")
        (subnet,) = _named(asked.ids, self.vpc.subnets, refused=_NO_SUBNET)
        found = ec2_fields.RESERVATIONS.matching(subnet.reservations, asked.conditions)
        return [(reservation, subnet) for reservation in found]

    def _vpcs(self, asked: Ask) -> list[Vpc]:
        found = {self.vpc.id: self.vpc}
        chosen = _named(asked.ids, found, refused=_NO_VPC) if asked.ids else found.values()
        return ec2_fields.VPCS.matching(chosen, asked.conditions)


def unused_reserved(subnet: Subnet, reservation: Reservation) -> int:
    """Count the addresses of a reservation that nobody holds, AWS's own five left out."""
    first, size = int(reservation.cidr.network_address), reservation.cidr.num_addresses
    base, last = int(subnet.cidr.network_address), int(subnet.cidr.broadcast_address)
    aws = {*range(base, base + 4), last}
    return sum(
        address not in aws and address not in subnet.held for address in range(first, first + size)
    )


def _write_reserved(reserved: Reserved) -> bytes:
    return ec2_xml.item(ec2_shapes.reservation(*reserved))


def _write_type(kind: InstanceType) -> bytes:
    return ec2_xml.item(ec2_shapes.instance_type(kind))


def _write_vpc(vpc: Vpc) -> bytes:
    return ec2_xml.item(ec2_shapes.vpc(vpc))


def _types(asked: Ask) -> list[InstanceType]:
    unknown = [name for name in asked.ids if name not in TYPES]
    if unknown:
        message = f"The following supplied instance types do not exist: [{', '.join(unknown)}]"
        raise Refused("InvalidInstanceType", message)
    chosen = [TYPES[name] for name in asked.ids] or TYPES.values()
    return ec2_fields.TYPES.matching(chosen, asked.conditions)


_NO_ENI = ("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '{}' does not exist")
_NO_SUBNET = ("InvalidSubnetID.NotFound", "The subnet ID '{}' does not exist")
_NO_VPC = ("InvalidVpcID.NotFound", "The vpc ID '{}' does not exist")


def _named(
    ids: tuple[str, ...], found: Mapping[str, Thing], *, refused: tuple[str, str]
) -> list[Thing]:
    """Return the things of these ids; EC2 refuses the whole request for one unknown id."""
    code, message = refused
    for name in ids:
        if name not in found:
            raise Refused(code, message.format(name))
    return [found[name] for name in ids]
