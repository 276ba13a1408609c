"""What CloudWatch should be told of the world as it is: the gauges, by CloudWatch's names.

Nothing is shared with the exporter, which is held against this.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from exporter.sim.books import Entry
from exporter.sim.minutes import Told
from exporter.sim.node_figures import Figures


def gauges(judged: Iterable[Entry]) -> Told:
    """Return what the gauges should say of the world as it is."""
    judged = list(judged)
    read = [entry.figures() for entry in judged if entry.facts is not None]
    found: Told = {"nodesExpected": len(judged), "nodesRead": len(read)}
    if judged:
        found["coveragePercent"] = 100 * len(read) / len(judged)
    columns: dict[str, list[float]] = defaultdict(list)
    for said in read:
        for name, value in _of_node(said).items():
            if value is not None:
                columns[name].append(value)
    return found | {name: sum(values) for name, values in columns.items()}


def _of_node(said: Figures) -> Mapping[str, float | None]:
    return {
        "assignIPAddresses": said.assigned,
        "totalAssignedIPv4sPerCidr": said.assigned,
        "eniAllocated": said.enis,
        "eniMaxAvailable": said.eni_capacity,
        "ipamdActionInProgress": 0,
        # Of IPv6 prefixes neither addresses nor /28s can be told.
        "totalIPAddresses": said.attached,
        "warmIPAddresses": said.warm,
        "totalIPv4Prefixes": None if said.mode == "ipv6" else said.prefixes,
        "maxIPAddresses": said.capacity,
    }
