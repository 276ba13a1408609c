"""Runs the parts until told to stop, and stops them.

What is known between cycles lives here, as a few frozen values that are replaced whole.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace

from exporter.app.aws import aws_account, aws_loops, cloudwatch_loop
from exporter.app.front import front_config, tell
from exporter.app.nodes import nodes
from exporter.board import Board
from exporter.core.doors import Discoverer
from exporter.core.health import Source, SourceHealth
from exporter.core.model import Discovery, Identity, Snapshot
from exporter.cycle import Cycle, IpamdLoop, every
from exporter.garbage import Garbage
from exporter.inputs.kube import Kube, KubeConfig, SourceState, connect
from exporter.outputs.guard import serving
from exporter.outputs.prometheus import NodeMetrics, Selection, process_registry
from exporter.outputs.web import Pages
from exporter.settings import Settings
from exporter.subnet_loop import Told

# A family is withdrawn after so many of its source's intervals without news (promise 2).
_WITHDRAWN_AFTER = 3


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

    account = aws_account(latest)
    async with (
        connect(_kube_config(settings), note) as kube,
        serving(front_config(settings, kube, board), Pages(board, process_registry())) as front,
        cloudwatch_loop(settings, account, latest, board) as cloudwatch,
        aws_loops(settings, account, latest, board, cloudwatch) as aws,
    ):
        tell(front)
        garbage = Garbage(time.monotonic)
        garbage.start()
        begun = asyncio.Event()

        async def publish(cycle: Cycle) -> None:
            for state in kube.sources():
                note(state.source, state)
            await board.publish(cycle)
            if cloudwatch is not None:
                cloudwatch.take(cycle.report)
            garbage.after_cycle(crowded=aws.surveying)
            begun.set()

        discoverer = Identified(kube, settings.cluster_name, settings.region, aws.told)
        reader = nodes(settings, kube)
        loop = IpamdLoop(discoverer, reader, publish, time.time, ec2=lambda: aws.facts(board))
        work = [kube.run(), front.watch(), _collect(kube, loop, settings.interval)]
        if cloudwatch is not None:
            work.append(every(cloudwatch.beat, cloudwatch.tend, clock=time.monotonic))
        await _until(stop, *work, *aws.work(settings, begun))


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
    if settings.cloudwatch:
        board.health = board.health.with_source(Source.CLOUDWATCH, SourceHealth())
    return board


def _kube_config(settings: Settings) -> KubeConfig:
    kubeconfig = settings.kubeconfig or os.environ.get("KUBECONFIG", "")
    return KubeConfig(kubeconfig=kubeconfig, namespace=settings.namespace)


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
