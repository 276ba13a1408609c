"""The nodes as pods meet them: the scheduler that chooses one, and the kubelet that sets pods up.

An ADD that gets no address is tried again until there is one; a DEL waits for ipamd to answer.
"""

import heapq
import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from exporter.sim.living.controller import Controller
from exporter.sim.living.host import Host, LivingIpamd, Time
from exporter.sim.living.workload import Pod, Workload
from exporter.sim.nodes import Node

_RETRY_SECONDS = 10.0
_SETUP_FAILS = 0.002


@dataclass(slots=True, eq=False)
class LivingNode:
    """A node with its host, the pods bound to it and the room they leave."""

    node: Node
    host: Host
    cpu: int
    step: int = 0
    draining: bool = False
    ready: bool = False
    pods: dict[str, Pod] = field(default_factory=dict)
    used_cpu: int = 0

    @property
    def ipamd(self) -> LivingIpamd | None:
        """The process that answers now, if any."""
        process = self.node.process if self.node.serving is not None else None
        return process if isinstance(process, LivingIpamd) else None

    @property
    def zone(self) -> str:
        return self.node.machine.zone

    @property
    def load(self) -> float:
        """The share of its CPU that pods asked for."""
        return self.used_cpu / self.cpu

    def takes(self, pod: Pod) -> bool:
        """Whether the scheduler may put a pod here."""
        return (
            self.ready
            and not (self.draining or self.node.cordoned)
            and pod.zone in {"", self.zone}
            and pod.group in {"", self.node.machine.group}
            and pod.interfaces <= len(self.host.pools)
            and self.used_cpu + pod.cpu <= self.cpu
            and len(self.pods) + self.node.host_network_pods < self.node.machine.max_pods
            and (not pod.branch or self._takes_branch())
        )

    def _takes_branch(self) -> bool:
        branches = sum(pod.branch for pod in self.pods.values())
        return self.host.pool.has_trunk and branches < self.node.machine.pod_eni

    def bind(self, pod: Pod) -> None:
        """Bind a pod to this node."""
        pod.node = self.node.name
        self.pods[pod.name] = pod
        self.used_cpu += pod.cpu

    def release(self, pod: Pod) -> None:
        """Give a pod's room back."""
        del self.pods[pod.name]
        self.used_cpu -= pod.cpu

    def live(self) -> None:
        """Let ipamd take its turn, where one runs."""
        held = self.host.pool
        if held.unschedulable is not self.node.cordoned:
            self.host.pool = replace(held, unschedulable=self.node.cordoned)
        if (ipamd := self.ipamd) is not None:
            self.ready = True
            ipamd.live()


def place(pods: Iterable[Pod], nodes: Iterable[LivingNode]) -> list[Pod]:
    """Bind each pod to the least loaded node that takes it, and return those that none takes."""
    heap = [(node.load, number, node) for number, node in enumerate(nodes)]
    heapq.heapify(heap)
    left: list[Pod] = []
    hopeless: set[tuple[str, str, int, int, bool]] = set()
    for pod in pods:
        kind = (pod.zone, pod.group, pod.cpu, pod.interfaces, pod.branch)
        skipped = []
        while kind not in hopeless and heap and not heap[0][2].takes(pod):
            skipped.append(heapq.heappop(heap))
        if kind in hopeless or not heap:
            hopeless.add(kind)
            left.append(pod)
        else:
            _, number, node = heap[0]
            node.bind(pod)
            heapq.heapreplace(heap, (node.load, number, node))
        for entry in skipped:
            heapq.heappush(heap, entry)
    return left


class Kubelets:
    """All kubelets: they set up the pods bound to their nodes, and take down those that leave."""

    def __init__(
        self, workload: Workload, controller: Controller, *, time: Time, rng: random.Random
    ) -> None:
        self.waiting: list[Pod] = []
        self._workload = workload
        self._controller = controller
        self._time = time
        self._rng = rng

    def tick(self, nodes: dict[str, LivingNode]) -> None:
        """Bind what is pending, take down what leaves, and set up what waits."""
        workload = self._workload
        if workload.pending:
            left = place(workload.pending, nodes.values())
            self.waiting += [pod for pod in workload.pending if pod.node]
            workload.pending = left
        if workload.leaving:
            leaving = set(workload.leaving)
            self.waiting = [pod for pod in self.waiting if pod not in leaving]
            workload.leaving = [p for p in workload.leaving if not self._taken_down(p, nodes)]
        if self.waiting:
            self.waiting = [pod for pod in self.waiting if not self._set_up(pod, nodes)]

    def lost(self, node: LivingNode) -> None:
        """Forget the pods of a node that is gone."""
        gone = set(node.pods.values())
        for name in node.pods:
            self._controller.release(name)
        self._workload.forget(gone)
        self._workload.leaving = [pod for pod in self._workload.leaving if pod not in gone]
        self.waiting = [pod for pod in self.waiting if pod not in gone]

    def _set_up(self, pod: Pod, nodes: dict[str, LivingNode]) -> bool:
        now = self._time.now
        ipamd = nodes[pod.node].ipamd
        if ipamd is None or pod.next_try > now:
            return False
        if self._added(pod, ipamd):
            if self._rng.random() >= _SETUP_FAILS:
                self._workload.started(pod)
                return True
            ipamd.delete(pod.name, "SetupNSFailed")
        pod.next_try = now + _RETRY_SECONDS
        return False

    def _added(self, pod: Pod, ipamd: LivingIpamd) -> bool:
        if not pod.branch:
            return ipamd.add(pod.name, pod.interfaces)
        ipamd.add_branch()
        return self._controller.branch(pod.name, ipamd.host)

    def _taken_down(self, pod: Pod, nodes: dict[str, LivingNode]) -> bool:
        ipamd = nodes[pod.node].ipamd
        if ipamd is None:
            return False
        ipamd.delete(pod.name)
        self._controller.release(pod.name)
        nodes[pod.node].release(pod)
        return True
