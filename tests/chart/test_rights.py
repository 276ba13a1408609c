"""The chart's roles are enough and not more: each right taken away costs what the table says."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exporter.core.health import Source
from exporter.sim.kube_api import RESOURCES
from tests.chart.helm import ROOT, Manifest, of_kind, render
from tests.e2e.world import (
    Daemon,
    Simulation,
    daemon,
    differences,
    eventually,
    expected,
    key,
    published,
    simulation,
)
from tests.tables import code, table

pytestmark = pytest.mark.real

UP = "vpc_cni_exporter_source_up"
DIRECT: Mapping[str, Any] = {}
OWN_PODS = {"rbac": {"hostNetworkPods": False}}
PROXY = {"config": {"scrape_via": "apiserver"}}
TOKENS = {"config": {"token_auth": True}}


@dataclass(frozen=True, slots=True)
class Right:
    """What one row of the table of rights tells."""

    verbs: tuple[str, ...]
    resource: str
    names: tuple[str, ...]
    cluster: bool
    sources: tuple[str, ...] = ()


def told() -> list[Right]:
    """Return the rights that docs/INSTALL.md tells of."""
    found = []
    for row in table(ROOT / "docs" / "INSTALL.md", "right"):
        verbs = tuple(row["right"].partition("`")[0].strip().split(", "))
        resource, *names = code(row["right"])
        sources = tuple(code(row["source that is down"]))
        found.append(Right(verbs, resource, tuple(names), row["where"] == "cluster", sources))
    return found


def granted(manifests: Sequence[Manifest]) -> Iterator[Right]:
    """Yield the rights in the rendered roles that are the exporter's own."""
    own = ("example-vpc-cni-exporter", "ClusterRole"), ("example-vpc-cni-exporter", "Role")
    for role in manifests:
        for rule in role["rules"] if (role["metadata"]["name"], role["kind"]) in own else ():
            (group,), (resource,) = rule["apiGroups"], rule["resources"]
            name = f"{resource}.{group}" if group else resource
            names = tuple(rule.get("resourceNames", ()))
            yield Right(tuple(rule["verbs"]), name, names, role["kind"] == "ClusterRole")


def grant(sim: Simulation, manifests: Sequence[Manifest]) -> None:
    account = of_kind(manifests, "ServiceAccount")["metadata"]
    roles = [it for it in manifests if it["apiVersion"].startswith("rbac.")]
    subject = {"namespace": account["namespace"], "account": account["name"]}
    assert sim.control("/grants", {"manifests": roles, **subject})["rules"] > 0


def without(manifests: Sequence[Manifest], right: Right, verb: str) -> list[Manifest]:
    """Return the manifests with one verb of one right taken away."""
    left = copy.deepcopy(list(manifests))
    role = of_kind(left, "ClusterRole" if right.cluster else "Role")
    plural = right.resource.partition(".")[0]
    (rule,) = (it for it in role["rules"] if it["resources"] == [plural])
    rule["verbs"].remove(verb)
    return left


def ups(exporter: Daemon) -> dict[str, float]:
    return {
        dict(labels)["source"]: value
        for (name, labels), value in exporter.scrape().items()
        if name == UP
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Simulation]]:
    folder = tmp_path_factory.mktemp("rights")
    with simulation(folder, "--nodes", "6", "--profile", "granted") as sim:
        yield folder, sim


def settings(values: Mapping[str, Any]) -> dict[str, str]:
    return {f"EXPORTER_{name.upper()}": it for name, it in values.get("config", {}).items()}


def test_the_table_tells_of_every_right_that_is_granted_and_of_no_other() -> None:
    rendered = [
        right for values in (DIRECT, OWN_PODS, PROXY, TOKENS) for right in granted(render(values))
    ]
    by_table = {Right(it.verbs, it.resource, it.names, it.cluster) for it in told()}
    assert set(rendered) == by_table


def test_reviews_are_asked_for_only_where_tokens_are_let_in() -> None:
    roles = [it for it in render(TOKENS) if it["kind"] == "ClusterRole"]
    more = [rule for role in roles for rule in role["rules"]]
    plain = of_kind(render(DIRECT), "ClusterRole")["rules"]
    assert [it for it in more if it not in plain] == [
        {
            "apiGroups": ["authentication.k8s.io"],
            "resources": ["tokenreviews"],
            "verbs": ["create"],
        },
        {
            "apiGroups": ["authorization.k8s.io"],
            "resources": ["subjectaccessreviews"],
            "verbs": ["create"],
        },
        {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
    ]


def test_the_roles_are_in_aws_nodes_namespace_and_bound_to_the_one_account() -> None:
    config = {"config": {"namespace": "networking"}}
    manifests = render(config, "--namespace", "monitoring")
    role, binding = of_kind(manifests, "Role"), of_kind(manifests, "RoleBinding")
    assert {role["metadata"]["namespace"], binding["metadata"]["namespace"]} == {"networking"}
    subject = {
        "kind": "ServiceAccount",
        "name": "example-vpc-cni-exporter",
        "namespace": "monitoring",
    }
    bindings = (binding, of_kind(manifests, "ClusterRoleBinding"))
    assert [it["subjects"] for it in bindings] == [[subject], [subject]]


@pytest.mark.parametrize(
    ("values", "down"),
    [
        pytest.param(DIRECT, set(), id="directly"),
        pytest.param(PROXY, set(), id="through the API server"),
        pytest.param(OWN_PODS, {"pods"}, id="without other namespaces' pods"),
    ],
)
def test_with_what_is_granted_every_figure_is_the_truth(
    values: Mapping[str, Any], down: set[str], world: tuple[Path, Simulation]
) -> None:
    folder, sim = world
    grant(sim, render(values))
    with daemon(folder, sim, **settings(values)) as exporter:
        samples = exporter.cycle_after(sim.truth()["advanced_at"])
        truth = expected(sim.truth())
        if not down:
            assert differences(truth, published(samples)) == []
        states = ups(exporter)
        assert {source for source, up in states.items() if not up} == down
        assert samples[key("vpc_cni_cluster_nodes", state="read")] == 6


def asked_for(right: Right) -> bool:
    """Whether this exporter asks the simulated API for what the right is on.

    A chart may be newer than its exporter; and reviews are asked for only where somebody comes with
    a token, which is the guard's own test.
    """
    plural = right.resource.replace("/", ".").partition(".")[0]
    return plural in RESOURCES and {*right.sources} <= {*Source}


def taken_away() -> Iterator[Any]:
    for right in told():
        if not asked_for(right):
            continue
        if right.resource == "pods/proxy":
            values: Mapping[str, Any] = PROXY
        else:
            values = OWN_PODS if right.resource == "pods" and not right.cluster else DIRECT
        where = "cluster" if right.cluster else "namespace"
        for verb in right.verbs:
            case = f"{verb} {right.resource} in the {where}"
            yield pytest.param(values, right, verb, id=case)


@pytest.mark.parametrize(("values", "right", "verb"), list(taken_away()))
def test_a_right_taken_away_takes_its_sources_down_and_says_so(
    values: Mapping[str, Any], right: Right, verb: str, world: tuple[Path, Simulation]
) -> None:
    folder, sim = world
    grant(sim, without(render(values), right, verb))
    always_down = {"pods"} if values == OWN_PODS else set()
    with daemon(folder, sim, **settings(values)) as exporter:

        def messages(source: str) -> list[str]:
            # What is read through the API server is told node by node.
            beginning = "node is not read" if source == "ipamd" else "source is down"
            lines = exporter.logged(beginning)
            return [line["message"] for line in lines if line.get("source", "ipamd") == source]

        def only_these() -> bool:
            down = {source for source, up in ups(exporter).items() if not up}
            # Without the aws-node pods there is nothing to read.
            nothing = {"ipamd"} if "kubernetes" in right.sources else set()
            told = all(messages(source) for source in right.sources)
            return told and down - nothing == set(right.sources) | always_down

        eventually(only_these, f"exactly {right.sources} are down, and told")
        words = f'cannot {verb} resource "{right.resource.partition(".")[0]}"'
        for source in right.sources:
            refused = [it for it in messages(source) if words in it]
            assert refused
            # Once for each source, or for each node.
            assert len(refused) == 1 or source == "ipamd"
