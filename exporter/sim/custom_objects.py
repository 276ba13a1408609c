"""Builds the objects of the CNI's own kinds as a real cluster's API shows them."""

import random
from collections.abc import Mapping

from exporter.sim.objects import seeded_uid
from exporter.sim.store import Object

ENI_CONFIG_API = "crd.k8s.amazonaws.com/v1alpha1"
CNI_NODE_API = "vpcresources.k8s.aws/v1alpha1"


def eni_config(name: str, subnet: str) -> Object:
    """Return an ENIConfig; its name alone decides its UID."""
    return {
        "metadata": {
            "name": name,
            "uid": seeded_uid(random.Random(f"eniconfig/{name}")),
            "creationTimestamp": "2026-01-12T08:00:00Z",
            "generation": 1,
            "labels": {},
        },
        "spec": {"subnet": subnet, "securityGroups": ["sg-0a1b2c3d4e5f60718"]},
    }


def cni_node(name: str, features: Mapping[str, str]) -> Object:
    """Return a node's CNINode, with what ipamd asks the VPC resource controller for there."""
    listed = [{"name": feature, **({"value": value} if value else {})}
              for feature, value in features.items()]  # fmt: skip
    return {
        "metadata": {
            "name": name,
            "uid": seeded_uid(random.Random(f"cninode/{name}")),
            "creationTimestamp": "2026-01-12T08:00:00Z",
            "generation": 1 + len(listed),
            "labels": {},
            "finalizers": ["networking.k8s.aws/resource-cleanup"],
        },
        "spec": {"features": listed, "tags": {}},
        "status": {},
    }
