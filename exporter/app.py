"""Builds the parts from the settings, runs them until told to stop, and stops them.

What is known between cycles lives here, as a few frozen values that are replaced whole.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from exporter.board import Board
from exporter.core.access import Verdict
from exporter.core.doors import Discoverer
from exporter.core.forecast import Forecaster, Pace
from exporter.core.health import Source, SourceHealth
from exporter.core.model import (
    ControlPlane,
    Discovery,
    Ec2Facts,
    Identity,
    Snapshot,
    Unavailable,
)
from exporter.core.subnets import rooms
from exporter.cycle import Cycle, IpamdLoop, every
from exporter.eks_loop import EksLoop
from exporter.garbage import Garbage
from exporter.inputs.ec2 import Ec2, Ec2Config
from exporter.inputs.eks import Eks, EksConfig
from exporter.inputs.introspection import AskingConfig, Introspections
from exporter.inputs.kube import Kube, KubeConfig, SourceState, connect
from exporter.inputs.nodes import Nodes, NodesConfig, direct, directly
from exporter.outputs.guard import Front, FrontConfig, serving
from exporter.outputs.prometheus import NodeMetrics, Selection, process_registry
from exporter.outputs.web import Pages
from exporter.settings import Settings
from exporter.subnet_loop import SubnetLoop, Told

log = logging.getLogger(__name__)

# A family is withdrawn after so many of its source's intervals without news (promise 2).
_WITHDRAWN_AFTER = 3
# ipamd's introspection is waited for so long, and at most for this share of a node's time.
_INTROSPECTION_SECONDS = 1.0
_INTROSPECTION_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Aws:
    """The loops that read AWS, None where a source is switched off."""

    subnets: SubnetLoop | None = None
    eks: EksLoop | None = None

    def told(self) -> Told:
        """Return what EC2 told of the cluster, with the VPC that EKS told where EC2 did not."""
        told = Told() if self.subnets is None else self.subnets.told
        given = ControlPlane() if self.eks is None else self.eks.control_plane
        return replace(told, vpc_id=told.vpc_id or given.vpc_id)

    def facts(self, board: Board) -> Ec2Facts:
        """Return what EC2 told of the nodes, and of the subnets while the board shows them."""
        facts = Ec2Facts() if self.subnets is None else self.subnets.facts()
        return replace(facts, rooms=rooms(board.accounts))

    def work(self, settings: Settings, begun: asyncio.Event) -> list[Coroutine[None, None, None]]:
        """Return what never ends, and begins when there is a snapshot of the nodes."""
        work = []
        if self.subnets is not None:
            often = min(settings.ec2_subnets_interval, settings.ec2_enis_interval)
            work.append(_after(begun, self.subnets.survey_if_due, often))
            work.append(_after(begun, self.subnets.refresh, settings.ec2_subnets_interval))
        if self.eks is not None:
            work.append(_after(begun, self.eks.read_if_due, self.eks.beat))
        return work


@dataclass(frozen=True, slots=True)
class Identified:
    """A discoverer whose cluster has the name that the settings, else Kubernetes, else EC2 tell,
    and is in the VPC that EC2 or EKS tells."""

    inner: Discoverer
    cluster: str
    region: str
    told: Callable[[], Told] = Told

    def discover(self) -> Discovery | None:
        """Return what should be read now, with the identity completed."""
        found = self.inner.discover()
        if found is None:
            return None
        known, told = found.identity, self.told()
        identity = Identity(
            self.cluster or known.cluster or told.cluster,
            self.region or known.region,
            known.vpc_id or told.vpc_id,
            known.kubernetes_version,
        )
        return found if identity == known else replace(found, identity=identity)


def selection(settings: Settings) -> Selection:
    """Return which metrics the settings ask for."""
    return Selection(
        allow=settings.metrics_allow,
        deny=settings.metrics_deny,
        nodes=NodeMetrics(settings.node_metrics),
        legacy=settings.legacy_metrics,
    )


def split_address(address: str) -> tuple[str | None, int]:
    """Return host and port of a listen address; no host is None, for all addresses."""
    host, _, port = address.rpartition(":")
    return host.strip("[]") or None, int(port)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the exporter until `stop` is set.

    OSError where its address is not free, `WebConfigError` where its web-config is no use.
    """
    board = _board(settings)

    def note(source: str, state: SourceState) -> None:
        health = SourceHealth(state.up, state.last_success, None, state.reason)
        board.note(Source(source), health)

    def latest() -> Snapshot | None:
        return loop.latest

    async with (
        connect(_kube_config(settings), note) as kube,
        serving(_front(settings, kube, board), Pages(board, process_registry())) as front,
        _aws(settings, latest, board) as aws,
    ):
        _tell(front)
        garbage = Garbage(time.monotonic)
        garbage.start()
        begun = asyncio.Event()

        async def publish(cycle: Cycle) -> None:
            for state in kube.sources():
                note(state.source, state)
            await board.publish(cycle)
            garbage.after_cycle()
            begun.set()

        discoverer = Identified(kube, settings.cluster_name, settings.region, aws.told)
        nodes = _nodes(settings, kube)
        loop = IpamdLoop(discoverer, nodes, publish, time.time, ec2=lambda: aws.facts(board))
        collecting = _collect(kube, loop, settings.interval)
        await _until(stop, kube.run(), front.watch(), collecting, *aws.work(settings, begun))


def _board(settings: Settings) -> Board:
    """The board; what is slower than its interval counts as that slow."""
    slowest = max(settings.interval, settings.scrape_timeout)
    slowest_subnets = max(settings.ec2_subnets_interval, settings.scrape_timeout)
    board = Board(
        selection(settings),
        _WITHDRAWN_AFTER * slowest,
        subnets_max_age=_WITHDRAWN_AFTER * slowest_subnets,
        eks_max_age=_WITHDRAWN_AFTER * max(settings.eks_interval, settings.scrape_timeout),
    )
    if "ec2" in settings.sources:
        for source in (Source.EC2_ENIS, Source.EC2_SUBNETS):
            board.health = board.health.with_source(source, SourceHealth())
    if "eks" in settings.sources:
        board.health = board.health.with_source(Source.EKS, SourceHealth())
    return board


def _kube_config(settings: Settings) -> KubeConfig:
    kubeconfig = settings.kubeconfig or os.environ.get("KUBECONFIG", "")
    return KubeConfig(kubeconfig=kubeconfig, namespace=settings.namespace)


def _front(settings: Settings, kube: Kube, board: Board) -> FrontConfig:
    """Who may see the pages, and where; what goes wrong with that is told as of any source."""

    def note(source: Source, trouble: str) -> None:
        success = None if trouble else time.time()
        board.note(source, SourceHealth(not trouble, success, None, trouble))

    async def review(token: str) -> Verdict:
        try:
            verdict = await kube.review(token)
        except Unavailable as error:
            note(Source.REVIEWS, error.reason)
            raise
        note(Source.REVIEWS, "")
        return verdict

    return FrontConfig(
        place=split_address(settings.listen_address),
        health=split_address(settings.health_address) if settings.health_address else None,
        web_config=Path(settings.web_config) if settings.web_config else None,
        review=review if settings.token_auth else None,
        note=lambda trouble: note(Source.WEB_CONFIG, trouble),
    )


def _tell(front: Front) -> None:
    host, port = front.pages.address
    guard = {"tls": front.encrypted, "credentials": front.gate.schemes}
    log.info("listening", extra={"host": host, "port": port, **guard})
    if front.health is not None:
        host, port = front.health.address
        log.info("listening for probes", extra={"host": host, "port": port})
    if front.gate.schemes and not front.encrypted:
        log.warning("credentials cross the network in the clear: there is no TLS")


def _subnet_loop(
    settings: Settings, reader: Ec2, board: Board, latest: Callable[[], Snapshot | None]
) -> SubnetLoop:
    return SubnetLoop(
        reader,
        latest,
        board.subnets.put,
        lambda source, state: board.note_aws(source, state, reader.requests),
        time.time,
        settings.ec2_enis_interval,
    )


def _nodes(settings: Settings, kube: Kube) -> Nodes:
    config = NodesConfig(
        port=settings.ipamd_metrics_port,
        timeout=settings.scrape_timeout,
        concurrency=settings.scrape_concurrency,
        allow_loopback=settings.allow_loopback_targets,
        check_addresses=settings.scrape_via == "direct",
    )
    fetch = (
        direct(config)
        if settings.scrape_via == "direct"
        else kube.proxy_fetch(port=config.port, timeout=config.timeout)
    )
    return Nodes(config, fetch, introspection=_introspections(settings, kube))


def _introspections(settings: Settings, kube: Kube) -> Introspections | None:
    if settings.introspection == "off":
        return None
    config = AskingConfig(
        port=settings.ipamd_introspection_port,
        interval=settings.introspection_interval,
        seconds=min(_INTROSPECTION_SECONDS, _INTROSPECTION_SHARE * settings.scrape_timeout),
    )
    at = directly if settings.scrape_via == "direct" else kube.proxy_fetch_at
    return Introspections(config, at)


@asynccontextmanager
async def _aws(
    settings: Settings, latest: Callable[[], Snapshot | None], board: Board
) -> AsyncIterator[Aws]:
    """The loops that read AWS, while their doors are open."""

    def region() -> str:
        # The doors ask on their own threads, where nothing may be discovered anew.
        snapshot = latest()
        return snapshot.discovery.identity.region if snapshot else ""

    def given() -> ControlPlane:
        return ControlPlane() if eks is None else eks.control_plane

    eks: EksLoop | None = None
    subnets: SubnetLoop | None = None
    async with AsyncExitStack() as doors:
        if "eks" in settings.sources:
            asked = Eks(EksConfig(region=region))
            doors.push_async_callback(asked.close)
            eks = EksLoop(
                asked,
                latest,
                board.eks.put,
                lambda state: board.note_aws(Source.EKS, state, asked.requests),
                time.time,
                settings.eks_interval,
            )
        if "ec2" in settings.sources:
            reader = Ec2(Ec2Config(region=region))
            doors.push_async_callback(reader.close)
            subnets = SubnetLoop(
                reader,
                latest,
                board.subnets.put,
                lambda source, state: board.note_aws(source, state, reader.requests),
                time.time,
                settings.ec2_enis_interval,
                control_plane=given,
                forecaster=Forecaster(
                    Pace(settings.forecast_min_history, settings.ec2_subnets_interval)
                ),
            )
        yield Aws(subnets, eks)


async def _after(
    begun: asyncio.Event, work: Callable[[], Awaitable[None]], interval: float
) -> None:
    """Work on every beat, once there is something to work on."""
    await begun.wait()
    await every(interval, work, clock=time.monotonic)


async def _collect(kube: Kube, loop: IpamdLoop, interval: float) -> None:
    """Collect on every beat, from the moment on that it is known what to read."""
    while kube.discover() is None:
        await kube.changed()
    await every(interval, loop.collect, clock=time.monotonic)


async def _until(stop: asyncio.Event, *forever: Coroutine[None, None, None]) -> None:
    """Run coroutines that never return until `stop` is set; an error in one ends all."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in forever]
        await stop.wait()
        for task in tasks:
            task.cancel()
