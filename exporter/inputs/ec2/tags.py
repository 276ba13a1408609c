"""Which tags of subnets and ENIs are kept: those that mean something to Kubernetes or the CNI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_KEYS = frozenset({"Name", "cluster.k8s.amazonaws.com/name", "elbv2.k8s.aws/cluster"})
_PREFIXES = (
    "node.k8s.amazonaws.com/",
    "kubernetes.io/cluster/",
    "kubernetes.io/role/",
    "cni.networking.k8s.aws/cluster/",
    "vpcresources.k8s.aws/",
    # eks:eni:owner and the names that EKS has for a cluster's tag.
    "eks:",
    "aws:eks:",
)


def is_kept(key: str) -> bool:
    """Whether a tag with this key is of use to the core."""
    return key in _KEYS or key.startswith(_PREFIXES)


def kept(tags: list[dict[str, Any]]) -> Mapping[str, str]:
    """Return the tags worth keeping, of those in an answer that boto3 has parsed."""
    return {tag["Key"]: tag.get("Value", "") for tag in tags if is_kept(tag["Key"])}
