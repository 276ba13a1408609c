"""Reserved addresses, EC2's count of free ones, and what utilization makes of both."""

from __future__ import annotations

import pytest

from exporter.core.model import Reservation
from exporter.core.owners import Use
from exporter.core.subnets import Memory, Reserved, accounts
from tests.builders import NOW
from tests.core.subnet_worlds import (
    NOTHING,
    account,
    address,
    eni,
    run_of,
    subnet,
    survey,
    used,
)

RESERVATIONS = (
    Reservation("10.0.0.64/26", "prefix"),
    Reservation("10.0.0.16/28", "explicit"),
    Reservation("2600:1f::/80", "prefix"),
)
# Ten of the addresses that are reserved for prefixes, and one of the others.
USERS = (
    eni("eni-1", interface_type="lambda", addresses=run_of("10.0.0.70", 10)),
    eni("eni-2", interface_type="lambda", addresses=(address("10.0.0.20"),)),
)


@pytest.mark.parametrize(
    ("available", "expected", "utilization"),
    [
        pytest.param(171, {Use.FREE: 171}, 1 - 225 / 251, id="counted-apart"),
        pytest.param(
            151, {Use.FREE: 151, Use.UNATTRIBUTED: 20}, 1 - 205 / 251, id="apart-and-not-visible"
        ),
        pytest.param(240, {Use.FREE: 171}, 1 - 225 / 251, id="counted-as-free"),
        pytest.param(
            220,
            {Use.FREE: 151, Use.UNATTRIBUTED: 20},
            1 - 205 / 251,
            id="as-free-and-not-visible",
        ),
        pytest.param(243, {Use.FREE: 171}, 1 - 228 / 251, id="as-free-and-freed-since"),
    ],
)
def test_reserved_addresses_are_not_free_whether_or_not_ec2_counts_them(
    available: int, expected: dict[Use, int], utilization: float
) -> None:
    usage = account(subnet(available=available, reservations=RESERVATIONS), USERS)
    assert used(usage) == {
        Use.AWS_RESERVED: 5,
        Use.LAMBDA: 11,
        Use.PREFIX_RESERVED_FREE: 54,
        Use.EXPLICIT_RESERVED: 15,
        **expected,
    }
    assert usage.utilization == utilization


def test_reservations_that_ec2s_count_could_not_hold_are_not_in_it() -> None:
    reservations = (Reservation("10.0.0.128/25", "prefix"),)
    full = eni(interface_type="lambda", addresses=run_of("10.0.0.4", 100))
    usage = account(subnet(available=30, reservations=reservations), (full,))
    assert used(usage)[Use.FREE] == 24
    assert usage.residue == -6


def test_a_reservation_found_to_be_counted_apart_stays_so_for_a_few_addresses() -> None:
    reservations = (Reservation("10.0.0.64/26", "prefix"),)
    memory, _ = accounts(NOTHING, survey(subnet(available=187, reservations=reservations)), NOW)
    assert memory.reserved == {"subnet-a": Reserved(credit=64, apart=True)}
    few = account(subnet(available=190, reservations=reservations), memory=memory)
    many = account(subnet(available=230, reservations=reservations), memory=memory)
    assert (few.residue, used(few)[Use.FREE]) == (-3, 187)
    assert (many.residue, used(many)[Use.FREE]) == (21, 166)


def test_where_nothing_reserved_is_unused_nothing_is_learnt_of_the_count() -> None:
    reservations = (Reservation("10.0.0.64/28", "prefix"),)
    before = Memory(reserved={"subnet-a": Reserved(credit=16, apart=True)})
    all_of_it = eni(interface_type="lambda", addresses=run_of("10.0.0.64", 16))
    where = subnet(available=235, reservations=reservations)
    memory, _ = accounts(before, survey(where, (all_of_it,)), NOW)
    assert memory.reserved == {"subnet-a": Reserved(credit=0, apart=True)}


def test_where_reservations_overlap_an_address_is_explicit() -> None:
    reservations = (Reservation("10.0.0.64/27", "prefix"), Reservation("10.0.0.64/28", "explicit"))
    usage = account(subnet(available=219, reservations=reservations))
    assert used(usage) == {
        Use.FREE: 219,
        Use.AWS_RESERVED: 5,
        Use.PREFIX_RESERVED_FREE: 16,
        Use.EXPLICIT_RESERVED: 16,
    }


def test_reservations_that_may_not_be_read_are_unattributed() -> None:
    usage = account(subnet(available=187, reservations=None))
    assert used(usage) == {Use.FREE: 187, Use.AWS_RESERVED: 5, Use.UNATTRIBUTED: 64}


def test_utilization_keeps_what_prefixes_could_have_when_the_enis_are_missing() -> None:
    where = subnet(available=171, reservations=RESERVATIONS)
    memory, (before,) = accounts(NOTHING, survey(where, USERS), NOW)
    assert account(where, None, memory=memory).utilization == before.utilization


def test_utilization_counts_no_reserved_address_as_free_before_the_enis_were_read() -> None:
    where = subnet(available=171, reservations=RESERVATIONS)
    assert account(where, None).utilization == 1 - 171 / 251


def test_utilization_forgets_reservations_that_are_gone() -> None:
    memory = Memory(reserved={"subnet-a": Reserved(credit=54, apart=True)})
    assert account(subnet(available=171), None, memory=memory).utilization == 1 - 171 / 251


def test_utilization_stays_between_nothing_and_all() -> None:
    assert account(subnet(available=300)).utilization == 0.0
    memory = Memory(reserved={"subnet-a": Reserved(credit=-90)})
    where = subnet(available=10, reservations=RESERVATIONS)
    assert account(where, None, memory=memory).utilization == 1.0
