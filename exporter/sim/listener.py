"""One HTTP application on one loopback port, which can be closed and opened again on that same
port.
"""

from aiohttp import web

_HOST = "127.0.0.1"
# A client needs some to sign with; nobody checks them.
_KEY, _SECRET = "AKIASIMULATED0000000", "simulated"


def signing(region: str) -> dict[str, str]:
    """Return the variables by which botocore signs for a simulated region."""
    return {
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": _KEY,
        "AWS_SECRET_ACCESS_KEY": _SECRET,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


class Listener:
    """An aiohttp application with its socket."""

    def __init__(self, application: web.Application, *, port: int = 0) -> None:
        self._runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        self._port = port
        self._site: web.TCPSite | None = None

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self._port}"

    async def start(self) -> None:
        """Make the application ready and open the socket."""
        await self._runner.setup()
        await self.open()

    async def open(self) -> None:
        """Listen, on the same port as before if there was one."""
        if self._site is not None:
            return
        self._site = web.TCPSite(self._runner, _HOST, self._port)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Refuse connections and reset those there are."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    async def stop(self) -> None:
        """Close for good."""
        await self._runner.cleanup()
