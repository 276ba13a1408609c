"""The VPC resource controller of EKS, as far as it attaches trunk ENIs to nodes whose ipamd wants
one.

ipamd adopts a trunk at its next reconcile.
"""

from collections.abc import Iterable
from dataclasses import replace

from exporter.core.pool import Eni
from exporter.sim.living.kubelets import LivingNode
from exporter.sim.vpc import NewEni, Refusal, Vpc


def attach_missing_trunks(vpc: Vpc, nodes: Iterable[LivingNode]) -> None:
    """Attach a trunk to each node that wants one and has room for it."""
    for node in nodes:
        ipamd, held = node.ipamd, node.host.pool
        wanted = ipamd is not None and ipamd.rules.wants_trunk and not held.has_trunk
        if wanted and not any(eni.trunk for eni in held.unadopted):
            _attach(vpc, node)


def _attach(vpc: Vpc, node: LivingNode) -> None:
    host, instance = node.host, node.node.instance_id
    if len(vpc.instances[instance].attached) >= vpc.instances[instance].max_enis:
        return
    new = NewEni(
        subnet=host.ec2.home,
        interface_type="trunk",
        description="aws-k8s-trunk-eni",
        tags={
            "node.k8s.amazonaws.com/instance_id": instance,
            "eks:eni:owner": "eks-vpc-resource-controller",
            f"kubernetes.io/cluster/{host.ec2.cluster}": "owned",
        },
        use="node",
    )
    try:
        trunk = vpc.create(new)
    except Refusal:
        return
    attachment = vpc.attach(trunk.id, instance)
    attachment.delete_on_termination = True
    eni = Eni(trunk.id, subnet=trunk.subnet, device=attachment.device, trunk=True)
    host.pool = replace(host.pool, unadopted=(*host.pool.unadopted, eni))
