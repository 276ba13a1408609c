"""What runs in a living cluster: Deployments that breathe with the day, and bursts of jobs.

It says which pods there should be; where they go and whether they get an address is decided
elsewhere.
"""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from exporter.sim.living.host import Time

_DAY = 86_400.0
# Beside the day's wave there is a small one, of minutes, as of a busy autoscaler.
_RIPPLE, _RIPPLE_SECONDS = 0.06, 700.0
_SURGE = 0.1


@dataclass(slots=True, eq=False)
class Pod:
    """One pod.

    With a `zone` or a node `group` it runs there alone, with `lasts` it ends so long after it
    began; a `branch` is an ENI of its own, `interfaces` are its addresses, one on each card.
    """

    name: str
    cpu: int
    zone: str = ""
    group: str = ""
    branch: bool = False
    interfaces: int = 1
    lasts: float = math.inf
    node: str = ""
    has_address: bool = False
    next_try: float = 0.0
    ends_at: float = math.inf
    born: float = 0.0


@dataclass(slots=True, eq=False)
class Deployment:
    """Replicas that follow the time of day; `stale` ones are still to be replaced."""

    name: str
    cpu: int
    base: float
    swing: float = 0.0
    noon: float = 0.25
    zone: str = ""
    group: str = ""
    branch: bool = False
    interfaces: int = 1
    extra: int = 0
    pods: list[Pod] = field(default_factory=list)
    stale: list[Pod] = field(default_factory=list)

    def replicas(self, now: float) -> int:
        """How many pods there should be now."""
        wave = self.swing * math.cos(2 * math.pi * (now / _DAY - self.noon))
        ripple = _RIPPLE * math.sin(2 * math.pi * now / _RIPPLE_SECONDS + len(self.name))
        return max(0, round(self.base * (1 + wave + ripple)) + self.extra)

    def roll_out(self) -> None:
        """Replace all pods, a few at a time."""
        self.stale = list(self.pods)


@dataclass(slots=True)
class CronJob:
    """Every so many seconds, so many pods, each for about so long."""

    name: str
    every: float
    burst: int
    lasts: float
    cpu: int = 100


class Workload:
    """All pods there should be; those new are `pending`, those to be stopped `leaving`."""

    def __init__(self, time: Time, rng: random.Random) -> None:
        self.deployments: dict[str, Deployment] = {}
        self.jobs: list[CronJob] = []
        self.pending: list[Pod] = []
        self.leaving: list[Pod] = []
        self._time = time
        self._rng = rng
        self._running_jobs: list[Pod] = []
        self._born = 0
        self._seen = 0.0

    def deploy(self, *deployments: Deployment) -> None:
        """Add Deployments."""
        self.deployments |= {deployment.name: deployment for deployment in deployments}

    def tick(self) -> None:
        """Bring the pods in line with what should be at this time."""
        now = self._time.now
        for deployment in self.deployments.values():
            self._replace(deployment)
            self._scale(deployment, deployment.replicas(now))
        for job in self.jobs:
            if now // job.every > self._seen // job.every:
                self._burst(job)
        done = [pod for pod in self._running_jobs if pod.ends_at <= now]
        if done:
            self.stop(done)
        self._seen = now

    def started(self, pod: Pod) -> None:
        """Note that a pod got its address and begins its work."""
        pod.has_address = True
        pod.ends_at = self._time.now + pod.lasts

    def stop(self, pods: Iterable[Pod]) -> None:
        """Have pods stopped; a Deployment makes others in their place."""
        gone = set(pods)
        self.forget(gone)
        self.leaving += sorted((pod for pod in gone if pod.node), key=lambda pod: pod.name)

    def forget(self, gone: set[Pod]) -> None:
        """Strike pods off, as when their node is lost."""
        for deployment in self.deployments.values():
            deployment.pods = [pod for pod in deployment.pods if pod not in gone]
            deployment.stale = [pod for pod in deployment.stale if pod not in gone]
        self._running_jobs = [pod for pod in self._running_jobs if pod not in gone]
        self.pending = [pod for pod in self.pending if pod not in gone]

    def _replace(self, deployment: Deployment) -> None:
        if not deployment.stale:
            return
        waiting = sum(not pod.has_address for pod in deployment.pods)
        room = math.ceil(len(deployment.pods) * _SURGE) - waiting
        if room > 0:
            self.stop(deployment.stale[:room])

    def _scale(self, deployment: Deployment, wanted: int) -> None:
        have = len(deployment.pods)
        if have > wanted:
            self.stop(deployment.pods[wanted:])
        for _ in range(wanted - have):
            pod = self._new(deployment.name, deployment.cpu)
            pod.zone, pod.group = deployment.zone, deployment.group
            pod.branch, pod.interfaces = deployment.branch, deployment.interfaces
            deployment.pods.append(pod)

    def _burst(self, job: CronJob) -> None:
        for _ in range(job.burst):
            pod = self._new(job.name, job.cpu)
            pod.lasts = job.lasts * self._rng.uniform(0.5, 1.5)
            self._running_jobs.append(pod)

    def _new(self, name: str, cpu: int) -> Pod:
        self._born += 1
        pod = Pod(f"{name}-{self._born:07d}", cpu, born=self._time.now)
        self.pending.append(pod)
        return pod
