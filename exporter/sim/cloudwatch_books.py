"""What CloudWatch should be told of the world as it is: the gauges, by CloudWatch's names.

Nothing is shared with the exporter, which is held against this.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from exporter.sim.books import Entry
from exporter.sim.facts import Gauges
from exporter.sim.minutes import Told


def gauges(judged: Iterable[Entry]) -> Told:
    """Return what the gauges should say of the world as it is."""
    judged = list(judged)
    read = [(entry, entry.gauges) for entry in judged if entry.gauges is not None]
    found: Told = {"nodesExpected": len(judged), "nodesRead": len(read)}
    if judged:
        found["coveragePercent"] = 100 * len(read) / len(judged)
    columns: dict[str, list[float]] = defaultdict(list)
    for entry, said in read:
        for name, value in _of_node(entry, said).items():
            columns[name].append(value)
    return found | {name: sum(values) for name, values in columns.items()}


def _of_node(entry: Entry, said: Gauges) -> Mapping[str, float]:
    found: dict[str, float] = {
        "assignIPAddresses": said.assigned,
        "totalAssignedIPv4sPerCidr": said.assigned,
        "eniAllocated": said.enis,
        "eniMaxAvailable": said.eni_max,
        "ipamdActionInProgress": 0,
    }
    if said.ip_max:
        # Of IPv6 prefixes neither addresses nor /28s can be told.
        found["totalIPAddresses"] = said.total
        found["warmIPAddresses"] = said.total - said.assigned
        found["totalIPv4Prefixes"] = said.prefixes
    if entry.capacity is not None:
        found["maxIPAddresses"] = entry.capacity
    return found
