"""By what the things of EC2 can be filtered: a table per kind of thing, in EC2's names."""

from ipaddress import IPv4Address

from exporter.sim.ec2_filters import Values, Vocabulary
from exporter.sim.ec2_shapes import mac, prefix, subnet_tags, vpc_blocks
from exporter.sim.ec2_types import InstanceType
from exporter.sim.vpc import Eni, Reservation, Subnet, Vpc


def enis(vpc: Vpc) -> Vocabulary[Eni]:
    """Return the filters of DescribeNetworkInterfaces."""
    zones = {subnet.id: subnet.zone for subnet in vpc.subnets.values()}
    return Vocabulary(
        {
            "addresses.private-ip-address": _addresses,
            "addresses.primary": lambda eni: ("true", "false") if eni.secondary else ("true",),
            "attachment.attachment-id": lambda eni: _attached(eni, "id"),
            "attachment.delete-on-termination": lambda eni: _attached(eni, "delete_on_termination"),
            "attachment.device-index": lambda eni: _attached(eni, "device"),
            "attachment.instance-id": lambda eni: _attached(eni, "instance"),
            "attachment.instance-owner-id": lambda eni: _attached(eni, "instance_owner"),
            "attachment.status": lambda eni: ("attached",) if eni.attachment is not None else (),
            "availability-zone": lambda eni: (zones[eni.subnet],),
            "description": lambda eni: (eni.description,),
            "interface-type": lambda eni: (eni.interface_type,),
            "ipv4-prefix": lambda eni: tuple(map(prefix, eni.prefixes)),
            "mac-address": lambda eni: (mac(eni),),
            "network-interface-id": lambda eni: (eni.id,),
            "owner-id": lambda eni: (eni.owner,),
            "private-ip-address": _addresses,
            "requester-id": lambda eni: (eni.requester,) if eni.requester else (),
            "requester-managed": lambda eni: (_word(eni.requester_managed),),
            "status": lambda eni: (eni.status,),
            "subnet-id": lambda eni: (eni.subnet,),
            "vpc-id": lambda eni: (vpc.id,),
        },
        lambda eni: eni.tags,
    )


def subnets(vpc: Vpc) -> Vocabulary[Subnet]:
    """Return the filters of DescribeSubnets."""
    return Vocabulary(
        {
            "availability-zone": lambda subnet: (subnet.zone,),
            "availability-zone-id": lambda subnet: (subnet.zone_id,),
            "cidr-block": lambda subnet: (str(subnet.cidr),),
            "default-for-az": lambda subnet: ("false",),
            "owner-id": lambda subnet: (subnet.owner,),
            "state": lambda subnet: ("available",),
            "subnet-id": lambda subnet: (subnet.id,),
            "vpc-id": lambda subnet: (vpc.id,),
        },
        subnet_tags,
    )


RESERVATIONS: Vocabulary[Reservation] = Vocabulary(
    {"reservationType": lambda reservation: (str(reservation.kind),)},
    lambda reservation: {},
)

VPCS: Vocabulary[Vpc] = Vocabulary(
    {
        "cidr": lambda vpc: vpc_blocks(vpc)[:1],
        "cidr-block-association.cidr-block": vpc_blocks,
        "is-default": lambda vpc: ("false",),
        "owner-id": lambda vpc: (vpc.account,),
        "state": lambda vpc: ("available",),
        "vpc-id": lambda vpc: (vpc.id,),
    },
    lambda vpc: {},
)

TYPES: Vocabulary[InstanceType] = Vocabulary(
    {
        "bare-metal": lambda kind: (_word(kind.bare_metal),),
        "current-generation": lambda kind: (_word(kind.hypervisor != "xen"),),
        "hypervisor": lambda kind: (kind.hypervisor,) if kind.hypervisor else (),
        "instance-type": lambda kind: (kind.name,),
        "network-info.ipv4-addresses-per-interface": lambda kind: (str(kind.ipv4),),
        "network-info.maximum-network-cards": lambda kind: (str(len(kind.cards)),),
        "network-info.maximum-network-interfaces": lambda kind: (str(kind.interfaces),),
        "processor-info.supported-architecture": lambda kind: (kind.architecture,),
        "vcpu-info.default-vcpus": lambda kind: (str(kind.vcpus),),
    }
)


def _addresses(eni: Eni) -> Values:
    return tuple(str(IPv4Address(address)) for address in (eni.primary, *eni.secondary))


def _attached(eni: Eni, name: str) -> Values:
    if eni.attachment is None:
        return ()
    value = getattr(eni.attachment, name)
    text = _word(value) if isinstance(value, bool) else str(value)
    return (text,) if text else ()


def _word(value: bool) -> str:
    return "true" if value else "false"
