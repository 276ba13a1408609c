"""Nodes that come when pods find no room and go when they stand empty, between two steps."""

import math
from collections import Counter

from exporter.sim import events
from exporter.sim.living.kubelets import LivingNode
from exporter.sim.living.types import GROUPS
from exporter.sim.living.world import World

_PATIENCE = 30.0
_MOST_AT_ONCE = 4
_FILL = 0.8
_IDLE_LOAD = 0.3
_QUIET_SECONDS = 900.0
_DRAIN_STEPS = 3


class Autoscaler:
    """Keeps at least `floor` nodes, and as many more as the pods need."""

    def __init__(self, world: World, *, floor: int) -> None:
        self._world = world
        self._floor = floor
        self._grown_at = 0.0
        self._draining_since = 0

    def step(self) -> None:
        """Add nodes, or drain one, or take the drained one away."""
        self._remove_drained()
        if not self._grow() and self._world.time.now - self._grown_at > _QUIET_SECONDS:
            self._drain()

    def _grow(self) -> bool:
        world = self._world
        now = world.time.now
        short: Counter[str] = Counter()
        for pod in world.workload.pending:
            if now - pod.born >= _PATIENCE:
                short[pod.zone] += pod.cpu
        room = sum(node.cpu for node in world.nodes.values() if not node.ready)
        wanted = 0
        for zone, cpu in short.items():
            group = world.rng.choices(list(GROUPS.values()), [g.share for g in GROUPS.values()])[0]
            number = math.ceil(max(0, cpu - room) / (group.type.cpu * _FILL))
            wanted += number
            for _ in range(min(number, _MOST_AT_ONCE)):
                world.join(group, zone or self._thinnest_zone())
        if wanted:
            self._grown_at = now
        return bool(wanted or short)

    def _thinnest_zone(self) -> str:
        zones = self._world.zones()
        return min(zones, key=lambda zone: len(zones[zone]))

    def _drain(self) -> None:
        world = self._world
        nodes = [node for node in world.nodes.values() if node.ready]
        if len(nodes) <= self._floor or any(node.draining for node in nodes):
            return
        idlest = min(nodes, key=lambda node: node.load)
        others = sum(node.cpu - node.used_cpu for node in nodes if node is not idlest)
        if idlest.load < _IDLE_LOAD and others > 2 * idlest.used_cpu:
            idlest.draining = True
            events.cordon(world.cluster, idlest.node)
            world.workload.stop(idlest.pods.values())
            self._draining_since = world.step

    def _remove_drained(self) -> None:
        world = self._world
        for living in [node for node in world.nodes.values() if node.draining]:
            if not living.pods or self._overdue(living):
                events.remove_node(world.cluster, living.node)

    def _overdue(self, living: LivingNode) -> bool:
        return living.ipamd is None and self._world.step - self._draining_since >= _DRAIN_STEPS
