"""Fetching a node's page through the API server's pod proxy.

What the API server itself answers says nothing of the node but that nobody asked it; what else is
not 200 is the node's own answer.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import quote

import aiohttp

from exporter.core.model import Reason, Target, Unavailable
from exporter.inputs.fetch import MAX_BODY_BYTES, FetchFailed, decode_body
from exporter.inputs.kube.client import Client, TooLarge, read, read_error
from exporter.inputs.kube.errors import status_message

# Refused, overloaded, or no way to the pod: statuses that the API server gives in its own name.
_OWN_STATUSES = (401, 403, 429, 502, 503, 504)
_PAGE = {"Accept": "text/plain;version=0.0.4, */*;q=0.1", "Accept-Encoding": "gzip"}
_MAX_DETAIL = 200
_TIMEOUT_WORDS = ("timeout", "timed out", "deadline exceeded")


@dataclass(frozen=True, slots=True)
class PodProxyFetch:
    """A `Fetch` that asks the API server to ask the pod."""

    client: Client
    port: int
    seconds: float
    path: str
    limit: int = MAX_BODY_BYTES

    async def __call__(self, target: Target) -> bytes:
        """Return the whole body of the target's page, decompressed."""
        pod = target.pod
        if pod is None:
            raise FetchFailed(Reason.NO_POD)
        name = f"{quote(pod.name, safe='')}:{self.port}"
        namespace = quote(pod.namespace, safe="")
        url = f"/api/v1/namespaces/{namespace}/pods/{name}/proxy{self.path}"
        try:
            async with asyncio.timeout(self.seconds):
                return await self._get(url)
        except TimeoutError as error:
            detail = f"no answer within {self.seconds:g} s"
            raise FetchFailed(Reason.TIMEOUT, detail) from error
        except TooLarge as error:
            raise FetchFailed(Reason.TOO_LARGE, error.reason) from error
        except Unavailable as error:
            raise FetchFailed(Reason.UNREACHABLE, f"API server: {error.reason}") from error

    async def _get(self, url: str) -> bytes:
        limits = aiohttp.ClientTimeout()
        async with self.client.open(url, {}, limits=limits, headers=_PAGE) as response:
            if response.status != 200:
                raise _answer(response.status, await read_error(response))
            headers = response.headers
            if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
                raise FetchFailed(Reason.INCOMPLETE, "nothing says where the page ends")
            try:
                body = await read(response, self.limit)
            except TooLarge:
                raise
            except Unavailable as error:
                raise FetchFailed(Reason.INCOMPLETE, error.reason) from error
            return decode_body(body, headers.get("Content-Encoding", ""), self.limit)


def _answer(status: int, body: bytes) -> FetchFailed:
    message = status_message(body)
    detail = f"HTTP {status}" + (f": {message}" if message else "")
    if message is None or status not in _OWN_STATUSES:
        return FetchFailed(Reason.HTTP_STATUS, detail[:_MAX_DETAIL])
    late = status == 504 or any(word in message.lower() for word in _TIMEOUT_WORDS)
    return FetchFailed(Reason.TIMEOUT if late else Reason.UNREACHABLE, detail[:_MAX_DETAIL])
