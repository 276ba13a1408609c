"""How ipamd takes in what EC2 holds: at its start, and in its reconcile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.core.pool import (
    AssignPrivateIpAddresses,
    Cidr,
    Eni,
    Pool,
    Settings,
    Stray,
    Tally,
    UnassignPrivateIpAddresses,
    first,
    reconcile,
    start,
)
from tests.core.test_pool_parts import (
    DEFAULT,
    OTHER,
    PREFIXES,
    PRIMARY,
    TRUNK,
    ScriptedEc2,
    cooling,
    free,
    granted,
    idle,
    rules,
    taken,
)

STRAY = replace(PRIMARY, cidrs=free(2), strays=(Stray(Cidr(1, 1), 939), Stray(Cidr(3, 1), 940)))


def test_a_reconcile_takes_in_what_ec2_kept() -> None:
    pool = Pool(enis=(STRAY, OTHER), unadopted=(idle(),), acted_at=939)

    assert reconcile(pool, rules(), now=1000) == Pool(
        enis=(
            replace(PRIMARY, cidrs=free(2, 1), strays=(Stray(Cidr(3, 1), 940),)),
            OTHER,
            idle(created_at=1000),
        ),
        acted_at=1000,
    )


@pytest.mark.parametrize(
    ("settings", "enis"),
    [
        pytest.param(DEFAULT, (STRAY,), id="no trunk is wanted"),
        pytest.param(Settings(pod_eni=True), (STRAY, TRUNK), id="the trunk is there"),
    ],
)
def test_a_reconcile_waits_60_seconds_after_the_last_action(
    settings: Settings, enis: tuple[Eni, ...]
) -> None:
    pool = Pool(enis=enis, acted_at=940)

    assert reconcile(pool, rules(settings), now=1000) is pool


def test_a_reconcile_waits_for_nothing_while_a_wanted_trunk_is_missing() -> None:
    pool = Pool(enis=(PRIMARY,), unadopted=(TRUNK,), acted_at=999)

    after = reconcile(pool, rules(Settings(pod_eni=True)), now=1000)

    assert after == Pool(enis=(PRIMARY, replace(TRUNK, created_at=1000)), acted_at=1000)


def test_a_node_that_does_not_provision_still_reconciles() -> None:
    pool = Pool(enis=(PRIMARY,), unadopted=(TRUNK,))

    after = reconcile(pool, rules(Settings(provisioning=False)), now=1000)

    assert after.enis == (PRIMARY, replace(TRUNK, created_at=1000))


def test_an_ipv6_node_never_reconciles() -> None:
    pool = Pool(enis=(PRIMARY,), unadopted=(TRUNK,))

    assert reconcile(pool, rules(Settings(ipv6=True)), now=1000) is pool


def test_a_start_keeps_pods_and_forgets_ages_cooldowns_timers_and_counts() -> None:
    cidrs = (*taken(1), cooling(2, since=999), *free(3))
    before = Pool(
        enis=(replace(PRIMARY, cidrs=cidrs, strays=(Stray(Cidr(4, 1), 999),)),),
        unmanaged=1,
        terminating=True,
        unschedulable=True,
        backed_off_at=999,
        shrunk_at=999,
        acted_at=999,
        unadopted=(idle(),),
        leaked=(OTHER,),
        tally=Tally(calls={"AssignPrivateIpAddresses": 9}),
    )

    after = start(before, rules(), now=1000, ec2=ScriptedEc2(), choose=first)

    assert after == Pool(
        enis=(
            replace(PRIMARY, cidrs=(*taken(1), *free(2, 3, 4)), created_at=1000),
            idle(created_at=1000),
        ),
        unmanaged=1,
        terminating=True,
        unschedulable=True,
        leaked=(OTHER,),
    )


def test_a_start_with_a_low_pool_grows_once() -> None:
    ec2 = ScriptedEc2()

    after = start(Pool(enis=(PRIMARY,)), rules(), now=1000, ec2=ec2, choose=first)

    assert ec2.requests == [AssignPrivateIpAddresses("eni-0", 3, 1)]
    assert after == Pool(
        enis=(replace(PRIMARY, created_at=1000, cidrs=free(*granted(3))),),
        acted_at=1000,
        tally=Tally(calls={"AssignPrivateIpAddresses": 1}),
    )


def test_a_start_gives_back_unused_cidrs_of_excluded_enis_and_of_the_other_mode() -> None:
    mixed = replace(PRIMARY, cidrs=(*taken(1), *free(2), *free(16, size=16)))
    excluded = Eni("eni-1", excluded=True, cidrs=(*taken(32, size=16), *free(48, size=16)))
    ec2 = ScriptedEc2()

    after = start(Pool(enis=(mixed, excluded)), rules(PREFIXES), now=1000, ec2=ec2, choose=first)

    assert ec2.requests == [
        UnassignPrivateIpAddresses("eni-0", (2,), 1),
        UnassignPrivateIpAddresses("eni-1", (48,), 16),
    ]
    assert after.enis == (
        replace(mixed, created_at=1000, cidrs=(*taken(1), *free(16, size=16))),
        replace(excluded, created_at=1000, cidrs=taken(32, size=16)),
    )
