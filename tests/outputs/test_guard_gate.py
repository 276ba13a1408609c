from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from aiohttp import ClientSession, TCPConnector

from exporter.core.access import Verdict
from exporter.core.model import Unavailable
from exporter.outputs.guard import Review
from tests.outputs.guard_parts import Answer, World, basic, bearer, client, users

BASIC = 'Basic realm="vpc-cni-exporter", charset="UTF-8"'
BEARER = 'Bearer realm="vpc-cni-exporter"'


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> World:
    return World(tmp_path)


async def reviewed(token: str) -> Verdict:
    if token == "unavailable":
        raise Unavailable("kubernetes", "HTTP 403: who are you")
    return {"good": Verdict.ALLOWED, "known": Verdict.FORBIDDEN}.get(token, Verdict.UNKNOWN)


def answers(
    world: World,
    *asked: tuple[str, Mapping[str, str]],
    review: Review | None = None,
    health: bool = False,
    method: str = "GET",
) -> list[Answer]:
    """Ask for paths with headers, one after another."""

    async def scenario() -> list[Answer]:
        async with (
            world.serving(review=review, health=health) as front,
            client(front.pages.address) as ask,
        ):
            return [await ask(path, headers, method) for path, headers in asked]

    return asyncio.run(scenario())


WRONG = [
    pytest.param({}, id="nothing"),
    pytest.param(basic("alice", "wrong"), id="a wrong password"),
    pytest.param(basic("bob", "open sesame"), id="an unknown user"),
    pytest.param(basic("", ""), id="empty"),
    pytest.param({"Authorization": "Basic"}, id="a scheme alone"),
    pytest.param({"Authorization": "Basic YWxpY2U="}, id="no colon"),
    pytest.param({"Authorization": "Basic !!!"}, id="no base64"),
    pytest.param({"Authorization": "Basic /////w=="}, id="no text"),
    pytest.param({"Authorization": "Digest username=alice"}, id="another scheme"),
    pytest.param(bearer("good"), id="a token, where none are taken"),
    pytest.param({"Authorization": "open sesame"}, id="the password alone"),
]


@pytest.mark.parametrize("headers", WRONG)
@pytest.mark.parametrize("path", ["/metrics", "/", "/nothing-here", "/metrics/"])
def test_without_the_right_password_every_path_answers_401_and_nothing_else(
    headers: Mapping[str, str], path: str, world: World
) -> None:
    world.says(users(alice="open sesame"))
    (answer,) = answers(world, (path, headers))
    assert (answer.status, answer.challenges) == (401, (BASIC,))
    assert answer.body == b"credentials are needed\n"


def test_with_the_right_password_the_pages_are_served(world: World) -> None:
    world.says(users(alice="open sesame", bob="später: ja"))
    alice, bob = basic("alice", "open sesame"), basic("bob", "später: ja")
    found = answers(
        world, ("/metrics", alice), ("/", alice), ("/metrics", bob), ("/nothing-here", alice)
    )
    assert [it.status for it in found] == [200, 200, 200, 404]
    assert [it.figures for it in found] == [True, False, True, False]
    assert b"<html" in found[1].body


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "OPTIONS", "TRACE", "PURGE"])
def test_other_methods_need_a_password_as_well(method: str, world: World) -> None:
    world.says(users(alice="open sesame"))
    (answer,) = answers(world, ("/metrics", {}), method=method)
    assert answer.status == 401


def test_two_passwords_in_one_request_are_none(world: World) -> None:
    world.says(users(alice="open sesame"))

    async def scenario() -> int:
        async with world.serving() as front, ClientSession(connector=TCPConnector()) as session:
            host, port = front.pages.address
            good = basic("alice", "open sesame")["Authorization"]
            headers = [("Authorization", good), ("Authorization", good)]
            async with session.get(f"http://{host}:{port}/metrics", headers=headers) as answer:
                return answer.status

    assert asyncio.run(scenario()) == 401


TOKENS = [
    pytest.param(bearer("good"), 200, (), id="allowed"),
    pytest.param({"Authorization": "bearer  good"}, 200, (), id="in small letters"),
    pytest.param(bearer("known"), 403, (), id="known, and not allowed"),
    pytest.param(bearer("expired"), 401, (BEARER,), id="unknown or expired"),
    pytest.param(bearer("unavailable"), 503, (), id="nobody can say"),
    pytest.param(bearer(""), 401, (BEARER,), id="empty"),
    pytest.param(bearer("good\tgood"), 401, (BEARER,), id="characters that no token has"),
    pytest.param({}, 401, (BEARER,), id="none"),
    pytest.param(basic("alice", "open sesame"), 401, (BEARER,), id="a password"),
]


@pytest.mark.parametrize(("headers", "status", "challenges"), TOKENS)
@pytest.mark.parametrize("path", ["/metrics", "/"])
def test_a_token_is_what_its_reviewer_says(
    headers: Mapping[str, str], status: int, challenges: tuple[str, ...], path: str, world: World
) -> None:
    world.says("{}")
    (answer,) = answers(world, (path, headers), review=reviewed)
    assert (answer.status, answer.challenges) == (status, challenges)
    assert (len(answer.body) > 100) is (status == 200)
    assert b"who are you" not in answer.body


def test_where_both_are_taken_either_will_do_and_both_are_named(world: World) -> None:
    world.says(users(alice="open sesame"))
    found = answers(
        world,
        ("/metrics", basic("alice", "open sesame")),
        ("/metrics", bearer("good")),
        ("/metrics", bearer("bad")),
        ("/metrics", {}),
        review=reviewed,
    )
    assert [it.status for it in found] == [200, 200, 401, 401]
    assert found[3].challenges == (BASIC, BEARER)


def test_probes_need_no_credentials_where_they_have_no_address_of_their_own(world: World) -> None:
    world.says(users(alice="open sesame"))
    found = answers(world, ("/healthz", {}), ("/readyz", {}), ("/readyz/", {}), ("//readyz", {}))
    assert [(it.status, it.body) for it in found[:2]] == [(200, b"ok\n")] * 2
    assert [it.status for it in found[2:]] == [401, 401]


def test_on_its_own_address_health_is_alone_and_the_first_has_none(world: World) -> None:
    world.says(users(alice="open sesame"))

    async def scenario() -> dict[str, list[int]]:
        alice = basic("alice", "open sesame")
        async with world.serving(health=True) as front:
            assert front.health is not None
            found = {}
            for name, listener in (("pages", front.pages), ("health", front.health)):
                async with client(listener.address) as ask:
                    paths = ("/healthz", "/readyz", "/metrics", "/")
                    found[name] = [(await ask(path)).status for path in paths]
                    found[name].append((await ask("/healthz", alice)).status)
            return found

    assert asyncio.run(scenario()) == {
        "pages": [401, 401, 401, 401, 404],
        "health": [200, 200, 404, 404, 200],
    }


@pytest.mark.parametrize("guarded", [True, False])
def test_where_nothing_guards_the_first_address_health_is_on_both(
    guarded: bool, world: World
) -> None:
    world.says("http_server_config:\n  headers:\n    X-Frame-Options: deny\n")

    async def scenario() -> list[int]:
        async with world.serving(health=True, guarded=guarded) as front:
            assert front.health is not None
            found = []
            for listener in (front.pages, front.health):
                async with client(listener.address) as ask:
                    found += [(await ask(path)).status for path in ("/healthz", "/metrics")]
            return found

    assert asyncio.run(scenario()) == [200, 200, 200, 404]


def test_headers_are_on_every_answer_and_over_our_own(world: World) -> None:
    world.says(
        users(alice="open sesame"),
        "http_server_config:\n  headers:\n    X-Frame-Options: deny\n"
        "    Content-Security-Policy: default-src 'self'\n",
    )
    alice = basic("alice", "open sesame")
    found = answers(world, ("/metrics", alice), ("/", alice), ("/x", alice), ("/", {}))
    found += answers(world, ("/metrics", alice), method="DELETE")
    assert [it.status for it in found] == [200, 200, 404, 401, 405]
    for answer in found:
        assert answer.headers["X-Frame-Options"] == "deny"
        assert answer.headers["Content-Security-Policy"] == "default-src 'self'"


def test_who_comes_while_too_much_is_being_checked_is_told_to_come_again(world: World) -> None:
    world.says("{}")
    asked: list[str] = []

    async def scenario() -> list[Answer]:
        go = asyncio.Event()

        async def slow(token: str) -> Verdict:
            asked.append(token)
            await go.wait()
            return Verdict.ALLOWED

        async with world.serving(review=slow) as front:

            async def one(number: int) -> Answer:
                async with client(front.pages.address) as ask:
                    answer = await ask(headers=bearer(f"token-{number}"))
                    if answer.status == 429:
                        go.set()
                    return answer

            return await asyncio.gather(*(one(number) for number in range(17)))

    found = asyncio.run(scenario())
    assert sorted(it.told for it in found) == [(200, True)] * 16 + [(429, False)]
    assert [it.headers["Retry-After"] for it in found if it.status == 429] == ["1"]
    assert len(asked) == 16
