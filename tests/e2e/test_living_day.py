"""A day of a living cluster in a minute: every figure equals the truth, whatever the day brings."""

from __future__ import annotations

import random
from itertools import cycle
from pathlib import Path

from exporter.sim.faults import Fault
from tests.e2e.world import (
    Samples,
    Simulation,
    daemon,
    differences,
    expected,
    fell,
    key,
    published,
    simulation,
)

DAY_SECONDS = 86_400
STEPS = 180
NODES = 24
# Faults of every kind are told apart elsewhere; these cost a cycle no time.
FAULTS = (
    Fault.REFUSE,
    Fault.STATUS_500,
    Fault.TRUNCATED,
    Fault.CUT_LINE,
    Fault.RUBBISH,
    Fault.REDIRECT,
    Fault.INCONSISTENT,
    Fault.MISSING_FAMILY,
    Fault.EMPTY,
)
# What happens to one node after the other, beside what the scenario does to all.
EVENTS = ("restart", "replace_pod", "delete_pod", "run", "begin_rollout", "run", "remove_node")
RELEASES = {"v1.8", "v1.9", "v1.10", "v1.12", "v1.15", "v1.16", "v1.18", "v1.19", "v1.20", "v1.23"}


class Trouble:
    """A tenth of the nodes fails in each step, and every other step something happens to one."""

    def __init__(self, sim: Simulation, seed: int) -> None:
        self._sim = sim
        self._random = random.Random(seed)
        self._faults = cycle(FAULTS)
        self._events = cycle(EVENTS)
        self._victim = ""

    def next(self, step: int) -> None:
        nodes = regular(self._sim)
        self._sim.control("/faults", {"nodes": "all", "fault": None})
        for name in self._random.sample(nodes, len(nodes) // 10):
            self._sim.control("/faults", {"nodes": [name], "fault": next(self._faults).value})
        if step % 2:
            event = next(self._events)
            if event != "run" or self._victim not in nodes:
                self._victim = self._random.choice(nodes)
            self._sim.control("/events", {"event": event, "nodes": [self._victim]})


def regular(sim: Simulation) -> list[str]:
    nodes = sim.control("/state")["nodes"]
    return [node["name"] for node in nodes if node["kind"] == "regular"]


def versions(samples: Samples) -> set[str]:
    told = (dict(labels) for name, labels in samples if name == "vpc_cni_node_info")
    return {".".join(labels["cni_version"].split(".")[:2]) for labels in told} - {""}


def refusals(samples: Samples, error: str) -> float:
    return sum(
        value
        for (name, labels), value in samples.items()
        if name == "vpc_cni_cluster_aws_api_errors_total" and ("error", error) in labels
    )


def test_every_figure_of_a_living_day_equals_the_truth_in_every_cycle(tmp_path: Path) -> None:
    wrong: list[object] = []
    seen: set[str] = set()
    modes: set[str] = set()
    before: Samples = {}
    day = ("--living", "--scenario", "day", "--speed", str(DAY_SECONDS / STEPS))
    with (
        simulation(tmp_path, "--nodes", str(NODES), "--seed", "1", *day) as sim,
        daemon(tmp_path, sim, EXPORTER_INTERVAL="0.05") as exporter,
    ):
        trouble = Trouble(sim, 1)
        for step in range(STEPS):
            now = exporter.cycle_after(sim.truth()["advanced_at"])
            wrong += [
                (step, *found) for found in differences(expected(sim.truth()), published(now))
            ]
            wrong += [(step, *found) for found in fell(before, now)]
            seen |= versions(now)
            modes |= {dict(labels).get("ip_mode", "") for _, labels in now}
            before = now
            trouble.next(step)
            sim.step()
        simulated = sim.control("/state")["simulated"]
        assert exporter.stop() == 0
    for w in wrong:
        print("WRONG", w)
    assert wrong == []
    assert simulated >= DAY_SECONDS
    assert seen == RELEASES
    assert modes >= {"secondary", "prefix", "mixed"}
    for name in ("add_requests", "ip_assignment_failures"):
        assert before[key(f"vpc_cni_cluster_{name}_total")] > 100
    for error in ("InsufficientCidrBlocks", "RequestLimitExceeded"):
        assert refusals(before, error) > 0
