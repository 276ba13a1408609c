"""One kind of listening socket for all nodes, all on one port: opened, closed and swept together.

What is answered there is told by the socket itself.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Generic, TypeVar

from exporter.sim.connections import IDLE_SECONDS, NodeSocket
from exporter.sim.ledger import Ledger
from exporter.sim.nodes import Node
from exporter.sim.sockets import free_port
from exporter.sim.traffic import Traffic

Kind = TypeVar("Kind", bound=NodeSocket)


class NodeSockets(ABC, Generic[Kind]):
    """The sockets of all nodes; `settle` brings one node's socket in step with the node."""

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
        self._open: dict[str, Kind] = {}
        self._settling = asyncio.Lock()
        self._sweeper: asyncio.Task[None] | None = None

    @abstractmethod
    async def _settle(self, node: Node) -> None:
        """Bring one node's socket in step with the node."""

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
        """Open, close or block the node's socket, as its state demands."""
        # One at a time: two who open the same socket would be in each other's way.
        async with self._settling:
            await self._settle(node)

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
