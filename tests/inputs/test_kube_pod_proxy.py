"""Reading a node's page through the API server: what comes back, and what each failure is."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from exporter.core.model import Node, Pod, Reason, Target
from exporter.inputs.fetch import MAX_BODY_BYTES, FetchFailed
from exporter.inputs.kube import KubeConfig, connect
from tests.inputs.fake_kube import (
    Answer,
    FakeKube,
    fake_kube,
    hangs,
    hangs_up,
    promises,
    refuses,
    says,
    streams,
)
from tests.inputs.kube_parts import VirtualTime, kubeconfig

PAGE = b"awscni_eni_max 3\n"
PATH = "/api/v1/namespaces/kube-system/pods/aws-node-x:61678/proxy/metrics"
TARGET = Target(
    Node(name="n1"), Pod(uid="u", name="aws-node-x", namespace="kube-system", node="n1")
)


def fetched(
    answer: Answer, folder: Path, *, seconds: float = 5.0, fake: FakeKube | None = None
) -> bytes | tuple[Reason, str]:
    """Return the page, or why there is none, for an API server that answers so."""

    async def scenario() -> bytes | tuple[Reason, str]:
        async with fake_kube(fake) as server:
            server.always[PATH, "get"] = answer
            config = KubeConfig(kubeconfig=kubeconfig(folder, server.url, {"token": server.token}))
            async with connect(config) as kube:
                try:
                    return await kube.proxy_fetch(port=61678, timeout=seconds)(TARGET)
                except FetchFailed as error:
                    return error.reason, error.detail

    return asyncio.run(scenario())


def raw(data: bytes) -> Answer:
    """Return an answer of exactly these bytes, after which the connection is closed."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(data)
        request.transport.close()
        return web.Response()

    return answer


async def drips(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"#")
        await asyncio.sleep(0.01)


async def floods(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"#" * 1_000_000)


def zipped(body: bytes) -> Answer:
    return says(body, headers={"Content-Encoding": "gzip"})


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(says(PAGE), id="as it is"),
        pytest.param(streams(PAGE[:5], PAGE[5:]), id="in chunks"),
        pytest.param(zipped(gzip.compress(PAGE)), id="zipped"),
    ],
)
def test_a_page_is_given_whole_and_unpacked(answer: Answer, tmp_path: Path) -> None:
    assert fetched(answer, tmp_path) == PAGE


DIAL = "error trying to reach service: dial tcp 10.0.0.1:61678"
FAILURES: dict[str, tuple[Answer, Reason, str]] = {
    "has no way to the pod": (
        refuses(503, f"{DIAL}: connect: connection refused"),
        Reason.UNREACHABLE,
        f"HTTP 503: {DIAL}: connect: connection refused",
    ),
    "gets no connection in time": (
        refuses(503, f"{DIAL}: i/o timeout"),
        Reason.TIMEOUT,
        f"HTTP 503: {DIAL}: i/o timeout",
    ),
    "gets no answer in time": (
        refuses(504, "request did not complete"),
        Reason.TIMEOUT,
        "HTTP 504: request did not complete",
    ),
    "sees the pod hang up": (
        refuses(502, "error trying to reach service: EOF"),
        Reason.UNREACHABLE,
        "HTTP 502: error trying to reach service: EOF",
    ),
    "does not allow pods/proxy": (
        refuses(403, "cannot get pods/proxy"),
        Reason.UNREACHABLE,
        "HTTP 403: cannot get pods/proxy",
    ),
    "does not know us": (refuses(401, "no"), Reason.UNREACHABLE, "HTTP 401: no"),
    "is overloaded": (refuses(429, "wait"), Reason.UNREACHABLE, "HTTP 429: wait"),
    "does not find the pod": (refuses(404, "gone"), Reason.HTTP_STATUS, "HTTP 404: gone"),
    "fails itself": (refuses(500, "etcd"), Reason.HTTP_STATUS, "HTTP 500: etcd"),
    "hands on an error page": (says(b"<html>", 503), Reason.HTTP_STATUS, "HTTP 503"),
    "hands on a redirect": (
        says(b"", 302, headers={"Location": "http://127.0.0.1:1/"}),
        Reason.HTTP_STATUS,
        "HTTP 302",
    ),
    "does not answer": (hangs, Reason.TIMEOUT, "no answer within 0.3 s"),
    "sends one byte now and then": (drips, Reason.TIMEOUT, "no answer within 0.3 s"),
    "closes the connection": (
        hangs_up,
        Reason.UNREACHABLE,
        "API server: the connection was closed",
    ),
    "speaks another protocol": (
        raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
        Reason.UNREACHABLE,
        "API server: the answer is no HTTP",
    ),
    "cuts a page of known length": (
        promises(1000, PAGE),
        Reason.INCOMPLETE,
        "the answer was cut off or broken",
    ),
    "cuts a page in chunks": (
        streams(PAGE, then=hangs_up),
        Reason.INCOMPLETE,
        "the answer was cut off or broken",
    ),
    "does not say where the page ends": (
        raw(b"HTTP/1.1 200 OK\r\n\r\n" + PAGE),
        Reason.INCOMPLETE,
        "nothing says where the page ends",
    ),
    "sends too much": (
        floods,
        Reason.TOO_LARGE,
        f"an answer of more than {MAX_BODY_BYTES} bytes",
    ),
    "sends what unpacks to too much": (
        zipped(gzip.compress(b"#" * (MAX_BODY_BYTES + 1), compresslevel=1)),
        Reason.TOO_LARGE,
        f"more than {MAX_BODY_BYTES} bytes after gunzip",
    ),
    "cuts a zipped page": (
        zipped(gzip.compress(PAGE)[:-9]),
        Reason.INCOMPLETE,
        "gzip stream was cut off",
    ),
    "sends an encoding nobody asked for": (
        says(PAGE, headers={"Content-Encoding": "br"}),
        Reason.MALFORMED,
        "content encoding 'br' was not asked for",
    ),
}


@pytest.mark.parametrize(("answer", "reason", "detail"), FAILURES.values(), ids=FAILURES.keys())
def test_a_node_is_not_read_when_the_api(
    answer: Answer, reason: Reason, detail: str, tmp_path: Path
) -> None:
    slow = answer in (hangs, drips)

    assert fetched(answer, tmp_path, seconds=0.3 if slow else 5.0) == (reason, detail)


def test_an_error_page_without_end_is_not_waited_for(tmp_path: Path) -> None:
    async def errs(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=500)
        await response.prepare(request)
        while True:
            await response.write(b"#" * 1_000_000)

    assert fetched(errs, tmp_path) == (Reason.HTTP_STATUS, "HTTP 500")


def test_a_redirect_is_not_followed_and_the_token_goes_nowhere_else(tmp_path: Path) -> None:
    fake = FakeKube()

    assert fetched(says(b"", 307, headers={"Location": "/stolen"}), tmp_path, fake=fake) == (
        Reason.HTTP_STATUS,
        "HTTP 307",
    )
    assert [it.path for it in fake.asked] == [PATH]


def test_the_request_names_the_pod_and_the_port_and_asks_for_gzip(tmp_path: Path) -> None:
    fake = FakeKube()
    fetched(says(PAGE), tmp_path, fake=fake)

    (asked,) = fake.asked
    assert (asked.path, asked.query, asked.authorization) == (PATH, {}, "Bearer secret")
    assert asked.headers["Accept-Encoding"] == "gzip"


def with_fetch(
    folder: Path, url: str, then: Callable[[Callable[[Target], Awaitable[bytes]]], Awaitable[None]]
) -> None:
    async def scenario() -> None:
        config = KubeConfig(kubeconfig=kubeconfig(folder, url, {"token": "secret"}))
        async with connect(config, timing=VirtualTime().timing()) as kube:
            await then(kube.proxy_fetch(port=1, timeout=5, path="/v1/enis"))

    asyncio.run(scenario())


def test_a_name_that_is_no_name_stays_one_segment_of_the_path(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fake_kube() as fake:
            config = KubeConfig(kubeconfig=kubeconfig(tmp_path, fake.url, {"token": fake.token}))
            pod = Pod(uid="u", name="a/../b?c#d", namespace="e f", node="n1")
            async with connect(config) as kube:
                fetch = kube.proxy_fetch(port=1, timeout=5, path="/v1/enis")
                with pytest.raises(FetchFailed, match="404"):
                    await fetch(Target(Node(name="n1"), pod))
            assert [it.raw_path for it in fake.asked] == [
                "/api/v1/namespaces/e%20f/pods/a%2F..%2Fb%3Fc%23d:1/proxy/v1/enis"
            ]

    asyncio.run(scenario())


def test_a_node_without_pod_is_not_asked(tmp_path: Path) -> None:
    async def then(fetch: Callable[[Target], Awaitable[bytes]]) -> None:
        with pytest.raises(FetchFailed) as failed:
            await fetch(Target(Node(name="n1")))
        assert failed.value.reason is Reason.NO_POD

    with_fetch(tmp_path, "http://127.0.0.1:1", then)


def test_an_api_that_is_away_makes_its_nodes_unreachable(tmp_path: Path) -> None:
    async def then(fetch: Callable[[Target], Awaitable[bytes]]) -> None:
        with pytest.raises(FetchFailed) as failed:
            await fetch(TARGET)
        assert (failed.value.reason, failed.value.detail) == (
            Reason.UNREACHABLE,
            "API server: Connection refused",
        )

    with_fetch(tmp_path, "http://127.0.0.1:1", then)
