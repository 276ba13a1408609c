"""How a collection lists: page by page, again after failures, and what becomes of its objects."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from exporter.core.targets import LabelledNode
from exporter.inputs.kube.collection import Collection
from tests.inputs.fake_kube import (
    NODES,
    Answer,
    FakeKube,
    event,
    fake_kube,
    hangs,
    hangs_up,
    promises,
    refuses,
    says,
    shuts,
    streams,
)
from tests.inputs.kube_parts import Diary, VirtualTime, a_node, collecting, names

LIST = (NODES, "list")
WATCH = (NODES, "watch")
UP = (True, "")

LIST_CASES = {
    "fails": ((refuses(500, "etcd"),), "HTTP 500: etcd"),
    "is overloaded": ((refuses(429, "too many"),), "HTTP 429: too many"),
    "closes the connection": ((hangs_up, hangs_up), "the connection was closed"),
    "does not answer in time": ((hangs,), "timed out"),
    "sends us elsewhere": ((says(b"", 307, headers={"Location": "/x"}),), "HTTP 307"),
    "finds the page token too old": ((refuses(410, "expired"),), "HTTP 410: expired"),
    "refuses": ((refuses(403, "no list"),), "HTTP 403: no list"),
    "answers nothing": ((says(b""),), "malformed answer: Input data was truncated"),
    "answers something else": (
        (says(b'{"items": 3}'),),
        "malformed answer: Expected `array | null`, got `int` - at `$.items`",
    ),
    "answers bytes that are no text": (
        (says(b'{"items":[{"metadata":{"name":"\xff"}}]}'),),
        "malformed answer: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    ),
    "nests without end": (
        (says(b'{"x":' + b"[" * 100_000),),
        "malformed answer: maximum recursion depth exceeded while deserializing an object",
    ),
    "cuts its answer off": ((promises(100, b"{}"),), "the answer was cut off or broken"),
    "has pages without end": (
        (says(b'{"metadata":{"continue":"x"}}'),) * 2_000,
        "a list of more than 2000 pages",
    ),
}


@pytest.mark.parametrize(("does", "reason"), LIST_CASES.values(), ids=LIST_CASES.keys())
def test_a_list_is_asked_for_again_when_the_api(
    does: tuple[Answer, ...], reason: str, tmp_path: Path
) -> None:
    time = VirtualTime()

    async def then(fake: FakeKube, nodes: Collection[LabelledNode], diary: Diary) -> None:
        await diary.until(lambda: nodes.state.up)
        assert names(nodes) == ["/n1"]
        assert diary.states == [(False, reason), UP]
        assert time.slept == [1.0]

    run(then, tmp_path, time, before=lambda fake: fake.answers[LIST].extend(does))


def run(
    then: Callable[[FakeKube, Collection[LabelledNode], Diary], Awaitable[None]],
    folder: Path,
    time: VirtualTime,
    *,
    before: Callable[[FakeKube], None] = lambda fake: None,
) -> None:
    """Run a collection of nodes against a fake with one node that was told something before."""

    async def scenario() -> None:
        async with fake_kube() as fake:
            fake.put(NODES, a_node("n1"))
            before(fake)
            timing = time.timing(request_seconds=0.5)
            async with collecting(fake, folder, timing) as (collection, diary):
                await then(fake, collection, diary)

    asyncio.run(scenario())


def test_a_list_is_read_page_by_page_and_watched_from_its_version(tmp_path: Path) -> None:
    def five(fake: FakeKube) -> None:
        fake.page_size = 2
        fake.put(NODES, *(a_node(f"n{i}") for i in range(1, 6)))

    async def then(fake: FakeKube, nodes: Collection[LabelledNode], diary: Diary) -> None:
        await diary.until(lambda: nodes.state.up)
        assert names(nodes) == ["/n1", "/n2", "/n3", "/n4", "/n5"]
        assert diary.changes == 1
        assert [it.query for it in fake.asked] == [
            {"limit": "500"},
            {"limit": "500", "continue": "2"},
            {"limit": "500", "continue": "4"},
            {
                "watch": "true",
                "allowWatchBookmarks": "true",
                "resourceVersion": str(fake.revision),
                "timeoutSeconds": "600",
            },
        ]

    run(then, tmp_path, VirtualTime(), before=five)


def test_a_page_token_that_expires_begins_the_list_again(tmp_path: Path) -> None:
    def expires(fake: FakeKube) -> None:
        page = b'{"metadata":{"continue":"2"},"items":[{"metadata":{"name":"gone"}}]}'
        fake.answers[LIST].extend((says(page), refuses(410, "expired")))

    async def then(fake: FakeKube, nodes: Collection[LabelledNode], diary: Diary) -> None:
        await diary.until(lambda: nodes.state.up)
        assert names(nodes) == ["/n1"]
        assert [it.query.get("continue") for it in fake.asked] == [None, "2", None, None]

    run(then, tmp_path, VirtualTime(), before=expires)


def test_events_add_change_and_remove_objects(tmp_path: Path) -> None:
    async def then(fake: FakeKube, nodes: Collection[LabelledNode], diary: Diary) -> None:
        await diary.until(lambda: nodes.state.up)
        fake.put(NODES, a_node("n2"), a_node("n1", labels={"size": "3"}))
        fake.drop(NODES, "n2")
        await diary.until(lambda: diary.changes == 4)
        assert {key: dict(it.labels) for key, it in (nodes.objects or {}).items()} == {
            "/n1": {"size": "3"}
        }

    run(then, tmp_path, VirtualTime())


def test_an_object_that_differs_only_in_what_is_not_used_is_no_change(tmp_path: Path) -> None:
    async def then(fake: FakeKube, nodes: Collection[LabelledNode], diary: Diary) -> None:
        await diary.until(lambda: nodes.state.up)
        fake.put(NODES, a_node("n1", status={"conditions": [{"lastHeartbeatTime": "now"}]}))
        fake.tell(NODES, "DELETED", a_node("unknown"))
        fake.tell(NODES, "SOMETHING NEW", {"metadata": {"resourceVersion": "1"}})
        fake.put(NODES, a_node("n2"))
        await diary.until(lambda: names(nodes) == ["/n1", "/n2"])
        assert diary.changes == 2  # the list, and the new node

    run(then, tmp_path, VirtualTime())


def test_what_vanished_while_nobody_watched_is_gone_after_the_next_list(tmp_path: Path) -> None:
    async def then(fake: FakeKube, nodes: Collection[LabelledNode], diary: Diary) -> None:
        await diary.until(lambda: nodes.state.up)
        fake.put(NODES, a_node("n2"))
        await diary.until(lambda: names(nodes) == ["/n1", "/n2"])
        fake.drop(NODES, "n1", silently=True)
        fake.forget_history()
        fake.hang_up()
        await diary.until(lambda: names(nodes) == ["/n2"])
        assert diary.states == [UP]

    run(then, tmp_path, VirtualTime())


def test_a_list_that_says_the_same_again_is_no_change(tmp_path: Path) -> None:
    async def then(fake: FakeKube, nodes: Collection[LabelledNode], diary: Diary) -> None:
        await diary.until(lambda: diary.opened == 1)
        fake.forget_history()
        fake.hang_up()
        await diary.until(lambda: diary.opened == 3)  # the second is told that it is too old
        assert fake.verbs() == ["list", "watch", "watch", "list", "watch"]
        assert diary.changes == 1

    run(then, tmp_path, VirtualTime())


def test_a_bookmark_moves_the_version_that_is_watched_from(tmp_path: Path) -> None:
    async def then(fake: FakeKube, nodes: Collection[LabelledNode], diary: Diary) -> None:
        await diary.until(lambda: diary.opened == 2)
        assert [it.query["resourceVersion"] for it in fake.asked[1:]] == ["101", "7777"]

    bookmark = event("BOOKMARK", {"metadata": {"resourceVersion": "7777"}})
    run(
        then,
        tmp_path,
        VirtualTime(),
        before=lambda fake: fake.answers[WATCH].append(streams(bookmark)),
    )


def test_waits_double_up_to_half_a_minute_and_a_list_comes_after_eight(tmp_path: Path) -> None:
    time = VirtualTime(naps=10)

    async def then(fake: FakeKube, nodes: Collection[LabelledNode], diary: Diary) -> None:
        await diary.until(lambda: not nodes.state.up)
        await asyncio.wait_for(time.spent.wait(), 5)
        assert time.slept == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0, 30.0]
        assert fake.verbs() == ["list", *["watch"] * 8, "list", *["watch"] * 2]
        assert diary.states == [(False, "HTTP 500: etcd")]
        assert names(nodes) == ["/n1"]

    def fails(fake: FakeKube) -> None:
        fake.always[WATCH] = refuses(500, "etcd")

    run(then, tmp_path, time, before=fails)


def test_a_watch_that_held_for_a_while_is_opened_again_at_once(tmp_path: Path) -> None:
    time = VirtualTime()

    async def then(fake: FakeKube, nodes: Collection[LabelledNode], diary: Diary) -> None:
        await diary.until(lambda: diary.opened == 2)
        time.now += 11.0
        fake.hang_up()
        await diary.until(lambda: diary.opened == 3)
        assert time.slept == [1.0]  # after the first, which ended at once
        fake.hang_up()
        await diary.until(lambda: diary.opened == 4)
        assert time.slept == [1.0, 1.0]

    run(then, tmp_path, time, before=lambda fake: fake.answers[WATCH].append(shuts))


def test_what_is_refused_is_asked_for_again_every_few_minutes(tmp_path: Path) -> None:
    time = VirtualTime(naps=11)

    async def then(fake: FakeKube, nodes: Collection[LabelledNode], diary: Diary) -> None:
        await asyncio.wait_for(time.spent.wait(), 5)
        assert time.slept == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0]
        assert diary.states == [(False, "HTTP 403: not you")]
        assert (nodes.objects, nodes.asked, diary.changes) == (None, True, 1)

    def refused(fake: FakeKube) -> None:
        fake.always[LIST] = refuses(403, "not you")

    run(then, tmp_path, time, before=refused)


def test_what_was_allowed_once_is_dropped_when_it_is_refused_for_a_minute(tmp_path: Path) -> None:
    time = VirtualTime()
    kept: list[tuple[float, list[str]]] = []

    async def then(fake: FakeKube, nodes: Collection[LabelledNode], diary: Diary) -> None:
        await diary.until(lambda: nodes.state.up)
        began = time.now

        async def refuse(request: web.Request) -> web.StreamResponse:
            kept.append((time.now - began, names(nodes)))
            return await refuses(403, "not you")(request)

        fake.always[LIST] = refuse
        fake.forget_history()
        fake.hang_up()
        await diary.until(lambda: nodes.objects is None)
        assert {tuple(who) for _, who in kept} == {("/n1",)}
        assert kept[-1][0] - kept[0][0] >= 60.0
        del fake.always[LIST]
        await diary.until(lambda: nodes.state.up)
        assert names(nodes) == ["/n1"]

    run(then, tmp_path, time)
