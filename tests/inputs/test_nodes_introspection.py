"""A visit of page and introspection: the page's outcome is its own, whatever the other does."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.core.introspection import Introspection, IpamdEni
from exporter.core.model import Outcome, Read, Reading, Reason, Target, Unread
from exporter.inputs.fetch import Fetch, Place
from exporter.inputs.introspection import MAX_BODY_BYTES, AskingConfig, Introspections, Visit
from exporter.inputs.kube import KubeConfig, connect
from exporter.inputs.nodes import Nodes, NodesConfig, direct, directly
from tests.builders import NOW
from tests.inputs.fake_kube import Answer, Json, fake_kube
from tests.inputs.fake_kube import refuses as kube_refuses
from tests.inputs.fake_kube import says as kube_says
from tests.inputs.kube_parts import kubeconfig
from tests.inputs.servers import (
    CHUNKED,
    OK,
    Reader,
    Server,
    Writer,
    at,
    length,
    nodes_at,
    open_files,
    repeats,
    says,
    then_hangs,
    then_resets,
)

PAGE = (
    b"awscni_eni_max 3\nawscni_ip_max 27\nawscni_eni_allocated 2\n"
    b"awscni_total_ip_addresses 18\nawscni_assigned_ip_addresses 7\n"
)
BODY = (Path(__file__).parents[1] / "data/introspection/v1.23_secondary_ip.json").read_bytes()
READING = Reading(
    time=NOW, started=None, assigned=7, attached=18, enis=2, eni_max=3, ip_max=27, prefixes=0
)
ENI = IpamdEni(id="eni-0aaa", device=0, primary=True, subnet_id="subnet-0a", attached=4, assigned=1)
INTROSPECTED = replace(READING, introspection=Introspection(time=NOW, enis=(ENI,)))
# A machine that stalls must not take a good body for none, nor the one limit for the other.
TIMEOUT = 8.0
SECONDS = 1.0


def answers(body: bytes) -> Server:
    return says(length(len(body)), body)


GOOD = answers(BODY)
HUGE = b" " * 1_000_000
BOMB = gzip.compress(HUGE * 50)
SERVERS: Mapping[str, Server] = {
    "another page": answers(b"<h1>Hi</h1>"),
    "the paths that there are": answers(b'{"AvailableCommands":["/v1/enis"]}'),
    "half a body": answers(BODY[: len(BODY) // 2]),
    "half of what was promised": says(length(len(BODY)), BODY[: len(BODY) // 2]),
    "a body and no end": then_hangs(length(len(BODY)), BODY[:-1]),
    "nothing": then_hangs(),
    "no body": then_hangs(OK),
    "a reset": then_resets(length(9)),
    "an error": says(b"HTTP/1.1 500 Oh\r\n\r\n"),
    "another place": says(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n"),
    "50 MB": repeats(length(50_000_000), HUGE),
    "50 MB in chunks": repeats(CHUNKED, b"f4240\r\n" + HUGE + b"\r\n"),
    "a gzip bomb": says(
        OK + b"Content-Encoding: gzip\r\n" + length(len(BOMB)).removeprefix(OK), BOMB
    ),
    "no HTTP": says(b"{}"),
}


@asynccontextmanager
async def world(
    bodies: Mapping[str, Server],
    pages: Mapping[str, Server] | None = None,
    *,
    page_seconds: float = TIMEOUT,
) -> AsyncIterator[Nodes]:
    """Nodes with a good page each, unless said otherwise, and these bodies."""
    pages = pages or dict.fromkeys(bodies, answers(PAGE))
    async with nodes_at(pages) as port, nodes_at(bodies) as introspection:
        config = NodesConfig(port=port, timeout=page_seconds, allow_loopback=True)
        asking = AskingConfig(port=introspection, interval=0.0, seconds=SECONDS)
        asked = Introspections(asking, directly, clock=lambda: NOW)
        yield Nodes(config, direct(config), introspection=asked, clock=lambda: NOW)


def visited(*bodies: Server, pages: Mapping[str, Server] | None = None) -> tuple[Outcome, ...]:
    """What comes of nodes with these bodies, and that it takes no longer than it may."""
    servers = {f"127.0.0.{number}": it for number, it in enumerate(bodies, start=1)}

    async def all_of_it() -> tuple[Outcome, ...]:
        loop = asyncio.get_running_loop()
        async with world(servers, pages) as nodes:
            began = loop.time()
            found = await nodes.read(tuple(map(at, servers)))
            assert loop.time() - began < TIMEOUT / 2
        return found

    return asyncio.run(all_of_it())


def test_a_reading_has_what_page_and_introspection_say() -> None:
    where = at("127.0.0.1")
    assert visited(GOOD) == (Read(where, INTROSPECTED),)


@pytest.mark.parametrize("server", [pytest.param(it, id=name) for name, it in SERVERS.items()])
def test_whatever_introspection_answers_the_page_alone_gives_the_node(server: Server) -> None:
    one, two = at("127.0.0.1"), at("127.0.0.2")
    assert visited(server, GOOD) == (Read(one, READING), Read(two, INTROSPECTED))


def test_a_port_that_nobody_listens_on_costs_nothing_but_a_connection() -> None:
    async def all_of_it() -> tuple[Outcome, ...]:
        async with nodes_at({"127.0.0.1": answers(PAGE)}) as port:
            config = NodesConfig(port=port, timeout=TIMEOUT, allow_loopback=True)
            asked = Introspections(AskingConfig(port=1), directly)
            nodes = Nodes(config, direct(config), introspection=asked, clock=lambda: NOW)
            return await nodes.read((at("127.0.0.1"),))

    assert asyncio.run(all_of_it()) == (Read(at("127.0.0.1"), READING),)


class Counting:
    """Answers as a server does, and counts how often and at how many at a time."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.count = self.now = self.most = 0
        self.begun = asyncio.Event()

    async def __call__(self, reader: Reader, writer: Writer) -> None:
        self.begun.set()
        self.count += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.server(reader, writer)
        finally:
            self.now -= 1


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        pytest.param(then_hangs(OK), Reason.TIMEOUT, id="silent"),
        pytest.param(answers(b"<h1>Hi</h1>"), Reason.MALFORMED, id="malformed"),
        pytest.param(says(b"HTTP/1.1 503 Busy\r\n\r\n"), Reason.HTTP_STATUS, id="an error"),
    ],
)
def test_where_the_page_is_not_read_introspection_is_not_asked(
    page: Server, reason: Reason
) -> None:
    body = Counting(GOOD)

    async def all_of_it() -> tuple[Outcome, ...]:
        async with world({"127.0.0.1": body}, {"127.0.0.1": page}, page_seconds=1.0) as nodes:
            return await nodes.read((at("127.0.0.1"),))

    (found,) = asyncio.run(all_of_it())
    assert isinstance(found, Unread)
    assert (found.reason, body.count) == (reason, 0)


def test_silent_introspections_do_not_keep_other_nodes_waiting() -> None:
    """Sixty nodes of which a third is silent, four at a time."""
    ips = [f"127.0.1.{number}" for number in range(1, 61)]
    silent = set(ips[:20])
    pages = dict.fromkeys(ips, answers(PAGE))
    bodies = {ip: then_hangs() if ip in silent else GOOD for ip in ips}

    async def all_of_it() -> tuple[tuple[Outcome, ...], float]:
        loop = asyncio.get_running_loop()
        async with nodes_at(pages) as port, nodes_at(bodies) as introspection:
            config = NodesConfig(
                port=port, timeout=4.0, concurrency=4, patience=0.01, allow_loopback=True
            )
            asking = AskingConfig(port=introspection, seconds=1.0)
            asked = Introspections(asking, directly, clock=lambda: NOW)
            nodes = Nodes(config, direct(config), introspection=asked, clock=lambda: NOW)
            began = loop.time()
            return await nodes.read(tuple(map(at, ips))), loop.time() - began

    found, took = asyncio.run(all_of_it())
    assert found == tuple(Read(at(ip), READING if ip in silent else INTROSPECTED) for ip in ips)
    # One after the other the silent ones would take five seconds.
    assert took < 4.0


class Slow(Introspections):
    """Takes some time for each node: its own, or the node's."""

    def __init__(self, *, own: bool) -> None:
        super().__init__(AskingConfig(), directly)
        self.own = own
        self.now = self.most = 0

    async def of(self, target: Target, visit: Visit) -> Introspection | None:
        self.now += 1
        self.most = max(self.most, self.now)
        with nullcontext() if self.own else visit.waiting():
            await asyncio.sleep(0.05)
        self.now -= 1
        return None


@pytest.mark.parametrize(
    "own",
    [
        pytest.param(True, id="an answer that waits to be decoded does not"),
        pytest.param(False, id="a node that keeps us waiting does"),
    ],
)
def test_only_a_node_that_is_waited_for_gives_its_place_up(own: bool) -> None:
    config = NodesConfig(timeout=1.0, patience=0.001, concurrency=2, allow_loopback=True)
    slow = Slow(own=own)

    async def page(_target: Target) -> bytes:
        return PAGE

    targets = tuple(at(f"127.0.1.{number}") for number in range(1, 21))
    found = asyncio.run(Nodes(config, page, introspection=slow).read(targets))
    assert [type(it) for it in found] == [Read] * 20
    assert (slow.most == 2) is own


def test_page_and_introspection_of_a_node_have_one_socket_after_the_other() -> None:
    page, body = Counting(then_hangs(length(len(PAGE)), PAGE)), Counting(GOOD)
    both = Counting(answers(b""))

    async def serve_page(reader: Reader, writer: Writer) -> None:
        both.now += 1
        both.most = max(both.most, both.now)
        await page(reader, writer)
        both.now -= 1

    async def serve_body(reader: Reader, writer: Writer) -> None:
        both.now += 1
        both.most = max(both.most, both.now)
        await body(reader, writer)
        both.now -= 1

    async def all_of_it() -> tuple[Outcome, ...]:
        async with world({"127.0.0.1": serve_body}, {"127.0.0.1": serve_page}) as nodes:
            before = open_files()
            found = await nodes.read((at("127.0.0.1"),))
            await asyncio.sleep(0.05)
            assert open_files() <= before
            return found

    assert asyncio.run(all_of_it()) == (Read(at("127.0.0.1"), INTROSPECTED),)
    assert (page.count, body.count, both.most) == (1, 1, 1)


def test_a_cancelled_visit_leaves_no_socket_and_no_task() -> None:
    async def cancel() -> int:
        body = Counting(then_hangs())
        async with world({"127.0.0.1": body}) as nodes:
            before = open_files()
            reading = asyncio.create_task(nodes.read((at("127.0.0.1"),)))
            await body.begun.wait()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            await asyncio.sleep(0.05)
            return open_files() - before

    assert asyncio.run(cancel()) <= 0


def test_a_body_has_a_limit_of_its_own() -> None:
    async def asked() -> list[Place]:
        places: list[Place] = []

        def noting(place: Place) -> Fetch:
            places.append(place)
            return directly(place)

        async with nodes_at({"127.0.0.1": answers(PAGE)}) as port:
            config = NodesConfig(port=port, timeout=TIMEOUT, allow_loopback=True)
            introspections = Introspections(AskingConfig(port=1), noting)
            await Nodes(config, direct(config), introspection=introspections).read(
                (at("127.0.0.1"),)
            )
        return places

    assert asyncio.run(asked()) == [Place(1, "/v1/enis", 1.0, MAX_BODY_BYTES)]


PROXIED = "/api/v1/namespaces/kube-system/pods/{}:{}/proxy{}".format


@pytest.mark.parametrize(
    ("body", "introspected"),
    [
        pytest.param(kube_says(BODY), True, id="reachable"),
        pytest.param(
            kube_refuses(503, "error trying to reach service: dial tcp 10.0.0.1:61679"),
            False,
            id="not reachable",
        ),
        pytest.param(kube_says(b" " * (MAX_BODY_BYTES + 1)), False, id="too large"),
    ],
)
def test_through_the_api_server_introspection_takes_the_same_way(
    body: Answer, introspected: bool, tmp_path: Path
) -> None:
    where = at("10.0.0.1")

    async def all_of_it() -> tuple[tuple[Outcome, ...], int]:
        async with fake_kube() as server:
            assert where.pod is not None
            server.always[PROXIED(where.pod.name, 61678, "/metrics"), "get"] = kube_says(PAGE)
            path = PROXIED(where.pod.name, 61679, "/v1/enis")
            server.always[path, "get"] = body
            login: Json = {"token": server.token}
            config = KubeConfig(kubeconfig=kubeconfig(tmp_path, server.url, login))
            async with connect(config) as kube:
                asked = Introspections(AskingConfig(), kube.proxy_fetch_at, clock=lambda: NOW)
                pages = kube.proxy_fetch(port=61678, timeout=5.0)
                nodes = Nodes(
                    NodesConfig(check_addresses=False),
                    pages,
                    introspection=asked,
                    clock=lambda: NOW,
                )
                found = await nodes.read((where,))
                # A node that does not answer is not asked again in the next cycle.
                await nodes.read((where,))
            return found, len(server.verbs(path))

    found, requests = asyncio.run(all_of_it())
    assert found == (Read(where, INTROSPECTED if introspected else READING),)
    assert requests == 1


def test_a_target_without_a_pod_or_an_address_is_not_asked() -> None:
    pending = at("127.0.0.1", pending=True)
    bare = Target(pending.node)
    body = Counting(GOOD)

    async def all_of_it() -> tuple[Outcome, ...]:
        async with world({"127.0.0.1": body}) as nodes:
            return await nodes.read((pending, bare))

    assert asyncio.run(all_of_it()) == (
        Unread(pending, Reason.PENDING),
        Unread(bare, Reason.NO_POD),
    )
    assert body.count == 0
