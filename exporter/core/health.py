"""The exporter's own state: which sources answer, when they last did, what failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from exporter.core.model import Outcome, Reason, Unread


class Source(StrEnum):
    """Where figures come from; the closed list behind every `source` label."""

    IPAMD = "ipamd"
    KUBERNETES = "kubernetes"  # the aws-node pods
    NODES = "nodes"
    DAEMONSETS = "daemonsets"
    PODS = "pods"  # hostNetwork pods of all namespaces
    ENICONFIGS = "eniconfigs"
    CNINODES = "cninodes"
    EC2_SUBNETS = "ec2_subnets"
    EC2_ENIS = "ec2_enis"
    REVIEWS = "reviews"  # who may see the figures, as Kubernetes tells of bearer tokens
    WEB_CONFIG = "web_config"  # and as the web-config has it; down while its files are no use
    EKS = "eks"
    CLOUDWATCH = "cloudwatch"  # no source, but what may be missing all the same


class PointOutcome(StrEnum):
    """What became of a point for CloudWatch; a label of the metric that counts them."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"
    REJECTED = "rejected"
    DROPPED = "dropped"


# Always on; the others join when they are switched on.
_BASIC = (
    Source.IPAMD,
    Source.KUBERNETES,
    Source.NODES,
    Source.DAEMONSETS,
    Source.PODS,
    Source.ENICONFIGS,
    Source.CNINODES,
)

# What is asked of AWS, and how a request can end.
AWS_OPERATIONS = (
    ("ec2", "DescribeInstanceTypes"),
    ("ec2", "DescribeNetworkInterfaces"),
    ("ec2", "DescribeSubnets"),
    ("ec2", "GetSubnetCidrReservations"),
    ("eks", "DescribeAddon"),
    ("eks", "DescribeAddonVersions"),
    ("eks", "DescribeCluster"),
    ("cloudwatch", "PutMetricData"),
)
AWS_OUTCOMES = ("ok", "throttled", "refused", "failed")


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """One source: whether its last attempt succeeded, and when (Unix seconds) one last did."""

    up: bool = False
    last_success: float | None = None
    cycle_seconds: float | None = None
    reason: str = "not asked yet"


def _no_failures() -> Mapping[Reason, int]:
    return dict.fromkeys(Reason, 0)


@dataclass(frozen=True, slots=True)
class Health:
    """All sources, and how many reads ended unread, by reason, since the exporter started."""

    version: str
    sources: Mapping[Source, SourceHealth] = field(
        default_factory=lambda: dict.fromkeys(_BASIC, SourceHealth())
    )
    target_failures: Mapping[Reason, int] = field(default_factory=_no_failures)
    aws_requests: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    points: Mapping[PointOutcome, int] = field(default_factory=dict)

    def with_source(self, source: Source, state: SourceHealth) -> Health:
        """Return the health after news of one source."""
        return replace(self, sources={**self.sources, source: state})

    def with_failures(self, outcomes: Iterable[Outcome]) -> Health:
        """Return the health after one cycle's outcomes."""
        failures = dict(self.target_failures)
        for outcome in outcomes:
            if isinstance(outcome, Unread):
                failures[outcome.reason] += 1
        return replace(self, target_failures=failures)
