"""The families of ipamd's metrics page: names, types, help, and the releases that have them."""

from dataclasses import dataclass

from exporter.sim.ipamd import Release

Releases = tuple[tuple[str, str], ...]

# First and last of the releases whose TYPE line calls a counter a gauge.
_LYING: Releases = (("1.16.0", "1.18.6"), ("1.19.2", "1.19.3"))
_BRIEFLY_LYING: Releases = (("1.16.0", "1.18.1"),)


@dataclass(frozen=True, slots=True)
class Family:
    """One family of ipamd: its header, the suffixes of its children, the releases that have it."""

    name: str
    kind: str
    text: str
    since: str = "1.0.0"
    until: str = "999.0.0"
    gauge_in: Releases = ()
    suffixes: tuple[str, ...] = ("",)

    def of(self, release: Release) -> bool:
        """Whether this release has the family."""
        return _within(release, (self.since, self.until))

    def header(self, release: Release) -> str:
        """The HELP and TYPE lines of this release."""
        lies = any(_within(release, ends) for ends in self.gauge_in)
        kind = "gauge" if lies else self.kind
        return f"# HELP {self.name} {self.text}\n# TYPE {self.name} {kind}\n"


def _within(release: Release, ends: tuple[str, str]) -> bool:
    return Release.of(ends[0]) <= release <= Release.of(ends[1])


FAMILIES = (
    Family(
        "awscni_add_ip_req_count",
        "counter",
        "The number of add IP address requests",
        gauge_in=_LYING,
    ),
    Family("awscni_assigned_ip_addresses", "gauge", "The number of IP addresses assigned to pods"),
    Family(
        "awscni_assigned_ip_per_cidr",
        "gauge",
        "The total number of IP addresses assigned per cidr",
        since="1.10.0",
    ),
    Family(
        "awscni_assigned_ip_per_eni",
        "gauge",
        "The total number of IP addresses assigned per ENI",
        since="1.15.1",
    ),
    Family(
        "awscni_assigned_ip_per_ipv4cidr",
        "gauge",
        "The total number of IP addresses assigned per cidr",
        since="1.9.0",
        until="1.9.999",
    ),
    Family(
        "awscni_aws_api_error_count",
        "counter",
        "The number of times AWS API returns an error",
        gauge_in=_LYING,
    ),
    Family(
        "awscni_aws_api_latency_ms",
        "summary",
        "AWS API call latency in ms",
        suffixes=("_sum", "_count"),
    ),
    Family(
        "awscni_aws_utils_error_count",
        "counter",
        "The number of errors not handled in awsutils library",
    ),
    Family(
        "awscni_build_info",
        "gauge",
        "A metric with a constant '1' value labeled by version",
        since="1.10.0",
    ),
    Family("awscni_connmark_backend", "gauge", "The connmark backend in use", since="1.23.0"),
    Family(
        "awscni_connmark_reconcile_total",
        "counter",
        "The number of connmark rule setups and cleanups",
        since="1.23.0",
    ),
    Family("awscni_del_ip_req_count", "counter", "The number of delete IP address requests"),
    Family(
        "awscni_ec2api_error_count",
        "counter",
        "The number of failed EC2 APIs requests",
        since="1.12.1",
    ),
    Family(
        "awscni_ec2api_req_count",
        "counter",
        "The number of requests made to EC2 APIs",
        since="1.12.1",
    ),
    Family("awscni_eni_allocated", "gauge", "The number of ENIs allocated"),
    Family(
        "awscni_eni_max",
        "gauge",
        "The maximum number of ENIs that can be attached to the instance, "
        "accounting for unmanaged ENIs",
    ),
    Family(
        "awscni_force_removed_enis",
        "counter",
        "The number of ENIs force removed",
        gauge_in=_LYING,
    ),
    Family(
        "awscni_force_removed_ips", "counter", "The number of IPs force removed", gauge_in=_LYING
    ),
    Family(
        "awscni_ip_max",
        "gauge",
        "The maximum number of IP addresses that can be allocated to the instance",
    ),
    Family("awscni_ipamd_action_inprogress", "gauge", "The number of ipamd actions in progress"),
    Family("awscni_ipamd_error_count", "counter", "The number of errors encountered in ipamd"),
    Family(
        "awscni_ipamd_node_initialization_duration_seconds",
        "histogram",
        "Time taken by node initialization",
        since="1.20.0",
        suffixes=("_bucket", "_sum", "_count"),
    ),
    Family(
        "awscni_ipamd_startup_duration_seconds",
        "histogram",
        "Time taken by ipamd to start",
        since="1.20.0",
        suffixes=("_bucket", "_sum", "_count"),
    ),
    Family(
        "awscni_no_available_ip_addresses",
        "counter",
        "The number of pod IP assignments that fail due to no available IP addresses",
        since="1.15.1",
        gauge_in=_BRIEFLY_LYING,
    ),
    Family(
        "awscni_pod_eni_error_count",
        "counter",
        "The number of errors encountered for pod ENIs",
        gauge_in=_LYING,
    ),
    Family(
        "awscni_reconcile_count",
        "counter",
        "The number of times ipamd reconciles on ENIs and IP/Prefix addresses",
    ),
    Family("awscni_total_ip_addresses", "gauge", "The total number of IP addresses"),
    Family(
        "awscni_total_ipv4_prefixes", "gauge", "The total number of IPv4 prefixes", since="1.9.0"
    ),
)
