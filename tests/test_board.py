from __future__ import annotations

import asyncio
import logging
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest
from aiohttp.test_utils import make_mocked_request
from prometheus_client import CollectorRegistry

from exporter import __version__
from exporter.board import Board
from exporter.core.eks import EksReport
from exporter.core.health import Health, PointOutcome, Source, SourceHealth
from exporter.core.model import Outcome, Reason
from exporter.core.subnets import SubnetUsage
from exporter.cycle import Cycle
from exporter.outputs.prometheus import Format, Selection, draw, finish
from exporter.outputs.web import Pages
from tests.builders import (
    NOW,
    eks_report,
    read,
    report,
    snapshot,
    subnet_usage,
    unread,
    without_enis,
)

MAX_AGE = 90.0
SUBNETS_MAX_AGE = 180.0
EKS_MAX_AGE = 2700.0


@dataclass
class Clock:
    now: float

    def __call__(self) -> float:
        return self.now


class Shown:
    """A board with a clock that stands still until it is moved."""

    def __init__(self, chosen: Selection | None = None, *, now: float = 1_000.0) -> None:
        self.clock = Clock(now)
        self.board = Board(
            chosen or Selection(),
            MAX_AGE,
            self.clock,
            subnets_max_age=SUBNETS_MAX_AGE,
            eks_max_age=EKS_MAX_AGE,
        )

    def publish(self, *outcomes: Outcome, at: float = NOW, seconds: float = 0.25) -> None:
        cycle = Cycle(snapshot(*outcomes, time=at), report(*outcomes), seconds)
        asyncio.run(self.board.publish(cycle))

    def put(self, *subnets: SubnetUsage) -> None:
        asyncio.run(self.board.subnets.put(subnets))

    def text(self, form: Format = Format.TEXT) -> bytes:
        return asyncio.run(self.board.block(form)).plain

    @property
    def ipamd(self) -> SourceHealth:
        return self.board.health.sources[Source.IPAMD]


def drawn(*outcomes: Outcome, form: Format = Format.TEXT) -> bytes:
    return draw(Selection().tables(), report(*outcomes), {}).block(form).plain


def drawn_subnets(*subnets: SubnetUsage, form: Format = Format.TEXT) -> bytes:
    return draw(Selection().subnet_tables(), subnets, {}).block(form).plain


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

    def test_shows_the_report_that_it_had_while_the_next_is_drawn(self) -> None:
        board = Shown().board
        first, second = (
            Cycle(snapshot(it), report(it), 0.25) for it in (read("node-1"), unread("node-1"))
        )

        async def publish_while_asking() -> tuple[bytes, bytes]:
            # One thread draws what was asked for first, and then the other.
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
            await board.publish(first)
            _, asked = await asyncio.gather(board.publish(second), board.block(Format.TEXT))
            return asked.plain, (await board.block(Format.TEXT)).plain

        assert asyncio.run(publish_while_asking()) == (
            drawn(read("node-1")),
            drawn(unread("node-1")),
        )

    def test_is_a_view_that_the_pages_can_show(self) -> None:
        pages = Pages(Shown().board, CollectorRegistry())
        ready = asyncio.run(pages.readyz(make_mocked_request("GET", "/readyz")))
        assert ready.status == 503


class TestTheReportOnSubnets:
    @forms
    def test_stands_behind_the_one_on_nodes(self, form: Format) -> None:
        shown = Shown()
        shown.publish(read())
        shown.put(subnet_usage(), without_enis())
        assert shown.board.accounts == (subnet_usage(), without_enis())
        assert shown.text(form) == drawn(read(), form=form) + drawn_subnets(
            subnet_usage(), without_enis(), form=form
        )

    @forms
    def test_is_shown_alone_where_there_is_no_other_yet(self, form: Format) -> None:
        shown = Shown()
        shown.put(subnet_usage())
        assert shown.board.report is None
        assert shown.text(form) == drawn_subnets(subnet_usage(), form=form)

    def test_is_missing_without_harm_to_the_one_on_nodes(self) -> None:
        shown = Shown()
        shown.publish(read())
        assert shown.board.accounts == ()
        assert shown.text() == drawn(read())

    @forms
    def test_is_withdrawn_by_its_own_age(self, form: Format) -> None:
        shown = Shown()
        shown.publish(read())
        shown.put(subnet_usage())
        nodes, subnets = drawn(read(), form=form), drawn_subnets(subnet_usage(), form=form)
        seen = []
        for age in (MAX_AGE, MAX_AGE + 0.1, SUBNETS_MAX_AGE, SUBNETS_MAX_AGE + 0.1):
            shown.clock.now = 1_000.0 + age
            seen.append(shown.text(form))
        assert seen == [nodes + subnets, subnets, subnets, b""]
        assert shown.board.accounts == ()
        shown.publish(read())
        assert shown.text(form) == nodes
        shown.put(without_enis())
        assert shown.text(form) == nodes + drawn_subnets(without_enis(), form=form)

    @forms
    def test_is_joined_to_one_gzip_member_with_the_exporters_own_lines(self, form: Format) -> None:
        shown = Shown()
        shown.publish(read())
        shown.put(subnet_usage())
        block = asyncio.run(shown.board.block(form))
        inflater = zlib.decompressobj(wbits=31)
        found = inflater.decompress(finish(block, b"# own\n", form, gzipped=True))
        assert found == finish(block, b"# own\n", form, gzipped=False)
        assert found.startswith(shown.text(form) + b"# own\n")
        assert (inflater.eof, inflater.unused_data) == (True, b"")

    def test_is_what_is_selected(self) -> None:
        shown = Shown(Selection(allow=("vpc_cni_subnet_size",)))
        shown.put(without_enis("subnet-b"))
        assert shown.text().splitlines()[2:] == [b'vpc_cni_subnet_size{subnet_id="subnet-b"} 64']


def drawn_eks(told: EksReport, form: Format = Format.TEXT) -> bytes:
    return draw(Selection().eks_tables(), told, {}).block(form).plain


class TestTheReportOfEks:
    @forms
    def test_stands_last_and_is_withdrawn_by_its_own_age(self, form: Format) -> None:
        shown = Shown()
        shown.publish(read())
        shown.put(subnet_usage())
        asyncio.run(shown.board.eks.put(eks_report()))
        nodes, subnets = drawn(read(), form=form), drawn_subnets(subnet_usage(), form=form)
        eks = drawn_eks(eks_report(), form)
        seen = []
        for age in (MAX_AGE, SUBNETS_MAX_AGE, EKS_MAX_AGE, EKS_MAX_AGE + 0.1):
            shown.clock.now = 1_000.0 + age
            seen.append(shown.text(form))
        assert seen == [nodes + subnets + eks, subnets + eks, eks, b""]

    def test_is_what_is_selected(self) -> None:
        shown = Shown(Selection(allow=("vpc_cni_addon_update_available",)))
        asyncio.run(shown.board.eks.put(eks_report()))
        assert shown.text().splitlines()[2:] == [
            b'vpc_cni_addon_update_available{addon="vpc-cni"} 1',
            b'vpc_cni_addon_update_available{addon="coredns"} 0',
        ]


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

    def test_keep_when_a_source_last_succeeded_through_its_failures(self) -> None:
        shown = Shown()
        refused = SourceHealth(up=False, last_success=None, cycle_seconds=2.0, reason="refused")
        shown.board.note(Source.EC2_ENIS, refused)
        assert shown.board.health.sources[Source.EC2_ENIS] == refused
        shown.board.note(Source.EC2_ENIS, UP)
        shown.board.note(Source.EC2_ENIS, refused)
        assert shown.board.health.sources[Source.EC2_ENIS] == replace(refused, last_success=NOW)
        later = replace(UP, last_success=NOW + 60)
        shown.board.note(Source.EC2_ENIS, later)
        assert shown.board.health.sources[Source.EC2_ENIS] == later

    def test_from_cloudwatch_come_beside_those_of_other_services(self) -> None:
        shown = Shown()
        ec2 = {("ec2", "DescribeSubnets", "ok"): 1}
        cloudwatch = {("cloudwatch", "PutMetricData", "ok"): 2}
        points = {PointOutcome.ACCEPTED: 52}
        shown.board.note_aws(Source.EC2_SUBNETS, UP, ec2)
        shown.board.note_cloudwatch(AWAY, cloudwatch, points)
        assert shown.board.health == replace(
            Health(__version__)
            .with_source(Source.EC2_SUBNETS, UP)
            .with_source(Source.CLOUDWATCH, AWAY),
            aws_requests={**ec2, **cloudwatch},
            points=points,
        )

    def test_from_aws_come_with_the_requests_so_far(self) -> None:
        shown = Shown()
        first = {("ec2", "DescribeSubnets", "ok"): 1}
        second = {("ec2", "DescribeSubnets", "ok"): 1, ("ec2", "DescribeSubnets", "refused"): 1}
        shown.board.note_aws(Source.EC2_SUBNETS, UP, first)
        assert shown.board.health == replace(
            Health(__version__).with_source(Source.EC2_SUBNETS, UP), aws_requests=first
        )
        shown.board.note_aws(Source.EC2_SUBNETS, AWAY, second)
        assert shown.board.health == replace(
            Health(__version__).with_source(Source.EC2_SUBNETS, AWAY), aws_requests=second
        )

    def test_from_aws_say_once_what_is_refused_while_the_source_does_without_it(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, logger="exporter.board")
        board = Shown().board

        def note(state: SourceHealth, refused: int, ok: int) -> list[str]:
            caplog.clear()
            call = ("ec2", "GetSubnetCidrReservations")
            requests = {(*call, "refused"): refused, (*call, "ok"): ok}
            board.note_aws(Source.EC2_SUBNETS, state, requests)
            return [
                f"{it.levelname} {it.getMessage()} {vars(it)['service']}" for it in caplog.records
            ]

        assert note(UP, 1, 0) == ["WARNING AWS refuses GetSubnetCidrReservations ec2"]
        assert note(UP, 2, 0) == []
        assert note(UP, 3, 1) == []
        assert note(UP, 3, 2) == ["INFO AWS allows GetSubnetCidrReservations again ec2"]
        assert note(UP, 3, 3) == []
        assert note(UP, 4, 3) == ["WARNING AWS refuses GetSubnetCidrReservations ec2"]

    def test_from_aws_tell_no_refusal_twice_where_it_takes_the_source_down(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, logger="exporter.board")
        board = Shown().board
        requests = {("ec2", "DescribeSubnets", "refused"): 1}
        board.note_aws(Source.EC2_SUBNETS, FORBIDDEN, requests)
        board.note_aws(Source.EC2_ENIS, UP, requests)
        assert [it.getMessage() for it in caplog.records] == [f"source is down: {FORBIDDEN.reason}"]

    def test_from_one_service_leave_what_was_asked_of_another(self) -> None:
        shown = Shown()
        ec2 = {("ec2", "DescribeSubnets", "ok"): 3}
        for count in (1, 2):
            shown.board.note_aws(Source.EC2_SUBNETS, UP, ec2)
            shown.board.note_aws(Source.EKS, UP, {("eks", "DescribeCluster", "ok"): count})
        assert shown.board.health.aws_requests == {**ec2, ("eks", "DescribeCluster", "ok"): 2}

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
