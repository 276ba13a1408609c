"""What EC2's refusals to a growing pool lead to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.core.pool import (
    AssignPrivateIpAddresses,
    Cidr,
    DeleteNetworkInterface,
    DescribeNetworkInterfaces,
    DetachNetworkInterface,
    Eni,
    Granted,
    Pool,
    Refused,
    Settings,
    Stray,
    Tally,
    first,
    step,
)
from tests.core.test_pool_parts import (
    CREATION,
    DEFAULT,
    ENI_FULL,
    FULL,
    NEW_ENI,
    NO_ADDRESS,
    NO_DISCOVERY,
    NO_PREFIX,
    PRIMARY,
    THROTTLED,
    ScriptedEc2,
    free,
    granted,
    looked_at,
    refusing,
    rules,
    taken,
    without_tally,
)

ASKED = AssignPrivateIpAddresses("eni-0", 2, 1)
ASKED_ONE = AssignPrivateIpAddresses("eni-0", 1, 1)
PART = Pool(enis=(replace(PRIMARY, cidrs=taken(1)),))


def test_a_refused_assignment_is_tried_once_more_with_one() -> None:
    ec2 = refusing("AssignPrivateIpAddresses", NO_ADDRESS)

    after = looked_at(PART, ec2)

    assert ec2.requests == [ASKED, ASKED_ONE]
    assert after == Pool(
        enis=(replace(PRIMARY, cidrs=(*taken(1), *free(*granted(1)))),),
        acted_at=1000,
        tally=Tally(
            calls={"AssignPrivateIpAddresses": 2},
            refusals={("AssignPrivateIpAddresses", NO_ADDRESS): 1},
        ),
    )


@pytest.mark.parametrize("error", [NO_ADDRESS, NO_PREFIX])
def test_with_subnet_discovery_a_full_subnet_leads_on_to_other_enis_and_a_new_one(
    error: str,
) -> None:
    ec2 = refusing("AssignPrivateIpAddresses", *[error] * 4)
    other = Eni("eni-1")

    after = looked_at(Pool(enis=(PRIMARY, other)), ec2)

    assert ec2.requests == [
        AssignPrivateIpAddresses("eni-0", 3, 1),
        AssignPrivateIpAddresses("eni-0", 1, 1),
        AssignPrivateIpAddresses("eni-1", 3, 1),
        AssignPrivateIpAddresses("eni-1", 1, 1),
        *CREATION,
    ]
    assert without_tally(after) == Pool(enis=(PRIMARY, other, NEW_ENI), acted_at=1000)
    assert after.tally.errors == {"increaseIPPoolAllocIPAddressesFailed": 2}


def test_with_subnet_discovery_and_no_room_each_step_fails_twice_per_eni_without_back_off() -> None:
    ec2 = refusing("AssignPrivateIpAddresses", *[NO_ADDRESS] * 4)
    one_eni = rules(Settings(max_eni=1))

    first_look = step(PART, one_eni, now=1000, ec2=ec2, choose=first)
    second_look = step(first_look, one_eni, now=1005, ec2=ec2, choose=first)

    assert ec2.requests == [ASKED, ASKED_ONE] * 2
    assert second_look == replace(
        PART,
        tally=Tally(
            calls={"AssignPrivateIpAddresses": 4},
            refusals={("AssignPrivateIpAddresses", NO_ADDRESS): 4},
            errors={"increaseIPPoolAllocIPAddressesFailed": 2},
        ),
    )


def test_without_subnet_discovery_a_full_subnet_starts_the_back_off_at_once() -> None:
    ec2 = refusing("AssignPrivateIpAddresses", NO_ADDRESS, NO_ADDRESS)
    pool = Pool(enis=(*PART.enis, Eni("eni-1")))

    after = looked_at(pool, ec2, NO_DISCOVERY)

    assert ec2.requests == [ASKED, ASKED_ONE]
    assert without_tally(after) == replace(pool, backed_off_at=1000)


@pytest.mark.parametrize("settings", [DEFAULT, NO_DISCOVERY])
def test_any_other_refusal_ends_the_step_without_back_off(settings: Settings) -> None:
    ec2 = refusing("AssignPrivateIpAddresses", THROTTLED, THROTTLED)
    pool = Pool(enis=(*PART.enis, Eni("eni-1")))

    after = looked_at(pool, ec2, settings)

    assert ec2.requests == [ASKED, ASKED_ONE]
    assert without_tally(after) == pool


@pytest.mark.parametrize("error", [NO_ADDRESS, NO_PREFIX])
def test_a_full_subnet_at_creation_starts_the_back_off(error: str) -> None:
    ec2 = refusing("CreateNetworkInterface", error)

    after = looked_at(Pool(enis=(FULL,)), ec2)

    assert after == Pool(
        enis=(FULL,),
        backed_off_at=1000,
        tally=Tally(
            calls={"CreateNetworkInterface": 1},
            refusals={("CreateNetworkInterface", error): 1},
            errors={"increaseIPPoolAllocENI": 1, "increaseIPPoolAllocIPAddressesFailed": 1},
        ),
    )


def test_a_throttled_creation_is_tried_again_at_the_next_step() -> None:
    ec2 = refusing("CreateNetworkInterface", THROTTLED)

    after = looked_at(Pool(enis=(FULL,)), ec2)

    assert after == Pool(
        enis=(FULL,),
        tally=Tally(
            calls={"CreateNetworkInterface": 1},
            refusals={("CreateNetworkInterface", THROTTLED): 1},
            errors={"increaseIPPoolAllocENI": 1},
        ),
    )


@pytest.mark.parametrize(("seconds", "calls"), [(0, 0), (5, 0), (120, 0), (121, 1)])
def test_nothing_grows_within_120_seconds_of_a_full_subnet(seconds: int, calls: int) -> None:
    ec2 = ScriptedEc2()

    step(replace(PART, backed_off_at=1000), rules(), now=1000 + seconds, ec2=ec2, choose=first)

    assert len(ec2.requests) == calls


def test_an_eni_that_holds_more_than_ipamd_knows_is_read_from_ec2() -> None:
    strays = (Stray(Cidr(2, 1), 990), Stray(Cidr(3, 1), 990))
    eni = replace(PRIMARY, cidrs=taken(1), strays=strays)
    ec2 = ScriptedEc2(
        AssignPrivateIpAddresses=[Refused(ENI_FULL)],
        DescribeNetworkInterfaces=[Granted(cidrs=(1, 2, 3))],
    )

    after = looked_at(Pool(enis=(eni,)), ec2)

    assert ec2.requests == [ASKED, DescribeNetworkInterfaces("eni-0", 1)]
    assert without_tally(after) == Pool(
        enis=(replace(PRIMARY, cidrs=(*taken(1), *free(2, 3))),), acted_at=1000
    )


def test_an_eni_that_cannot_be_read_is_left_as_it_is() -> None:
    ec2 = ScriptedEc2(
        AssignPrivateIpAddresses=[Refused(THROTTLED), Refused(ENI_FULL)],
        DescribeNetworkInterfaces=[Refused(THROTTLED)],
    )

    after = looked_at(PART, ec2)

    assert ec2.requests == [ASKED, ASKED_ONE, DescribeNetworkInterfaces("eni-0", 1)]
    assert without_tally(after) == PART
    assert after.tally.errors == {"increaseIPPoolGetENIaddressesFailed": 1}


def test_an_eni_that_cannot_be_attached_is_deleted() -> None:
    ec2 = refusing("AttachNetworkInterface", "AttachmentLimitExceeded")

    after = looked_at(Pool(enis=(FULL,)), ec2)

    assert ec2.requests == [*CREATION[:2], DeleteNetworkInterface("eni-new")]
    assert without_tally(after) == Pool(enis=(FULL,))
    assert after.tally.errors == {"increaseIPPoolAllocENI": 1}


def test_an_eni_that_cannot_be_attached_or_deleted_leaks() -> None:
    ec2 = ScriptedEc2(
        AttachNetworkInterface=[Refused("AttachmentLimitExceeded")],
        DeleteNetworkInterface=[Refused(THROTTLED)],
    )

    after = looked_at(Pool(enis=(FULL,)), ec2)

    assert without_tally(after) == Pool(enis=(FULL,), leaked=(replace(NEW_ENI, device=0),))


def test_an_eni_that_would_outlive_its_instance_is_given_up() -> None:
    ec2 = refusing("ModifyNetworkInterfaceAttribute", THROTTLED)

    after = looked_at(Pool(enis=(FULL,)), ec2)

    assert ec2.requests == [
        *CREATION,
        DetachNetworkInterface("eni-new"),
        DeleteNetworkInterface("eni-new"),
    ]
    assert without_tally(after) == Pool(enis=(FULL,))
