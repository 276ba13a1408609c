"""Forecasts over the subnets of a simulated cluster that lives, by its own clock."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import pytest

from exporter.core.forecast import History, Pace
from exporter.sim.ec2_actions import unused_reserved
from exporter.sim.living.story import Living
from exporter.sim.vpc import ReservationKind, Subnet
from tests.core.forecast_histories import HOUR, Told, errors
from tests.sim.living import SECONDARY, begun, stepped

pytestmark = pytest.mark.long

ZONE = "eu-central-1b"


def left(subnet: Subnet) -> int:
    """What pods can still have, as EC2 knows it."""
    kept = (it for it in subnet.reservations if it.kind is ReservationKind.PREFIX)
    return subnet.available + sum(unused_reserved(subnet, it) for it in kept)


def lived(
    scenario: str,
    seed: int,
    hours: float,
    every_minute: Callable[[Living], bool] = lambda _: True,
    nodes: int = 10,
) -> dict[str, list[Told]]:
    """What was told of each subnet, minute by minute, as long as something is to be seen."""
    story, cluster = begun(nodes, scenario=scenario, seed=seed, seconds=60, env=SECONDARY)
    pace = Pace()
    histories: dict[str, History] = {}
    found: dict[str, list[Told]] = {}
    for minute in range(int(hours * 60)):
        stepped(story, cluster, 1)
        for subnet in story.vpc.subnets.values():
            at, free = minute * 60.0, left(subnet)
            before = histories.get(subnet.id, History())
            history = histories[subnet.id] = before.noted(free, at, pace)
            found.setdefault(subnet.zone, []).append(Told(at, free, history.exhaustion(at)))
        if not every_minute(story):
            break
    return found


@pytest.mark.parametrize(
    ("scenario", "seed"), [("normal", 1), ("normal", 2), ("day", 1), ("exhaustion", 2)]
)
def test_ordinary_days_and_surges_of_half_an_hour_are_no_cause_for_alarm(
    scenario: str, seed: int
) -> None:
    moments = [it for told in lived(scenario, seed, 24).values() for it in told]
    assert len(moments) == 3 * 24 * 60
    assert [it for it in moments if it.seconds is not None and it.seconds < 12 * HOUR] == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_subnet_that_others_fill_for_hours_is_told_before_it_is_full(seed: int) -> None:
    """Two Lambda functions a minute, while jobs take sixty addresses every half hour."""

    def fill(story: Living) -> bool:
        subnet = story.world.subnet(ZONE)
        story.world.foreign.crowd(subnet, 2)
        return subnet.available > 0

    told = lived("normal", seed, 16, fill, nodes=20)[ZONE]
    end = told[-1].at
    known = [it for it in told if it.at >= 1.25 * HOUR]
    assert end > 3 * HOUR
    assert sum(it.seconds is not None for it in known) >= 0.9 * len(known)
    for it in known:
        if it.seconds is not None:
            assert it.seconds == pytest.approx(end - it.at, rel=0.25, abs=1800)
    off = errors([it for it in known if it.at <= end - HOUR], end)
    assert statistics.median(map(abs, off)) <= 0.1
