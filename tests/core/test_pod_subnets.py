from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.model import Subnet, Target
from exporter.core.pod_subnets import discovers_subnets, pod_subnets
from tests.builders import node, pod, target
from tests.core.subnet_worlds import subnet

ROLE = "kubernetes.io/role/cni"
KEPT = "cni.networking.k8s.aws/cluster/"
CUSTOM = {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"}
NO_DISCOVERY = {"ENABLE_SUBNET_DISCOVERY": "false"}
NEWEST = "v1.23.1"


def runs(version: str = NEWEST, env: Mapping[str, str] | None = None, config: str = "") -> Target:
    """A node whose aws-node is of this release and has this environment."""
    return replace(target(node(), pod(cni_version=version, env=env)), eniconfig=config)


def tagged(id: str, **tags: str) -> Subnet:
    return subnet(id=id, tags=tags)


def by_id(*subnets: Subnet) -> dict[str, Subnet]:
    return {it.id: it for it in subnets}


HOME = subnet(id="subnet-home")


def found(
    *others: Subnet, where: Target | None = None, home: Subnet = HOME
) -> tuple[str, ...] | None:
    return pod_subnets(where or runs(), home.id, by_id(*others, home), {})


def test_pods_are_where_their_node_is() -> None:
    assert found() == ("subnet-home",)


def test_a_subnet_that_has_no_tag_for_the_cni_is_not_for_pods() -> None:
    assert found(tagged("subnet-a"), tagged("subnet-b", Name="pods")) == ("subnet-home",)


@pytest.mark.parametrize(
    ("value", "version", "is_open"),
    [
        pytest.param("1", "v1.18.0", True, id="the first release that looks"),
        pytest.param("1", "v1.17.1", False, id="the last that does not"),
        pytest.param("0", "v1.21.9", True, id="any value will do"),
        pytest.param("", "v1.21.9", True, id="no value as well"),
        pytest.param("0", "v1.22.0", False, id="0 excludes"),
        pytest.param("", "v1.22.0", False, id="no value means nothing"),
        pytest.param("yes", "v1.22.0", True, id="anything else includes"),
        pytest.param("1", "latest", True, id="a release nobody knows"),
        pytest.param("0", "latest", False, id="is taken for the newest"),
    ],
)
def test_a_tagged_subnet_is_open_to_pods_as_the_release_has_it(
    value: str, version: str, is_open: bool
) -> None:
    others = tagged("subnet-pods", **{ROLE: value})
    expected = ("subnet-home", "subnet-pods") if is_open else ("subnet-home",)
    assert found(others, where=runs(version)) == expected


@pytest.mark.parametrize(
    ("version", "value", "env", "expected"),
    [
        pytest.param("v1.22.0", "0", {}, ("subnet-pods",), id="0 excludes it"),
        pytest.param("v1.22.0", "0", NO_DISCOVERY, (), id="which may leave none"),
        pytest.param("v1.21.9", "0", {}, ("subnet-home", "subnet-pods"), id="but not before"),
        pytest.param("v1.22.0", "", {}, ("subnet-home", "subnet-pods"), id="no value"),
        pytest.param("v1.22.0", "1", {}, ("subnet-home", "subnet-pods"), id="1"),
    ],
)
def test_the_nodes_own_subnet_is_open_unless_it_is_excluded(
    version: str, value: str, env: Mapping[str, str], expected: tuple[str, ...]
) -> None:
    home = replace(HOME, tags={ROLE: value})
    pods = tagged("subnet-pods", **{ROLE: "1"})
    assert found(pods, where=runs(version, env), home=home) == expected


@pytest.mark.parametrize(
    ("tags", "cluster", "version", "is_open"),
    [
        pytest.param({KEPT + "green": ""}, "green", "v1.22.1", True, id="kept for this one"),
        pytest.param({KEPT + "blue": ""}, "green", "v1.22.1", False, id="kept for another"),
        pytest.param({KEPT + "blue": ""}, "green", "v1.22.0", True, id="which is a later rule"),
        pytest.param(
            {KEPT + "blue": "", KEPT + "green": ""}, "green", "v1.22.1", True, id="kept for both"
        ),
        pytest.param({KEPT + "blue": ""}, "", "v1.22.1", True, id="the name is not set"),
        pytest.param({}, "green", "v1.22.1", True, id="kept for none"),
    ],
)
def test_a_subnet_that_is_kept_for_clusters_is_open_to_those_alone(
    tags: Mapping[str, str], cluster: str, version: str, is_open: bool
) -> None:
    others = tagged("subnet-pods", **{ROLE: "1", **tags})
    env = {"CLUSTER_NAME": cluster} if cluster else {}
    expected = ("subnet-home", "subnet-pods") if is_open else ("subnet-home",)
    assert found(others, where=runs(version, env)) == expected


def test_subnets_of_other_zones_and_vpcs_are_not_for_a_nodes_pods() -> None:
    other_zone = replace(tagged("subnet-a", **{ROLE: "1"}), zone="eu-west-1b")
    other_vpc = replace(tagged("subnet-b", **{ROLE: "1"}), vpc_id="vpc-2")
    assert found(other_zone, other_vpc) == ("subnet-home",)


def test_the_nodes_own_comes_first_and_the_others_by_id() -> None:
    others = (tagged(f"subnet-{letter}", **{ROLE: "1"}) for letter in "zah")
    assert found(*others) == ("subnet-home", "subnet-a", "subnet-h", "subnet-z")


@pytest.mark.parametrize(
    ("env", "looks"),
    [
        pytest.param({}, True, id="by default"),
        pytest.param({"ENABLE_SUBNET_DISCOVERY": "true"}, True, id="on"),
        pytest.param({"ENABLE_SUBNET_DISCOVERY": "F"}, False, id="off"),
        pytest.param({"ENABLE_SUBNET_DISCOVERY": "no"}, True, id="no boolean is the default"),
        pytest.param(CUSTOM, False, id="not with custom networking"),
    ],
)
def test_subnets_are_discovered_unless_that_is_switched_off(
    env: Mapping[str, str], looks: bool
) -> None:
    assert discovers_subnets(pod(cni_version=NEWEST, env=env)) is looks
    pods = tagged("subnet-pods", **{ROLE: "1"})
    if env is not CUSTOM:
        expected = ("subnet-home", "subnet-pods") if looks else ("subnet-home",)
        assert found(pods, where=runs(env=env)) == expected


def test_custom_networking_has_pods_where_the_eniconfig_says_and_nowhere_else() -> None:
    known = by_id(HOME, tagged("subnet-pods", **{ROLE: "1"}))
    where = runs(env=CUSTOM, config="eu-west-1a")
    configs = {"eu-west-1a": "subnet-x", "default": "subnet-y"}
    assert pod_subnets(where, "subnet-home", known, configs) == ("subnet-x",)
    assert pod_subnets(where, "", {}, configs) == ("subnet-x",)


@pytest.mark.parametrize(
    ("where", "home"),
    [
        pytest.param(Target(node()), "subnet-home", id="no aws-node tells how"),
        pytest.param(runs(env=CUSTOM, config="other"), "subnet-home", id="no such ENIConfig"),
        pytest.param(runs(env=CUSTOM), "subnet-home", id="labels that may not be read"),
        pytest.param(runs(), "", id="EC2 did not tell where the node is"),
        pytest.param(runs(), "subnet-new", id="nor of that subnet"),
    ],
)
def test_what_is_not_certain_is_not_known(where: Target, home: str) -> None:
    assert pod_subnets(where, home, by_id(HOME), {"default": "subnet-x"}) is None


ROLES = st.sampled_from((None, "", "0", "1"))


@st.composite
def subnets(draw: st.DrawFn) -> dict[str, Subnet]:
    drawn = {}
    for i in range(draw(st.integers(1, 6))):
        tags = {} if (role := draw(ROLES)) is None else {ROLE: role}
        for cluster in draw(st.sets(st.sampled_from(("green", "blue")))):
            tags[KEPT + cluster] = ""
        zone = draw(st.sampled_from(("a", "b")))
        drawn[f"subnet-{i}"] = replace(subnet(id=f"subnet-{i}", tags=tags), zone=zone)
    return drawn


VERSIONS = st.sampled_from(("v1.16.0", "v1.18.0", "v1.22.0", "v1.22.1", "latest"))


@given(subnets(), VERSIONS, st.sampled_from(({}, NO_DISCOVERY, {"CLUSTER_NAME": "green"})))
def test_a_subnet_is_open_or_not_whatever_others_there_are(
    known: dict[str, Subnet], version: str, env: Mapping[str, str]
) -> None:
    where, home = runs(version, env), known["subnet-0"]
    alone = [
        id
        for id, it in known.items()
        if id in (pod_subnets(where, home.id, by_id(home, it), {}) or ())
    ]
    assert pod_subnets(where, home.id, known, {}) == tuple(alone)
    assert all(known[id].zone == home.zone for id in alone)
