"""How a subnet, an ENI, a reservation, a VPC and an instance type look in EC2's answers."""

from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address

from exporter.sim.ec2_types import InstanceType
from exporter.sim.ec2_xml import Value
from exporter.sim.vpc import Attachment, Eni, Reservation, Subnet, Vpc

_GROUP: Value = [{"groupId": "sg-0a1b2c3d4e5f60718", "groupName": "sim-node"}]
Shape = Mapping[str, Value]


def subnet(found: Subnet, vpc: Vpc, *, available: int) -> Shape:
    """Show a subnet; how its reserved addresses are counted is the caller's choice."""
    return {
        "subnetId": found.id,
        "subnetArn": f"arn:aws:ec2:{found.zone[:-1]}:{found.owner}:subnet/{found.id}",
        "state": "available",
        "ownerId": found.owner,
        "vpcId": vpc.id,
        "cidrBlock": str(found.cidr),
        "ipv6CidrBlockAssociationSet": (),
        "assignIpv6AddressOnCreation": False,
        "availableIpAddressCount": available,
        "availabilityZone": found.zone,
        "availabilityZoneId": found.zone_id,
        "defaultForAz": False,
        "mapPublicIpOnLaunch": False,
        "tagSet": _tags(subnet_tags(found)) or None,
    }


def subnet_tags(found: Subnet) -> Mapping[str, str]:
    """Return a subnet's tags with its name among them."""
    return {"Name": found.name, **found.tags} if found.name else found.tags


def reservation(found: Reservation, holder: Subnet) -> Shape:
    """Show a CIDR reservation."""
    return {
        "subnetCidrReservationId": found.id,
        "subnetId": holder.id,
        "cidr": str(found.cidr),
        "reservationType": str(found.kind),
        "ownerId": holder.owner,
        "description": found.description,
    }


def eni(found: Eni, holder: Subnet, vpc: Vpc) -> Shape:
    """Show a network interface; addresses of its prefixes are not told one by one."""
    domain = f".{holder.zone[:-1]}.compute.internal"
    addresses = [_private(found.primary, domain, primary=True)]
    addresses += [_private(address, domain, primary=False) for address in found.secondary]
    return {
        "networkInterfaceId": found.id,
        "subnetId": found.subnet,
        "vpcId": vpc.id,
        "availabilityZone": holder.zone,
        "description": found.description,
        "ownerId": found.owner,
        "requesterId": found.requester or None,
        "requesterManaged": found.requester_managed,
        "status": found.status,
        "macAddress": mac(found),
        "privateIpAddress": str(IPv4Address(found.primary)),
        "privateDnsName": _dns(found.primary, domain),
        "sourceDestCheck": True,
        "groupSet": _GROUP,
        "attachment": _attachment(found.attachment) if found.attachment is not None else None,
        "tagSet": _tags(found.tags),
        "privateIpAddressesSet": addresses,
        "ipv4PrefixSet": [{"ipv4Prefix": prefix(first)} for first in found.prefixes] or None,
        "ipv6AddressesSet": (),
        "ipv6PrefixSet": [{"ipv6Prefix": f"{IPv6Address(first)}/80"} for first in found.ipv6]
        or None,
        "interfaceType": found.interface_type,
        "availabilityZoneId": holder.zone_id,
    }


def fingerprint(found: Eni) -> object:
    """Return what decides how an ENI looks: as long as it is equal, so is the shape."""
    attached = found.attachment
    return (
        found.primary,
        tuple(found.secondary),
        tuple(found.prefixes),
        tuple(found.ipv6),
        tuple(found.tags.items()),
        found.description,
        found.status,
        attached and (attached.id, attached.instance, attached.delete_on_termination),
    )


def vpc(found: Vpc) -> Shape:
    """Show a VPC, with every /16 that its subnets lie in as a CIDR of its own."""
    blocks = vpc_blocks(found)
    return {
        "vpcId": found.id,
        "ownerId": found.account,
        "state": "available",
        "cidrBlock": blocks[0] if blocks else None,
        "cidrBlockAssociationSet": [
            {"cidrBlock": block, "cidrBlockState": {"state": "associated"}} for block in blocks
        ],
        "dhcpOptionsId": "dopt-0a1b2c3d4e5f60718",
        "instanceTenancy": "default",
        "isDefault": False,
    }


def vpc_blocks(found: Vpc) -> tuple[str, ...]:
    """Return the /16 that the subnets lie in, in the order of the subnets."""
    wide = (part.cidr for part in found.subnets.values())
    return tuple(dict.fromkeys(str(cidr.supernet(new_prefix=16)) for cidr in wide))


def instance_type(found: InstanceType) -> Shape:
    """Show an instance type: what of it bears on addresses, and a little more."""
    return {
        "instanceType": found.name,
        "currentGeneration": found.hypervisor != "xen",
        "supportedUsageClasses": ("on-demand", "spot"),
        "bareMetal": found.bare_metal,
        "hypervisor": found.hypervisor or None,
        "processorInfo": {"supportedArchitectures": (found.architecture,)},
        "vCpuInfo": {"defaultVCpus": found.vcpus},
        "ebsInfo": _ebs(found),
        "networkInfo": {
            "maximumNetworkInterfaces": found.interfaces,
            "maximumNetworkCards": len(found.cards),
            "defaultNetworkCardIndex": 0,
            "networkCards": [
                {"networkCardIndex": number, "maximumNetworkInterfaces": enis}
                for number, enis in enumerate(found.cards)
            ],
            "ipv4AddressesPerInterface": found.ipv4,
            "ipv6AddressesPerInterface": found.ipv4,
            "ipv6Supported": True,
            "enaSupport": "supported" if found.hypervisor == "xen" else "required",
        },
    }


def prefix(first: int) -> str:
    """Write the /28 that begins at an address."""
    return f"{IPv4Address(first)}/28"


def mac(found: Eni) -> str:
    """Return a MAC address that follows from the ENI's id."""
    digits = found.id[-10:].rjust(10, "0")
    return ":".join(["02", *(digits[at : at + 2] for at in range(0, 10, 2))])


def _private(address: int, domain: str, *, primary: bool) -> Shape:
    return {
        "privateIpAddress": str(IPv4Address(address)),
        "privateDnsName": _dns(address, domain),
        "primary": primary,
    }


def _dns(address: int, domain: str) -> str:
    return f"ip-{IPv4Address(address)}".replace(".", "-") + domain


def _attachment(found: Attachment) -> Shape:
    return {
        "attachmentId": found.id,
        "instanceId": found.instance or None,
        "instanceOwnerId": found.instance_owner,
        "deviceIndex": found.device,
        "networkCardIndex": found.card,
        "status": "attached",
        "attachTime": f"{datetime.fromtimestamp(found.attached_at, UTC):%Y-%m-%dT%H:%M:%S.000Z}",
        "deleteOnTermination": found.delete_on_termination,
    }


def _tags(tags: Mapping[str, str]) -> list[Shape]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _ebs(found: InstanceType) -> Shape | None:
    if not found.attachments:
        return None
    kind = "shared" if found.shared else "dedicated"
    return {"maximumEbsAttachments": found.attachments, "attachmentLimitType": kind}
