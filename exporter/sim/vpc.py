"""The VPC's truth: subnets, ENIs and instances, and who holds which address, asked in EC2's words.

Operations are those of EC2 and are refused with its error codes. Addresses are integers, times are
the clock's that is handed in. Who asks, and how an answer looks on the wire, is elsewhere.

To read it: `vpc.subnets` and `vpc.enis` by id, `vpc.visible_enis()` as our account sees them.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from exporter.sim.living.addresses import PREFIX
from exporter.sim.vpc_subnets import Refusal, Reservation, ReservationKind, Subnet

__all__ = [
    "Attachment",
    "Eni",
    "Instance",
    "NewEni",
    "Refusal",
    "Reservation",
    "ReservationKind",
    "Subnet",
    "Vpc",
]

T = TypeVar("T")


@dataclass(slots=True)
class Attachment:
    """How an ENI is attached; `instance` is empty where AWS attached it to something of its own."""

    id: str
    instance: str
    device: int
    instance_owner: str
    attached_at: float
    card: int = 0
    delete_on_termination: bool = False


@dataclass(slots=True, eq=False)
class Eni:
    """A network interface; `prefixes` are the first addresses of its /28, `ipv6` those of its /80.

    `use` is what the truth calls it (`load_balancer`, `leaked`, ...), which no API tells.
    """

    id: str
    subnet: str
    primary: int
    owner: str
    created_at: float
    interface_type: str = "interface"
    description: str = ""
    requester: str = ""
    use: str = ""
    secondary: list[int] = field(default_factory=list)
    prefixes: list[int] = field(default_factory=list)
    ipv6: list[int] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    attachment: Attachment | None = None

    @property
    def status(self) -> str:
        return "available" if self.attachment is None else "in-use"

    @property
    def requester_managed(self) -> bool:
        """Whether another AWS service made it on our behalf."""
        return bool(self.requester)

    @property
    def subnet_addresses(self) -> int:
        """Addresses that it takes from its subnet."""
        return 1 + len(self.secondary) + PREFIX * len(self.prefixes)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEni:
    """What an ENI shall be; no owner means our account, no `primary` any address."""

    subnet: str
    secondary: int = 0
    prefixes: int = 0
    primary: int | None = None
    owner: str = ""
    interface_type: str = "interface"
    description: str = ""
    requester: str = ""
    use: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Instance:
    """An EC2 instance with its type's limits (per ENI, its own address counts) and its ENIs.

    Limits are those of each network card; `others` are the ENIs of all but the first.
    """

    id: str
    type: str
    max_enis: int
    ipv4_per_eni: int
    owner: str = ""
    attached: dict[int, str] = field(default_factory=dict)
    others: dict[int, dict[int, str]] = field(default_factory=dict)

    def on(self, card: int) -> dict[int, str]:
        """The ENIs of a network card by device number."""
        return self.others.setdefault(card, {}) if card else self.attached

    @property
    def enis(self) -> list[str]:
        """The ENIs of all cards."""
        return [eni for card in (self.attached, *self.others.values()) for eni in card.values()]


class Vpc:
    """One VPC of one account, as EC2 knows it."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        seed: int | str = 1,
        id: str = "vpc-0a1b2c3d4e5f60718",
        account: str = "111122223333",
    ) -> None:
        self.clock = clock
        self.id = id
        self.account = account
        self.subnets: dict[str, Subnet] = {}
        self.enis: dict[str, Eni] = {}
        self.instances: dict[str, Instance] = {}
        self._rng = random.Random(f"{seed}/vpc")

    def add_subnet(self, subnet: Subnet) -> Subnet:
        """Put a subnet in; without an owner it is ours."""
        subnet.owner = subnet.owner or self.account
        self.subnets[subnet.id] = subnet
        return subnet

    def new_id(self, kind: str) -> str:
        """Make an id such as `eni-0123456789abcdef0`."""
        return f"{kind}-{self._rng.getrandbits(68):017x}"

    def visible_enis(self) -> Iterator[Eni]:
        """The ENIs that our account may see: in a shared subnet those of others are not shown."""
        return (eni for eni in self.enis.values() if eni.owner == self.account)

    def create(self, new: NewEni) -> Eni:
        """CreateNetworkInterface: with all the addresses asked for, or not at all."""
        subnet = _found(self.subnets, new.subnet, "InvalidSubnetID.NotFound")
        owner, created = new.owner or self.account, self.clock()
        eni = Eni(self.new_id("eni"), subnet.id, self._primary(new, subnet), owner, created)
        eni.interface_type, eni.requester = new.interface_type, new.requester
        eni.description, eni.tags, eni.use = new.description, dict(new.tags), new.use
        try:
            eni.prefixes = subnet.take_prefixes(new.prefixes, self._rng)
            eni.secondary = subnet.take_singles(new.secondary, self._rng)
        except Refusal:
            self._release(eni)
            raise
        self.enis[eni.id] = eni
        return eni

    def launch(self, instance: Instance, new: NewEni) -> Eni:
        """RunInstances: the instance with its primary ENI, which goes when the instance goes."""
        instance.owner = instance.owner or new.owner or self.account
        self.instances[instance.id] = instance
        try:
            eni = self.create(new)
        except Refusal:
            del self.instances[instance.id]
            raise
        self.attach(eni.id, instance.id).delete_on_termination = True
        return eni

    def terminate(self, instance_id: str) -> None:
        """TerminateInstances: ENIs that are not to be deleted with it stay behind, available."""
        instance = _found(self.instances, instance_id, "InvalidInstanceID.NotFound")
        for eni in [self.enis[eni_id] for eni_id in instance.enis]:
            attachment, eni.attachment = eni.attachment, None
            if attachment is not None and attachment.delete_on_termination:
                self.delete(eni.id)
        del self.instances[instance_id]

    def attach(self, eni_id: str, instance_id: str, *, card: int = 0) -> Attachment:
        """AttachNetworkInterface: at the first free device number of the card."""
        eni = self.eni(eni_id)
        instance = _found(self.instances, instance_id, "InvalidInstanceID.NotFound")
        if eni.attachment is not None:
            raise Refusal("InvalidNetworkInterface.InUse")
        devices = instance.on(card)
        if len(devices) >= instance.max_enis:
            raise Refusal("AttachmentLimitExceeded")
        _within(instance, eni, more=0)
        # On the cards beside the first, ipamd counts from 1.
        device = next(n for n in itertools.count(min(card, 1)) if n not in devices)
        devices[device] = eni.id
        eni.attachment = Attachment(
            self.new_id("eni-attach"), instance.id, device, instance.owner, self.clock(), card
        )
        return eni.attachment

    def hand_over(self, eni_id: str, instance_owner: str, *, device: int = 1) -> None:
        """Attach an ENI to something of AWS's own, which is no instance that we know."""
        at = self.clock()
        attachment = Attachment(self.new_id("eni-attach"), "", device, instance_owner, at)
        self.eni(eni_id).attachment = attachment

    def detach(self, eni_id: str) -> None:
        """DetachNetworkInterface: never the primary one."""
        eni = self.eni(eni_id)
        if eni.attachment is None:
            raise Refusal("InvalidAttachmentID.NotFound")
        if eni.attachment.instance and eni.attachment.device == 0:
            raise Refusal("OperationNotPermitted")
        if (instance := self.instances.get(eni.attachment.instance)) is not None:
            del instance.on(eni.attachment.card)[eni.attachment.device]
        eni.attachment = None

    def delete(self, eni_id: str) -> None:
        """DeleteNetworkInterface: only a detached one."""
        eni = self.eni(eni_id)
        if eni.attachment is not None:
            raise Refusal("InvalidNetworkInterface.InUse")
        self._release(self.enis.pop(eni_id))

    def assign(self, eni_id: str, count: int, *, size: int = 1) -> list[int]:
        """AssignPrivateIpAddresses: so many addresses, or /28 where `size` is 16, or none."""
        eni = self.eni(eni_id)
        if eni.attachment is not None and eni.attachment.instance:
            _within(self.instances[eni.attachment.instance], eni, more=count)
        subnet = self.subnets[eni.subnet]
        if size == PREFIX:
            new = subnet.take_prefixes(count, self._rng)
            eni.prefixes += new
        else:
            new = subnet.take_singles(count, self._rng)
            eni.secondary += new
        return new

    def unassign(self, eni_id: str, addresses: Sequence[int], *, size: int = 1) -> None:
        """UnassignPrivateIpAddresses: all of these, or none."""
        eni = self.eni(eni_id)
        held = eni.prefixes if size == PREFIX else eni.secondary
        if not set(addresses) <= set(held):
            raise Refusal("InvalidParameterValue", "some addresses are not assigned to the ENI")
        for address in addresses:
            held.remove(address)
            self.subnets[eni.subnet].held.release(address, size)

    def eni(self, eni_id: str) -> Eni:
        """Return the ENI of this id."""
        return _found(self.enis, eni_id, "InvalidNetworkInterfaceID.NotFound")

    def _primary(self, new: NewEni, subnet: Subnet) -> int:
        if new.primary is not None:
            return subnet.take(new.primary)
        return subnet.take_singles(1, self._rng)[0]

    def _release(self, eni: Eni) -> None:
        held = self.subnets[eni.subnet].held
        for address in (eni.primary, *eni.secondary):
            held.release(address)
        for prefix in eni.prefixes:
            held.release(prefix, PREFIX)


def _found(known: Mapping[str, T], id: str, code: str) -> T:
    if id not in known:
        raise Refusal(code, f"{id} does not exist")
    return known[id]


def _within(instance: Instance, eni: Eni, *, more: int) -> None:
    """Refuse more than the instance's type allows on one ENI; a /28 takes one place."""
    if 1 + len(eni.secondary) + len(eni.prefixes) + more > instance.ipv4_per_eni:
        raise Refusal("PrivateIpAddressLimitExceeded")
