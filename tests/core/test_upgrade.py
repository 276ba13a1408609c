from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.model import Reservation
from exporter.core.owners import ClusterFacts, Use
from exporter.core.subnets import Memory, SubnetUsage, accounts
from exporter.core.upgrade import addresses_ready
from tests.builders import subnet_usage, without_enis
from tests.core.subnet_worlds import eni, run_of, subnet, survey


def given_to_eks(zone: str, free: int, *, of_eks: bool = True) -> SubnetUsage:
    bare = without_enis(f"subnet-{zone}-{free}", free=free)
    return replace(bare, subnet=replace(bare.subnet, zone=zone), of_eks=of_eks)


@pytest.mark.parametrize(
    ("subnets", "ready"),
    [
        pytest.param([], None, id="no subnets"),
        pytest.param([given_to_eks("a", 99, of_eks=False)], None, id="none of EKS's"),
        pytest.param([given_to_eks("a", 5), given_to_eks("b", 5)], True, id="five in two zones"),
        pytest.param([given_to_eks("a", 5), given_to_eks("b", 4)], False, id="four in one"),
        pytest.param([given_to_eks("a", 99), given_to_eks("a", 98)], False, id="one zone"),
        pytest.param(
            [given_to_eks("a", 3), given_to_eks("a", 2), given_to_eks("b", 9)],
            True,
            id="two subnets of a zone together",
        ),
        pytest.param(
            [given_to_eks("a", 9), given_to_eks("b", 0), given_to_eks("c", 5)],
            True,
            id="another zone is full",
        ),
        pytest.param(
            [given_to_eks("a", 9), given_to_eks("b", 99, of_eks=False)],
            False,
            id="a subnet that EKS was not given",
        ),
        pytest.param([given_to_eks("a", 0)], False, id="nothing free at all"),
    ],
)
def test_two_zones_need_five_addresses_each_in_the_subnets_of_eks(
    subnets: list[SubnetUsage], ready: bool | None
) -> None:
    assert addresses_ready(subnets) is ready


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.booleans()), max_size=9))
def test_it_is_as_counted_one_by_one(zones: list[tuple[str, int, bool]]) -> None:
    free: dict[str, int] = defaultdict(int)
    for zone, addresses, of_eks in zones:
        if of_eks:
            free[zone] += addresses
    wanted = len([it for it in free.values() if it >= 5]) >= 2 if free else None
    usages = [given_to_eks(zone, n, of_eks=it) for zone, n, it in zones]
    assert addresses_ready(usages) is wanted


def test_what_is_kept_for_prefixes_is_not_for_eks() -> None:
    usage = subnet_usage("subnet-a", free=3)
    assert usage.uses is not None
    assert (usage.left, usage.uses[Use.PREFIX_RESERVED_FREE]) == (19, 16)
    other = given_to_eks("b", 9)
    assert addresses_ready([replace(usage, of_eks=True), other]) is False
    roomy = subnet_usage("subnet-a", free=5)
    assert addresses_ready([replace(roomy, of_eks=True), other]) is True


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize(("free", "ready"), [(0, False), (4, False), (5, True), (124, True)])
def test_that_holds_whether_or_not_ec2_counts_what_is_reserved(
    free: int, ready: bool, counted: bool
) -> None:
    """Of 124 addresses below and 127 that are kept for prefixes."""
    where = subnet(
        available=free + 127 * counted, reservations=(Reservation("10.0.0.128/25", "prefix"),)
    )
    facts = ClusterFacts(cluster_subnets=frozenset({where.id}))
    enis = (eni(addresses=run_of("10.0.0.4", 124 - free)),)
    _, (usage,) = accounts(Memory(), survey(where, enis, facts), 0.0)
    assert (usage.of_eks, usage.left) == (True, free + 127)
    assert addresses_ready([usage, given_to_eks("z", 9)]) is ready
