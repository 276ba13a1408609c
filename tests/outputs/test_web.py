from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from html.parser import HTMLParser

import pytest
from aiohttp import ClientSession
from prometheus_client import CollectorRegistry

from exporter.core.headroom import Headroom, Limit
from exporter.core.health import Health, Source, SourceHealth
from exporter.core.model import Identity, Reason, SubnetRoom, Target
from exporter.core.owners import Use
from exporter.core.report import Report
from exporter.core.subnets import SubnetUsage
from exporter.outputs.picture import GROUPS, UNTIL
from exporter.outputs.prometheus import Block, Format, Selection, Sheet, draw, finish, own_lines
from exporter.outputs.web import Pages, negotiate, serving, takes_gzip
from tests.builders import (
    NOW,
    books,
    held,
    node,
    pod,
    read,
    reading,
    report,
    subnet_usage,
    target,
    unread,
    without_enis,
)

HEALTH = Health("1.2.3")
NO_PROCESS = CollectorRegistry()
UP = SourceHealth(up=True, last_success=NOW, cycle_seconds=0.2, reason="")
SHOWN = report(read("node-1"), unread("node-2"), identity=Identity(cluster="prod"))


@dataclass(frozen=True)
class Fixed:
    """A view that never changes."""

    report: Report | None = SHOWN
    health: Health = HEALTH
    accounts: tuple[SubnetUsage, ...] = ()

    async def block(self, form: Format) -> Block:
        drawn = Sheet() if self.report is None else draw(Selection().tables(), self.report, {})
        return drawn.block(form)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def pages(view: Fixed) -> Pages:
    return Pages(view, NO_PROCESS)


def ask(
    path: str,
    view: Fixed = Fixed(),
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    async def talk() -> Answer:
        async with (
            serving(pages(view), "127.0.0.1", 0) as (host, port),
            ClientSession(
                auto_decompress=False, skip_auto_headers=("Accept", "Accept-Encoding")
            ) as session,
            session.request(method, f"http://{host}:{port}{path}", headers=headers) as answer,
        ):
            return Answer(answer.status, answer.headers, await answer.read())

    return asyncio.run(talk())


def page(view: Fixed, form: Format = Format.TEXT) -> bytes:
    block = asyncio.run(view.block(form))
    return finish(block, own_lines(view.health, NO_PROCESS, form), form, gzipped=False)


OPENMETRICS_1 = "application/openmetrics-text;version=1.0.0"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        pytest.param(
            f"{OPENMETRICS_1},application/openmetrics-text;version=0.0.1;q=0.75,"
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            Format.OPENMETRICS,
            id="Prometheus 2.42",
        ),
        pytest.param(
            f"{OPENMETRICS_1};escaping=allow-utf-8;q=0.6,"
            "application/openmetrics-text;version=0.0.1;q=0.5,"
            "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
            "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            Format.OPENMETRICS,
            id="Prometheus 3",
        ),
        pytest.param(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
            f"encoding=delimited;q=0.7,{OPENMETRICS_1};q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            Format.OPENMETRICS,
            id="Prometheus with native histograms",
        ),
        pytest.param("text/plain;version=0.0.4;q=0.2,*/*;q=0.1", Format.TEXT, id="text alone"),
        pytest.param(
            "text/plain;version=0.0.4;q=0.9,application/openmetrics-text;version=1.0.0;q=0.8",
            Format.TEXT,
            id="text rather",
        ),
        pytest.param(
            "text/plain;q=0.5,application/openmetrics-text;q=0.5",
            Format.OPENMETRICS,
            id="either, and any version",
        ),
        pytest.param(
            'Application/OpenMetrics-Text; Version="1.0.0"; Q=0.9, text/*;q=0.1',
            Format.OPENMETRICS,
            id="case, quotes and blanks",
        ),
        pytest.param(
            "application/openmetrics-text;version=0.0.1,text/plain;q=0.1",
            Format.TEXT,
            id="an OpenMetrics that we do not speak",
        ),
        pytest.param(
            "application/openmetrics-text;q=0,*/*;q=0.1", Format.TEXT, id="anything but OpenMetrics"
        ),
        pytest.param("application/openmetrics-text;q=0", Format.TEXT, id="nothing that we speak"),
        pytest.param(
            "application/openmetrics-text;q=high,text/plain;q=0.1", Format.TEXT, id="no weight"
        ),
        pytest.param("text/html,application/xhtml+xml,*/*;q=0.8", Format.TEXT, id="a browser"),
        pytest.param("*/*", Format.TEXT, id="curl"),
        pytest.param("", Format.TEXT, id="nobody asked"),
        pytest.param(";;q,=,", Format.TEXT, id="rubbish"),
    ],
)
def test_the_format_is_the_one_that_the_scraper_weighs_most(accept: str, form: Format) -> None:
    assert negotiate(accept) is form


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        pytest.param("gzip", True, id="gzip"),
        pytest.param("deflate, GZip;q=0.5, br", True, id="among others"),
        pytest.param("gzip ; q=1.0", True, id="blanks"),
        pytest.param("", False, id="nothing"),
        pytest.param("identity", False, id="identity"),
        pytest.param("gzip;q=0", False, id="refused"),
        pytest.param("br, gzip;q=0.000, *", False, id="refused among others"),
        pytest.param("x-gzipped", False, id="another name"),
    ],
)
def test_gzip_is_for_those_who_name_it_and_do_not_refuse_it(header: str, taken: bool) -> None:
    assert takes_gzip(header) is taken


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        pytest.param("*/*", Format.TEXT, id="text"),
        pytest.param(OPENMETRICS_1, Format.OPENMETRICS, id="openmetrics"),
    ],
)
class TestMetrics:
    def test_are_the_page_in_the_format_asked_for(self, accept: str, form: Format) -> None:
        answer = ask("/metrics", headers={"Accept": accept})
        assert answer.body == page(Fixed(), form)
        assert answer.status == 200
        assert answer.headers["Content-Type"] == form.value
        assert answer.headers["Vary"] == "Accept, Accept-Encoding"
        assert "Content-Encoding" not in answer.headers

    def test_are_gzipped_where_that_is_taken(self, accept: str, form: Format) -> None:
        answer = ask("/metrics", headers={"Accept": accept, "Accept-Encoding": "gzip"})
        assert gzip.decompress(answer.body) == page(Fixed(), form)
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Content-Type"] == form.value

    def test_are_measured_by_head_without_a_body(self, accept: str, form: Format) -> None:
        answer = ask("/metrics", method="HEAD", headers={"Accept": accept})
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["Content-Length"] == str(len(page(Fixed(), form)))
        assert answer.headers["Content-Type"] == form.value

    def test_are_the_exporters_own_alone_without_a_report(self, accept: str, form: Format) -> None:
        answer = ask("/metrics", Fixed(report=None), headers={"Accept": accept})
        assert answer.body == page(Fixed(report=None), form)
        assert b"vpc_cni_cluster" not in answer.body


def test_healthz_answers_whatever_is_known() -> None:
    answer = ask("/healthz", Fixed(report=None))
    assert (answer.status, answer.body) == (200, b"ok\n")


def test_readyz_answers_ok_while_there_is_a_report() -> None:
    answer = ask("/readyz")
    assert (answer.status, answer.body) == (200, b"ok\n")


def test_readyz_tells_what_is_missing_while_there_is_none() -> None:
    refused = SourceHealth(up=False, reason="connection refused")
    health = HEALTH.with_source(Source.IPAMD, UP).with_source(Source.KUBERNETES, refused)
    answer = ask("/readyz", Fixed(report=None, health=health))
    assert answer.status == 503
    assert answer.body.decode() == (
        "no report\n"
        "kubernetes: connection refused\n"
        "nodes: not asked yet\n"
        "daemonsets: not asked yet\n"
        "pods: not asked yet\n"
        "eniconfigs: not asked yet\n"
        "cninodes: not asked yet\n"
    )


def test_readyz_follows_the_report_on_nodes_whatever_becomes_of_aws() -> None:
    refused = SourceHealth(up=False, reason="no credentials")
    health = HEALTH.with_source(Source.EC2_ENIS, refused)
    assert ask("/readyz", Fixed(health=health)).status == 200
    answer = ask("/readyz", Fixed(report=None, health=health, accounts=(subnet_usage(),)))
    assert answer.status == 503
    assert answer.body.decode().splitlines()[-1] == "ec2_enis: no credentials"


@pytest.mark.parametrize("path", ["/metric", "/metrics/", "/favicon.ico", "/..%2fetc"])
def test_an_unknown_path_is_told_which_there_are(path: str) -> None:
    answer = ask(path)
    assert (answer.status, answer.body) == (404, b"try /metrics, /healthz, /readyz or /\n")


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/"])
def test_nothing_can_be_posted(path: str) -> None:
    assert ask(path, method="POST").status == 405


class Html(HTMLParser):
    """What a browser would find: elements with their attributes, and texts."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())

    def after(self, text: str, count: int) -> list[str]:
        """The texts that follow one."""
        at = self.texts.index(text) + 1
        return self.texts[at : at + count]

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}


def html(view: Fixed) -> Html:
    return Html(ask("/", view).body)


class TestThePage:
    def test_is_html_that_may_load_nothing(self) -> None:
        answer = ask("/")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Content-Security-Policy"] == (
            "default-src 'none'; style-src 'unsafe-inline'"
        )
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert not Html(answer.body).tags & {"script", "link", "img", "iframe"}

    def test_is_gzipped_where_that_is_taken(self) -> None:
        answer = ask("/", headers={"Accept-Encoding": "gzip"})
        assert answer.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(answer.body) == ask("/").body

    def test_tells_the_clusters_figures(self) -> None:
        crowd = tuple(read(f"node-{i}", reading(assigned=17)) for i in range(100))
        shown = html(Fixed(report(*crowd, identity=Identity(cluster="prod"))))
        assert shown.after("Pod IP addresses of prod", 1) == ["vpc-cni-exporter 1.2.3 ·"]
        at = shown.texts.index("assigned to pods")
        assert shown.texts[at - 1 : at + 11] == [
            *("1,700", "assigned to pods"),
            *("100", "warm"),
            *("2,700", "capacity"),
            *("200", "ENIs of 300"),
            *("0", "/28 prefixes"),
            *("100", "nodes read of 100"),
        ]
        assert "vpc-cni-exporter · prod" in shown.texts

    def test_draws_what_is_assigned_and_warm_as_shares_of_the_capacity(self) -> None:
        shown = html(Fixed(report(read(what=reading(assigned=9, attached=18, ip_max=36)))))
        bar: dict[str, str | None] = {
            "class": "bar",
            "role": "img",
            "aria-label": "9 assigned, 9 warm of 36",
        }
        at = shown.elements.index(("div", bar))
        assert shown.elements[at + 1 : at + 3] == [
            ("i", {"class": "a", "style": "width: 25.0%"}),
            ("i", {"class": "w", "style": "width: 25.0%"}),
        ]

    def test_tells_what_is_in_cooldown_where_introspection_does(self) -> None:
        said = books(held(attached=18, assigned=9, cooldown=3), eniconfig="pods-a")
        nodes = (
            read(target(node("node-1", zone="a")), reading(ip_max=36, introspection=said)),
            read(target(node("node-2", zone="b"))),
            read(
                target(node("node-3", zone="b")),
                reading(introspection=replace(said, enis=(held(attached=7),))),
            ),
            read(
                target(node("node-4", zone="b")),
                reading(introspection=books(held(attached=5), held("eni-2", attached=5))),
            ),
        )
        shown = html(Fixed(report(*nodes)))
        at = shown.texts.index("in cooldown on 3 introspected nodes")
        assert shown.texts[at - 1] == "6"
        label = "9 assigned, 6 warm, 3 in cooldown of 36"
        bar: dict[str, str | None] = {"class": "bar", "role": "img", "aria-label": label}
        at = shown.elements.index(("div", bar))
        assert shown.elements[at + 1 : at + 4] == [
            ("i", {"class": "a", "style": "width: 25.0%"}),
            ("i", {"class": "w", "style": "width: 16.7%"}),
            ("i", {"class": "c", "style": "width: 8.3%"}),
        ]
        assert shown.after("a", 6) == ["1 of 1", "9", "6", "3", "36", "1 of 3"]
        assert shown.after("node-4", 1) == ["blocked: cooldown, 2 in cooldown"]
        assert not [it for it in html(Fixed()).texts if "cooldown" in it]

    def test_tells_how_many_more_pods_fit_and_until_when(self) -> None:
        room = SubnetRoom(subnet_usage("subnet-a").subnet, 10)
        nodes = (
            read(target(node("node-1", instance_id="i-1", zone="a"))),
            unread(target(node("node-2", zone="b"))),
        )
        shown = html(Fixed(report(*nodes, subnets={"i-1": "subnet-a"}, rooms=[room])))
        at = shown.texts.index("more pods fit, until every node is at its max-pods")
        assert shown.texts[at - 1] == "22"
        assert "more pods" in shown.after("Zone", 8)
        assert shown.after("a", 6)[-1] == "22"
        assert shown.after("b", 6)[-1] == "–"
        assert not [it for it in html(Fixed(report(*nodes))).texts if "more pods" in it]

    @pytest.mark.parametrize("limit", Limit)
    def test_has_words_for_every_limit(self, limit: Limit) -> None:
        told = report(read())
        full = replace(told, cluster=replace(told.cluster, headroom=Headroom(0, limit)))
        shown = html(Fixed(full))
        assert shown.after("0", 1) == ["/28 prefixes"]
        assert f"more pods fit, until {UNTIL[limit]}" in shown.texts

    def test_names_the_eniconfig_of_a_node_that_has_nothing_left(self) -> None:
        said = books(held(attached=4, assigned=4, cooldown=0), eniconfig="pods-a")
        shown = html(Fixed(report(read(what=reading(introspection=said)))))
        assert shown.after("node-1", 1) == ["nothing warm, ENIConfig pods-a"]

    def test_draws_no_bar_of_what_is_not_known(self) -> None:
        shown = html(Fixed(report(unread())))
        assert (
            "div",
            {"class": "bar", "role": "img", "aria-label": "– assigned, – warm of –"},
        ) in shown.elements
        assert not [
            it for it in shown.elements if it[0] == "i" and "width" in (it[1].get("style") or "")
        ]

    def test_says_in_words_when_sums_are_not_of_all_nodes(self) -> None:
        shown = html(Fixed())
        assert shown.after("1 of 2 nodes were not read", 1) == [
            ": every sum below is of the other 1."
        ]
        assert not [it for it in html(Fixed(report(read()))).texts if "not read" in it]

    def test_has_a_row_for_each_zone_and_node_group(self) -> None:
        nodes = (
            read(target(node("node-1", zone="a", nodegroup="blue"))),
            unread(target(node("node-2", zone="b", nodegroup="blue"))),
        )
        shown = html(Fixed(report(*nodes)))
        assert shown.after("a", 6) == ["1 of 1", "5", "13", "27", "2 of 3", "b"]
        assert shown.after("b", 5) == ["0 of 1", "–", "–", "–", "– of –"]
        assert shown.after("blue", 5) == ["1 of 2", "5", "13", "27", "2 of 3"]

    def test_has_no_zones_where_nodes_may_not_be_listed(self) -> None:
        bare = target(node(zone="", nodegroup="", addresses=None))
        shown = html(Fixed(report(read(bare), nodes_known=False)))
        assert not {"Zone", "Node group"} & set(shown.texts)

    def test_lists_the_nodes_to_look_at_and_why(self) -> None:
        full = read("node-3", reading(assigned=18, attached=18))
        shown = html(Fixed(report(read("node-1"), unread("node-2", Reason.HTTP_STATUS), full)))
        assert shown.after("node-2", 4) == ["not read: http_status", "–", "–", "–"]
        assert shown.after("node-3", 4) == ["nothing warm", "18", "0", "27"]
        assert "node-1" not in shown.texts

    def test_says_what_blocks_a_node(self) -> None:
        full = read(target(node("node-1", max_pods=20)), reading(assigned=27, attached=27))
        shown = html(Fixed(report(full)))
        assert shown.after("node-1", 4) == ["blocked: eni_limit, max_pods", "27", "0", "27"]

    @pytest.mark.parametrize(
        ("lost", "rows", "more"),
        [
            pytest.param(0, 0, [], id="none"),
            pytest.param(50, 50, [], id="as many as are shown"),
            pytest.param(1_060, 50, ["and 1,010 more"], id="too many"),
        ],
    )
    def test_lists_fifty_of_them_and_counts_the_rest(
        self, lost: int, rows: int, more: list[str]
    ) -> None:
        shown = html(Fixed(report(*(unread(f"node-{i}") for i in range(lost)))))
        assert len([it for it in shown.texts if it.startswith("node-")]) == rows
        assert [it for it in shown.texts if it.startswith("and ")] == more
        assert ("Nodes to look at" in shown.texts) is (rows > 0)

    def test_has_a_row_for_each_subnet_with_a_bar_of_who_holds_its_addresses(self) -> None:
        shown = html(Fixed(accounts=(subnet_usage("subnet-a"), without_enis("subnet-b"))))
        assert shown.after("subnet-a", 12) == [
            *("pods-a", "eu-west-1a", "256", "151", "33 %", "7", "1"),
            *("15", "m5.large", "4", "r6i.2xlarge"),
            "subnet-b",
        ]
        assert shown.after("subnet-b", 8) == [
            *("eu-west-1b", "64", "10", "83 %", "–", "–"),
            "its ENIs could not all be read",
            "assigned",
        ]
        parts = [it for tag, it in shown.elements if tag == "i" and "title" in it]
        assert [(it["class"], it["title"], it["style"]) for it in parts] == [
            ("g0", "assigned: 40", "width: 15.62%"),
            ("g1", "warm: 22", "width: 8.59%"),
            ("g3", "nodes: 4", "width: 1.56%"),
            ("g4", "leaked: 10", "width: 3.91%"),
            ("g5", "others: 8", "width: 3.12%"),
            ("g6", "reserved: 5", "width: 1.95%"),
            ("g7", "free: 167", "width: 65.23%"),
        ]

    def test_names_three_types_of_which_more_nodes_fit_into_a_subnet(self) -> None:
        many = replace(without_enis(), node_headroom={f"m{n}.large": n for n in range(5, 1, -1)})
        shown = html(Fixed(accounts=(many,)))
        assert [it for it in shown.texts if ".large" in it] == ["m2.large", "m3.large", "m4.large"]

    def test_groups_every_use_of_an_address_once(self) -> None:
        assert sorted(use for group in GROUPS.values() for use in group) == sorted(Use)

    @pytest.mark.parametrize(
        ("free", "marked"),
        [pytest.param(9, False, id="below"), pytest.param(8, True, id="above")],
    )
    def test_marks_a_subnet_that_is_used_to_85_percent(self, free: int, marked: bool) -> None:
        shown = html(Fixed(accounts=(without_enis(free=free),)))
        assert (("td", {"class": "bad"}) in shown.elements) is marked

    @pytest.mark.parametrize(
        "shown", [pytest.param(SHOWN, id="a report"), pytest.param(None, id="no report")]
    )
    def test_shows_subnets_where_there_are_some(self, shown: Report | None) -> None:
        assert "Subnets" not in html(Fixed(shown)).texts
        assert "Subnets" in html(Fixed(shown, accounts=(subnet_usage(),))).texts

    def test_says_that_there_is_no_report_and_why(self) -> None:
        refused = SourceHealth(up=False, reason="connection refused")
        health = HEALTH.with_source(Source.KUBERNETES, refused).with_source(Source.IPAMD, UP)
        shown = html(Fixed(None, health))
        assert "There is no report yet, or the last one is too old to be shown." in shown.texts
        assert shown.after("ipamd", 1) == ["up"]
        assert shown.after("kubernetes", 1) == ["down: connection refused"]
        assert "assigned to pods" not in shown.texts

    def test_shows_hostile_names_as_text(self) -> None:
        name = '<script src="x">alert(1)</script>"\'><img src=x onerror=alert(1)>&amp;'
        where = Target(node(name, zone=name, nodegroup=name), pod(node=name))
        identity = Identity(cluster=name)
        down = SourceHealth(up=False, reason=name)
        shown = html(
            Fixed(
                report(unread(where), identity=identity),
                HEALTH.with_source(Source.PODS, down),
                (subnet_usage(name=name),),
            )
        )
        assert not shown.tags & {"script", "img"}
        assert len([it for it in shown.texts if it == name]) == 4
        assert {f"Pod IP addresses of {name}", f"down: {name}"} <= set(shown.texts)


def test_a_port_that_is_taken_is_an_error_of_the_system() -> None:
    async def serve_twice() -> None:
        async with (
            serving(pages(Fixed()), "127.0.0.1", 0) as (host, port),
            serving(pages(Fixed()), host, port),
        ):
            raise AssertionError("served twice on one port")

    with pytest.raises(OSError, match="address already in use"):
        asyncio.run(serve_twice())


def test_after_serving_nobody_listens_and_an_idle_client_does_not_hold_it_up() -> None:
    async def serve() -> int:
        async with serving(pages(Fixed()), "127.0.0.1", 0) as (host, port):
            _, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        with suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()
        return port

    port = asyncio.run(serve())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
