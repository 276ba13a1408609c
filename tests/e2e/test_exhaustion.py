"""When a subnet has nothing left, through the whole program."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.test_eks import world
from tests.e2e.world import eventually, key


def test_a_subnet_that_fills_steadily_is_told_when_it_ends_until_it_recovers(
    tmp_path: Path,
) -> None:
    """Twenty addresses a second, of a subnet that nobody else is in."""
    with world(
        tmp_path, EXPORTER_FORECAST_MIN_HISTORY="6", EXPORTER_EC2_SUBNETS_INTERVAL="0.1"
    ) as (sim, exporter):
        spare = sim.control("/subnets", {"cidr": "10.9.0.0/20"})["subnet"]
        sim.control("/eniconfigs", {"name": "eu-central-1a", "subnet": spare})
        began = time.monotonic()
        told = key("vpc_cni_subnet_exhaustion_seconds", subnet_id=spare)

        def look() -> tuple[float, int] | None:
            count = int(20 * (time.monotonic() - began))
            sim.control("/subnets/crowd", {"subnet": spare, "enis": count})
            seconds = exporter.scrape().get(told)
            return None if seconds is None else (seconds, count)

        seconds, count = eventually(look, "the end of the subnet is told")
        assert seconds == pytest.approx((4091 - count) / 20, rel=0.35)
        sim.control("/subnets/crowd", {"subnet": spare, "enis": 0})
        eventually(lambda: told not in exporter.scrape(), "it is not told any more")
        others = {labels for name, labels in exporter.scrape() if name == told[0]}
        assert others == set()
