"""What happens to a simulated world before each cycle: faults, events, and a step of life.

The seed alone decides it. Faults and events are those of the simulator. Soak and tests share it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Any, Protocol

from exporter.sim.faults import Fault

# These cost a cycle the whole time limit, or megabytes, so only a cycle in so many has one.
SLOW = (Fault.HANG, Fault.HANG_CONNECT, Fault.DRIP, Fault.ENDLESS, Fault.GZIP_BOMB)
QUICK = tuple(fault for fault in Fault if fault not in SLOW)
SLOW_EVERY = 10
_SLOW_NODES = 3
_MOST_JOINING = 3
# What happens to a pod stays until another event; `run` brings it back.
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
    "heartbeat",
    "remove_node",
)


class World(Protocol):
    """A simulated cluster, by its control."""

    def control(self, path: str, body: object = None) -> Any:
        """Return what the control answers; a body makes it a POST."""

    def nodes(self) -> list[str]:
        """Return the names of the nodes that run aws-node."""

    def step(self) -> None:
        """Move every node on."""


class Churn:
    """The troubles of a world, one round of them after the other."""

    def __init__(self, world: World, seed: int, *, share: int = 20) -> None:
        """Trouble one of so many nodes of a world in each round, as the seed decides."""
        self._world = world
        self._random = random.Random(seed)
        self._share = share
        self._quick = cycle(QUICK)
        self._events = cycle(EVENTS)
        self._victims: list[str] = []
        self._size = len(world.nodes())
        self._rounds = 0

    def next(self, *, slow: bool = True) -> None:
        """Heal what was out of order, put other nodes out of order, and let life go on.

        Something happens to one node in 200 beside. There are as many nodes as there were at first.
        Without `slow`, no fault takes a cycle longer.
        """
        self._rounds += 1
        self._world.control("/faults", {"nodes": "all", "fault": None})
        nodes = self._world.nodes()
        for fault, names in self._faults(nodes, slow and self._rounds % SLOW_EVERY == 0):
            self._world.control("/faults", {"nodes": names, "fault": fault.value})
        self._happen(nodes)
        self._replace(len(nodes))
        self._world.step()

    def _faults(self, nodes: Sequence[str], slow: bool) -> Iterator[tuple[Fault, list[str]]]:
        chosen = self._random.sample(nodes, max(len(nodes) // self._share, 1))
        if slow:
            kind = SLOW[self._rounds // SLOW_EVERY % len(SLOW)]
            yield kind, chosen[:_SLOW_NODES]
            chosen = chosen[_SLOW_NODES:]
        # Where there are fewer nodes than faults, the next round goes on with those left.
        faults = list(islice(self._quick, min(len(chosen), len(QUICK))))
        for number, fault in enumerate(faults):
            yield fault, chosen[number :: len(faults)]

    def _happen(self, nodes: Sequence[str]) -> None:
        event = next(self._events)
        here = set(nodes)
        self._victims = [name for name in self._victims if name in here]
        if event != "run" or not self._victims:
            self._victims = self._random.sample(nodes, max(len(nodes) // 200, 1))
        self._world.control("/events", {"event": event, "nodes": self._victims})

    def _replace(self, nodes: int) -> None:
        """Have nodes join in place of those that left."""
        for _ in range(min(self._size - nodes, _MOST_JOINING)):
            self._world.control("/events", {"event": "join", "nodes": []})
