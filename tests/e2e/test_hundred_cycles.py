"""Some hundred cycles in which a tenth of the nodes fails, in every way there is."""

from __future__ import annotations

import random
from collections.abc import Iterator
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

STEPS = 100
NODES = 40
# A node that says nothing costs a cycle the whole time limit, which must be long enough for a
# busy machine to take in 16 MiB of an endless body.
TIMEOUT = "1.2"
SLOW = (Fault.HANG, Fault.HANG_CONNECT, Fault.DRIP)
QUICK = tuple(fault for fault in Fault if fault not in SLOW)
# After a fault is gone the node answers again; what happened to its pod stays until another event.
EVENTS = (
    "restart",
    "replace_pod",
    "delete_pod",
    "run",
    "pend",
    "run",
    "begin_rollout",
    "run",
    "join",
    "terminate",
    "run",
    "remove_node",
)


class Story:
    """What goes wrong in each step: every fault and every event in turn, somewhere."""

    def __init__(self, sim: Simulation, seed: int) -> None:
        self._sim = sim
        self._random = random.Random(seed)
        self._quick = cycle(QUICK)
        self._faults = self._mixed()
        self._events = cycle(EVENTS)
        self._victim = ""

    def _mixed(self) -> Iterator[Fault]:
        for slow in cycle(SLOW):
            yield slow
            for _ in range(19):
                yield next(self._quick)

    def next(self) -> None:
        nodes = [
            node["name"]
            for node in self._sim.control("/state")["nodes"]
            if node["kind"] == "regular"
        ]
        self._sim.control("/faults", {"nodes": "all", "fault": None})
        for name in self._random.sample(nodes, len(nodes) // 10):
            self._sim.control("/faults", {"nodes": [name], "fault": next(self._faults).value})
        event = next(self._events)
        if event != "run" or self._victim not in nodes:
            self._victim = self._random.choice(nodes)
        self._sim.control("/events", {"event": event, "nodes": [self._victim]})
        self._sim.step()


def reasons(samples: Samples) -> set[str]:
    return {
        dict(labels)["reason"]
        for (name, labels), value in samples.items()
        if name == "vpc_cni_cluster_unread_nodes" and value
    }


def test_every_figure_equals_the_truth_in_every_cycle_and_no_counter_falls(tmp_path: Path) -> None:
    wrong: list[object] = []
    seen: set[str] = set()
    before: Samples = {}
    with (
        simulation(tmp_path, "--nodes", str(NODES), "--startup", "0.05") as sim,
        daemon(
            tmp_path, sim, EXPORTER_INTERVAL="0.05", EXPORTER_SCRAPE_TIMEOUT=TIMEOUT
        ) as exporter,
    ):
        story = Story(sim, 1)
        for step in range(STEPS):
            now = exporter.cycle_after(sim.truth()["advanced_at"])
            wrong += [
                (step, *found) for found in differences(expected(sim.truth()), published(now))
            ]
            wrong += [(step, *found) for found in fell(before, now)]
            seen |= reasons(now)
            before = now
            story.next()
        assert exporter.stop() == 0
        followed = sim.control("/requests")["redirects_followed"]
    assert wrong == []
    assert followed == 0
    assert seen == {
        "no_pod",
        "starting",
        "pending",
        "timeout",
        "unreachable",
        "http_status",
        "malformed",
        "too_large",
        "incomplete",
        "inconsistent",
    }
    assert before[key("vpc_cni_cluster_add_requests_total")] > 0
