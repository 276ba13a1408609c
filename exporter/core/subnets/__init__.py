"""Who holds each address of a subnet; the uses of its addresses add up to its size."""

from exporter.core.subnets.accounts import LEAK_SECONDS, accounts
from exporter.core.subnets.nodes import facts_of, nodes_of
from exporter.core.subnets.rooms import rooms
from exporter.core.subnets.values import Memory, Reserved, Role, SubnetUsage, Survey

__all__ = [
    "LEAK_SECONDS",
    "Memory",
    "Reserved",
    "Role",
    "SubnetUsage",
    "Survey",
    "accounts",
    "facts_of",
    "nodes_of",
    "rooms",
]
