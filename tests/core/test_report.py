from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.core.counters import (
    ADD_REQUESTS,
    ASSIGNMENT_FAILURES,
    AWS_API_ERRORS,
    AWS_API_REQUESTS,
    DEL_REQUESTS,
    FORCED_IP_REMOVALS,
    SERIES,
    Family,
    Ledger,
    Series,
    advance,
)
from exporter.core.headroom import Headroom, Limit
from exporter.core.model import (
    BlockedBy,
    Identity,
    Outcome,
    Read,
    Reading,
    Reason,
    SubnetRoom,
    Target,
    Unread,
)
from exporter.core.report import Memory, Report, Totals, step
from exporter.core.usage import NodeUsage, grouped, node_usage, total
from tests.builders import (
    LONG_AGO,
    NOW,
    books,
    counts,
    held,
    node,
    pod,
    read,
    reading,
    report,
    snapshot,
    subnet_usage,
    target,
    unread,
)

POLLS = Path(__file__).parents[1] / "data" / "polls"

# The upstream names of the golden pages' counters, the labels that matter, and what they count.
COUNTERS: dict[str, tuple[Family, tuple[str, ...]]] = {
    "awscni_add_ip_req_count": (ADD_REQUESTS, ()),
    "awscni_del_ip_req_count": (DEL_REQUESTS, ("reason",)),
    "awscni_no_available_ip_addresses": (ASSIGNMENT_FAILURES, ()),
    "awscni_ec2api_req_count": (AWS_API_REQUESTS, ("fn",)),
    "awscni_aws_api_error_count": (AWS_API_ERRORS, ("api", "error")),
    "awscni_force_removed_ips": (FORCED_IP_REMOVALS, ()),
}


@dataclass(frozen=True)
class Poll:
    time: float
    outcomes: tuple[Outcome, ...]
    expected: dict[str, Any]


def page_reading(text: str, time: float) -> Reading:
    """A page as the Prometheus client's own parser understands it."""
    plain: dict[str, float] = {}
    said: dict[Series, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            # The parser gives every counter the ending that OpenMetrics wants.
            name = sample.name.removesuffix("_total")
            if name in COUNTERS:
                of, labels = COUNTERS[name]
                said[Series(of, tuple(sample.labels[label] for label in labels))] = sample.value
            elif not sample.labels:
                plain[name] = sample.value
    return Reading(
        time=time,
        started=plain["process_start_time_seconds"],
        assigned=int(plain["awscni_assigned_ip_addresses"]),
        attached=int(plain["awscni_total_ip_addresses"]),
        enis=int(plain["awscni_eni_allocated"]),
        eni_max=int(plain["awscni_eni_max"]),
        ip_max=int(plain["awscni_ip_max"]),
        prefixes=int(plain["awscni_total_ipv4_prefixes"]),
        counts=counts(said),
    )


def polls(scenario: Path) -> list[Poll]:
    """The polls of a scenario, each pod on a node of its own name."""
    expected = json.loads((scenario / "expected.json").read_text())["polls"]
    found = []
    for given, answers in zip(
        json.loads((scenario / "scenario.json").read_text())["polls"], expected, strict=True
    ):
        outcomes: list[Outcome] = []
        for name in given["targets"]:
            where, page = target(name), scenario / given["dir"] / f"{name}.prom"
            if page.exists():
                outcomes.append(Read(where, page_reading(page.read_text(), given["time"])))
            else:
                outcomes.append(Unread(where, Reason.UNREACHABLE))
        found.append(Poll(given["time"], tuple(outcomes), answers))
    return found


def reports(found: list[Poll], only: str | None = None) -> list[Report]:
    memory, results = Memory(), []
    for poll in found:
        outcomes = [it for it in poll.outcomes if only in (None, it.target.node.name)]
        memory, result = step(memory, snapshot(*outcomes, time=poll.time))
        results.append(result)
    return results


def gains(results: list[Report], upstream: str) -> list[float]:
    """What one upstream family gained in each poll, all its children summed."""
    family, _ = COUNTERS[upstream]
    sums = [
        sum(
            value
            for it, value in zip(SERIES, result.totals.counts, strict=True)
            if it.family is family
        )
        for result in results
    ]
    return [now - before for before, now in zip([0.0, *sums], sums, strict=False)]


scenarios = pytest.mark.parametrize(
    "scenario", [pytest.param(path, id=path.name) for path in sorted(POLLS.iterdir())]
)


class TestOverTheGoldenPolls:
    @scenarios
    def test_the_gains_of_all_counters_are_right_poll_by_poll(self, scenario: Path) -> None:
        found = polls(scenario)
        wanted = [poll.expected["counter_delta"] for poll in found]
        results = reports(found)
        assert wanted == [
            {name: gains(results, name)[number] for name in answers}
            for number, answers in enumerate(wanted)
        ]

    @scenarios
    def test_the_gains_of_each_node_are_right_poll_by_poll(self, scenario: Path) -> None:
        found = polls(scenario)
        wanted = [poll.expected["counter_delta_per_node"] for poll in found]
        names = {name for answers in wanted for by_node in answers.values() for name in by_node}
        alone = {name: reports(found, only=name) for name in names}
        assert wanted == [
            {
                family: {name: gains(alone[name], family)[number] for name in by_node}
                for family, by_node in answers.items()
            }
            for number, answers in enumerate(wanted)
        ]

    @scenarios
    def test_the_sums_are_over_the_nodes_that_answered(self, scenario: Path) -> None:
        found = polls(scenario)
        assert [poll.expected["gauges_sum"] for poll in found] == [
            {
                "awscni_assigned_ip_addresses": cluster.assigned,
                "awscni_total_ip_addresses": cluster.attached,
                "awscni_eni_allocated": cluster.enis,
                "awscni_eni_max": cluster.eni_capacity,
                "awscni_ip_max": cluster.capacity,
                "awscni_total_ipv4_prefixes": cluster.prefixes,
            }
            for cluster in (result.cluster for result in reports(found))
        ]

    @scenarios
    def test_the_nodes_read_and_unread_are_those_that_answered_and_did_not(
        self, scenario: Path
    ) -> None:
        found = polls(scenario)
        assert [
            (len(poll.expected["targets_ok"]), len(poll.expected["targets_failed"]))
            for poll in found
        ] == [
            (result.cluster.read, result.cluster.unread[Reason.UNREACHABLE])
            for result in reports(found)
        ]


IDENTITY = Identity("prod", "eu-west-1", "vpc-1", "1.33")
BLUE = target(node("node-1", zone="a", nodegroup="blue"))
GREEN = target(node("node-2", zone="a", nodegroup="green"))
LOST = target(node("node-3", zone="b", nodegroup="blue"))
OUTCOMES = (read(BLUE, reading(said={Series(ADD_REQUESTS, ()): 3})), read(GREEN), unread(LOST))


def usages(*outcomes: Outcome) -> tuple[NodeUsage, ...]:
    return tuple(node_usage(outcome, 0.0) for outcome in outcomes)


def test_a_report_is_the_usage_at_every_scope_and_the_counters() -> None:
    memory, result = step(Memory(), snapshot(*OUTCOMES, identity=IDENTITY))
    nodes = usages(*OUTCOMES)
    ledger = advance(Ledger(), OUTCOMES, NOW)
    assert memory == Memory(ledger)
    assert result == Report(
        time=NOW,
        totals=Totals(IDENTITY, ledger.totals),
        cluster=total("", nodes),
        zones=grouped(nodes, lambda it: it.target.node.zone),
        nodegroups=grouped(nodes, lambda it: it.target.node.nodegroup),
        nodes=nodes,
    )
    assert [(it.name, it.expected) for it in result.zones] == [("a", 2), ("b", 1)]
    assert [(it.name, it.expected) for it in result.nodegroups] == [("blue", 2), ("green", 1)]


def test_where_nodes_may_not_be_listed_there_are_neither_zones_nor_node_groups() -> None:
    bare = target(node(zone="", nodegroup="", addresses=None))
    result = report(read(bare), nodes_known=False)
    assert (result.zones, result.nodegroups) == ((), ())
    assert result.cluster == total("", usages(read(bare)))


def test_a_node_is_in_the_subnet_of_its_instance_whether_it_was_read_or_not() -> None:
    one, two, three, bare = (
        target(node(f"node-{n}", instance_id=id)) for n, id in enumerate(("i-1", "i-2", "i-3", ""))
    )
    outcomes = (read(one), unread(two), read(three), read(bare))
    result = report(*outcomes, subnets={"i-1": "subnet-a", "i-2": "subnet-b", "i-9": "subnet-c"})
    assert [it.subnet_id for it in result.nodes] == ["subnet-a", "subnet-b", "", ""]


def test_a_step_goes_on_from_what_the_one_before_remembered() -> None:
    failures = Series(ASSIGNMENT_FAILURES, ())
    memory, first = step(Memory(), snapshot(read(what=reading(said={failures: 5}))))
    later = reading(time=NOW + 30, said={failures: 7})
    _, second = step(memory, snapshot(read(what=later), time=NOW + 30))
    assert [it.nodes[0].assignment_failures for it in (first, second)] == [0.0, 2.0]
    assert second.totals.counts[SERIES.index(failures)] == 2.0


def introspected(uid: str, by: int, *, carried: bool = False) -> Outcome:
    """A node whose books hold so many addresses more than its page says."""
    said = books(held(attached=20 + by, assigned=0, cooldown=0), carried=carried)
    what = reading(assigned=0, attached=20, introspection=said)
    return read(target(node(), pod(uid)), what)


def test_a_drift_is_told_of_the_cycles_that_compared_while_the_pod_stays() -> None:
    cycles = (
        introspected("old", 16),
        introspected("old", 17),
        introspected("old", 99, carried=True),
        read(target(node(), pod("old")), reading()),
        introspected("old", -1),
        introspected("old", -2),
        unread(target(node(), pod("old"))),
        introspected("new", -2),
        introspected("new", -2),
    )
    memory, told = Memory(), []
    for outcome in cycles:
        memory, result = step(memory, snapshot(outcome))
        told.append(result.nodes[0].drift)
    assert told == [0, 16, 16, None, 0, -1, None, 0, -2]


def test_the_drift_from_ec2_is_that_of_the_pod_it_was_found_of() -> None:
    old, new, bare = target(node(), pod("old")), target(node(), pod("new")), Target(node())
    found = {"old": -9}
    told = [
        step(Memory(), snapshot(outcome, ec2_drifts=found))[1].nodes[0].ec2_drift
        for outcome in (read(old), read(new), unread(old), unread(bare), read(bare))
    ]
    assert told == [-9, None, None, None, None]


def test_a_step_leaves_what_it_was_given_as_it_was() -> None:
    memory, _ = step(Memory(), snapshot(*OUTCOMES))
    again = step(memory, snapshot(*OUTCOMES, time=NOW + 30))
    assert again == step(memory, snapshot(*OUTCOMES, time=NOW + 30))


def test_an_empty_cluster_has_a_report_of_zeros() -> None:
    result = report()
    assert result == Report(
        time=NOW,
        totals=Totals(Identity(), (0.0,) * len(SERIES)),
        cluster=total("", ()),
        zones=(),
        nodegroups=(),
        nodes=(),
    )


def test_the_problems_are_the_nodes_that_were_not_read_or_have_nothing_left() -> None:
    full = read("node-2", reading(assigned=18, attached=18))
    result = report(read("node-1"), full, unread("node-3"))
    assert [it.name for it in result.problems] == ["node-2", "node-3"]


def test_a_node_is_blocked_by_an_error_for_two_minutes_and_is_a_problem_so_long() -> None:
    full = Series(AWS_API_ERRORS, ("CreateNetworkInterface", "InsufficientFreeAddressesInSubnet"))
    memory, _ = step(Memory(), snapshot(read(), read("node-2")))
    seen = {}
    for seconds in (30, 60, 149, 150, 151):
        now = NOW + seconds
        shot = snapshot(read(what=reading(time=now, said={full: 1})), read("node-2"), time=now)
        memory, found = step(memory, shot)
        first, second = found.nodes
        assert second.blocked == ()
        assert [it.name for it in found.problems] == (["node-1"] if first.blocked else [])
        seen[seconds] = first.blocked
    waits = (BlockedBy.SUBNET_EXHAUSTED, BlockedBy.BACK_OFF)
    assert seen == {30: waits, 60: waits, 149: waits, 150: waits, 151: ()}


def test_a_node_is_blocked_by_what_ec2_tells_of_its_subnet_and_its_branch_enis() -> None:
    starving = read(target(node("node-1", instance_id="i-1")), reading(assigned=18, attached=18))
    crowded = read(target(node("node-2", instance_id="i-2", pod_eni_capacity=9, max_pods=10)))
    home = SubnetRoom(subnet_usage("subnet-a").subnet, 0)
    shot = snapshot(
        starving, crowded, subnets={"i-1": "subnet-a"}, pod_enis={"i-2": 3}, rooms=[home]
    )
    first, second = step(Memory(), shot)[1].nodes
    assert (first.pod_enis, first.blocked) == (None, (BlockedBy.SUBNET_EXHAUSTED,))
    assert (second.pod_enis, second.blocked) == (3, (BlockedBy.MAX_PODS,))


def test_a_node_whose_pod_was_replaced_keeps_its_failures() -> None:
    failures = Series(ASSIGNMENT_FAILURES, ())
    old, new = target(node(), pod("old")), target(node(), pod("new"))
    memory, _ = step(Memory(), snapshot(read(old, reading(started=LONG_AGO, said={failures: 1}))))
    memory, _ = step(
        memory,
        snapshot(read(old, reading(time=NOW + 30, said={failures: 4})), time=NOW + 30),
    )
    replaced = reading(time=NOW + 60, started=NOW + 50, said={failures: 2})
    _, result = step(memory, snapshot(read(new, replaced), time=NOW + 60))
    assert result.nodes[0].assignment_failures == 5.0


def test_the_headroom_of_every_scope_counts_the_addresses_of_a_subnet_once() -> None:
    nodes = [
        target(node(f"node-{n}", instance_id=f"i-{n}", nodegroup=group))
        for n, group in enumerate(("blue", "green"))
    ]
    # Ten addresses are one ENI more, which both could have.
    shot = snapshot(
        *map(read, nodes),
        unread("node-3"),
        subnets={"i-0": "subnet-a", "i-1": "subnet-a"},
        rooms=[SubnetRoom(subnet_usage("subnet-a").subnet, 10)],
    )
    found = step(Memory(), shot)[1]
    assert [it.headroom for it in found.nodes] == [
        Headroom(22, Limit.MAX_PODS),
        Headroom(22, Limit.MAX_PODS),
        None,
    ]
    shared, alone = Headroom(22 + 13, Limit.SUBNET), Headroom(22, Limit.MAX_PODS)
    assert (found.cluster.headroom, found.zones[0].headroom) == (shared, shared)
    assert {it.name: it.headroom for it in found.nodegroups} == {"blue": alone, "green": alone}


def test_without_ec2_there_is_no_headroom() -> None:
    found = report(read())
    assert found.cluster.headroom is found.zones[0].headroom is found.nodes[0].headroom is None


def test_where_nodes_may_not_be_listed_the_headroom_is_the_clusters_alone() -> None:
    shot = snapshot(
        read(),
        nodes_known=False,
        subnets={"i-1": "subnet-a"},
        rooms=[SubnetRoom(subnet_usage("subnet-a").subnet, 10)],
    )
    found = step(Memory(), shot)[1]
    assert found.cluster.headroom == Headroom(22, Limit.MAX_PODS)
    assert (found.zones, found.nodegroups) == ((), ())
