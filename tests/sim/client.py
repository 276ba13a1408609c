"""Small clients for the simulator's tests: raw HTTP to a node, JSON to the API, a loop per test."""

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec

import aiohttp

from exporter.sim import Options, Simulation

P = ParamSpec("P")
TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
AWS_NODE = "/api/v1/namespaces/kube-system/pods"


def on_loop(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Run a coroutine test on a loop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def whole() -> None:
            async with asyncio.timeout(120):
                await test(*args, **kwargs)

        asyncio.run(whole())

    return run


def small(nodes: int = 3, **options: Any) -> Simulation:
    """Return a small fleet whose new pods come up at once."""
    return Simulation.fleet(nodes, Options(**{"startup": 0.0, **options}))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came over one connection until the other side closed it."""

    head: str
    body: bytes

    @property
    def status(self) -> int:
        return int(self.head.split(" ")[1])

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


async def raw(
    sim: Simulation, number: int = 0, *, path: str = "/metrics", more: str = "", port: int = 0
) -> Answer:
    """Read from one node, by its place in the cluster, until it closes."""
    reader, writer = await dial(sim, number, port=port)
    request = f"GET {path} HTTP/1.1\r\nHost: node\r\n{more}Connection: close\r\n\r\n"
    writer.write(request.encode())
    data = await reader.read()
    writer.close()
    head, _, body = data.partition(b"\r\n\r\n")
    return Answer(head.decode(), body)


def unchunked(answer: Answer) -> bytes:
    """Return the body of an answer that came in chunks."""
    pieces, rest = [], answer.body
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        pieces.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return b"".join(pieces)


async def asked(sim: Simulation, number: int = 0, path: str = "/v1/enis") -> bytes:
    """Ask one node's ipamd what it holds, and return the whole body."""
    answer = await raw(sim, number, path=path, port=sim.introspection_port)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    chunked = "transfer-encoding" in answer.headers
    return unchunked(answer) if chunked else answer.body


async def dial(
    sim: Simulation, number: int = 0, *, port: int = 0
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to one node."""
    host, found = sim.servers.dialled(address(sim, number), port or sim.ipamd_port)
    return await asyncio.open_connection(host, found)


def address(sim: Simulation, number: int = 0) -> str:
    """Return the address of a node by its place in the cluster."""
    return list(sim.cluster.nodes.values())[number].address


def name(sim: Simulation, number: int = 0) -> str:
    """Return the name of a node by its place in the cluster."""
    return list(sim.cluster.nodes)[number]


async def page(sim: Simulation, number: int = 0) -> str:
    """Read the whole page of one node as an ordinary client does."""
    url = f"http://{address(sim, number)}:{sim.ipamd_port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as reply:
        assert reply.status == 200
        return await reply.text()


async def read_all(sim: Simulation) -> None:
    """Read every node that answers, as one poll of a reader."""
    for number, node in enumerate(sim.cluster.nodes.values()):
        if node.fault is None and node.serving is not None:
            await page(sim, number)


async def ask(
    sim: Simulation, path: str, *, token: str | None = None, **query: str
) -> tuple[int, dict[str, Any]]:
    """GET from the API with a token, by default a full one, and return status and JSON."""
    headers = {"Authorization": f"Bearer {token or sim.token('full')}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(sim.api_url + path, params=query) as reply,
    ):
        return reply.status, json.loads(await reply.text())


async def review(
    sim: Simulation, path: str, spec: object, *, token: str | None = None
) -> tuple[int, dict[str, Any]]:
    """POST a review with a token, by default one that may, and return status and JSON."""
    headers = {"Authorization": f"Bearer {token or sim.token('full_reviews')}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(sim.api_url + path, json={"spec": spec}) as reply,
    ):
        return reply.status, json.loads(await reply.text())


def names(listed: Mapping[str, Any]) -> list[str]:
    """Return the names of a list's items."""
    return [item["metadata"]["name"] for item in listed["items"]]


async def watched(
    sim: Simulation, path: str, *, happens: Callable[[], Awaitable[object]], **query: str
) -> list[dict[str, Any]]:
    """Watch for a second while something happens, and return the events."""
    headers = {"Authorization": f"Bearer {sim.token('full')}"}
    query = {"watch": "1", "timeoutSeconds": "1", **query}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(sim.api_url + path, params=query) as reply,
    ):
        assert reply.status == 200
        await happens()
        return [json.loads(line) async for line in reply.content]


async def nothing() -> None:
    """Let nothing happen."""


def told(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return type and object name of events."""
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]
