"""Requests to the API server on a session of our own: credentials, limits, no redirects.

The pod proxy hands on whatever a node answers, so a redirect is never followed with our token.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client.rest import RESTClientObject
from yarl import URL

from exporter import __version__
from exporter.core.model import Unavailable
from exporter.inputs.kube.config import SYSTEM
from exporter.inputs.kube.credentials import Access, Credentials
from exporter.inputs.kube.errors import Malformed, refusal, translated

# 500 nodes with all their images come to 5 MB; an object of etcd's largest to 1.5 MB.
MAX_PAGE_BYTES = 64 * 1024 * 1024
MAX_LINE_BYTES = 16 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024
# Not compressed: unpacking 100 MB costs us more than sending it costs the network.
_JSON = {"Accept": "application/json", "Accept-Encoding": "identity"}
_READ_BUFFER = 512 * 1024
_CONNECT_SECONDS = 10.0
# The API server closes idle connections after 90 s, and pods are read every 30 s.
_KEEP_ALIVE_SECONDS = 75.0


class TooLarge(Unavailable):
    """An answer went past its limit."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What is sent, whoever we are to the API server."""

    method: str
    headers: Mapping[str, str]
    body: bytes | None
    limits: aiohttp.ClientTimeout


class Client:
    """A connection pool to the API server that follows changing credentials."""

    def __init__(self, credentials: Credentials) -> None:
        # Held while a page is decoded: several at once would stop the event loop for too long.
        self.turn = asyncio.Lock()
        self._credentials = credentials
        self._session: aiohttp.ClientSession | None = None
        self._transport: tuple[object, ...] = ()

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, params: Mapping[str, str], *, seconds: float) -> bytes:
        """Return the body of an answer, which must be 200."""
        limits = aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS)
        async with self.open(path, params, limits=limits) as response:
            if response.status != 200:
                raise refusal(response.status, await read_error(response))
            return await read(response, MAX_PAGE_BYTES)

    async def post(self, path: str, body: bytes, *, seconds: float) -> bytes:
        """Return the body of the answer to an object that is sent, which must be created."""
        limits = aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS)
        async with self.open(path, {}, limits=limits, body=body) as response:
            if response.status != 201:
                raise refusal(response.status, await read_error(response))
            return await read(response, MAX_PAGE_BYTES)

    @asynccontextmanager
    async def lines(
        self, path: str, params: Mapping[str, str], *, silence: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open an answer without end, and give its whole lines until it ends or falls silent."""
        limits = aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS, sock_read=silence)
        async with self.open(path, params, limits=limits) as response:
            if response.status != 200:
                raise refusal(response.status, await read_error(response))
            yield _lines(response)

    @asynccontextmanager
    async def open(
        self,
        path: str,
        params: Mapping[str, str],
        *,
        limits: aiohttp.ClientTimeout,
        headers: Mapping[str, str] = _JSON,
        body: bytes | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a GET, or a POST of a JSON body, and give the answer's head.

        Credentials that are refused are renewed once.
        """
        if body is not None:
            headers = {**headers, "Content-Type": "application/json"}
        request = _Request("GET" if body is None else "POST", headers, body, limits)
        target = f"{path}?{urlencode(params)}" if params else path
        access = await self._credentials.current()
        response = await self._send(access, target, request)
        try:
            if response.status == 401:
                renewed = await self._credentials.renew(access)
                if renewed is not access:
                    response.close()
                    response = await self._send(renewed, target, request)
            yield response
        finally:
            response.release()

    async def _send(self, access: Access, target: str, request: _Request) -> aiohttp.ClientResponse:
        headers = request.headers
        if access.authorization:
            headers = {**headers, "Authorization": access.authorization}
        configuration = access.configuration
        with translated():
            session = await self._session_for(access)
            return await session.request(
                request.method,
                URL(configuration.host + target, encoded=True),
                headers=headers,
                data=request.body,
                timeout=request.limits,
                allow_redirects=False,
                proxy=configuration.proxy or None,
                server_hostname=configuration.tls_server_name or None,
            )

    async def _session_for(self, access: Access) -> aiohttp.ClientSession:
        if self._session is None or self._transport != access.transport:
            tls = RESTClientObject(access.configuration).ssl_context
            stale, self._session = (
                self._session,
                aiohttp.ClientSession(
                    # The caller bounds the reads through the pod proxy; watches must not queue.
                    connector=aiohttp.TCPConnector(
                        ssl=tls, limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS
                    ),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    headers={"User-Agent": f"vpc-cni-exporter/{__version__}"},
                    auto_decompress=False,
                    read_bufsize=_READ_BUFFER,
                ),
            )
            self._transport = access.transport
            if stale is not None:
                await stale.close()
        return self._session


async def read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return a whole body, giving up as soon as it is longer than `limit`."""
    parts = []
    size = 0
    with translated():
        async for part in response.content.iter_any():
            size += len(part)
            if size > limit:
                raise TooLarge(SYSTEM, f"an answer of more than {limit} bytes")
            parts.append(part)
    return b"".join(parts)


async def read_error(response: aiohttp.ClientResponse) -> bytes:
    """Return the body of an answer that is no success, or nothing of one that has no end."""
    try:
        return await read(response, MAX_ERROR_BYTES)
    except Unavailable:
        return b""


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    parts: list[bytes] = []
    size = 0
    while True:
        try:
            with translated():
                part = await response.content.readany()
        except Unavailable:
            return  # However it ends, whether the source is up shows when it is asked again.
        if not part:
            return
        *lines, rest = part.split(b"\n")
        for line in lines:
            parts.append(line)
            yield b"".join(parts)
            parts, size = [], 0
        parts.append(rest)
        size += len(rest)
        if size > MAX_LINE_BYTES:
            raise Malformed(SYSTEM, f"an event of more than {MAX_LINE_BYTES} bytes")
