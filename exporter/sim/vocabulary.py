"""The books' own table: which counter of ipamd is published under which name, and its closed label
lists.

It is written from the reference and shares nothing with the exporter, whose answers it judges.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.sim.facts import Labels, Series

CLUSTER = "vpc_cni_cluster_"
FAILURES = "awscni_no_available_ip_addresses"
AWS_ERRORS = "awscni_aws_api_error_count"
OTHER = "other"

DEL_REASONS = frozenset({"PodDeleted", "SetupNSFailed"})

EC2_OPERATIONS = frozenset(
    {
        "AssignIpv6Addresses",
        "AssignPrivateIpAddresses",
        "AttachNetworkInterface",
        "CreateNetworkInterface",
        "CreateTags",
        "DeleteNetworkInterface",
        "DescribeInstanceTypes",
        "DescribeInstances",
        "DescribeNetworkInterfaces",
        "DescribeSubnets",
        "DetachNetworkInterface",
        "ModifyNetworkInterfaceAttribute",
        "UnassignIpv6Addresses",
        "UnassignPrivateIpAddresses",
    }
)

# Not calls of the EC2 API, but timed or counted beside them by ipamd.
PSEUDO_OPERATIONS = frozenset(
    {
        "AssignIpv6AddressesWithContext",
        "GetMetadata",
        "IMDSMetaDataOutOfSync",
        "waitENIAttachedFailedToAssignIPs",
        "waitForENIAndIPsAttached",
    }
)
CALLS = EC2_OPERATIONS | PSEUDO_OPERATIONS

EC2_ERRORS = frozenset(
    {
        "UnauthorizedOperation",
        "InsufficientFreeAddressesInSubnet",
        "InsufficientCidrBlocks",
        "PrivateIpAddressLimitExceeded",
        "AttachmentLimitExceeded",
        "NetworkInterfaceLimitExceeded",
        "RequestLimitExceeded",
    }
)

IPAMD_FUNCTIONS = frozenset(
    {
        "addENIsecondaryIPsToDataStoreFailed",
        "addENIv4prefixesToDataStoreFailed",
        "addENIv6prefixesToDataStoreFailed",
        "decreaseIPPool",
        "decreaseIPPoolFreeENIFailed",
        "eniReconcileAdd",
        "eniReconcileDel",
        "freeENIDeleteRulesFailed",
        "increaseIPPoolAllocENI",
        "increaseIPPoolAllocIPAddressesFailed",
        "increaseIPPoolGetENIaddressesFailed",
        "increaseIPPoolGetENIprefixedFailed",
        "increaseIPPoolsetupENIFailed",
        "increaseIPPoolwaitENIAttachedFailed",
        "ipReconcileAdd",
        "ipReconcileDel",
        "prefixReconcileAdd",
        "reconcileFailedGetENIs",
        "waitENIAttachedMaxRetryExceeded",
    }
)

RECONCILES = frozenset({"eniReconcileAdd", "eniReconcileDel", "eniIPPoolReconcileDel"})
NOT_A_REPAIR = "eniDataStorePoolReconcileAdd"
POD_ENI_FUNCTIONS = frozenset({"nodeInit", "tryEnableSecurityGroupsForPods"})
AWS_UTILS_FUNCTIONS = frozenset({"AllocENIDeleteErr", "ENICleanupUponModifyNetworkErr"})


@dataclass(frozen=True, slots=True)
class Kept:
    """A label that is published: the name it had in ipamd, and the values that keep theirs."""

    source: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Published:
    """How one counter family of ipamd is published for the cluster."""

    name: str
    labels: Mapping[str, Kept] = field(default_factory=dict)
    scale: float = 1.0
    left_out: frozenset[str] = frozenset()


_LATENCY = {"api": Kept("api", CALLS)}

COUNTERS: Mapping[str, Published] = {
    "awscni_add_ip_req_count": Published("add_requests_total"),
    "awscni_del_ip_req_count": Published(
        "del_requests_total", {"reason": Kept("reason", DEL_REASONS)}
    ),
    FAILURES: Published("ip_assignment_failures_total"),
    "awscni_ipamd_error_count": Published(
        "ipamd_errors_total", {"fn": Kept("fn", IPAMD_FUNCTIONS)}
    ),
    "awscni_ec2api_req_count": Published(
        "aws_api_requests_total", {"api": Kept("fn", EC2_OPERATIONS)}
    ),
    AWS_ERRORS: Published(
        "aws_api_errors_total",
        {"api": Kept("api", CALLS), "error": Kept("error", EC2_ERRORS)},
    ),
    "awscni_aws_api_latency_ms_sum": Published(
        "aws_api_duration_seconds_sum", _LATENCY, scale=0.001
    ),
    "awscni_aws_api_latency_ms_count": Published("aws_api_duration_seconds_count", _LATENCY),
    "awscni_reconcile_count": Published(
        "reconciles_total", {"fn": Kept("fn", RECONCILES)}, left_out=frozenset({NOT_A_REPAIR})
    ),
    "awscni_force_removed_enis": Published("forced_eni_removals_total"),
    "awscni_force_removed_ips": Published("forced_ip_removals_total"),
    "awscni_pod_eni_error_count": Published(
        "pod_eni_errors_total", {"fn": Kept("fn", POD_ENI_FUNCTIONS)}
    ),
    "awscni_aws_utils_error_count": Published(
        "aws_utils_errors_total", {"fn": Kept("fn", AWS_UTILS_FUNCTIONS)}
    ),
}


def published(source: Series) -> Series | None:
    """Return the series this one adds to, its labels folded; none where it is left out."""
    family, found = source
    rule = COUNTERS.get(family)
    if rule is None:
        return None
    values = dict(found)
    if rule.left_out and rule.left_out & set(values.values()):
        return None
    return CLUSTER + rule.name, _folded(rule, values)


def scale(family: str) -> float:
    """Return what a counter of this family is multiplied by when it is published."""
    return COUNTERS[family].scale


def _folded(rule: Published, values: Mapping[str, str]) -> Labels:
    return tuple(
        (label, value if (value := values.get(kept.source, "")) in kept.values else OTHER)
        for label, kept in sorted(rule.labels.items())
    )
