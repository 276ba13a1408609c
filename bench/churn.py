"""What happens to the world of a soak before each cycle: faults, events, and a step of life.

The seed alone decides it. Faults and events are those of the simulator.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import cycle

from bench.peers import World
from exporter.sim.faults import Fault

# These cost a cycle the whole time limit, or megabytes, so only a cycle in so many has one.
SLOW = (Fault.HANG, Fault.HANG_CONNECT, Fault.DRIP, Fault.ENDLESS, Fault.GZIP_BOMB)
QUICK = tuple(fault for fault in Fault if fault not in SLOW)
SLOW_EVERY = 10
_SLOW_NODES = 3
_SHARE = 20
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


class Churn:
    """The troubles of a world, one round of them after the other."""

    def __init__(self, world: World, seed: int) -> None:
        """Trouble a world, as the seed decides."""
        self._world = world
        self._random = random.Random(seed)
        self._events = cycle(EVENTS)
        self._victims: list[str] = []
        self._rounds = 0

    def next(self, *, slow: bool = True) -> None:
        """Heal what was out of order, put other nodes out of order, and let life go on.

        A twentieth of the nodes has a fault, and something happens to one in 200. There are as many
        nodes as there were at first. Without `slow`, no fault takes a cycle longer.
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
        chosen = self._random.sample(nodes, max(len(nodes) // _SHARE, 1))
        if slow:
            kind = SLOW[self._rounds // SLOW_EVERY % len(SLOW)]
            yield kind, chosen[:_SLOW_NODES]
            chosen = chosen[_SLOW_NODES:]
        for number, fault in enumerate(QUICK):
            if names := chosen[number :: len(QUICK)]:
                yield fault, names

    def _happen(self, nodes: Sequence[str]) -> None:
        event = next(self._events)
        here = set(nodes)
        self._victims = [name for name in self._victims if name in here]
        if event != "run" or not self._victims:
            self._victims = self._random.sample(nodes, max(len(nodes) // 200, 1))
        self._world.control("/events", {"event": event, "nodes": self._victims})

    def _replace(self, nodes: int) -> None:
        """Have nodes join in place of those that left."""
        for _ in range(min(self._world.size.nodes - nodes, _MOST_JOINING)):
            self._world.control("/events", {"event": "join", "nodes": []})
