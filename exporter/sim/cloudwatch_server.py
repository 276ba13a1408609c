"""CloudWatch of a simulated cluster: its port, its troubles, and what it has taken."""

from collections.abc import Callable

from exporter.sim.cloudwatch_api import CloudWatchApi, Plan, Trouble, shown
from exporter.sim.listener import Listener, signing

_DOWN = "down"


class CloudWatchServer:
    """CloudWatch over HTTP, in one region."""

    def __init__(self, region: str, clock: Callable[[], float], *, port: int = 0) -> None:
        self.api = CloudWatchApi(region, clock)
        self._listener = Listener(self.api.application(), port=port)

    @property
    def url(self) -> str:
        return self._listener.url

    def environment(self) -> dict[str, str]:
        """Return the variables by which botocore finds this CloudWatch and signs for it."""
        return {"AWS_ENDPOINT_URL_CLOUDWATCH": self.url, **signing(self.api.region)}

    async def start(self) -> None:
        """Open the port."""
        await self._listener.start()

    async def stop(self) -> None:
        """Close the port for good."""
        await self._listener.stop()

    async def set_trouble(
        self,
        trouble: str | None,
        *,
        times: int | None = None,
        after: int = 0,
        seconds: float = 1.0,
        metric: str = "",
    ) -> None:
        """Give calls a trouble, take the whole of CloudWatch `down`, or heal what is wrong."""
        if trouble == _DOWN:
            await self._listener.close()
            return
        plan = Plan(Trouble(trouble), times, after, seconds, metric) if trouble else None
        self.api.plan = plan
        await self._listener.open()

    def state(self) -> dict[str, object]:
        """Return what was taken, call by call and datum by datum, and how requests ended."""
        api = self.api
        calls = [
            {"time": it.time, "sent_bytes": it.sent_bytes, "bytes": it.bytes, "data": len(it.data)}
            for it in api.taken
        ]
        return {"data": shown(api.taken), "calls": calls, "requests": dict(api.requests)}
