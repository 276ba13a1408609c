"""The API server's JSON as the values discovery works with; only fields that are used have names.

What Kubernetes may leave out or set to null has a default, and nothing unknown is an error.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from weakref import WeakValueDictionary

import msgspec

from exporter.core import cni_settings
from exporter.core.model import Node, Pod
from exporter.core.targets import (
    HOSTNAME_LABEL,
    LabelledNode,
    NodeSelector,
    Requirement,
    Term,
    nodegroup,
)

CONTAINER = "aws-node"
FINISHED = ("Succeeded", "Failed")

# Settings that change what addresses mean; user data such as ADDITIONAL_ENI_TAGS stays out.
_SETTING = re.compile(
    r"(AWS_VPC_|WARM_|MINIMUM_|MAX_ENI|ENABLE_|DISABLE_|ANNOTATE_POD_IP).*"
    r"|IP_COOLDOWN_PERIOD|CLUSTER_NAME|VPC_CNI_VERSION|INTROSPECTION_BIND_ADDRESS"
    r"|MANAGE_UNTAGGED_ENI|ENI_CONFIG_(ANNOTATION|LABEL)_DEF"
)
_ECR_HOST = re.compile(r"[0-9]+\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.")
_INSTANCE = re.compile(r"aws:///([^/]*)/(i-[0-9a-z]+)")
# An annotation that could name an object, but never does, and that no two nodes share.
_NODE_IP = "alpha.kubernetes.io/provided-node-ip"
# What Kubernetes accepts as the name of an ENIConfig: a DNS subdomain.
_OBJECT_NAME = re.compile(r"[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?")
_ZONES = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
_REGIONS = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
_TYPES = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")


class _Shared(dict[str, str]):
    __slots__ = ("__weakref__",)


class Sharing:
    """Gives equal mappings as one object, for as long as someone holds it."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[tuple[tuple[str, str], ...], _Shared] = (
            WeakValueDictionary()
        )

    def __call__(self, mapping: Mapping[str, str]) -> Mapping[str, str]:
        """Return the mapping, or one equal to it that is in use already."""
        key = tuple(mapping.items())
        shared = self._known.get(key)
        if shared is None:
            shared = self._known[key] = _Shared(mapping)
        return shared


class Wire(msgspec.Struct, rename="camel", gc=False):
    """A JSON object; a page makes some ten thousand, which the collector need not follow."""


class Meta(Wire):
    """The part of metadata that every kind has."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: str | None = None
    labels: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def created(self) -> float | None:
        """The time of creation in Unix seconds."""
        return self.creation_timestamp.timestamp() if self.creation_timestamp else None


class _Requirement(Wire):
    key: str = ""
    operator: str = ""
    values: list[str] | None = None


class _Term(Wire):
    match_expressions: list[_Requirement] | None = None
    match_fields: list[_Requirement] | None = None


class _Required(Wire):
    node_selector_terms: list[_Term] | None = None


class _NodeAffinity(Wire):
    required_during_scheduling_ignored_during_execution: _Required | None = None


class _Affinity(Wire):
    node_affinity: _NodeAffinity | None = None


class _EnvVar(Wire):
    name: str = ""
    value: str | None = None


class _Container(Wire):
    name: str = ""
    image: str | None = ""
    env: list[_EnvVar] | None = None


class _PodSpec(Wire):
    node_name: str | None = ""
    host_network: bool | None = False
    node_selector: dict[str, str] | None = None
    affinity: _Affinity | None = None
    containers: list[_Container] | None = None


class _PodStatus(Wire):
    phase: str | None = ""
    pod_ip: str | None = msgspec.field(name="podIP", default="")


class PodObject(Wire):
    """An aws-node pod as the API has it."""

    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


class _HostPodSpec(Wire):
    node_name: str | None = ""


class HostPodObject(Wire):
    """A pod on the host's network, of which only the place matters."""

    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: _HostPodSpec = msgspec.field(default_factory=_HostPodSpec)
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


class _PodTemplate(Wire):
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)


class _DaemonSetSpec(Wire):
    template: _PodTemplate = msgspec.field(default_factory=_PodTemplate)


class DaemonSetObject(Wire):
    """A DaemonSet, of which where it runs and how it is set matters."""

    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: _DaemonSetSpec = msgspec.field(default_factory=_DaemonSetSpec)


class _NodeSpec(Wire):
    provider_id: str | None = msgspec.field(name="providerID", default="")


class _Capacity(Wire):
    pods: str | int | None = None
    pod_eni: str | int | None = msgspec.field(name="vpc.amazonaws.com/pod-eni", default=None)


class _Address(Wire):
    type: str = ""
    address: str = ""


class _NodeStatus(Wire):
    capacity: _Capacity | None = None
    addresses: list[_Address] | None = None


class _NodeMeta(Meta):
    annotations: msgspec.Raw = msgspec.Raw(b"null")


class NodeObject(Wire):
    """A node as the API has it."""

    metadata: _NodeMeta = msgspec.field(default_factory=_NodeMeta)
    spec: _NodeSpec = msgspec.field(default_factory=_NodeSpec)
    status: _NodeStatus = msgspec.field(default_factory=_NodeStatus)


@dataclass(frozen=True, slots=True)
class AwsNode:
    """An aws-node pod that has not finished, and the region its image comes from."""

    pod: Pod
    image_region: str = ""


@dataclass(frozen=True, slots=True)
class DaemonSet:
    """Where the DaemonSet's pods may run, and the variables that it gives aws-node."""

    selector: NodeSelector
    settings: Mapping[str, str]


_PAIRS = msgspec.json.Decoder(dict[str, str] | None)
_COMPUTE_TYPE = "eks.amazonaws.com/compute-type"


def labelled_node(it: NodeObject, share: Sharing) -> LabelledNode:
    """Return a node with the labels and annotations that nodes like it share."""
    own = _PAIRS.decode(it.metadata.labels) or {}
    hostname = own.pop(HOSTNAME_LABEL, None)
    if hostname == it.metadata.name:
        hostname = it.metadata.name
    labels = share(own)
    provider = _INSTANCE.fullmatch(it.spec.provider_id or "")
    capacity = it.status.capacity or _Capacity()
    node = Node(
        name=it.metadata.name,
        created=it.metadata.created,
        instance_id=provider[2] if provider else "",
        instance_type=_first(labels, _TYPES),
        zone=_first(labels, _ZONES) or (sys.intern(provider[1]) if provider else ""),
        region=_first(labels, _REGIONS),
        nodegroup=nodegroup(labels),
        max_pods=_whole(capacity.pods),
        pod_eni_capacity=_whole(capacity.pod_eni),
        fargate=labels.get(_COMPUTE_TYPE) == "fargate",
        addresses=tuple(a.address for a in it.status.addresses or () if a.type == "InternalIP"),
    )
    return LabelledNode(node, labels, hostname, share(_annotations(it.metadata.annotations)))


def _annotations(raw: msgspec.Raw) -> dict[str, str]:
    """Every annotation; a value that cannot name an object is left out, so that nodes can share."""
    return {
        key: value if _OBJECT_NAME.fullmatch(value) else ""
        for key, value in (_PAIRS.decode(raw) or {}).items()
        if key != _NODE_IP
    }


def _first(labels: Mapping[str, str], keys: tuple[str, ...]) -> str:
    return next((labels[key] for key in keys if labels.get(key)), "")


def _whole(quantity: str | int | None) -> int | None:
    text = str(quantity)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def daemon_set(it: DaemonSetObject) -> DaemonSet:
    """Return what the DaemonSet says of its pods."""
    spec = it.spec.template.spec
    labels = tuple(sorted((spec.node_selector or {}).items()))
    env = _aws_node(spec).env or ()
    settings = {var.name: var.value for var in env if var.value and var.name in cni_settings.NAMES}
    return DaemonSet(NodeSelector(labels, _terms(spec.affinity)), settings)


def _terms(affinity: _Affinity | None) -> tuple[Term, ...] | None:
    node_affinity = affinity.node_affinity if affinity else None
    required = (
        node_affinity.required_during_scheduling_ignored_during_execution if node_affinity else None
    )
    if required is None:
        return None
    return tuple(
        Term(_requirements(term.match_expressions), _requirements(term.match_fields))
        for term in required.node_selector_terms or ()
    )


def _requirements(them: list[_Requirement] | None) -> tuple[Requirement, ...]:
    return tuple(Requirement(it.key, it.operator, tuple(it.values or ())) for it in them or ())


def aws_node(it: PodObject, share: Sharing) -> AwsNode | None:
    """Return an aws-node pod, None for one that has finished."""
    if it.status.phase in FINISHED:
        return None
    container = _aws_node(it.spec)
    env = _settings(container.env or [])
    image = container.image or ""
    pod = Pod(
        uid=it.metadata.uid,
        name=it.metadata.name,
        namespace=it.metadata.namespace,
        node=it.spec.node_name or _intended_node(it.spec.affinity),
        ip=it.status.pod_ip or "",
        host_network=bool(it.spec.host_network),
        pending=it.status.phase == "Pending" or not it.status.pod_ip,
        terminating=it.metadata.deletion_timestamp is not None,
        created=it.metadata.created or 0.0,
        cni_version=sys.intern(_image_tag(image) or env.get("VPC_CNI_VERSION", "")),
        env=share(env),
    )
    host = _ECR_HOST.match(image)
    return AwsNode(pod, sys.intern(host[1]) if host else "")


def _aws_node(spec: _PodSpec) -> _Container:
    return next((it for it in spec.containers or () if it.name == CONTAINER), _Container())


def _settings(env: list[_EnvVar]) -> dict[str, str]:
    return {it.name: it.value for it in env if it.value and _is_setting(it.name)}


@lru_cache(maxsize=256)
def _is_setting(name: str) -> bool:
    return _SETTING.fullmatch(name) is not None


def _image_tag(image: str) -> str:
    name, _, _ = image.partition("@")
    return name.rpartition("/")[2].partition(":")[2]


def _intended_node(affinity: _Affinity | None) -> str:
    """Return the one node a DaemonSet's pod is made for, before the scheduler binds it."""
    for term in _terms(affinity) or ():
        for field in term.fields:
            if field.key == "metadata.name" and field.operator == "In" and len(field.values) == 1:
                return field.values[0]
    return ""


def host_pod(it: HostPodObject) -> str | None:
    """Return the node whose addresses the pod shares, None for one that holds no place."""
    if it.status.phase in FINISHED or not it.spec.node_name:
        return None
    return sys.intern(it.spec.node_name)
