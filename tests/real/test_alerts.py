"""Every alert's cause is staged and told to a webhook; where nothing is wrong, nothing is.

The rules are those that the chart makes, with two thresholds of our own and `for: 0s`: what takes a
quarter of an hour in life is there at once.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.modes_world import settled
from tests.e2e.test_subnets import survey_after
from tests.e2e.world import eventually
from tests.real.alert_causes import COVERED, THROTTLED, Truth, Wanted, all_of, wanted
from tests.real.alert_worlds import (
    ENDING,
    LIFE,
    PERIOD,
    World,
    alive,
    crowded,
    every_mode,
    filling,
    healthy,
    replica,
    trouble,
)
from tests.real.alerting import (
    RUNBOOK,
    WATCHDOG,
    Alert,
    Pipeline,
    chart_rules,
    pipeline,
    plain_rules,
)

pytestmark = pytest.mark.real

THRESHOLDS = {
    # The best of worlds has a call throttled now and then, and here no quarter of an hour without.
    "vpc_cni:ec2_throttled:threshold": THROTTLED,
    # One of a dozen nodes whose aws-node is replaced is one too few, for a moment.
    "vpc_cni:coverage:threshold": COVERED,
}
EVERY = {it["alert"] for it in plain_rules() if "alert" in it}
RECORDED = {it["record"] for it in plain_rules() if "record" in it}
# What is recorded only where something is wrong.
TROUBLES = {"node:vpc_cni_node_blocked:max", "subnet:vpc_cni_subnet_exhaustion_seconds:min"}
PREDICTED = "VpcCniSubnetExhaustionPredicted"
# Where answers of EC2's meet one another or ipamd's, what changes between them is for a moment in
# one alone; and here minutes pass within a second.
BETWEEN = {"VpcCniAccountingResidue", "VpcCniDrift"}
SOURCE_DOWN, DOWN = "VpcCniExporterSourceDown", "VpcCniExporterDown"
# Minutes of the modes' story, by which ipamd's books are wrong, and all else is.
MINUTES = (3, 11)


def truth(world: World) -> Truth:
    return Truth(world.name, world.truth())


def untold(crowd: World, every: World) -> Wanted:
    """What no figure of the truth says: where no node fits, and which subnet's end is near."""
    crowded, modes = truth(crowd), truth(every)
    full = (
        crowded.subnet("warning", crowd.subnet("nodes-a")),
        modes.subnet("warning", every.subnet("tight-b")),
    )
    ending = crowded.subnet("warning", crowd.laid[ENDING])
    return {"VpcCniSubnetBelowNodeMinimum": set(full), PREDICTED: {ending}}


def test_every_alert_reaches_the_webhook_with_what_it_is_about(tmp_path: Path) -> None:
    with (
        pipeline(tmp_path, chart_rules(THRESHOLDS)) as told,
        crowded(tmp_path / "crowded") as crowd,
        every_mode(tmp_path / "modes") as every,
    ):
        told.scrape(crowd.target, every.target)
        survey_after(crowd.exporter, time.time())
        trouble(crowd)
        settled(every.exporter, time.time(), PERIOD)
        survey_after(crowd.exporter, time.time())
        before = wanted(truth(every))
        told.begin()
        with filling(crowd):
            lasting, passing = through(told, every)
            told.arrive(PREDICTED)
        survey_after(crowd.exporter, time.time())
        so = all_of([*lasting, wanted(truth(crowd)), untold(crowd, every)])
        are_told(told, so)
        # What was so for a moment may have been told, and nothing else.
        ever = all_of([so, *passing, before])
        more = {name: told.told(name) - ever[name] for name in ever.keys() - BETWEEN}
        assert {name: about for name, about in more.items() if about} == {}
        assert {name for name, about in so.items() if about} == EVERY - {SOURCE_DOWN, DOWN}
        assert told.recorded() == RECORDED
        goes_down(told, crowd)
        assert told.names() == {*EVERY, WATCHDOG}
        assert {it.name for it in told.webhook.alerts if not is_whole(it)} == {WATCHDOG}


def through(told: Pipeline, every: World) -> tuple[list[Wanted], list[Wanted]]:
    """Lead the modes through their story; return what was so for long, all told, and for short."""
    lasting, passing = [], []
    for minute in range(1, MINUTES[-1] + 1):
        every.sim.step()
        at = every.sim.truth()["advanced_at"]
        if minute in MINUTES:
            settled(every.exporter, at, PERIOD)
            lasting.append(wanted(truth(every)))
            are_told(told, lasting[-1])
        else:
            every.exporter.cycle_after(at)
            passing.append(wanted(truth(every)))
    return lasting, passing


def are_told(told: Pipeline, so: Wanted) -> None:
    """Wait until all that is so is told."""

    def missing() -> Wanted:
        left = {name: about - told.told(name) for name, about in so.items()}
        return {name: about for name, about in left.items() if about}

    try:
        eventually(lambda: not missing(), "all that is so is told")
    except AssertionError as late:
        raise AssertionError(f"{late}: {missing()} is not") from None


def goes_down(told: Pipeline, world: World) -> None:
    """Refuse an exporter the ENIs, and then end it."""
    cluster = truth(world)
    world.sim.control("/ec2", {"action": "DescribeNetworkInterfaces", "trouble": "denied"})
    told.arrive(SOURCE_DOWN)
    assert told.told(SOURCE_DOWN) == {cluster.labels("warning", source="ec2_enis")}
    assert world.exporter.stop() == 0
    told.arrive(DOWN)
    assert told.told(DOWN) == {cluster.labels("critical")}


def is_whole(alert: Alert) -> bool:
    """Whether it says without a hole what is the matter, and where that is explained."""
    said = dict(alert.annotations)
    page = said.pop("runbook_url", "") == f"{RUNBOOK}#{alert.name.lower()}"
    holes = ("<no value>", "{{", "}}", "%!", "NaN", "  ", " ,", " .", "()", "<error")
    whole = not any(hole in text for text in said.values() for hole in holes)
    return page and whole and said.keys() == {"summary", "description"} and all(said.values())


def test_in_a_healthy_world_that_lives_no_alert_does_even_while_the_exporter_is_replaced(
    tmp_path: Path,
) -> None:
    with pipeline(tmp_path, chart_rules(THRESHOLDS)) as told, healthy(tmp_path / "healthy") as old:
        told.scrape(old.target)
        survey_after(old.exporter, time.time())
        told.begin()
        with alive(old) as happened, replica(old, tmp_path) as new:
            # As a rollout does it: for some time there are two.
            told.scrape(old.target, new.target)
            assert old.exporter.stop() == 0
            told.scrape(new.target)
            told.arrive(WATCHDOG)
            eventually(lambda: len(happened) >= 4 * len(LIFE), "the cluster has lived")
        assert told.recorded() >= RECORDED - TROUBLES
        assert told.names() == {WATCHDOG}
