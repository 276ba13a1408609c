"""The books' minutes: what the counters gained in one, by CloudWatch's names.

The names are cni-metrics-helper's, from the reference, and those that the exporter adds. Nothing
is shared with the exporter, which is held against this.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.sim import vocabulary
from exporter.sim.facts import Series

_GAINS: Mapping[str, str] = {
    "awscni_add_ip_req_count": "addReqCount",
    "awscni_aws_api_error_count": "awsAPIErr",
    "awscni_aws_utils_error_count": "awsUtilErr",
    "awscni_del_ip_req_count": "delReqCount",
    "awscni_ec2api_error_count": "ec2ApiErrCount",
    "awscni_ec2api_req_count": "ec2ApiReqCount",
    "awscni_force_removed_enis": "forceRemoveENI",
    "awscni_force_removed_ips": "forceRemoveIPs",
    "awscni_ipamd_error_count": "ipamdErr",
    "awscni_no_available_ip_addresses": "noAvailableIPs",
    "awscni_pod_eni_error_count": "podENIErr",
    "awscni_reconcile_count": "reconcileCount",
}
_SPENT, _CALLS = "awscni_aws_api_latency_ms_sum", "awscni_aws_api_latency_ms_count"

Statistics = dict[str, float]
Told = dict[str, float | Statistics]


@dataclass(slots=True)
class Minute:
    """What was gained since it began; `pages` counts the pages that were served whole."""

    pages: int = 0
    gains: Counter[str] = field(default_factory=Counter)
    means: list[tuple[float, float]] = field(default_factory=list)

    def add(self, gained: Mapping[Series, float]) -> None:
        """Note what one page showed first."""
        times: defaultdict[Series, dict[str, float]] = defaultdict(lambda: {_SPENT: 0, _CALLS: 0})
        for source, value in gained.items():
            family, labels = source
            folded = vocabulary.published((_CALLS, labels)) if family in (_SPENT, _CALLS) else None
            if folded is not None:
                times[folded][family] += value
            left_out = ("fn", vocabulary.NOT_A_REPAIR) in labels
            if family in _GAINS and not left_out:
                self.gains[_GAINS[family]] += int(value)
        self.means += [(it[_CALLS], it[_SPENT]) for it in times.values() if it[_CALLS]]

    def told(self) -> Told:
        """Return every gain, 0 too, and the calls' times; nothing where no page was served."""
        if not self.pages:
            return {}
        found: Told = {name: float(self.gains[name]) for name in _GAINS.values()}
        if self.means:
            each = [spent / calls for calls, spent in self.means]
            statistics = {
                "SampleCount": sum(calls for calls, _ in self.means),
                "Sum": sum(spent for _, spent in self.means),
                "Minimum": min(each),
                "Maximum": max(each),
            }
            found |= {"awsAPILatency": statistics, "awsAPILatencyMilliseconds": {**statistics}}
        return found
