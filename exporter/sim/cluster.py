"""The world: nodes, aws-node pods and their DaemonSet, and the API objects that show them.

It keeps the objects in step with the nodes. What happens to them is decided in `events`, `fleet`
and `replay`; sockets and books are elsewhere.
"""

import ipaddress
import random
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from exporter.sim import custom_objects, objects
from exporter.sim.facts import Process
from exporter.sim.introspection_faults import Reach
from exporter.sim.nodes import AwsNodePod, Kind, Machine, Node
from exporter.sim.objects import DaemonSetPlan
from exporter.sim.store import Object, Store

Clock = Callable[[], float]

ENV = {
    "CLUSTER_NAME": "sim",
    "WARM_ENI_TARGET": "1",
    "WARM_PREFIX_TARGET": "1",
    "ENABLE_PREFIX_DELEGATION": "true",
    "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "false",
    "ENABLE_POD_ENI": "true",
    "ENABLE_IPv4": "true",
    "ENABLE_IPv6": "false",
    "ENABLE_SUBNET_DISCOVERY": "true",
    "DISABLE_METRICS": "false",
    "VPC_ID": "vpc-0a1b2c3d4e5f60718",
}

NAMESPACE = "kube-system"
LATEST = "v1.23.1-eksbuild.1"


class Cluster:
    """The nodes and pods there are now, and the store that shows them."""

    def __init__(
        self,
        clock: Clock,
        *,
        seed: int = 1,
        base: str = "127.64.0.0",
        env: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.clock = clock
        self.rng = random.Random(seed)
        self.store = Store()
        self.nodes: dict[str, Node] = {}
        self.eni_configs: dict[str, str] = {}
        self.cni_nodes: dict[str, Mapping[str, str]] = {}
        self.reaches: Callable[[int], Reach] = lambda number: Reach.CLOSED
        self.namespace = NAMESPACE
        self.plan = DaemonSetPlan(NAMESPACE, objects.seeded_uid(self.rng), LATEST, {**ENV, **env})
        self._addresses = self._loopback(base)
        self._pod_names: set[str] = set()
        self._added = 0

    @property
    def expected(self) -> list[Node]:
        """The nodes that the DaemonSet selects."""
        return [node for node in self.nodes.values() if node.machine.kind is Kind.REGULAR]

    def env(self, node: Node) -> Mapping[str, str]:
        """Return the environment of a node's aws-node container."""
        return {**self.plan.env, **node.env} if node.env else self.plan.env

    def new_node(self, machine: Machine, *, age: float = 0.0) -> Node:
        """Make a node of this kind; it is not in the cluster before `add`."""
        self._added += 1
        number = self._added
        return Node(
            name=f"ip-10-{number >> 16}-{number >> 8 & 255}-{number & 255}."
            f"{machine.zone[:-1]}.compute.internal",
            uid=objects.seeded_uid(self.rng),
            address=next(self._addresses),
            instance_id=f"i-{self.rng.getrandbits(68):017x}",
            machine=machine,
            created=self.clock() - age,
            reach=self.reaches(number),
        )

    def add(self, node: Node, process: Process | None, *, version: str = LATEST) -> None:
        """Put a node into the cluster, with a running aws-node pod where it has a process."""
        self.nodes[node.name] = node
        node.process = process
        if process is not None:
            node.pods.append(self.new_pod(version, created=node.created))
        self.publish(node)
        for app in node.other_pods:
            self._put_pod(objects.other_pod(app, node, namespace=self.namespace))

    def new_pod(self, version: str, *, created: float | None = None) -> AwsNodePod:
        """Make an aws-node pod object that appears now."""
        now = self.clock()
        name = ""
        while not name or name in self._pod_names:
            name = "aws-node-" + "".join(self.rng.choices("bcdfghjklmnpqrstvwxz2456789", k=5))
        self._pod_names.add(name)
        return AwsNodePod(
            name=name,
            uid=objects.seeded_uid(self.rng),
            version=version,
            created=now if created is None else created,
            appeared=now,
        )

    def publish(self, node: Node) -> None:
        """Show a node and its aws-node pods as they are now."""
        self.store.put("nodes", objects.node_object(node), fields=objects.node_fields(node))
        for pod in node.pods:
            self.publish_pod(node, pod)

    def publish_pod(self, node: Node, pod: AwsNodePod) -> None:
        """Show one aws-node pod as it is now."""
        self._put_pod(objects.aws_node_pod(pod, node, plan=self.plan))

    def remove_pod(self, node: Node, pod: AwsNodePod) -> None:
        """Take one aws-node pod away."""
        node.pods.remove(pod)
        self.store.delete("pods", (self.namespace, pod.name))

    def remove(self, node: Node) -> None:
        """Take a node and everything on it away."""
        del self.nodes[node.name]
        for stored in self.store.everything(
            "pods", lambda s: s.fields["spec.nodeName"] == node.name
        ):
            self.store.delete("pods", stored.key)
        node.pods.clear()
        if self.cni_nodes.pop(node.name, None) is not None:
            self.store.delete("cninodes", ("", node.name))
        self.store.delete("nodes", ("", node.name))

    def configure_enis(self, name: str, subnet: str | None) -> None:
        """Let an ENIConfig name a subnet for pods; without one, take it away."""
        if subnet is None:
            del self.eni_configs[name]
            self.store.delete("eniconfigs", ("", name))
            return
        self.eni_configs[name] = subnet
        fields = {"metadata.name": name, "metadata.namespace": ""}
        self.store.put("eniconfigs", custom_objects.eni_config(name, subnet), fields=fields)

    def feature(self, node: Node, features: Mapping[str, str]) -> None:
        """Show in a node's CNINode what ipamd there asks for, unless it shows just that."""
        if self.cni_nodes.get(node.name) != features:
            self.cni_nodes[node.name] = features
            fields = {"metadata.name": node.name, "metadata.namespace": ""}
            shown = custom_objects.cni_node(node.name, features)
            self.store.put("cninodes", shown, fields=fields)

    def settle(self) -> None:
        """Show what belongs to no node in particular, and begin the history here."""
        self.store.put(
            "daemonsets",
            objects.daemon_set(self.plan, len(self.expected)),
            fields={"metadata.name": "aws-node", "metadata.namespace": self.namespace},
        )
        for number, node in enumerate(self.expected[:2]):
            self._put_pod(objects.coredns_pod(number, node, namespace=self.namespace))
        self.store.compact()

    def _put_pod(self, pod: Object) -> None:
        self.store.put("pods", pod, fields=objects.pod_fields(pod))

    def find_pod(self, name: str) -> tuple[Node, AwsNodePod] | None:
        """Return the aws-node pod of this name with its node."""
        found = ((node, pod) for node in self.nodes.values() for pod in node.pods)
        return next(((node, pod) for node, pod in found if pod.name == name), None)

    @staticmethod
    def _loopback(base: str) -> Iterator[str]:
        """Yield addresses after the base, without those that end in 0 or 255."""
        number = int(ipaddress.IPv4Address(base))
        while True:
            number += 1
            if number & 255 not in {0, 255}:
                yield str(ipaddress.IPv4Address(number))
