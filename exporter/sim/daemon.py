"""The aws-node servers: one listening socket per node on its own loopback address, all on one port.

They answer `/metrics` with the page of the process that runs there or with the node's fault. What
went out is told to the books.
"""

import gzip

from exporter.sim.connections import Connection, NodeSocket, Request, chunked
from exporter.sim.facts import Page
from exporter.sim.faults import ANSWERS, REDIRECTED_PATH, Fault, reply
from exporter.sim.ledger import Reader
from exporter.sim.node_sockets import NodeSockets
from exporter.sim.nodes import AwsNodePod, Node

_NOT_FOUND = reply(b"404 page not found\n", "404 Not Found")
_TYPE = b"Content-Type: text/plain; version=0.0.4; charset=utf-8; escaping=underscores\r\n"


class Servers(NodeSockets["NodeServer"]):
    """The metrics servers of all nodes."""

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


class NodeServer(NodeSocket):
    """The socket on which one node's ipamd serves its metrics."""

    def __init__(self, servers: Servers, node: Node) -> None:
        super().__init__()
        self.servers = servers
        self.node = node
        self.port = servers.port
        self.state: tuple[Fault | None, int, AwsNodePod | None] | None = None
        self._page: Page | None = None
        self._plain = self._gzipped = b""
        self._chunked = int(node.address.rpartition(".")[2]) % 2 == 0

    def binds(self) -> tuple[str, int]:
        """Return the node's address and the port that all nodes share."""
        return self.servers.address(self.node)

    def connected(self) -> None:
        """Count a connection to this node."""
        self.servers.traffic.connections[self.node.name] += 1

    def answer(self, connection: Connection, request: Request) -> None:
        """Answer as the node is: with its page, its fault, or not at all."""
        node, traffic = self.node, self.servers.traffic
        if request.path == REDIRECTED_PATH.encode():
            traffic.redirects_followed += 1
        elif request.path != b"/metrics" or request.method != b"GET":
            traffic.other_paths[request.path.decode("latin-1")] += 1
            connection.last(_NOT_FOUND)
            return
        traffic.pages[node.name] += 1
        if node.fault is not None and node.fault in ANSWERS:
            body = node.process.page().body if node.process is not None else b""
            connection.stream(ANSWERS[node.fault](body), name=f"fault {node.fault}")
        elif node.fault is None and (pod := node.serving) is not None:
            self._serve(connection, request, pod=pod)
        else:
            # The node has just gone, and its socket is about to.
            connection.abort()

    def _serve(self, connection: Connection, request: Request, *, pod: AwsNodePod) -> None:
        assert self.node.process is not None
        page = self.node.process.page()
        reader = Reader(pod.uid, self.node.uid, pod.appeared)

        def served() -> None:
            self.servers.traffic.served_whole[self.node.name] += 1
            self.servers.ledger.served(reader, page.facts)

        connection.send(self.whole(page, gzipped=request.accepts_gzip), served)
        if request.is_last:
            connection.close()

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
        return b"%bTransfer-Encoding: chunked\r\n\r\n%b" % (start, chunked(body))
