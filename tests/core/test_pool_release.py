"""What a pool gives back, and what it keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.core.pool import (
    AssignPrivateIpAddresses,
    Cidr,
    DeleteNetworkInterface,
    DetachNetworkInterface,
    Eni,
    Pool,
    Settings,
    Stray,
    Tally,
    UnassignPrivateIpAddresses,
    first,
    step,
)
from tests.core.test_pool_parts import (
    DEFAULT,
    PREFIXES,
    PRIMARY,
    THROTTLED,
    WARM_2,
    ScriptedEc2,
    cooling,
    free,
    granted,
    idle,
    last,
    looked_at,
    refusing,
    rules,
    taken,
    without_tally,
)


def test_cidrs_over_the_target_are_given_back_primary_s_too() -> None:
    other = Eni("eni-1", cidrs=(*taken(4), *free(5)))
    pool = Pool(enis=(replace(PRIMARY, cidrs=free(1, 2)), other))
    ec2 = ScriptedEc2()

    after = looked_at(pool, ec2, Settings(warm_ip=1))

    assert ec2.requests == [UnassignPrivateIpAddresses("eni-0", (1, 2), 1)]
    assert after == Pool(
        enis=(PRIMARY, other),
        shrunk_at=1000,
        acted_at=1000,
        tally=Tally(calls={"UnassignPrivateIpAddresses": 1}),
    )


def test_the_caller_chooses_what_is_given_back() -> None:
    pool = Pool(
        enis=(
            replace(PRIMARY, cidrs=free(1, 2)),
            Eni("eni-1", cidrs=(*taken(4), *free(5))),
        )
    )
    ec2 = ScriptedEc2()

    step(pool, rules(Settings(warm_ip=1)), now=1000, ec2=ec2, choose=last)

    assert ec2.requests == [
        UnassignPrivateIpAddresses("eni-1", (5,), 1),
        UnassignPrivateIpAddresses("eni-0", (2,), 1),
    ]


@pytest.mark.parametrize(("seconds", "calls"), [(5, 0), (29, 0), (30, 1)])
def test_shrinking_leaves_30_seconds_between(seconds: int, calls: int) -> None:
    pool = Pool(enis=(replace(PRIMARY, cidrs=free(1, 2, 3)),), shrunk_at=1000)
    ec2 = ScriptedEc2()

    step(pool, rules(WARM_2), now=1000 + seconds, ec2=ec2, choose=first)

    assert len(ec2.requests) == calls


def test_cooling_addresses_may_be_given_back() -> None:
    pool = Pool(enis=(replace(PRIMARY, cidrs=(cooling(1, since=999), *free(2, 3))),))
    ec2 = ScriptedEc2()

    looked_at(pool, ec2, WARM_2)

    assert ec2.requests == [UnassignPrivateIpAddresses("eni-0", (1,), 1)]


@pytest.mark.parametrize(
    ("settings", "cidrs", "given"),
    [
        pytest.param(PREFIXES, free(16, 32, 48, size=16), (16, 32), id="one warm"),
        pytest.param(
            replace(PREFIXES, warm_ip=17), free(16, 32, 48, size=16), (16,), id="two for 17"
        ),
        pytest.param(
            replace(PREFIXES, minimum_ip=33), free(16, 32, 48, size=16), (), id="three for 33"
        ),
        pytest.param(
            replace(PREFIXES, warm_ip=1), taken(16, 32, 48, size=16), (), id="none is unused"
        ),
        pytest.param(
            replace(PREFIXES, warm_ip=15),
            (*taken(16, size=16), *free(32, 48, size=16)),
            (32, 48),
            id="one in use is enough",
        ),
    ],
)
def test_prefixes_over_the_target_are_given_back(
    settings: Settings, cidrs: tuple[Cidr, ...], given: tuple[int, ...]
) -> None:
    ec2 = ScriptedEc2()

    looked_at(Pool(enis=(replace(PRIMARY, cidrs=cidrs),)), ec2, settings)

    assert ec2.requests == ([UnassignPrivateIpAddresses("eni-0", given, 16)] if given else [])


def test_unused_leftovers_of_the_other_mode_go_too_in_a_call_of_their_own() -> None:
    pool = Pool(enis=(replace(PRIMARY, cidrs=(*free(1), *free(16, 32, size=16))),))
    ec2 = ScriptedEc2()
    two_too_many = replace(PREFIXES, warm_prefix=0)

    after = looked_at(pool, ec2, two_too_many)

    assert ec2.requests == [
        UnassignPrivateIpAddresses("eni-0", (1,), 1),
        UnassignPrivateIpAddresses("eni-0", (16,), 16),
    ]
    assert after.enis == (replace(PRIMARY, cidrs=free(32, size=16)),)


def test_cidrs_that_ec2_does_not_take_back_are_strays_and_stay_the_node_s() -> None:
    pool = Pool(enis=(replace(PRIMARY, cidrs=(cooling(1, since=999), *free(2, 3))),))
    ec2 = refusing("UnassignPrivateIpAddresses", THROTTLED)

    after = looked_at(pool, ec2, WARM_2)

    assert after.enis == (replace(PRIMARY, cidrs=free(2, 3), strays=(Stray(Cidr(1, 1), 1000),)),)
    assert (after.attached, after.subnet_addresses) == (2, 4)


RELEASE = [DetachNetworkInterface("eni-9"), DeleteNetworkInterface("eni-9")]
WARM_PRIMARY = replace(PRIMARY, cidrs=free(1, 2, 3))
MIN_AND_WARM = Settings(warm_ip=2, minimum_ip=4)


def test_an_eni_that_is_not_needed_is_released() -> None:
    ec2 = ScriptedEc2()

    after = looked_at(Pool(enis=(WARM_PRIMARY, idle())), ec2)

    assert ec2.requests == RELEASE
    assert after == Pool(
        enis=(WARM_PRIMARY,),
        tally=Tally(calls={"DetachNetworkInterface": 1, "DeleteNetworkInterface": 1}),
    )


def test_one_eni_is_released_per_step_and_the_caller_chooses() -> None:
    ec2 = ScriptedEc2()
    spare = Eni("eni-1", cidrs=free(4, 5, 6))

    after = step(Pool(enis=(WARM_PRIMARY, spare, idle())), rules(), now=1000, ec2=ec2, choose=last)

    assert ec2.requests == RELEASE
    assert after.enis == (WARM_PRIMARY, spare)


@pytest.mark.parametrize(
    ("settings", "enis"),
    [
        pytest.param(DEFAULT, (WARM_PRIMARY, replace(idle(), trunk=True)), id="trunk"),
        pytest.param(DEFAULT, (WARM_PRIMARY, replace(idle(), efa=True)), id="EFA"),
        pytest.param(DEFAULT, (WARM_PRIMARY, replace(idle(), primary=True)), id="primary"),
        pytest.param(DEFAULT, (WARM_PRIMARY, idle(created_at=940)), id="a minute old"),
        pytest.param(
            DEFAULT, (WARM_PRIMARY, idle((cooling(7, since=970), *free(8, 9)))), id="cooling"
        ),
        pytest.param(
            Settings(warm_eni=0), (replace(PRIMARY, cidrs=free(1, 2)), idle(taken(7))), id="pods"
        ),
        pytest.param(
            DEFAULT,
            (replace(PRIMARY, cidrs=(*taken(1), *free(2, 3))), idle()),
            id="the warm ENI would not be whole",
        ),
        pytest.param(
            MIN_AND_WARM,
            (replace(PRIMARY, cidrs=free(1, 2, 3)), idle(free(7))),
            id="needed for the minimum",
        ),
        pytest.param(
            WARM_2,
            (replace(PRIMARY, cidrs=(*taken(1, 2), *free(3))), idle(free(7))),
            id="needed for warm addresses",
        ),
        pytest.param(
            PREFIXES,
            (replace(PRIMARY, cidrs=taken(16, 32, 48, size=16)), idle(free(64, size=16))),
            id="needed for a warm prefix",
        ),
        pytest.param(
            replace(PREFIXES, warm_ip=17, warm_prefix=0),
            (replace(PRIMARY, cidrs=free(16, size=16)), idle(free(64, size=16))),
            id="warm addresses are whole prefixes",
        ),
    ],
)
def test_an_eni_is_kept(settings: Settings, enis: tuple[Eni, ...]) -> None:
    ec2 = ScriptedEc2()
    pool = Pool(enis=enis)

    assert looked_at(pool, ec2, settings) is pool
    assert ec2.requests == []


@pytest.mark.parametrize(
    ("settings", "enis"),
    [
        pytest.param(DEFAULT, (WARM_PRIMARY, idle(created_at=939)), id="over a minute old"),
        pytest.param(
            DEFAULT, (WARM_PRIMARY, idle((cooling(7, since=969), *free(8, 9)))), id="cooled"
        ),
        pytest.param(
            WARM_2, (replace(PRIMARY, cidrs=free(1, 2)), idle(())), id="warm addresses elsewhere"
        ),
        pytest.param(
            MIN_AND_WARM,
            (WARM_PRIMARY, Eni("eni-1", cidrs=free(4)), idle(())),
            id="the minimum elsewhere",
        ),
        pytest.param(
            PREFIXES,
            (replace(PRIMARY, cidrs=free(16, size=16)), idle(())),
            id="a warm prefix elsewhere",
        ),
        pytest.param(
            WARM_2,
            (replace(PRIMARY, cidrs=free(1, 2)), replace(idle(), excluded=True)),
            id="excluded",
        ),
    ],
)
def test_an_eni_is_released(settings: Settings, enis: tuple[Eni, ...]) -> None:
    ec2 = ScriptedEc2()

    after = looked_at(Pool(enis=enis), ec2, settings)

    assert ec2.requests == RELEASE
    assert after.enis == enis[:-1]


def test_an_eni_that_ec2_does_not_detach_is_unknown_to_ipamd_and_still_the_node_s() -> None:
    ec2 = refusing("DetachNetworkInterface", THROTTLED)

    after = looked_at(Pool(enis=(WARM_PRIMARY, idle())), ec2)

    assert ec2.requests == RELEASE[:1]
    assert without_tally(after) == Pool(enis=(WARM_PRIMARY,), unadopted=(idle(),))
    assert after.tally.errors == {"decreaseIPPoolFreeENIFailed": 1}
    assert (after.attached, after.subnet_addresses) == (3, 8)


def test_an_eni_that_ec2_does_not_delete_leaks_and_is_no_more_the_node_s() -> None:
    ec2 = refusing("DeleteNetworkInterface", THROTTLED)

    after = looked_at(Pool(enis=(WARM_PRIMARY, idle())), ec2)

    assert ec2.requests == RELEASE
    assert without_tally(after) == Pool(enis=(WARM_PRIMARY,), leaked=(idle(),))
    assert after.subnet_addresses == 4


def test_a_step_may_both_grow_and_release() -> None:
    pool = Pool(enis=(replace(PRIMARY, cidrs=free(1)), idle(())))
    ec2 = ScriptedEc2()

    after = looked_at(pool, ec2, WARM_2)

    assert ec2.requests == [AssignPrivateIpAddresses("eni-0", 1, 1), *RELEASE]
    assert after.enis == (replace(PRIMARY, cidrs=free(1, *granted(1))),)
