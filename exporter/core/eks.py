"""What EKS says of a cluster and its add-ons, and which of two versions of an add-on is newer.

Codes and states are those of the EKS API (API reference, ClusterIssue, AddonIssue and Addon), so
that labels are closed lists; what is none of them counts as `other`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from exporter.core.model import ControlPlane

OTHER = "other"
ADDONS = ("vpc-cni", "coredns", "kube-proxy", "adot")
# The API's own `Other` is ours.
CLUSTER_ISSUES = (
    "AccessDenied",
    "ClusterUnreachable",
    "ConfigurationConflict",
    "Ec2SecurityGroupNotFound",
    "Ec2ServiceNotSubscribed",
    "Ec2SubnetNotFound",
    "IamRoleNotFound",
    "InsufficientFreeAddresses",
    "InternalFailure",
    "KmsGrantRevoked",
    "KmsKeyDisabled",
    "KmsKeyMarkedForDeletion",
    "KmsKeyNotFound",
    "ResourceLimitExceeded",
    "ResourceNotFound",
    "StsRegionalEndpointDisabled",
    "UnsupportedVersion",
    "VpcNotFound",
    OTHER,
)
ADDON_ISSUES = (
    "AccessDenied",
    "AddonPermissionFailure",
    "AddonSubscriptionNeeded",
    "AdmissionRequestDenied",
    "ClusterUnreachable",
    "ConfigurationConflict",
    "InsufficientNumberOfReplicas",
    "InternalFailure",
    "K8sResourceNotFound",
    "UnsupportedAddonModification",
    OTHER,
)
ADDON_STATES = (
    "ACTIVE",
    "CREATE_FAILED",
    "CREATING",
    "DEGRADED",
    "DELETE_FAILED",
    "DELETING",
    "UPDATE_FAILED",
    "UPDATING",
    OTHER,
)

_MINOR = re.compile(r"v?([0-9]+\.[0-9]+)(?![0-9])")
# `v1.19.2-eksbuild.10`: a release, what comes before it (a release candidate), and EKS's build.
_VERSION = re.compile(r"v?([0-9]+(?:\.[0-9]+)*)(?:-(?!eksbuild)([^+]+?))?(?:-eksbuild\.([0-9]+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class EksCluster:
    """A cluster as EKS describes it; `issues` count by code, with every code that there is."""

    version: str
    platform: str = ""
    control_plane: ControlPlane
    issues: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Addon:
    """An installed add-on; `latest` is the newest version for its cluster, empty where unknown."""

    name: str
    version: str
    status: str
    latest: str = ""
    issues: Mapping[str, int]

    @property
    def outdated(self) -> bool | None:
        """Whether there is a newer version for this cluster, None where that cannot be told."""
        mine, newest = version_key(self.version), version_key(self.latest)
        return None if mine is None or newest is None else newest > mine


@dataclass(frozen=True, slots=True)
class EksReport:
    """All that EKS told; `refused` says what it did not, and why. What it did not tell is None."""

    cluster: EksCluster | None = None
    addons: tuple[Addon, ...] = ()
    refused: tuple[str, ...] = ()


class EksReader(Protocol):
    """The door that reads EKS."""

    async def read(self, cluster: str, version: str) -> EksReport:
        """Return what EKS says of a cluster and its add-ons; raises `Unavailable` alone.

        `version` is what the API server says of itself, for where EKS may not be asked.
        """


def counted(codes: Iterable[str], known: tuple[str, ...]) -> Mapping[str, int]:
    """Return how many issues there are of each known code; those of no known one are `other`."""
    counts = Counter(code if code in known else OTHER for code in codes)
    return {code: counts[code] for code in known}


def minor_version(version: str) -> str:
    """Return the Kubernetes version that EKS goes by: `1.33` of `v1.33.4-eks-99d6cc0`."""
    found = _MINOR.match(version)
    return found[1] if found else ""


VersionKey = tuple[tuple[int, ...], tuple[bool, tuple[tuple[bool, int, str], ...]], int]


def version_key(version: str) -> VersionKey | None:
    """Return what versions of an add-on are ordered by, None for what is no version."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return None
    release, before, build = found.groups()
    numbers = tuple(int(number) for number in release.split("."))
    return numbers, (before is None, _parts(before or "")), int(build or 0)


def _parts(text: str) -> tuple[tuple[bool, int, str], ...]:
    """What comes before a release, in the order of numbers where there are numbers."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    return tuple((not it.isdecimal(), int(it) if it.isdecimal() else 0, it) for it in parts)


def newest(versions: Iterable[str]) -> str:
    """Return the newest of some versions, empty where there is none."""
    keyed = [(key, version) for version in versions if (key := version_key(version)) is not None]
    return max(keyed, default=((), ""))[1]
