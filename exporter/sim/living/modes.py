"""A node group for every mode of the CNI, and which nodes of each are where.

As EKS users do it: a DaemonSet of its own for what one DaemonSet cannot be set to for all nodes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.sim.cluster import LATEST
from exporter.sim.fleet import ZONES
from exporter.sim.living.types import Group, InstanceType, Stranger
from exporter.sim.living.world import NO_MANAGE

# What all aws-node pods are set to where their group says nothing else.
ENV: Mapping[str, str] = {"ENABLE_PREFIX_DELEGATION": "false", "ENABLE_POD_ENI": "false"}

_LARGE = InstanceType("m5.large", 3, 10, 2000, branches=9)
_XLARGE = InstanceType("m5.xlarge", 4, 15, 4000, branches=18)
# Of these a share of the CPU will do, or all pods would go there.
_TWO_CARDS = InstanceType("c6in.32xlarge", 8, 50, 3000, cards=2)
_FOUR_CARDS = InstanceType("p4d.24xlarge", 15, 50, 3000, cards=4)

_PREFIXES = {"ENABLE_PREFIX_DELEGATION": "true"}
_CUSTOM = {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"}
_FEW = {"WARM_IP_TARGET": "3", "MINIMUM_IP_TARGET": "6"}
_IPV6 = {"ENABLE_IPv4": "false", "ENABLE_IPv6": "true", **_PREFIXES}
_BY_ZONE = {"ENI_CONFIG_LABEL_DEF": "topology.kubernetes.io/zone"}

PLAIN = Group("plain", _LARGE)
GROUPS = (
    PLAIN,
    Group("off", _LARGE, env={"DISABLE_INTROSPECTION": "true"}),
    Group("socket", _LARGE, env={"INTROSPECTION_BIND_ADDRESS": "unix:/var/run/aws-node/i.sock"}),
    Group("prefix", _XLARGE, env=_PREFIXES),
    Group("tight", _XLARGE, env=_PREFIXES, home="tight"),
    # Without room for another ENI, ipamd does not wait after a full subnet's answer.
    Group("tight-capped", _XLARGE, env={**_PREFIXES, "MAX_ENI": "1"}, home="tight"),
    Group("to-prefix", _LARGE, env=_PREFIXES, before={"ENABLE_PREFIX_DELEGATION": "false"}),
    Group("to-secondary", _LARGE, before=_PREFIXES),
    Group("custom", _LARGE, env={**_CUSTOM, **_BY_ZONE}),
    Group(
        "custom-secure",
        _XLARGE,
        env={**_CUSTOM, **_PREFIXES, "ENABLE_POD_ENI": "true"},
        labels={"k8s.amazonaws.com/eniConfig": "reserve"},
    ),
    Group("picky", _LARGE, home="picky"),
    Group(
        "custom-picky",
        _LARGE,
        env=_CUSTOM,
        labels={"k8s.amazonaws.com/eniConfig": "spare"},
        home="picky",
    ),
    Group("secure", _XLARGE, env={"ENABLE_POD_ENI": "true"}),
    Group("asked", _LARGE, env={"ENABLE_POD_ENI": "true"}, trunks=False),
    Group("cards", _TWO_CARDS, env={**_FEW, "ENABLE_MULTI_NIC": "true"}),
    Group(
        "efa",
        _FOUR_CARDS,
        env=_FEW,
        strangers=(
            Stranger({NO_MANAGE: "true"}, card=1, interface_type="efa"),
            Stranger(card=2, interface_type="efa"),
        ),
    ),
    Group("ipv6", _LARGE, env=_IPV6),
    Group("unmanaged", _LARGE, strangers=(Stranger({NO_MANAGE: "true"}),)),
    Group(
        "untagged", _LARGE, env={"MANAGE_UNTAGGED_ENI": "false"}, strangers=(Stranger(), Stranger())
    ),
    Group("capped", _LARGE, env={"MAX_ENI": "2"}),
    Group("full", _LARGE, max_pods=11),
    Group("forced", _LARGE),
    Group("rolling", _LARGE),
    Group("lean", _LARGE, env={"WARM_IP_TARGET": "2"}, label="karpenter.sh/nodepool"),
)
BY_NAME: Mapping[str, Group] = {group.name: group for group in GROUPS}
ROLLED_FROM = "v1.19.2-eksbuild.1"


@dataclass(frozen=True, slots=True)
class Place:
    """One node: its group, the number of its zone, and the release that runs there."""

    group: str
    zone: int = 0
    release: str = LATEST

    @property
    def zone_name(self) -> str:
        return ZONES[self.zone]


def _each(group: str, *releases: str) -> tuple[Place, ...]:
    return tuple(
        Place(group, number % len(ZONES), f"v{release}-eksbuild.1")
        for number, release in enumerate(releases)
    )


PLACES = (
    *_each("plain", "1.6.4", "1.8.0", "1.9.3", "1.12.6", "1.16.4", "1.19.2", "1.20.0", "1.20.4"),
    Place("off", 1),
    Place("socket", 2, "v1.19.6-eksbuild.1"),
    *_each("prefix", "1.23.1", "1.22.1", "1.10.4"),
    Place("tight", 1),
    Place("to-prefix"),
    Place("to-secondary", 1, "v1.20.4-eksbuild.1"),
    *_each("custom", "1.23.1", "1.12.6", "1.19.2"),
    Place("custom-secure", 1),
    *_each("picky", "1.23.1"),
    Place("picky", 0, "v1.22.1-eksbuild.1"),
    *_each("secure", "1.23.1", "1.16.4"),
    Place("asked", 2, "v1.20.4-eksbuild.1"),
    *_each("cards", "1.23.1", "1.20.4"),
    Place("efa", 2),
    *_each("ipv6", "1.23.1", "1.12.6"),
    Place("unmanaged", 1),
    Place("untagged", 2),
    *_each("capped", "1.23.1", "1.18.6"),
    Place("full", 1),
    *_each("forced", "1.23.1", "1.20.4"),
    *(Place("rolling", zone, ROLLED_FROM) for zone in range(len(ZONES))),
    Place("lean", 2),
    Place("tight-capped", 1),
    Place("custom-picky", 0),
)
