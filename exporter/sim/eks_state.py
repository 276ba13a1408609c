"""What EKS knows of one cluster: its version, what it was given, its add-ons and their troubles.

How it is told over the wire is the business of `eks_api`, the truth of it that of `eks_books`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

VERSION = "1.33"
PLATFORM = "eks.14"
ANY_PLATFORM = ("*",)


@dataclass(frozen=True, slots=True)
class Release:
    """One version of an add-on, the versions of Kubernetes it works with, and on which platforms.

    `default` are those versions of Kubernetes for which EKS installs it unless told otherwise.
    """

    version: str
    first: int
    last: int
    default: tuple[int, ...] = ()
    platforms: tuple[str, ...] = ANY_PLATFORM

    def fits(self, minor: int) -> bool:
        """Whether it works with `1.<minor>`."""
        return self.first <= minor <= self.last


# Neither sorted as text nor by default: the tenth build is newer than the ninth, what is newest is
# for no platform but a later one, and one is for a later Kubernetes alone.
RELEASES: Mapping[str, tuple[Release, ...]] = {
    "vpc-cni": (
        Release("v1.23.1-eksbuild.9", 30, 34),
        Release("v1.23.1-eksbuild.10", 30, 34),
        Release("v1.23.1-eksbuild.1", 30, 34, default=(33, 34)),
        Release("v1.24.0-eksbuild.1", 33, 34, platforms=("eks.15", "eks.16")),
        Release("v1.19.2-eksbuild.1", 28, 33),
        Release("v1.9.3-eksbuild.1", 28, 33),
    ),
    "coredns": (
        Release("v1.12.4-eksbuild.1", 34, 34, default=(34,)),
        Release("v1.12.1-eksbuild.2", 32, 33, default=(33,)),
        Release("v1.11.4-eksbuild.14", 29, 33),
    ),
    "kube-proxy": (
        Release("v1.34.0-eksbuild.2", 34, 34, default=(34,)),
        Release("v1.33.3-eksbuild.10", 33, 34, default=(33,)),
        Release("v1.33.3-eksbuild.4", 33, 34),
    ),
    "adot": (
        Release("v0.131.0-eksbuild.1", 30, 34, default=(33,)),
        Release("v0.117.0-eksbuild.1", 29, 33),
    ),
}


@dataclass(slots=True)
class Installed:
    """An add-on as it is installed, with the codes of its health issues."""

    version: str
    status: str = "ACTIVE"
    issues: list[str] = field(default_factory=list)


class Eks:
    """One cluster and its add-ons; vpc-cni is of whatever release aws-node is being rolled to."""

    def __init__(
        self, name: str, vpc: str, subnets: list[str], *, aws_node: Callable[[], str]
    ) -> None:
        self.name = name
        self.vpc = vpc
        self.subnets = subnets
        self.version = VERSION
        self.platform = PLATFORM
        self.issues: list[str] = []
        self.addons = {
            "vpc-cni": Installed(""),
            "coredns": Installed("v1.11.4-eksbuild.14"),
            "kube-proxy": Installed("v1.33.3-eksbuild.10"),
        }
        self._aws_node = aws_node

    @property
    def minor(self) -> int:
        """The cluster's version of Kubernetes, but for the `1.`."""
        return int(self.version.partition(".")[2])

    def installed_version(self, addon: str) -> str:
        """Return which version of an add-on is installed."""
        return self.addons[addon].version or self._aws_node()

    def install(self, addon: str, version: str, *, status: str, issues: list[str]) -> None:
        """Install an add-on, or say anything else of one that is; without a version, as it is."""
        if addon not in RELEASES:
            raise ValueError(f"no add-on {addon!r}; there are {', '.join(RELEASES)}")
        before = self.addons.get(addon)
        if before is None and not version:
            raise ValueError(f"{addon} is not installed, so a version is needed")
        version = version or (before.version if before is not None else "")
        self.addons[addon] = Installed(version, status, issues)
