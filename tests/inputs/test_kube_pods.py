"""The API server's JSON of an aws-node pod and the value it stands for."""

from __future__ import annotations

import gc
from collections.abc import Mapping

import pytest

from exporter.core.model import Pod
from exporter.inputs.kube.decoding import AwsNode, Sharing
from exporter.inputs.kube.kinds import aws_node_pods
from tests.inputs.fake_kube import Json
from tests.inputs.kube_parts import decoded

ECR = "602401143452.dkr.ecr.eu-west-1.amazonaws.com/amazon-k8s-cni"
DIGEST = "@sha256:" + "0" * 64


def pod(
    *,
    meta: Mapping[str, object] | None = None,
    spec: Mapping[str, object] | None = None,
    status: Mapping[str, object] | None = None,
) -> AwsNode | None:
    it = {
        "metadata": {
            "name": "aws-node-x",
            "namespace": "kube-system",
            "uid": "u1",
            "creationTimestamp": "2024-01-01T00:00:00Z",
            **(meta or {}),
        },
        "spec": {"nodeName": "n1", "hostNetwork": True, **(spec or {})},
        "status": {"phase": "Running", "podIP": "10.0.0.1", **(status or {})},
    }
    value = decoded(aws_node_pods("kube-system", Sharing()), it)
    assert value is None or isinstance(value, AwsNode)
    return value


def containers(image: str, *env: Mapping[str, object]) -> dict[str, object]:
    agent = {"name": "aws-eks-nodeagent", "image": "agent:v1", "env": [{"name": "MAX_ENI"}]}
    return {"containers": [agent, {"name": "aws-node", "image": image, "env": list(env)}]}


def test_a_pod_has_what_discovery_needs() -> None:
    env = {"name": "ENABLE_PREFIX_DELEGATION", "value": "true"}

    assert pod(spec=containers(f"{ECR}:v1.23.1-eksbuild.1", env)) == AwsNode(
        Pod(
            uid="u1",
            name="aws-node-x",
            namespace="kube-system",
            node="n1",
            ip="10.0.0.1",
            host_network=True,
            created=1704067200.0,
            cni_version="v1.23.1-eksbuild.1",
            env={"ENABLE_PREFIX_DELEGATION": "true"},
        ),
        image_region="eu-west-1",
    )


def test_a_pod_that_says_next_to_nothing_is_pending() -> None:
    it: Json = {"metadata": {"name": "aws-node-x"}}

    assert decoded(aws_node_pods("kube-system", Sharing()), it) == AwsNode(
        Pod(uid="", name="aws-node-x", namespace="", node="", host_network=False, pending=True)
    )


def test_nulls_are_as_good_as_nothing() -> None:
    it: Json = {
        "metadata": {"name": "aws-node-x", "creationTimestamp": None, "deletionTimestamp": None},
        "spec": {"nodeName": None, "hostNetwork": None, "affinity": None, "containers": None},
        "status": {"phase": None, "podIP": None},
    }

    assert decoded(aws_node_pods("kube-system", Sharing()), it) == decoded(
        aws_node_pods("kube-system", Sharing()), {"metadata": {"name": "aws-node-x"}}
    )


@pytest.mark.parametrize(
    ("status", "pending"),
    [
        pytest.param({}, False, id="running"),
        pytest.param({"phase": "Pending"}, True, id="pending"),
        pytest.param({"podIP": ""}, True, id="no address yet"),
        pytest.param({"phase": "Unknown"}, False, id="unknown"),
    ],
)
def test_a_pod_is_pending_by_its_phase_or_without_an_address(
    status: dict[str, object], pending: bool
) -> None:
    value = pod(status=status)

    assert value is not None
    assert value.pod.pending is pending


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_finished_pod_does_not_count(phase: str) -> None:
    assert pod(status={"phase": phase}) is None


def test_a_pod_that_is_being_deleted_is_terminating() -> None:
    value = pod(meta={"deletionTimestamp": "2024-01-01T00:00:00Z"})

    assert value is not None
    assert value.pod.terminating


@pytest.mark.parametrize(
    ("fields", "node"),
    [
        pytest.param([("metadata.name", "In", ["n7"])], "n7", id="made for one node"),
        pytest.param([("metadata.name", "In", ["n7", "n8"])], "", id="for either"),
        pytest.param([("metadata.name", "NotIn", ["n7"])], "", id="for others"),
        pytest.param([], "", id="for any"),
    ],
)
def test_an_unscheduled_pod_has_its_node_in_its_affinity(
    fields: list[tuple[str, str, list[str]]], node: str
) -> None:
    terms = [{"matchFields": [{"key": k, "operator": o, "values": v} for k, o, v in fields]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}

    value = pod(spec={"nodeName": "", "affinity": {"nodeAffinity": required}})

    assert value is not None
    assert value.pod.node == node


@pytest.mark.parametrize(
    ("image", "version", "region"),
    [
        pytest.param(f"{ECR}:v1.19.0", "v1.19.0", "eu-west-1", id="tag"),
        pytest.param(f"{ECR}:v1.19.0{DIGEST}", "v1.19.0", "eu-west-1", id="tag and digest"),
        pytest.param(f"{ECR}{DIGEST}", "v9", "eu-west-1", id="digest only"),
        pytest.param("localhost:5000/cni", "v9", "", id="a port is no tag"),
        pytest.param("localhost:5000/cni:v1", "v1", "", id="port and tag"),
        pytest.param("public.ecr.aws/eks/cni:v1", "v1", "", id="public"),
        pytest.param(
            "1.dkr.ecr-fips.us-gov-west-1.amazonaws.com/cni:v1", "v1", "us-gov-west-1", id="FIPS"
        ),
        pytest.param(
            "1.dkr.ecr.cn-north-1.amazonaws.com.cn/cni:v1", "v1", "cn-north-1", id="China"
        ),
        pytest.param("1.dkr-ecr.eu-west-1.on.aws/cni:v1", "v1", "eu-west-1", id="dual stack"),
        pytest.param("", "v9", "", id="no image"),
    ],
)
def test_version_and_region_come_from_the_image(image: str, version: str, region: str) -> None:
    value = pod(spec=containers(image, {"name": "VPC_CNI_VERSION", "value": "v9"}))

    assert value is not None
    assert (value.pod.cni_version, value.image_region) == (version, region)


def test_of_the_environment_only_literal_settings_of_the_cni_are_kept() -> None:
    kept = (
        "AWS_VPC_ENI_MTU",
        "WARM_IP_TARGET",
        "MINIMUM_IP_TARGET",
        "MAX_ENI",
        "ENABLE_POD_ENI",
        "DISABLE_METRICS",
        "IP_COOLDOWN_PERIOD",
        "CLUSTER_NAME",
        "VPC_CNI_VERSION",
        "INTROSPECTION_BIND_ADDRESS",
        "MANAGE_UNTAGGED_ENI",
        "ANNOTATE_POD_IP",
    )
    others = ("ADDITIONAL_ENI_TAGS", "AWS_REGION", "MY_CLUSTER_NAME", "CLUSTER_NAMES", "PATH")
    env: list[dict[str, object]] = [{"name": name, "value": "1"} for name in kept + others]
    env.append({"name": "ENABLE_SECRETS", "valueFrom": {"secretKeyRef": {"name": "s"}}})
    env.append({"name": "ENABLE_NOTHING", "value": ""})

    value = pod(spec=containers(ECR, *env))

    assert value is not None
    assert value.pod.env == dict.fromkeys(kept, "1")


def test_pods_with_equal_settings_share_them_while_one_of_them_lives() -> None:
    share = Sharing()
    one, other = share({"a": "1"}), share({"a": "1"})
    assert one is other
    assert share({"a": "2"}) is not one

    del one, other
    gc.collect()
    assert len(share._known) == 0
