"""What can happen to a node: each event changes the world and shows the change in the API.

Faults of the answers are in `faults`; the steady movement of counts is in `fleet` and `replay`.
"""

from collections.abc import Callable, Mapping

from exporter.sim.cluster import Cluster
from exporter.sim.nodes import AwsNodePod, Node, Phase

FOREIGN_ADDRESS = "127.63.255.254"

Event = Callable[[Cluster, Node], None]


def restart(cluster: Cluster, node: Node) -> None:
    """Restart the aws-node container: same pod, new process, counters from zero."""
    if (pod := node.serving) is not None:
        _start(cluster, node, pod=pod)


def delete_pod(cluster: Cluster, node: Node) -> None:
    """Take every aws-node pod off the node."""
    for pod in tuple(node.pods):
        cluster.remove_pod(node, pod)


def pend(cluster: Cluster, node: Node) -> None:
    """Replace the pod by another one that does not come up."""
    delete_pod(cluster, node)
    _join(cluster, node, phase=Phase.PENDING)


def appear(cluster: Cluster, node: Node) -> None:
    """Give the node a pending pod, unless one that stays is there."""
    if node.target is None or node.target.terminating:
        _join(cluster, node, phase=Phase.PENDING)


def come_up(cluster: Cluster, node: Node) -> None:
    """Let the node's newest pod run, and take away those it follows."""
    newest = node.target
    for pod in [pod for pod in node.pods if pod is not newest and not pod.phase.finished]:
        cluster.remove_pod(node, pod)
    if newest is not None:
        _start(cluster, node, pod=newest)


def begin_rollout(cluster: Cluster, node: Node) -> None:
    """Mark the pod as terminating, still answering, and put its pending successor beside it."""
    for pod in node.pods:
        pod.terminating = True
        cluster.publish_pod(node, pod)
    _join(cluster, node, phase=Phase.PENDING)


def terminate(cluster: Cluster, node: Node) -> None:
    """Mark the pod as terminating; it answers on, and no other is there yet."""
    for pod in node.pods:
        pod.terminating = True
        cluster.publish_pod(node, pod)


def leave_failed(cluster: Cluster, node: Node) -> None:
    """Leave a failed aws-node pod lying about on the node."""
    _join(cluster, node, phase=Phase.FAILED)


def leave_succeeded(cluster: Cluster, node: Node) -> None:
    """Leave a finished aws-node pod lying about on the node."""
    _join(cluster, node, phase=Phase.SUCCEEDED)


def remove_node(cluster: Cluster, node: Node) -> None:
    """Take the node out of the cluster."""
    cluster.remove(node)


def grow_old(cluster: Cluster, node: Node) -> None:
    """Make the node an hour older, so that a test need not wait for it."""
    node.created -= 3600
    cluster.publish(node)


def grow_young(cluster: Cluster, node: Node) -> None:
    """Make the node one that has just joined."""
    node.created = cluster.clock()
    cluster.publish(node)


def cordon(cluster: Cluster, node: Node) -> None:
    """Mark the node as unschedulable."""
    node.cordoned = True
    cluster.publish(node)


def show_foreign_address(cluster: Cluster, node: Node) -> None:
    """Let the pod claim an address that is none of its node's."""
    node.foreign_address = FOREIGN_ADDRESS
    cluster.publish(node)


def show_own_address(cluster: Cluster, node: Node) -> None:
    """Let the pod show its node's address again."""
    node.foreign_address = ""
    cluster.publish(node)


def heartbeat(cluster: Cluster, node: Node) -> None:
    """Modify the Node object as kubelet does every five minutes."""
    node.heartbeats += 1
    cluster.publish(node)


def _join(cluster: Cluster, node: Node, *, phase: Phase) -> AwsNodePod:
    pod = cluster.new_pod(node.image_tag or cluster.plan.image_tag)
    pod.phase = phase
    node.pods.append(pod)
    cluster.publish_pod(node, pod)
    return pod


def _start(cluster: Cluster, node: Node, *, pod: AwsNodePod) -> None:
    if node.process is not None:
        node.process = node.process.restarted(cluster.clock(), pod.version)
    node.starts += 1
    pod.phase = Phase.RUNNING
    cluster.publish_pod(node, pod)


_AT_ONCE = (
    restart,
    delete_pod,
    pend,
    begin_rollout,
    terminate,
    leave_failed,
    leave_succeeded,
    remove_node,
    grow_old,
    grow_young,
    cordon,
    show_foreign_address,
    show_own_address,
    heartbeat,
)

# Between two phases time passes: in life a process starts well after its pod is seen, and readers
# rely on that order.
EVENTS: Mapping[str, tuple[Event, ...]] = {
    **{event.__name__: (event,) for event in _AT_ONCE},
    "replace_pod": (pend, come_up),
    "run": (appear, come_up),
}
