"""The aws-node servers: one listening socket per node on its own loopback address, all on one port.

They answer `/metrics` with the page of the process that runs there or with the node's fault, by a
protocol of our own, since one core serves thousands of nodes. What went out is told to the books.
"""

import asyncio
import gzip
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import cast

from exporter.sim.facts import Page
from exporter.sim.faults import ANSWERS, REDIRECTED_PATH, Fault, reply
from exporter.sim.ledger import Ledger, Reader
from exporter.sim.nodes import AwsNodePod, Node
from exporter.sim.sockets import bound, free_port
from exporter.sim.traffic import Traffic

IDLE_SECONDS = 5.0
_BACKLOG = 1024
_CHUNK = 4096
_LARGEST_HEAD = 16_384
_NOT_FOUND = reply(b"404 page not found\n", "404 Not Found")
_BAD_REQUEST = reply(b"", "400 Bad Request")
_TYPE = b"Content-Type: text/plain; version=0.0.4; charset=utf-8; escaping=underscores\r\n"


class Servers:
    """The servers of all nodes; `settle` brings one node's socket in step with the node."""

    def __init__(
        self,
        ledger: Ledger,
        traffic: Traffic,
        *,
        idle: float = IDLE_SECONDS,
        own_address: bool = True,
    ) -> None:
        self.ledger = ledger
        self.traffic = traffic
        self.port = 0
        self._idle = idle
        self._own_address = own_address
        self._open: dict[str, NodeServer] = {}
        self._settling = asyncio.Lock()
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, nodes: list[Node], *, port: int = 0) -> None:
        """Serve all nodes on one port that is free on every address."""
        addresses = [node.address for node in nodes] if self._own_address else []
        self.port = port or free_port(["127.0.0.1", *addresses])
        for node in nodes:
            await self.settle(node)
        self._sweeper = asyncio.create_task(self._sweep(), name="close idle connections")

    async def stop(self) -> None:
        """Close every socket."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        for server in self._open.values():
            server.close()
        self._open.clear()
        # Lost connections are told to their protocols in the next turns of the loop.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def settle(self, node: Node) -> None:
        """Open, close or block the node's socket, as its pods and its fault demand."""
        # One at a time: two who open the same socket would be in each other's way.
        async with self._settling:
            await self._settle(node)

    async def _settle(self, node: Node) -> None:
        server = self._open.get(node.address) or NodeServer(self, node)
        self._open[node.address] = server
        state = (node.fault, node.starts, node.serving)
        if state == server.state:
            return
        server.state = state
        # Whoever is connected meets the node as it is now: answers under way are lost.
        server.close()
        if node.fault is Fault.HANG_CONNECT:
            server.block()
        elif node.serving is not None and node.fault is not Fault.REFUSE:
            await server.listen()

    def drop(self, node: Node) -> None:
        """Close the socket of a node that has left."""
        if (server := self._open.pop(node.address, None)) is not None:
            server.close()

    def drop_departed(self, nodes: Iterable[Node]) -> None:
        """Close the sockets of all nodes but these."""
        here = {node.address for node in nodes}
        for address in self._open.keys() - here:
            self._open.pop(address).close()

    def dialled(self, address: str, port: int) -> tuple[str, int]:
        """Return where a dial to a pod goes: elsewhere, where only 127.0.0.1 exists."""
        server = self._open.get(address)
        if self._own_address or server is None or port != self.port:
            return address, port
        return "127.0.0.1", server.port

    def address(self, node: Node) -> tuple[str, int]:
        """Return what a node's server binds; port 0 is any free one."""
        return (node.address, self.port) if self._own_address else ("127.0.0.1", 0)

    async def _sweep(self) -> None:
        """Close what was idle for too long, in one task: timers per connection cost more."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._idle / 20)
            oldest = loop.time() - self._idle
            for server in tuple(self._open.values()):
                self.traffic.idle_closed += server.close_idle(oldest)


class NodeServer:
    """The socket of one node and its connections."""

    def __init__(self, servers: Servers, node: Node) -> None:
        self.servers = servers
        self.node = node
        self.port = servers.port
        self.state: tuple[Fault | None, int, AwsNodePod | None] | None = None
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._blocked: list[socket.socket] = []
        self._page: Page | None = None
        self._plain = self._gzipped = b""
        self._chunked = int(node.address.rpartition(".")[2]) % 2 == 0

    async def listen(self) -> None:
        """Accept connections."""
        sock = bound(self.servers.address(self.node))
        self.port = sock.getsockname()[1]
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), sock=sock, backlog=_BACKLOG
        )

    def block(self) -> None:
        """Listen without accepting and fill the queue, so that a dial gets no answer at all."""
        sock = bound(self.servers.address(self.node))
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

    def whole(self, page: Page, *, gzipped: bool) -> bytes:
        """Return the complete answer that carries a page."""
        if page is not self._page:
            self._page, self._plain, self._gzipped = page, self._framed(page.body, b""), b""
        if gzipped and not self._gzipped:
            packed = gzip.compress(page.body, 1)
            self._gzipped = self._framed(packed, b"Content-Encoding: gzip\r\n")
        return self._gzipped if gzipped else self._plain

    def _framed(self, body: bytes, extra: bytes) -> bytes:
        start = b"HTTP/1.1 200 OK\r\n" + _TYPE + extra
        if not self._chunked:
            return b"%bContent-Length: %d\r\n\r\n%b" % (start, len(body), body)
        cut = (body[at : at + _CHUNK] for at in range(0, len(body), _CHUNK))
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in cut)
        return b"%bTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (start, chunks)


_NEVER = float("inf")


class Connection(asyncio.Protocol):
    """One connection to a node: requests one after another, each answered as the node is."""

    def __init__(self, server: NodeServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._after_flush: Callable[[], None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._fault: asyncio.Task[None] | None = None
        self.idle_since = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection; every byte that is not yet with the kernel counts as unsent."""
        # A cast, since uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(0)
        self._server.connections.add(self)
        self._server.servers.traffic.connections[self._server.node.name] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection and whatever it was still to be sent."""
        self._transport = None
        self._server.connections.discard(self)
        if self._fault is not None:
            self._fault.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._received += data
        while self._transport is not None:
            head, end, rest = self._received.partition(b"\r\n\r\n")
            if not end:
                break
            self._received = rest
            self._answer(head)
        if len(self._received) > _LARGEST_HEAD:
            self._last(_BAD_REQUEST)

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

    def _answer(self, head: bytes) -> None:
        self.idle_since = self._loop.time()
        node, traffic = self._server.node, self._server.servers.traffic
        request, _, fields = head.partition(b"\r\n")
        method, _, target = request.partition(b" ")
        path = target.partition(b" ")[0].partition(b"?")[0]
        if path == REDIRECTED_PATH.encode():
            traffic.redirects_followed += 1
        elif path != b"/metrics" or method != b"GET":
            traffic.other_paths[path.decode("latin-1")] += 1
            self._last(_NOT_FOUND)
            return
        traffic.pages[node.name] += 1
        if node.fault is not None and node.fault in ANSWERS:
            self._begin_fault(node.fault)
        elif node.fault is None and node.serving is not None:
            self._serve(fields.lower())
        else:
            # The node has just gone, and its socket is about to.
            self.abort()

    def _serve(self, fields: bytes) -> None:
        server = self._server
        pod, process = server.node.serving, server.node.process
        assert self._transport is not None
        assert pod is not None
        assert process is not None
        page = process.page()
        self._transport.write(server.whole(page, gzipped=b"gzip" in _accepted(fields)))
        reader = Reader(pod.uid, server.node.uid, pod.appeared)

        def served() -> None:
            server.servers.traffic.served_whole[server.node.name] += 1
            server.servers.ledger.served(reader, page.facts)

        if self._writable.is_set():
            served()
        else:
            self._after_flush = served
        if b"\r\nconnection: close" in b"\r\n" + fields:
            self.close()

    def _last(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)
            self.close()

    def _begin_fault(self, fault: Fault) -> None:
        self.idle_since = _NEVER
        process = self._server.node.process
        body = process.page().body if process is not None else b""
        self._fault = self._loop.create_task(self._stream(fault, body), name=f"fault {fault}")

    async def _stream(self, fault: Fault, body: bytes) -> None:
        wait: Callable[[], Awaitable[object]] = self._writable.wait
        async for piece in ANSWERS[fault](body):
            await wait()
            if self._transport is None:
                return
            self._transport.write(piece)
        self.close()


def _accepted(fields: bytes) -> bytes:
    return fields.partition(b"accept-encoding:")[2].partition(b"\r\n")[0]
