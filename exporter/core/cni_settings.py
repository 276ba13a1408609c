"""Which settings of the CNI are published: those that say how many addresses a node takes, which
kind, from where, and what ipamd leaves alone.

Left out is what holds no such meaning (log files, MTU), what is known otherwise (CLUSTER_NAME,
VPC_ID) and what is the users' data (ADDITIONAL_ENI_TAGS, lists of CIDRs, bind addresses).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# Those of numbers first; reference 3.1 for what they do to the pool.
NUMBERS = (
    "WARM_ENI_TARGET",
    "WARM_IP_TARGET",
    "MINIMUM_IP_TARGET",
    "WARM_PREFIX_TARGET",
    "MAX_ENI",
    "IP_COOLDOWN_PERIOD",
)
NAMES = (
    *NUMBERS,
    "ENABLE_PREFIX_DELEGATION",
    "ENABLE_IPv4",
    "ENABLE_IPv6",
    "ENABLE_MULTI_NIC",
    "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG",
    "ENI_CONFIG_LABEL_DEF",
    "ENI_CONFIG_ANNOTATION_DEF",
    "ENABLE_SUBNET_DISCOVERY",
    "ENABLE_POD_ENI",
    "POD_SECURITY_GROUP_ENFORCING_MODE",
    "AWS_VPC_K8S_CNI_EXTERNALSNAT",
    "MANAGE_UNTAGGED_ENI",
    "AWS_MANAGE_ENIS_NON_SCHEDULABLE",
    "DISABLE_LEAKED_ENI_CLEANUP",
    "DISABLE_NETWORK_RESOURCE_PROVISIONING",
    "ENABLE_IMDS_ONLY_MODE",
    "DISABLE_METRICS",
    "DISABLE_INTROSPECTION",
)
# The longest is a label's key; anything longer is no value of these.
_LONGEST = 317
# What Go's Atoi takes, within what a double holds exactly.
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}")


def published(variables: Mapping[str, str]) -> Mapping[str, str]:
    """Return the settings that are published, as they are written; unset ones are absent."""
    found = ((name, variables.get(name, "")) for name in NAMES)
    return {name: value for name, value in found if value and len(value) <= _LONGEST}


def number(name: str, value: str) -> int | None:
    """Return the number that a setting is, None for one that is none or not well written."""
    return int(value) if name in NUMBERS and _NUMBER.fullmatch(value) else None
