"""Who an ENI belongs to, by its type, attachment, tags, description and requester.

An ENI that leaked has its marks here; how long it has had them, and what its addresses come to,
is counted in `subnets`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from exporter.core.model import Eni, Reading


class Use(StrEnum):
    """What an address of a subnet is used for; every address has exactly one."""

    FREE = "free"
    PREFIX_RESERVED_FREE = "prefix_reserved_free"
    EXPLICIT_RESERVED = "explicit_reserved"
    AWS_RESERVED = "aws_reserved"
    NODE_PRIMARY = "node_primary"
    POD_ASSIGNED = "pod_assigned"
    POD_WARM = "pod_warm"
    POD_COOLDOWN = "pod_cooldown"
    POD_UNKNOWN = "pod_unknown"
    POD_BRANCH = "pod_branch"
    NODE_UNMANAGED = "node_unmanaged"
    FARGATE = "fargate"
    LEAKED = "leaked"
    EKS_CONTROL_PLANE = "eks_control_plane"
    OTHER_CLUSTER = "other_cluster"
    LOAD_BALANCER = "load_balancer"
    NAT_GATEWAY = "nat_gateway"
    VPC_ENDPOINT = "vpc_endpoint"
    LAMBDA = "lambda"
    DATABASE = "database"
    OTHER = "other"
    UNATTRIBUTED = "unattributed"


# What an ENI as a whole can count as: the use of its primary address.
ENI_OWNERS = (
    Use.NODE_PRIMARY,
    Use.POD_BRANCH,
    Use.NODE_UNMANAGED,
    Use.FARGATE,
    Use.LEAKED,
    Use.EKS_CONTROL_PLANE,
    Use.OTHER_CLUSTER,
    Use.LOAD_BALANCER,
    Use.NAT_GATEWAY,
    Use.VPC_ENDPOINT,
    Use.LAMBDA,
    Use.DATABASE,
    Use.OTHER,
)


class LeakOwner(StrEnum):
    """Whose a leaked ENI is; another cluster's leaks are that cluster's ENIs."""

    THIS_CLUSTER = "this_cluster"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNode:
    """A node of this cluster, and what ipamd there says of IPv4; None where it says nothing.

    `multi_nic` says whether ipamd manages all network cards, None where its settings are not known.
    """

    name: str
    reading: Reading | None = None
    manages_untagged: bool = True
    multi_nic: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """What tells this cluster's ENIs from others'.

    `nodes` are by instance id, those without aws-node included (Windows, Auto Mode); `fargate`
    holds the addresses of its Fargate nodes; `eniconfig_subnets` are what its ENIConfigs name and
    `cluster_subnets` what EKS was given for the control plane.
    """

    cluster: str = ""
    nodes: Mapping[str, ClusterNode] = field(default_factory=dict)
    fargate: frozenset[int] = frozenset()
    eniconfig_subnets: frozenset[str] = frozenset()
    cluster_subnets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an ENI is: the use of its primary address, and the instance it goes with, if any."""

    use: Use
    instance: str = ""
    leak: LeakOwner | None = None


class _Side(StrEnum):
    OURS = "ours"
    THEIRS = "theirs"
    UNKNOWN = "unknown"


# Reference 5.1 and 5.5.
_CNI_DESCRIPTION = "aws-K8S-"
_BRANCH_DESCRIPTION = "aws-k8s-branch-eni"
_INSTANCE_TAG = "node.k8s.amazonaws.com/instance_id"
_NO_MANAGE_TAG = "node.k8s.amazonaws.com/no_manage"
_CLUSTER_KEY = "kubernetes.io/cluster/"
# `eks:eks-cluster-name` is Auto Mode's (Amazon EKS user guide, "Auto Mode cluster IAM role").
_CLUSTER_TAGS = frozenset(
    {
        "aws:eks:cluster-name",
        "cluster.k8s.amazonaws.com/name",
        "eks:cluster-name",
        "eks:eks-cluster-name",
    }
)
_CONTROL_PLANE_DESCRIPTION = "Amazon EKS "

# Types that an instance's ENI can have; others are a service's, named below or `other`.
_NODE_TYPES = frozenset({"interface", "efa", "efa-only", "trunk"})
# EC2 API reference, NetworkInterface; EC2 answers `natGateway` as well as `nat_gateway`.
_TYPES: Mapping[str, Owner] = MappingProxyType(
    {
        "gateway_load_balancer": Owner(Use.LOAD_BALANCER),
        "gateway_load_balancer_endpoint": Owner(Use.VPC_ENDPOINT),
        "lambda": Owner(Use.LAMBDA),
        "load_balancer": Owner(Use.LOAD_BALANCER),
        "natGateway": Owner(Use.NAT_GATEWAY),
        "nat_gateway": Owner(Use.NAT_GATEWAY),
        "network_load_balancer": Owner(Use.LOAD_BALANCER),
        "vpc_endpoint": Owner(Use.VPC_ENDPOINT),
    }
)
# How services describe the ENIs they make, as awslabs/aws-support-tools (subnet-fragmentation) and
# Cloud Custodian know them. Aurora, Neptune and DocumentDB are RDS here; `ES ` is OpenSearch.
_DESCRIPTIONS = (
    ("ELB ", Owner(Use.LOAD_BALANCER)),
    ("Interface for NAT Gateway", Owner(Use.NAT_GATEWAY)),
    ("VPC Endpoint Interface", Owner(Use.VPC_ENDPOINT)),
    ("AWS Lambda VPC ENI", Owner(Use.LAMBDA)),
    ("RDSNetworkInterface", Owner(Use.DATABASE)),
    ("Network interface for DBProxy", Owner(Use.DATABASE)),
    ("ElastiCache", Owner(Use.DATABASE)),
    ("RedshiftNetworkInterface", Owner(Use.DATABASE)),
    ("DMSNetworkInterface", Owner(Use.DATABASE)),
    ("DAX ", Owner(Use.DATABASE)),
    ("ES ", Owner(Use.DATABASE)),
)
_REQUESTERS: Mapping[str, Owner] = MappingProxyType(
    {
        "amazon-elb": Owner(Use.LOAD_BALANCER),
        "amazon-rds": Owner(Use.DATABASE),
        "amazon-elasticache": Owner(Use.DATABASE),
        "amazon-elasticsearch": Owner(Use.DATABASE),
        "amazon-redshift": Owner(Use.DATABASE),
    }
)
_OTHER = Owner(Use.OTHER)
_OTHER_CLUSTER = Owner(Use.OTHER_CLUSTER)
# An instance that tags alone say is this cluster's: the CNI's settings there are not known.
_UNLISTED = ClusterNode(name="")


def cluster_name(enis: Iterable[Eni], nodes: Mapping[str, ClusterNode]) -> str:
    """Return the cluster that the tags on the nodes' ENIs name, empty unless they name just one."""
    names = {name for eni in enis if eni.instance_id in nodes for name in _clusters_named(eni.tags)}
    return names.pop() if len(names) == 1 else ""


def may_be_leaked(eni: Eni) -> bool:
    """Whether an ENI has the marks of a leaked one, its age aside (reference 5.2).

    The tag with the instance's id may be missing: the call that sets it can fail.
    """
    return eni.status == "available" and eni.description.startswith(_CNI_DESCRIPTION)


def classify(eni: Eni, facts: ClusterFacts, *, leaked: bool = False) -> Owner:
    """Return whose an ENI is; `leaked` says that it has had the marks of a leak for long enough."""
    kind = eni.interface_type
    service = _TYPES.get(kind)
    if service is not None:
        return service
    if kind == "branch" or eni.description == _BRANCH_DESCRIPTION:
        return _branch(eni, facts)
    if kind not in _NODE_TYPES:
        return _OTHER
    if eni.instance_id:
        return _attached(eni, facts)
    if kind == "trunk" or eni.description.startswith(_CNI_DESCRIPTION):
        return _detached(eni, facts, leaked)
    return _unattached(eni, facts)


def _branch(eni: Eni, facts: ClusterFacts) -> Owner:
    instance = eni.instance_id or _instance_named(eni)
    side = _side(eni, facts, instance)
    if side is _Side.OURS:
        return Owner(Use.POD_BRANCH, instance)
    return _OTHER_CLUSTER if side is _Side.THEIRS else _OTHER


def _attached(eni: Eni, facts: ClusterFacts) -> Owner:
    instance = eni.instance_id
    node = facts.nodes.get(instance)
    if node is None:
        side = _side(eni, facts, instance)
        if side is not _Side.OURS:
            return _OTHER_CLUSTER if side is _Side.THEIRS else _OTHER
        node = _UNLISTED
    managed = _is_managed(eni, node)
    return Owner(Use.NODE_PRIMARY if managed else Use.NODE_UNMANAGED, instance)


def _is_managed(eni: Eni, node: ClusterNode) -> bool:
    """Whether ipamd manages an ENI of its node (reference 2.2, 5.1)."""
    if is_primary(eni) or eni.interface_type == "trunk":
        return True
    if eni.interface_type == "efa-only" or (eni.network_card > 0 and not _is_on_managed(eni, node)):
        return False
    mark = eni.tags.get(_NO_MANAGE_TAG)
    if mark is not None:
        return mark != "true"
    return node.manages_untagged or eni.tags.get(_INSTANCE_TAG) == eni.instance_id


def _is_on_managed(eni: Eni, node: ClusterNode) -> bool:
    """Whether ipamd manages the further network card that an ENI is on.

    Where its settings are not known, as between two aws-node pods, its own ENI there says so.
    """
    return eni.created is not None if node.multi_nic is None else node.multi_nic


def is_primary(eni: Eni) -> bool:
    """Whether it is its instance's first ENI, which cannot be detached."""
    return eni.device_index == 0 and eni.network_card == 0


def _detached(eni: Eni, facts: ClusterFacts, leaked: bool) -> Owner:
    """Whose an ENI is that a CNI made: on its way to or from an instance, or leaked."""
    instance = _instance_named(eni)
    side = _side(eni, facts, instance)
    if side is _Side.THEIRS:
        return _OTHER_CLUSTER
    if leaked:
        ours = side is _Side.OURS
        return Owner(Use.LEAKED, leak=LeakOwner.THIS_CLUSTER if ours else LeakOwner.UNKNOWN)
    return Owner(Use.NODE_PRIMARY, instance) if side is _Side.OURS else _OTHER


def _unattached(eni: Eni, facts: ClusterFacts) -> Owner:
    """Whose an ENI is that no instance of this account has: a service's, as a rule."""
    description = eni.description
    if description.startswith(_CONTROL_PLANE_DESCRIPTION):
        name = description.removeprefix(_CONTROL_PLANE_DESCRIPTION)
        ours = facts.cluster in ("", name)
        return Owner(Use.EKS_CONTROL_PLANE) if ours else _OTHER_CLUSTER
    if eni.addresses and eni.addresses[0] in facts.fargate:
        return Owner(Use.FARGATE)
    for prefix, owner in _DESCRIPTIONS:
        if description.startswith(prefix):
            return owner
    service = _REQUESTERS.get(eni.requester_id)
    if service is not None:
        return service
    if _side(eni, facts, "") is _Side.THEIRS:
        return _OTHER_CLUSTER
    return Owner(Use.FARGATE) if _says_fargate(eni) else _OTHER


def _says_fargate(eni: Eni) -> bool:
    """Whether an ENI says it is a Fargate pod's.

    AWS documents no mark for one; its maker is a role whose name ends in EKSForFargate (Amazon
    EKS user guide, "Using roles for Fargate profiles"). A task of ECS is described by its ARN.
    """
    said = f"{eni.requester_id} {eni.description}".lower()
    return "fargate" in said and not eni.description.startswith("arn:")


def _instance_named(eni: Eni) -> str:
    """The instance that a CNI made the ENI for: by tag, else by description (reference 5.1)."""
    tagged = eni.tags.get(_INSTANCE_TAG, "")
    if tagged or not eni.description.startswith(_CNI_DESCRIPTION):
        return tagged
    return eni.description.removeprefix(_CNI_DESCRIPTION)


def _side(eni: Eni, facts: ClusterFacts, instance: str) -> _Side:
    """Whose side an ENI is on; its tags tell nothing where this cluster's name is not known."""
    if instance in facts.nodes:
        return _Side.OURS
    if not facts.cluster:
        return _Side.UNKNOWN
    names = tuple(_clusters_named(eni.tags))
    if facts.cluster in names:
        return _Side.OURS
    return _Side.THEIRS if names else _Side.UNKNOWN


def _clusters_named(tags: Mapping[str, str]) -> Iterator[str]:
    for key, value in tags.items():
        if key.startswith(_CLUSTER_KEY):
            yield key.removeprefix(_CLUSTER_KEY)
        elif value and key in _CLUSTER_TAGS:
            yield value
