"""How a collection watches: what it makes of an API server that does this or that."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.inputs.fake_kube import (
    NODES,
    Answer,
    event,
    fake_kube,
    hangs,
    hangs_up,
    refuses,
    says,
    shuts,
    streams,
)
from tests.inputs.kube_parts import VirtualTime, a_node, collecting, names

WATCH = (NODES, "watch")
UP = (True, "")
MALFORMED_JSON = (False, "malformed answer: JSON is malformed: invalid character (byte 0)")
SECOND = event("ADDED", a_node("n2"))


@dataclass(frozen=True)
class Case:
    """What the API does at first, and what follows until it is well again."""

    does: tuple[Answer, ...]
    asks: tuple[str, ...]
    states: tuple[tuple[bool, str], ...]
    sleeps: tuple[float, ...] = (1.0,)


WATCH_CASES = {
    "ends a watch in good order": Case((shuts,), ("list", "watch", "watch"), (UP,)),
    "cuts a watch off in the middle of a line": Case(
        (streams(SECOND[:20]),), ("list", "watch", "watch"), (UP,)
    ),
    "resets the connection": Case((streams(then=hangs_up),), ("list", "watch", "watch"), (UP,)),
    "says nothing for too long": Case((streams(then=hangs),), ("list", "watch", "watch"), (UP,)),
    "closes the connection instead of opening a watch": Case(
        (hangs_up, hangs_up),  # the HTTP client itself tries a used connection again
        ("list", "watch", "watch", "watch"),
        ((False, "the connection was closed"), UP),
    ),
    "does not answer at all": Case(
        (hangs,), ("list", "watch", "watch"), ((False, "timed out"), UP)
    ),
    "fails": Case(
        (refuses(500, "etcd"),), ("list", "watch", "watch"), ((False, "HTTP 500: etcd"), UP)
    ),
    "fails in HTML": Case(
        (says(b"<html>", 502),), ("list", "watch", "watch"), ((False, "HTTP 502"), UP)
    ),
    "sends us elsewhere": Case(
        (says(b"", 302, headers={"Location": "/elsewhere"}),),
        ("list", "watch", "watch"),
        ((False, "HTTP 302"), UP),
    ),
    "finds the version too old": Case(
        (refuses(410, "too old"),), ("list", "watch", "list", "watch"), (UP,)
    ),
    "finds the version too old in an event": Case(
        (streams(event("ERROR", {"kind": "Status", "code": 410, "message": "too old"})),),
        ("list", "watch", "list", "watch"),
        (UP,),
    ),
    "fails in an event": Case(
        (streams(event("ERROR", {"kind": "Status", "code": 500, "message": "etcd"})),),
        ("list", "watch", "list", "watch"),
        (UP, (False, "HTTP 500: etcd"), UP),
    ),
    "sends a line that is no JSON": Case(
        (streams(b"<html>\n"),), ("list", "watch", "list", "watch"), (UP, MALFORMED_JSON, UP)
    ),
    "sends an event without object": Case(
        (streams(b'{"type":"ADDED"}\n'),),
        ("list", "watch", "list", "watch"),
        (
            UP,
            (False, "malformed answer: Object missing required field `object`"),
            UP,
        ),
    ),
    "sends an object of another form": Case(
        (streams(b'{"type":"ADDED","object":{"metadata":{"name":3}}}\n'),),
        ("list", "watch", "list", "watch"),
        (UP, (False, "malformed answer: Expected `str`, got `int` - at `$.metadata.name`"), UP),
    ),
    "sends a line that never ends": Case(
        (streams(b"x" * (17 * 1024 * 1024)),),
        ("list", "watch", "list", "watch"),
        (UP, (False, "an event of more than 16777216 bytes"), UP),
    ),
    "allows lists only": Case(
        (refuses(403, "no watch"),),
        ("list", "watch", "list", "watch"),
        ((False, "HTTP 403: no watch"), UP),
    ),
}


@pytest.mark.parametrize("case", WATCH_CASES.values(), ids=WATCH_CASES.keys())
def test_a_collection_recovers_when_the_api(case: Case, tmp_path: Path) -> None:
    async def scenario() -> None:
        time = VirtualTime()
        async with fake_kube() as fake:
            fake.put(NODES, a_node("n1"))
            fake.answers[WATCH].extend(case.does)
            timing = time.timing(silence_seconds=0.1)
            async with collecting(fake, tmp_path, timing) as (collection, diary):
                await diary.until(lambda: len(fake.asked) == len(case.asks) and collection.state.up)
                fake.put(NODES, a_node("n3"))
                await diary.until(lambda: names(collection) == ["/n1", "/n3"])
                assert tuple(fake.verbs()) == case.asks
                assert tuple(diary.states) == case.states
                assert tuple(time.slept) == case.sleeps

    asyncio.run(scenario())
