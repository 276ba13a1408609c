"""The living cluster as the story of a simulation: its beginning, its steps, and who joins."""

from dataclasses import replace

from exporter.sim.cluster import Cluster
from exporter.sim.fleet import ZONES
from exporter.sim.living.all_scenarios import SCENARIOS
from exporter.sim.living.autoscaler import Autoscaler
from exporter.sim.living.rollout import Rollout, set_release
from exporter.sim.living.world import TICK_SECONDS, World
from exporter.sim.nodes import Node
from exporter.sim.vpc import Refusal, Vpc

_WARM_UP_TICKS = 120
_MINUTE_TICKS = 60 // TICK_SECONDS


class Living:
    """A cluster of at first `nodes` nodes; a step is `seconds` of simulated time."""

    def __init__(
        self, nodes: int, *, seed: int = 1, scenario: str = "normal", seconds: float = 30.0
    ) -> None:
        self.seconds = seconds
        self.told = ""
        self._nodes = nodes
        self._seed = seed
        self._scenario = SCENARIOS[scenario]()
        self._living: World | None = None
        self._autoscaler: Autoscaler | None = None
        self._rollout: Rollout | None = None
        self._owed = 0.0
        self._ticks = 0

    @property
    def world(self) -> World:
        """The world, once it has begun."""
        assert self._living is not None, "the story has not begun"
        return self._living

    @property
    def vpc(self) -> Vpc:
        """The VPC, once the story has begun."""
        return self.world.vpc

    def begin(self, cluster: Cluster) -> None:
        """Fill an empty cluster and let it live for ten minutes that nobody sees."""
        scenario, share = self._scenario, -(-self._nodes // len(ZONES))
        cluster.plan = replace(cluster.plan, env={**cluster.plan.env, **scenario.env})
        sizes = {zone: scenario.size(zone, share) for zone in ZONES}
        world = self._living = World(
            cluster,
            seed=self._seed,
            sizes=sizes,
            pod_subnets=scenario.pod_subnets,
            prefixes=scenario.prefixes,
        )
        if scenario.autoscaled:
            self._autoscaler = Autoscaler(world, floor=max(1, self._nodes * 3 // 4))
        if len(scenario.releases) == 1:
            set_release(cluster, *scenario.releases)
        scenario.settle(world, self._nodes)
        for tick in range(_WARM_UP_TICKS):
            if tick == _WARM_UP_TICKS // 2:
                scenario.halfway(world)
            world.tick()
        self.told = scenario.minute(world)
        world.show_features()
        cluster.settle()

    def step(self, cluster: Cluster) -> None:
        """Show what has changed since, then let simulated time pass."""
        world = self.world
        world.step += 1
        world.bury()
        world.come_up()
        if self._autoscaler is not None:
            self._autoscaler.step()
            world.bury()
        self._roll_out()
        world.show_features()
        self._pass(self.seconds)

    def join(self, cluster: Cluster) -> Node:
        """Add a young node, whose pod is yet to come up."""
        zone = ZONES[len(cluster.nodes) % len(ZONES)]
        living = self.world.join(self._scenario.newcomer, zone)
        if living is None:
            raise Refusal("InsufficientFreeAddressesInSubnet", f"{zone} has no address for a node")
        return living.node

    def _pass(self, seconds: float) -> None:
        self._owed += seconds
        while self._owed >= TICK_SECONDS:
            self._owed -= TICK_SECONDS
            self.world.tick()
            self._ticks += 1
            if self._ticks % _MINUTE_TICKS == 0:
                self.told = self._scenario.minute(self.world)

    def _roll_out(self) -> None:
        wanted = self.world.roll_out_to
        if wanted and (self._rollout is None or self._rollout.version != wanted):
            self._rollout = Rollout(self.world, wanted, groups=self.world.roll_out_in)
        if self._rollout is not None:
            self._rollout.step()
