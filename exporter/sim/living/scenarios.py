"""What happens in a living cluster, told as stories: each acts once a simulated minute.

A scenario sets the workload, EC2's weather and the release to roll out; the world does the rest.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from exporter.core.pool import PREFIX
from exporter.sim.cluster import LATEST
from exporter.sim.fleet import ZONES
from exporter.sim.living.types import GROUPS, Group
from exporter.sim.living.workload import CronJob, Deployment
from exporter.sim.living.world import World

_PER_NODE = 62
_HOUR = 3600.0


class Scenario(Protocol):
    """One story; `releases` are those that nodes begin with, by share, `release` the aim.

    With `pod_subnets` each zone has a second subnet, tagged for pods, and where some nodes use
    `prefixes`, half of each nodes' subnet is kept for them. `env` is what aws-node is
    set to beside the usual, `newcomer` what a node is that joins; unless the cluster is
    `autoscaled`, none comes or goes by itself.
    """

    releases: Mapping[str, int]
    release: str
    pod_subnets: bool
    prefixes: bool
    env: Mapping[str, str]
    newcomer: Group
    autoscaled: bool

    def size(self, zone: str, nodes: int) -> int:
        """How large the subnet of a zone with so many nodes is."""

    def settle(self, world: World, nodes: int) -> None:
        """Fill an empty world with about so many nodes and their pods."""

    def halfway(self, world: World) -> None:
        """Change what is to change before anybody looks."""

    def minute(self, world: World) -> str:
        """Act, and tell what is going on."""


def ordinary(world: World, nodes: int) -> None:
    """Give a cluster of so many nodes an ordinary workload."""
    day = (
        (6, "web", 150, 0.4),
        (4, "api", 200, 0.3),
        (3, "worker", 250, 0.1),
        (2, "cache", 300, 0),
    )
    for share, name, cpu, swing in day:
        world.workload.deploy(Deployment(name, cpu, base=nodes * share * 0.9, swing=swing))
    for zone in ZONES:
        world.workload.deploy(Deployment(f"store-{zone[-1]}", 200, base=nodes / 6, zone=zone))
    if world.settings.pod_eni:
        world.workload.deploy(Deployment("vault", 100, base=nodes / 4, branch=True))
    burst = max(2, nodes // 2)
    world.workload.jobs += [
        CronJob("report", every=300, burst=burst, lasts=90),
        CronJob("backup", every=_HOUR / 2, burst=2 * burst, lasts=400),
    ]


def subnet_size(nodes: int, fullness: float) -> int:
    """Choose a subnet size, /24 to /16, that so many nodes fill to this share at most."""
    needed = nodes * _PER_NODE / fullness
    return min(max(256, 1 << (int(needed) - 1).bit_length()), 65_536)


class Normal:
    """Three zones and ordinary days: pods come and go, a Deployment is replaced every hour."""

    releases: Mapping[str, int] = {LATEST: 4, "v1.19.2-eksbuild.1": 1}
    release = LATEST
    pod_subnets = False
    prefixes = False
    env: Mapping[str, str] = MappingProxyType({})
    newcomer = GROUPS["general"]
    autoscaled = True

    def fullness(self, zone: str) -> float:
        """How full a zone's subnet is at most when the story begins: little more than half."""
        return 0.6

    def size(self, zone: str, nodes: int) -> int:
        """So large that the nodes fill it no more than they are meant to."""
        return subnet_size(nodes, self.fullness(zone))

    def settle(self, world: World, nodes: int) -> None:
        """Spread nodes of the usual groups and the story's releases over the zones."""
        groups, releases = list(GROUPS.values()), self.releases
        for number in range(nodes):
            kind = world.rng.choices(groups, [group.share for group in groups])[0]
            version = world.rng.choices(list(releases), list(releases.values()))[0]
            age = world.rng.uniform(2 * _HOUR, 900 * _HOUR)
            world.settle(kind, ZONES[number % len(ZONES)], age=age, version=version)
        ordinary(world, nodes)

    def halfway(self, world: World) -> None:
        """Change nothing."""

    def minute(self, world: World) -> str:
        """Let the hour's Deployment be replaced."""
        world.weather.throttled = 0.001
        replace_hourly(world)
        return "normal life: " + census(world)


class Steady(Normal):
    """Normal life without day and night, so that nothing grows or shrinks in the long run."""

    def minute(self, world: World) -> str:
        """Take the day's wave out of every Deployment; the ripple of minutes stays."""
        for deployment in world.workload.deployments.values():
            deployment.swing = 0.0
        return super().minute(world)


class Exhaustion(Normal):
    """Normal life until a Deployment bound to one zone and a Lambda function fill its subnet."""

    zone = ZONES[1]
    _CALM, _FULL, _STEPS = 4, 12, 8

    def __init__(self) -> None:
        self._phase = "calm"
        self._minutes = 0
        self._growth = self._crowd = 0

    def fullness(self, zone: str) -> float:
        """Fuller in the zone of the story."""
        return 0.9 if zone == self.zone else 0.6

    def minute(self, world: World) -> str:
        """Go through calm, filling, full and relief, again and again."""
        super().minute(world)
        if "checkout" not in world.workload.deployments:
            world.workload.deploy(Deployment("checkout", 20, base=5, zone=self.zone))
        self._minutes += 1
        surge = world.workload.deployments["checkout"]
        waiting = waiting_in(world, self.zone)
        match self._phase:
            case "calm" if self._minutes >= self._CALM:
                self._growth = self._room(world) // self._STEPS + 1
                self._crowd = world.subnet(self.zone).available // self._STEPS + 1
                self._turn("filling")
            case "filling":
                surge.extra += self._growth
                world.foreign.crowd(world.subnet(self.zone), self._crowd)
                if waiting:
                    self._turn("full")
            case "full":
                world.foreign.crowd(world.subnet(self.zone), self._crowd)
                if self._minutes >= self._FULL:
                    self._turn("relief")
            case "relief":
                surge.extra = max(0, surge.extra - 3 * self._growth)
                world.foreign.disperse(3 * self._crowd)
                if not (waiting or surge.extra or world.foreign.crowded):
                    self._turn("calm")
        return self._told(world, waiting)

    def _turn(self, phase: str) -> None:
        self._phase, self._minutes = phase, 0

    def _room(self, world: World) -> int:
        """How many more pods fit into the zone."""
        warm = sum(
            node.host.pool.attached - node.host.pool.assigned for node in world.zones()[self.zone]
        )
        held = world.subnet(self.zone).held
        return (held.free_blocks + held.free_reserved_blocks) * PREFIX + warm

    def _told(self, world: World, waiting: int) -> str:
        subnet = world.subnet(self.zone)
        blocks = subnet.held.free_blocks + subnet.held.free_reserved_blocks
        left = f"{subnet.name} has {subnet.available} addresses and {blocks} whole /28 left"
        match self._phase:
            case "filling":
                return f"{self.zone}: checkout and a Lambda function are scaled up, {left}"
            case "full":
                return f"{self.zone}: {waiting} pods wait for an address, {left}"
            case "relief":
                return f"{self.zone}: both are scaled down, {waiting} pods still wait, {left}"
        return "normal life: " + census(world)


class Discovery(Normal):
    """Ordinary days over six subnets: in each zone one for nodes, and one tagged for pods."""

    pod_subnets = True


class Rollout(Normal):
    """aws-node is rolled from one release to the next while Deployments are replaced."""

    releases: Mapping[str, int] = {"v1.18.2-eksbuild.1": 1}

    def __init__(self) -> None:
        self._minutes = 0

    def minute(self, world: World) -> str:
        """Begin after two minutes; replace a Deployment every ten."""
        world.weather.throttled = 0.001
        self._minutes += 1
        if self._minutes % 10 == 5:
            names = sorted(world.workload.deployments)
            name = names[self._minutes // 10 % len(names)]
            world.workload.deployments[name].roll_out()
        if self._minutes == 2:
            world.roll_out_to = self.release
        replaced = sorted(d.name for d in world.workload.deployments.values() if d.stale)
        text = f"aws-node: {release_census(world)}"
        return text + (f"; {', '.join(replaced)} being replaced" if replaced else "")


class Day(Exhaustion):
    """A day with everything in it: every release, throttling, two rollouts, a subnet that fills."""

    releases: Mapping[str, int] = {
        "v1.8.0-eksbuild.1": 1,
        "v1.9.3-eksbuild.1": 1,
        "v1.10.4-eksbuild.1": 1,
        "v1.12.6-eksbuild.2": 1,
        "v1.15.1-eksbuild.1": 1,
        "v1.16.4-eksbuild.2": 1,
        "v1.18.2-eksbuild.1": 1,
        "v1.19.2-eksbuild.1": 1,
        "v1.20.4-eksbuild.1": 1,
        LATEST: 2,
    }
    release = "v1.19.3-eksbuild.1"
    _CALM, _FULL, _STEPS = 150, 40, 30

    def minute(self, world: World) -> str:
        """Roll out at ten and at eighteen, and let EC2 throttle from three to five."""
        told = super().minute(world)
        hour = world.time.now / _HOUR
        world.weather.throttled = 0.2 if 15 <= hour % 24 < 17 else 0.002
        if hour >= 18:
            world.roll_out_to = LATEST
        elif hour >= 10:
            world.roll_out_to = self.release
        return f"{int(hour) % 24:02d}:{int(hour * 60) % 60:02d} {told}; {release_census(world)}"


SCENARIOS: Mapping[str, type[Scenario]] = {
    "normal": Normal,
    "steady": Steady,
    "discovery": Discovery,
    "exhaustion": Exhaustion,
    "rollout": Rollout,
    "day": Day,
}


def replace_hourly(world: World) -> None:
    """Replace one Deployment in the first minute of every hour, each in turn."""
    minutes = round(world.time.now / 60)
    if minutes % 60 == 1:
        names = sorted(world.workload.deployments)
        world.workload.deployments[names[minutes // 60 % len(names)]].roll_out()


def waiting_in(world: World, zone: str) -> int:
    """Count the pods of a zone that were there a minute and have no address yet."""
    now = world.time.now
    return sum(
        world.nodes[pod.node].zone == zone and now - pod.born >= 60
        for pod in world.kubelets.waiting
    )


def census(world: World) -> str:
    """Say how many nodes and pods there are, and what they wait for."""
    pods = sum(len(node.pods) for node in world.nodes.values())
    waiting, pending = len(world.kubelets.waiting), len(world.workload.pending)
    return f"{len(world.nodes)} nodes, {pods} pods, {waiting} without address, {pending} unplaced"


def release_census(world: World) -> str:
    """Say how many nodes run which release."""
    found: dict[str, int] = {}
    for living in world.nodes.values():
        if (pod := living.node.serving) is not None:
            found[pod.version] = found.get(pod.version, 0) + 1
    return ", ".join(f"{number} on {v.partition('-')[0]}" for v, number in sorted(found.items()))
