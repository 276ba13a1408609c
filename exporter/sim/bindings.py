"""What roles and bindings, as manifests have them, let a service account do."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from exporter.sim.rbac import Rule

Manifest = Mapping[str, Any]


def rules_of(manifests: Iterable[Manifest], namespace: str, account: str) -> tuple[Rule, ...]:
    """Return the rules that are bound to a service account of a namespace.

    Only what is bound counts, and a role that does not exist gives nothing, as in a cluster.
    """
    objects = list(manifests)
    subject = {"kind": "ServiceAccount", "namespace": namespace, "name": account}
    return tuple(
        rule
        for binding in objects
        if binding["kind"] in {"ClusterRoleBinding", "RoleBinding"}
        and any(subject.items() <= bound.items() for bound in binding.get("subjects", ()))
        for role in _referred(objects, binding)
        for rule in _rules(role, _scope(binding))
    )


def _scope(binding: Manifest) -> str | None:
    """Return the namespace that a binding is for, None for the whole cluster."""
    namespaced = binding["kind"] == "RoleBinding"
    return str(binding["metadata"]["namespace"]) if namespaced else None


def _referred(objects: Iterable[Manifest], binding: Manifest) -> Iterator[Manifest]:
    kind, name = binding["roleRef"]["kind"], binding["roleRef"]["name"]
    for role in objects:
        same = (role["kind"], role["metadata"]["name"]) == (kind, name)
        here = role["metadata"].get("namespace") == binding["metadata"].get("namespace")
        if same and (here or kind == "ClusterRole"):
            yield role


def _rules(role: Manifest, namespace: str | None) -> Iterator[Rule]:
    for rule in role["rules"]:
        if "resources" in rule:
            yield Rule(
                frozenset(rule["resources"]),
                frozenset(rule["verbs"]),
                namespace,
                frozenset(rule["apiGroups"]),
                frozenset(rule.get("resourceNames", ())),
            )
