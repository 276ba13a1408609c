"""ipamd's warm pool: a node's ENIs and addresses as values, and pure steps from one to the next.

The simulator steps it through time against its own subnets, the planner asks where it rests.
"""

from exporter.core.pool.choice import Choose, first
from exporter.core.pool.ec2 import (
    AssignPrivateIpAddresses,
    AttachNetworkInterface,
    CreateNetworkInterface,
    DeleteNetworkInterface,
    DescribeNetworkInterfaces,
    DetachNetworkInterface,
    Ec2,
    Granted,
    ModifyNetworkInterfaceAttribute,
    Refused,
    Request,
    Tally,
    UnassignPrivateIpAddresses,
)
from exporter.core.pool.loop import reconcile, start, step
from exporter.core.pool.pods import Assigned, assign, unassign
from exporter.core.pool.resting import Plenty, Rest, Settled, rest, settle
from exporter.core.pool.settings import Limits, Rules, Settings
from exporter.core.pool.state import (
    IPV6_PREFIX,
    NEVER,
    PREFIX,
    SINGLE,
    Address,
    Addresses,
    Cidr,
    Eni,
    Pool,
    Stock,
    Stray,
)

__all__ = [
    "IPV6_PREFIX",
    "NEVER",
    "PREFIX",
    "SINGLE",
    "Address",
    "Addresses",
    "AssignPrivateIpAddresses",
    "Assigned",
    "AttachNetworkInterface",
    "Choose",
    "Cidr",
    "CreateNetworkInterface",
    "DeleteNetworkInterface",
    "DescribeNetworkInterfaces",
    "DetachNetworkInterface",
    "Ec2",
    "Eni",
    "Granted",
    "Limits",
    "ModifyNetworkInterfaceAttribute",
    "Plenty",
    "Pool",
    "Refused",
    "Request",
    "Rest",
    "Rules",
    "Settings",
    "Settled",
    "Stock",
    "Stray",
    "Tally",
    "UnassignPrivateIpAddresses",
    "assign",
    "first",
    "reconcile",
    "rest",
    "settle",
    "start",
    "step",
    "unassign",
]
