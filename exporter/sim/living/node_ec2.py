"""EC2 as one node's ipamd meets it: its requests done in the VPC, timed, and at times throttled.

How often ipamd asked is counted by the pool's own tally.
"""

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from exporter.core import pool
from exporter.sim.facts import Series, series
from exporter.sim.ipamd import Release
from exporter.sim.vpc import NewEni, Refusal, Subnet, Vpc

_LATENCY = "awscni_aws_api_latency_ms"
_CNI_ROLE = "kubernetes.io/role/cni"
_SINCE_EXCLUDED = (1, 22)
_NEWEST = Release(1, 999, 0)


@dataclass(slots=True)
class Weather:
    """How EC2 is today, for all nodes: the share of calls that it throttles.

    `refused` are operations that it refuses, each with an error code.
    """

    throttled: float = 0.0
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class NodeEc2:
    """The EC2 of one instance, which is in the subnet `home`.

    New ENIs are put on a network card; with custom networking they are in the subnet `pods_in`.
    """

    vpc: Vpc
    instance: str
    home: str
    cluster: str
    rng: random.Random
    weather: Weather
    pods_in: str = ""
    card: int = 0
    discovery: bool = True
    release: Release = _NEWEST
    timings: Counter[Series] = field(default_factory=Counter)

    def begin(self, release: Release, *, discovery: bool) -> None:
        """Let another ipamd ask, of this release."""
        self.release, self.discovery = release, discovery
        self.timings.clear()
        # As on every ENI that ipamd manages.
        primary = self.vpc.instances[self.instance].attached[0]
        self.vpc.eni(primary).tags |= self._tags()

    def on(self, card: int) -> "NodeEc2":
        """Return the same for another network card."""
        return replace(self, card=card) if card else self

    def marked(self, eni: pool.Eni) -> pool.Eni:
        """Return an ENI as a starting ipamd sees it: excluded where its subnet's tag says so."""
        tag = self.vpc.subnets[eni.subnet].tags.get(_CNI_ROLE)
        return replace(eni, excluded=self.release >= _SINCE_EXCLUDED and tag == "0")

    def __call__(self, request: pool.Request) -> pool.Granted | pool.Refused:
        """Answer one request."""
        api = type(request).__name__
        try:
            if self.rng.random() < self.weather.throttled:
                raise Refusal("RequestLimitExceeded")
            if api in self.weather.refused:
                raise Refusal(self.weather.refused[api])
            answer = self._done(request)
        except Refusal as refusal:
            self.time(api, self.rng.randint(60, 400), error=refusal.code)
            return pool.Refused(refusal.code)
        self.time(api, self.rng.randint(80, 900))
        return answer

    def time(self, api: str, milliseconds: int, *, error: str = "", calls: int = 1) -> None:
        """Add to ipamd's summary of how long calls take."""
        labels = {"api": api, "error": str(bool(error)).lower(), "status": error or "200"}
        self.timings[series(f"{_LATENCY}_sum", **labels)] += milliseconds
        self.timings[series(f"{_LATENCY}_count", **labels)] += calls

    def _done(self, request: pool.Request) -> pool.Granted:
        vpc = self.vpc
        match request:
            case pool.AssignPrivateIpAddresses(eni, count, size):
                return pool.Granted(cidrs=tuple(vpc.assign(eni, count, size=size)))
            case pool.UnassignPrivateIpAddresses(eni, cidrs, size):
                vpc.unassign(eni, cidrs, size=size)
            case pool.DescribeNetworkInterfaces(eni, size):
                held = vpc.eni(eni).prefixes if size == pool.PREFIX else vpc.eni(eni).secondary
                return pool.Granted(cidrs=tuple(held))
            case pool.CreateNetworkInterface(count, size):
                return self._created(count, size)
            case pool.AttachNetworkInterface(eni):
                return pool.Granted(device=vpc.attach(eni, self.instance, card=self.card).device)
            case pool.ModifyNetworkInterfaceAttribute(eni):
                if (attachment := vpc.eni(eni).attachment) is not None:
                    attachment.delete_on_termination = True
            case pool.DetachNetworkInterface(eni):
                vpc.detach(eni)
            case pool.DeleteNetworkInterface(eni):
                vpc.delete(eni)
        return pool.Granted()

    def _created(self, count: int, size: int) -> pool.Granted:
        """Create in the subnet with the most room; ipamd tries the others before it gives up."""
        refusal = Refusal("InvalidSubnetID.NotFound")
        prefix = size == pool.PREFIX
        for subnet in self.subnets():
            new = NewEni(
                subnet=subnet.id,
                secondary=0 if prefix else count,
                prefixes=count if prefix else 0,
                description=f"aws-K8S-{self.instance}",
                tags=self._tags() | {"node.k8s.amazonaws.com/createdAt": self._stamp()},
                use="node",
            )
            try:
                eni = self.vpc.create(new)
            except Refusal as refused:
                refusal = refused
            else:
                cidrs = eni.prefixes if prefix else eni.secondary
                return pool.Granted(tuple(cidrs), eni.id, subnet.id)
        raise refusal

    def subnets(self) -> list[Subnet]:
        """The subnets that a new ENI may be in, the one with most room first."""
        home = self.vpc.subnets[self.home]
        if self.pods_in:
            return [self.vpc.subnets[self.pods_in]]
        if not self.discovery:
            return [home]
        tagged = [it for it in self.vpc.subnets.values() if self._for_pods(it, home)]
        return sorted(tagged, key=lambda subnet: -subnet.available)

    def _for_pods(self, subnet: Subnet, home: Subnet) -> bool:
        """Whether ipamd would create an ENI in a subnet; up to v1.21 any tag will do."""
        told = self.release >= _SINCE_EXCLUDED
        if subnet is home:
            return not told or subnet.tags.get(_CNI_ROLE) != "0"
        if subnet.zone != home.zone or _CNI_ROLE not in subnet.tags:
            return False
        return not told or subnet.tags[_CNI_ROLE] not in {"0", ""}

    def _tags(self) -> dict[str, str]:
        return {
            "node.k8s.amazonaws.com/instance_id": self.instance,
            "cluster.k8s.amazonaws.com/name": self.cluster,
            "eks:eni:owner": "amazon-vpc-cni",
        }

    def _stamp(self) -> str:
        return stamp(self.vpc.clock())


def stamp(moment: float) -> str:
    """Write a time as ipamd tags it."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
