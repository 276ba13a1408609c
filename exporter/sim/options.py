"""How a simulation is asked to run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter.sim.connections import IDLE_SECONDS
from exporter.sim.introspection_faults import Reach
from exporter.sim.kube_api import BOOKMARK_SECONDS

STARTUP_SECONDS = 0.25
TOLD_SECONDS = 0.02
# Whether the introspection of a node can be reached, by the number of the node.
REACHES: Mapping[str, Callable[[int], Reach]] = {
    "none": lambda number: Reach.CLOSED,
    "half": lambda number: Reach.OPEN if number % 2 else Reach.CLOSED,
    "all": lambda number: Reach.OPEN,
}


@dataclass(frozen=True, slots=True)
class Options:
    """How a simulation runs.

    Port 0 is any free one, `startup` how long a new pod is pending, `told` how long after a step
    watchers have heard of it, `speed` how many simulated seconds a step of a living cluster is.
    `count_reserved` has EC2 count the reserved addresses of
    a subnet as available ones. `introspection` says on which nodes ipamd's can be reached: all,
    none or half.
    """

    seed: int = 1
    base: str = "127.64.0.0"
    idle: float = IDLE_SECONDS
    bookmarks: float = BOOKMARK_SECONDS
    pods_port: int = 0
    api_port: int = 0
    control_port: int = 0
    startup: float = STARTUP_SECONDS
    told: float = TOLD_SECONDS
    loopback_only: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    kubeconfig: Path | None = None
    profile: str = "full"
    speed: float = 30.0
    ec2_port: int = 0
    eks_port: int = 0
    cloudwatch_port: int = 0
    count_reserved: bool = False
    introspection: str = "none"
    introspection_port: int = 0
