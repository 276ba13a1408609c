"""Many nodes at a time: limits, room for the living among the silent, an end to all begun."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterable, Iterator

import pytest

from exporter.core.model import Outcome, Read, Reason, Target, Unread
from exporter.inputs.fetch import Fetch, FetchFailed
from exporter.inputs.nodes import Nodes, NodesConfig, direct
from tests.inputs.servers import OK, at, nodes_at, open_files, then_hangs

PAGE = (
    b"awscni_eni_max 3\nawscni_ip_max 27\nawscni_eni_allocated 2\n"
    b"awscni_total_ip_addresses 18\nawscni_assigned_ip_addresses 7\n"
)


def read(fetch: Fetch, *targets: Target, config: NodesConfig) -> tuple[Outcome, ...]:
    return asyncio.run(Nodes(config, fetch).read(targets))


class Fleet:
    """A `Fetch` over nodes that live or are silent, which notes who is being asked."""

    def __init__(self, silent: Iterable[Target] = (), seconds: float = 0.2) -> None:
        self.seconds = seconds
        self.silent = {where.node.name for where in silent}
        self.asking: set[str] = set()
        self.most = 0
        self.most_living = 0
        self.done: list[str] = []

    async def __call__(self, where: Target) -> bytes:
        name = where.node.name
        self.asking.add(name)
        self.most = max(self.most, len(self.asking))
        self.most_living = max(self.most_living, len(self.asking - self.silent))
        try:
            await asyncio.sleep(self.seconds if name in self.silent else 0.001)
        finally:
            self.asking.remove(name)
            self.done.append(name)
        if name in self.silent:
            raise FetchFailed(Reason.TIMEOUT)
        return PAGE


def fleet(size: int) -> tuple[Target, ...]:
    return tuple(at(f"127.0.1.{number}") for number in range(1, size + 1))


def config(concurrency: int = 200, sockets: int | None = None) -> NodesConfig:
    return NodesConfig(timeout=0.2, allow_loopback=True, concurrency=concurrency, sockets=sockets)


def names(targets: Iterable[Target]) -> set[str]:
    return {where.node.name for where in targets}


def test_no_more_nodes_are_asked_at_a_time_than_configured() -> None:
    asked = Fleet()

    outcomes = read(asked, *fleet(50), config=config(concurrency=7))

    assert [type(it) for it in outcomes] == [Read] * 50
    assert asked.most == 7


def test_silent_nodes_do_not_keep_the_living_waiting() -> None:
    targets = fleet(60)
    silent = targets[:20]
    asked = Fleet(silent, seconds=2.0)
    slow = NodesConfig(timeout=2.0, allow_loopback=True, concurrency=4)

    read(asked, *targets, config=slow)

    assert set(asked.done[:40]) == names(targets[20:])
    assert asked.most > 20


def test_a_silent_node_makes_room_for_one_other_node_only() -> None:
    targets = fleet(250)
    asked = Fleet(targets[:3])
    slow = NodesConfig(timeout=2.0, allow_loopback=True, concurrency=1)

    read(asked, *targets, config=slow)

    # The silent ones are done while living ones are still being asked.
    assert asked.done[-1] not in asked.silent
    assert asked.most_living == 1


def test_silent_nodes_hold_their_places_where_sockets_are_few() -> None:
    targets = fleet(20)
    asked = Fleet(targets[:10])

    outcomes = read(asked, *targets, config=config(concurrency=2, sockets=5))

    assert asked.most == 5
    assert [it.reason for it in outcomes if isinstance(it, Unread)] == [Reason.TIMEOUT] * 10
    assert [it for it in outcomes[10:] if isinstance(it, Unread)] == []


def test_there_are_at_least_as_many_sockets_as_nodes_asked_at_a_time() -> None:
    assert config(concurrency=9, sockets=5).most_reads == 9


@pytest.fixture
def few_files() -> Iterator[int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = 700
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    yield few
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_some_of_the_files_that_may_be_open_are_left_to_others(few_files: int) -> None:
    assert NodesConfig().most_reads == few_files - 256
    assert NodesConfig(concurrency=600).most_reads == 600


def test_a_fetch_that_keeps_no_time_limit_is_given_up() -> None:
    async def fetch(_target: Target) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    where = at("127.0.0.1")

    assert read(fetch, where, config=config()) == (Unread(where, Reason.TIMEOUT, "no answer"),)


def test_a_bug_ends_the_whole_reading() -> None:
    begun = Fleet(fleet(3))

    async def fetch(where: Target) -> bytes:
        if where.node.name == "node-127.0.1.4":
            raise LookupError("a bug")
        return await begun(where)

    with pytest.raises(ExceptionGroup) as caught:
        read(fetch, *fleet(4), config=config())

    assert caught.group_contains(LookupError, match="a bug")
    assert begun.asking == set()


@pytest.mark.parametrize("concurrency", [2, 200], ids=["while some wait", "while all are asked"])
def test_a_cancelled_reading_cancels_every_node_at_once(concurrency: int) -> None:
    asked = Fleet(fleet(30), seconds=60.0)

    async def cancel() -> None:
        loop = asyncio.get_running_loop()
        nodes = Nodes(NodesConfig(concurrency=concurrency, allow_loopback=True), asked)
        reading = asyncio.create_task(nodes.read(fleet(30)))
        await asyncio.sleep(0.01)
        assert len(asked.asking) == min(concurrency, 30)
        began = loop.time()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert loop.time() - began < 2.0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(cancel())

    assert asked.asking == set()


def test_a_cancelled_reading_leaves_no_socket() -> None:
    async def cancel() -> int:
        async with nodes_at({"127.0.0.1": then_hangs(OK)}) as port:
            about = NodesConfig(port=port, allow_loopback=True)
            nodes = Nodes(about, direct(about))
            before = open_files()
            reading = asyncio.create_task(nodes.read((at("127.0.0.1"),) * 20))
            await asyncio.sleep(0.05)
            assert open_files() > before + 20
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            await asyncio.sleep(0.05)
            return open_files() - before

    assert asyncio.run(cancel()) == 0


def test_answers_that_come_all_at_once_leave_turns_of_the_event_loop_to_others() -> None:
    # Takes several milliseconds to parse, for want of a usual spelling.
    page = PAGE + b"".join(b'awscni_ipamd_error_count{ fn="f%d"} 1\n' % it for it in range(2_000))

    async def fetch(_target: Target) -> bytes:
        return page

    async def count() -> int:
        turns = 0
        reading = asyncio.create_task(Nodes(config(), fetch).read(fleet(12)))
        while not reading.done():
            await asyncio.sleep(0)
            turns += 1
        assert [type(it) for it in reading.result()] == [Read] * 12
        return turns

    assert asyncio.run(count()) > 12
