"""Which ENIs the CNI has made and nobody uses: by their marks in EC2, and how old they are."""

from collections.abc import Container
from datetime import datetime
from enum import StrEnum

from exporter.sim.vpc import Eni

LEAKED_SECONDS = 600
_INSTANCE = "node.k8s.amazonaws.com/instance_id"
CREATED = "node.k8s.amazonaws.com/createdAt"
_CLUSTER, _OWNED = "cluster.k8s.amazonaws.com/name", "kubernetes.io/cluster/"
_MAKER = "eks:eni:owner"
_MAKERS = frozenset({"amazon-vpc-cni", "eks-vpc-resource-controller"})


class Abandoned(StrEnum):
    """Whose an ENI was that nothing is attached to."""

    THIS_CLUSTER = "this_cluster"
    UNKNOWN = "unknown"


def abandoned(eni: Eni, *, cluster: str, instances: Container[str]) -> Abandoned | None:
    """Return whose an available ENI is if the CNI or the EKS controller made it, at any age."""
    if eni.status != "available":
        return None
    named = cluster_of(eni)
    by_cni = eni.description.startswith("aws-K8S-") and _INSTANCE in eni.tags
    by_controller = bool(named) and eni.tags.get(_MAKER) in _MAKERS
    if not (by_cni or by_controller):
        return None
    if named:
        return Abandoned.THIS_CLUSTER if named == cluster else None
    ours = eni.tags[_INSTANCE] in instances
    return Abandoned.THIS_CLUSTER if ours else Abandoned.UNKNOWN


def cluster_of(eni: Eni) -> str:
    """Return the cluster that an ENI is tagged for, or nothing."""
    owned = (key.removeprefix(_OWNED) for key in eni.tags if key.startswith(_OWNED))
    return eni.tags.get(_CLUSTER) or next(owned, "")


def age(eni: Eni, *, now: float, since: float) -> float:
    """Return how old an ENI is by its tag, or since a reader who came at `since` first saw it."""
    created = _created(eni)
    return now - (max(eni.created_at, since) if created is None else created)


def _created(eni: Eni) -> float | None:
    try:
        return datetime.fromisoformat(eni.tags[CREATED]).timestamp()
    except (KeyError, ValueError):
        return None
