"""An application on an address, whose TLS context may be replaced while it listens.

A context belongs to a listening server for good. So a new server takes over the same sockets,
and the address is never closed in between.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

_SHUTDOWN_SECONDS: Final = 1.0
_HANDSHAKE_SECONDS: Final = 10.0
_LONGEST_ANSWER_SECONDS: Final = 10.0


class Listener:
    """A running application and the servers that accept for it, one for each address."""

    def __init__(self, application: web.Server, servers: list[asyncio.Server]) -> None:
        self._application = application
        self._servers = servers

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """The addresses that are listened on."""
        names = (it.getsockname() for server in self._servers for it in server.sockets)
        return tuple((host, port) for host, port, *_ in names)

    @property
    def address(self) -> tuple[str, int]:
        """The first of them."""
        return self.addresses[0]

    async def renew(self, context: ssl.SSLContext) -> None:
        """Shake hands by another context from now on.

        OSError where the system has no more sockets to give; then all stays as it was.
        """
        loop = asyncio.get_running_loop()
        old, new = self._servers, list[asyncio.Server]()
        try:
            for accepting in [it for server in old for it in server.sockets]:
                sock = socket.socket(fileno=os.dup(accepting.fileno()))
                server = await loop.create_server(
                    self._application,
                    sock=sock,
                    ssl=context,
                    ssl_handshake_timeout=_HANDSHAKE_SECONDS,
                )
                new.append(server)
        except OSError:
            _close(new)
            raise
        self._servers = new
        _close(old)

    async def retire(self) -> None:
        """End the connections there are: idle ones now, others with the answer they wait for."""
        connections = self._application.connections
        for connection in connections:
            connection.close()
        await asyncio.sleep(0)
        await asyncio.gather(*(it.shutdown(_LONGEST_ANSWER_SECONDS) for it in connections))

    def stop(self) -> None:
        """Accept no more."""
        _close(self._servers)


def _close(servers: list[asyncio.Server]) -> None:
    for server in servers:
        server.close()


@asynccontextmanager
async def listening(
    application: web.Application,
    host: str | None,
    port: int,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[Listener]:
    """Serve an application until left, plain or by TLS; OSError where the address is not free."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    assert runner.server is not None
    try:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            runner.server,
            host,
            port,
            ssl=context,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS if context else None,
        )
        listener = Listener(runner.server, [server])
        try:
            yield listener
        finally:
            listener.stop()
    finally:
        await runner.cleanup()
