"""The cluster with every mode of the CNI, and the exporter that asks all for everything."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.e2e.world import (
    Daemon,
    Samples,
    Simulation,
    began,
    clocks,
    daemon,
    differences,
    ended,
    eventually,
    expected,
    key,
    parse,
    published,
    simulation,
)

# Seconds between two surveys, and after how many of them the exporter forgets what they told.
PERIOD, WITHDRAWN_AFTER = 0.6, 3
NODES = 43
# By then all has befallen the cluster that its story has for it.
LIFE_SECONDS = 840.0
# Nodes that are set to tell nothing, wherever they could be reached.
SILENT = 2
BLOCKED = "vpc_cni_node_blocked"
REASONS = {
    "subnet_exhausted",
    "no_free_prefix",
    "eni_limit",
    "ip_limit",
    "attachment_limit",
    "max_pods",
    "throttled",
    "cooldown",
    "back_off",
}
Difference = tuple[object, float | None, float | None]
DRIFTS = ("vpc_cni_node_drift_ip_addresses", "vpc_cni_node_ec2_drift_ip_addresses")


@contextlib.contextmanager
def modes(
    folder: Path, *arguments: str, period: float = PERIOD, **more: str
) -> Iterator[tuple[Simulation, Daemon]]:
    """The cluster and the exporter, which asks everyone for everything in every cycle."""
    with simulation(folder, "--scenario", "modes", *arguments) as sim:
        settings = {
            "EXPORTER_SOURCES": "ipamd,ec2",
            "EXPORTER_EC2_SUBNETS_INTERVAL": str(period),
            "EXPORTER_EC2_ENIS_INTERVAL": str(period),
            "EXPORTER_INTROSPECTION_INTERVAL": "0",
            # A machine that stalls must not make nodes late, and bodies missing.
            "EXPORTER_SCRAPE_TIMEOUT": "3",
            "EXPORTER_IPAMD_INTROSPECTION_PORT": str(sim.facts["introspection_port"]),
            **sim.facts["aws_environment"],
            **more,
        }
        with daemon(folder, sim, **settings) as exporter:
            yield sim, exporter


def settled(exporter: Daemon, instant: float, period: float = PERIOD) -> Samples:
    """Return the figures after two cycles and two surveys that all began after an instant.

    What persists, and so is no churn, is known then. Figures are not taken that are so much later
    that the exporter has withdrawn what EC2 told, as happens on a machine that stalls.
    """
    for _ in range(2):
        instant = eventually(
            partial(_cycle_after, exporter, instant), f"a cycle that began after {instant}"
        ).cycle
    for _ in range(2):
        instant = eventually(
            partial(_survey_after, exporter, instant), f"a survey that began after {instant}"
        ).subnets

    def look() -> Samples | None:
        # What a survey told is in the cycles that begin after it, and instance types come last.
        found = _cycle_after(exporter, instant + 0.1)
        if found is None or time.time() - found.enis_began >= WITHDRAWN_AFTER * period:
            return None
        return parse(found.text)

    return eventually(look, "a cycle soon after a survey")


@dataclass(frozen=True, slots=True)
class Progress:
    """A page, and when what it says was read; the whole of it is not parsed to know that."""

    text: str
    cycle_began: float
    cycle: float
    enis_began: float
    enis: float
    subnets: float


def _progress(exporter: Daemon) -> Progress:
    text = exporter.page()
    told = clocks(text)
    return Progress(
        text,
        began(told, "ipamd"),
        ended(told, "ipamd"),
        began(told, "ec2_enis"),
        ended(told, "ec2_enis"),
        ended(told, "ec2_subnets"),
    )


def _cycle_after(exporter: Daemon, instant: float) -> Progress | None:
    found = _progress(exporter)
    return found if found.cycle_began > instant else None


def _survey_after(exporter: Daemon, instant: float) -> Progress | None:
    """Look for a survey that began after an instant, and the subnets that were read after it."""
    found = _progress(exporter)
    done = found.enis_began > instant and found.subnets > found.enis
    return found if done else None


def at(name: str, source: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """Return how a figure of the exporter's own is found by its source."""
    return key(f"vpc_cni_exporter_{name}", source=source)


def steady(truth: Mapping[str, Any], samples: Samples) -> Samples:
    """Return samples without what an error just growing old decides, which may be so or so."""
    nodes = set(truth["wavering"])
    return {
        (name, labels): value
        for (name, labels), value in samples.items()
        if not (name == BLOCKED and dict(labels)["node"] in nodes)
    }


def wrong(truth: Mapping[str, Any], samples: Samples) -> list[Difference]:
    """Return what differs from the truth: the sample, what it should be, and what it is."""
    return differences(steady(truth, expected(truth)), steady(truth, published(samples)))


def values(samples: Samples, name: str, **labels: str) -> list[float]:
    """Return the values of a metric that have these labels."""
    wanted = labels.items()
    return [value for (it, found), value in samples.items() if it == name and wanted <= set(found)]


@dataclass(slots=True)
class Seen:
    """What there was to see over all steps, so that nothing was right for want of cases."""

    reasons: set[str] = field(default_factory=set)
    modes: set[str] = field(default_factory=set)
    introspected: set[float] = field(default_factory=set)
    states: set[str] = field(default_factory=set)
    drifting: set[str] = field(default_factory=set)

    def add(self, samples: Samples) -> None:
        """Note what one moment shows."""
        for (name, labels), value in samples.items():
            told = dict(labels)
            if name == BLOCKED:
                self.reasons.add(told["reason"])
            elif name == "vpc_cni_node_info":
                self.modes.add(told["ip_mode"])
            elif name == "vpc_cni_cluster_ip_addresses" and value:
                self.states.add(told["state"])
            elif name == "vpc_cni_cluster_introspected_nodes":
                self.introspected.add(value)
            elif name in DRIFTS and value:
                self.drifting.add(name)


def lived(folder: Path, introspection: str, *, seed: int, steps: int) -> Seen:
    """Let the cluster live, hold every figure against the truth in every step, tell what was."""
    found, seen = [], Seen()
    arguments = ("--seed", str(seed), "--speed", str(LIFE_SECONDS / steps))
    with modes(folder, "--introspection", introspection, *arguments) as (sim, exporter):
        for step in range(steps):
            samples = settled(exporter, sim.truth()["advanced_at"])
            truth = sim.truth()
            found += [(step, *it) for it in wrong(truth, samples)]
            seen.add(samples)
            sim.step()
        assert exporter.stop() == 0
    for it in found:
        print("WRONG", it)
    assert found == []
    return seen


def check(seen: Seen, *, introspected: Set[float], states: Set[str]) -> None:
    """Hold what was seen against what there must have been."""
    assert seen.reasons == REASONS - ({"cooldown"} if "cooldown" not in states else set())
    assert seen.modes - {""} == {"secondary", "prefix", "mixed", "ipv6"}
    assert seen.states == states
    assert max(seen.introspected) in introspected
