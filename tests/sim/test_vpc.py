"""The VPC: who holds which address, EC2's refusals, and that nothing is ever held twice."""

import random
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exporter.sim.vpc import (
    Eni,
    Instance,
    NewEni,
    Refusal,
    Reservation,
    ReservationKind,
    Subnet,
    Vpc,
)

PREFIX = 16


def vpc(seed: int = 1) -> Vpc:
    return Vpc(lambda: 1000.0, seed=seed)


def subnet(found: Vpc, cidr: str = "10.0.0.0/24") -> Subnet:
    made = Subnet("subnet-1", IPv4Network(cidr), "eu-central-1a", "euc1-az2", name="nodes-a")
    return found.add_subnet(made)


def small(cidr: str = "10.0.0.0/24") -> tuple[Vpc, Subnet]:
    found = vpc()
    return found, subnet(found, cidr)


def reserve(held: Subnet, cidr: str, kind: str) -> None:
    held.reserve(Reservation("scr-1", IPv4Network(cidr), ReservationKind(kind)))


def machine(found: Vpc, enis: int = 3, ipv4: int = 10) -> Eni:
    return found.launch(Instance("i-1", "m5.large", enis, ipv4), NewEni(subnet="subnet-1"))


def addresses(eni: Eni) -> set[int]:
    prefixes = (range(base, base + PREFIX) for base in eni.prefixes)
    return {eni.primary, *eni.secondary}.union(*prefixes)


def code(act: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as refused:
        act()
    return refused.value.code


def test_five_addresses_of_a_subnet_are_never_given_out() -> None:
    found, held = small("10.0.0.0/28")
    given = {found.create(NewEni(subnet="subnet-1")).primary for _ in range(11)}
    free = set(range(int(held.cidr[4]), int(held.cidr[15])))
    assert (given, held.available) == (free, 0)
    assert code(lambda: found.create(NewEni(subnet="subnet-1"))) == (
        "InsufficientFreeAddressesInSubnet"
    )


def test_an_eni_is_made_with_all_its_addresses_or_not_at_all() -> None:
    found, held = small("10.0.0.0/27")
    eni = found.create(NewEni(subnet="subnet-1", secondary=9))
    assert (len(addresses(eni)), held.available) == (10, 17)
    refused = code(lambda: found.create(NewEni(subnet="subnet-1", secondary=17)))
    assert refused == "InsufficientFreeAddressesInSubnet"
    assert (held.available, list(found.enis)) == (17, [eni.id])


def test_prefixes_are_whole_free_blocks() -> None:
    found, held = small()
    eni = found.create(NewEni(subnet="subnet-1", prefixes=3))
    assert all(base % PREFIX == 0 for base in eni.prefixes)
    assert eni.subnet_addresses == 49 == held.size - 5 - held.available


def test_scattered_addresses_leave_no_whole_block() -> None:
    found, held = small()
    for block in range(1, 15):
        found.create(NewEni(subnet="subnet-1", primary=int(held.cidr[16 * block + 7])))
    eni = found.create(NewEni(subnet="subnet-1"))
    assert held.available > 200
    assert code(lambda: found.assign(eni.id, 1, size=PREFIX)) == "InsufficientCidrBlocks"
    found.assign(eni.id, held.available - 3)
    assert code(lambda: found.assign(eni.id, 1, size=PREFIX)) == "InsufficientFreeAddressesInSubnet"


def test_single_addresses_scatter() -> None:
    found, held = small("10.0.0.0/22")
    eni = found.create(NewEni(subnet="subnet-1", secondary=40))
    assert len({address // PREFIX for address in eni.secondary}) > 20
    assert held.held.free_blocks < 62


def test_prefixes_come_from_their_reservation_first_and_single_addresses_never() -> None:
    found, held = small()
    reserve(held, "10.0.0.128/26", "prefix")
    eni = found.create(NewEni(subnet="subnet-1", prefixes=4))
    reserved = set(range(int(held.cidr[128]), int(held.cidr[192])))
    assert addresses(eni) - {eni.primary} == reserved
    assert held.held.free_reserved_blocks == 0
    found.assign(eni.id, held.available)
    assert not set(eni.secondary) & reserved
    found.unassign(eni.id, eni.prefixes[:1], size=PREFIX)
    assert (held.available, held.held.free_reserved_blocks) == (0, 1)


def test_an_explicit_reservation_gives_only_by_name() -> None:
    found, held = small("10.0.0.0/27")
    reserve(held, "10.0.0.16/28", "explicit")
    assert held.available == 12
    named = int(IPv4Address("10.0.0.20"))
    eni = found.create(NewEni(subnet="subnet-1", primary=named))
    assert (eni.primary, held.available) == (named, 12)
    assert code(lambda: found.create(NewEni(subnet="subnet-1", primary=named))) == (
        "InvalidIPAddress.InUse"
    )
    assert code(lambda: found.assign(eni.id, 1, size=PREFIX)) == "InsufficientFreeAddressesInSubnet"


def test_reservations_do_not_overlap() -> None:
    _, held = small()
    reserve(held, "10.0.0.0/25", "prefix")
    assert code(lambda: reserve(held, "10.0.0.64/28", "explicit")) == "InvalidParameterValue"
    assert len(held.reservations) == 1


def test_an_address_taken_before_its_reservation_stays_taken() -> None:
    found, held = small()
    eni = found.create(NewEni(subnet="subnet-1", primary=int(held.cidr[130])))
    reserve(held, "10.0.0.128/27", "prefix")
    assert held.held.free_reserved_blocks == 1
    found.delete(eni.id)
    assert (held.held.free_reserved_blocks, held.available) == (2, 256 - 5 - 32)


def test_an_instance_has_its_types_limits() -> None:
    found, _ = small()
    primary = machine(found, enis=2, ipv4=3)
    others = [found.create(NewEni(subnet="subnet-1")) for _ in range(2)]
    assert found.attach(others[0].id, "i-1").device == 1
    assert code(lambda: found.attach(others[1].id, "i-1")) == "AttachmentLimitExceeded"
    found.assign(primary.id, 2)
    assert code(lambda: found.assign(primary.id, 1)) == "PrivateIpAddressLimitExceeded"
    assert found.assign(others[0].id, 1, size=PREFIX)
    assert others[0].status == "in-use"


def test_a_device_number_is_free_again_after_a_detach() -> None:
    found, _ = small()
    machine(found)
    first, second, third = (found.create(NewEni(subnet="subnet-1")) for _ in range(3))
    found.attach(first.id, "i-1")
    found.attach(second.id, "i-1")
    found.detach(first.id)
    assert found.attach(third.id, "i-1").device == 1
    assert code(lambda: found.attach(third.id, "i-1")) == "InvalidNetworkInterface.InUse"


def test_what_ec2_does_not_do() -> None:
    found, _ = small()
    primary = machine(found)
    loose = found.create(NewEni(subnet="subnet-1", secondary=1))
    refused = {
        "OperationNotPermitted": lambda: found.detach(primary.id),
        "InvalidAttachmentID.NotFound": lambda: found.detach(loose.id),
        "InvalidNetworkInterface.InUse": lambda: found.delete(primary.id),
        "InvalidNetworkInterfaceID.NotFound": lambda: found.delete("eni-0"),
        "InvalidInstanceID.NotFound": lambda: found.attach(loose.id, "i-0"),
        "InvalidSubnetID.NotFound": lambda: found.create(NewEni(subnet="subnet-0")),
        "InvalidParameterValue": lambda: found.unassign(loose.id, [*loose.secondary, 1]),
    }
    assert {name: code(act) for name, act in refused.items()} == {name: name for name in refused}
    assert len(loose.secondary) == 1


def test_a_terminated_instance_leaves_what_is_not_deleted_with_it() -> None:
    found, held = small()
    machine(found)
    kept, gone = (found.create(NewEni(subnet="subnet-1", secondary=2)) for _ in range(2))
    found.attach(kept.id, "i-1")
    found.attach(gone.id, "i-1").delete_on_termination = True
    found.terminate("i-1")
    assert (list(found.enis), kept.status) == ([kept.id], "available")
    assert held.available == 256 - 5 - 3
    assert found.instances == {}


def test_an_instance_that_gets_no_address_is_not_launched() -> None:
    found, held = small("10.0.0.0/28")
    found.create(NewEni(subnet="subnet-1", secondary=10))
    assert code(lambda: machine(found)) == "InsufficientFreeAddressesInSubnet"
    assert (found.instances, held.available) == ({}, 0)


def test_enis_of_other_accounts_take_addresses_and_are_not_seen() -> None:
    found, held = small()
    ours = found.create(NewEni(subnet="subnet-1"))
    theirs = found.create(NewEni(subnet="subnet-1", owner="444455556666"))
    found.hand_over(theirs.id, "444455556666")
    assert list(found.visible_enis()) == [ours]
    assert (held.available, theirs.status) == (256 - 5 - 2, "in-use")


def test_a_seed_decides_every_id_and_address() -> None:
    def made(seed: int) -> list[tuple[str, int, list[int]]]:
        found = vpc(seed)
        subnet(found)
        enis = [found.create(NewEni(subnet="subnet-1", secondary=3)) for _ in range(5)]
        return [(eni.id, eni.primary, eni.secondary) for eni in enis]

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_a_large_subnet_serves_twenty_thousand_enis() -> None:
    found, held = small("10.0.0.0/14")
    for _ in range(20_000):
        found.create(NewEni(subnet="subnet-1", secondary=12))
    assert held.available == held.size - 5 - 20_000 * 13
    assert held.held.count() == 20_000 * 13


class Ec2(RuleBasedStateMachine):
    """Any operations in any order, held against a set of addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.vpc, self.subnet = small("10.0.0.0/25")
        reserve(self.subnet, "10.0.0.64/27", "prefix")
        machine(self.vpc, enis=4, ipv4=6)
        self.random = random.Random(1)

    def some(self) -> Eni:
        return self.random.choice(list(self.vpc.enis.values()))

    def tried(self, act: Callable[[], object]) -> None:
        """Do what is allowed; a refusal changes nothing, as the invariants see."""
        before = {eni.id: addresses(eni) for eni in self.vpc.enis.values()}
        try:
            act()
        except Refusal:
            assert before == {eni.id: addresses(eni) for eni in self.vpc.enis.values()}

    @rule(secondary=st.integers(0, 9), prefixes=st.integers(0, 3))
    def create(self, secondary: int, prefixes: int) -> None:
        new = NewEni(subnet="subnet-1", secondary=secondary, prefixes=prefixes)
        self.tried(lambda: self.vpc.create(new))

    @rule()
    def attach(self) -> None:
        self.tried(lambda: self.vpc.attach(self.some().id, "i-1"))

    @rule()
    def detach(self) -> None:
        self.tried(lambda: self.vpc.detach(self.some().id))

    @rule()
    def delete(self) -> None:
        self.tried(lambda: self.vpc.delete(self.some().id))

    @rule(count=st.integers(1, 8), size=st.sampled_from((1, PREFIX)))
    def assign(self, count: int, size: int) -> None:
        self.tried(lambda: self.vpc.assign(self.some().id, count, size=size))

    @rule(size=st.sampled_from((1, PREFIX)))
    @precondition(lambda self: self.vpc.enis)
    def unassign(self, size: int) -> None:
        eni = self.some()
        held = eni.prefixes if size == PREFIX else eni.secondary
        self.tried(lambda: self.vpc.unassign(eni.id, held[::2], size=size))

    @invariant()
    def no_address_is_held_twice_and_the_subnet_knows_each(self) -> None:
        held = Counter(a for eni in self.vpc.enis.values() for a in addresses(eni))
        assert set(held.values()) <= {1}
        everything = range(int(self.subnet.cidr[0]), int(self.subnet.cidr[-1]) + 1)
        assert {address for address in everything if address in self.subnet.held} == set(held)

    @invariant()
    def what_is_available_and_what_is_whole_follows_from_that(self) -> None:
        first = int(self.subnet.cidr[0])
        reserved = set(range(first + 64, first + 96))
        aws = {first, first + 1, first + 2, first + 3, first + 127}
        held = {a for eni in self.vpc.enis.values() for a in addresses(eni)}
        free = set(range(first, first + 128)) - held - aws
        assert self.subnet.available == len(free - reserved)
        blocks = [set(range(base, base + PREFIX)) for base in range(first, first + 128, PREFIX)]
        whole = [block for block in blocks if block <= free]
        assert self.subnet.held.free_reserved_blocks == sum(b <= reserved for b in whole)
        assert self.subnet.held.free_blocks == sum(not b & reserved for b in whole)

    @invariant()
    def limits_hold(self) -> None:
        instance = self.vpc.instances["i-1"]
        assert len(instance.attached) <= 4
        for device, eni_id in instance.attached.items():
            eni = self.vpc.eni(eni_id)
            assert eni.attachment is not None
            assert eni.attachment.device == device
            assert 1 + len(eni.secondary) + len(eni.prefixes) <= 6


Ec2.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
test_any_operations_keep_the_books_of_a_subnet_straight = Ec2.TestCase
