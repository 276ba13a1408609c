"""The kinds of objects that discovery watches: where they are asked for, and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

import msgspec

from exporter.core.targets import LabelledNode
from exporter.inputs.kube.custom_resources import (
    CniNodeObject,
    EniConfigObject,
    eniconfig_subnet,
    trunk_node,
)
from exporter.inputs.kube.decoding import (
    AwsNode,
    DaemonSet,
    DaemonSetObject,
    HostPodObject,
    Meta,
    NodeObject,
    PodObject,
    Sharing,
    aws_node,
    daemon_set,
    host_pod,
    labelled_node,
)
from exporter.inputs.kube.errors import well_formed

APP = "aws-node"

T = TypeVar("T")
_Object = TypeVar("_Object", bound="_HasMetadata")


class _HasMetadata(Protocol):
    @property
    def metadata(self) -> Meta: ...


@dataclass(frozen=True, slots=True)
class Route:
    """Where a kind is listed and watched, and the name of the source it is.

    A cluster need not know an `optional` kind, and then has no objects of it.
    """

    source: str
    path: str
    params: Mapping[str, str]
    required: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; a value of None is an object that does not count."""

    version: str
    following: str
    entries: tuple[tuple[str, T | None], ...]


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One kind of object: where it is asked for, and how pages and single objects are decoded."""

    route: Route
    page: Callable[[bytes], Page[T]]
    entry: Callable[[msgspec.Raw], tuple[str, T | None]]


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    following: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct, Generic[_Object]):
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)
    items: list[_Object] | None = None


def aws_node_pods(namespace: str, share: Sharing) -> Kind[AwsNode]:
    """Return the pods that are read."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    return _kind(
        Route("kubernetes", path, {"labelSelector": f"k8s-app={APP}"}, required=True),
        msgspec.json.Decoder(_List[PodObject]),
        msgspec.json.Decoder(PodObject),
        partial(aws_node, share=share),
    )


def nodes(share: Sharing) -> Kind[LabelledNode]:
    """Return the nodes."""
    return _kind(
        Route("nodes", "/api/v1/nodes", {}),
        msgspec.json.Decoder(_List[NodeObject]),
        msgspec.json.Decoder(NodeObject),
        partial(labelled_node, share=share),
    )


def daemonset(namespace: str) -> Kind[DaemonSet]:
    """Return the DaemonSet that says which nodes are expected, and how the CNI is set."""
    path = f"/apis/apps/v1/namespaces/{namespace}/daemonsets"
    return _kind(
        Route("daemonsets", path, {"fieldSelector": f"metadata.name={APP}"}),
        msgspec.json.Decoder(_List[DaemonSetObject]),
        msgspec.json.Decoder(DaemonSetObject),
        daemon_set,
    )


def host_network_pods() -> Kind[str]:
    """Return the pods of all namespaces that share their node's address."""
    return _kind(
        Route("pods", "/api/v1/pods", {"fieldSelector": "spec.hostNetwork=true"}),
        msgspec.json.Decoder(_List[HostPodObject]),
        msgspec.json.Decoder(HostPodObject),
        host_pod,
    )


def eniconfigs() -> Kind[str]:
    """Return the subnets that ENIConfigs name, of which not every cluster knows."""
    path = "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs"
    return _kind(
        Route("eniconfigs", path, {}, optional=True),
        msgspec.json.Decoder(_List[EniConfigObject]),
        msgspec.json.Decoder(EniConfigObject),
        eniconfig_subnet,
    )


def cninodes() -> Kind[str]:
    """Return the nodes that are to have a trunk ENI, by CNINodes; not every cluster knows these."""
    path = "/apis/vpcresources.k8s.aws/v1alpha1/cninodes"
    return _kind(
        Route("cninodes", path, {}, optional=True),
        msgspec.json.Decoder(_List[CniNodeObject]),
        msgspec.json.Decoder(CniNodeObject),
        trunk_node,
    )


def _kind(
    route: Route,
    many: msgspec.json.Decoder[_List[_Object]],
    one: msgspec.json.Decoder[_Object],
    value: Callable[[_Object], T | None],
) -> Kind[T]:
    def page(body: bytes) -> Page[T]:
        with well_formed():
            it = many.decode(body)
            entries = tuple((_key(item.metadata), value(item)) for item in it.items or ())
        return Page(it.metadata.resource_version, it.metadata.following, entries)

    def entry(body: msgspec.Raw) -> tuple[str, T | None]:
        with well_formed():
            item = one.decode(body)
            return _key(item.metadata), value(item)

    return Kind(route, page, entry)


def _key(metadata: Meta) -> str:
    return f"{metadata.namespace}/{metadata.name}"
