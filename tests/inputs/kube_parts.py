"""What tests of the door to Kubernetes share: objects, virtual time, a watched collection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from exporter.core.model import Discovery, Identity, Node, Pod, Target
from exporter.core.targets import LabelledNode
from exporter.inputs.kube import Kube, KubeConfig, SourceState, Timing, connect
from exporter.inputs.kube.client import Client
from exporter.inputs.kube.collection import Collection
from exporter.inputs.kube.credentials import Credentials
from exporter.inputs.kube.decoding import Sharing
from exporter.inputs.kube.kinds import Kind, nodes
from tests.inputs.fake_kube import (
    CNINODES,
    DAEMONSETS,
    ENICONFIGS,
    HOST_PODS,
    NODES,
    PODS,
    FakeKube,
    Json,
)

T = TypeVar("T")
Watched = tuple["Collection[LabelledNode]", "Diary"]


def kubeconfig(folder: Path, url: str, user: Json, **cluster: object) -> str:
    """Write a kubeconfig (JSON is YAML), and return its path."""
    it = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": url, **cluster}}],
        "users": [{"name": "test", "user": user}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(it))
    return str(path)


def a_node(name: str = "n1", *, labels: Json | None = None, status: Json | None = None) -> Json:
    """Return a node of the API with as little in it as makes it one."""
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": {}, "status": status or {}}


def a_pod(name: str = "aws-node-1", node: str = "n1", *, phase: str = "Running") -> Json:
    """Return an aws-node pod of the API with as little in it as makes it one."""
    return {
        "metadata": {"name": name, "namespace": "kube-system", "uid": f"uid-{name}"},
        "spec": {"nodeName": node, "hostNetwork": True, "containers": [{"name": "aws-node"}]},
        "status": {"phase": phase, "podIP": "10.0.0.1"},
    }


def a_daemonset(*terms: Json) -> Json:
    """Return the aws-node DaemonSet with these node selector terms, or for every node."""
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    spec = {"affinity": {"nodeAffinity": required}} if terms else {}
    return {
        "metadata": {"name": "aws-node", "namespace": "kube-system"},
        "spec": {"template": {"spec": spec}},
    }


def an_eniconfig(name: str, subnet: object) -> Json:
    """Return an ENIConfig that names a subnet."""
    return {"metadata": {"name": name}, "spec": {"subnet": subnet, "securityGroups": ["sg-1"]}}


def a_cninode(name: str, *features: str) -> Json:
    """Return a CNINode with these features."""
    return {"metadata": {"name": name}, "spec": {"features": [{"name": it} for it in features]}}


class VirtualTime:
    """A clock that only sleeping moves, and dice that always show the longest wait.

    Sleeping takes no time, until there were so many naps; then it lasts until `resume` is set.
    """

    def __init__(self, *, naps: int = 1000) -> None:
        self.now = 1_800_000_000.0
        self.slept: list[float] = []
        self.spent = asyncio.Event()
        self.resume = asyncio.Event()
        self._naps = naps

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        if len(self.slept) >= self._naps:
            self.spent.set()
            await self.resume.wait()
        await asyncio.sleep(0)

    def timing(self, *, request_seconds: float = 5.0, silence_seconds: float = 5.0) -> Timing:
        return Timing(
            clock=lambda: self.now,
            sleep=self.sleep,
            random=lambda: 1.0,
            request_seconds=request_seconds,
            silence_seconds=silence_seconds,
        )


@dataclass
class Diary:
    """What a collection told its listener."""

    states: list[tuple[bool, str]] = field(default_factory=list)
    changes: int = 0
    opened: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def state_changed(self, state: SourceState) -> None:
        self.states.append((state.up, state.reason))
        self._news.set()

    def knowledge_changed(self) -> None:
        self.changes += 1
        self._news.set()

    def reached(self, source: str) -> None:
        assert source == "nodes"

    def watch_opened(self, source: str) -> None:
        assert source == "nodes"
        self.opened += 1
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def collecting(
    fake: FakeKube, folder: Path, timing: Timing, kind: Kind[LabelledNode] | None = None
) -> AsyncIterator[Watched]:
    config = KubeConfig(kubeconfig=kubeconfig(folder, fake.url, {"token": fake.token}))
    client = Client(Credentials(config, timing))
    diary = Diary()
    collection = Collection(client, kind or nodes(Sharing()), timing, diary)
    keeping = asyncio.create_task(collection.keep())
    try:
        yield collection, diary
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await client.close()


def names(collection: Collection[LabelledNode]) -> list[str]:
    return sorted(collection.objects or {})


def decoded(kind: Kind[T], it: Mapping[str, object]) -> T | None:
    """Return the value of an object, which must be the same from a list and from an event."""
    key, value = kind.entry(msgspec.Raw(json.dumps(it).encode()))
    page = kind.page(json.dumps({"metadata": {"resourceVersion": "7"}, "items": [it]}).encode())
    assert page.version == "7"
    assert page.entries == ((key, value),)
    return value


SOURCES = ("kubernetes", "nodes", "daemonsets", "pods", "eniconfigs", "cninodes")
LINUX: Json = {"kubernetes.io/os": "linux", "topology.kubernetes.io/region": "eu-west-1"}
ONLY_LINUX: Json = {
    "matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]
}
VERSION_TEXT = FakeKube().version


def pod(name: str, node: str) -> Pod:
    return Pod(uid=f"uid-{name}", name=name, namespace="kube-system", node=node, ip="10.0.0.1")


def node(name: str) -> Node:
    return Node(name=name, region="eu-west-1", addresses=())


@asynccontextmanager
async def discovering(
    fake: FakeKube, folder: Path, time: VirtualTime | None = None
) -> AsyncIterator[tuple[Kube, list[tuple[str, bool, str]]]]:
    """Give the running door, and what it told of its sources."""
    told: list[tuple[str, bool, str]] = []

    def on_change(source: str, state: SourceState) -> None:
        assert source == state.source
        told.append((source, state.up, state.reason))

    config = KubeConfig(kubeconfig=kubeconfig(folder, fake.url, {"token": fake.token}))
    timing = (time or VirtualTime()).timing()
    async with connect(config, on_change, timing=timing) as kube:
        running = asyncio.create_task(kube.run())
        try:
            yield kube, told
        finally:
            running.cancel()
            async with asyncio.timeout(1):
                await asyncio.gather(running, return_exceptions=True)


async def until(kube: Kube, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await kube.changed()


def all_up(kube: Kube) -> bool:
    return all(it.up for it in kube.sources())


def a_cluster() -> FakeKube:
    """Return two selected nodes, one with a pod and a trunk, and one that is not selected."""
    fake = FakeKube()
    fake.put(NODES, a_node("n1", labels=LINUX), a_node("n2", labels=LINUX), a_node("windows"))
    fake.put(PODS, a_pod("aws-node-1", "n1"))
    fake.put(DAEMONSETS, a_daemonset(ONLY_LINUX))
    fake.put(HOST_PODS, a_pod("aws-node-1", "n1"), a_pod("kube-proxy-1", "n1"))
    fake.put(ENICONFIGS, an_eniconfig("eu-west-1a", "subnet-1"))
    fake.put(CNINODES, a_cninode("n1", "SecurityGroupsForPods"), a_cninode("n2"))
    return fake


WHOLE = Discovery(
    targets=(
        Target(node("n1"), pod("aws-node-1", "n1"), 2, trunk=True),
        Target(node("n2"), None, 0),
    ),
    nodes_known=True,
    identity=Identity(region="eu-west-1", kubernetes_version=VERSION_TEXT),
    others=(Node(name="windows", addresses=()),),
    eniconfigs={"eu-west-1a": "subnet-1"},
)
