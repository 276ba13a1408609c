"""What becomes of each target: outcomes in order, reasons, times, and addresses not dialled."""

from __future__ import annotations

import asyncio

import pytest

from exporter.core.model import Outcome, Read, Reading, Reason, Target, Unread
from exporter.inputs.fetch import Fetch, FetchFailed
from exporter.inputs.nodes import Nodes, NodesConfig, direct
from tests.builders import NOW, node, pod, target
from tests.inputs.servers import OK, at, length, nodes_at, says, then_hangs

PAGE = (
    b"awscni_eni_max 3\nawscni_ip_max 27\nawscni_eni_allocated 2\n"
    b"awscni_total_ip_addresses 18\nawscni_assigned_ip_addresses 7\n"
)
READING = Reading(
    time=NOW, started=None, assigned=7, attached=18, enis=2, eni_max=3, ip_max=27, prefixes=0
)
GOOD = says(length(len(PAGE)), PAGE)
# Nobody is waited for in most of these.
LOOPBACK = NodesConfig(timeout=30.0, allow_loopback=True)


def read(
    fetch: Fetch, *targets: Target, config: NodesConfig = LOOPBACK, clock: float = NOW
) -> tuple[Outcome, ...]:
    """What comes of reading these, with nothing left running."""

    async def all_of_it() -> tuple[Outcome, ...]:
        outcomes = await Nodes(config, fetch, clock=lambda: clock).read(targets)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return outcomes

    return asyncio.run(all_of_it())


async def good(_target: Target) -> bytes:
    return PAGE


def failing(reason: Reason, detail: str = "") -> Fetch:
    async def fetch(_target: Target) -> bytes:
        raise FetchFailed(reason, detail)

    return fetch


def test_each_target_has_its_outcome_in_the_order_of_the_targets() -> None:
    servers = {
        "127.0.0.1": then_hangs(OK),
        "127.0.0.2": GOOD,
        "127.0.0.3": says(b"HTTP/1.1 503 Busy\r\n\r\n"),
        "127.0.0.4": says(length(10), b"<h1>Hi</h1>"),
        "127.0.0.5": GOOD,
    }
    silent, first, busy, web, second = (at(ip) for ip in servers)
    nobody, bare, pending = at("127.0.0.6"), Target(node("bare")), at("127.0.0.7", pending=True)
    foreign = at("169.254.169.254")
    targets = (silent, bare, first, busy, pending, web, foreign, nobody, second)

    async def all_of_it() -> tuple[Outcome, ...]:
        async with nodes_at(servers) as port:
            config = NodesConfig(port=port, timeout=1.5, allow_loopback=True)
            return await Nodes(config, direct(config), clock=lambda: NOW).read(targets)

    assert asyncio.run(all_of_it()) == (
        Unread(silent, Reason.TIMEOUT, "connected, 17 bytes received"),
        Unread(bare, Reason.NO_POD),
        Read(first, READING),
        Unread(busy, Reason.HTTP_STATUS, "status 503"),
        Unread(pending, Reason.PENDING),
        Unread(web, Reason.MALFORMED, "not an ipamd page"),
        Unread(foreign, Reason.REFUSED_ADDRESS, "169.254.169.254 is a link-local address"),
        Unread(nobody, Reason.UNREACHABLE, "Connection refused"),
        Read(second, READING),
    )


def test_no_targets_have_no_outcomes() -> None:
    assert read(good) == ()


@pytest.mark.parametrize("reason", Reason)
def test_a_failed_fetch_is_an_unread_node_with_the_same_reason(reason: Reason) -> None:
    where = at("127.0.0.1")

    assert read(failing(reason, "why"), where) == (Unread(where, reason, "why"),)


def test_a_pod_without_an_address_is_pending() -> None:
    where = target(node(), pod(ip=""))

    assert read(good, where) == (Unread(where, Reason.PENDING),)


YOUNG = NOW - 119.0


@pytest.mark.parametrize(
    ("created", "starting"),
    [(YOUNG, True), (NOW, True), (NOW + 9.0, True), (NOW - 120.0, False), (None, False)],
    ids=["young", "new", "ahead of our clock", "two minutes old", "of unknown age"],
)
def test_what_a_first_minute_explains_is_starting_while_the_node_is(
    created: float | None, starting: bool
) -> None:
    bare = Target(node("bare", created=created))
    pending = at("127.0.0.1", created=created, pending=True)
    closed = at("127.0.0.2", created=created)

    outcomes = read(failing(Reason.UNREACHABLE, "refused"), bare, pending, closed)

    assert outcomes == (
        (
            Unread(bare, Reason.STARTING, "no_pod"),
            Unread(pending, Reason.STARTING, "pending"),
            Unread(closed, Reason.STARTING, "unreachable: refused"),
        )
        if starting
        else (
            Unread(bare, Reason.NO_POD),
            Unread(pending, Reason.PENDING),
            Unread(closed, Reason.UNREACHABLE, "refused"),
        )
    )


@pytest.mark.parametrize(
    "reason", sorted(set(Reason) - {Reason.NO_POD, Reason.PENDING, Reason.UNREACHABLE})
)
def test_no_other_failure_of_a_young_node_is_starting(reason: Reason) -> None:
    where = at("127.0.0.1", created=YOUNG)

    assert read(failing(reason), where) == (Unread(where, reason),)


def test_a_refused_address_is_never_dialled() -> None:
    asked: list[Target] = []

    async def fetch(where: Target) -> bytes:
        asked.append(where)
        return PAGE

    loopback, pod_network = at("127.0.0.1"), at("10.0.0.1", host_network=False)
    assert read(fetch, loopback, pod_network, config=NodesConfig()) == (
        Unread(loopback, Reason.REFUSED_ADDRESS, "127.0.0.1 is a loopback address"),
        Unread(pod_network, Reason.REFUSED_ADDRESS, "the pod is not on its node's network"),
    )
    assert asked == []


def test_where_someone_else_dials_addresses_are_his_business() -> None:
    where = at("127.0.0.1", host_network=False)

    assert read(good, where, config=NodesConfig(check_addresses=False)) == (Read(where, READING),)


def test_a_pod_with_several_cards_is_read_as_one() -> None:
    page = PAGE.replace(b"total_ip_addresses 18", b"total_ip_addresses 1")
    page += b'awscni_assigned_ip_per_eni{eni="eni-0a1"} 7\n'
    plain = at("127.0.0.1")
    several = target(plain.node, pod(ip="127.0.0.1", env={"ENABLE_MULTI_NIC": "true"}))

    async def fetch(_target: Target) -> bytes:
        return page

    outcomes = read(fetch, plain, several)

    assert outcomes[0] == Unread(plain, Reason.INCONSISTENT, "7 addresses assigned of 1 in all")
    assert isinstance(outcomes[1], Read)
    assert outcomes[1].reading.assigned_by_eni == (("eni-0a1", 7),)


def test_a_reading_has_the_time_at_which_its_page_was_there() -> None:
    ticks = iter((NOW + 1.0, NOW + 2.0))
    targets = (at("127.0.0.1"), at("127.0.0.2"))

    outcomes = asyncio.run(Nodes(LOOPBACK, good, clock=lambda: next(ticks)).read(targets))

    assert [it.reading.time for it in outcomes if isinstance(it, Read)] == [NOW + 1.0, NOW + 2.0]
