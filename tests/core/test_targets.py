from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.model import Node, Pod, Target
from exporter.core.targets import (
    HOSTNAME_LABEL,
    LabelledNode,
    NodeSelector,
    Requirement,
    Term,
    eniconfig,
    nodegroup,
    targets,
)

LINUX = {"kubernetes.io/os": "linux"}
FARGATE = {"kubernetes.io/os": "linux", "eks.amazonaws.com/compute-type": "fargate"}
NOT_FARGATE = NodeSelector(
    terms=(
        Term(
            (
                Requirement("kubernetes.io/os", "In", ("linux",)),
                Requirement("eks.amazonaws.com/compute-type", "NotIn", ("fargate", "auto")),
            )
        ),
    )
)
EVERYWHERE = NodeSelector()
NOWHERE = NodeSelector(terms=())


def a_node(name: str = "n1", labels: Mapping[str, str] = LINUX) -> LabelledNode:
    return LabelledNode(Node(name=name, zone="a", addresses=("10.0.0.1",)), labels, name)


def a_pod(name: str, node: str = "n1", *, created: float = 0.0, terminating: bool = False) -> Pod:
    return Pod(
        uid=f"uid-{name}",
        name=name,
        namespace="kube-system",
        node=node,
        created=created,
        terminating=terminating,
    )


def pods_by_node(found: tuple[Target, ...]) -> dict[str, str | None]:
    return {it.node.name: it.pod.name if it.pod else None for it in found}


def test_every_selected_node_is_expected_with_its_pod_or_without() -> None:
    nodes = (a_node("n2"), a_node("n1"), a_node("n3", FARGATE))
    pod = a_pod("p1")

    found = targets(nodes, [pod], NOT_FARGATE, {"n1": 3})

    assert found == (Target(nodes[1].node, pod, 3), Target(nodes[0].node, None, 0))


def test_a_node_that_is_not_selected_is_expected_while_a_pod_lives_there() -> None:
    nodes = (a_node("living"), a_node("leaving"), a_node("empty"))
    pods = [a_pod("p1", "living"), a_pod("p2", "leaving", terminating=True)]

    assert pods_by_node(targets(nodes, pods, NOWHERE, None)) == {"living": "p1"}


def test_without_a_daemonset_the_nodes_that_have_a_pod_are_expected() -> None:
    nodes = (a_node("n1"), a_node("n2"), a_node("n3"))
    pods = [a_pod("p1", "n1"), a_pod("p2", "n2", terminating=True)]

    found = targets(nodes, pods, None, None)

    assert found == (Target(nodes[0].node, pods[0], 2), Target(nodes[1].node, pods[1], 2))


@pytest.mark.parametrize("selector", [None, NOT_FARGATE, NOWHERE], ids=["none", "some", "nowhere"])
def test_without_nodes_each_pod_stands_for_the_node_it_is_on(
    selector: NodeSelector | None,
) -> None:
    pods = [a_pod("p2", "n2", terminating=True), a_pod("p1", "n1"), a_pod("p0", "")]

    found = targets(None, pods, selector, None)

    assert found == (Target(Node(name="n1"), pods[1], 2), Target(Node(name="n2"), pods[0], 2))


@pytest.mark.parametrize("selector", [None, EVERYWHERE], ids=["no daemonset", "both known"])
def test_a_pod_whose_node_does_not_exist_is_not_expected(selector: NodeSelector | None) -> None:
    assert targets((), [a_pod("p1", "gone")], selector, None) == ()


@pytest.mark.parametrize(
    ("pods", "chosen"),
    [
        pytest.param([a_pod("a", created=1), a_pod("b", created=2)], "b", id="newest"),
        pytest.param(
            [a_pod("a", created=1), a_pod("b", created=2, terminating=True)], "a", id="living"
        ),
        pytest.param(
            [a_pod("a", created=1, terminating=True), a_pod("b", created=2, terminating=True)],
            "b",
            id="newest of those that end",
        ),
        pytest.param([a_pod("a"), a_pod("b")], "b", id="same age, by name"),
    ],
)
def test_of_several_pods_on_a_node_one_is_read(pods: Sequence[Pod], chosen: str) -> None:
    for order in (pods, pods[::-1]):
        assert pods_by_node(targets((a_node(),), order, EVERYWHERE, None)) == {"n1": chosen}


def test_host_network_pods_are_counted_where_they_may_be_listed_and_assumed_elsewhere() -> None:
    nodes = (a_node("n1"), a_node("n2"))

    counted = targets(nodes, (), EVERYWHERE, {"n1": 5, "elsewhere": 9})
    assumed = targets(nodes, (), EVERYWHERE, None)

    assert [it.host_network_pods for it in counted] == [5, 0]
    assert [it.host_network_pods for it in assumed] == [2, 2]


TRUNK = "vpc.amazonaws.com/has-trunk-attached"


@pytest.mark.parametrize(
    ("labels", "trunks", "trunk"),
    [
        pytest.param(LINUX, set(), False, id="nobody says so"),
        pytest.param(LINUX, {"n2"}, False, id="another's CNINode"),
        pytest.param(LINUX, {"n1"}, True, id="its CNINode"),
        pytest.param({TRUNK: "true"}, set(), True, id="its label, and it is there"),
        pytest.param({TRUNK: "false"}, set(), True, id="its label, and it is asked for"),
        pytest.param({TRUNK: "not-supported"}, set(), False, id="a label of other use"),
    ],
)
def test_a_trunk_is_asked_for_by_the_cninode_or_by_the_label_that_came_before(
    labels: dict[str, str], trunks: set[str], trunk: bool
) -> None:
    (found,) = targets((a_node("n1", labels),), (), EVERYWHERE, None, trunks)
    assert (found.trunk, found.has_trunk_slot) == (trunk, trunk)


def test_without_nodes_the_cninodes_still_tell_of_trunks() -> None:
    pods = [a_pod("p1", "n1"), a_pod("p2", "n2")]
    assert [it.trunk for it in targets(None, pods, None, None, {"n2"})] == [False, True]


@pytest.mark.parametrize(("capacity", "slot"), [(None, False), (0, False), (9, True)])
def test_a_node_that_offers_branch_enis_has_a_slot_for_their_trunk(
    capacity: int | None, slot: bool
) -> None:
    assert Target(Node(name="n1", pod_eni_capacity=capacity)).has_trunk_slot is slot


@pytest.mark.parametrize(
    ("labels", "group"),
    [
        pytest.param({}, "", id="none"),
        pytest.param({"alpha.eksctl.io/nodegroup-name": "e"}, "e", id="eksctl"),
        pytest.param(
            {"alpha.eksctl.io/nodegroup-name": "e", "karpenter.sh/nodepool": "k"},
            "k",
            id="karpenter before eksctl",
        ),
        pytest.param(
            {"karpenter.sh/nodepool": "k", "eks.amazonaws.com/nodegroup": "m"},
            "m",
            id="managed before karpenter",
        ),
        pytest.param(
            {"karpenter.sh/nodepool": "k", "eks.amazonaws.com/nodegroup": ""},
            "k",
            id="an empty label names nothing",
        ),
    ],
)
def test_the_node_group_is_the_first_label_that_names_one(
    labels: dict[str, str], group: str
) -> None:
    assert nodegroup(labels) == group


CUSTOM = {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"}
ZONE = "topology.kubernetes.io/zone"


def named(
    labels: Mapping[str, str],
    annotations: Mapping[str, str] | None = None,
    *,
    env: Mapping[str, str] = CUSTOM,
    version: str = "v1.19.0",
) -> str:
    """The ENIConfig of a node with these labels and annotations."""
    node = LabelledNode(Node(name="n1"), labels, "n1", annotations or {})
    pod = Pod(uid="u", name="p", namespace="kube-system", node="n1", cni_version=version, env=env)
    return eniconfig(node, pod)


EXTERNAL = "vpc.amazonaws.com/externalEniConfig"
CHOSEN = "k8s.amazonaws.com/eniConfig"


@pytest.mark.parametrize(
    ("labels", "annotations", "name"),
    [
        pytest.param({}, {}, "default", id="nothing said"),
        pytest.param({CHOSEN: "l"}, {}, "l", id="a label"),
        pytest.param({CHOSEN: "l"}, {CHOSEN: "a"}, "a", id="an annotation before a label"),
        pytest.param(
            {CHOSEN: "l", EXTERNAL: "e"}, {CHOSEN: "a"}, "e", id="the external label before all"
        ),
        pytest.param({CHOSEN: ""}, {}, "", id="an empty label names nothing, not the default"),
        pytest.param({CHOSEN: "l"}, {CHOSEN: ""}, "", id="neither does an annotation"),
    ],
)
def test_the_eniconfig_is_the_first_that_the_node_names(
    labels: Mapping[str, str], annotations: Mapping[str, str], name: str
) -> None:
    assert named(labels, annotations) == name


@pytest.mark.parametrize(
    ("env", "name"),
    [
        pytest.param({"ENI_CONFIG_LABEL_DEF": ZONE}, "a", id="the label"),
        pytest.param({"ENI_CONFIG_LABEL_DEF": HOSTNAME_LABEL}, "n1", id="the hostname"),
        pytest.param({"ENI_CONFIG_ANNOTATION_DEF": "team"}, "x", id="the annotation"),
        pytest.param(
            {"ENI_CONFIG_ANNOTATION_DEF": "none", "ENI_CONFIG_LABEL_DEF": "none"},
            "default",
            id="both, and the node has neither",
        ),
    ],
)
def test_the_cnis_settings_say_which_label_and_annotation_name_the_eniconfig(
    env: Mapping[str, str], name: str
) -> None:
    assert named({ZONE: "a"}, {"team": "x"}, env={**CUSTOM, **env}) == name


@pytest.mark.parametrize(
    ("version", "name"), [("v1.10.4", "default"), ("v1.11.0", "e"), ("mine", "e")]
)
def test_the_external_label_counts_since_its_release(version: str, name: str) -> None:
    assert named({EXTERNAL: "e"}, version=version) == name


def test_a_target_has_its_eniconfig_where_custom_networking_is_on_and_labels_are_known() -> None:
    node = a_node("n1", {CHOSEN: "x"})
    plain, custom = a_pod("p1"), replace(a_pod("p1"), env=CUSTOM)

    def target(nodes: Sequence[LabelledNode] | None, *pods: Pod) -> str:
        (found,) = targets(nodes, pods, EVERYWHERE if nodes else None, None)
        return found.eniconfig

    assert target([node], custom) == "x"
    assert [target([node], plain), target([node]), target(None, custom)] == ["", "", ""]


@pytest.mark.parametrize(
    ("requirement", "holds"),
    [
        pytest.param(Requirement("size", "In", ("3", "4")), True, id="In"),
        pytest.param(Requirement("size", "In", ("4",)), False, id="In others"),
        pytest.param(Requirement("size", "In", ()), False, id="In nothing"),
        pytest.param(Requirement("none", "In", ("3",)), False, id="In without label"),
        pytest.param(Requirement("size", "NotIn", ("4",)), True, id="NotIn others"),
        pytest.param(Requirement("size", "NotIn", ("3",)), False, id="NotIn"),
        pytest.param(Requirement("none", "NotIn", ("3",)), True, id="NotIn without label"),
        pytest.param(Requirement("size", "NotIn", ()), False, id="NotIn nothing is invalid"),
        pytest.param(Requirement("size", "Exists"), True, id="Exists"),
        pytest.param(Requirement("none", "Exists"), False, id="Exists without label"),
        pytest.param(Requirement("size", "Exists", ("3",)), False, id="Exists with value"),
        pytest.param(Requirement("none", "DoesNotExist"), True, id="DoesNotExist"),
        pytest.param(Requirement("size", "DoesNotExist"), False, id="DoesNotExist with label"),
        pytest.param(Requirement("none", "DoesNotExist", ("3",)), False, id="DoesNotExist value"),
        pytest.param(Requirement("size", "Gt", ("2",)), True, id="Gt"),
        pytest.param(Requirement("size", "Gt", ("3",)), False, id="Gt equal"),
        pytest.param(Requirement("size", "Lt", ("+10",)), True, id="Lt by number"),
        pytest.param(Requirement("size", "Lt", ("3",)), False, id="Lt equal"),
        pytest.param(Requirement("size", "Gt", ("1", "2")), False, id="Gt two values"),
        pytest.param(Requirement("none", "Gt", ("1",)), False, id="Gt without label"),
        pytest.param(Requirement("os", "Gt", ("1",)), False, id="Gt of a word"),
        pytest.param(Requirement("size", "Gt", ("1_0",)), False, id="Gt no Go integer"),
        pytest.param(Requirement("size", "Lt", (str(2**63),)), False, id="Lt beyond int64"),
        pytest.param(Requirement("size", "Gt", (str(-(2**63)),)), True, id="Gt smallest int64"),
        pytest.param(Requirement("size", "Like", ("3",)), False, id="unknown operator"),
        pytest.param(Requirement(HOSTNAME_LABEL, "In", ("n1",)), True, id="hostname"),
    ],
)
def test_a_condition_on_a_label_holds_as_kubernetes_defines_it(
    requirement: Requirement, holds: bool
) -> None:
    node = a_node("n1", {"size": "3", "os": "linux"})

    assert NodeSelector(terms=(Term((requirement,)),)).selects(node) is holds


@pytest.mark.parametrize(
    ("requirement", "holds"),
    [
        pytest.param(Requirement("metadata.name", "In", ("n1",)), True, id="this node"),
        pytest.param(Requirement("metadata.name", "In", ("n2",)), False, id="another"),
        pytest.param(Requirement("metadata.name", "NotIn", ("n2",)), True, id="not another"),
        pytest.param(Requirement("metadata.name", "NotIn", ("n1",)), False, id="not this"),
        pytest.param(Requirement("metadata.name", "In", ("n1", "n2")), False, id="two values"),
        pytest.param(Requirement("metadata.name", "Exists"), False, id="no such operator"),
        pytest.param(Requirement("metadata.uid", "In", ("n1",)), False, id="no such field"),
    ],
)
def test_a_condition_on_a_field_holds_as_kubernetes_defines_it(
    requirement: Requirement, holds: bool
) -> None:
    assert NodeSelector(terms=(Term(fields=(requirement,)),)).selects(a_node("n1")) is holds


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        pytest.param(EVERYWHERE, True, id="no conditions"),
        pytest.param(NOWHERE, False, id="affinity without terms"),
        pytest.param(NodeSelector(terms=(Term(),)), False, id="an empty term"),
        pytest.param(NodeSelector((("kubernetes.io/os", "linux"),)), True, id="label"),
        pytest.param(NodeSelector((("kubernetes.io/os", "windows"),)), False, id="other label"),
        pytest.param(
            NodeSelector((("kubernetes.io/os", "linux"),), ()), False, id="label and affinity"
        ),
        pytest.param(
            NodeSelector(terms=(Term(), Term((Requirement("kubernetes.io/os", "Exists"),)))),
            True,
            id="one term of two",
        ),
        pytest.param(
            NodeSelector(
                terms=(
                    Term(
                        (Requirement("kubernetes.io/os", "Exists"),),
                        (Requirement("metadata.name", "In", ("n2",)),),
                    ),
                )
            ),
            False,
            id="label holds, field does not",
        ),
    ],
)
def test_a_selector_is_labels_and_one_of_its_terms(selector: NodeSelector, selects: bool) -> None:
    assert selector.selects(a_node("n1")) is selects


KEYS = st.sampled_from(("os", "size", "zone", HOSTNAME_LABEL))
VALUES = st.sampled_from(("", "a", "linux", "1", "2", "-1", "+2", " 1", "1_0", "n1", str(2**63)))
OPERATORS = st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "gt", ""))
REQUIREMENTS = st.builds(Requirement, KEYS, OPERATORS, st.lists(VALUES, max_size=2).map(tuple))
FIELDS = st.builds(
    Requirement,
    st.sampled_from(("metadata.name", "metadata.uid")),
    OPERATORS,
    st.lists(VALUES, max_size=2).map(tuple),
)
TERMS = st.builds(
    Term, st.lists(REQUIREMENTS, max_size=2).map(tuple), st.lists(FIELDS, max_size=1).map(tuple)
)
SELECTORS = st.builds(
    NodeSelector,
    st.lists(st.tuples(KEYS, VALUES), max_size=1).map(tuple),
    st.none() | st.lists(TERMS, max_size=3).map(tuple),
)


@given(SELECTORS, st.dictionaries(KEYS, VALUES, max_size=4), st.sampled_from(("n1", "linux")))
def test_a_selector_agrees_with_a_plain_reading_of_the_rules(
    selector: NodeSelector, labels: dict[str, str], name: str
) -> None:
    shared = {key: value for key, value in labels.items() if key != HOSTNAME_LABEL}
    node = LabelledNode(Node(name=name), shared, labels.get(HOSTNAME_LABEL))

    assert selector.selects(node) is by_the_rules(selector, labels, name)


def by_the_rules(selector: NodeSelector, labels: dict[str, str], name: str) -> bool:
    """Say the same in the words of Kubernetes' documentation, one case after the other."""
    for key, value in selector.labels:
        if key not in labels or labels[key] != value:
            return False
    if selector.terms is None:
        return True
    for term in selector.terms:
        results = [label_rule(it, labels) for it in term.expressions]
        results += [field_rule(it, {"metadata.name": name}) for it in term.fields]
        if results and False not in results:
            return True
    return False


def label_rule(it: Requirement, labels: dict[str, str]) -> bool:
    given, values = labels.get(it.key), list(it.values)
    if it.operator == "In":
        return len(values) > 0 and it.key in labels and given in values
    if it.operator == "NotIn":
        return len(values) > 0 and (it.key not in labels or given not in values)
    if it.operator == "Exists":
        return values == [] and it.key in labels
    if it.operator == "DoesNotExist":
        return values == [] and it.key not in labels
    return it.operator in ("Gt", "Lt") and number_rule(it, given)


def number_rule(it: Requirement, given: str | None) -> bool:
    integers = {"1": 1, "2": 2, "-1": -1, "+2": 2}
    if len(it.values) != 1 or given not in integers or it.values[0] not in integers:
        return False
    left, right = integers[given], integers[it.values[0]]
    return left > right if it.operator == "Gt" else left < right


def field_rule(it: Requirement, fields: dict[str, str]) -> bool:
    if len(it.values) != 1:
        return False
    if it.operator == "In":
        return fields.get(it.key, "") == it.values[0]
    return it.operator == "NotIn" and fields.get(it.key, "") != it.values[0]
