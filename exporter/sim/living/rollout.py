"""A rollout of aws-node: another release on the DaemonSet, then node after node, between steps."""

from collections.abc import Set
from dataclasses import replace

from exporter.sim import events, objects
from exporter.sim.cluster import Cluster
from exporter.sim.living.kubelets import LivingNode
from exporter.sim.living.world import World
from exporter.sim.nodes import Phase


def set_release(cluster: Cluster, version: str) -> None:
    """Have new aws-node pods be of this release."""
    cluster.plan = replace(cluster.plan, image_tag=version)


class Rollout:
    """Brings all nodes, or those of some groups, to one release, a tenth of them at a time."""

    def __init__(self, world: World, version: str, *, groups: Set[str] = frozenset()) -> None:
        self.version = version
        self._world = world
        self._groups = groups
        self._begun: list[LivingNode] = []
        cluster = world.cluster
        if groups:
            # They have a DaemonSet of their own.
            for living in world.nodes.values():
                if living.node.machine.group in groups:
                    living.node.image_tag = version
            return
        set_release(cluster, version)
        cluster.store.put(
            "daemonsets",
            objects.daemon_set(cluster.plan, len(cluster.expected)),
            fields={"metadata.name": "aws-node", "metadata.namespace": cluster.namespace},
        )

    def step(self) -> None:
        """Bring up what the last step began, and begin with the next nodes."""
        world = self._world
        for living in self._begun:
            target = living.node.target
            if target is not None and target.phase is Phase.PENDING:
                events.come_up(world.cluster, living.node)
        self._begun = [node for node in world.nodes.values() if self._due(node)]
        del self._begun[max(1, len(world.nodes) // 10) :]
        for living in self._begun:
            events.begin_rollout(world.cluster, living.node)

    def _due(self, living: LivingNode) -> bool:
        """Whether a pod of another release runs there, and none is on its way already."""
        if self._groups and living.node.machine.group not in self._groups:
            return False
        serving = living.node.serving
        if serving is None or serving is not living.node.target or serving.terminating:
            return False
        return serving.version != self.version
