"""The living cluster as the story of a simulation: its beginning, its steps, and who joins."""

from exporter.sim.cluster import Cluster
from exporter.sim.fleet import ZONES
from exporter.sim.living import scenarios
from exporter.sim.living.autoscaler import Autoscaler
from exporter.sim.living.rollout import Rollout, set_release
from exporter.sim.living.scenarios import SCENARIOS
from exporter.sim.living.types import GROUPS
from exporter.sim.living.world import TICK_SECONDS, World
from exporter.sim.nodes import Node
from exporter.sim.vpc import Refusal, Vpc

_HOUR = 3600.0
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
        sizes = {zone: scenarios.subnet_size(share, scenario.fullness(zone)) for zone in ZONES}
        world = self._living = World(
            cluster, seed=self._seed, sizes=sizes, pod_subnets=scenario.pod_subnets
        )
        self._autoscaler = Autoscaler(world, floor=max(1, self._nodes * 3 // 4))
        if len(scenario.releases) == 1:
            set_release(cluster, *scenario.releases)
        for number in range(self._nodes):
            self._settle(ZONES[number % len(ZONES)])
        scenarios.ordinary(world, self._nodes)
        for _ in range(_WARM_UP_TICKS):
            world.tick()
        self.told = scenario.minute(world)
        cluster.settle()

    def step(self, cluster: Cluster) -> None:
        """Show what has changed since, then let simulated time pass."""
        world = self.world
        assert self._autoscaler is not None
        world.step += 1
        world.bury()
        world.come_up()
        self._autoscaler.step()
        world.bury()
        self._roll_out()
        self._pass(self.seconds)

    def join(self, cluster: Cluster) -> Node:
        """Add a young node, whose pod is yet to come up."""
        zone = ZONES[len(cluster.nodes) % len(ZONES)]
        living = self.world.join(GROUPS["general"], zone)
        if living is None:
            raise Refusal("InsufficientFreeAddressesInSubnet", f"{zone} has no address for a node")
        return living.node

    def _settle(self, zone: str) -> None:
        world, scenario = self.world, self._scenario
        kind = world.rng.choices(list(GROUPS.values()), [g.share for g in GROUPS.values()])[0]
        releases = scenario.releases
        version = world.rng.choices(list(releases), list(releases.values()))[0]
        world.settle(kind, zone, age=world.rng.uniform(2 * _HOUR, 900 * _HOUR), version=version)

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
            self._rollout = Rollout(self.world, wanted)
        if self._rollout is not None:
            self._rollout.step()
