"""Nodes that never run aws-node, beside those that do: Fargate, Windows, Auto Mode and hybrid ones.

Somebody else sees to their ENIs: the VPC resource controller of Windows nodes gives pods secondary
addresses of the primary ENI, and Auto Mode delegates prefixes.
"""

from exporter.sim.cluster import Cluster
from exporter.sim.nodes import Kind, Machine
from exporter.sim.vpc import Instance, NewEni, Subnet, Vpc

_HOUR = 3600.0
_MACHINES = (
    Machine("", "", 1, kind=Kind.FARGATE),
    Machine("m5.large", "", 110, group="windows", kind=Kind.WINDOWS),
    Machine("c6g.large", "", 27, kind=Kind.AUTO),
    Machine("", "", 110, kind=Kind.HYBRID),
)


def settle(cluster: Cluster, vpc: Vpc, subnets: list[Subnet]) -> None:
    """Put in one node of each kind, over these subnets in turn."""
    for number, machine in enumerate(_MACHINES):
        subnet = subnets[number % len(subnets)]
        placed = Machine(
            machine.instance_type,
            subnet.zone,
            machine.max_pods,
            group=machine.group,
            kind=machine.kind,
        )
        node = cluster.new_node(placed, age=_HOUR)
        cluster.add(node, None)
        if machine.kind in {Kind.WINDOWS, Kind.AUTO}:
            windows = machine.kind is Kind.WINDOWS
            instance = Instance(node.instance_id, machine.instance_type, 3, 10)
            new = NewEni(
                subnet=subnet.id,
                secondary=4 if windows else 0,
                prefixes=0 if windows else 1,
                use="node",
            )
            vpc.launch(instance, new)
