"""Builds Kubernetes objects as a real cluster's API shows them, with the fields each can be
selected by.

Values come from the simulated nodes and pods; storing and serving the objects is done elsewhere.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from exporter.sim.managed_fields import NODE_FIELDS, POD_FIELDS
from exporter.sim.nodes import AwsNodePod, Kind, Node, Phase
from exporter.sim.store import Object

IMAGE = "602401143452.dkr.ecr.eu-central-1.amazonaws.com/amazon-k8s-cni"
NODE_FIELD_LABELS = frozenset({"metadata.name", "spec.unschedulable"})
POD_FIELD_LABELS = frozenset(
    {
        "metadata.name",
        "metadata.namespace",
        "spec.nodeName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
    }
)
OBJECT_FIELD_LABELS = frozenset({"metadata.name", "metadata.namespace"})

_LABELS = {"k8s-app": "aws-node", "app.kubernetes.io/name": "aws-node"}
_COMPUTE_TYPE = "eks.amazonaws.com/compute-type"
_COMPUTE_TYPES = frozenset({Kind.FARGATE, Kind.AUTO, Kind.HYBRID})


@dataclass(frozen=True, slots=True)
class DaemonSetPlan:
    """What all aws-node pods share."""

    namespace: str
    uid: str
    image_tag: str
    env: Mapping[str, str] = field(default_factory=dict)


def timestamp(moment: float) -> str:
    """Write a time as the API does, in whole seconds."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seeded_uid(rng: random.Random) -> str:
    """Return a UID that the seed alone decides."""
    digits = f"{rng.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def node_labels(node: Node) -> dict[str, str]:
    """Return the labels of a node; what a machine does not say is left out."""
    machine, windows = node.machine, node.machine.kind is Kind.WINDOWS
    compute = machine.kind.value if machine.kind in _COMPUTE_TYPES else ""
    found = {
        "kubernetes.io/os": "windows" if windows else "linux",
        "kubernetes.io/arch": "arm64" if "g." in machine.instance_type else "amd64",
        "kubernetes.io/hostname": node.name,
        "node.kubernetes.io/instance-type": machine.instance_type,
        "topology.kubernetes.io/zone": machine.zone,
        "topology.kubernetes.io/region": machine.zone[:-1],
        machine.group_label: machine.group,
        _COMPUTE_TYPE: compute,
        **machine.labels,
    }
    return {name: value for name, value in found.items() if value}


def node_object(node: Node) -> Object:
    """Return a Node."""
    machine = node.machine
    resources = {
        "cpu": "4",
        "memory": "16070648Ki",
        "ephemeral-storage": "83873772Ki",
        "pods": str(machine.max_pods),
        **({"vpc.amazonaws.com/pod-eni": str(machine.pod_eni)} if machine.pod_eni else {}),
    }
    return {
        "metadata": {
            "name": node.name,
            "uid": node.uid,
            "creationTimestamp": timestamp(node.created),
            "labels": node_labels(node),
            "annotations": {"node.alpha.kubernetes.io/ttl": "0"},
            "managedFields": NODE_FIELDS,
        },
        "spec": {
            "providerID": _provider_id(node),
            **({"unschedulable": True} if node.cordoned else {}),
            "taints": _taints(node),
        },
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": _conditions(node),
            "addresses": [
                {"type": "InternalIP", "address": node.address},
                {"type": "Hostname", "address": node.name},
                {"type": "InternalDNS", "address": node.name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {"kubeletVersion": "v1.33.4-eks-99d6cc0", "operatingSystem": "linux"},
        },
    }


def _provider_id(node: Node) -> str:
    zone = node.machine.zone
    match node.machine.kind:
        case Kind.FARGATE:
            return f"aws:///{zone}/{node.uid[:8]}-fargate/fargate-{node.name}"
        case Kind.HYBRID:
            return f"eks-hybrid:///{zone[:-1]}/sim/mi-{node.instance_id.removeprefix('i-')}"
    return f"aws:///{zone}/{node.instance_id}"


def _taints(node: Node) -> list[dict[str, str]]:
    taints = []
    if node.cordoned:
        taints.append({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"})
    if node.machine.group == "system":
        taints.append({"key": "CriticalAddonsOnly", "value": "true", "effect": "NoSchedule"})
    return taints


def _conditions(node: Node) -> list[dict[str, str]]:
    beat = timestamp(node.created + 300 * (1 + node.heartbeats))
    quiet = ("MemoryPressure", "DiskPressure", "PIDPressure")
    states = (*((name, "False") for name in quiet), ("Ready", "True"))
    return [
        {
            "type": name,
            "status": status,
            "lastHeartbeatTime": beat,
            "lastTransitionTime": timestamp(node.created + 30),
            "reason": f"Kubelet{name}",
        }
        for name, status in states
    ]


def node_fields(node: Node) -> dict[str, str]:
    """Return what a Node can be selected by."""
    return {"metadata.name": node.name, "spec.unschedulable": str(node.cordoned).lower()}


def aws_node_pod(pod: AwsNodePod, node: Node, *, plan: DaemonSetPlan) -> Object:
    """Return an aws-node Pod."""
    meta = _metadata(pod.name, pod.uid, namespace=plan.namespace)
    deletion = {"deletionTimestamp": timestamp(pod.created + 60), "deletionGracePeriodSeconds": 10}
    return {
        "metadata": {
            **meta,
            "generateName": "aws-node-",
            "creationTimestamp": timestamp(pod.created),
            **(deletion if pod.terminating else {}),
            "labels": {**_LABELS, "controller-revision-hash": "7d9fbd5c6b"},
            "ownerReferences": [_owner("aws-node", plan.uid)],
        },
        "spec": {
            **_host_spec(node),
            "containers": [
                _container("aws-node", f"{IMAGE}:{pod.version}", env=_env(plan, node)),
                _container("aws-eks-nodeagent", f"{IMAGE}-network-policy-agent:v1.3.0"),
            ],
        },
        "status": _status(node, phase=pod.phase, address=node.foreign_address or node.address),
    }


def other_pod(app: str, node: Node, *, namespace: str) -> Object:
    """Return another pod that shares its node's address."""
    # A part of the UID would do as well until two nodes have the same.
    name = f"{app}-{node.uid}"
    return {
        "metadata": {
            **_metadata(name, name, namespace=namespace),
            "creationTimestamp": timestamp(node.created),
            "labels": {"k8s-app": app},
            "ownerReferences": [_owner(app, f"owner-of-{app}")],
        },
        "spec": {**_host_spec(node), "containers": [_container(app, f"{app}:v1.33.4")]},
        "status": _status(node, phase=Phase.RUNNING, address=node.address),
    }


def coredns_pod(number: int, node: Node, *, namespace: str) -> Object:
    """Return a pod with an address of its own, as most pods of a cluster are."""
    pod = other_pod(f"coredns-{number}", node, namespace=namespace)
    pod["spec"].pop("hostNetwork")
    pod["status"] = {"phase": "Running", "hostIP": node.address, "podIP": f"100.64.0.{number + 10}"}
    return pod


def pod_fields(pod: Object) -> dict[str, str]:
    """Return what a Pod can be selected by."""
    return {
        "metadata.name": pod["metadata"]["name"],
        "metadata.namespace": pod["metadata"]["namespace"],
        "spec.nodeName": pod["spec"]["nodeName"],
        "spec.hostNetwork": str(pod["spec"].get("hostNetwork", False)).lower(),
        "status.phase": pod["status"]["phase"],
        "status.podIP": pod["status"].get("podIP", ""),
    }


def daemon_set(plan: DaemonSetPlan, nodes: int) -> Object:
    """Return the aws-node DaemonSet."""
    env = [{"name": name, "value": value} for name, value in plan.env.items()]
    return {
        "metadata": {
            **_metadata("aws-node", plan.uid, namespace=plan.namespace),
            "generation": 1,
            "creationTimestamp": "2026-01-12T08:00:00Z",
            "labels": dict(_LABELS),
        },
        "spec": {
            "selector": {"matchLabels": {"k8s-app": "aws-node"}},
            "template": {
                "metadata": {"labels": dict(_LABELS)},
                "spec": {
                    "hostNetwork": True,
                    "affinity": {"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": [_TERM]}}},
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [_container("aws-node", f"{IMAGE}:{plan.image_tag}", env=env)],
                },
            },
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
        },
        "status": {"desiredNumberScheduled": nodes, "currentNumberScheduled": nodes},
    }


_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_TERM = {
    "matchExpressions": [
        {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]},
        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "arm64"]},
        {"key": _COMPUTE_TYPE, "operator": "NotIn", "values": ["fargate", "hybrid", "auto"]},
    ]
}


def _metadata(name: str, uid: str, *, namespace: str) -> Object:
    return {"name": name, "namespace": namespace, "uid": uid, "managedFields": POD_FIELDS}


def _owner(name: str, uid: str) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _host_spec(node: Node) -> Object:
    return {
        "hostNetwork": True,
        "nodeName": node.name,
        "priorityClassName": "system-node-critical",
        "serviceAccountName": "aws-node",
        "tolerations": [{"operator": "Exists"}],
    }


def _container(name: str, image: str, *, env: Sequence[Object] = ()) -> Object:
    return {
        "name": name,
        "image": image,
        "env": list(env),
        "resources": {"requests": {"cpu": "25m"}},
        "securityContext": {"capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}},
        "terminationMessagePath": "/dev/termination-log",
        "imagePullPolicy": "Always",
    }


def _env(plan: DaemonSetPlan, node: Node) -> list[Object]:
    env = {**plan.env, **node.env}
    written: list[Object] = [{"name": name, "value": value} for name, value in env.items()]
    from_field = {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}
    return [*written, {"name": "MY_NODE_NAME", "valueFrom": from_field}]


def _status(node: Node, *, phase: Phase, address: str) -> Object:
    ready = phase is Phase.RUNNING
    # Kubelet reports a pod's address once its containers are being made.
    told = {} if phase is Phase.PENDING else {"podIP": address, "podIPs": [{"ip": address}]}
    return {
        "phase": phase.value,
        "hostIP": node.address,
        "hostIPs": [{"ip": node.address}],
        **told,
        "qosClass": "Burstable",
        "conditions": [
            {"type": kind, "status": str(ready), "lastTransitionTime": timestamp(node.created)}
            for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
        ],
    }
