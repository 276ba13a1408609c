"""A small API server on loopback that does exactly what a test tells it, faults included."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

PODS = "/api/v1/namespaces/kube-system/pods"
NODES = "/api/v1/nodes"
DAEMONSETS = "/apis/apps/v1/namespaces/kube-system/daemonsets"
HOST_PODS = "/api/v1/pods"
ENICONFIGS = "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs"
CNINODES = "/apis/vpcresources.k8s.aws/v1alpha1/cninodes"
COLLECTIONS = (PODS, NODES, DAEMONSETS, HOST_PODS, ENICONFIGS, CNINODES)
VERSION = "/version"

Json = dict[str, object]
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as far as tests look at it."""

    path: str
    query: dict[str, str]
    authorization: str
    headers: dict[str, str]
    raw_path: str = ""


@dataclass(eq=False)
class FakeKube:
    """Collections with a history; `answers` are given first, once each, by path and verb."""

    token: str = "secret"
    url: str = ""
    version: str = "v1.31.4-eks-2d5f260"
    page_size: int = 500
    revision: int = 100
    oldest: int = 0
    asked: list[Asked] = field(default_factory=list)
    answers: dict[tuple[str, str], deque[Answer]] = field(
        default_factory=lambda: defaultdict(deque)
    )
    always: dict[tuple[str, str], Answer] = field(default_factory=dict)
    objects: dict[str, dict[str, Json]] = field(default_factory=lambda: defaultdict(dict))
    history: dict[str, list[tuple[int, str, Json]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _epoch: int = 0

    def put(self, path: str, *objects: Json) -> None:
        """Create or change objects."""
        for it in objects:
            self.revision += 1
            meta = dict(_metadata(it), resourceVersion=str(self.revision))
            key = f"{meta.get('namespace', '')}/{meta['name']}"
            kind = "MODIFIED" if key in self.objects[path] else "ADDED"
            self.objects[path][key] = {**it, "metadata": meta}
            self._record(path, kind, self.objects[path][key])

    def drop(self, path: str, name: str, namespace: str = "", *, silently: bool = False) -> None:
        """Delete an object."""
        self.revision += 1
        it = self.objects[path].pop(f"{namespace}/{name}")
        if not silently:
            meta = dict(_metadata(it), resourceVersion=str(self.revision))
            self._record(path, "DELETED", {**it, "metadata": meta})

    def tell(self, path: str, kind: str, it: Json) -> None:
        """Send an event to whoever watches, whatever the objects are."""
        self.revision += 1
        self._record(path, kind, it)

    def _record(self, path: str, kind: str, it: Json) -> None:
        self.history[path].append((self.revision, kind, it))
        self._ring()

    def forget_history(self) -> None:
        """Make every version but the present one too old."""
        self.revision += 1
        self.oldest = self.revision
        self.history.clear()

    def hang_up(self) -> None:
        """End all watches in good order."""
        self._epoch += 1
        self._ring()

    def _ring(self) -> None:
        self._wake.set()
        self._wake = asyncio.Event()

    async def news(self) -> None:
        """Wait until something is asked or told."""
        await self._wake.wait()

    def verbs(self, *paths: str) -> list[str]:
        """Return what was asked so far, of some paths or of all: list, watch or get."""
        asked = (it for it in self.asked if it.path in paths or not paths)
        return [_verb(it.path, it.query) for it in asked]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        authorization = request.headers.get("Authorization", "")
        self.asked.append(
            Asked(request.path, query, authorization, dict(request.headers), request.raw_path)
        )
        self._ring()
        if self.token and authorization.lower() != f"bearer {self.token}".lower():
            return status(401, "Unauthorized")
        verb = "create" if request.method == "POST" else _verb(request.path, query)
        key = (request.path, verb)
        if self.answers[key]:
            return await self.answers[key].popleft()(request)
        if key in self.always:
            return await self.always[key](request)
        if request.path == VERSION:
            return web.json_response({"gitVersion": self.version})
        if request.path not in COLLECTIONS:
            return status(404, "the server could not find the requested resource")
        return await (self._watch if key[1] == "watch" else self.list)(request)

    async def list(self, request: web.Request) -> web.StreamResponse:
        """Answer a list as an API server in good health does."""
        start = int(request.query.get("continue", "0"))
        size = min(int(request.query["limit"]), self.page_size)
        every = list(self.objects[request.path].values())
        following = str(start + size) if start + size < len(every) else ""
        meta = {"resourceVersion": str(self.revision), "continue": following}
        return web.json_response({"metadata": meta, "items": every[start : start + size]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        version, epoch = int(request.query["resourceVersion"]), self._epoch
        await response.prepare(request)
        if version < self.oldest:
            await response.write(event("ERROR", {"kind": "Status", "code": 410}))
            return response
        while epoch == self._epoch:
            wake = self._wake
            for revision, kind, it in tuple(self.history[request.path]):
                if revision > version:
                    version = revision
                    await response.write(event(kind, it))
            await wake.wait()
        return response


def _metadata(it: Json) -> Json:
    meta = it["metadata"]
    assert isinstance(meta, dict)
    return meta


def _verb(path: str, query: dict[str, str]) -> str:
    if path not in COLLECTIONS:
        return "get"
    return "watch" if query.get("watch") == "true" else "list"


def event(kind: str, it: Json) -> bytes:
    """Return one line of a watch."""
    return json.dumps({"type": kind, "object": it}).encode() + b"\n"


def status(code: int, message: str) -> web.Response:
    """Return what the API server answers in its own name."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message}
    return web.json_response({**body, "code": code}, status=code)


def refuses(code: int, message: str = "no") -> Answer:
    """Return an answer that is a Status."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return status(code, message)

    return answer


def says(body: bytes, code: int = 200, *, headers: dict[str, str] | None = None) -> Answer:
    """Return an answer with this body."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=code, headers=headers)

    return answer


async def hangs(request: web.Request) -> web.StreamResponse:
    """Answer nothing, for ever."""
    await asyncio.Event().wait()
    raise AssertionError


async def hangs_up(request: web.Request) -> web.StreamResponse:
    """Close the connection without an answer."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def promises(length: int, body: bytes) -> Answer:
    """Return an answer that is cut off before the length it was said to have."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(length)})
        await response.prepare(request)
        await response.write(body)
        return await hangs_up(request)

    return answer


async def shuts(request: web.Request) -> web.StreamResponse:
    """Open an answer and end it at once."""
    response = web.StreamResponse()
    await response.prepare(request)
    return response


def streams(*parts: bytes, then: Answer = shuts) -> Answer:
    """Return an answer that comes in parts, and then ends or does something else."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        if then is not shuts:
            await then(request)
        return response

    return answer


@asynccontextmanager
async def fake_kube(
    fake: FakeKube | None = None, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[FakeKube]:
    """Serve a fake API server on a free port of loopback."""
    fake = fake or FakeKube()
    app = web.Application()
    app.router.add_get("/{path:.*}", fake.answer)
    app.router.add_post("/{path:.*}", fake.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.01, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    fake.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield fake
    finally:
        await runner.cleanup()
