"""How pods take addresses and leave them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

import pytest

from exporter.core.pool import (
    IPV6_PREFIX,
    Address,
    Addresses,
    Assigned,
    Cidr,
    Eni,
    Limits,
    Pool,
    Rules,
    Settings,
    assign,
    first,
    unassign,
)

T = TypeVar("T")

LIMITS = Limits(enis=3, ipv4_per_eni=10, max_pods=29)
SECONDARY = Rules.of(Settings(), LIMITS)
PREFIXES = Rules.of(Settings(warm_prefix=1, prefix_delegation=True), LIMITS)


def last(options: Sequence[T], /) -> T:
    return options[-1]


def one_eni(*cidrs: Cidr) -> Pool:
    return Pool(enis=(Eni("eni-0", primary=True, cidrs=cidrs),))


def test_a_pod_gets_an_address_and_the_pool_remembers_since_when() -> None:
    given = assign(one_eni(Cidr(5, 1)), SECONDARY, pod="web", now=10, choose=first)

    assert given == Assigned(
        pool=one_eni(Cidr(5, 1, (Address(5, "web", assigned_at=10),))), eni="eni-0", ip=5
    )


@pytest.mark.parametrize(
    "pool",
    [
        pytest.param(Pool(enis=()), id="no ENI"),
        pytest.param(one_eni(), id="no CIDR"),
        pytest.param(one_eni(Cidr(5, 1, (Address(5, "api", 0),))), id="all taken"),
        pytest.param(one_eni(Cidr(5, 1, (Address(5, None, 0, unassigned_at=70),))), id="cooling"),
        pytest.param(one_eni(Cidr(16, 16)), id="the other mode's"),
        pytest.param(Pool(enis=(Eni("eni-0", excluded=True, cidrs=(Cidr(5, 1),)),)), id="excluded"),
    ],
)
def test_a_pod_gets_nothing_where_nothing_can_be_given(pool: Pool) -> None:
    assert assign(pool, SECONDARY, pod="web", now=100, choose=first) is None


def test_an_address_is_given_again_once_its_cooldown_is_over() -> None:
    pool = one_eni(Cidr(5, 1, (Address(5, None, 0, unassigned_at=70),)))

    given = assign(pool, SECONDARY, pod="web", now=100.5, choose=first)

    assert given == Assigned(one_eni(Cidr(5, 1, (Address(5, "web", 100.5),))), "eni-0", 5)


def test_the_cooldown_is_a_setting() -> None:
    pool = one_eni(Cidr(5, 1, (Address(5, None, 0, unassigned_at=70),)))
    rules = Rules.of(Settings(cooldown=10), LIMITS)

    assert assign(pool, rules, pod="web", now=80, choose=first) is None
    assert assign(pool, rules, pod="web", now=80.5, choose=first) is not None


def test_a_prefix_gives_its_base_address_first_and_the_others_in_order() -> None:
    pool = one_eni(Cidr(16, 16))
    ips = []
    for number in range(16):
        given = assign(pool, PREFIXES, pod=f"pod-{number}", now=number, choose=first)
        assert given is not None
        pool = given.pool
        ips.append(given.ip)

    assert ips == list(range(16, 32))
    assert assign(pool, PREFIXES, pod="one-more", now=16, choose=first) is None


def test_a_prefix_gives_a_used_address_before_a_new_one_and_forgets_all_that_cooled() -> None:
    in_use = Address(16, "api", assigned_at=0)
    cooling = Address(17, None, assigned_at=0, unassigned_at=90)
    cooled = (Address(18, None, 0, unassigned_at=60), Address(19, None, 0, unassigned_at=50))

    given = assign(
        one_eni(Cidr(16, 16, (in_use, cooling, *cooled))),
        PREFIXES,
        pod="web",
        now=100,
        choose=first,
    )

    assert given == Assigned(
        one_eni(Cidr(16, 16, (in_use, cooling, Address(18, "web", 100)))), "eni-0", 18
    )


def test_an_ipv6_prefix_gives_its_base_address_first() -> None:
    base = int(IPv6Address("2001:db8:1234:1a00:1::"))
    rules = Rules.of(Settings(ipv6=True), LIMITS)

    given = assign(one_eni(Cidr(base, IPV6_PREFIX)), rules, pod="web", now=0, choose=first)

    assert given is not None
    assert given.ip == base


def test_the_caller_chooses_eni_and_cidr() -> None:
    pool = Pool(
        enis=(
            Eni("eni-0", primary=True, cidrs=(Cidr(5, 1),)),
            Eni("eni-1", cidrs=(Cidr(6, 1), Cidr(7, 1))),
        )
    )

    given = assign(pool, SECONDARY, pod="web", now=0, choose=last)

    assert given is not None
    assert (given.eni, given.ip) == ("eni-1", 7)


def test_a_seeded_generator_is_a_choice() -> None:
    pool = one_eni(*(Cidr(base, 1) for base in range(9)))

    given = assign(pool, SECONDARY, pod="web", now=0, choose=random.Random(1).choice)

    assert given is not None
    assert given == assign(pool, SECONDARY, pod="web", now=0, choose=random.Random(1).choice)


def test_a_full_eni_is_passed_over() -> None:
    full = Cidr(5, 1, (Address(5, "api", 0),))
    pool = Pool(enis=(Eni("eni-0", cidrs=(full,)), Eni("eni-1", cidrs=(Cidr(6, 1),))))

    given = assign(pool, SECONDARY, pod="web", now=0, choose=first)

    assert given is not None
    assert (given.eni, given.ip) == ("eni-1", 6)


def test_a_leaving_pod_s_address_starts_to_cool_and_names_no_pod() -> None:
    other = Address(17, "api", assigned_at=2)
    pool = one_eni(Cidr(48, 1), Cidr(16, 16, (Address(16, "web", assigned_at=1), other)))

    assert unassign(pool, "web", now=9) == one_eni(
        Cidr(48, 1),
        Cidr(16, 16, (Address(16, None, assigned_at=1, unassigned_at=9), other)),
    )


def test_an_unknown_pod_leaves_nothing_behind() -> None:
    pool = one_eni(Cidr(5, 1, (Address(5, "web", 0),)))

    assert unassign(pool, "api", now=9) is pool


def test_addresses_are_counted_by_state_at_a_moment() -> None:
    taken = Address(16, "web", assigned_at=1)
    freed = Address(17, None, assigned_at=1, unassigned_at=70)
    freed_before = Address(18, None, assigned_at=1, unassigned_at=60)
    pool = one_eni(Cidr(16, 16, (taken, freed, freed_before)))

    assert pool.addresses(100, SECONDARY.cooldown) == Addresses(assigned=1, warm=14, cooldown=1)
    assert pool.addresses(101, SECONDARY.cooldown) == Addresses(assigned=1, warm=15, cooldown=0)
    assert pool.addresses(101, SECONDARY.cooldown).attached == 16


def test_pods_on_excluded_enis_stay_and_are_counted() -> None:
    taken = Cidr(5, 1, (Address(5, "web", assigned_at=1),))
    pool = Pool(enis=(Eni("eni-0", excluded=True, cidrs=(taken,)),))

    assert (pool.attached, pool.assigned) == (1, 1)
    assert unassign(pool, "web", now=9).assigned == 0


@pytest.mark.parametrize(
    ("cidr", "text"),
    [
        (Cidr(int(IPv4Address("10.0.1.11")), 1), "10.0.1.11/32"),
        (Cidr(int(IPv4Address("10.0.2.16")), 16), "10.0.2.16/28"),
        (Cidr(int(IPv6Address("2001:db8:1::")), IPV6_PREFIX), "2001:db8:1::/80"),
    ],
)
def test_a_cidr_is_written_as_ipamd_writes_it(cidr: Cidr, text: str) -> None:
    assert str(cidr) == text


def test_a_cidr_is_equal_by_what_it_holds() -> None:
    assert replace(Cidr(5, 1), addresses=()) == Cidr(5, 1)
    assert Cidr(5, 1, (Address(5, "web", 0),)) != Cidr(5, 1)
