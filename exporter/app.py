"""Builds the parts from the settings, runs them until told to stop, and stops them.

What is known between cycles lives here, as a few frozen values that are replaced whole.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Coroutine
from dataclasses import dataclass, replace

from exporter.board import Board
from exporter.core.health import Source, SourceHealth
from exporter.core.model import Discoverer, Discovery, Identity
from exporter.cycle import Cycle, IpamdLoop, every
from exporter.garbage import Garbage
from exporter.inputs.kube import Kube, KubeConfig, SourceState, connect
from exporter.inputs.nodes import Nodes, NodesConfig, direct
from exporter.outputs.prometheus import NodeMetrics, Selection, process_registry
from exporter.outputs.web import Pages, serving
from exporter.settings import Settings

log = logging.getLogger(__name__)

# A family is withdrawn after so many of its source's intervals without news (promise 2).
_WITHDRAWN_AFTER = 3


@dataclass(frozen=True, slots=True)
class Identified:
    """A discoverer whose cluster's name and region are what the settings say, where they do."""

    inner: Discoverer
    cluster: str
    region: str

    def discover(self) -> Discovery | None:
        """Return what should be read now, with the identity completed."""
        found = self.inner.discover()
        if found is None or not (self.cluster or self.region):
            return found
        known = found.identity
        identity = Identity(
            self.cluster or known.cluster,
            self.region or known.region,
            known.vpc_id,
            known.kubernetes_version,
        )
        return replace(found, identity=identity)


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
    """Run the exporter until `stop` is set; OSError where its address is not free."""
    slowest = max(settings.interval, settings.scrape_timeout)
    board = Board(selection(settings), _WITHDRAWN_AFTER * slowest)

    def note(source: str, state: SourceState) -> None:
        health = SourceHealth(state.up, state.last_success, None, state.reason)
        board.note(Source(source), health)

    kube_config = KubeConfig(
        kubeconfig=settings.kubeconfig or os.environ.get("KUBECONFIG", ""),
        namespace=settings.namespace,
    )
    read_config = NodesConfig(
        port=settings.ipamd_metrics_port,
        timeout=settings.scrape_timeout,
        concurrency=settings.scrape_concurrency,
        allow_loopback=settings.allow_loopback_targets,
        check_addresses=settings.scrape_via == "direct",
    )
    host, port = split_address(settings.listen_address)
    async with (
        serving(Pages(board, process_registry()), host, port) as address,
        connect(kube_config, note) as kube,
    ):
        log.info("listening", extra={"host": address[0], "port": address[1]})
        fetch = (
            direct(read_config)
            if settings.scrape_via == "direct"
            else kube.proxy_fetch(port=read_config.port, timeout=read_config.timeout)
        )
        discoverer = Identified(kube, settings.cluster_name, settings.region)
        garbage = Garbage(time.monotonic)
        garbage.start()

        async def publish(cycle: Cycle) -> None:
            for state in kube.sources():
                note(state.source, state)
            await board.publish(cycle)
            garbage.after_cycle()

        loop = IpamdLoop(discoverer, Nodes(read_config, fetch), publish, time.time)
        await _until(stop, kube.run(), _collect(kube, loop, settings.interval))


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
