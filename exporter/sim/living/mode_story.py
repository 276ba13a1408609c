"""A small cluster with every mode of the CNI at once, and what befalls them."""

from collections.abc import Callable, Mapping

from exporter.sim import events
from exporter.sim.cluster import LATEST
from exporter.sim.fleet import ZONES
from exporter.sim.living import beside, modes
from exporter.sim.living.mishaps import detach_in_use, take_slots
from exporter.sim.living.scenarios import Normal, census, release_census
from exporter.sim.living.types import Group
from exporter.sim.living.workload import CronJob, Deployment
from exporter.sim.living.world import World

_HOUR = 3600.0
_CNI_ROLE = "kubernetes.io/role/cni"
_ZONE_SUBNET = 1024
# So many pods more than fit, or so many that ipamd has to ask EC2 for more.
_EXTRA = {
    "capped": 34,
    "full": 12,
    "tight": 60,
    "tight-capped": 40,
    "custom": 45,
    "custom-secure": 50,
    "lean": 6,
    "forced": 24,
}
# Pods of a node that its group alone has: so many that they need more than one ENI, or not.
_MANY, _FEW = 9, 3
# Subnets of a group's own: name, zone, CIDR, tag.
_SUBNETS = (
    ("picky-a", 0, "10.10.0.0/24", ""),
    ("pods-a", 0, "10.11.0.0/24", "1"),
    ("tight-b", 1, "10.12.0.0/25", ""),
    ("custom-a", 0, "100.64.0.0/28", ""),
    ("custom-b", 1, "100.64.1.0/26", ""),
    ("custom-c", 2, "100.64.2.0/26", ""),
    ("reserve-b", 1, "100.64.3.0/24", ""),
    ("spare-a", 0, "100.64.4.0/26", ""),
)


class Modes(Normal):
    """Every mode at once, and every mishap after the other; no node comes or goes by itself."""

    releases: Mapping[str, int] = {LATEST: 1}
    env = modes.ENV
    prefixes = True
    newcomer: Group = modes.PLAIN
    autoscaled = False

    def __init__(self) -> None:
        self._minutes = 0

    def size(self, zone: str, nodes: int) -> int:
        """The same for every zone: the nodes are always the same."""
        return _ZONE_SUBNET

    def settle(self, world: World, nodes: int) -> None:
        """Put in a node for every mode, whatever number was asked for, and their pods."""
        for name, number, cidr, tag in _SUBNETS:
            world.lay(name, ZONES[number], cidr, tags={_CNI_ROLE: tag} if tag else {})
        for zone in ZONES:
            world.cluster.configure_enis(zone, world.named(f"custom-{zone[-1]}").id)
        world.cluster.configure_enis("reserve", world.named("reserve-b").id)
        world.cluster.configure_enis("spare", world.named("spare-a").id)
        for place in modes.PLACES:
            age = world.rng.uniform(2 * _HOUR, 900 * _HOUR)
            group = modes.BY_NAME[place.group]
            living = world.settle(group, place.zone_name, age=age, version=place.release)
            living.node.image_tag = place.release
        beside.settle(world.cluster, world.vpc, [world.subnet(zone) for zone in ZONES])
        _deploy(world)

    def halfway(self, world: World) -> None:
        """Let the groups that were set to another mode go over to theirs."""
        world.change_settings()

    def minute(self, world: World) -> str:
        """Let what belongs to this minute happen."""
        world.weather.throttled = 0.0
        world.weather.refused.clear()
        told = "every mode: " + census(world)
        happens = _HAPPENS.get(self._minutes)
        if happens is not None:
            told = f"{happens(world)}; {release_census(world)}"
        self._minutes += 1
        return told


def _deploy(world: World) -> None:
    """Give every group pods that stay, and the whole cluster some that come and go."""
    deploy = world.workload.deploy
    nodes = len(modes.PLACES)
    deploy(
        Deployment("web", 100, base=nodes * 2.5, swing=0.1),
        Deployment("worker", 150, base=nodes * 1.5),
        Deployment("vault", 50, base=9, branch=True),
        Deployment("gpu", 50, base=8, interfaces=2),
    )
    for group in {place.group for place in modes.PLACES}:
        count = sum(place.group == group for place in modes.PLACES)
        each = _MANY if group == "forced" else _FEW
        deploy(Deployment(f"in-{group}", 50, base=each * count, group=group))
    world.workload.jobs += [
        CronJob("report", every=120, burst=nodes // 2, lasts=60, cpu=50),
        CronJob("tick", every=45, burst=nodes // 3, lasts=40, cpu=50),
    ]


def _more_branches(world: World) -> str:
    world.workload.deployments["vault"].extra = 6
    return "more pods have security groups of their own"


def _detach(world: World) -> str:
    for living in world.group("forced"):
        detach_in_use(world, living)
    return "somebody detaches ENIs that pods use"


def _roll_out(world: World) -> str:
    world.roll_out_in = frozenset({"rolling"})
    world.roll_out_to = LATEST
    world.workload.deployments["vault"].extra = 0
    return "aws-node is rolled out in the group `rolling`"


def _exclude(world: World) -> str:
    world.named("picky-a").tags[_CNI_ROLE] = "0"
    for living in (*world.group("picky"), *world.group("custom-picky")):
        events.restart(world.cluster, living.node)
    return "a subnet is excluded from pods, and aws-node starts anew there"


def _crowd(world: World) -> str:
    for name in ("tight-b", "reserve-b"):
        subnet = world.named(name)
        world.foreign.crowd(subnet, subnet.available // 2)
    return "Lambda functions leave hardly a block of two subnets whole"


def _scale_up(world: World) -> str:
    for group, more in _EXTRA.items():
        world.workload.deployments[f"in-{group}"].extra = more
    return "some groups get more pods than fit"


def _fill(world: World) -> str:
    for name in ("tight-b", "custom-a"):
        world.foreign.crowd(world.named(name), _ZONE_SUBNET)
    for living in world.group("lean"):
        take_slots(world, living)
    world.workload.deployments["in-lean"].extra = 12
    return "two subnets are full, and somebody takes the places of an ENI that ipamd wants"


def _refuse(world: World) -> str:
    world.weather.refused |= {
        "CreateNetworkInterface": "NetworkInterfaceLimitExceeded",
        "AssignPrivateIpAddresses": "RequestLimitExceeded",
    }
    world.workload.deployments["in-rolling"].extra = 24
    return "EC2 refuses ENIs and throttles"


def _limit(world: World) -> str:
    world.weather.refused["AttachNetworkInterface"] = "AttachmentLimitExceeded"
    world.workload.deployments["in-plain"].extra = 64
    return "EC2 attaches no more ENIs"


def _relieve(world: World) -> str:
    for deployment in world.workload.deployments.values():
        deployment.extra = 0
    world.foreign.disperse(_ZONE_SUBNET)
    return "all is scaled down again"


_HAPPENS: Mapping[int, Callable[[World], str]] = {
    1: _more_branches,
    2: _detach,
    3: _roll_out,
    4: _exclude,
    5: _crowd,
    6: _scale_up,
    8: _fill,
    9: _refuse,
    10: _limit,
    12: _relieve,
}
