"""EKS of a living cluster: its port, its troubles, and the truth of what it tells.

It is what a simulation holds of EKS; the parts are told in `eks_state`, `eks_api` and `eks_books`.
"""

from collections.abc import Mapping
from typing import Any

from exporter.sim import books, eks_books
from exporter.sim.cluster import Cluster
from exporter.sim.eks_api import ACTIONS, EksApi
from exporter.sim.eks_state import Eks
from exporter.sim.listener import Listener
from exporter.sim.troubles import ANY, Plan, Trouble
from exporter.sim.vpc import Vpc

_DOWN = "down"


class EksServer:
    """EKS over HTTP, for one cluster, which was given the subnets that there are at first."""

    def __init__(self, cluster: Cluster, vpc: Vpc, *, port: int = 0) -> None:
        self._vpc = vpc
        self.eks = Eks(
            cluster.plan.env["CLUSTER_NAME"],
            vpc.id,
            [
                subnet.id
                for subnet in vpc.subnets.values()
                if "kubernetes.io/cluster/sim" in subnet.tags
            ],
            aws_node=lambda: cluster.plan.image_tag,
        )
        self.api = EksApi(self.eks, clock=cluster.clock)
        self._listener = Listener(self.api.application(), port=port)

    @property
    def url(self) -> str:
        return self._listener.url

    def environment(self) -> dict[str, str]:
        """Return the variable by which botocore finds this EKS."""
        return {"AWS_ENDPOINT_URL_EKS": self.url}

    async def start(self) -> None:
        """Open the port."""
        await self._listener.start()

    async def stop(self) -> None:
        """Close the port for good."""
        await self._listener.stop()

    async def set_trouble(self, trouble: str | None, *, action: str = ANY, **plan: Any) -> None:
        """Give an action a trouble, take the whole of EKS `down`, or heal what is wrong."""
        if action not in (ANY, *ACTIONS):
            raise ValueError(f"no action {action!r}; there are {', '.join(ACTIONS)}")
        if trouble == _DOWN:
            await self._listener.close()
            return
        found = Plan(Trouble(trouble), **plan) if trouble is not None else None
        self.api.troubles.set(action, found)
        await self._listener.open()

    def change(self, given: Mapping[str, Any]) -> None:
        """Let EKS say something else of the cluster or of its add-ons; none takes one away."""
        eks = self.eks
        eks.version = str(given.get("version", eks.version))
        eks.platform = str(given.get("platform", eks.platform))
        eks.subnets = list(given.get("subnets", eks.subnets))
        eks.issues = list(given.get("issues", eks.issues))
        for name, addon in given.get("addons", {}).items():
            if addon is None:
                del eks.addons[name]
            else:
                eks.install(
                    name,
                    addon.get("version", ""),
                    status=addon.get("status", "ACTIVE"),
                    issues=list(addon.get("issues", ())),
                )

    def state(self) -> dict[str, object]:
        """Return what EKS says now, and what is wrong with how it says it."""
        eks = self.eks
        return {
            "troubles": self.api.troubles.current(),
            "version": eks.version,
            "subnets": eks.subnets,
            "issues": eks.issues,
            "addons": {name: eks.installed_version(name) for name in eks.addons},
        }

    def forget(self) -> None:
        """Know of no reader, as before one came."""
        self.api.first_told = None

    @property
    def told_subnets(self) -> frozenset[str]:
        """The subnets that a reader was told of, none before there was one."""
        return frozenset() if self.api.first_told is None else frozenset(self.eks.subnets)

    def truth(self, *, subnets_told: bool) -> books.Samples:
        """Return the samples of EKS, once a reader was told of the cluster."""
        if self.api.first_told is None:
            return {}
        upgrade = eks_books.upgrade(self.eks, self._vpc) if subnets_told else {}
        return {**eks_books.samples(self.eks), **upgrade}
