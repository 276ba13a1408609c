"""Builds the parts from the settings, runs them until told to stop, and stops them.

What is known between cycles lives here, as a few frozen values that are replaced whole.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from exporter.board import Board
from exporter.core.access import Verdict
from exporter.core.doors import Discoverer
from exporter.core.health import Source, SourceHealth
from exporter.core.model import Discovery, Ec2Facts, Identity, Snapshot, Unavailable
from exporter.core.subnets import rooms
from exporter.cycle import Cycle, IpamdLoop, every
from exporter.garbage import Garbage
from exporter.inputs.ec2 import Ec2, Ec2Config
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
class Identified:
    """A discoverer whose cluster has the name that the settings, else Kubernetes, else EC2 tell."""

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
        _ec2(settings, latest) as reader,
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

        work = [kube.run(), front.watch()]
        told: Callable[[], Told] = Told
        ec2: Callable[[], Ec2Facts] = Ec2Facts
        if reader is not None:
            subnets = _subnet_loop(settings, reader, board, latest)
            told = lambda: subnets.told  # noqa: E731 - what it is then
            ec2 = lambda: replace(subnets.facts(), rooms=rooms(board.accounts))  # noqa: E731
            often = min(settings.ec2_subnets_interval, settings.ec2_enis_interval)
            work.append(_after(begun, subnets.survey_if_due, often))
            work.append(_after(begun, subnets.refresh, settings.ec2_subnets_interval))
        discoverer = Identified(kube, settings.cluster_name, settings.region, told)
        loop = IpamdLoop(discoverer, _nodes(settings, kube), publish, time.time, ec2=ec2)
        work.append(_collect(kube, loop, settings.interval))
        await _until(stop, *work)


def _board(settings: Settings) -> Board:
    """The board; what is slower than its interval counts as that slow."""
    slowest = max(settings.interval, settings.scrape_timeout)
    slowest_subnets = max(settings.ec2_subnets_interval, settings.scrape_timeout)
    board = Board(
        selection(settings),
        _WITHDRAWN_AFTER * slowest,
        subnets_max_age=_WITHDRAWN_AFTER * slowest_subnets,
    )
    if "ec2" in settings.sources:
        for source in (Source.EC2_ENIS, Source.EC2_SUBNETS):
            board.health = board.health.with_source(source, SourceHealth())
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
async def _ec2(
    settings: Settings, latest: Callable[[], Snapshot | None]
) -> AsyncIterator[Ec2 | None]:
    """The door to EC2 while it is open, None where it is switched off."""
    if "ec2" not in settings.sources:
        yield None
        return

    def region() -> str:
        # The door asks on its own threads, where nothing may be discovered anew.
        snapshot = latest()
        return snapshot.discovery.identity.region if snapshot else ""

    reader = Ec2(Ec2Config(region=region))
    try:
        yield reader
    finally:
        await reader.close()


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
