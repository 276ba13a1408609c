"""Which families of ipamd's metrics page are read, and into what: one row each.

How they are found on a page is told in `ipamd_page`.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.core import counters
from exporter.core.counters import Family


@dataclass(frozen=True, slots=True)
class Source:
    """One upstream family: the field of `Reading` or the counters it goes into, and since when.

    Labels that are not named here are summed over.
    """

    name: str
    into: Family | str
    labels: tuple[str, ...] = ()
    required: bool = False
    since: str = "1.4.0"
    leave_out: str = ""  # a value of the first label

    @property
    def summed(self) -> bool:
        """Whether its series are added up: those of counters, and the actions in progress."""
        return isinstance(self.into, Family) or self.into == "actions"


SOURCES = (
    Source("awscni_eni_max", "eni_max", required=True),
    Source("awscni_ip_max", "ip_max", required=True),
    Source("awscni_eni_allocated", "enis", required=True),
    Source("awscni_total_ip_addresses", "attached", required=True),
    Source("awscni_assigned_ip_addresses", "assigned", required=True),
    Source("awscni_total_ipv4_prefixes", "prefixes", since="1.9.0"),
    Source("awscni_assigned_ip_per_eni", "assigned_by_eni", ("eni",), since="1.15.1"),
    Source("process_start_time_seconds", "started"),
    Source("awscni_ipamd_action_inprogress", "actions", ("fn",)),
    Source("awscni_add_ip_req_count", counters.ADD_REQUESTS),
    Source("awscni_del_ip_req_count", counters.DEL_REQUESTS, ("reason",)),
    Source("awscni_no_available_ip_addresses", counters.ASSIGNMENT_FAILURES, since="1.15.1"),
    Source("awscni_ipamd_error_count", counters.IPAMD_ERRORS, ("fn",)),
    Source("awscni_ec2api_req_count", counters.AWS_API_REQUESTS, ("fn",), since="1.12.1"),
    Source("awscni_ec2api_error_count", counters.EC2_API_FAILURES, since="1.12.1"),
    Source("awscni_aws_api_error_count", counters.AWS_API_ERRORS, ("api", "error")),
    Source("awscni_aws_api_latency_ms_sum", counters.AWS_API_MILLISECONDS, ("api",), since="1.5.0"),
    Source(
        "awscni_aws_api_latency_ms_count", counters.AWS_API_TIMED_CALLS, ("api",), since="1.5.0"
    ),
    # So they were spelled until 1.5.0.
    Source("awscni_aws_api_lantency_ms_sum", counters.AWS_API_MILLISECONDS, ("api",)),
    Source("awscni_aws_api_lantency_ms_count", counters.AWS_API_TIMED_CALLS, ("api",)),
    # The value left out grows by the number of known CIDRs at every reconcile, changed or not.
    Source(
        "awscni_reconcile_count",
        counters.RECONCILES,
        ("fn",),
        leave_out="eniDataStorePoolReconcileAdd",
    ),
    Source("awscni_force_removed_enis", counters.FORCED_ENI_REMOVALS, since="1.6.0"),
    Source("awscni_force_removed_ips", counters.FORCED_IP_REMOVALS, since="1.6.0"),
    Source("awscni_pod_eni_error_count", counters.POD_ENI_ERRORS, ("fn",), since="1.7.0"),
    # Its label `error` is a whole sentence with request ids.
    Source("awscni_aws_utils_error_count", counters.AWS_UTILS_ERRORS, ("fn",)),
)
