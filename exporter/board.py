"""What is shown now: each source's latest report while it is fresh, and the exporter's health."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from exporter import __version__
from exporter.core.eks import EksReport
from exporter.core.health import Health, PointOutcome, Source, SourceHealth
from exporter.core.report import Report
from exporter.core.subnets import SubnetUsage
from exporter.cycle import Cycle
from exporter.outputs.prometheus import Block, Drawable, Format, Selection, Sheet, draw, joined

log = logging.getLogger(__name__)

Whole = TypeVar("Whole")
# By service, operation and outcome.
Requests = Mapping[tuple[str, str, str], int]


@dataclass(slots=True)
class Shelf(Generic[Whole]):
    """The latest report of one source, and its bytes; empty once it is older than `max_age`."""

    tables: Sequence[Drawable[Whole]]
    max_age: float
    monotonic: Callable[[], float]
    _latest: Whole | None = None
    _sheet: Sheet = field(default_factory=Sheet)
    _blocks: dict[Format, Block] = field(default_factory=dict)
    _put_at: float = 0.0

    @property
    def fresh(self) -> Whole | None:
        """The latest report, None while there is none or once it is too old."""
        return self._latest if self.monotonic() - self._put_at <= self.max_age else None

    async def put(self, whole: Whole) -> None:
        """Show a report from now on, in the formats that were asked for so far."""
        sheet, blocks = await asyncio.to_thread(self._drawn, whole, tuple(self._blocks))
        self._latest, self._sheet, self._blocks = whole, sheet, blocks
        self._put_at = self.monotonic()

    def _drawn(self, whole: Whole, forms: Sequence[Format]) -> tuple[Sheet, dict[Format, Block]]:
        sheet = draw(self.tables, whole, self._sheet.cache)
        return sheet, {form: sheet.block(form) for form in forms}

    async def block(self, form: Format) -> Block | None:
        """Return the fresh report in one format, None where there is none."""
        if self.fresh is None:
            return None
        if form not in self._blocks:
            sheet = self._sheet
            block = await asyncio.to_thread(sheet.block, form)
            if sheet is not self._sheet:
                return block
            self._blocks[form] = block
        return self._blocks[form]


@dataclass(slots=True)
class Board:
    """The shelves of all sources, and the health of all."""

    selection: Selection
    max_age: float
    monotonic: Callable[[], float] = time.monotonic
    subnets_max_age: float = 0.0
    eks_max_age: float = 0.0
    health: Health = field(default_factory=lambda: Health(__version__))
    nodes: Shelf[Report] = field(init=False)
    subnets: Shelf[tuple[SubnetUsage, ...]] = field(init=False)
    eks: Shelf[EksReport] = field(init=False)
    _told: dict[Source, str] = field(default_factory=dict)
    _refused: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Put up the shelves."""
        self.nodes = Shelf(self.selection.tables(), self.max_age, self.monotonic)
        tables = self.selection.subnet_tables()
        self.subnets = Shelf(tables, self.subnets_max_age, self.monotonic)
        self.eks = Shelf(self.selection.eks_tables(), self.eks_max_age, self.monotonic)

    @property
    def report(self) -> Report | None:
        """The latest report on the nodes, None while there is none or once it is too old."""
        return self.nodes.fresh

    @property
    def accounts(self) -> tuple[SubnetUsage, ...]:
        """The latest accounts of the subnets, none while there are none or they are too old."""
        return self.subnets.fresh or ()

    async def block(self, form: Format) -> Block:
        """Return all fresh reports in one format."""
        shelves = self.nodes, self.subnets, self.eks
        parts = [await shelf.block(form) for shelf in shelves]
        blocks = [block for block in parts if block is not None]
        return blocks[0] if len(blocks) == 1 else joined(blocks)

    async def publish(self, cycle: Cycle) -> None:
        """Show a finished cycle over the nodes."""
        await self.nodes.put(cycle.report)
        up = cycle.report.cluster.read > 0 or not cycle.snapshot.outcomes
        before = self.health.sources[Source.IPAMD]
        done = cycle.snapshot.time + cycle.seconds if up else before.last_success
        state = SourceHealth(up, done, cycle.seconds, "" if up else "no node was read")
        health = self.health.with_failures(cycle.snapshot.outcomes)
        self.health = health.with_source(Source.IPAMD, state)

    def note(self, source: Source, state: SourceHealth) -> None:
        """Take news of a source, and say so once.

        When the API server is away all its collections are down for one reason: that is one line.
        """
        before = self.health.sources.get(source)
        if state.last_success is None and before is not None:
            state = replace(state, last_success=before.last_success)
        self.health = self.health.with_source(source, state)
        told = self._told.pop(source, None)
        if not state.up and state.reason not in self._told.values():
            self._told[source] = state.reason
            if told != state.reason:
                log.warning("source is down: %s", state.reason, extra={"source": source.value})
        elif state.up and told:
            log.info("source is up again", extra={"source": source.value})

    def note_aws(self, source: Source, state: SourceHealth, requests: Requests) -> None:
        """Take news of a source in AWS, and how many requests there were of its service so far."""
        if state.up:
            self._tell_refusals(requests)
        told = {**self.health.aws_requests, **requests}
        self.health = replace(self.health, aws_requests=told)
        self.note(source, state)

    def note_cloudwatch(
        self, state: SourceHealth, requests: Requests, points: Mapping[PointOutcome, int]
    ) -> None:
        """Take news of CloudWatch, and what became of how many points so far."""
        self.health = replace(self.health, points=points)
        self.note_aws(Source.CLOUDWATCH, state, requests)

    def _tell_refusals(self, requests: Requests) -> None:
        """Say once which operations are refused though their source does without them."""
        before = self.health.aws_requests
        grown = {key for key, count in requests.items() if count > before.get(key, 0)}
        for service, operation, outcome in sorted(grown):
            call = (service, operation)
            if outcome == "refused" and call not in self._refused:
                self._refused.add(call)
                log.warning("AWS refuses %s", operation, extra={"service": service})
            elif outcome == "ok" and (*call, "refused") not in grown and call in self._refused:
                self._refused.remove(call)
                log.info("AWS allows %s again", operation, extra={"service": service})
