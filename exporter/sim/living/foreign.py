"""Who else lives in the subnets: load balancers, NAT gateways, databases, other clusters, and what
was left behind.

Each is described as AWS describes it, and called in the truth by the use that it has.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.sim.living.node_ec2 import stamp
from exporter.sim.vpc import Eni, Instance, NewEni, Subnet, Vpc

OTHER_ACCOUNT = "444455556666"
_LONG_AGO = 86_400.0 * 40
_LEAKED_FOR = 3 * 3600.0
_K8S = "node.k8s.amazonaws.com"


@dataclass(frozen=True, slots=True)
class Consumer:
    """One kind of ENI: how many per 256 addresses, how it looks, and what AWS attached it to."""

    use: str
    per_256: float
    description: str
    requester: str = ""
    attached_to: str = "amazon-aws"
    type: str = "interface"
    secondary: int = 0
    owner: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    def new(self, subnet: Subnet, rng: random.Random) -> NewEni:
        """One such ENI in a subnet; `#` in its description is an id."""
        return NewEni(
            subnet=subnet.id,
            secondary=self.secondary,
            owner=self.owner,
            interface_type=self.type,
            description=self.description.replace("#", f"{rng.getrandbits(64):016x}"),
            requester=self.requester,
            tags=self.tags,
            use=self.use,
        )


_ROLE = "AROA7EXAMPLE6EXAMPLE1:"
_FUNCTION = Consumer("lambda", 4, "AWS Lambda VPC ENI-orders-#", f"{_ROLE}orders", type="lambda")
_CONSUMERS = (
    Consumer("load_balancer", 3, "ELB app/k8s-shop-web-1f2e3d4c5b/#", "amazon-elb", "amazon-elb"),
    Consumer("load_balancer", 1, "ELB net/ingress/#", "amazon-elb", type="network_load_balancer"),
    Consumer(
        "nat_gateway", 0, "Interface for NAT Gateway nat-0#", "222233334444", type="nat_gateway"
    ),
    Consumer(
        "vpc_endpoint",
        1.5,
        "VPC Endpoint Interface vpce-0#",
        "333344445555",
        type="vpc_endpoint",
    ),
    _FUNCTION,
    Consumer("database", 1, "RDSNetworkInterface", "amazon-rds", "amazon-rds"),
    Consumer("eks_control_plane", 0, "Amazon EKS sim", "555566667777"),
    Consumer("fargate", 1, "", f"{_ROLE}AWSServiceRoleForAmazonEKSForFargate"),
    Consumer("other", 1, "Bastion of the platform team", attached_to=OTHER_ACCOUNT),
)
# In a shared subnet we are not shown what others have.
_UNSEEN = Consumer("unattributed", 5, "", owner=OTHER_ACCOUNT, attached_to=OTHER_ACCOUNT)
_LEAKED: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("leaked", {"cluster.k8s.amazonaws.com/name": "sim", "eks:eni:owner": "amazon-vpc-cni"}),
    ("leaked", {}),
    ("other_cluster", {"cluster.k8s.amazonaws.com/name": "other"}),
)


class Foreign:
    """The ENIs of others, a few of which come and go."""

    def __init__(self, vpc: Vpc, rng: random.Random) -> None:
        self._vpc = vpc
        self._rng = rng
        self._passing: list[Eni] = []
        self._crowd: list[Eni] = []
        self._left: list[Eni] = []

    def settle(self, subnet: Subnet) -> None:
        """Fill a subnet with what lives there beside the cluster."""
        size = subnet.size / 256
        for consumer in _CONSUMERS:
            for _ in range(max(1, math.floor(consumer.per_256 * size))):
                self._make(consumer, subnet)
        if subnet.owner != self._vpc.account:
            for _ in range(math.floor(_UNSEEN.per_256 * size)):
                self._make(_UNSEEN, subnet)
        for number in range(max(1, math.floor(size / 2))):
            self._other_clusters_node(subnet, number)
        for use, tags in _LEAKED:
            self._leak(subnet, use, tags)

    def tick(self) -> None:
        """Let one more Lambda function begin or end somewhere."""
        rng = self._rng
        if self._passing and rng.random() < 0.5:
            self._end(self._passing.pop(rng.randrange(len(self._passing))))
            return
        subnet = rng.choice(list(self._vpc.subnets.values()))
        if subnet.available > subnet.size // 20:
            self._passing.append(self._make(_FUNCTION, subnet))

    def crowd(self, subnet: Subnet, count: int) -> None:
        """Let so many Lambda functions begin in a subnet, as far as it has addresses."""
        for _ in range(min(count, subnet.available)):
            self._crowd.append(self._make(_FUNCTION, subnet))

    @property
    def crowded(self) -> bool:
        """Whether any of a crowd is left."""
        return bool(self._crowd)

    def disperse(self, count: int) -> None:
        """Let so many of a crowd end."""
        for eni in self._crowd[:count]:
            self._end(eni)
        del self._crowd[:count]

    def sweep(self) -> list[str]:
        """Delete what was left behind before the story began, and return the ENIs' ids."""
        swept = [eni.id for eni in self._left]
        for eni in swept:
            self._vpc.delete(eni)
        self._left.clear()
        return swept

    def _end(self, eni: Eni) -> None:
        self._vpc.detach(eni.id)
        self._vpc.delete(eni.id)

    def _make(self, consumer: Consumer, subnet: Subnet) -> Eni:
        eni = self._vpc.create(consumer.new(subnet, self._rng))
        eni.created_at -= _LONG_AGO
        self._vpc.hand_over(eni.id, consumer.attached_to)
        return eni

    def _other_clusters_node(self, subnet: Subnet, number: int) -> None:
        instance = Instance(self._vpc.new_id("i"), "m5.large", 3, 10)
        tags = {
            f"{_K8S}/instance_id": instance.id,
            "cluster.k8s.amazonaws.com/name": "other",
            "kubernetes.io/cluster/other": "owned",
        }
        new = NewEni(subnet=subnet.id, secondary=number % 9, tags=tags, use="other_cluster")
        self._vpc.launch(instance, new)

    def _leak(self, subnet: Subnet, use: str, tags: Mapping[str, str]) -> None:
        instance = self._vpc.new_id("i")
        created = self._vpc.clock() - _LEAKED_FOR
        marks = {f"{_K8S}/instance_id": instance, f"{_K8S}/createdAt": stamp(created)}
        eni = self._vpc.create(
            NewEni(
                subnet=subnet.id,
                secondary=3,
                description=f"aws-K8S-{instance}",
                tags={**marks, **tags},
                use=use,
            )
        )
        eni.created_at = created
        self._left.append(eni)
