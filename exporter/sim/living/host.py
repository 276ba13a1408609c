"""A node's ipamd on the pool model: the host keeps what outlives a process, the process its counts.

Pools live in simulated seconds, `Time`; a process tells its start on the readers' clock.
"""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from exporter.core import pool
from exporter.core.pool import Cidr, Eni, Limits, Pool, Rules, Settings
from exporter.sim import pages
from exporter.sim.facts import Gauges, Page, Series, State, series, whole_hundredths
from exporter.sim.holdings import Holding
from exporter.sim.ipamd import Release, zeros
from exporter.sim.living.gauges import Written
from exporter.sim.living.holding import Shower
from exporter.sim.living.node_ec2 import NodeEc2
from exporter.sim.living.release import manages_all_cards, settings_of

_BACK_OFF_SECONDS = 2.5
_METADATA_READS = 9
_START_CALLS = ("DescribeInstances", "DescribeNetworkInterfaces", "DescribeInstanceTypes")


@dataclass(slots=True)
class Time:
    """Simulated seconds since the cluster's story began."""

    now: float = 0.0


@dataclass(slots=True, eq=False)
class Host:
    """What stays when ipamd restarts: the settings, the node's ENIs and the pods' addresses.

    `pool` is that of the first of the instance's network `cards`, `more` holds those of the
    others, where ipamd manages them. `gone` are ENIs that somebody detached behind its back.
    """

    ec2: NodeEc2
    env: Mapping[str, str]
    limits: Limits
    time: Time
    rng: random.Random
    pool: Pool
    cards: int = 1
    more: dict[int, Pool] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    @property
    def wants_trunk(self) -> bool:
        """Whether pods may have ENIs of their own here."""
        return Settings.from_env(self.env).pod_eni and self.limits.trunk_capable

    @property
    def pools(self) -> Mapping[int, Pool]:
        """The pools of all cards that ipamd manages."""
        return {0: self.pool, **self.more}

    def of(self, card: int) -> Pool:
        """The pool of a card."""
        return self.more[card] if card else self.pool

    def put(self, card: int, held: Pool) -> None:
        """Keep the pool of a card."""
        if card:
            self.more[card] = held
        else:
            self.pool = held

    def rules(self, version: str, card: int = 0) -> Rules:
        """The rules that ipamd of this release goes by here."""
        return Rules.of(settings_of(self.env, version), self.limits, card=card)


@dataclass(slots=True, eq=False)
class LivingIpamd:
    """One ipamd process.

    `used` are the CIDRs that its page has a series for, with what each says once it is given back,
    or always in IPv6: there ipamd counts pods that leave and none that come (reference 1.3).
    """

    host: Host
    version: str
    started: float
    rules: Rules
    counts: Counter[Series] = field(default_factory=zeros)
    used: dict[str, int] = field(default_factory=dict)
    written: Written = field(default_factory=Written)
    _page: Page | None = None

    @classmethod
    def begun(cls, host: Host, now: float, version: str) -> "LivingIpamd":
        """Start on this host: adopt what is attached and the pods that are there."""
        begun = cls(host, version, whole_hundredths(now), host.rules(version))
        host.ec2.begin(Release.of(version), discovery=begun.rules.subnet_discovery)
        every = range(host.cards) if manages_all_cards(host.env, version) else range(1)
        host.more = {card: host.more.get(card, Pool(())) for card in every if card}
        for card, held in host.pools.items():
            begun._start(card, held)
        host.gone.clear()
        for api in _START_CALLS:
            begun.count("awscni_ec2api_req_count", fn=api)
            host.ec2.time(api, host.rng.randint(40, 300))
        cidrs = (cidr for held in host.pools.values() for eni in held.enis for cidr in eni.cidrs)
        begun.used = {_name(cidr): 0 for cidr in cidrs if cidr.assigned}
        return begun

    def page(self) -> Page:
        """Return the page for the state as it is."""
        if self._page is None:
            self._page = pages.page(self.state(), Release.of(self.version))
        return self._page

    def holding(self) -> Holding:
        """Return what introspection shows of the state as it is."""
        host = self.host
        shower = Shower(host.pools, host.time.now, self.rules.cooldown)
        return shower.holding(missing=self.written.missing)

    def restarted(self, now: float, version: str) -> "LivingIpamd":
        """Return the process that follows this one on the host."""
        # However fast the story goes, a container does not start twice within two seconds, and
        # readers take starts that are closer for one.
        return LivingIpamd.begun(self.host, max(now, self.started + _BACK_OFF_SECONDS), version)

    def add(self, pod: str, interfaces: int = 1) -> bool:
        """Answer a pod's ADD, and say whether it got an address on each of so many cards."""
        self.count("awscni_add_ip_req_count")
        given = {card: self._given(card, pod) for card in range(interfaces)}
        empty = sum(it is None for it in given.values())
        if empty:
            self.count("awscni_no_available_ip_addresses", empty)
            return False
        for card, found in given.items():
            assert found is not None
            self._put(card, found.pool)
            size = self.rules.size
            name = _written(found.ip - found.ip % size, size)
            self.used.setdefault(name, 0)
        return True

    def add_branch(self) -> None:
        """Answer the ADD of a pod that has an ENI of its own, which the pool knows nothing of."""
        self.count("awscni_add_ip_req_count")

    def delete(self, pod: str, reason: str = "PodDeleted") -> None:
        """Answer a pod's DEL."""
        self.count("awscni_del_ip_req_count", reason=reason)
        for card, held in self.host.pools.items():
            after = pool.unassign(held, pod, now=self.host.time.now)
            if self.rules.size == pool.IPV6_PREFIX and after is not held:
                self.used = {name: count - 1 for name, count in self.used.items()}
            self._put(card, after)

    def live(self) -> None:
        """Take one turn of ipamd's five-second loop, card by card; timers are the same for all."""
        latest = self._turn(0, self.host.pool)
        for card, held in self.host.more.items():
            latest = self._turn(card, _timed(held, latest))

    def count(self, family: str, by: int = 1, **labels: str) -> None:
        """Add to one counter."""
        self.counts[series(family, **labels)] += by
        self._page = None

    def state(self) -> State:
        """Everything the page is written from; a CIDR has a series once a pod had an address."""
        enis = [eni for held in self.host.pools.values() for eni in held.enis]
        held = {_name(cidr): cidr.assigned for eni in enis for cidr in eni.cidrs}
        if self.rules.size == pool.IPV6_PREFIX:
            held = {}
        by_cidr = {name: held.get(name, count) for name, count in self.used.items()}
        by_eni = {eni.id: eni.assigned for eni in enis}
        return State(self._gauges(), self._counters(), by_cidr, by_eni, self.started)

    def _start(self, card: int, held: Pool) -> None:
        host = self.host
        here = replace(held, enis=tuple(host.ec2.marked(eni) for eni in held.enis
                                        if eni.id not in host.gone))  # fmt: skip
        rules = host.rules(self.version, card)
        now, choose = host.time.now, host.rng.choice
        begun = pool.start(here, rules, now=now, ec2=host.ec2.on(card), choose=choose)
        host.put(card, begun)
        self.written.begin(begun)

    def _turn(self, card: int, held: Pool) -> Pool:
        host, now = self.host, self.host.time.now
        rules = host.rules(self.version, card) if card else self.rules
        ec2, choose = host.ec2.on(card), host.rng.choice
        stepped = pool.step(held, rules, now=now, ec2=ec2, choose=choose)
        after = pool.reconcile(stepped, rules, now=now)
        self._put(card, after)
        if after is not stepped:
            self._reconciled(after, len(stepped.unadopted))
            for eni in [eni for eni in after.enis if eni.id in host.gone] if host.gone else ():
                self._lose(card, eni)
        return host.of(card)

    def _put(self, card: int, after: Pool) -> None:
        before = self.host.of(card)
        if after is not before:
            self.host.put(card, after)
            self.written.changed(before, after, first=card == 0)
            self._page = None

    def _given(self, card: int, pod: str) -> pool.Assigned | None:
        host = self.host
        if card and card not in host.more:
            return None
        rules, now = host.rules(self.version, card) if card else self.rules, host.time.now
        held = host.of(card)
        return pool.assign(held, rules, pod=pod, now=now, choose=host.rng.choice)

    def _reconciled(self, after: Pool, adopted: int) -> None:
        cidrs = sum(len(eni.cidrs) for eni in after.enis)
        self.count("awscni_reconcile_count", cidrs, fn="eniDataStorePoolReconcileAdd")
        if adopted:
            self.count("awscni_reconcile_count", adopted, fn="eniReconcileAdd")
        spent = self.host.rng.randint(_METADATA_READS, 4 * _METADATA_READS)
        self.host.ec2.time("GetMetadata", spent, calls=_METADATA_READS)

    def _lose(self, card: int, eni: Eni) -> None:
        """Strike off an ENI that is no longer attached, and its pods with it."""
        held = self.host.of(card)
        without = replace(held, enis=tuple(other for other in held.enis if other.id != eni.id))
        self.host.put(card, without)
        self.host.gone.discard(eni.id)
        twice = bool(eni.assigned) and Release.of(self.version) >= (1, 9)
        self.written.lost(eni, without, twice=twice)
        self.count("awscni_reconcile_count", fn="eniReconcileDel")
        if eni.assigned:
            self.count("awscni_force_removed_enis")
            self.count("awscni_force_removed_ips", eni.assigned)
            self.used |= {_name(cidr): cidr.assigned for cidr in eni.cidrs if cidr.assigned}

    def _gauges(self) -> Gauges:
        held, rules = self.host.pool, self.rules
        eni_max = rules.max_enis - held.unmanaged
        size = 0 if rules.size == pool.IPV6_PREFIX else rules.size
        return Gauges(
            assigned=self.written.assigned,
            total=self.written.total,
            enis=self.written.enis,
            eni_max=eni_max,
            ip_max=rules.slots * size * eni_max,
            prefixes=self.written.prefixes,
        )

    def _counters(self) -> Counter[Series]:
        found = self.counts + self.host.ec2.timings
        # Adding drops what is 0, and unlabelled counters are there from the start.
        found.update(dict.fromkeys(self.counts.keys() - found.keys(), 0))
        for tally in (held.tally for held in self.host.pools.values()):
            for api, calls in tally.calls.items():
                found[series("awscni_ec2api_req_count", fn=api)] += calls
            for (api, error), times in tally.refusals.items():
                found[series("awscni_ec2api_error_count", fn=api)] += times
                found[series("awscni_aws_api_error_count", api=api, error=error)] += times
            for function, times in tally.errors.items():
                found[series("awscni_ipamd_error_count", fn=function)] += times
        return found


def _timed(held: Pool, latest: Pool) -> Pool:
    """Return a card's pool with the timers of the card that had its turn before."""
    backed_off_at, shrunk_at = latest.backed_off_at, latest.shrunk_at
    if (held.backed_off_at, held.shrunk_at) == (backed_off_at, shrunk_at):
        return held
    return replace(held, backed_off_at=backed_off_at, shrunk_at=shrunk_at)


def _name(cidr: Cidr) -> str:
    return _written(cidr.base, cidr.size)


@lru_cache(maxsize=65536)
def _written(base: int, size: int) -> str:
    return str(Cidr(base, size))
