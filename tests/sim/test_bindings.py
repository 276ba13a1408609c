from __future__ import annotations

from typing import Any

import pytest

from exporter.sim.bindings import rules_of
from exporter.sim.rbac import Ask, Rule
from tests.sim.client import ask, on_loop, small
from tests.sim.test_control import Remote

RULE = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
PODS = frozenset({"pods"}), frozenset({"list"})


def role(kind: str = "Role", namespace: str | None = "kube-system", **rule: Any) -> dict[str, Any]:
    metadata = {"name": "reader", **({"namespace": namespace} if namespace else {})}
    return {"kind": kind, "metadata": metadata, "rules": [{**RULE, **rule}]}


def binding(
    kind: str = "RoleBinding",
    *,
    to: str = "Role",
    name: str = "reader",
    account: str = "exporter",
    namespace: str = "kube-system",
) -> dict[str, Any]:
    metadata = {"name": "any"} | ({"namespace": namespace} if kind == "RoleBinding" else {})
    subject = {"kind": "ServiceAccount", "namespace": "monitoring", "name": account}
    return {
        "kind": kind,
        "metadata": metadata,
        "roleRef": {"kind": to, "name": name},
        "subjects": [subject],
    }


def cluster_role() -> dict[str, Any]:
    return role("ClusterRole", None)


@pytest.mark.parametrize(
    ("manifests", "rules"),
    [
        pytest.param(
            [role(), binding()],
            (Rule(*PODS, "kube-system", frozenset({""})),),
            id="a role in its namespace",
        ),
        pytest.param(
            [cluster_role(), binding("ClusterRoleBinding", to="ClusterRole")],
            (Rule(*PODS, None, frozenset({""})),),
            id="a cluster role in the whole cluster",
        ),
        pytest.param(
            [cluster_role(), binding(to="ClusterRole")],
            (Rule(*PODS, "kube-system", frozenset({""})),),
            id="a cluster role in one namespace",
        ),
        pytest.param(
            [role(resourceNames=["aws-node"]), binding()],
            (Rule(*PODS, "kube-system", frozenset({""}), frozenset({"aws-node"})),),
            id="one object by its name",
        ),
        pytest.param([role()], (), id="a role that nothing binds"),
        pytest.param([binding()], (), id="a binding to no role"),
        pytest.param([role(), binding(account="another")], (), id="another account"),
        pytest.param([role(), binding(name="another")], (), id="another role"),
        pytest.param([role(namespace="a"), binding(namespace="b")], (), id="another namespace"),
        pytest.param([cluster_role(), binding()], (), id="another kind of role"),
        pytest.param(
            [
                {**role(), "rules": [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]},
                binding(),
            ],
            (),
            id="no resources",
        ),
    ],
)
def test_an_account_may_do_what_is_bound_to_it(
    manifests: list[dict[str, Any]], rules: tuple[Rule, ...]
) -> None:
    assert rules_of(manifests, "monitoring", "exporter") == rules


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (Ask("list", "daemonsets", "apps", "kube-system", "aws-node"), True),
        (Ask("list", "daemonsets", "apps", "kube-system", "another"), False),
        (Ask("list", "daemonsets", "apps", "kube-system"), False),
        (Ask("list", "daemonsets", "other", "kube-system", "aws-node"), False),
        (Ask("watch", "daemonsets", "apps", "kube-system", "aws-node"), False),
        (Ask("list", "daemonsets", "apps", "default", "aws-node"), False),
        (Ask("list", "daemonsets", "apps", None, "aws-node"), False),
    ],
)
def test_a_rule_with_group_and_name_allows_these_alone(asked: Ask, allowed: bool) -> None:
    rule = Rule(
        frozenset({"daemonsets"}),
        frozenset({"list"}),
        "kube-system",
        frozenset({"apps"}),
        frozenset({"aws-node"}),
    )
    assert rule.allows(asked) is allowed


@on_loop
async def test_what_is_granted_over_http_holds_at_once_and_replaces_what_was() -> None:
    async with small(1) as sim, Remote(sim) as remote:
        path = "/apis/apps/v1/namespaces/kube-system/daemonsets"
        token = sim.token("granted")

        async def statuses() -> tuple[int, int, int]:
            named = "?fieldSelector=metadata.name%3Daws-node"
            asked = [
                await ask(sim, it, token=token) for it in (path, path + named, f"{path}/aws-node")
            ]
            return asked[0][0], asked[1][0], asked[2][0]

        assert await statuses() == (403, 403, 403)
        verbs = ["get", "list"]
        daemonsets = role(apiGroups=["apps"], resources=["daemonsets"], verbs=verbs)
        daemonsets["rules"][0]["resourceNames"] = ["aws-node"]
        account = {"namespace": "monitoring", "account": "exporter"}
        manifests = [daemonsets, binding()]
        answer = await remote.call("POST", "/grants", manifests=manifests, **account)
        assert answer == (200, {"rules": 1})
        assert await statuses() == (403, 200, 200)
        await remote.call("POST", "/grants", manifests=[], **account)
        assert await statuses() == (403, 403, 403)
