"""The words of the domain as frozen values: nodes, aws-node pods, readings and what became of them.

Times are Unix seconds as floats. Empty strings mean "not known"; None means "no figure".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.core.introspection import Introspection
from exporter.core.node_enis import NodeEni

# Nothing after a node's first two minutes is "still starting" (DESIGN, promise 1).
STARTING_SECONDS = 120.0


class Reason(StrEnum):
    """Why an expected node was not read; the closed list behind every `reason` label."""

    NO_POD = "no_pod"
    STARTING = "starting"
    PENDING = "pending"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    HTTP_STATUS = "http_status"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    INCOMPLETE = "incomplete"
    INCONSISTENT = "inconsistent"
    REFUSED_ADDRESS = "refused_address"
    READER_MISSING = "reader_missing"


class BlockedBy(StrEnum):
    """Why a node cannot give one more pod an address; the closed list behind its `reason` label."""

    SUBNET_EXHAUSTED = "subnet_exhausted"
    NO_FREE_PREFIX = "no_free_prefix"
    ENI_LIMIT = "eni_limit"
    IP_LIMIT = "ip_limit"
    ATTACHMENT_LIMIT = "attachment_limit"
    MAX_PODS = "max_pods"
    THROTTLED = "throttled"
    COOLDOWN = "cooldown"
    BACK_OFF = "back_off"


class IpMode(StrEnum):
    """How a node's pods get their addresses; empty where it is not known."""

    UNKNOWN = ""
    SECONDARY = "secondary"
    PREFIX = "prefix"
    MIXED = "mixed"
    IPV6 = "ipv6"


class Unavailable(Exception):
    """An outside system as a whole refuses or does not answer; raised by doors alone."""

    def __init__(self, system: str, reason: str) -> None:
        super().__init__(f"{system}: {reason}")
        self.system = system
        self.reason = reason


class Unanswered(Unavailable):
    """No answer came, or none that can be read: what was asked may have been done."""


class Invalid(Unavailable):
    """Something in the request is not acceptable, and will not be the next time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A worker node, as far as Kubernetes describes it."""

    name: str
    created: float | None = None
    instance_id: str = ""
    instance_type: str = ""
    zone: str = ""
    region: str = ""
    nodegroup: str = ""
    max_pods: int | None = None
    pod_eni_capacity: int | None = None  # None where it offers no branch ENIs
    fargate: bool = False
    addresses: tuple[str, ...] | None = None  # InternalIPs; None where nodes may not be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """An aws-node pod."""

    uid: str
    name: str
    namespace: str
    node: str
    ip: str = ""
    host_network: bool = True
    pending: bool = False
    terminating: bool = False
    created: float = 0.0
    cni_version: str = ""
    env: Mapping[str, str] = field(default_factory=dict)

    def enabled(self, name: str) -> bool:
        """Whether a boolean setting of the CNI is on, by the values Go's ParseBool accepts."""
        return self.env.get(name, "") in ("1", "t", "T", "true", "TRUE", "True")

    def disabled(self, name: str) -> bool:
        """Whether a boolean setting that is on by default is off, by the same function's values."""
        return self.env.get(name, "") in ("0", "f", "F", "false", "FALSE", "False")

    @property
    def custom_networking(self) -> bool:
        """Whether pods get addresses where an ENIConfig says, and none on the primary ENI."""
        return self.enabled("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG")


@dataclass(frozen=True, slots=True)
class Target:
    """An expected node and the aws-node pod to read there, if there is one.

    `eniconfig` names the ENIConfig that custom networking goes by there, empty where none is or
    the node's labels may not be read. `trunk` says that a trunk ENI was asked for there.
    """

    node: Node
    pod: Pod | None = None
    host_network_pods: int | None = None
    eniconfig: str = ""
    trunk: bool = False

    @property
    def has_trunk_slot(self) -> bool:
        """Whether one of the node's ENIs is, or is to be, the trunk of its pods' branch ENIs."""
        return self.trunk or bool(self.node.pod_eni_capacity)


@dataclass(frozen=True, slots=True)
class Counts:
    """Cumulative counters of one process: ascending indexes into `counters.SERIES`, and values.

    Pods of one CNI release mostly have the same series, so `series` is one shared tuple.
    """

    series: tuple[int, ...] = ()
    values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one aws-node pod said at `time`, in addresses, ENIs and prefixes.

    `actions` are the ones of ipamd that were in progress. `introspection` is what its books say
    beside its page, where they could be read.
    """

    time: float
    started: float | None
    assigned: int
    attached: int
    enis: int
    eni_max: int
    ip_max: int
    prefixes: int = 0
    assigned_by_eni: tuple[tuple[str, int], ...] = ()
    actions: int = 0
    counts: Counts = Counts()
    introspection: Introspection | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """A target that was read whole."""

    target: Target
    reading: Reading


@dataclass(frozen=True, slots=True)
class Unread:
    """A target that was not read, and why; `detail` is for people, never for labels."""

    target: Target
    reason: Reason
    detail: str = ""


Outcome = Read | Unread


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells this cluster from others; empty where not known."""

    cluster: str = ""
    region: str = ""
    vpc_id: str = ""
    kubernetes_version: str = ""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What should be read now. `nodes_known` is false where nodes may not be listed.

    `others` are nodes that never run aws-node: Windows, Fargate, Auto Mode, hybrid.
    `eniconfigs` are the subnets for pods by the ENIConfig that names them. `settings` are the
    variables that the DaemonSet gives aws-node.
    """

    targets: tuple[Target, ...]
    nodes_known: bool
    identity: Identity = Identity()
    others: tuple[Node, ...] = ()
    eniconfigs: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reservation:
    """A CIDR reservation of a subnet: `prefix` for delegated prefixes, `explicit` for named use."""

    cidr: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """An IPv4 subnet as EC2 describes it; `available` is EC2's own AvailableIpAddressCount.

    `reservations` is None where they may not be read.
    """

    id: str
    vpc_id: str
    zone: str
    zone_id: str
    cidr: str
    available: int
    name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    reservations: tuple[Reservation, ...] | None = None


@dataclass(frozen=True, slots=True)
class SubnetRoom:
    """What pods can still get in a subnet: `free` addresses, others that are kept for prefixes,
    and whole /28 `blocks` for these, None where the subnet's ENIs could not be read.

    `reserved_blocks` are those of the blocks that are kept for prefixes. `hidden` addresses, which
    no ENI shows, may be in any block that looks free.
    """

    subnet: Subnet
    free: int
    prefix_reserved: int = 0
    blocks: int | None = None
    reserved_blocks: int = 0
    hidden: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Eni:
    """A network interface as EC2 describes it.

    Addresses are integers: the private IPv4 addresses, the primary first, and the base addresses
    of delegated /28 prefixes. `created` is the CNI's own tag createdAt, in Unix seconds.
    """

    id: str
    subnet_id: str
    status: str
    interface_type: str
    description: str = ""
    requester_id: str = ""
    requester_managed: bool = False
    owner_id: str = ""
    instance_id: str = ""
    instance_owner_id: str = ""
    attached: bool = False
    device_index: int | None = None
    network_card: int = 0
    addresses: tuple[int, ...] = ()
    prefixes: tuple[int, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    created: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceType:
    """The limits of one instance type, of its default network card alone (reference 4)."""

    name: str
    enis: int
    ipv4_per_eni: int
    vcpus: int
    network_cards: int = 1
    hypervisor: str = ""
    bare_metal: bool = False
    attachment_limit: int | None = None  # shared by ENIs and EBS volumes, where EC2 names one

    @property
    def prefixes(self) -> bool:
        """Whether it can have delegated prefixes: Nitro and bare metal alone."""
        return self.bare_metal or self.hypervisor == "nitro"


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """What EKS was given for the cluster's control plane; empty where EKS does not tell."""

    vpc_id: str = ""
    subnets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ec2Facts:
    """What EC2 told lately that bears on the nodes, as far as it did.

    `homes` has by instance the subnet of its primary ENI, `types` what instance types allow, and
    `rooms` what there is left in subnets, by id. `pod_enis` counts the pods' branch ENIs by
    instance, those without any left out; None where EC2 told nothing of ENIs. `drifts` has by
    pod (uid) by how many addresses ipamd's figures exceed EC2's, `node_enis` by instance the ENIs
    that ipamd manages.
    """

    homes: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, InstanceType] = field(default_factory=dict)
    rooms: Mapping[str, SubnetRoom] = field(default_factory=dict)
    pod_enis: Mapping[str, int] | None = None
    drifts: Mapping[str, int] = field(default_factory=dict)
    node_enis: Mapping[str, tuple[NodeEni, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All outcomes of one cycle, that began at `time`, beside what EC2 told by then."""

    time: float
    discovery: Discovery
    outcomes: tuple[Outcome, ...]
    ec2: Ec2Facts = Ec2Facts()
