from __future__ import annotations

import pytest

from exporter.core.model import Eni
from exporter.core.owners import ENI_OWNERS, LeakOwner, Use
from exporter.core.subnets import LEAK_SECONDS, Memory, Reserved, accounts
from tests.builders import NOW
from tests.core.subnet_worlds import (
    INSTANCE_TAG,
    NOTHING,
    account,
    eni,
    run_of,
    subnet,
    survey,
    used,
)


def spare(created: float | None = None, status: str = "available") -> Eni:
    return eni(
        status=status,
        description="aws-K8S-i-1",
        tags={INSTANCE_TAG: "i-1"},
        created=created,
        addresses=run_of("10.0.0.50", 4),
    )


@pytest.mark.parametrize(
    ("created", "leaked"),
    [
        pytest.param(NOW - LEAK_SECONDS - 1, 1, id="old"),
        pytest.param(NOW - LEAK_SECONDS, 0, id="just-not-old"),
        pytest.param(NOW + 60, 0, id="clock-ahead"),
        pytest.param(None, 0, id="seen-for-the-first-time"),
    ],
)
def test_an_eni_is_leaked_when_it_has_had_the_marks_for_ten_minutes(
    created: float | None, leaked: int
) -> None:
    usage = account(subnet(available=247), (spare(created),))
    assert usage.leaked == {LeakOwner.THIS_CLUSTER: leaked, LeakOwner.UNKNOWN: 0}
    assert usage.enis == dict.fromkeys(ENI_OWNERS, 0) | {
        Use.LEAKED: leaked,
        Use.NODE_PRIMARY: 1 - leaked,
    }
    assert used(usage)[Use.LEAKED if leaked else Use.POD_UNKNOWN] == (4 if leaked else 3)


def test_an_eni_without_a_time_is_as_old_as_the_first_sight_of_it() -> None:
    where = subnet(available=247)
    memory, _ = accounts(NOTHING, survey(where, (spare(),)), NOW)
    assert memory.sights == {"subnet-a": {"eni-1": NOW}}
    memory, (young,) = accounts(memory, survey(where, (spare(),)), NOW + 600)
    memory, (old,) = accounts(memory, survey(where, (spare(),)), NOW + 601)
    assert young.enis is not None
    assert old.enis is not None
    assert (young.enis[Use.LEAKED], old.enis[Use.LEAKED]) == (0, 1)


def test_first_sights_outlive_a_listing_that_failed_but_not_the_marks() -> None:
    where = subnet()
    memory, _ = accounts(NOTHING, survey(where, (spare(),)), NOW)
    memory, _ = accounts(memory, survey(where, None), NOW + 180)
    assert memory.sights == {"subnet-a": {"eni-1": NOW}}
    memory, _ = accounts(memory, survey(where, (spare(status="in-use"),)), NOW + 360)
    assert memory.sights == {"subnet-a": {}}


def test_a_subnet_that_is_gone_is_forgotten() -> None:
    memory, _ = accounts(NOTHING, survey(subnet(), (spare(),)), NOW)
    memory, _ = accounts(memory, survey(subnet(id="subnet-b"), None), NOW + 60)
    assert memory == Memory(sights={}, reserved={"subnet-b": Reserved()})
