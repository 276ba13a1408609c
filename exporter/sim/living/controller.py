"""The VPC resource controller of EKS: trunk ENIs for nodes whose ipamd wants one, and branch ENIs
for the pods that have security groups of their own.

ipamd adopts a trunk at its next reconcile, and never hears of branches.
"""

import itertools
from collections.abc import Iterable
from dataclasses import replace

from exporter.core.pool import Eni
from exporter.sim.living.host import Host, Time
from exporter.sim.vpc import NewEni, Refusal, Vpc

_COOLDOWN = 60.0
_TAGS = "vpcresources.k8s.aws"


class Controller:
    """Attaches trunks, and keeps the branch ENI of each pod that has one.

    It does nothing for the `idle` instances, whatever ipamd asks for there.
    """

    def __init__(self, vpc: Vpc, time: Time) -> None:
        self._vpc = vpc
        self._time = time
        self.idle: set[str] = set()
        self._branches: dict[str, str] = {}
        self._vlans = itertools.count(1)
        self._cooling: list[tuple[float, str]] = []

    def attach_trunks(self, hosts: Iterable[Host]) -> None:
        """Attach a trunk to each host whose node is short of one and has room for it."""
        for host in hosts:
            instance = self._vpc.instances[host.ec2.instance]
            known = host.pool.has_trunk or any(eni.trunk for eni in host.pool.unadopted)
            wanted = host.wants_trunk and not known and instance.id not in self.idle
            if wanted and len(instance.attached) < instance.max_enis:
                self._attach_trunk(host)

    def branch(self, pod: str, host: Host) -> bool:
        """Give a pod a branch ENI, and say whether its subnet had an address for it."""
        if pod not in self._branches:
            eni = self._made(host, "branch")
            if eni is None:
                return False
            self._vpc.hand_over(eni, self._vpc.account)
            self._branches[pod] = eni
        return True

    def release(self, pod: str) -> None:
        """Let a pod's branch ENI cool down, if it has one."""
        if (eni := self._branches.pop(pod, None)) is not None:
            self._cooling.append((self._time.now + _COOLDOWN, eni))

    def tick(self) -> None:
        """Delete the branch ENIs that have cooled down."""
        while self._cooling and self._cooling[0][0] <= self._time.now:
            _, eni = self._cooling.pop(0)
            self._vpc.detach(eni)
            self._vpc.delete(eni)

    def _attach_trunk(self, host: Host) -> None:
        trunk = self._made(host, "trunk")
        if trunk is None:
            return
        attachment = self._vpc.attach(trunk, host.ec2.instance)
        attachment.delete_on_termination = True
        subnet = self._vpc.eni(trunk).subnet
        eni = Eni(trunk, subnet=subnet, device=attachment.device, trunk=True)
        host.pool = replace(host.pool, unadopted=(*host.pool.unadopted, eni))

    def _made(self, host: Host, kind: str) -> str | None:
        tags = {
            "node.k8s.amazonaws.com/instance_id": host.ec2.instance,
            "eks:eni:owner": "eks-vpc-resource-controller",
            f"kubernetes.io/cluster/{host.ec2.cluster}": "owned",
        }
        if kind == "branch":
            trunk = next(eni.id for eni in host.pool.enis if eni.trunk)
            tags[f"{_TAGS}/trunk-eni-id"] = trunk
            tags[f"{_TAGS}/vlan-id"] = str(next(self._vlans))
        new = NewEni(
            subnet=host.ec2.pods_in or host.ec2.home,
            interface_type=kind,
            description=f"aws-k8s-{kind}-eni",
            tags=tags,
            use="pod_branch" if kind == "branch" else "node",
        )
        try:
            return self._vpc.create(new).id
        except Refusal:
            return None
