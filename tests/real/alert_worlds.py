"""Clusters in which the cause of every alert is staged, and one in which nothing is wrong."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.world import Daemon, Simulation, daemon, simulation

# A machine that stalls must not make what EC2 told too old.
PERIOD = 0.8
# As often as Prometheus looks, or more often.
OFTEN = {
    "EXPORTER_SOURCES": "ipamd,ec2,eks",
    "EXPORTER_INTERVAL": "0.3",
    "EXPORTER_EC2_SUBNETS_INTERVAL": str(PERIOD),
    "EXPORTER_EC2_ENIS_INTERVAL": str(PERIOD),
    "EXPORTER_EKS_INTERVAL": str(PERIOD),
    "EXPORTER_INTROSPECTION_INTERVAL": "0",
    # A machine that stalls must not make nodes late.
    "EXPORTER_SCRAPE_TIMEOUT": "3",
}
HISTORY_SECONDS = 5
# Of a /24, which has 251 for us, how many addresses bystanders hold; in one it is more and more.
ENDING = "ending"
CROWDS = {"low": 220, "nearly": 243, "full": 251, "broken": 100, ENDING: 160}
# Its share stays below nine tenths, from which a subnet is no longer fragmented, but just full.
_ENDS_AT, _PER_SECOND = 220, 3
OTHER_ACCOUNT = "444455556666"
STEP_SECONDS = 0.5
# What happens in a cluster on an ordinary day, beside pods that come and go.
LIFE = ("scale out", "join", "restart", "scale in", "replace_pod", "remove_node")


@dataclass(frozen=True, slots=True)
class World:
    """A cluster, its exporter, and the subnets that were laid beside its own, by name."""

    name: str
    sim: Simulation
    exporter: Daemon
    laid: Mapping[str, str] = field(default_factory=dict)

    @property
    def target(self) -> tuple[str, str]:
        """What Prometheus needs to know to scrape it."""
        return self.name, self.exporter.url

    @property
    def nodes(self) -> list[str]:
        """The names of the nodes that there are now."""
        found = self.sim.control("/state")["nodes"]
        return [node["name"] for node in found if node["kind"] == "regular"]

    def subnet(self, name: str) -> str:
        """Return the id of a subnet of the cluster's own, once the exporter has asked for it."""
        rows = self.truth()["vpc_cni_subnet_info"]
        (found,) = (labels["subnet_id"] for labels, _ in rows if labels["name"] == name)
        return str(found)

    def truth(self) -> Mapping[str, Any]:
        """Return the samples that are true now, by metric."""
        samples: Mapping[str, Any] = self.sim.truth()["samples"]
        return samples

    def crowd(self, subnet: str, enis: int, owner: str = "") -> None:
        """Have so many ENIs of others in a subnet."""
        self.sim.control("/subnets/crowd", {"subnet": subnet, "enis": enis, "owner": owner})


def settings(sim: Simulation, **more: str) -> Mapping[str, str]:
    """Return what an exporter is set to that asks a cluster for everything, often."""
    own = {
        "EXPORTER_KUBECONFIG": sim.facts["kubeconfig"],
        "EXPORTER_IPAMD_INTROSPECTION_PORT": str(sim.facts["introspection_port"]),
    }
    return {**OFTEN, **own, **sim.facts["aws_environment"], **more}


@contextlib.contextmanager
def crowded(folder: Path) -> Iterator[World]:
    """A cluster whose nodes keep far more addresses than they need, and whose pods may use five
    more subnets."""
    folder.mkdir()
    wasteful = ("--env", "WARM_PREFIX_TARGET=3")
    with simulation(folder, "--living", "--nodes", "10", "--seed", "5", *wasteful) as sim:
        laid = {name: lay(sim, name, number) for number, name in enumerate(CROWDS)}
        history = {"EXPORTER_FORECAST_MIN_HISTORY": str(HISTORY_SECONDS)}
        with daemon(folder, sim, **settings(sim, **history)) as exporter:
            yield World("crowded", sim, exporter, laid)


def lay(sim: Simulation, name: str, number: int) -> str:
    """Lay a subnet that an ENIConfig offers to pods; return its id."""
    subnet: str = sim.control("/subnets", {"cidr": f"10.9.{number}.0/24"})["subnet"]
    sim.control("/eniconfigs", {"name": name, "subnet": subnet})
    return subnet


def trouble(world: World) -> None:
    """Let everything happen to the crowded cluster that does not need its time."""
    control = world.sim.control
    for name, enis in CROWDS.items():
        world.crowd(world.laid[name], enis)
    # Another account's, in the subnet that it shares with us.
    world.crowd(world.subnet("nodes-c"), 30, OTHER_ACCOUNT)
    ill = {"coredns": {"status": "DEGRADED", "issues": ["InsufficientNumberOfReplicas"]}}
    full = [world.laid["full"], world.laid["nearly"]]
    control("/eks", {"subnets": full, "issues": ["ClusterUnreachable"], "addons": ill})
    # Pods with security groups of their own, in place of most others.
    for name in ("web", "api", "worker", "cache"):
        control("/workload", {"deployment": name, "extra": -1000})
    control("/workload", {"deployment": "vault", "extra": 180})
    control("/step", {"seconds": 25})
    control("/faults", {"nodes": world.nodes[-3:], "fault": "refuse"})
    # Not even a node's own address is left.
    (free,) = (
        int(count)
        for labels, count in world.truth()["vpc_cni_subnet_free_ip_addresses"]
        if labels["subnet_id"] == world.subnet("nodes-a")
    )
    world.crowd(world.subnet("nodes-a"), free)


@contextlib.contextmanager
def filling(world: World) -> Iterator[None]:
    """Let one of the subnets fill steadily meanwhile."""
    began = time.monotonic()

    def fill() -> None:
        more = int(_PER_SECOND * (time.monotonic() - began))
        world.crowd(world.laid[ENDING], min(CROWDS[ENDING] + more, _ENDS_AT))

    with _meanwhile(fill, every=1 / _PER_SECOND):
        yield


@contextlib.contextmanager
def every_mode(folder: Path) -> Iterator[World]:
    """The cluster with every mode of the CNI, whose story leads it into one trouble a minute."""
    folder.mkdir()
    story = ("--scenario", "modes", "--introspection", "all", "--speed", "60")
    with simulation(folder, *story) as sim, daemon(folder, sim, **settings(sim)) as exporter:
        yield World("modes", sim, exporter)


@contextlib.contextmanager
def healthy(folder: Path) -> Iterator[World]:
    """A cluster with room for all it does, where nobody left anything behind."""
    folder.mkdir()
    with simulation(folder, "--living", "--nodes", "12", "--introspection", "all") as sim:
        sim.control("/subnets/sweep", {})
        with daemon(folder, sim, **settings(sim)) as exporter:
            yield World("healthy", sim, exporter)


@contextlib.contextmanager
def replica(world: World, folder: Path) -> Iterator[World]:
    """Run another exporter for the same cluster."""
    with daemon(folder, world.sim, **settings(world.sim)) as exporter:
        yield World(world.name, world.sim, exporter)


@contextlib.contextmanager
def alive(world: World) -> Iterator[list[str]]:
    """Let a cluster live meanwhile, half a minute each half second; give what has happened."""
    events, happened = itertools.cycle(LIFE), list[str]()

    def live() -> None:
        happened.append(next(events))
        happens(world, happened[-1])
        world.sim.step()

    with _meanwhile(live, every=STEP_SECONDS):
        yield happened


@contextlib.contextmanager
def _meanwhile(act: Callable[[], None], *, every: float) -> Iterator[None]:
    """Act again and again, at most every so many seconds, until left."""
    done = threading.Event()

    def repeat() -> None:
        while not done.wait(every):
            act()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def happens(world: World, event: str) -> None:
    """Let something ordinary happen: to a Deployment, or to the youngest or the oldest node."""
    if event.startswith("scale"):
        extra = 40 if event == "scale out" else 0
        world.sim.control("/workload", {"deployment": "web", "extra": extra})
        return
    nodes = {"join": [], "remove_node": world.nodes[-1:]}.get(event, world.nodes[:1])
    world.sim.control("/events", {"event": event, "nodes": nodes})
