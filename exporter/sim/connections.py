"""A node's listening socket and its connections: bytes in, requests out, answers written back.

What is answered is up to the socket's kind. A protocol of our own, since one core serves thousands
of nodes.
"""

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple, cast

from exporter.sim.faults import reply
from exporter.sim.sockets import bound

IDLE_SECONDS = 5.0
_BACKLOG = 1024
_CHUNK = 4096
_LARGEST_HEAD = 16_384
_NEVER = float("inf")
_BAD_REQUEST = reply(b"", "400 Bad Request")


class Request(NamedTuple):
    """One request; `fields` are its header lines in lower case."""

    method: bytes
    path: bytes
    fields: bytes

    @property
    def is_last(self) -> bool:
        """Whether the connection is to be closed after the answer."""
        return b"\r\nconnection: close" in b"\r\n" + self.fields

    @property
    def accepts_gzip(self) -> bool:
        accepted = self.fields.partition(b"accept-encoding:")[2].partition(b"\r\n")[0]
        return b"gzip" in accepted


class NodeSocket(ABC):
    """One port of one node."""

    def __init__(self) -> None:
        self.port = 0
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._blocked: list[socket.socket] = []

    @abstractmethod
    def binds(self) -> tuple[str, int]:
        """Return the address to listen on; port 0 is any free one."""

    @abstractmethod
    def connected(self) -> None:
        """Note that someone connected."""

    @abstractmethod
    def answer(self, connection: "Connection", request: Request) -> None:
        """Answer one request."""

    async def listen(self) -> None:
        """Accept connections."""
        sock = bound(self.binds())
        self.port = sock.getsockname()[1]
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), sock=sock, backlog=_BACKLOG
        )

    def block(self) -> None:
        """Listen without accepting and fill the queue, so that a dial gets no answer at all."""
        sock = bound(self.binds())
        self.port = sock.getsockname()[1]
        sock.listen(0)
        self._blocked = [sock]
        for _ in range(2):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
            self._blocked.append(filler)

    def close(self) -> None:
        """Close the socket and all connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for sock in self._blocked:
            sock.close()
        self._blocked = []
        for connection in tuple(self.connections):
            connection.abort()

    def close_idle(self, oldest: float) -> int:
        """Close the connections whose last sign of life is older, and count them."""
        idle = [connection for connection in self.connections if connection.idle_since < oldest]
        for connection in idle:
            connection.close()
        return len(idle)


class Connection(asyncio.Protocol):
    """One connection to a node: requests one after another, each answered by the socket."""

    def __init__(self, socket: NodeSocket) -> None:
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._after_flush: Callable[[], None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._streaming: asyncio.Task[None] | None = None
        self.idle_since = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection; every byte that is not yet with the kernel counts as unsent."""
        # A cast, since uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(0)
        self._socket.connections.add(self)
        self._socket.connected()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection and whatever it was still to be sent."""
        self._transport = None
        self._socket.connections.discard(self)
        if self._streaming is not None:
            self._streaming.cancel()

    def data_received(self, data: bytes) -> None:
        """Have every request answered that is complete."""
        self._received += data
        while self._transport is not None:
            head, end, rest = self._received.partition(b"\r\n\r\n")
            if not end:
                break
            self._received = rest
            self.idle_since = self._loop.time()
            self._socket.answer(self, _request(head))
        if len(self._received) > _LARGEST_HEAD:
            self.last(_BAD_REQUEST)

    def pause_writing(self) -> None:
        """Note that bytes wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Note that all bytes are with the kernel."""
        self._writable.set()
        if (flushed := self._after_flush) is not None:
            self._after_flush = None
            flushed()

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close the connection after what was written."""
        self.idle_since = _NEVER
        if self._transport is not None:
            self._transport.close()

    def send(self, answer: bytes, then: Callable[[], None]) -> None:
        """Write an answer; `then` is called once all of it is with the kernel."""
        assert self._transport is not None
        self._transport.write(answer)
        if self._writable.is_set():
            then()
        else:
            self._after_flush = then

    def last(self, answer: bytes) -> None:
        """Write an answer and close the connection."""
        if self._transport is not None:
            self._transport.write(answer)
            self.close()

    def stream(self, pieces: AsyncIterator[bytes], *, name: str) -> None:
        """Write an answer piece by piece, in a task of this name, and close the connection."""
        self.idle_since = _NEVER
        self._streaming = self._loop.create_task(self._stream(pieces), name=name)

    async def _stream(self, pieces: AsyncIterator[bytes]) -> None:
        async for piece in pieces:
            await self._writable.wait()
            if self._transport is None:
                return
            self._transport.write(piece)
        self.close()


def _request(head: bytes) -> Request:
    line, _, fields = head.partition(b"\r\n")
    method, _, target = line.partition(b" ")
    return Request(method, target.partition(b" ")[0].partition(b"?")[0], fields.lower())


def chunked(body: bytes) -> bytes:
    """Return a body in chunks, with the chunk that ends it."""
    cut = (body[at : at + _CHUNK] for at in range(0, len(body), _CHUNK))
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in cut) + b"0\r\n\r\n"
