"""One plain function per domain type, with defaults that describe a healthy node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from exporter.core.counters import Series, index_of
from exporter.core.eks import (
    ADDON_ISSUES,
    CLUSTER_ISSUES,
    Addon,
    EksCluster,
    EksReport,
    counted,
)
from exporter.core.introspection import Introspection, IpamdEni
from exporter.core.model import (
    ControlPlane,
    Counts,
    Discovery,
    Ec2Facts,
    Identity,
    InstanceType,
    Node,
    Outcome,
    Pod,
    Read,
    Reading,
    Reason,
    Snapshot,
    Subnet,
    SubnetRoom,
    Target,
    Unread,
)
from exporter.core.node_enis import NodeEni
from exporter.core.owners import ENI_OWNERS, LeakOwner, Use
from exporter.core.prefixes import BlockState
from exporter.core.report import Memory, Report, step
from exporter.core.subnets import Role, SubnetUsage

NOW = 1_787_200_000.0
# Long before any poll of a test.
LONG_AGO = NOW - 86_400.0


def node(
    name: str = "node-1",
    *,
    created: float | None = LONG_AGO,
    instance_id: str = "i-1",
    instance_type: str = "m5.large",
    zone: str = "eu-west-1a",
    region: str = "eu-west-1",
    nodegroup: str = "blue",
    max_pods: int | None = 29,
    pod_eni_capacity: int | None = None,
    fargate: bool = False,
    addresses: tuple[str, ...] | None = ("10.0.0.1",),
) -> Node:
    return Node(
        name=name,
        created=created,
        instance_id=instance_id,
        instance_type=instance_type,
        zone=zone,
        region=region,
        nodegroup=nodegroup,
        max_pods=max_pods,
        pod_eni_capacity=pod_eni_capacity,
        fargate=fargate,
        addresses=addresses,
    )


def pod(
    uid: str = "pod-1",
    *,
    node: str = "node-1",
    ip: str = "10.0.0.1",
    host_network: bool = True,
    pending: bool = False,
    terminating: bool = False,
    created: float = LONG_AGO,
    cni_version: str = "v1.19.2",
    env: Mapping[str, str] | None = None,
) -> Pod:
    return Pod(
        uid=uid,
        name=f"aws-node-{uid}",
        namespace="kube-system",
        node=node,
        ip=ip,
        host_network=host_network,
        pending=pending,
        terminating=terminating,
        created=created,
        cni_version=cni_version,
        env=env or {},
    )


def target(
    on: Node | str = "node-1", runs: Pod | None = None, host_network_pods: int | None = 2
) -> Target:
    """A node, by itself or by name, with an aws-node pod that is named after it."""
    where = node(on) if isinstance(on, str) else on
    return Target(where, runs or pod(f"uid-{where.name}", node=where.name), host_network_pods)


def counts(values: Mapping[Series, float]) -> Counts:
    indexed = sorted((index_of(it.family, it.values), value) for it, value in values.items())
    return Counts(tuple(i for i, _ in indexed), tuple(value for _, value in indexed))


def reading(
    *,
    time: float = NOW,
    started: float | None = LONG_AGO,
    assigned: int = 5,
    attached: int = 18,
    enis: int = 2,
    eni_max: int = 3,
    ip_max: int = 27,
    prefixes: int = 0,
    assigned_by_eni: tuple[tuple[str, int], ...] = (),
    actions: int = 0,
    said: Mapping[Series, float] | None = None,
    introspection: Introspection | None = None,
) -> Reading:
    return Reading(
        time=time,
        started=started,
        assigned=assigned,
        attached=attached,
        enis=enis,
        eni_max=eni_max,
        ip_max=ip_max,
        prefixes=prefixes,
        assigned_by_eni=assigned_by_eni,
        actions=actions,
        counts=counts(said or {}),
        introspection=introspection,
    )


def books(
    *enis: IpamdEni, time: float = NOW, eniconfig: str = "", carried: bool = False
) -> Introspection:
    """What introspection said of these ENIs."""
    return Introspection(time=time, enis=enis, eniconfig=eniconfig, carried=carried)


def held(id: str = "eni-1", **what: Any) -> IpamdEni:
    """An ENI in the books with ten addresses, four of them assigned and one in cooldown."""
    return IpamdEni(**{"id": id, "attached": 10, "assigned": 4, "cooldown": 1, **what})


def read(where: Target | str = "node-1", what: Reading | None = None) -> Read:
    return Read(target(where) if isinstance(where, str) else where, what or reading())


def unread(
    where: Target | str = "node-1", reason: Reason = Reason.TIMEOUT, detail: str = ""
) -> Unread:
    return Unread(target(where) if isinstance(where, str) else where, reason, detail)


def snapshot(
    *outcomes: Outcome,
    time: float = NOW,
    nodes_known: bool = True,
    identity: Identity | None = None,
    others: tuple[Node, ...] = (),
    eniconfigs: Mapping[str, str] | None = None,
    subnets: Mapping[str, str] | None = None,
    pod_enis: Mapping[str, int] | None = None,
    ec2_drifts: Mapping[str, int] | None = None,
    rooms: Iterable[SubnetRoom] = (),
    types: Iterable[InstanceType] = (),
    settings: Mapping[str, str] | None = None,
    node_enis: Mapping[str, tuple[NodeEni, ...]] | None = None,
) -> Snapshot:
    discovery = Discovery(
        tuple(outcome.target for outcome in outcomes),
        nodes_known,
        identity or Identity(),
        others,
        eniconfigs or {},
        settings or {},
    )
    told = Ec2Facts(
        homes=subnets or {},
        types={it.name: it for it in types},
        rooms={it.subnet.id: it for it in rooms},
        pod_enis=pod_enis,
        drifts=ec2_drifts or {},
        node_enis=node_enis or {},
    )
    return Snapshot(time, discovery, outcomes, told)


def report(
    *outcomes: Outcome,
    nodes_known: bool = True,
    identity: Identity | None = None,
    subnets: Mapping[str, str] | None = None,
    rooms: Iterable[SubnetRoom] = (),
) -> Report:
    """What the first snapshot of these outcomes comes to."""
    shot = snapshot(
        *outcomes, nodes_known=nodes_known, identity=identity, subnets=subnets, rooms=rooms
    )
    return step(Memory(), shot)[1]


def without_enis(
    id: str = "subnet-b", *, name: str = "", free: int = 10, roles: tuple[Role, ...] = ()
) -> SubnetUsage:
    """A small subnet whose ENIs could not all be read."""
    subnet = Subnet(
        id=id,
        vpc_id="vpc-1",
        zone="eu-west-1b",
        zone_id="euw1-az2",
        cidr="10.0.1.0/26",
        available=free,
        name=name,
    )
    return SubnetUsage(subnet=subnet, size=64, free=free, utilization=1 - free / 59, roles=roles)


def subnet_usage(id: str = "subnet-a", *, name: str = "pods-a", free: int = 151) -> SubnetUsage:
    """A subnet with nodes and others in it, whose every address is accounted for."""
    subnet = Subnet(
        id=id,
        vpc_id="vpc-1",
        zone="eu-west-1a",
        zone_id="euw1-az1",
        cidr="10.0.0.0/24",
        available=free,
        name=name,
    )
    uses = {
        Use.FREE: free,
        Use.PREFIX_RESERVED_FREE: 16,
        Use.AWS_RESERVED: 5,
        Use.NODE_PRIMARY: 4,
        Use.POD_ASSIGNED: 191 - free,
        Use.POD_WARM: 20,
        Use.POD_COOLDOWN: 2,
        Use.LEAKED: 10,
        Use.EKS_CONTROL_PLANE: 2,
        Use.LOAD_BALANCER: 3,
        Use.UNATTRIBUTED: 3,
    }
    blocks = {
        BlockState.FREE: 6,
        BlockState.FREE_RESERVED: 1,
        BlockState.DELEGATED: 2,
        BlockState.FRAGMENTED: 5,
        BlockState.FULL: 2,
    }
    enis = {
        Use.NODE_PRIMARY: 4,
        Use.LEAKED: 1,
        Use.EKS_CONTROL_PLANE: 2,
        Use.LOAD_BALANCER: 3,
    }
    return SubnetUsage(
        subnet=subnet,
        size=256,
        free=free,
        utilization=1 - (free + 16) / 251,
        roles=(Role.NODE, Role.POD, Role.CONTROL_PLANE),
        uses={use: uses.get(use, 0) for use in Use},
        residue=3,
        blocks={state: blocks.get(state, 0) for state in BlockState},
        fragmentation=31 / 143,
        enis={use: enis.get(use, 0) for use in ENI_OWNERS},
        leaked={LeakOwner.THIS_CLUSTER: 1, LeakOwner.UNKNOWN: 0},
        drains=(),
        node_headroom={"m5.large": 15, "r6i.2xlarge": 4},
    )


def addon(
    name: str = "vpc-cni",
    *issues: str,
    version: str = "v1.19.2-eksbuild.1",
    status: str = "ACTIVE",
    latest: str = "v1.20.4-eksbuild.2",
) -> Addon:
    """An add-on that could be newer."""
    return Addon(
        name=name,
        version=version,
        status=status,
        latest=latest,
        issues=counted(issues, ADDON_ISSUES),
    )


def eks_cluster(
    *issues: str,
    version: str = "1.33",
    platform: str = "eks.14",
    vpc: str = "vpc-1",
    subnets: frozenset[str] = frozenset({"subnet-a", "subnet-b"}),
) -> EksCluster:
    return EksCluster(
        version=version,
        platform=platform,
        control_plane=ControlPlane(vpc, subnets),
        issues=counted(issues, CLUSTER_ISSUES),
    )


def eks_report(*refused: str) -> EksReport:
    """A cluster with a trouble, one add-on that is up to date, and one that is not well."""
    current = addon("coredns", version="v1.11.4-eksbuild.2", latest="v1.11.4-eksbuild.2")
    degraded = addon("vpc-cni", "AccessDenied", "AccessDenied", "Brandnew", status="DEGRADED")
    return EksReport(eks_cluster("Ec2SubnetNotFound"), (degraded, current), refused)
