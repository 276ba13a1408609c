from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry

from exporter import __version__
from exporter.board import Board
from exporter.core.health import Health, Source, SourceHealth
from exporter.core.model import Outcome, Reason
from exporter.cycle import Cycle
from exporter.outputs.prometheus import Format, Selection, draw
from exporter.outputs.web import Pages
from tests.builders import NOW, read, report, snapshot, unread

MAX_AGE = 90.0


@dataclass
class Clock:
    now: float

    def __call__(self) -> float:
        return self.now


class Shown:
    """A board with a clock that stands still until it is moved."""

    def __init__(self, chosen: Selection | None = None, *, now: float = 1_000.0) -> None:
        self.clock = Clock(now)
        self.board = Board(chosen or Selection(), MAX_AGE, self.clock)

    def publish(self, *outcomes: Outcome, at: float = NOW, seconds: float = 0.25) -> None:
        cycle = Cycle(snapshot(*outcomes, time=at), report(*outcomes), seconds)
        asyncio.run(self.board.publish(cycle))

    def text(self, form: Format = Format.TEXT) -> bytes:
        return asyncio.run(self.board.block(form)).plain

    @property
    def ipamd(self) -> SourceHealth:
        return self.board.health.sources[Source.IPAMD]


def drawn(*outcomes: Outcome, form: Format = Format.TEXT) -> bytes:
    return draw(Selection().tables(), report(*outcomes), {}).block(form).plain


forms = pytest.mark.parametrize("form", [pytest.param(it, id=it.name.lower()) for it in Format])


class TestTheBoard:
    def test_shows_nothing_before_the_first_cycle(self) -> None:
        shown = Shown()
        assert shown.board.report is None
        assert shown.text() == b""
        assert shown.board.health == Health(__version__)

    def test_shows_nothing_before_the_first_cycle_on_a_machine_that_just_started(self) -> None:
        shown = Shown(now=0.0)
        assert shown.board.report is None

    @forms
    def test_shows_the_latest_cycle_in_every_format(self, form: Format) -> None:
        shown = Shown()
        shown.publish(read("node-1"))
        assert shown.text(form) == drawn(read("node-1"), form=form)
        shown.publish(read("node-1"), unread("node-2"))
        assert shown.board.report == report(read("node-1"), unread("node-2"))
        assert shown.text(form) == drawn(read("node-1"), unread("node-2"), form=form)

    def test_keeps_what_it_rendered_until_the_next_cycle(self) -> None:
        shown = Shown()
        shown.publish(read())
        first = asyncio.run(shown.board.block(Format.TEXT))
        assert asyncio.run(shown.board.block(Format.TEXT)) is first
        shown.publish(read())
        assert asyncio.run(shown.board.block(Format.TEXT)) is not first

    @forms
    def test_withdraws_a_report_that_is_too_old_and_shows_the_next(self, form: Format) -> None:
        shown = Shown()
        shown.publish(read())
        shown.clock.now += MAX_AGE
        assert shown.text(form) == drawn(read(), form=form)
        shown.clock.now += 0.1
        assert shown.board.report is None
        assert shown.text(form) == b""
        shown.publish(read())
        assert shown.text(form) == drawn(read(), form=form)

    def test_shows_what_is_selected(self) -> None:
        chosen = Selection(allow=("vpc_cni_node_enis",))
        shown = Shown(chosen)
        shown.publish(read())
        assert shown.text() == draw(chosen.tables(), report(read()), {}).block(Format.TEXT).plain

    def test_shows_whichever_report_was_there_when_a_format_was_asked_for(self) -> None:
        board = Shown().board
        cycle = Cycle(snapshot(read()), report(read()), 0.25)

        async def ask_while_publishing() -> tuple[bytes, bytes]:
            await board.publish(cycle)
            later = Cycle(snapshot(unread()), report(unread()), 0.25)
            asked, _ = await asyncio.gather(board.block(Format.TEXT), board.publish(later))
            return asked.plain, (await board.block(Format.TEXT)).plain

        during, afterwards = asyncio.run(ask_while_publishing())
        assert during in (drawn(read()), drawn(unread()))
        assert afterwards == drawn(unread())

    def test_is_a_view_that_the_pages_can_show(self) -> None:
        Pages(Shown().board, CollectorRegistry())


class TestTheHealthOfIpamd:
    @pytest.mark.parametrize(
        ("outcomes", "up"),
        [
            pytest.param((read("node-1"), unread("node-2")), True, id="some nodes were read"),
            pytest.param((), True, id="there are no nodes"),
            pytest.param((unread("node-1"),), False, id="no node was read"),
        ],
    )
    def test_is_up_unless_no_node_at_all_was_read(
        self, outcomes: tuple[Outcome, ...], up: bool
    ) -> None:
        shown = Shown()
        shown.publish(*outcomes)
        assert shown.ipamd == SourceHealth(
            up=up,
            last_success=NOW + 0.25 if up else None,
            cycle_seconds=0.25,
            reason="" if up else "no node was read",
        )

    def test_remembers_when_it_last_was_up(self) -> None:
        shown = Shown()
        shown.publish(read())
        shown.publish(unread(), at=NOW + 30, seconds=5.0)
        assert shown.ipamd == SourceHealth(
            up=False, last_success=NOW + 0.25, cycle_seconds=5.0, reason="no node was read"
        )

    def test_counts_the_failures_of_all_cycles(self) -> None:
        shown = Shown()
        shown.publish(read("node-1"), unread("node-2", Reason.TIMEOUT))
        shown.publish(unread("node-1", Reason.MALFORMED), unread("node-2", Reason.TIMEOUT))
        failures = shown.board.health.target_failures
        assert {reason: n for reason, n in failures.items() if n} == {
            Reason.TIMEOUT: 2,
            Reason.MALFORMED: 1,
        }


UP = SourceHealth(up=True, last_success=NOW, reason="")
AWAY = SourceHealth(up=False, last_success=NOW, reason="connection refused")
FORBIDDEN = SourceHealth(up=False, last_success=None, reason="403 Forbidden")
News = tuple[Source, SourceHealth]


class TestNewsOfASource:
    def told(self, caplog: pytest.LogCaptureFixture, *news: News) -> list[str]:
        caplog.set_level(logging.INFO, logger="exporter.board")
        shown = Shown()
        for source, state in news:
            shown.board.note(source, state)
        return [
            f"{it.levelname} {vars(it)['source']}: {it.getMessage()}"
            for it in caplog.records
            if it.name == "exporter.board"
        ]

    def test_are_part_of_the_health(self) -> None:
        shown = Shown()
        shown.board.note(Source.NODES, AWAY)
        assert shown.board.health.sources[Source.NODES] == AWAY

    def test_that_are_good_from_the_start_are_not_told(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert self.told(caplog, (Source.NODES, UP), (Source.PODS, UP)) == []

    def test_are_told_once_per_change(self, caplog: pytest.LogCaptureFixture) -> None:
        assert self.told(
            caplog,
            (Source.NODES, AWAY),
            (Source.NODES, AWAY),
            (Source.NODES, UP),
            (Source.NODES, UP),
        ) == [
            "WARNING nodes: source is down: connection refused",
            "INFO nodes: source is up again",
        ]

    def test_that_say_the_same_of_several_sources_are_one_line(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert self.told(
            caplog,
            (Source.KUBERNETES, AWAY),
            (Source.NODES, AWAY),
            (Source.PODS, FORBIDDEN),
            (Source.NODES, UP),
            (Source.KUBERNETES, UP),
        ) == [
            "WARNING kubernetes: source is down: connection refused",
            "WARNING pods: source is down: 403 Forbidden",
            "INFO kubernetes: source is up again",
        ]

    def test_of_another_reason_are_told_anew(self, caplog: pytest.LogCaptureFixture) -> None:
        assert self.told(caplog, (Source.NODES, AWAY), (Source.NODES, FORBIDDEN)) == [
            "WARNING nodes: source is down: connection refused",
            "WARNING nodes: source is down: 403 Forbidden",
        ]
