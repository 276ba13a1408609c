"""What the door makes of EKS's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from exporter.core.eks import ADDON_ISSUES, CLUSTER_ISSUES, Addon, EksCluster, EksReport, counted
from exporter.core.model import ControlPlane, Unavailable
from exporter.inputs.eks import Eks
from tests.inputs.aws_answers import REGION, aws
from tests.inputs.eks_answers import (
    ADDON,
    CLUSTER,
    VERSIONS,
    FakeEks,
    Said,
    addon,
    cluster,
    issue,
    release,
    serving,
    use,
)

__all__ = ["aws"]

SERVER = "v1.33.4-eks-99d6cc0"
DESCRIBED = EksCluster(
    version="1.33",
    platform="eks.14",
    control_plane=ControlPlane("vpc-1", frozenset({"subnet-1a", "subnet-2b"})),
    issues=counted((), CLUSTER_ISSUES),
)


def read(eks: FakeEks, aws: pytest.MonkeyPatch, name: str = "prod") -> EksReport:
    with serving(eks):
        return use(eks, aws, lambda door: door.read(name, SERVER))


def installed(
    name: str,
    version: str,
    *issues: str,
    status: str = "ACTIVE",
    latest: str = "",
) -> Addon:
    return Addon(
        name=name,
        version=version,
        status=status,
        latest=latest,
        issues=counted(issues, ADDON_ISSUES),
    )


def test_a_cluster_and_its_addons_are_read_with_as_few_calls_as_there_can_be(
    aws: pytest.MonkeyPatch,
) -> None:
    eks = FakeEks(
        addons={
            "vpc-cni": addon("vpc-cni", "v1.19.2-eksbuild.9"),
            "coredns": addon("coredns", "v1.11.4-eksbuild.2", status="DEGRADED"),
        },
        releases={
            "vpc-cni": [release("v1.19.2-eksbuild.9"), release("v1.19.2-eksbuild.10")],
            "coredns": [release("v1.11.4-eksbuild.2")],
        },
    )
    assert read(eks, aws) == EksReport(
        DESCRIBED,
        (
            installed("vpc-cni", "v1.19.2-eksbuild.9", latest="v1.19.2-eksbuild.10"),
            installed(
                "coredns", "v1.11.4-eksbuild.2", status="DEGRADED", latest="v1.11.4-eksbuild.2"
            ),
        ),
    )
    names = ("vpc-cni", "coredns", "kube-proxy", "adot")
    assert eks.asked == [
        (CLUSTER, {"name": "prod"}),
        *((ADDON, {"name": "prod", "addon": name}) for name in names),
        *((VERSIONS, {"addonName": name, "kubernetesVersion": "1.33"}) for name in names[:2]),
    ]
    assert set(eks.regions) == {REGION}


def test_requests_are_counted_and_an_addon_that_is_not_installed_is_an_answer_too(
    aws: pytest.MonkeyPatch,
) -> None:
    async def counts(door: Eks) -> object:
        await door.read("prod", SERVER)
        return dict(door.requests)

    with serving(FakeEks(addons={"adot": addon("adot")})) as eks:
        assert use(eks, aws, counts) == {
            ("eks", CLUSTER, "ok"): 1,
            ("eks", ADDON, "ok"): 4,
            ("eks", VERSIONS, "ok"): 1,
        }


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        pytest.param(
            cluster(health={"issues": [issue("InsufficientFreeAddresses"), issue("Brandnew")]}),
            {"InsufficientFreeAddresses": 1, "other": 1},
            id="issues",
        ),
        pytest.param(cluster(health={"issues": [issue("Other")]}), {"other": 1}, id="EKS's other"),
        pytest.param(cluster(health={"issues": [{"message": "?"}]}), {"other": 1}, id="no code"),
        pytest.param(cluster(health={}), {}, id="no list"),
        pytest.param(cluster(health=None), {}, id="nothing about health"),
    ],
)
def test_the_issues_of_a_cluster_are_counted_by_code(
    said: Said, wanted: Mapping[str, int], aws: pytest.MonkeyPatch
) -> None:
    found = read(FakeEks(cluster=said), aws).cluster
    assert found is not None
    assert {code: n for code, n in found.issues.items() if n} == wanted


@pytest.mark.parametrize(
    ("said", "plane"),
    [
        pytest.param(cluster(resourcesVpcConfig=None), ControlPlane(), id="no VPC at all"),
        pytest.param(cluster(resourcesVpcConfig={}), ControlPlane(), id="an empty one"),
        pytest.param(
            cluster(resourcesVpcConfig={"vpcId": "*", "subnetIds": ["subnet-1a", "subnet-*", ""]}),
            ControlPlane("", frozenset({"subnet-1a"})),
            id="what is no id, but might be a filter",
        ),
    ],
)
def test_of_the_network_only_ids_are_taken(
    said: Said, plane: ControlPlane, aws: pytest.MonkeyPatch
) -> None:
    found = read(FakeEks(cluster=said), aws).cluster
    assert found is not None
    assert found.control_plane == plane


@pytest.mark.parametrize(
    ("status", "told"),
    [("UPDATE_FAILED", "UPDATE_FAILED"), ("PONDERING", "other"), ("other", "other")],
)
def test_the_state_of_an_addon_is_of_a_closed_list(
    status: str, told: str, aws: pytest.MonkeyPatch
) -> None:
    eks = FakeEks(addons={"vpc-cni": addon(status=status, health={"issues": [issue("?")]})})
    (found,) = read(eks, aws).addons
    assert (found.status, found.issues["other"]) == (told, 1)


@pytest.mark.parametrize(
    ("releases", "latest"),
    [
        pytest.param([], "", id="none"),
        pytest.param(
            [release("v1.9.0-eksbuild.3"), release("v1.10.0-eksbuild.1")],
            "v1.10.0-eksbuild.1",
            id="by number and not as text",
        ),
        pytest.param(
            [release("v1.21.0-eksbuild.1", "1.34"), release("v1.20.0-eksbuild.1", "1.33", "1.34")],
            "v1.20.0-eksbuild.1",
            id="of the cluster's version of Kubernetes",
        ),
        pytest.param(
            [
                release("v1.21.0-eksbuild.1", platforms=["eks.15"]),
                release("v1.20.0-eksbuild.1", platforms=["eks.13", "eks.14"]),
                release("v1.19.0-eksbuild.1"),
            ],
            "v1.20.0-eksbuild.1",
            id="of the cluster's platform",
        ),
        pytest.param(
            [release("v1.20.0-eksbuild.1", platforms=[])], "v1.20.0-eksbuild.1", id="any platform"
        ),
        pytest.param([release("latest")], "", id="no version at all"),
    ],
)
def test_the_latest_version_is_the_newest_that_works_with_the_cluster(
    releases: Sequence[Said], latest: str, aws: pytest.MonkeyPatch
) -> None:
    eks = FakeEks(addons={"vpc-cni": addon()}, releases={"vpc-cni": releases})
    (found,) = read(eks, aws).addons
    assert found.latest == latest


def test_versions_are_read_to_their_last_page(aws: pytest.MonkeyPatch) -> None:
    releases = [release(f"v1.19.{number}-eksbuild.1") for number in range(7)]
    eks = FakeEks(addons={"vpc-cni": addon()}, releases={"vpc-cni": releases}, page_size=2)
    (found,) = read(eks, aws).addons
    assert found.latest == "v1.19.6-eksbuild.1"
    tokens = [given.get("nextToken") for call, given in eks.asked if call == VERSIONS]
    assert tokens == [None, "2", "4", "6"]


@pytest.mark.parametrize(
    "name",
    ["", "../addons", "prod/addons/x", "*", "-prod", "prod\n", "p" * 101, "pröd", "a b"],
)
def test_a_name_that_no_cluster_can_have_is_not_asked_for(
    name: str, aws: pytest.MonkeyPatch
) -> None:
    eks = FakeEks()
    reason = "eks: the cluster's name is none that a cluster of EKS can have"
    with pytest.raises(Unavailable, match=reason):
        read(eks, aws, name)
    assert eks.asked == []


@pytest.mark.parametrize("name", ["a", "Prod_1-x", "9" * 100])
def test_a_name_that_a_cluster_can_have_is_asked_for(name: str, aws: pytest.MonkeyPatch) -> None:
    assert read(FakeEks(cluster=cluster(name=name)), aws, name).cluster == DESCRIBED


def test_a_cluster_that_eks_does_not_know_makes_it_unavailable(aws: pytest.MonkeyPatch) -> None:
    eks = FakeEks()
    with pytest.raises(Unavailable, match="eks: EKS knows no cluster of this name in this region"):
        read(eks, aws, "other")
    assert eks.asked == [(CLUSTER, {"name": "other"})]


def test_the_region_may_be_the_nodes(aws: pytest.MonkeyPatch) -> None:
    aws.delenv("AWS_REGION")
    with serving(FakeEks()) as eks:
        use(eks, aws, lambda door: door.read("prod", SERVER), region=lambda: "us-west-2")
    assert set(eks.regions) == {"us-west-2"}
