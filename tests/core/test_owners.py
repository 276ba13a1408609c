from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.core.model import Eni
from exporter.core.owners import (
    ENI_OWNERS,
    ClusterFacts,
    ClusterNode,
    LeakOwner,
    Owner,
    Use,
    classify,
    cluster_name,
    may_be_leaked,
)
from tests.core.subnet_worlds import CLUSTER, INSTANCE_TAG, address, eni

FACTS = ClusterFacts(
    cluster=CLUSTER,
    nodes={"i-1": ClusterNode(name="node-1")},
    fargate=frozenset({address("10.0.0.77")}),
)
OURS = {f"kubernetes.io/cluster/{CLUSTER}": "owned"}
THEIRS = {"kubernetes.io/cluster/blue": "owned"}
NO_MANAGE = "node.k8s.amazonaws.com/no_manage"


@pytest.mark.parametrize(
    ("shown", "use"),
    [
        pytest.param(eni(interface_type="network_load_balancer"), Use.LOAD_BALANCER, id="nlb-type"),
        pytest.param(eni(interface_type="gateway_load_balancer"), Use.LOAD_BALANCER, id="gwlb"),
        pytest.param(eni(interface_type="load_balancer"), Use.LOAD_BALANCER, id="lb-type"),
        pytest.param(eni(description="ELB net/web/0a"), Use.LOAD_BALANCER, id="nlb"),
        pytest.param(eni(description="ELB app/web/0a"), Use.LOAD_BALANCER, id="alb"),
        pytest.param(eni(description="ELB web"), Use.LOAD_BALANCER, id="classic"),
        pytest.param(eni(requester_id="amazon-elb"), Use.LOAD_BALANCER, id="elb-requester"),
        pytest.param(eni(interface_type="nat_gateway"), Use.NAT_GATEWAY, id="nat-type"),
        pytest.param(eni(interface_type="natGateway"), Use.NAT_GATEWAY, id="nat-old-type"),
        pytest.param(
            eni(description="Interface for NAT Gateway nat-0a"), Use.NAT_GATEWAY, id="nat"
        ),
        pytest.param(eni(interface_type="vpc_endpoint"), Use.VPC_ENDPOINT, id="endpoint-type"),
        pytest.param(
            eni(interface_type="gateway_load_balancer_endpoint"), Use.VPC_ENDPOINT, id="gwlbe"
        ),
        pytest.param(
            eni(description="VPC Endpoint Interface vpce-0a"), Use.VPC_ENDPOINT, id="endpoint"
        ),
        pytest.param(eni(interface_type="lambda"), Use.LAMBDA, id="lambda-type"),
        pytest.param(eni(description="AWS Lambda VPC ENI-web-0a"), Use.LAMBDA, id="lambda"),
        pytest.param(eni(description="RDSNetworkInterface"), Use.DATABASE, id="rds"),
        pytest.param(eni(requester_id="amazon-rds"), Use.DATABASE, id="rds-requester"),
        pytest.param(
            eni(description="Network interface for DBProxy web"), Use.DATABASE, id="rds-proxy"
        ),
        pytest.param(eni(description="ElastiCache web-001"), Use.DATABASE, id="elasticache"),
        pytest.param(eni(description="RedshiftNetworkInterface"), Use.DATABASE, id="redshift"),
        pytest.param(eni(description="ES web-logs"), Use.DATABASE, id="opensearch"),
        pytest.param(
            eni(description=f"Amazon EKS {CLUSTER}"), Use.EKS_CONTROL_PLANE, id="control-plane"
        ),
        pytest.param(
            eni(description="Amazon EKS blue"), Use.OTHER_CLUSTER, id="others-control-plane"
        ),
        pytest.param(eni(addresses=(address("10.0.0.77"),)), Use.FARGATE, id="fargate-address"),
        pytest.param(
            eni(requester_id="AROA1:AmazonEKSForFargate"), Use.FARGATE, id="fargate-requester"
        ),
        pytest.param(eni(description="fargate pod"), Use.FARGATE, id="fargate-description"),
        pytest.param(
            eni(description="fargate pod", tags=THEIRS), Use.OTHER_CLUSTER, id="others-fargate"
        ),
        pytest.param(
            eni(description="arn:aws:ecs:eu-west-1:1:attachment/fargate"), Use.OTHER, id="ecs-task"
        ),
        pytest.param(eni(interface_type="transit_gateway"), Use.OTHER, id="transit-gateway"),
        pytest.param(eni(interface_type="something_new"), Use.OTHER, id="unknown-type"),
        pytest.param(
            eni(interface_type="something_new", instance_id="i-1"), Use.OTHER, id="unknown-on-node"
        ),
        pytest.param(eni(status="available"), Use.OTHER, id="nobodys"),
        pytest.param(eni(addresses=()), Use.OTHER, id="without-ipv4"),
        pytest.param(eni(status="available", tags=THEIRS), Use.OTHER_CLUSTER, id="others-spare"),
        pytest.param(eni(status="available", tags=OURS), Use.OTHER, id="our-spare"),
    ],
)
def test_an_eni_that_no_instance_has_is_known_by_its_type_and_maker(shown: Eni, use: Use) -> None:
    assert classify(shown, FACTS) == Owner(use)


def on_node(
    interface_type: str = "interface",
    *,
    instance_id: str = "i-1",
    device: int | None = 1,
    card: int = 0,
    tags: dict[str, str] | None = None,
) -> Eni:
    return eni(
        interface_type=interface_type,
        instance_id=instance_id,
        device_index=device,
        network_card=card,
        tags=tags,
    )


@pytest.mark.parametrize(
    ("shown", "use"),
    [
        pytest.param(on_node(device=0), Use.NODE_PRIMARY, id="primary"),
        pytest.param(on_node(), Use.NODE_PRIMARY, id="secondary"),
        pytest.param(on_node("trunk"), Use.NODE_PRIMARY, id="trunk"),
        pytest.param(on_node("efa"), Use.NODE_PRIMARY, id="efa"),
        pytest.param(on_node("efa-only"), Use.NODE_UNMANAGED, id="efa-only"),
        pytest.param(on_node(tags={NO_MANAGE: "true"}), Use.NODE_UNMANAGED, id="no-manage"),
        pytest.param(on_node(tags={NO_MANAGE: "yes"}), Use.NODE_PRIMARY, id="no-manage-misspelt"),
        pytest.param(
            on_node(device=0, tags={NO_MANAGE: "true"}), Use.NODE_PRIMARY, id="primary-no-manage"
        ),
        pytest.param(on_node(card=1), Use.NODE_UNMANAGED, id="other-card"),
        pytest.param(on_node(device=0, card=1), Use.NODE_UNMANAGED, id="first-of-other-card"),
    ],
)
def test_an_eni_of_a_node_is_the_nodes_unless_ipamd_leaves_it_alone(shown: Eni, use: Use) -> None:
    assert classify(shown, FACTS) == Owner(use, "i-1")


@pytest.mark.parametrize(
    ("shown", "use"),
    [
        pytest.param(on_node(), Use.NODE_UNMANAGED, id="untagged"),
        pytest.param(on_node(tags={INSTANCE_TAG: "i-1"}), Use.NODE_PRIMARY, id="its-own"),
        pytest.param(on_node(tags={INSTANCE_TAG: "i-9"}), Use.NODE_UNMANAGED, id="anothers"),
        pytest.param(on_node(tags={NO_MANAGE: "false"}), Use.NODE_PRIMARY, id="to-be-managed"),
        pytest.param(on_node(device=0), Use.NODE_PRIMARY, id="primary"),
        pytest.param(on_node("trunk"), Use.NODE_PRIMARY, id="trunk"),
    ],
)
def test_a_node_that_leaves_untagged_enis_alone_keeps_its_own(shown: Eni, use: Use) -> None:
    node = ClusterNode(name="node-1", manages_untagged=False)
    assert classify(shown, ClusterFacts(nodes={"i-1": node})) == Owner(use, "i-1")


@pytest.mark.parametrize(
    ("told", "made_by_the_cni", "use"),
    [
        pytest.param(True, False, Use.NODE_PRIMARY, id="it-is-told-so"),
        pytest.param(False, True, Use.NODE_UNMANAGED, id="it-is-told-not-to"),
        pytest.param(None, True, Use.NODE_PRIMARY, id="there-is-no-pod-but-an-eni-that-it-made"),
        pytest.param(None, False, Use.NODE_UNMANAGED, id="there-is-no-pod"),
    ],
)
def test_the_other_network_cards_are_managed_by_the_cnis_setting_or_else_by_what_it_made(
    told: bool | None, made_by_the_cni: bool, use: Use
) -> None:
    facts = ClusterFacts(nodes={"i-1": ClusterNode(name="node-1", multi_nic=told)})
    shown = replace(on_node(card=1), created=1.0 if made_by_the_cni else None)
    assert classify(shown, facts) == Owner(use, "i-1")


@pytest.mark.parametrize(
    ("tags", "owner"),
    [
        pytest.param(OURS, Owner(Use.NODE_PRIMARY, "i-9"), id="ours"),
        pytest.param(OURS | THEIRS, Owner(Use.NODE_PRIMARY, "i-9"), id="shared"),
        pytest.param(
            {"cluster.k8s.amazonaws.com/name": CLUSTER}, Owner(Use.NODE_PRIMARY, "i-9"), id="cni"
        ),
        pytest.param({"eks:eks-cluster-name": CLUSTER}, Owner(Use.NODE_PRIMARY, "i-9"), id="auto"),
        pytest.param(THEIRS, Owner(Use.OTHER_CLUSTER), id="theirs"),
        pytest.param({"eks:cluster-name": "blue"}, Owner(Use.OTHER_CLUSTER), id="theirs-by-value"),
        pytest.param({"eks:cluster-name": "", "Name": "shop"}, Owner(Use.OTHER), id="unnamed"),
        pytest.param({}, Owner(Use.OTHER), id="untagged"),
    ],
)
def test_an_instance_that_kubernetes_does_not_list_is_known_by_its_tags(
    tags: dict[str, str], owner: Owner
) -> None:
    assert classify(on_node(instance_id="i-9", device=0, tags=tags), FACTS) == owner


def branch(tags: dict[str, str], interface_type: str = "branch", description: str = "") -> Eni:
    return eni(interface_type=interface_type, description=description, tags=tags)


@pytest.mark.parametrize(
    ("shown", "owner"),
    [
        pytest.param(branch({INSTANCE_TAG: "i-1"}), Owner(Use.POD_BRANCH, "i-1"), id="our-node"),
        pytest.param(branch(OURS), Owner(Use.POD_BRANCH), id="our-tag"),
        pytest.param(
            branch(OURS, "interface", "aws-k8s-branch-eni"), Owner(Use.POD_BRANCH), id="described"
        ),
        pytest.param(branch(THEIRS), Owner(Use.OTHER_CLUSTER), id="theirs"),
        pytest.param(branch({}), Owner(Use.OTHER), id="untagged"),
    ],
)
def test_a_branch_eni_is_a_pods_of_the_cluster_that_made_it(shown: Eni, owner: Owner) -> None:
    assert classify(shown, FACTS) == owner


def loose(
    tags: dict[str, str], description: str = "aws-K8S-i-gone", status: str = "available"
) -> Eni:
    return eni(status=status, description=description, tags=tags)


LEAKED_HERE = Owner(Use.LEAKED, leak=LeakOwner.THIS_CLUSTER)
LEAKED_SOMEWHERE = Owner(Use.LEAKED, leak=LeakOwner.UNKNOWN)


@pytest.mark.parametrize(
    ("shown", "young", "old"),
    [
        pytest.param(
            loose({INSTANCE_TAG: "i-1"}), Owner(Use.NODE_PRIMARY, "i-1"), LEAKED_HERE, id="node"
        ),
        pytest.param(
            loose({}, "aws-K8S-i-1"), Owner(Use.NODE_PRIMARY, "i-1"), LEAKED_HERE, id="described"
        ),
        pytest.param(
            loose({INSTANCE_TAG: "i-gone", "cluster.k8s.amazonaws.com/name": CLUSTER}),
            Owner(Use.NODE_PRIMARY, "i-gone"),
            LEAKED_HERE,
            id="our-tag",
        ),
        pytest.param(
            loose({INSTANCE_TAG: "i-gone"} | THEIRS),
            Owner(Use.OTHER_CLUSTER),
            Owner(Use.OTHER_CLUSTER),
            id="theirs",
        ),
        pytest.param(
            loose({INSTANCE_TAG: "i-gone"}), Owner(Use.OTHER), LEAKED_SOMEWHERE, id="no-cluster-tag"
        ),
        pytest.param(loose({}), Owner(Use.OTHER), LEAKED_SOMEWHERE, id="no-tag-at-all"),
    ],
)
def test_an_eni_between_instances_is_its_nodes_until_it_counts_as_leaked(
    shown: Eni, young: Owner, old: Owner
) -> None:
    assert may_be_leaked(shown)
    assert (classify(shown, FACTS), classify(shown, FACTS, leaked=True)) == (young, old)


@pytest.mark.parametrize(
    ("shown", "owner"),
    [
        pytest.param(
            loose({INSTANCE_TAG: "i-1"}, "made by hand"), Owner(Use.OTHER), id="not-described"
        ),
        pytest.param(
            eni(
                status="available",
                interface_type="trunk",
                description="aws-k8s-trunk-eni",
                tags={INSTANCE_TAG: "i-1"},
            ),
            Owner(Use.NODE_PRIMARY, "i-1"),
            id="trunk",
        ),
        pytest.param(
            loose({}, "aws-K8S-i-1", status="pending"), Owner(Use.NODE_PRIMARY, "i-1"), id="pending"
        ),
    ],
)
def test_the_marks_of_a_leak_are_those_of_the_cnis_own_enis(shown: Eni, owner: Owner) -> None:
    assert not may_be_leaked(shown)
    assert classify(shown, FACTS) == owner


@pytest.mark.parametrize(
    ("shown", "leaked", "owner"),
    [
        pytest.param(loose(THEIRS), True, LEAKED_SOMEWHERE, id="leak"),
        pytest.param(on_node(instance_id="i-9", tags=THEIRS), False, Owner(Use.OTHER), id="node"),
        pytest.param(branch(THEIRS), False, Owner(Use.OTHER), id="branch"),
        pytest.param(
            eni(description="Amazon EKS blue"), False, Owner(Use.EKS_CONTROL_PLANE), id="control"
        ),
    ],
)
def test_tags_tell_nothing_where_the_clusters_own_name_is_not_known(
    shown: Eni, leaked: bool, owner: Owner
) -> None:
    assert classify(shown, ClusterFacts(), leaked=leaked) == owner


@pytest.mark.parametrize(
    ("enis", "name"),
    [
        pytest.param([on_node(tags=OURS), on_node(tags={"Name": "x"})], CLUSTER, id="one"),
        pytest.param([on_node(tags=OURS), on_node(tags=THEIRS)], "", id="two"),
        pytest.param([on_node(instance_id="i-9", tags=THEIRS)], "", id="of-another-instance"),
        pytest.param([], "", id="none"),
    ],
)
def test_the_clusters_name_is_the_one_that_its_nodes_enis_agree_on(
    enis: list[Eni], name: str
) -> None:
    assert cluster_name(enis, FACTS.nodes) == name


def test_an_eni_as_a_whole_never_counts_as_something_only_single_addresses_can_be() -> None:
    assert set(Use) - set(ENI_OWNERS) == {
        Use.FREE,
        Use.PREFIX_RESERVED_FREE,
        Use.EXPLICIT_RESERVED,
        Use.AWS_RESERVED,
        Use.POD_ASSIGNED,
        Use.POD_WARM,
        Use.POD_COOLDOWN,
        Use.POD_UNKNOWN,
        Use.UNATTRIBUTED,
    }
