"""Why a node cannot give one more pod an address: by its errors, EC2's facts, and its limits.

Which errors are of late is the ledger's to say: those of 120 s, which is how long ipamd keeps away
from EC2 after some of them (reference 3.2).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from exporter.sim.ec2_told import Ec2Told, Room
from exporter.sim.flags import is_on
from exporter.sim.ipamd import Release
from exporter.sim.node_figures import CUSTOM_NETWORKING, PREFIX_DELEGATION, Figures

_FULL = frozenset({"InsufficientFreeAddressesInSubnet", "InsufficientCidrBlocks"})
_REASONS = {
    "InsufficientFreeAddressesInSubnet": "subnet_exhausted",
    "InsufficientCidrBlocks": "no_free_prefix",
    "PrivateIpAddressLimitExceeded": "ip_limit",
    "AttachmentLimitExceeded": "attachment_limit",
    "NetworkInterfaceLimitExceeded": "eni_limit",
    "RequestLimitExceeded": "throttled",
}
_ROLE = "kubernetes.io/role/cni"
_BACK_OFF_SINCE, _DISCOVERY_SINCE, _EXCLUDED_SINCE = (1, 9, 1), (1, 18), (1, 22)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """A node that was read, as far as it bears on what it can give.

    `home` is the subnet of its primary ENI, `pods_in` the one that custom networking names for
    certain. `pods` are those of the host's network and those with ENIs of their own.
    """

    figures: Figures
    release: Release
    env: Mapping[str, str]
    nitro: bool = True
    max_pods: int = 0
    pods: int = 0
    home: str = ""
    pods_in: str = ""
    zone: str = ""

    @property
    def discovers(self) -> bool:
        """Whether its ENIs may be in other subnets than its own."""
        custom = is_on(self.env, CUSTOM_NETWORKING)
        wanted = is_on(self.env, "ENABLE_SUBNET_DISCOVERY", default=True)
        return wanted and not custom and self.release >= _DISCOVERY_SINCE


def reasons(node: Stuck, errors: Collection[tuple[str, str]], told: Ec2Told) -> set[str]:
    """Return what keeps a node from giving more; `errors` are calls and codes of late."""
    figures = node.figures
    if figures.mode == "ipv6":
        return set()
    found = {_REASONS[code] for _, code in errors if code in _REASONS}
    if any(_starts_back_off(node, api, code) for api, code in errors):
        found.add("back_off")
    if figures.assigned + node.pods >= node.max_pods:
        found.add("max_pods")
    return found | set(_exhausted(node, told)) if figures.warm == 0 else found


def _starts_back_off(node: Stuck, api: str, code: str) -> bool:
    """Whether ipamd then leaves EC2 alone; with subnet discovery only a failed creation counts."""
    if code not in _FULL or node.release < _BACK_OFF_SINCE:
        return False
    if api == "CreateNetworkInterface":
        return True
    return api == "AssignPrivateIpAddresses" and not node.discovers


def _exhausted(node: Stuck, told: Ec2Told) -> Iterator[str]:
    """Tell why a node without a warm address gets no more."""
    figures = node.figures
    if figures.cooldown:
        yield "cooldown"
    if figures.capacity and (figures.attached or 0) >= figures.capacity:
        yield "eni_limit"
    if (rooms := _rooms(node, told)) is None:
        return
    prefixes = node.nitro and is_on(node.env, PREFIX_DELEGATION)
    if not any(room.free + prefixes * room.for_prefixes for room in rooms):
        yield "subnet_exhausted"
    elif prefixes and not any(room.blocks for room in rooms):
        yield "no_free_prefix"


def _rooms(node: Stuck, told: Ec2Told) -> list[Room] | None:
    """Return what is left where the node's pods get addresses; None where nobody told."""
    if not told.rooms or not node.home:
        return None
    if node.pods_in:
        return [told.rooms[node.pods_in]]
    if not node.discovers:
        return [told.rooms[node.home]]
    return [room for id, room in told.rooms.items() if _usable(node, id, room)]


def _usable(node: Stuck, id: str, room: Room) -> bool:
    """Whether ipamd may create an ENI in a subnet (reference 5.3)."""
    tag = room.tags.get(_ROLE)
    minds = node.release >= _EXCLUDED_SINCE
    if id == node.home:
        return not (minds and tag == "0")
    return room.zone == node.zone and tag is not None and not (minds and tag in {"", "0"})
