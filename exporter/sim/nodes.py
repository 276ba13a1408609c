"""The simulated nodes and aws-node pods: what they are, which pod answers, and which one a reader
should read.

How they look as API objects, on the wire and in the books is elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.sim.facts import Process
from exporter.sim.faults import Fault
from exporter.sim.introspection_faults import Reach


class Kind(StrEnum):
    """What a node is, by how it gets its pod addresses."""

    REGULAR = "regular"
    FARGATE = "fargate"
    WINDOWS = "windows"
    AUTO = "auto"
    HYBRID = "hybrid"


class Phase(StrEnum):
    """A pod's phase."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"

    @property
    def finished(self) -> bool:
        return self in {Phase.SUCCEEDED, Phase.FAILED}


@dataclass(slots=True, eq=False)
class AwsNodePod:
    """One aws-node pod object; `appeared` is when the API first showed it."""

    name: str
    uid: str
    version: str
    created: float
    appeared: float
    phase: Phase = Phase.RUNNING
    terminating: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """What an instance is, and the labels that tell so; an empty value is a missing label."""

    instance_type: str
    zone: str
    max_pods: int
    group: str = ""
    group_label: str = "eks.amazonaws.com/nodegroup"
    pod_eni: int = 0
    kind: Kind = Kind.REGULAR
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Node:
    """One node with what runs on it; `process` is its latest ipamd, running or not.

    `env` is what its aws-node pods are set to beside what the DaemonSet says, and `image_tag` their
    release, where it is another one.
    """

    name: str
    uid: str
    address: str
    instance_id: str
    machine: Machine
    created: float
    other_pods: tuple[str, ...] = ("kube-proxy",)
    cordoned: bool = False
    fault: Fault | None = None
    reach: Reach = Reach.CLOSED
    env: Mapping[str, str] = field(default_factory=dict)
    image_tag: str = ""
    foreign_address: str = ""
    process: Process | None = None
    pods: list[AwsNodePod] = field(default_factory=list)
    starts: int = 0
    heartbeats: int = 0

    @property
    def serving(self) -> AwsNodePod | None:
        """The pod whose process holds the node's port: the first one running."""
        running = (pod for pod in self.pods if pod.phase is Phase.RUNNING)
        return next(running, None) if self.process is not None else None

    @property
    def target(self) -> AwsNodePod | None:
        """The pod to read: the newest unfinished one, a terminating one for want of others."""
        living = [pod for pod in self.pods if not pod.phase.finished]
        return max(living, key=lambda pod: (not pod.terminating, pod.appeared), default=None)

    @property
    def host_network_pods(self) -> int:
        """How many pods share the node's own address, finished ones left out."""
        return len(self.other_pods) + sum(not pod.phase.finished for pod in self.pods)
