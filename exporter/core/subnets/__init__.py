"""Who holds each address of a subnet; the uses of its addresses add up to its size."""

from exporter.core.subnets.accounts import LEAK_SECONDS, accounts
from exporter.core.subnets.nodes import (
    cooldown_on,
    facts_of,
    held_for_pods,
    node_enis,
    nodes_of,
)
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
    "cooldown_on",
    "facts_of",
    "held_for_pods",
    "node_enis",
    "nodes_of",
    "rooms",
]
