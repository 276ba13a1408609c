"""The machines of a living cluster: instance types with their limits, and the node groups."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.core.pool import Limits, Settings
from exporter.sim.nodes import Machine

# What a node runs in its own network: aws-node and kube-proxy.
HOST_PODS = 2
_PODS_CAP = 110


@dataclass(frozen=True, slots=True)
class InstanceType:
    """A type's ENIs, IPv4 addresses of each, CPU in thousandths, branch ENIs and hypervisor.

    The ENIs are those of each of its network `cards`.
    """

    name: str
    enis: int
    ipv4_per_eni: int
    cpu: int
    branches: int = 0
    nitro: bool = True
    cards: int = 1

    def limits(self, settings: Settings) -> Limits:
        """What it allows ipamd with these settings; max pods are those of a managed node group."""
        enis = settings.max_eni if 1 <= settings.max_eni < self.enis else self.enis
        prefix = settings.prefix_delegation and self.nitro
        per_eni = (self.ipv4_per_eni - 1) * (16 if prefix else 1)
        pods = (enis - settings.custom_networking) * per_eni + HOST_PODS
        return Limits(
            enis=self.enis,
            ipv4_per_eni=self.ipv4_per_eni,
            max_pods=min(pods, _PODS_CAP),
            trunk_capable=self.branches > 0,
            prefix_capable=self.nitro,
        )


@dataclass(frozen=True, slots=True)
class Stranger:
    """An ENI that is none of ipamd's: its tags, and the network card it is on."""

    tags: Mapping[str, str] = field(default_factory=dict)
    card: int = 0
    interface_type: str = "interface"


@dataclass(frozen=True, slots=True)
class Group:
    """A node group: what it is made of, how much of the cluster it is, and who labels it.

    `env` is what its aws-node is set to beside what all are, and `before` what it was set to when
    the first pods came; `home` names the subnets of its nodes. `max_pods` is the kubelet's, where
    somebody set it; without `trunks` nobody attaches any. `strangers` are ENIs that somebody else
    attached, and that ipamd leaves alone.
    """

    name: str
    type: InstanceType
    share: int = 0
    label: str = "eks.amazonaws.com/nodegroup"
    env: Mapping[str, str] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    home: str = "nodes"
    max_pods: int = 0
    trunks: bool = True
    strangers: tuple[Stranger, ...] = ()

    def machine(self, zone: str, settings: Settings) -> Machine:
        """One machine of the group, as the Kubernetes API shows it."""
        return Machine(
            self.type.name,
            zone,
            self.max_pods or self.type.limits(settings).max_pods,
            group=self.name,
            group_label=self.label,
            pod_eni=self.type.branches if settings.pod_eni and self.trunks else 0,
            labels=self.labels,
        )


_GROUPS = (
    Group("general", InstanceType("m5.xlarge", 4, 15, 4000, branches=18), share=5),
    Group("compute", InstanceType("m5.2xlarge", 4, 15, 8000, branches=38), share=3),
    # Not nitro, so ipamd ignores the prefix setting there and hands out single addresses.
    Group("legacy", InstanceType("m4.2xlarge", 4, 15, 8000, nitro=False), share=2),
    Group(
        "burst",
        InstanceType("m6g.large", 3, 10, 2000, branches=9),
        share=2,
        label="karpenter.sh/nodepool",
    ),
)
GROUPS: Mapping[str, Group] = {group.name: group for group in _GROUPS}
