"""The truth of EKS: the samples that an ideal reader of its answers would publish."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from exporter.sim.books import Samples
from exporter.sim.eks_state import ANY_PLATFORM, RELEASES, Eks
from exporter.sim.vpc import Vpc

Row = tuple[str, dict[str, str], float]

CLUSTER_CODES = (
    "AccessDenied",
    "ClusterUnreachable",
    "ConfigurationConflict",
    "InternalFailure",
    "ResourceLimitExceeded",
    "ResourceNotFound",
    "IamRoleNotFound",
    "VpcNotFound",
    "InsufficientFreeAddresses",
    "Ec2ServiceNotSubscribed",
    "Ec2SubnetNotFound",
    "Ec2SecurityGroupNotFound",
    "KmsGrantRevoked",
    "KmsKeyNotFound",
    "KmsKeyMarkedForDeletion",
    "KmsKeyDisabled",
    "StsRegionalEndpointDisabled",
    "UnsupportedVersion",
)
ADDON_CODES = (
    "AccessDenied",
    "InternalFailure",
    "ClusterUnreachable",
    "InsufficientNumberOfReplicas",
    "ConfigurationConflict",
    "AdmissionRequestDenied",
    "UnsupportedAddonModification",
    "K8sResourceNotFound",
    "AddonSubscriptionNeeded",
    "AddonPermissionFailure",
)


def samples(eks: Eks) -> Samples:
    """Return all samples of the cluster's health and of its add-ons."""
    found: Samples = defaultdict(list)
    for name, labels, value in _rows(eks):
        found[f"vpc_cni_{name}"].append((labels, value))
    return dict(found)


def upgrade(eks: Eks, vpc: Vpc) -> Samples:
    """Return whether EKS finds five free addresses in each of two zones."""
    free: Counter[str] = Counter()
    for subnet in vpc.subnets.values():
        if subnet.id in eks.subnets:
            free[subnet.zone] += subnet.available
    if not free:
        return {}
    ready = sum(count >= 5 for count in free.values()) >= 2
    return {"vpc_cni_cluster_upgrade_addresses_ready": [({}, int(ready))]}


def _rows(eks: Eks) -> Iterator[Row]:
    for code, count in _counts(eks.issues, CLUSTER_CODES):
        yield "cluster_health_issues", {"code": code}, count
    for name, addon in eks.addons.items():
        version, newest = eks.installed_version(name), _newest(eks, name)
        info = {"version": version, "status": addon.status, "latest_version": newest}
        yield "addon_info", {"addon": name, **info}, 1
        if newest:
            yield "addon_update_available", {"addon": name}, int(_age(newest) > _age(version))
        for code, count in _counts(addon.issues, ADDON_CODES):
            yield "addon_health_issues", {"addon": name, "code": code}, count


def _counts(issues: list[str], known: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    for code in known:
        yield code, issues.count(code)
    yield "other", sum(issue not in known for issue in issues)


def _newest(eks: Eks, addon: str) -> str:
    """Name the newest version that works with the cluster as it is."""
    fit = [
        it.version
        for it in RELEASES[addon]
        if it.fits(eks.minor) and (it.platforms == ANY_PLATFORM or eks.platform in it.platforms)
    ]
    return max(fit, key=_age, default="")


def _age(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
