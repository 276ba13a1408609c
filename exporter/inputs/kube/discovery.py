"""The discoverer: six collections turned into targets, and what tells this cluster from others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import msgspec

from exporter.core.access import Verdict
from exporter.core.model import Discovery, Identity, Unavailable
from exporter.core.targets import LabelledNode, targets
from exporter.inputs.fetch import Place
from exporter.inputs.kube import kinds, reviews
from exporter.inputs.kube.client import Client
from exporter.inputs.kube.collection import Collection, SourceState
from exporter.inputs.kube.config import KubeConfig, Timing
from exporter.inputs.kube.credentials import Credentials
from exporter.inputs.kube.decoding import AwsNode, DaemonSet, Sharing
from exporter.inputs.kube.errors import well_formed
from exporter.inputs.kube.pod_proxy import PodProxyFetch

OnChange = Callable[[str, SourceState], None]

_AnyCollection = (
    Collection[AwsNode] | Collection[LabelledNode] | Collection[DaemonSet] | Collection[str]
)


def _ignore(source: str, state: SourceState) -> None:
    pass


class _ServerVersion(msgspec.Struct, rename="camel"):
    git_version: str = ""


@asynccontextmanager
async def connect(
    config: KubeConfig, on_change: OnChange = _ignore, *, timing: Timing | None = None
) -> AsyncIterator[Kube]:
    """Open the door to Kubernetes; nothing is asked before `Kube.run`."""
    timing = timing or Timing()
    client = Client(Credentials(config, timing))
    try:
        yield Kube(client, config.namespace, timing, on_change)
    finally:
        await client.close()


class Kube:
    """What the API server says should be read, as far as it may be asked."""

    def __init__(
        self, client: Client, namespace: str, timing: Timing, on_change: OnChange = _ignore
    ) -> None:
        share = Sharing()
        self._client = client
        self._timing = timing
        self._on_change = on_change
        self._pods = Collection(client, kinds.aws_node_pods(namespace, share), timing, self)
        self._nodes = Collection(client, kinds.nodes(share), timing, self)
        self._daemonset = Collection(client, kinds.daemonset(namespace), timing, self)
        self._host_pods = Collection(client, kinds.host_network_pods(), timing, self)
        self._eniconfigs = Collection(client, kinds.eniconfigs(), timing, self)
        self._cninodes = Collection(client, kinds.cninodes(), timing, self)
        self._version = ""
        self._ask_version = asyncio.Event()
        self._news = asyncio.Event()
        self._discovery: Discovery | None = None
        self._stale = True

    async def run(self) -> None:
        """Keep what is known up to date until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pods.keep(), name="kube: aws-node pods")
            tasks.create_task(self._nodes.keep(), name="kube: nodes")
            tasks.create_task(self._daemonset.keep(), name="kube: daemonset")
            tasks.create_task(self._host_pods.keep(), name="kube: hostNetwork pods")
            tasks.create_task(self._eniconfigs.keep(), name="kube: ENIConfigs")
            tasks.create_task(self._cninodes.keep(), name="kube: CNINodes")
            tasks.create_task(self._keep_version(), name="kube: version")

    def discover(self) -> Discovery | None:
        """Return what should be read now: the same object while nothing changed."""
        if self._stale and self._known():
            found = self._discover()
            if found != self._discovery:
                self._discovery = found
            self._stale = False
        return self._discovery

    def sources(self) -> tuple[SourceState, ...]:
        """Return the state of each source that is asked of the API server."""
        return tuple(collection.state for collection in self._collections())

    async def changed(self) -> None:
        """Wait until there is something new to discover or a source changed its state."""
        await self._news.wait()

    def proxy_fetch(self, *, port: int, timeout: float, path: str = "/metrics") -> PodProxyFetch:
        """Return a way to the nodes' pages through the API server's pod proxy."""
        return PodProxyFetch(self._client, port, timeout, path)

    async def review(self, token: str) -> Verdict:
        """Return what is known of a bearer token; raises `Unavailable` where nobody can say."""
        return await reviews.review(self._client, token, seconds=self._timing.review_seconds)

    def proxy_fetch_at(self, place: Place) -> PodProxyFetch:
        """Return a way to a place on the nodes through the API server's pod proxy."""
        return PodProxyFetch(self._client, place.port, place.seconds, place.path, place.limit)

    def state_changed(self, state: SourceState) -> None:
        """Tell that a source went up or down."""
        self._on_change(state.source, state)
        self._tell()

    def knowledge_changed(self) -> None:
        """Have the targets worked out anew when they are next asked for."""
        self._stale = True
        self._tell()

    def reached(self, source: str) -> None:
        """Have the other sources asked again too, which failed while the API server was away."""
        for collection in self._collections():
            if collection.state.source != source:
                collection.hurry()

    def watch_opened(self, source: str) -> None:
        """Ask for the server's version, which may be another after each interruption."""
        if source == self._pods.state.source:
            self._ask_version.set()

    def _collections(self) -> tuple[_AnyCollection, ...]:
        own = self._eniconfigs, self._cninodes
        return self._pods, self._nodes, self._daemonset, self._host_pods, *own

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _keep_version(self) -> None:
        while True:
            await self._ask_version.wait()
            self._ask_version.clear()
            try:
                body = await self._client.get("/version", {}, seconds=self._timing.request_seconds)
                with well_formed():
                    version = msgspec.json.decode(body, type=_ServerVersion).git_version
            except Unavailable:
                continue  # Asked again with the next watch; nothing depends on it.
            if version != self._version:
                self._version = version
                self.knowledge_changed()

    def _known(self) -> bool:
        asked = all(collection.asked for collection in self._collections())
        return asked and self._pods.objects is not None

    def _discover(self) -> Discovery:
        pods = (self._pods.objects or {}).values()
        nodes = self._nodes.objects
        daemonset = next(iter((self._daemonset.objects or {}).values()), None)
        host_pods = self._host_pods.objects
        expected = targets(
            None if nodes is None else nodes.values(),
            (it.pod for it in pods),
            daemonset.selector if daemonset else None,
            None if host_pods is None else Counter(host_pods.values()),
            set((self._cninodes.objects or {}).values()),
        )
        names = {target.node.name for target in expected}
        return Discovery(
            targets=expected,
            nodes_known=nodes is not None,
            others=tuple(it.node for it in (nodes or {}).values() if it.node.name not in names),
            eniconfigs={
                # The key of an object without a namespace.
                key.removeprefix("/"): subnet
                for key, subnet in (self._eniconfigs.objects or {}).items()
            },
            settings=daemonset.settings if daemonset else {},
            identity=Identity(
                cluster=_agreed(it.pod.env.get("CLUSTER_NAME", "") for it in pods),
                region=_usual(it.node.region for it in (nodes or {}).values())
                or _usual(it.image_region for it in pods),
                kubernetes_version=self._version,
            ),
        )


def _agreed(values: Iterable[str]) -> str:
    """Return the one value that all that are not empty have, if it is one."""
    distinct = set(values) - {""}
    return distinct.pop() if len(distinct) == 1 else ""


def _usual(values: Iterable[str]) -> str:
    """Return the most frequent value that is not empty, the smaller one of two as frequent."""
    counts = Counter(value for value in values if value)
    return min(counts, key=lambda value: (-counts[value], value), default="")
