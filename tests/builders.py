"""One plain function per domain type, with defaults that describe a healthy node."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.core.counters import Series, index_of
from exporter.core.model import (
    Counts,
    Discovery,
    Identity,
    Node,
    Outcome,
    Pod,
    Read,
    Reading,
    Reason,
    Snapshot,
    Target,
    Unread,
)
from exporter.core.report import Memory, Report, step

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
    offers_pod_eni: bool = False,
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
        offers_pod_eni=offers_pod_eni,
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
    said: Mapping[Series, float] | None = None,
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
        counts=counts(said or {}),
    )


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
) -> Snapshot:
    targets = tuple(outcome.target for outcome in outcomes)
    return Snapshot(time, Discovery(targets, nodes_known, identity or Identity()), outcomes)


def report(
    *outcomes: Outcome, nodes_known: bool = True, identity: Identity | None = None
) -> Report:
    """What the first snapshot of these outcomes comes to."""
    shot = snapshot(*outcomes, nodes_known=nodes_known, identity=identity)
    return step(Memory(), shot)[1]
