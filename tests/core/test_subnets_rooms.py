from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.core.model import Reservation, SubnetRoom
from exporter.core.owners import Use
from exporter.core.prefixes import BlockState
from exporter.core.subnets import SubnetUsage, rooms
from tests.builders import subnet_usage, without_enis

KEPT = (Reservation("10.0.0.128/28", "prefix"),)


def reserving(free: int, *, seen_free: int, kept: int = 16) -> SubnetUsage:
    """A subnet with a reservation, of which EC2 says `free` and its ENIs leave `seen_free`."""
    usage = subnet_usage(free=free)
    assert usage.uses is not None
    uses = {**usage.uses, Use.FREE: seen_free, Use.PREFIX_RESERVED_FREE: kept}
    return replace(usage, uses=uses, subnet=replace(usage.subnet, reservations=KEPT))


@pytest.mark.parametrize(
    ("usage", "free", "kept", "blocks"),
    [
        pytest.param(subnet_usage(free=151), 151, 0, 7, id="free, and blocks of both kinds"),
        pytest.param(reserving(40, seen_free=40), 40, 16, 7, id="reserved apart from free"),
        pytest.param(reserving(56, seen_free=40), 40, 16, 7, id="reserved counted as free"),
        pytest.param(reserving(3, seen_free=40), 3, 16, 7, id="less free than at the survey"),
        pytest.param(reserving(0, seen_free=0, kept=0), 0, 0, 7, id="nothing at all"),
    ],
)
def test_the_room_in_a_subnet_is_what_pods_can_still_get(
    usage: SubnetUsage, free: int, kept: int, blocks: int
) -> None:
    id = usage.subnet.id
    assert rooms([usage]) == {id: SubnetRoom(usage.subnet, free, kept, blocks, 1, 3)}


def test_where_the_enis_could_not_be_read_only_free_addresses_are_known() -> None:
    usage = without_enis(free=10)
    assert rooms([usage]) == {usage.subnet.id: SubnetRoom(usage.subnet, 10)}


def test_blocks_that_are_in_use_or_reserved_by_name_are_no_room() -> None:
    usage = replace(subnet_usage(), blocks=dict.fromkeys(BlockState, 1))
    assert rooms([usage])["subnet-a"].blocks == 2


def test_each_subnet_has_its_room() -> None:
    assert rooms([subnet_usage("subnet-a"), without_enis("subnet-b")]).keys() == {
        "subnet-a",
        "subnet-b",
    }
    assert rooms(()) == {}
