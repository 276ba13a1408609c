"""Living nodes: what pools hold is what EC2 holds, and a page tells both."""

from collections import Counter

import pytest

from exporter.core.pool import (
    PREFIX,
)
from exporter.sim import events
from exporter.sim.cluster import LATEST
from exporter.sim.facts import series
from exporter.sim.living.all_scenarios import SCENARIOS
from exporter.sim.living.workload import Deployment
from exporter.sim.vpc import NewEni
from tests.sim.living import SECONDARY, START, begun, check, process, samples, some_node, stepped


@pytest.mark.long
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("seed", [1, 2])
def test_pools_hold_what_ec2_holds_at_every_step(scenario: str, seed: int) -> None:
    story, cluster = begun(scenario=scenario, seed=seed, seconds=65)
    for _ in range(60):
        check(story.world)
        stepped(story, cluster, 1)
    assert story.world.time.now > 3600


@pytest.mark.parametrize(
    "env",
    [
        {"ENABLE_PREFIX_DELEGATION": "false"},
        {"ENABLE_PREFIX_DELEGATION": "false", "WARM_IP_TARGET": "2", "MINIMUM_IP_TARGET": "8"},
        {"WARM_IP_TARGET": "5", "WARM_PREFIX_TARGET": "0", "MAX_ENI": "2"},
        {"ENABLE_POD_ENI": "false", "IP_COOLDOWN_PERIOD": "120"},
    ],
    ids=["secondary", "targets", "prefixes by address", "no trunks"],
)
def test_they_do_with_any_settings_of_the_daemonset(env: dict[str, str]) -> None:
    story, cluster = begun(seconds=120, env=env)
    story.world.weather.throttled = 0.1
    for _ in range(25):
        stepped(story, cluster, 1)
        check(story.world)
    world = story.world
    assert all(world.time.now - pod.born < 300 for pod in world.kubelets.waiting)


def test_they_do_while_nodes_fail_leave_and_join() -> None:
    story, cluster = begun(9, seconds=60)
    world = story.world
    happen = [events.restart, events.delete_pod, events.pend, events.remove_node, events.cordon]
    for number in range(30):
        name = list(world.nodes)[number % len(world.nodes)]
        if name in cluster.nodes:
            happen[number % len(happen)](cluster, cluster.nodes[name])
        if number % 3 == 0:
            events.come_up(cluster, story.join(cluster))
        stepped(story, cluster, 1)
        check(world)
    assert world.nodes.keys() == cluster.nodes.keys()


@pytest.mark.long
def test_a_seed_repeats_a_run_byte_for_byte() -> None:
    def run(seed: int) -> list[bytes]:
        story, cluster = begun(9, scenario="day", seed=seed, seconds=600)
        stepped(story, cluster, 20)
        pages = [process(node).page().body for node in story.world.nodes.values()]
        enis = repr(
            [(e.id, e.subnet, e.primary, e.secondary, e.tags) for e in story.vpc.enis.values()]
        )
        return [*pages, story.told.encode(), enis.encode()]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_a_day_of_every_release_writes_pages_that_parse_and_say_their_facts() -> None:
    story, cluster = begun(12, scenario="day", seconds=300)
    stepped(story, cluster, 5)
    versions = set()
    for node in story.world.nodes.values():
        ipamd = process(node)
        versions.add(ipamd.version)
        found = samples(ipamd.page().body)
        facts = ipamd.page().facts
        assert {name: found[name] for name in facts.counters} == facts.counters
        assert facts.gauges is not None
        assert found[series("awscni_assigned_ip_addresses")] == facts.gauges.assigned
        assert found[series("awscni_total_ip_addresses")] == facts.gauges.total
    assert len(versions) > 5


def test_a_page_is_one_object_until_something_changes() -> None:
    story, _ = begun()
    ipamd = process(some_node(story))
    before = ipamd.page()
    assert ipamd.page() is before
    ipamd.add("another")
    after = ipamd.page().facts
    assert after.gauges is not None
    assert before.facts.gauges is not None
    assert after.gauges.assigned == before.facts.gauges.assigned + 1


def test_a_cidr_has_a_series_once_it_was_used_and_keeps_it_until_the_restart() -> None:
    story, cluster = begun(3, env={**SECONDARY, "WARM_IP_TARGET": "2"})
    node = some_node(story)
    ipamd = process(node)
    held = {str(cidr) for eni in node.host.pool.enis for cidr in eni.cidrs}
    assert held - set(ipamd.state().assigned_by_cidr)
    events.cordon(cluster, node.node)
    story.world.workload.stop(node.pods.values())
    stepped(story, cluster, 10)
    left = {str(cidr) for eni in node.host.pool.enis for cidr in eni.cidrs}
    gone = set(ipamd.state().assigned_by_cidr) - left
    assert gone
    assert {ipamd.state().assigned_by_cidr[cidr] for cidr in gone} == {0}
    again = ipamd.restarted(cluster.clock(), LATEST)
    assert not gone & set(again.state().assigned_by_cidr)


def test_a_restart_keeps_the_addresses_and_counts_from_zero() -> None:
    story, cluster = begun()
    node = some_node(story)
    before = process(node)
    before.add("one more")
    again = before.restarted(START + 60, "v1.20.4-eksbuild.1")
    facts = again.page().facts
    assert facts.gauges == before.page().facts.gauges
    assert facts.started == START + 60
    assert facts.counters[series("awscni_add_ip_req_count")] == 0
    assert before.page().facts.counters[series("awscni_add_ip_req_count")] > 0
    check(story.world)
    assert cluster.clock() == START


def test_two_processes_of_a_host_never_start_within_two_seconds() -> None:
    story, _ = begun(1)
    first = process(some_node(story)).restarted(START, LATEST)
    second = first.restarted(START + 0.1, LATEST)
    assert second.started - first.started > 2


def test_an_older_release_hands_out_single_addresses_and_its_successor_prefixes() -> None:
    story, cluster = begun(3)
    node = some_node(story)
    node.node.process = process(node).restarted(cluster.clock(), "v1.8.0-eksbuild.1")
    for number in range(20):
        process(node).add(f"old-{number}")
        node.live()
    gauges = process(node).page().facts.gauges
    assert gauges is not None
    assert gauges.prefixes == 0
    node.node.process = process(node).restarted(cluster.clock(), LATEST)
    check(story.world)
    mixed = process(node).page().facts.gauges
    assert mixed is not None
    assert mixed.prefixes > 0
    assert mixed.total > PREFIX * mixed.prefixes


def test_a_failed_add_is_counted_and_tried_again_until_there_is_an_address() -> None:
    story, cluster = begun(3, env={**SECONDARY, "ENABLE_POD_ENI": "false"})
    world, node = story.world, some_node(story)
    subnet = world.subnet(node.zone)
    hoard = world.vpc.create(NewEni(subnet=subnet.id, secondary=subnet.available - 1))
    world.workload.deploy(Deployment("many", 10, base=45, zone=node.zone))
    stepped(story, cluster, 4)
    waiting = [pod for pod in world.kubelets.waiting if world.nodes[pod.node].zone == node.zone]
    assert waiting
    counters = process(node).page().facts.counters
    assert counters[series("awscni_no_available_ip_addresses")] > len(waiting)
    full = "InsufficientFreeAddressesInSubnet"
    refused = series("awscni_aws_api_error_count", api="CreateNetworkInterface", error=full)
    assert counters[refused] > 0
    assert counters[series("awscni_ec2api_error_count", fn="CreateNetworkInterface")] > 0
    functions = series("awscni_ipamd_error_count", fn="increaseIPPoolAllocIPAddressesFailed")
    assert counters[functions] > 0
    world.vpc.delete(hoard.id)
    stepped(story, cluster, 12)
    assert not {pod for pod in world.kubelets.waiting if pod in waiting}


def test_every_call_of_ec2_is_counted_and_timed() -> None:
    story, cluster = begun(3)
    story.world.weather.throttled = 0.3
    stepped(story, cluster, 40)
    for node in story.world.nodes.values():
        counters = process(node).page().facts.counters
        calls = {
            dict(labels)["fn"]: value
            for (name, labels), value in counters.items()
            if name == "awscni_ec2api_req_count"
        }
        timed: Counter[str] = Counter()
        for (name, labels), value in counters.items():
            if name == "awscni_aws_api_latency_ms_count":
                timed[dict(labels)["api"]] += round(value)
        assert calls == {api: timed[api] for api in calls}
        assert set(timed) - set(calls) <= {"GetMetadata"}


def test_what_ipamd_does_not_manage_to_delete_stays_in_the_vpc() -> None:
    story, cluster = begun(3, env=SECONDARY)
    world = story.world
    world.workload.jobs.clear()
    for deployment in world.workload.deployments.values():
        deployment.base = 0
    for _ in range(40):
        world.weather.throttled = 0.6
        stepped(story, cluster, 1)
    leaked = [eni for n in world.nodes.values() for eni in n.host.pool.leaked]
    assert leaked
    assert {world.vpc.eni(eni.id).status for eni in leaked} == {"available"}
    check(world)
