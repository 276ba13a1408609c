"""Which nodes are expected, and which aws-node pod answers for each.

Owns the DaemonSet's node selection as Kubernetes defines it, the choice among several pods of one
node, and the node group; where objects come from is the door's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field

from exporter.core.model import Node, Pod, Target
from exporter.core.releases import reached

HOSTNAME_LABEL = "kubernetes.io/hostname"
NODEGROUP_LABELS = (
    "eks.amazonaws.com/nodegroup",
    "karpenter.sh/nodepool",
    "alpha.eksctl.io/nodegroup-name",
)
# Before v1.15 ipamd asked for a trunk by `false` here, kept a slot free for it, and said `true`
# once there was one (reference 5.5).
_TRUNK_LABEL = "vpc.amazonaws.com/has-trunk-attached"
# Where ipamd looks for the name of a node's ENIConfig, and what it takes elsewhere (reference 2.4).
_EXTERNAL_ENICONFIG = "vpc.amazonaws.com/externalEniConfig"
_ENICONFIG = "k8s.amazonaws.com/eniConfig"
_DEFAULT_ENICONFIG = "default"
# aws-node and kube-proxy, as AWS's own max-pods formula has it (reference 4).
ASSUMED_HOST_NETWORK_PODS = 2

_NAME_FIELD = "metadata.name"
# No label value is longer than 63 characters.
_INTEGER = re.compile(r"[+-]?[0-9]{1,63}")
_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class LabelledNode:
    """A node with its labels; the hostname stands apart so that nodes can share one mapping.

    Of `annotations` only those values are kept that could name an ENIConfig, the rest is empty.
    """

    node: Node
    labels: Mapping[str, str] = field(default_factory=dict)
    hostname: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    def label(self, key: str) -> str | None:
        """Return the value of a label, None where the node does not have it."""
        if key == HOSTNAME_LABEL:
            return self.hostname
        return self.labels.get(key)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on a label or a field, with Kubernetes' operator names."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Term:
    """Conditions that must all hold."""

    expressions: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeSelector:
    """Where a DaemonSet's pods may run: its nodeSelector, and its required node affinity if any.

    Of the terms one must hold; `None` is no affinity, and no terms at all select nothing.
    """

    labels: tuple[tuple[str, str], ...] = ()
    terms: tuple[Term, ...] | None = None

    def selects(self, node: LabelledNode) -> bool:
        """Whether the DaemonSet puts a pod on this node."""
        if any(node.label(key) != value for key, value in self.labels):
            return False
        return self.terms is None or any(_term_holds(term, node) for term in self.terms)


def _term_holds(term: Term, node: LabelledNode) -> bool:
    if not term.expressions and not term.fields:
        return False
    return all(_label_matches(it, node.label(it.key)) for it in term.expressions) and all(
        _field_matches(it, node.node.name if it.key == _NAME_FIELD else "") for it in term.fields
    )


def _label_matches(requirement: Requirement, value: str | None) -> bool:
    # A requirement that Kubernetes would not accept makes its term match nothing, NotIn included.
    matches = _LABEL_OPERATORS.get(requirement.operator)
    return matches is not None and matches(value, requirement.values)


def _field_matches(requirement: Requirement, value: str) -> bool:
    # Fields know equality only: one value, In or NotIn.
    if len(requirement.values) != 1 or requirement.operator not in ("In", "NotIn"):
        return False
    return (value == requirement.values[0]) == (requirement.operator == "In")


def _greater(value: str | None, values: tuple[str, ...], sign: int) -> bool:
    if value is None or len(values) != 1:
        return False
    left, right = _integer(value), _integer(values[0])
    return left is not None and right is not None and sign * left > sign * right


def _integer(text: str) -> int | None:
    if not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if -_INT64 <= number < _INT64 else None


_LABEL_OPERATORS: Mapping[str, Callable[[str | None, tuple[str, ...]], bool]] = {
    "In": lambda value, values: value is not None and value in values,
    "NotIn": lambda value, values: bool(values) and value not in values,
    "Exists": lambda value, values: value is not None and not values,
    "DoesNotExist": lambda value, values: value is None and not values,
    "Gt": lambda value, values: _greater(value, values, 1),
    "Lt": lambda value, values: _greater(value, values, -1),
}


def nodegroup(labels: Mapping[str, str]) -> str:
    """Return the node group by the first label that names one, else the empty string."""
    return next((labels[key] for key in NODEGROUP_LABELS if labels.get(key)), "")


def eniconfig(node: LabelledNode, pod: Pod | None) -> str:
    """Return the name of the ENIConfig that ipamd goes by, empty without custom networking."""
    if pod is None or not pod.custom_networking:
        return ""
    external = node.label(_EXTERNAL_ENICONFIG)
    if external is not None and reached(pod.cni_version, 1, 11):
        return external
    annotated = node.annotations.get(pod.env.get("ENI_CONFIG_ANNOTATION_DEF", _ENICONFIG))
    if annotated is not None:
        return annotated
    labelled = node.label(pod.env.get("ENI_CONFIG_LABEL_DEF", _ENICONFIG))
    return _DEFAULT_ENICONFIG if labelled is None else labelled


def targets(
    nodes: Iterable[LabelledNode] | None,
    pods: Iterable[Pod],
    selector: NodeSelector | None,
    host_pods: Mapping[str, int] | None,
    trunks: Container[str] = frozenset(),
) -> tuple[Target, ...]:
    """Return one target per expected node, by node name.

    `nodes`, `selector` and `host_pods` are None where they may not be read; `pods` are those that
    have not finished, and `trunks` the nodes whose CNINode asks for a trunk ENI. A node that does
    not exist is not expected, whatever pods still name it.
    """
    chosen = _pod_by_node(pods)
    known = {it.node.name: it for it in nodes} if nodes is not None else _bare(chosen)
    return tuple(
        Target(
            known[name].node,
            chosen.get(name),
            _host_network_pods(name, host_pods),
            "" if nodes is None else eniconfig(known[name], chosen.get(name)),
            name in trunks or known[name].label(_TRUNK_LABEL) in ("true", "false"),
        )
        for name in sorted(known)
        if _expected(known[name], chosen.get(name), None if nodes is None else selector)
    )


def _pod_by_node(pods: Iterable[Pod]) -> dict[str, Pod]:
    chosen: dict[str, Pod] = {}
    for pod in pods:
        other = chosen.get(pod.node)
        if pod.node and (other is None or _rank(pod) > _rank(other)):
            chosen[pod.node] = pod
    return chosen


def _rank(pod: Pod) -> tuple[bool, float, str]:
    return not pod.terminating, pod.created, pod.name


def _bare(names: Iterable[str]) -> dict[str, LabelledNode]:
    return {name: LabelledNode(Node(name=name)) for name in names}


def _expected(node: LabelledNode, pod: Pod | None, selector: NodeSelector | None) -> bool:
    if selector is None:
        return pod is not None
    return (pod is not None and not pod.terminating) or selector.selects(node)


def _host_network_pods(node: str, counts: Mapping[str, int] | None) -> int:
    return ASSUMED_HOST_NETWORK_PODS if counts is None else counts.get(node, 0)
