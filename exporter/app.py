"""Builds the parts from the settings, runs them until told to stop, and stops them.

What is known between cycles lives here, as a few frozen values that are replaced whole.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace

from exporter import __version__
from exporter.core.health import Health, Source, SourceHealth
from exporter.core.model import Discoverer, Discovery, Identity
from exporter.core.report import Report
from exporter.cycle import Cycle, IpamdLoop, every
from exporter.garbage import Garbage
from exporter.inputs.kube import Kube, KubeConfig, SourceState, connect
from exporter.inputs.nodes import Nodes, NodesConfig, direct
from exporter.outputs.prometheus import (
    Block,
    Format,
    NodeMetrics,
    Selection,
    Sheet,
    draw,
    process_registry,
)
from exporter.outputs.web import Pages, serving
from exporter.settings import Settings

log = logging.getLogger(__name__)

# A family is withdrawn after so many of its source's intervals without news (promise 2).
_WITHDRAWN_AFTER = 3


@dataclass(slots=True)
class Board:
    """What is shown now: the latest report while it is fresh, and the exporter's health."""

    selection: Selection
    max_age: float
    monotonic: Callable[[], float] = time.monotonic
    health: Health = field(default_factory=lambda: Health(__version__))
    _report: Report | None = None
    _sheet: Sheet = field(default_factory=Sheet)
    _blocks: dict[Format, Block] = field(default_factory=dict)
    _put_at: float = 0.0
    _told: dict[Source, str] = field(default_factory=dict)

    @property
    def report(self) -> Report | None:
        """The latest report, None while there is none or once it is too old."""
        fresh = self.monotonic() - self._put_at <= self.max_age
        return self._report if fresh else None

    async def block(self, form: Format) -> Block:
        """Return the fresh report in one format, empty where there is none."""
        if self.report is None:
            return Sheet().block(form)
        if form not in self._blocks:
            sheet = self._sheet
            block = await asyncio.to_thread(sheet.block, form)
            if sheet is not self._sheet:
                return block
            self._blocks[form] = block
        return self._blocks[form]

    async def publish(self, cycle: Cycle) -> None:
        """Show a finished cycle, in the formats that were asked for so far."""
        sheet, blocks = await asyncio.to_thread(self._drawn, cycle.report, tuple(self._blocks))
        read = cycle.report.cluster.read
        before = self.health.sources[Source.IPAMD]
        up = read > 0 or not cycle.snapshot.outcomes
        done = cycle.snapshot.time + cycle.seconds
        state = SourceHealth(
            up, done if up else before.last_success, cycle.seconds, "" if up else "no node was read"
        )
        health = self.health.with_failures(cycle.snapshot.outcomes)
        self.health = health.with_source(Source.IPAMD, state)
        self._report, self._sheet, self._blocks = cycle.report, sheet, blocks
        self._put_at = self.monotonic()

    def _drawn(
        self, report: Report, forms: tuple[Format, ...]
    ) -> tuple[Sheet, dict[Format, Block]]:
        sheet = draw(self.selection.tables(), report, self._sheet.cache)
        return sheet, {form: sheet.block(form) for form in forms}

    def source_changed(self, name: str, state: SourceState) -> None:
        """Take news of one of the API server's collections, and say so.

        When the API server is away all of them are down for one reason: that is one line.
        """
        source = Source(name)
        self.health = self.health.with_source(
            source, SourceHealth(state.up, state.last_success, None, state.reason)
        )
        told = self._told.pop(source, None)
        if not state.up and state.reason not in self._told.values():
            self._told[source] = state.reason
            if told != state.reason:
                log.warning("source is down: %s", state.reason, extra={"source": source.value})
        elif state.up and told:
            log.info("source is up again", extra={"source": source.value})


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
        connect(kube_config, board.source_changed) as kube,
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
                board.source_changed(state.source, state)
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
