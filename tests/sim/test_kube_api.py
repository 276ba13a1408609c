import aiohttp
import pytest

from exporter.sim import Simulation
from exporter.sim.nodes import Node
from tests.sim.client import (
    ACCESS_REVIEWS,
    AWS_NODE,
    TOKEN_REVIEWS,
    ask,
    name,
    names,
    on_loop,
    review,
    small,
    told,
    watched,
)

ENI_CONFIGS = "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs"
DAEMONSETS = "/apis/apps/v1/namespaces/kube-system/daemonsets"


@pytest.mark.parametrize(
    ("profile", "allowed"),
    [
        ("full", {"nodes", "pods", "own pods", "daemonset", "ENIConfigs"}),
        ("full_proxy", {"nodes", "pods", "own pods", "daemonset", "proxy", "ENIConfigs"}),
        (
            "full_reviews",
            {"nodes", "pods", "own pods", "daemonset", "ENIConfigs", "tokens", "access"},
        ),
        ("no_token_reviews", {"nodes", "pods", "own pods", "daemonset", "ENIConfigs", "access"}),
        ("no_access_reviews", {"nodes", "pods", "own pods", "daemonset", "ENIConfigs", "tokens"}),
        ("incumbent", {"pods", "own pods", "proxy"}),
        ("no_nodes", {"pods", "own pods", "daemonset", "ENIConfigs"}),
        ("no_daemonsets", {"nodes", "pods", "own pods", "ENIConfigs"}),
        ("own_pods_only", {"nodes", "own pods", "daemonset", "ENIConfigs"}),
        ("nothing", set()),
    ],
)
@on_loop
async def test_a_profile_may_do_exactly_what_its_rules_say(profile: str, allowed: set[str]) -> None:
    async with small(1) as sim:
        (node,) = sim.cluster.expected
        pod = f"{node.pods[0].name}:{sim.ipamd_port}"
        paths = {
            "nodes": "/api/v1/nodes",
            "pods": "/api/v1/pods",
            "own pods": AWS_NODE,
            "daemonset": DAEMONSETS,
            "ENIConfigs": ENI_CONFIGS,
            "proxy": f"{AWS_NODE}/{pod}/proxy/missing",
        }
        token = sim.token(profile)
        statuses = {}
        for what, path in paths.items():
            statuses[what], _ = await _status(sim.api_url + path, token)
        for what, path in {"tokens": TOKEN_REVIEWS, "access": ACCESS_REVIEWS}.items():
            statuses[what] = (await review(sim, path, {}, token=token))[0]
        # The pod answers 404 to this path, so a proxied request is not forbidden, but not found.
        right = {what: 404 if what == "proxy" else 200 for what in paths}
        right |= {"tokens": 201, "access": 201}
        assert statuses == {what: right[what] if what in allowed else 403 for what in right}


async def _status(url: str, token: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as reply:
        return reply.status, await reply.text()


@on_loop
async def test_a_refusal_is_a_status_that_names_verb_resource_and_scope() -> None:
    async with small(1) as sim:
        status, body = await ask(sim, "/api/v1/nodes", token=sim.token("incumbent"))
        assert status == 403
        assert body == {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": 'nodes is forbidden: User "system:serviceaccount:monitoring:incumbent" '
            'cannot list resource "nodes" in API group "" at the cluster scope',
            "reason": "Forbidden",
            "code": 403,
        }
        assert sim.traffic.forbidden == {"nodes": 1}


@on_loop
async def test_a_rotated_token_works_and_the_old_one_is_unknown() -> None:
    async with small(1) as sim:
        old = sim.token("full")
        new = sim.rotate("full")
        before, refused = await ask(sim, "/version", token=old)
        after, version = await ask(sim, "/version", token=new)
        assert (before, refused["reason"], after) == (401, "Unauthorized", 200)
        assert version["gitVersion"].startswith("v1.33")
        assert sim.traffic.unauthorized == 1


@on_loop
async def test_a_list_in_pages_is_whole_and_of_one_version() -> None:
    async with small(5) as sim:
        seen, versions, token = [], set(), ""
        while True:
            status, body = await ask(sim, "/api/v1/nodes", limit="3", **{"continue": token})
            assert (status, body["kind"]) == (200, "NodeList")
            seen += names(body)
            versions.add(body["metadata"]["resourceVersion"])
            token = body["metadata"].get("continue", "")
            if not token:
                break
            await sim.event("remove_node", [name(sim)])
        assert (len(seen), seen == sorted(seen), len(versions)) == (8, True, 1)
        assert (sim.traffic.lists["nodes"], sim.traffic.list_pages["nodes"]) == (1, 3)


@on_loop
async def test_pods_are_selected_by_label_and_by_field() -> None:
    async with small(3) as sim:
        aws_nodes = [node.pods[0].name for node in sim.cluster.expected]
        _, by_label = await ask(sim, AWS_NODE, labelSelector="k8s-app=aws-node")
        _, host = await ask(sim, "/api/v1/pods", fieldSelector="spec.hostNetwork=true")
        _, other = await ask(sim, "/api/v1/pods", fieldSelector="spec.hostNetwork=false")
        assert names(by_label) == sorted(aws_nodes)
        assert len(names(host)) == sum(len(n.pods) + len(n.other_pods) for n in _all(sim))
        assert [one.partition("-")[0] for one in names(other)] == ["coredns", "coredns"]


def _all(sim: Simulation) -> list[Node]:
    return list(sim.cluster.nodes.values())


@pytest.mark.parametrize(
    ("path", "query", "status", "reason"),
    [
        ("/api/v1/pods", {"fieldSelector": "spec.image=x"}, 400, "BadRequest"),
        ("/api/v1/nodes", {"limit": "many"}, 400, "BadRequest"),
        ("/api/v1/nodes", {"limit": "1", "continue": "77.1"}, 410, "Expired"),
        ("/api/v1/nodes", {"watch": "1", "resourceVersion": "1"}, 410, "Expired"),
        ("/api/v1/nodes", {"watch": "1", "resourceVersion": "x"}, 400, "BadRequest"),
        ("/api/v1/nodes/nobody", {}, 404, "NotFound"),
        ("/apis/vpcresources.k8s.aws/v1beta1/securitygrouppolicies", {}, 404, "NotFound"),
    ],
)
@on_loop
async def test_what_cannot_be_answered_is_a_status(
    path: str, query: dict[str, str], status: int, reason: str
) -> None:
    async with small(1) as sim:
        code, body = await ask(sim, path, **query)
        assert (code, body["kind"], body["reason"]) == (status, "Status", reason)


@on_loop
async def test_a_node_shows_what_a_reader_needs_of_it() -> None:
    async with small(12) as sim:
        node = next(n for n in sim.cluster.expected if n.machine.pod_eni)
        _, body = await ask(sim, f"/api/v1/nodes/{node.name}")
        assert (body["kind"], body["apiVersion"]) == ("Node", "v1")
        assert body["metadata"]["labels"] == {
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/hostname": node.name,
            "node.kubernetes.io/instance-type": "m5.2xlarge",
            "topology.kubernetes.io/zone": node.machine.zone,
            "topology.kubernetes.io/region": "eu-central-1",
            "eks.amazonaws.com/nodegroup": "secure",
        }
        assert body["spec"]["providerID"] == f"aws:///{node.machine.zone}/{node.instance_id}"
        assert body["status"]["capacity"]["pods"] == "110"
        assert body["status"]["capacity"]["vpc.amazonaws.com/pod-eni"] == "38"
        assert {"type": "InternalIP", "address": node.address} in body["status"]["addresses"]


@on_loop
async def test_an_aws_node_pod_shows_what_a_reader_needs_of_it() -> None:
    async with small(1) as sim:
        (node,) = sim.cluster.expected
        pod = node.pods[0]
        _, body = await ask(sim, f"{AWS_NODE}/{pod.name}")
        spec, status = body["spec"], body["status"]
        assert (spec["hostNetwork"], spec["nodeName"]) == (True, node.name)
        assert spec["containers"][0]["image"].endswith(f"/amazon-k8s-cni:{pod.version}")
        assert {"name": "CLUSTER_NAME", "value": "sim"} in spec["containers"][0]["env"]
        assert (status["phase"], status["podIP"], status["hostIP"]) == (
            "Running",
            node.address,
            node.address,
        )
        assert body["metadata"]["ownerReferences"][0]["kind"] == "DaemonSet"
        assert body["metadata"]["managedFields"]


@on_loop
async def test_an_eniconfig_shows_the_subnet_it_names_while_it_is_there() -> None:
    async with small(1) as sim:
        _, before = await ask(sim, ENI_CONFIGS)
        version = before["metadata"]["resourceVersion"]

        async def happens() -> None:
            for subnet in ("subnet-1", "subnet-2"):
                sim.cluster.configure_enis("eu-central-1a", subnet)
            _, one = await ask(sim, f"{ENI_CONFIGS}/eu-central-1a")
            assert (one["kind"], one["apiVersion"], one["spec"]["subnet"]) == (
                "ENIConfig",
                "crd.k8s.amazonaws.com/v1alpha1",
                "subnet-2",
            )
            sim.cluster.configure_enis("eu-central-1a", None)

        events = await watched(sim, ENI_CONFIGS, happens=happens, resourceVersion=version)
        steps = ("ADDED", "MODIFIED", "DELETED")
        assert told(events) == [(step, "eu-central-1a") for step in steps]
        assert [event["object"]["spec"]["subnet"] for event in events] == [
            "subnet-1",
            "subnet-2",
            "subnet-2",
        ]
        _, after = await ask(sim, ENI_CONFIGS)
        assert (before["kind"], before["items"], after["items"]) == ("ENIConfigList", [], [])


@on_loop
async def test_the_daemonset_selects_the_nodes_that_the_books_expect() -> None:
    async with small(2) as sim:
        _, body = await ask(sim, DAEMONSETS, fieldSelector="metadata.name=aws-node")
        (daemonset,) = body["items"]
        affinity = daemonset["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
        (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        _, nodes = await ask(sim, "/api/v1/nodes")
        selected = [
            node["metadata"]["name"]
            for node in nodes["items"]
            if all(_holds(one, node["metadata"]["labels"]) for one in term["matchExpressions"])
        ]
        assert selected == [node.name for node in sim.cluster.expected]
        assert len(nodes["items"]) == 5


def _holds(expression: dict[str, object], labels: dict[str, str]) -> bool:
    values = expression["values"]
    assert isinstance(values, list)
    inside = labels.get(str(expression["key"])) in values
    return inside if expression["operator"] == "In" else not inside
