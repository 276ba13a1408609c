"""What is discovered while sources, or the whole API, are refused, fail, come and go."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from exporter.core.model import Discovery, Node, Target
from exporter.inputs.kube import Kube
from tests.inputs.fake_kube import (
    CNINODES,
    COLLECTIONS,
    DAEMONSETS,
    ENICONFIGS,
    HOST_PODS,
    NODES,
    PODS,
    Answer,
    fake_kube,
    refuses,
)
from tests.inputs.kube_parts import (
    SOURCES,
    WHOLE,
    VirtualTime,
    a_cluster,
    all_up,
    discovering,
    pod,
    until,
)

REFUSED = "HTTP 403: not you"


def found(kube: Kube) -> Discovery:
    discovery = kube.discover()
    assert discovery is not None
    return discovery


class Late:
    """An answer that is held back until it is released."""

    def __init__(self, answer: Answer) -> None:
        self.release = asyncio.Event()
        self._answer = answer

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        await self.release.wait()
        return await self._answer(request)


@pytest.mark.parametrize("code", [403, 500], ids=["refused", "failed"])
def test_pods_alone_tell_which_nodes_there_are(code: int, tmp_path: Path) -> None:
    async def scenario() -> None:
        fake = a_cluster()
        for path in COLLECTIONS[1:]:
            fake.always[path, "list"] = refuses(code, "not you")
        async with fake_kube(fake), discovering(fake, tmp_path) as (kube, told):
            await until(kube, lambda: kube.discover() is not None and len(told) == 6)
            found = kube.discover()
            assert found is not None
            assert found.targets == (Target(Node(name="n1"), pod("aws-node-1", "n1"), 2),)
            assert (found.nodes_known, found.others) == (False, ())
            assert found.eniconfigs == {}
            reason = f"HTTP {code}: not you"
            down = [(source, False, reason) for source in SOURCES[1:]]
            assert sorted(told) == sorted([*down, ("kubernetes", True, "")])

    asyncio.run(scenario())


UNKNOWN = refuses(404, "no such resource")
NO_TRUNK = (replace(WHOLE.targets[0], trunk=False), *WHOLE.targets[1:])
# The CNI's own kinds: where they are, and what is discovered without them.
OPTIONAL = pytest.mark.parametrize(
    ("path", "without"),
    [
        pytest.param(ENICONFIGS, replace(WHOLE, eniconfigs={}), id="ENIConfigs"),
        pytest.param(CNINODES, replace(WHOLE, targets=NO_TRUNK), id="CNINodes"),
    ],
)


@OPTIONAL
def test_what_a_cluster_does_not_know_it_has_none_of_and_is_asked_for_every_few_minutes(
    path: str, without: Discovery, tmp_path: Path
) -> None:

    async def scenario() -> None:
        fake = a_cluster()
        fake.always[path, "list"] = UNKNOWN
        time = VirtualTime(naps=3)
        async with fake_kube(fake), discovering(fake, tmp_path, time) as (kube, told):
            await asyncio.wait_for(time.spent.wait(), 10)
            await until(kube, lambda: all_up(kube) and kube.discover() == without)
            assert sorted(told) == sorted((it, True, "") for it in SOURCES)
            assert time.slept == [300.0, 300.0, 300.0]
            assert fake.verbs(path) == ["list", "list", "list"]

    asyncio.run(scenario())


@OPTIONAL
def test_what_a_cluster_comes_to_know_and_forgets_is_there_in_between(
    path: str, without: Discovery, tmp_path: Path
) -> None:

    async def scenario() -> None:
        fake = a_cluster()
        fake.answers[path, "list"].append(UNKNOWN)
        async with fake_kube(fake), discovering(fake, tmp_path) as (kube, told):
            await until(kube, lambda: all_up(kube) and kube.discover() == WHOLE)
            for verb in ("list", "watch"):
                fake.always[path, verb] = UNKNOWN
            fake.hang_up()
            await until(kube, lambda: kube.discover() == without)
            assert sorted(told) == sorted((it, True, "") for it in SOURCES)

    asyncio.run(scenario())


@OPTIONAL
@pytest.mark.parametrize("code", [401, 403, 500])
def test_what_may_not_be_read_is_down_and_the_rest_goes_on(
    path: str, without: Discovery, code: int, tmp_path: Path
) -> None:
    async def scenario() -> None:
        fake = a_cluster()
        fake.always[path, "list"] = refuses(code, "not you")
        async with fake_kube(fake), discovering(fake, tmp_path) as (kube, told):
            await until(kube, lambda: len(told) == 6 and kube.discover() == without)
            source = path.rpartition("/")[2]
            down = (source, False, f"HTTP {code}: not you")
            up = [(it, True, "") for it in SOURCES if it != source]
            assert sorted(told) == sorted([*up, down])

    asyncio.run(scenario())


def test_what_every_cluster_knows_is_down_where_it_is_not_found(tmp_path: Path) -> None:
    async def scenario() -> None:
        fake = a_cluster()
        fake.always[NODES, "list"] = UNKNOWN
        async with fake_kube(fake), discovering(fake, tmp_path) as (kube, told):
            await until(kube, lambda: len(told) == 6 and kube.discover() is not None)
            assert ("nodes", False, "HTTP 404: no such resource") in told
            assert found(kube).nodes_known is False

    asyncio.run(scenario())


def test_nodes_that_may_be_read_later_are_known_then(tmp_path: Path) -> None:
    async def scenario() -> None:
        fake = a_cluster()
        fake.answers[NODES, "list"].append(refuses(403, "not you"))
        async with fake_kube(fake), discovering(fake, tmp_path) as (kube, told):
            await until(kube, lambda: all_up(kube) and kube.discover() == WHOLE)
            assert [it for it in told if it[0] == "nodes"] == [
                ("nodes", False, REFUSED),
                ("nodes", True, ""),
            ]

    asyncio.run(scenario())


def test_an_api_that_is_away_at_start_is_waited_for_and_said_so_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        fake = a_cluster()
        async with fake_kube(fake):
            port = int(fake.url.rpartition(":")[2])
        time = VirtualTime(naps=12)
        async with discovering(fake, tmp_path, time) as (kube, told):
            await asyncio.wait_for(time.spent.wait(), 10)
            assert sorted(told) == sorted((it, False, "Connection refused") for it in SOURCES)
            assert kube.discover() is None
            told.clear()
            async with fake_kube(fake, port=port):
                time.resume.set()
                await until(kube, lambda: all_up(kube) and kube.discover() == WHOLE)
                assert sorted(told) == sorted((source, True, "") for source in SOURCES)

    asyncio.run(scenario())


def test_an_api_that_is_back_for_one_source_is_asked_for_the_others_at_once(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        fake = a_cluster()
        fake.answers[DAEMONSETS, "list"].append(late := Late(fake.list))
        for path in (PODS, NODES, HOST_PODS, ENICONFIGS, CNINODES):
            fake.answers[path, "list"].append(refuses(500, "etcd"))
        sleeping = VirtualTime(naps=1)
        async with fake_kube(fake), discovering(fake, tmp_path, sleeping) as (kube, told):
            await until(kube, lambda: len(told) == 5)
            late.release.set()
            await until(kube, lambda: kube.discover() is not None)
            assert found(kube).targets == WHOLE.targets
            assert len(sleeping.slept) == 5

    asyncio.run(scenario())


def test_a_failure_that_began_while_the_api_was_away_is_no_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        fake = a_cluster()
        fake.answers[NODES, "list"].append(late := Late(refuses(500, "etcd")))
        sleeping = VirtualTime(naps=1)
        async with fake_kube(fake), discovering(fake, tmp_path, sleeping) as (kube, _):
            await until(kube, lambda: sum(it.up for it in kube.sources()) == 5)
            late.release.set()
            await until(kube, lambda: kube.discover() is not None)
            assert found(kube).targets == WHOLE.targets

    asyncio.run(scenario())


def test_an_api_that_goes_away_leaves_what_was_known(tmp_path: Path) -> None:
    async def scenario() -> None:
        fake = a_cluster()
        async with fake_kube(fake), discovering(fake, tmp_path) as (kube, told):
            await until(kube, lambda: all_up(kube) and kube.discover() == WHOLE)
            found = kube.discover()
            told.clear()
            for path in COLLECTIONS:
                for verb in ("list", "watch"):
                    fake.always[path, verb] = refuses(503, "shutting down")
            fake.hang_up()
            reason = "HTTP 503: shutting down"
            await until(kube, lambda: len(told) == 6)
            assert sorted(told) == sorted((source, False, reason) for source in SOURCES)
            assert kube.discover() is found

            fake.always.clear()
            fake.drop(NODES, "n2")
            await until(kube, lambda: all_up(kube) and kube.discover() is not found)
            assert kube.discover() == replace(WHOLE, targets=WHOLE.targets[:1])

    asyncio.run(scenario())
