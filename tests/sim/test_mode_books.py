"""The books of every mode, held against a small reader of what was really served."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import pytest

from exporter.sim import Options, Simulation
from exporter.sim.living import modes
from exporter.sim.nodes import Node
from tests.sim.client import on_loop
from tests.sim.small_reader import Heard, SmallReader, told

pytestmark = pytest.mark.long

STEPS, SECONDS = 14, 60.0
STATES = "vpc_cni_node_ip_addresses"
REASONS = {
    "subnet_exhausted",
    "no_free_prefix",
    "eni_limit",
    "ip_limit",
    "attachment_limit",
    "max_pods",
    "throttled",
    "cooldown",
    "back_off",
}


def states(node: Node, heard: Heard) -> dict[tuple[str, str], float]:
    """What a node holds by state, as the specification has it."""
    group, name = node.machine.group, node.name
    total = heard.gauges["total_ip_addresses"]
    assigned = heard.gauges["assigned_ip_addresses"]
    if heard.enis is not None:
        found = {(name, "assigned"): float(heard.total("assigned"))}
        if group != "ipv6":
            found[name, "warm"] = heard.total("free")
            found[name, "cooldown"] = heard.total("cooldown")
        return found
    if group == "cards":
        return {(name, "assigned"): heard.per_eni}
    if group == "ipv6":
        return {(name, "assigned"): assigned}
    if total < assigned:
        return {}
    return {(name, "assigned"): assigned, (name, "warm"): total - assigned}


def is_read(heard: Heard) -> bool:
    return heard.gauges["total_ip_addresses"] >= heard.gauges["assigned_ip_addresses"]


class Checked:
    """Every step's truth against the small reader, and what there was to see."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.reader = SmallReader(sim)
        self.seen: defaultdict[str, set[Any]] = defaultdict(set)

    async def step(self) -> None:
        await self.reader.read()
        truth = self.sim.truth()
        self.addresses(truth)
        self.enis(truth)
        self.drifts(truth)
        self.branches(truth)
        self.seen["reasons"] |= {reason for _, reason in told(truth, "vpc_cni_node_blocked")}
        for labels, _ in truth["samples"]["vpc_cni_node_info"]:
            self.seen["modes"].add(labels["ip_mode"])
        await self.sim.step()

    def nodes(self) -> list[tuple[Node, Heard]]:
        heard = self.reader.heard
        found = [(n, heard[n.name]) for n in self.sim.cluster.expected if n.name in heard]
        return [(node, it) for node, it in found if it.enis is not None or is_read(it)]

    def addresses(self, truth: Mapping[str, Any]) -> None:
        wanted: dict[tuple[str, str], float] = {}
        for node, heard in self.nodes():
            if is_read(heard):
                wanted |= states(node, heard)
        assert told(truth, STATES) == wanted
        sums: Counter[str] = Counter()
        for (_, state), value in wanted.items():
            sums[state] += int(value)
        cluster = truth["samples"]["vpc_cni_cluster_ip_addresses"]
        assert {labels["state"]: value for labels, value in cluster} == sums
        introspected = sum(it.enis is not None and is_read(it) for _, it in self.nodes())
        assert truth["samples"]["vpc_cni_cluster_introspected_nodes"] == [({}, introspected)]
        self.seen["introspected"].add(introspected)
        self.seen["cooldown"].add(sums["cooldown"] > 0)

    def enis(self, truth: Mapping[str, Any]) -> None:
        enis, prefixes = {}, {}
        for node, heard in self.nodes():
            if not is_read(heard):
                continue
            if heard.enis is not None:
                enis[node.name] = float(len(heard.enis))
                prefixes[node.name] = float(heard.total("prefixes"))
            elif node.machine.group != "cards":
                enis[node.name] = heard.gauges["eni_allocated"]
                ipv6 = node.machine.group == "ipv6"
                gauge = heard.gauges.get("total_ipv4_prefixes", 0.0)
                prefixes[node.name] = 1.0 if ipv6 else gauge
        assert told(truth, "vpc_cni_node_enis") == enis
        assert told(truth, "vpc_cni_node_delegated_prefixes") == prefixes

    def drifts(self, truth: Mapping[str, Any]) -> None:
        drift, ec2 = {}, {}
        for node, heard in self.nodes():
            group, attached = node.machine.group, heard.gauges["total_ip_addresses"]
            if group == "ipv6" or not is_read(heard):
                continue
            if heard.enis is not None:
                if group != "cards":
                    drift[node.name] = heard.total("total") - attached
                attached = heard.total("total")
            elif group == "cards":
                continue
            held = self.reader.held_in_ec2(
                node, all_cards=group == "cards", strict=group == "untagged"
            )
            ec2[node.name] = attached - held
        assert told(truth, "vpc_cni_node_drift_ip_addresses") == drift
        assert told(truth, "vpc_cni_node_ec2_drift_ip_addresses") == ec2
        self.seen["drift"] |= set(drift.values())
        self.seen["ec2_drift"] |= set(ec2.values())

    def branches(self, truth: Mapping[str, Any]) -> None:
        offered = {"secure", "custom-secure"}
        nodes = [n for n in self.sim.cluster.expected if n.machine.group in offered]
        counts = {node.name: self.reader.branches(node) for node in nodes}
        assert told(truth, "vpc_cni_node_pod_enis") == counts
        capacity = dict.fromkeys(counts, 18)
        assert told(truth, "vpc_cni_node_pod_eni_capacity") == capacity
        self.seen["branches"].add(sum(counts.values()))


async def lived(introspection: str, seed: int) -> Mapping[str, set[Any]]:
    options = Options(startup=0.0, introspection=introspection, speed=SECONDS, seed=seed)
    async with Simulation.living(0, options, scenario="modes") as sim:
        checked = Checked(sim)
        for _ in range(STEPS):
            await checked.step()
        return checked.seen


@pytest.mark.parametrize(
    ("introspection", "most", "seed"), [("all", 41, 1), ("half", 21, 1), ("none", 0, 1)]
)
@on_loop
async def test_the_books_say_what_a_small_reader_of_the_same_answers_says(
    introspection: str, most: int, seed: int
) -> None:
    seen = await lived(introspection, seed)
    everyone = len(modes.PLACES)
    assert most - 1 <= max(seen["introspected"]) <= most < everyone
    assert seen["modes"] - {""} == {"secondary", "prefix", "mixed", "ipv6"}
    assert seen["cooldown"] == {introspection != "none"} | ({False} & seen["cooldown"])
    assert max(seen["ec2_drift"]) > 0
    assert len(seen["branches"]) > 2
    if introspection == "all":
        assert {-9, 9} <= seen["drift"]
        assert seen["reasons"] == REASONS
