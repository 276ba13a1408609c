"""ipamd's introspection of all nodes: a second listening socket where a reader can reach it.

Each path answers as the node's release would; a body that went out whole is told to the books.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exporter.sim import introspection_bodies, introspection_settings
from exporter.sim.cluster import Cluster
from exporter.sim.connections import Connection, NodeSocket, Request, chunked
from exporter.sim.flags import is_on
from exporter.sim.holdings import Holding
from exporter.sim.introspection_faults import (
    CONTENT_TYPE,
    PODS,
    SINCE_NO_PODS,
    WRONG,
    Reach,
    commands,
)
from exporter.sim.introspection_settings import Surroundings
from exporter.sim.ipamd import Release
from exporter.sim.ledger import Ledger, Reader
from exporter.sim.node_sockets import NodeSockets
from exporter.sim.nodes import AwsNodePod, Node
from exporter.sim.objects import node_labels
from exporter.sim.sockets import free_port, held
from exporter.sim.traffic import Traffic

ENIS = "/v1/enis"
# From this size on Go's server, not told a length, sends chunks.
_CHUNKED_FROM = 2048
_HEAD = f"HTTP/1.1 200 OK\r\n{CONTENT_TYPE}\r\n".encode()


@dataclass(frozen=True, slots=True)
class Books:
    """What one ipamd answers from."""

    holding: Holding
    release: Release
    around: Surroundings
    now: float


_PATHS: Mapping[str, Callable[[Books], bytes]] = {
    ENIS: lambda it: introspection_bodies.enis(it.holding, it.release, it.now),
    "/v1/eni-configs": lambda it: introspection_settings.eni_configs(it.around, it.release),
    "/v1/ipamd-env-settings": lambda it: introspection_settings.ipamd_settings(
        it.around, it.release
    ),
    "/v1/networkutils-env-settings": lambda it: introspection_settings.network_settings(it.release),
}


class Desks(NodeSockets["Desk"]):
    """The introspection of all nodes; a node that nobody can reach has no socket at all."""

    def __init__(
        self, cluster: Cluster, ledger: Ledger, traffic: Traffic, *, own_address: bool, idle: float
    ) -> None:
        super().__init__(ledger, traffic, idle=idle, own_address=own_address)
        self.cluster = cluster

    async def start(self, nodes: list[Node], *, port: int = 0) -> None:
        """Serve the nodes that can be reached, on a port kept for all of them."""
        reached = [node for node in nodes if reach(node, self.cluster) is not Reach.CLOSED]
        addresses = [node.address for node in reached] if self._own_address else []
        self._kept = held(port or free_port(["127.0.0.1", *addresses]))
        await super().start(reached, port=self._kept.getsockname()[1])

    async def stop(self) -> None:
        """Close every socket, and give the port back."""
        await super().stop()
        self._kept.close()

    async def settle(self, node: Node) -> None:
        """Open or close the node's socket; where there is nothing to do, nothing is waited for."""
        if node.address in self._open or reach(node, self.cluster) is not Reach.CLOSED:
            await super().settle(node)

    async def _settle(self, node: Node) -> None:
        desk = self._open.get(node.address) or Desk(self, node)
        self._open[node.address] = desk
        state = (reach(node, self.cluster), node.starts, node.serving)
        if state == desk.state:
            return
        desk.state = state
        desk.close()
        self.ledger.bodies.changed(node.uid)
        if node.serving is not None and state[0] is not Reach.CLOSED:
            await desk.listen()


class Desk(NodeSocket):
    """The socket on which one node's ipamd answers questions about what it holds."""

    def __init__(self, desks: Desks, node: Node) -> None:
        super().__init__()
        self.desks = desks
        self.node = node
        self.port = desks.port
        self.state: tuple[Reach, int, AwsNodePod | None] | None = None

    def binds(self) -> tuple[str, int]:
        """Return the node's address and the port that all nodes share."""
        return self.desks.address(self.node)

    def connected(self) -> None:
        """Count nothing: ipamd's connections are counted where its pages are served."""

    def answer(self, connection: Connection, request: Request) -> None:
        """Answer as the node's release does, or with what is wrong with the node."""
        node, traffic = self.node, self.desks.traffic
        pod, process = node.serving, node.process
        holding = process.holding() if process is not None else None
        if pod is None or holding is None:
            # ipamd has just gone, and its socket is about to.
            connection.abort()
            return
        path = request.path.decode("latin-1")
        traffic.introspected[path] += 1
        books = Books(
            holding,
            Release.of(pod.version),
            surroundings(node, self.desks.cluster),
            self.desks.cluster.clock(),
        )
        wrong = WRONG.get(node.reach)
        if wrong is not None and path == ENIS:
            answer = wrong(books.holding, books.release, books.now)
            connection.stream(answer, name=f"introspection {node.reach}")
            return
        body = _body(path, books)
        connection.send(_framed(body), self._served(path, pod, holding=holding))
        if request.is_last:
            connection.close()

    def _served(self, path: str, pod: AwsNodePod, *, holding: Holding) -> Callable[[], None]:
        reader = Reader(pod.uid, self.node.uid, pod.appeared)

        def served() -> None:
            if path == ENIS:
                self.desks.traffic.introspected_whole[self.node.name] += 1
                self.desks.ledger.introspected(reader, holding)

        return served


def reach(node: Node, cluster: Cluster) -> Reach:
    """Return how a node's introspection can be reached: not at all where its env forbids it."""
    if node.reach is Reach.CLOSED:
        return Reach.CLOSED
    env = cluster.env(node)
    off = is_on(env, "DISABLE_INTROSPECTION")
    elsewhere = env.get("INTROSPECTION_BIND_ADDRESS", "").startswith("unix:")
    return Reach.CLOSED if off or elsewhere else node.reach


def surroundings(node: Node, cluster: Cluster) -> Surroundings:
    """Return what ipamd knows of its node."""
    return Surroundings(cluster.env(node), node_labels(node), cluster.eni_configs)


def _body(path: str, books: Books) -> bytes:
    if path == PODS and books.release < SINCE_NO_PODS:
        return introspection_bodies.pods(books.holding)
    write = _PATHS.get(path)
    # Whatever is not known is answered with what is, and with 200.
    return introspection_bodies.encoded(commands(books.release)) if write is None else write(books)


def _framed(body: bytes) -> bytes:
    if len(body) < _CHUNKED_FROM:
        return b"%bContent-Length: %d\r\n\r\n%b" % (_HEAD, len(body), body)
    return b"%bTransfer-Encoding: chunked\r\n\r\n%b" % (_HEAD, chunked(body))
