"""Puts a simulation together, starts and stops it, and is its face to tests: faults, events,
steps, truth.

`control` offers the same over HTTP. What each part does is told in its own module.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from exporter.sim import books, cloudwatch_books, events, kubeconfig
from exporter.sim.callers import Callers
from exporter.sim.cloudwatch_server import CloudWatchServer
from exporter.sim.cluster import Cluster
from exporter.sim.daemon import Servers
from exporter.sim.ec2_server import Ec2Server
from exporter.sim.eks_server import EksServer
from exporter.sim.faults import Fault
from exporter.sim.fleet import Fleet, Story
from exporter.sim.introspection_faults import Reach
from exporter.sim.introspection_server import Desks
from exporter.sim.kube_api import KubeApi, Parts
from exporter.sim.ledger import Ledger
from exporter.sim.listener import Listener
from exporter.sim.living.mishaps import MISHAPS
from exporter.sim.living.story import Living
from exporter.sim.minutes import Told
from exporter.sim.nodes import Node
from exporter.sim.options import REACHES, Options
from exporter.sim.pod_proxy import PodProxy
from exporter.sim.rbac import Tokens
from exporter.sim.replay import Replay
from exporter.sim.traffic import Traffic
from exporter.sim.vpc import Vpc

REGION = "eu-central-1"
TROUBLES = frozenset({"down", "hang", "slow", "error_500"})
MOMENTS = frozenset({"drop_watches", "error_event", "compact", "expired_as_event"})


class Simulation:
    """A simulated cluster, running while its context is open."""

    def __init__(
        self,
        story: Story,
        options: Options | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.options = options or Options()
        self.story = story
        self.clock = clock
        self.cluster = Cluster(
            clock, seed=self.options.seed, base=self.options.base, env=self.options.env
        )
        self.ledger = Ledger(clock)
        self.traffic = Traffic()
        self.tokens = Tokens(self.cluster.namespace)
        self.callers = Callers(clock)
        self.servers = Servers(
            self.ledger,
            self.traffic,
            idle=self.options.idle,
            own_address=not self.options.loopback_only,
        )
        self.cluster.reaches = REACHES[self.options.introspection]
        self.desks = Desks(
            self.cluster,
            self.ledger,
            self.traffic,
            idle=self.options.idle,
            own_address=not self.options.loopback_only,
        )
        dialled = self.servers, self.desks
        self.proxy = PodProxy(self.cluster, dialled, traffic=self.traffic)
        self.api = KubeApi(
            Parts(
                self.cluster.store,
                self.tokens,
                self.ledger,
                self.traffic,
                self.proxy,
                self.callers,
            ),
            bookmarks=self.options.bookmarks,
        )
        self._api_listener = Listener(self.api.application(), port=self.options.api_port)
        self.ec2: Ec2Server | None = None
        self.eks: EksServer | None = None
        self.cloudwatch = CloudWatchServer(REGION, clock, port=self.options.cloudwatch_port)
        self.steps = 0
        self.advanced_at = 0.0

    @classmethod
    def fleet(cls, nodes: int, options: Options | None = None, *, lean: bool = False) -> Self:
        """Return a simulation of a static fleet, seeded by the options."""
        options = options or Options()
        return cls(Fleet(nodes, options.seed, lean=lean), options)

    @classmethod
    def living(
        cls, nodes: int, options: Options | None = None, *, scenario: str = "normal"
    ) -> Self:
        """Return a simulation of a living cluster in which a scenario happens."""
        options = options or Options()
        story = Living(nodes, seed=options.seed, scenario=scenario, seconds=options.speed)
        return cls(story, options)

    @classmethod
    def replay(cls, directory: Path, options: Options | None = None) -> Self:
        """Return a simulation that plays recorded polls."""
        return cls(Replay(directory), options)

    @property
    def vpc(self) -> Vpc | None:
        """The VPC of a living cluster that has begun; others have none."""
        return self.story.vpc if isinstance(self.story, Living) else None

    @property
    def told(self) -> dict[str, Any]:
        """What is going on in a living cluster, and how many simulated seconds have passed."""
        if not isinstance(self.story, Living):
            return {"story": "", "simulated": 0.0}
        return {"story": self.story.told, "simulated": self.story.world.time.now}

    @property
    def api_url(self) -> str:
        return self._api_listener.url

    @property
    def ipamd_port(self) -> int:
        return self.servers.port

    @property
    def introspection_port(self) -> int:
        return self.desks.port

    @property
    def namespace(self) -> str:
        return self.cluster.namespace

    async def __aenter__(self) -> Self:
        """Fill the cluster and open every socket."""
        self.story.begin(self.cluster)
        self._stepped(1)
        await self._write_pages()
        nodes = list(self.cluster.nodes.values())
        await self.servers.start(nodes, port=self.options.pods_port)
        await self.desks.start(nodes, port=self.options.introspection_port)
        self.proxy.start()
        await self._api_listener.start()
        await self._start_aws()
        await self.cloudwatch.start()
        self._write_kubeconfig()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every socket and take the kubeconfig away."""
        self.cluster.store.end_watches(failed=False)
        await self.proxy.stop()
        for service in (self.ec2, self.eks, self.cloudwatch):
            if service is not None:
                await service.stop()
        await self._api_listener.stop()
        await self.desks.stop()
        await self.servers.stop()
        if self.options.kubeconfig is not None:
            self.options.kubeconfig.unlink(missing_ok=True)

    def token(self, profile: str | None = None) -> str:
        """Return the bearer token of a profile."""
        return self.tokens.current(profile or self.options.profile)

    def rotate(self, profile: str) -> str:
        """Revoke a profile's tokens, and return the new one; the kubeconfig follows."""
        token = self.tokens.rotate(profile)
        self._write_kubeconfig()
        return token

    def truth(self) -> dict[str, Any]:
        """Return what an ideal reader of what was really served would publish now."""
        wavering = [n.name for n in self.cluster.expected if self.ledger.wavers(n.uid)]
        told = books.samples(self.cluster, self.ledger) if self.ec2 is None else self.ec2.truth()
        subnets_told = any(name.startswith("vpc_cni_subnet_") for name in told)
        eks = self.eks.truth(subnets_told=subnets_told) if self.eks is not None else {}
        return {
            "step": self.steps,
            "advanced_at": self.advanced_at,
            "now": self.clock(),
            "samples": {**told, **eks},
            "ambiguous": books.ambiguous(self.cluster, self.ledger),
            "wavering": wavering,
        }

    def minute(self) -> Told:
        """Return what CloudWatch should be told of the time since the last call, which now ends."""
        judged = books.entries(self.cluster, self.ledger)
        return {**cloudwatch_books.gauges(judged), **self.ledger.minute().told()}

    async def step(self, times: int = 1, *, seconds: float | None = None) -> int:
        """Move the world on, and return the number of the step reached.

        From then on a step of a living cluster is `seconds` long, where they are given.
        """
        if seconds is not None and isinstance(self.story, Living):
            self.story.seconds = seconds
        for _ in range(times):
            self.story.step(self.cluster)
            self._stepped(self.steps + 1)
        await self._settle()
        await self._write_pages()
        # Watchers hear of the step a moment later; a reader that begins then knows all of it.
        await asyncio.sleep(self.options.told)
        self.advanced_at = self.clock()
        return self.steps

    async def set_fault(self, names: Sequence[str], fault: str | None) -> list[str]:
        """Give nodes a fault, or none, and return their names."""
        kind = Fault(fault) if fault is not None else None
        for node in self.find(names):
            node.fault = kind
            await self.servers.settle(node)
        return list(names)

    async def set_reach(self, names: Sequence[str], state: str) -> list[str]:
        """Say how the introspection of nodes can be reached, and return their names."""
        reach = Reach(state)
        for node in self.find(names):
            node.reach = reach
            await self.desks.settle(node)
        return list(names)

    async def spread_faults(self, share: float) -> list[str]:
        """Give a seeded share of the nodes a fault, every kind in turn, and return their names."""
        rng = random.Random(f"{self.options.seed}/faults")
        names = [node.name for node in self.cluster.expected]
        chosen = rng.sample(names, round(len(names) * share))
        for number, name in enumerate(chosen):
            await self.set_fault([name], list(Fault)[number % len(Fault)])
        return chosen

    async def event(self, name: str, nodes: Sequence[str] = ()) -> list[str]:
        """Let something happen to nodes and return their names; `join` makes a node of its own.

        In a living cluster people can also do things to a node's ENIs.
        """
        if name in MISHAPS and isinstance(self.story, Living):
            world = self.story.world
            for node in self.find(nodes):
                MISHAPS[name](world, world.nodes[node.name])
            return list(nodes)
        phases = events.EVENTS["run" if name == "join" else name]
        found = [self.story.join(self.cluster)] if name == "join" else self.find(nodes)
        for number, happens in enumerate(phases):
            if number:
                await asyncio.sleep(self.options.startup)
            for node in found:
                happens(self.cluster, node)
                await self._settle_one(node)
        return [node.name for node in found]

    async def api_trouble(self, trouble: str | None, *, seconds: float = 1.0) -> None:
        """Let the API fail in a way that lasts, let something happen to it once, or heal it."""
        if trouble in MOMENTS:
            self._api_moment(str(trouble))
            return
        if trouble is not None and trouble not in TROUBLES:
            raise ValueError(f"no trouble {trouble!r}")
        self.api.trouble.mode = trouble
        self.api.trouble.seconds = seconds
        self.api.trouble.expired_as_event &= trouble is not None
        if trouble == "down":
            await self._api_listener.close()
        else:
            await self._api_listener.open()

    def find(self, names: Sequence[str]) -> list[Node]:
        """Return the nodes of these names; an unknown one is an error."""
        return [self.cluster.nodes[name] for name in names]

    async def _start_aws(self) -> None:
        if (vpc := self.vpc) is not None:
            options = self.options
            self.ec2 = Ec2Server(
                self.cluster,
                self.ledger,
                vpc,
                port=options.ec2_port,
                count_reserved=options.count_reserved,
            )
            self.eks = EksServer(self.cluster, vpc, port=options.eks_port)
            self.ec2.eks_subnets = lambda: self.eks.told_subnets if self.eks else frozenset()
            await self.ec2.start()
            await self.eks.start()

    def _api_moment(self, moment: str) -> None:
        store = self.cluster.store
        match moment:
            case "drop_watches":
                store.end_watches(failed=False)
            case "error_event":
                store.end_watches(failed=True)
            case "expired_as_event":
                self.api.trouble.expired_as_event = True
            case _:
                store.compact()

    def _stepped(self, number: int) -> None:
        self.steps = number
        self.advanced_at = self.clock()
        self.ledger.stepped()
        self.ledger.bodies.moved_on()

    async def _settle(self) -> None:
        for node in tuple(self.cluster.nodes.values()):
            await self._settle_one(node)
        for sockets in (self.servers, self.desks):
            sockets.drop_departed(self.cluster.nodes.values())

    async def _write_pages(self) -> None:
        """Write every page before it is asked for, so that serving costs what it does in life."""
        for number, node in enumerate(tuple(self.cluster.nodes.values())):
            if node.serving is not None and node.process is not None:
                node.process.page()
            if number % 100 == 0:
                await asyncio.sleep(0)

    async def _settle_one(self, node: Node) -> None:
        if node.name in self.cluster.nodes:
            await self.servers.settle(node)
            await self.desks.settle(node)
        else:
            self.servers.drop(node)
            self.desks.drop(node)

    def _write_kubeconfig(self) -> None:
        if self.options.kubeconfig is not None:
            content = kubeconfig.text(self.api_url, self.token(), namespace=self.namespace)
            kubeconfig.write(self.options.kubeconfig, content)
