"""The API's pod proxy: dials the pod and passes on what it answers, or does not answer.

Permission was checked before; the pod's faults come from its own server and are not softened here.
"""

from collections.abc import Sequence
from typing import Any

import aiohttp
from aiohttp import web

from exporter.sim import statuses
from exporter.sim.cluster import Cluster
from exporter.sim.node_sockets import NodeSockets
from exporter.sim.traffic import Traffic

_KEPT = ("Content-Type", "Content-Encoding", "Content-Length", "Location")
_DIAL_SECONDS = 30.0


class PodProxy:
    """Reads pods on behalf of others."""

    def __init__(
        self, cluster: Cluster, sockets: Sequence[NodeSockets[Any]], *, traffic: Traffic
    ) -> None:
        self._cluster = cluster
        self._sockets = sockets
        self._traffic = traffic
        self._session: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Open the session that dials."""
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_DIAL_SECONDS),
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            skip_auto_headers=("Accept-Encoding", "User-Agent"),
        )

    async def stop(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Pass one request on to its pod."""
        name, port = _named(request.match_info["name"])
        found = self._cluster.find_pod(name)
        if found is None or request.match_info["namespace"] != self._cluster.namespace:
            raise statuses.Refused(404, f'pods "{name}" not found')
        node, _ = found
        self._traffic.proxied[node.name] += 1
        host, real_port = node.address, port
        for sockets in self._sockets:
            if port == sockets.port:
                host, real_port = sockets.dialled(node.address, port)
        url = f"http://{host}:{real_port}/{request.match_info['path']}"
        wanted = {"Accept-Encoding": request.headers.get("Accept-Encoding", "identity")}
        assert self._session is not None
        try:
            async with self._session.get(url, headers=wanted, allow_redirects=False) as reply:
                return await _passed_on(request, reply)
        except aiohttp.ClientConnectionError as error:
            dialled = f"dial tcp {node.address}:{port}: connect: connection refused"
            raise statuses.Refused(503, f"error trying to reach service: {dialled}") from error


async def _passed_on(request: web.Request, reply: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = {name: reply.headers[name] for name in _KEPT if name in reply.headers}
    response = web.StreamResponse(status=reply.status, headers=headers)
    try:
        await response.prepare(request)
        async for piece in reply.content.iter_any():
            await response.write(piece)
    except (aiohttp.ClientError, ConnectionError):
        # The head is out, so a broken answer can only be passed on as a broken connection.
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def _named(text: str) -> tuple[str, int]:
    """Split `name:port`, `http:name:port` or `name`, which means port 80."""
    parts = text.removeprefix("http:").split(":")
    port = parts[1] if len(parts) == 2 else "80"
    if len(parts) > 2 or not port.isdecimal():
        raise statuses.Refused(400, f"invalid pod request {text!r}")
    return parts[0], int(port)
