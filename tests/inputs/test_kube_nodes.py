"""The API server's JSON of nodes, DaemonSet, hostNetwork pods and the CNI's own kinds."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from exporter.core.model import Node
from exporter.core.targets import LabelledNode, NodeSelector, Requirement, Term
from exporter.inputs.kube.decoding import DaemonSet, Sharing
from exporter.inputs.kube.kinds import cninodes, daemonset, eniconfigs, host_network_pods, nodes
from tests.inputs.fake_kube import Json
from tests.inputs.kube_parts import a_cninode, an_eniconfig, decoded

LABELS = {
    "kubernetes.io/hostname": "n1",
    "node.kubernetes.io/instance-type": "m5.large",
    "topology.kubernetes.io/zone": "eu-west-1b",
    "topology.kubernetes.io/region": "eu-west-1",
    "eks.amazonaws.com/nodegroup": "blue",
}


def node(it: Mapping[str, object]) -> LabelledNode:
    value = decoded(nodes(Sharing()), it)
    assert isinstance(value, LabelledNode)
    return value


def test_a_node_has_what_discovery_needs() -> None:
    found = node(
        {
            "metadata": {
                "name": "n1",
                "creationTimestamp": "2024-01-01T00:00:00Z",
                "labels": LABELS,
                "annotations": {"big": "x"},
            },
            "spec": {"providerID": "aws:///eu-west-1a/i-0abc"},
            "status": {
                "capacity": {"pods": "29", "vpc.amazonaws.com/pod-eni": "9"},
                "addresses": [
                    {"type": "InternalIP", "address": "10.0.0.1"},
                    {"type": "ExternalIP", "address": "54.0.0.1"},
                    {"type": "InternalIP", "address": "2001:db8::1"},
                ],
            },
        }
    )

    assert found.node == Node(
        name="n1",
        created=1704067200.0,
        instance_id="i-0abc",
        instance_type="m5.large",
        zone="eu-west-1b",
        region="eu-west-1",
        nodegroup="blue",
        max_pods=29,
        pod_eni_capacity=9,
        addresses=("10.0.0.1", "2001:db8::1"),
    )
    assert {key: found.label(key) for key in (*LABELS, "none")} == {**LABELS, "none": None}
    assert found.annotations == {"big": "x"}


def test_a_node_that_says_next_to_nothing_has_only_its_name() -> None:
    nothing = {"labels": None, "annotations": None, "creationTimestamp": None}
    null: Json = {"metadata": {"name": "n1", **nothing}, "spec": {}, "status": {"capacity": None}}

    for it in ({"metadata": {"name": "n1"}}, null):
        assert node(it) == LabelledNode(Node(name="n1", addresses=()))


@pytest.mark.parametrize(
    ("provider", "instance", "zone"),
    [
        pytest.param("aws:///eu-west-1a/i-0abc", "i-0abc", "eu-west-1a", id="EC2"),
        pytest.param("aws:///eu-west-1a/0f/fargate-ip-10-0-0-1", "", "", id="Fargate"),
        pytest.param("eks-hybrid:///eu-west-1/c/mi-0abc", "", "", id="hybrid"),
        pytest.param("kind://docker/kind/n1", "", "", id="elsewhere"),
        pytest.param(None, "", "", id="not yet"),
    ],
)
def test_instance_and_zone_come_from_the_provider(
    provider: str | None, instance: str, zone: str
) -> None:
    found = node({"metadata": {"name": "n1"}, "spec": {"providerID": provider}}).node

    assert (found.instance_id, found.zone) == (instance, zone)


@pytest.mark.parametrize(
    ("labels", "fargate"),
    [
        pytest.param({"eks.amazonaws.com/compute-type": "fargate"}, True, id="Fargate"),
        pytest.param({"eks.amazonaws.com/compute-type": "ec2"}, False, id="EC2"),
        pytest.param({"eks.amazonaws.com/compute-type": "auto"}, False, id="Auto Mode"),
        pytest.param({}, False, id="no such label"),
    ],
)
def test_a_fargate_node_says_so(labels: dict[str, str], fargate: bool) -> None:
    assert node({"metadata": {"name": "n1", "labels": labels}}).node.fargate is fargate


def test_beta_labels_do_where_there_are_no_others() -> None:
    labels = {
        "beta.kubernetes.io/instance-type": "m5.large",
        "failure-domain.beta.kubernetes.io/zone": "eu-west-1b",
        "failure-domain.beta.kubernetes.io/region": "eu-west-1",
    }
    found = node({"metadata": {"name": "n1", "labels": labels}}).node

    assert (found.instance_type, found.zone, found.region) == tuple(labels.values())


@pytest.mark.parametrize(
    ("capacity", "max_pods", "pod_enis"),
    [
        pytest.param({"pods": "110"}, 110, None, id="text"),
        pytest.param({"pods": 110}, 110, None, id="number"),
        pytest.param({"pods": "1k"}, None, None, id="a unit"),
        pytest.param({"pods": "-1"}, None, None, id="negative"),
        pytest.param({"pods": "9" * 100}, None, None, id="absurd"),
        pytest.param({"vpc.amazonaws.com/pod-eni": "0"}, None, 0, id="no branch ENIs"),
        pytest.param({"vpc.amazonaws.com/pod-eni": "38"}, None, 38, id="branch ENIs"),
    ],
)
def test_capacity_is_a_whole_number_or_not_known(
    capacity: dict[str, object], max_pods: int | None, pod_enis: int | None
) -> None:
    found = node({"metadata": {"name": "n1"}, "status": {"capacity": capacity}}).node

    assert (found.max_pods, found.pod_eni_capacity) == (max_pods, pod_enis)


def test_nodes_share_their_labels_but_for_the_hostname() -> None:
    kind = nodes(Sharing())
    one, other = (
        decoded(kind, {"metadata": {"name": n, "labels": {**LABELS, "kubernetes.io/hostname": n}}})
        for n in ("n1", "n2")
    )

    assert isinstance(one, LabelledNode)
    assert isinstance(other, LabelledNode)
    assert one.labels is other.labels
    assert (one.hostname, other.hostname) == ("n1", "n2")


NODE_IP = "alpha.kubernetes.io/provided-node-ip"
VOLUMES = "csi.volume.kubernetes.io/nodeid"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        pytest.param("eu-west-1a", "eu-west-1a", id="a name"),
        pytest.param("pods.blue", "pods.blue", id="a name with a dot"),
        pytest.param("1", "1", id="a number"),
        pytest.param("Blue", "", id="a capital"),
        pytest.param("-blue", "", id="a dash before it"),
        pytest.param("blue.", "", id="a dot after it"),
        pytest.param("", "", id="empty"),
        pytest.param("a" * 253, "a" * 253, id="as long as a name may be"),
        pytest.param("a" * 254, "", id="longer"),
        pytest.param("a\n", "", id="a line"),
    ],
)
def test_an_annotation_is_kept_as_far_as_it_could_name_an_eniconfig(value: str, kept: str) -> None:
    it = {"metadata": {"name": "n1", "annotations": {"team": value, NODE_IP: "10.0.0.1"}}}

    assert node(it).annotations == {"team": kept}


def test_nodes_share_their_annotations_but_for_what_is_each_ones_own() -> None:
    kind = nodes(Sharing())
    own = [{NODE_IP: ip, VOLUMES: f'{{"ebs": "{ip}"}}'} for ip in ("10.0.0.1", "10.0.0.2")]
    one, other = (
        decoded(kind, {"metadata": {"name": "n", "annotations": {"team": "blue", **it}}})
        for it in own
    )

    assert isinstance(one, LabelledNode)
    assert isinstance(other, LabelledNode)
    assert one.annotations == {"team": "blue", VOLUMES: ""}
    assert one.annotations is other.annotations


def test_the_daemonset_says_where_it_runs() -> None:
    exists = {"key": "a", "operator": "Exists"}
    terms = [{"matchExpressions": [exists], "matchFields": None}, {}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    spec = {"nodeSelector": {"b": "2", "a": "1"}, "affinity": {"nodeAffinity": required}}

    found = decoded(daemonset("kube-system"), {"spec": {"template": {"spec": spec}}})

    assert found is not None
    assert found.selector == NodeSelector(
        (("a", "1"), ("b", "2")), (Term((Requirement("a", "Exists"),)), Term())
    )


@pytest.mark.parametrize(
    ("affinity", "terms"),
    [
        pytest.param(None, None, id="none"),
        pytest.param({"podAffinity": {}}, None, id="of pods only"),
        pytest.param({"nodeAffinity": {}}, None, id="preferred only"),
        pytest.param(
            {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}},
            (),
            id="required without terms",
        ),
    ],
)
def test_an_affinity_that_requires_nothing_selects_every_node(
    affinity: object, terms: tuple[Term, ...] | None
) -> None:
    it: Json = {"spec": {"template": {"spec": {"affinity": affinity}}}}

    assert decoded(daemonset("kube-system"), it) == DaemonSet(NodeSelector((), terms), {})


@pytest.mark.parametrize(
    ("containers", "settings"),
    [
        pytest.param(None, {}, id="no containers"),
        pytest.param([{"name": "aws-node"}], {}, id="no variables"),
        pytest.param(
            [
                {
                    "name": "aws-node",
                    "env": [
                        {"name": "WARM_ENI_TARGET", "value": "1"},
                        {"name": "MAX_ENI", "value": "many"},
                        {"name": "ENABLE_POD_ENI", "value": ""},
                        {"name": "ENABLE_IPv6", "value": None},
                        {"name": "WARM_IP_TARGET", "valueFrom": {"configMapKeyRef": {}}},
                        {"name": "ADDITIONAL_ENI_TAGS", "value": '{"owner": "us"}'},
                        {"name": "CLUSTER_NAME", "value": "prod"},
                    ],
                },
                {"name": "other", "env": [{"name": "MINIMUM_IP_TARGET", "value": "9"}]},
            ],
            {"WARM_ENI_TARGET": "1", "MAX_ENI": "many"},
            id="those of aws-node that are told of",
        ),
    ],
)
def test_the_daemonset_says_how_the_cni_is_set(
    containers: object, settings: dict[str, str]
) -> None:
    found = decoded(
        daemonset("kube-system"), {"spec": {"template": {"spec": {"containers": containers}}}}
    )
    assert found == DaemonSet(NodeSelector(), settings)


@pytest.mark.parametrize(
    ("spec", "phase", "node"),
    [
        pytest.param({"nodeName": "n1"}, "Running", "n1", id="running"),
        pytest.param({"nodeName": "n1"}, "Pending", "n1", id="starting"),
        pytest.param({}, "Pending", None, id="not placed"),
        pytest.param({"nodeName": "n1"}, "Succeeded", None, id="finished"),
        pytest.param({"nodeName": "n1"}, "Failed", None, id="failed"),
    ],
)
def test_a_pod_on_the_hosts_network_counts_where_it_is(
    spec: dict[str, object], phase: str, node: str | None
) -> None:
    it: Json = {"metadata": {"name": "x"}, "spec": spec, "status": {"phase": phase}}

    assert decoded(host_network_pods(), it) == node


@pytest.mark.parametrize(
    ("it", "subnet"),
    [
        pytest.param(an_eniconfig("a", "subnet-0a1b2c"), "subnet-0a1b2c", id="a subnet"),
        pytest.param(an_eniconfig("a", ""), None, id="empty"),
        pytest.param(an_eniconfig("a", None), None, id="null"),
        pytest.param(an_eniconfig("a", "subnet-*"), None, id="a wildcard"),
        pytest.param({"metadata": {"name": "a"}, "spec": {}}, None, id="none named"),
        pytest.param({"metadata": {"name": "a"}}, None, id="no spec"),
    ],
)
def test_an_eniconfig_is_the_subnet_it_names(it: Json, subnet: str | None) -> None:
    assert decoded(eniconfigs(), it) == subnet


WANTED = "SecurityGroupsForPods"


@pytest.mark.parametrize(
    ("it", "node"),
    [
        pytest.param(a_cninode("n1", WANTED), "n1", id="security groups for pods"),
        pytest.param(a_cninode("n1", "CustomNetworking", WANTED), "n1", id="among others"),
        pytest.param(a_cninode("n1", "CustomNetworking"), None, id="another feature"),
        pytest.param(a_cninode("n1"), None, id="no feature"),
        pytest.param(
            {"metadata": {"name": "n1"}, "spec": {"features": [{"name": None}]}}, None, id="null"
        ),
        pytest.param(
            {"metadata": {"name": "n1"}, "spec": {"features": None}}, None, id="null features"
        ),
        pytest.param({"metadata": {"name": "n1"}, "spec": None}, None, id="null spec"),
        pytest.param({"metadata": {"name": "n1"}}, None, id="no spec"),
    ],
)
def test_a_cninode_is_the_node_that_is_to_have_a_trunk(it: Json, node: str | None) -> None:
    assert decoded(cninodes(), it) == node
