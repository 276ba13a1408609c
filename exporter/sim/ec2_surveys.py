"""What a reader learns of the nodes from EC2's listings: branch ENIs, and how far ipamd is off EC2.

A survey is one whole listing of the ENIs of a VPC, and counts once the subnets were read after it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from exporter.sim.bodies import Persisting
from exporter.sim.books import Entry
from exporter.sim.ec2_uses import Insight
from exporter.sim.vpc import Eni, Vpc

_PREFIX = 16
_INSTANCE = "node.k8s.amazonaws.com/instance_id"


class Surveys:
    """The surveys that were really served."""

    def __init__(self, vpc: Vpc) -> None:
        self._vpc = vpc
        self.forget()

    def forget(self) -> None:
        """Know of no reader, as before one came."""
        self.count = 0
        self.types: frozenset[str] = frozenset()
        self._listed = False
        self._differences = Persisting()

    def heard(self, action: str, asked: Mapping[str, str], body: bytes) -> bool:
        """Note an answer, and say whether it ends a survey."""
        if action == "DescribeNetworkInterfaces" and _asks_for_vpc(asked):
            self._listed = b"<nextToken>" not in body
        elif action == "DescribeSubnets" and self._listed:
            self._listed = False
            self.count += 1
            return True
        return False

    def compare(self, entries: Iterable[Entry], insight: Insight) -> None:
        """Note by how much each ipamd exceeds what EC2 shows on the ENIs that it manages."""
        held = self._held(insight)
        for entry in entries:
            attached = entry.figures().attached if entry.facts is not None else None
            if attached is not None and entry.node.instance_id in held:
                difference = attached - held[entry.node.instance_id]
                self._differences.add(entry.pod.uid, difference)

    def drift(self) -> Mapping[str, int]:
        """Return what persists of the differences, by pod."""
        return {pod: self._differences.of(pod) for pod in self._differences.subjects}

    def branches(self) -> Mapping[str, int]:
        """Return how many branch ENIs there are for each instance's pods."""
        enis = (eni for eni in self._vpc.visible_enis() if eni.use == "pod_branch")
        return Counter(eni.tags.get(_INSTANCE, "") for eni in enis)

    def _held(self, insight: Insight) -> Mapping[str, int]:
        held: Counter[str] = Counter()
        for eni in self._vpc.visible_enis():
            attached = insight.on_node(eni)
            if attached is not None and insight.manages(eni, attached):
                held[attached.instance] += _for_pods(eni)
        return held


def _for_pods(eni: Eni) -> int:
    return len(eni.secondary) + _PREFIX * len(eni.prefixes)


def _asks_for_vpc(asked: Mapping[str, str]) -> bool:
    return any(name.endswith(".Name") and value == "vpc-id" for name, value in asked.items())
