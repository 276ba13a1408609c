"""A node's ipamd on the pool model: the host keeps what outlives a process, the process its counts.

Pools live in simulated seconds, `Time`; a process tells its start on the readers' clock.
"""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from exporter.core import pool
from exporter.core.pool import Cidr, Limits, Pool, Rules, Settings
from exporter.sim import pages
from exporter.sim.facts import Gauges, Page, Series, State, series, whole_hundredths
from exporter.sim.ipamd import Release, zeros
from exporter.sim.living.node_ec2 import NodeEc2

_PREFIXES_SINCE = (1, 9)
_BACK_OFF_SECONDS = 2.5
_METADATA_READS = 9
_START_CALLS = ("DescribeInstances", "DescribeNetworkInterfaces", "DescribeInstanceTypes")


@dataclass(slots=True)
class Time:
    """Simulated seconds since the cluster's story began."""

    now: float = 0.0


@dataclass(slots=True, eq=False)
class Host:
    """What stays when ipamd restarts: the settings, the node's ENIs and the pods' addresses."""

    ec2: NodeEc2
    env: Mapping[str, str]
    limits: Limits
    time: Time
    rng: random.Random
    pool: Pool

    @property
    def wants_trunk(self) -> bool:
        """Whether pods may have ENIs of their own here."""
        return Settings.from_env(self.env).pod_eni and self.limits.trunk_capable

    def rules(self, version: str) -> Rules:
        """The rules that ipamd of this release goes by here."""
        settings = Settings.from_env(self.env)
        if Release.of(version) < _PREFIXES_SINCE:
            settings = replace(settings, prefix_delegation=False)
        return Rules.of(settings, self.limits)


@dataclass(slots=True, eq=False)
class LivingIpamd:
    """One ipamd process."""

    host: Host
    version: str
    started: float
    rules: Rules
    counts: Counter[Series] = field(default_factory=zeros)
    used: set[str] = field(default_factory=set)
    _page: Page | None = None

    @classmethod
    def begun(cls, host: Host, now: float, version: str) -> "LivingIpamd":
        """Start on this host: adopt what is attached and the pods that are there."""
        rules = host.rules(version)
        host.ec2.timings.clear()
        host.ec2.discovery = rules.subnet_discovery
        host.ec2.tag_primary()
        choose = host.rng.choice
        host.pool = pool.start(host.pool, rules, now=host.time.now, ec2=host.ec2, choose=choose)
        begun = cls(host, version, whole_hundredths(now), rules)
        for api in _START_CALLS:
            begun.count("awscni_ec2api_req_count", fn=api)
            host.ec2.time(api, host.rng.randint(40, 300))
        cidrs = (cidr for eni in host.pool.enis for cidr in eni.cidrs)
        begun.used = {_written(cidr.base, cidr.size) for cidr in cidrs if cidr.assigned}
        return begun

    def page(self) -> Page:
        """Return the page for the state as it is."""
        if self._page is None:
            self._page = pages.page(self.state(), Release.of(self.version))
        return self._page

    def restarted(self, now: float, version: str) -> "LivingIpamd":
        """Return the process that follows this one on the host."""
        # However fast the story goes, a container does not start twice within two seconds, and
        # readers take starts that are closer for one.
        return LivingIpamd.begun(self.host, max(now, self.started + _BACK_OFF_SECONDS), version)

    def add(self, pod: str) -> bool:
        """Answer a pod's ADD, and say whether it got an address."""
        host, now = self.host, self.host.time.now
        self.count("awscni_add_ip_req_count")
        choose = host.rng.choice
        given = pool.assign(host.pool, self.rules, pod=pod, now=now, choose=choose)
        if given is None:
            self.count("awscni_no_available_ip_addresses")
            return False
        host.pool = given.pool
        size = self.rules.size
        self.used.add(_written(given.ip - given.ip % size, size))
        return True

    def add_branch(self) -> None:
        """Answer the ADD of a pod that has an ENI of its own, which the pool knows nothing of."""
        self.count("awscni_add_ip_req_count")

    def delete(self, pod: str, reason: str = "PodDeleted") -> None:
        """Answer a pod's DEL."""
        self.count("awscni_del_ip_req_count", reason=reason)
        self.host.pool = pool.unassign(self.host.pool, pod, now=self.host.time.now)

    def live(self) -> None:
        """Take one turn of ipamd's five-second loop."""
        host, now = self.host, self.host.time.now
        before = host.pool
        choose = host.rng.choice
        stepped = pool.step(before, self.rules, now=now, ec2=host.ec2, choose=choose)
        host.pool = pool.reconcile(stepped, self.rules, now=now)
        if host.pool is not stepped:
            self._reconciled(len(stepped.unadopted))
        if host.pool is not before:
            self._page = None

    def count(self, family: str, by: int = 1, **labels: str) -> None:
        """Add to one counter."""
        self.counts[series(family, **labels)] += by
        self._page = None

    def state(self) -> State:
        """Everything the page is written from; a CIDR has a series once a pod had an address."""
        enis = self.host.pool.enis
        held = {_written(cidr.base, cidr.size): cidr for eni in enis for cidr in eni.cidrs}
        by_cidr = {name: held[name].assigned if name in held else 0 for name in self.used}
        by_eni = {eni.id: eni.assigned for eni in enis}
        return State(self._gauges(), self._counters(), by_cidr, by_eni, self.started)

    def _reconciled(self, adopted: int) -> None:
        cidrs = sum(len(eni.cidrs) for eni in self.host.pool.enis)
        self.count("awscni_reconcile_count", cidrs, fn="eniDataStorePoolReconcileAdd")
        if adopted:
            self.count("awscni_reconcile_count", adopted, fn="eniReconcileAdd")
        spent = self.host.rng.randint(_METADATA_READS, 4 * _METADATA_READS)
        self.host.ec2.time("GetMetadata", spent, calls=_METADATA_READS)

    def _gauges(self) -> Gauges:
        held, rules = self.host.pool, self.rules
        eni_max = rules.max_enis - held.unmanaged
        return Gauges(
            assigned=held.assigned,
            total=held.attached,
            enis=len(held.enis),
            eni_max=eni_max,
            ip_max=rules.slots * rules.size * eni_max,
            prefixes=held.stock(pool.PREFIX).cidrs,
        )

    def _counters(self) -> Counter[Series]:
        tally = self.host.pool.tally
        found = self.counts + self.host.ec2.timings
        # Adding drops what is 0, and unlabelled counters are there from the start.
        found.update(dict.fromkeys(self.counts.keys() - found.keys(), 0))
        for api, calls in tally.calls.items():
            found[series("awscni_ec2api_req_count", fn=api)] += calls
        for (api, error), times in tally.refusals.items():
            found[series("awscni_ec2api_error_count", fn=api)] += times
            found[series("awscni_aws_api_error_count", api=api, error=error)] += times
        for function, times in tally.errors.items():
            found[series("awscni_ipamd_error_count", fn=function)] += times
        return found


@lru_cache(maxsize=65536)
def _written(base: int, size: int) -> str:
    return str(Cidr(base, size))
