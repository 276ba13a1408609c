"""Nodes in every mode of the CNI, as ipamd, EC2 and Kubernetes show each of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest

from exporter.core.pool import IPV6_PREFIX, PREFIX, SINGLE
from exporter.sim import Options, Simulation
from exporter.sim.cluster import Cluster
from exporter.sim.facts import Gauges, series
from exporter.sim.fleet import ZONES
from exporter.sim.holdings import Holding
from exporter.sim.introspection_server import surroundings
from exporter.sim.introspection_settings import chosen_eni_config
from exporter.sim.ipamd import Release
from exporter.sim.living import modes
from exporter.sim.living.kubelets import LivingNode
from exporter.sim.living.story import Living
from exporter.sim.nodes import Kind
from tests.sim.client import ask, asked, names, on_loop
from tests.sim.introspection_reader import counted
from tests.sim.living import begun, check, process, samples, stepped

PER_CIDR = "awscni_assigned_ip_per_cidr"
PER_ENI = "awscni_assigned_ip_per_eni"
ADDS = series("awscni_add_ip_req_count")
NONE_LEFT = series("awscni_no_available_ip_addresses")


@cache
def at(steps: int, seed: int = 1) -> tuple[Living, Cluster]:
    """The cluster after so many half minutes; the tests that share it change nothing."""
    story, cluster = begun(0, scenario="modes", seed=seed)
    stepped(story, cluster, steps)
    return story, cluster


def group(name: str, steps: int = 1, seed: int = 1) -> list[LivingNode]:
    return at(steps, seed)[0].world.group(name)


def gauges(node: LivingNode) -> Gauges:
    found = process(node).page().facts.gauges
    assert found is not None
    return found


def holding(node: LivingNode) -> Holding:
    return process(node).holding()


def per_eni(node: LivingNode) -> Mapping[str, float]:
    return {
        dict(labels)["eni"]: value
        for (name, labels), value in samples(process(node).page().body).items()
        if name == PER_ENI
    }


def errors(story: Living) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for node in story.world.nodes.values():
        for (name, labels), value in process(node).page().facts.counters.items():
            if name == "awscni_aws_api_error_count":
                found[dict(labels)["api"], dict(labels)["error"]] += int(value)
    return found


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_pools_pods_and_ec2_agree_on_every_node_whatever_befalls_it(seed: int) -> None:
    story, cluster = begun(0, scenario="modes", seed=seed)
    for _ in range(34):
        stepped(story, cluster, 1)
        check(story.world)
    assert len(story.world.nodes) == len(modes.PLACES)


def test_every_mode_every_era_and_nodes_beside_are_there() -> None:
    story, cluster = at(1)
    assert len(cluster.expected) == len(modes.PLACES) == 43
    assert Counter(node.machine.group for node in cluster.expected) == Counter(
        place.group for place in modes.PLACES
    )
    assert {place.group for place in modes.PLACES} == {it.name for it in modes.GROUPS}
    running = {node.serving.version for node in cluster.expected if node.serving is not None}
    minors = {Release.of(version)[:2] for version in running}
    assert minors >= {(1, 8), (1, 12), (1, 16), (1, 19), (1, 20), (1, 23)}
    beside = [node.machine.kind for node in cluster.nodes.values() if node not in cluster.expected]
    assert beside == [Kind.FARGATE, Kind.WINDOWS, Kind.AUTO, Kind.HYBRID]
    assert story.told.startswith("every mode: 43 nodes")


def test_prefix_nodes_hold_prefixes_and_leftovers_of_the_other_mode_stay() -> None:
    for node in group("prefix"):
        assert holding(node).sizes == {PREFIX}
        assert gauges(node).total == PREFIX * gauges(node).prefixes
    (to_prefix,), (to_secondary,) = group("to-prefix"), group("to-secondary")
    for node, size in ((to_prefix, PREFIX), (to_secondary, SINGLE)):
        assert holding(node).sizes == {PREFIX, SINGLE}
        assert process(node).rules.size == size
        others = [c for e in node.host.pool.enis for c in e.cidrs if c.size != size]
        assert any(cidr.assigned for cidr in others)
        assert PREFIX * gauges(node).prefixes < gauges(node).total


def test_with_custom_networking_pods_get_their_addresses_in_the_subnet_of_the_eniconfig() -> None:
    story, cluster = at(1)
    for node in (*group("custom"), *group("custom-secure")):
        primary, *others = node.host.pool.enis
        around = surroundings(node.node, cluster)
        name = chosen_eni_config(around, Release(1, 23, 1))
        assert name == ("reserve" if node.node.machine.group == "custom-secure" else node.zone)
        assert primary.primary
        assert not primary.cidrs
        assert {eni.subnet for eni in others} == {cluster.eni_configs[name]}
        assert primary.subnet == story.world.subnet(node.zone).id
        assert gauges(node).enis == 1 + len(others)


def test_an_excluded_subnet_keeps_its_pods_and_gives_no_more() -> None:
    before, after = group("picky", 6), group("picky", 12)
    assert not any(eni.excluded for node in before for eni in holding(node).enis)
    pods = at(12)[0].world.named("pods-a").id
    (custom,) = group("custom-picky", 12)
    assert [eni.id for eni in holding(custom).enis if eni.excluded] == [
        eni.id for eni in custom.host.pool.enis if eni.primary
    ]
    for node in after:
        excluded = [eni for eni in node.host.pool.enis if eni.excluded]
        kept = [eni for eni in node.host.pool.enis if not eni.excluded]
        assert any(eni.primary for eni in excluded)
        assert all(cidr.assigned for eni in excluded for cidr in eni.cidrs)
        assert {eni.subnet for eni in kept} == {pods}
        assert {eni.id for eni in holding(node).enis if eni.excluded} == {e.id for e in excluded}


def test_older_releases_take_a_subnet_with_any_tag() -> None:
    story, _ = begun(0, scenario="modes")
    (node,) = [it for it in story.world.group("plain") if process(it).version.startswith("v1.19")]
    home = story.world.subnet(node.zone)
    story.world.lay("tagged-c", node.zone, "10.13.0.0/24", tags={"kubernetes.io/role/cni": "0"})
    offered = node.host.ec2.subnets()
    assert [subnet.name for subnet in offered] == [home.name, "tagged-c"]
    node.host.ec2.release = Release(1, 22, 0)
    assert node.host.ec2.subnets() == [home]


def test_security_groups_for_pods_show_as_trunk_branches_capacity_and_feature() -> None:
    story, cluster = at(1)
    (asked,) = group("asked")
    for node in (*group("secure"), *group("custom-secure")):
        trunk = next(eni for eni in node.host.pool.enis if eni.trunk)
        branches = [
            eni
            for eni in story.vpc.enis.values()
            if eni.tags.get("vpcresources.k8s.aws/trunk-eni-id") == trunk.id
        ]
        # Those of pods that are gone cool down for a minute.
        assert len(branches) >= sum(pod.branch for pod in node.pods.values()) > 0
        for branch in branches:
            assert branch.tags["node.k8s.amazonaws.com/instance_id"] == node.node.instance_id
            assert branch.tags["kubernetes.io/cluster/sim"] == "owned"
            assert branch.subnet == (node.host.ec2.pods_in or node.host.ec2.home)
        vlans = [branch.tags["vpcresources.k8s.aws/vlan-id"] for branch in branches]
        assert len(vlans) == len(set(vlans))
        assert cluster.cni_nodes[node.node.name]["SecurityGroupsForPods"] == ""
        assert node.node.machine.pod_eni == 18
        assert [eni.attached for eni in holding(node).enis if eni.trunk] == [0]
    assert cluster.cni_nodes[asked.node.name] == {"SecurityGroupsForPods": ""}
    assert (asked.node.machine.pod_eni, asked.host.pool.has_trunk) == (0, False)
    assert len(asked.host.pool.enis) < gauges(asked).eni_max


def test_branch_enis_come_and_go_with_their_pods() -> None:
    def branches(steps: int) -> int:
        return sum(eni.use == "pod_branch" for eni in at(steps)[0].vpc.enis.values())

    calm, busy, after = branches(1), branches(4), branches(12)
    assert busy > calm
    assert after < busy


def test_several_cards_have_a_pool_each_and_the_last_to_write_lies_for_all() -> None:
    for node in group("cards"):
        first, second = node.host.pools.values()
        multi_homed = [pod.name for pod in node.pods.values() if pod.interfaces == 2]
        assert 0 < second.assigned == len(multi_homed) < first.assigned
        told = gauges(node)
        assert (told.total, told.assigned) in {
            (first.attached, first.assigned),
            (second.attached, second.assigned),
        }
        assert sum(per_eni(node).values()) == first.assigned + second.assigned
        held = holding(node)
        assert [card.number for card in held.cards] == [0, 1]
        assert held.assigned == first.assigned + second.assigned
        nics = Counter(
            (address.pod, address.interfaces)
            for card in held.cards
            for eni in card.enis
            for cidr in eni.cidrs
            for address in cidr.addresses
            if address.pod
        )
        assert {pod for (pod, n), times in nics.items() if n == times == 2} == set(multi_homed)
        assert told.eni_max == 8


def test_an_add_counts_each_card_that_has_nothing_to_give() -> None:
    story, _ = begun(0, scenario="modes")
    node = story.world.group("cards")[0]
    ipamd = process(node)
    for number in range(100):
        before = ipamd.counts[ADDS], ipamd.counts[NONE_LEFT]
        if not ipamd.add(f"more-{number}", 2):
            break
    assert (ipamd.counts[ADDS] - before[0], ipamd.counts[NONE_LEFT] - before[1]) == (1, 1)
    given = {pod for held in node.host.pools.values() for pod in _pods(held.enis)}
    assert f"more-{number}" not in given


def _pods(enis: Any) -> Iterator[str]:
    for eni in enis:
        for cidr in eni.cidrs:
            yield from (address.pod for address in cidr.addresses if address.pod)


def test_an_eni_on_a_card_that_is_not_managed_is_nobodys_but_for_its_tag() -> None:
    (node,) = group("efa")
    assert (gauges(node).eni_max, len(holding(node).cards)) == (14, 1)
    instance = at(1)[0].vpc.instances[node.node.instance_id]
    assert {card: len(enis) for card, enis in instance.others.items()} == {1: 1, 2: 1}


def test_an_ipv6_node_has_one_prefix_and_series_that_count_down() -> None:
    story, cluster = begun(0, scenario="modes")
    stepped(story, cluster, 8)
    for node in story.world.group("ipv6"):
        told, held = gauges(node), holding(node)
        assert (told.total, told.ip_max, told.prefixes, told.enis) == (2**48, 0, 0, 1)
        assert (held.attached, held.prefixes, list(held.sizes)) == (2**48, 1, [IPV6_PREFIX])
        assert held.assigned == told.assigned > 0
        page = process(node).page().body
        assert b"awscni_total_ip_addresses 2.81474976710656e+14\n" in page
        counts = [v for (name, _), v in samples(page).items() if name == PER_CIDR]
        assert len(counts) == 1
        assert counts[0] < 0


def test_enis_that_are_not_managed_lower_the_limits() -> None:
    (unmanaged,), (untagged,) = group("unmanaged"), group("untagged")
    assert (gauges(unmanaged).eni_max, gauges(unmanaged).ip_max) == (2, 18)
    assert (gauges(untagged).eni_max, gauges(untagged).ip_max) == (1, 9)
    for node in (unmanaged, untagged):
        instance = at(1)[0].vpc.instances[node.node.instance_id]
        shown = {eni.id for eni in holding(node).enis}
        assert len(set(instance.enis) - shown) == 3 - gauges(node).eni_max


def test_max_eni_is_a_limit_like_the_types() -> None:
    for node in group("capped", 14):
        assert (gauges(node).eni_max, gauges(node).total) == (2, 18)
        assert len(node.host.pool.enis) == 2


def test_without_room_for_an_eni_ipamd_asks_a_full_subnet_again_and_again() -> None:
    (capped,), (free,) = group("tight-capped", 16), group("tight", 16)

    def refused(node: LivingNode) -> Counter[str]:
        found: Counter[str] = Counter()
        for (name, labels), value in process(node).page().facts.counters.items():
            if name == "awscni_aws_api_error_count":
                found[dict(labels)["api"]] += int(value)
        return found

    assert set(refused(capped)) == {"AssignPrivateIpAddresses"}
    assert refused(capped)["AssignPrivateIpAddresses"] > 20
    assert 0 < refused(free)["CreateNetworkInterface"] < 5


def test_a_full_node_has_as_many_pods_as_the_kubelet_takes() -> None:
    (node,) = group("full", 16)
    assert len(node.pods) + node.node.host_network_pods == node.node.machine.max_pods == 11


def test_an_eni_that_is_detached_in_use_leaves_a_total_that_lies() -> None:
    before, after = group("forced", 3), group("forced", 12)
    for node in before:
        assert gauges(node).total == holding(node).attached
    lies = set()
    for node in after:
        counters = process(node).page().facts.counters
        assert counters[series("awscni_force_removed_enis")] == 1
        assert counters[series("awscni_force_removed_ips")] > 0
        assert holding(node).cards[0].total == holding(node).attached - 9
        assert gauges(node).assigned == holding(node).assigned
        lies.add(gauges(node).total - holding(node).attached)
    # One page is the old one still, another was written since.
    assert lies == {9, -9}


def test_all_that_ec2_can_refuse_is_refused_at_some_time() -> None:
    assert {error for _, error in errors(at(30)[0])} == {
        "InsufficientCidrBlocks",
        "InsufficientFreeAddressesInSubnet",
        "PrivateIpAddressLimitExceeded",
        "AttachmentLimitExceeded",
        "NetworkInterfaceLimitExceeded",
        "RequestLimitExceeded",
    }


def test_a_rollout_changes_its_own_group_alone() -> None:
    def releases(steps: int) -> list[tuple[str, str]]:
        nodes = at(steps)[1].expected
        return [(node.machine.group, node.serving.version) for node in nodes if node.serving]

    before, after = releases(1), releases(30)
    assert {version for name, version in before if name == "rolling"} == {modes.ROLLED_FROM}
    assert {version for name, version in after if name == "rolling"} == {"v1.23.1-eksbuild.1"}
    kept = [it for it in before if it[0] != "rolling"]
    assert kept == [it for it in after if it[0] != "rolling"]


def test_each_group_is_set_as_its_own_daemonset_would() -> None:
    _, cluster = at(1)
    for node in cluster.expected:
        wanted = {**cluster.plan.env, **modes.BY_NAME[node.machine.group].env}
        pod = cluster.store.find("pods", (cluster.namespace, node.pods[0].name))
        assert pod is not None
        (container, _) = json.loads(pod.raw)["spec"]["containers"]
        assert {it["name"]: it["value"] for it in container["env"] if "value" in it} == wanted


def test_a_replaced_pod_runs_what_its_group_runs() -> None:
    story, cluster = begun(0, scenario="modes")
    node = story.world.group("plain")[0].node
    assert node.pods[0].version == "v1.6.4-eksbuild.1"
    cluster.remove_pod(node, node.pods[0])
    assert cluster.new_pod(node.image_tag).version == "v1.6.4-eksbuild.1"


@on_loop
async def test_the_api_shows_cninodes_as_it_shows_other_objects() -> None:
    async with Simulation.living(0, Options(startup=0.0), scenario="modes") as sim:
        path = "/apis/vpcresources.k8s.aws/v1alpha1/cninodes"
        status, listed = await ask(sim, path)
        assert (status, listed["kind"]) == (200, "CNINodeList")
        wanted = {"secure", "asked", "custom-secure", "custom", "custom-picky"}
        nodes = {n.name: n for n in sim.cluster.expected if n.machine.group in wanted}
        # Up to v1.14 ipamd asks by labels.
        nodes = {name: n for name, n in nodes.items() if n.pods[0].version >= "v1.15"}
        assert set(names(listed)) == set(nodes)
        node = next(n for n in nodes.values() if n.machine.group == "secure")
        status, single = await ask(sim, f"{path}/{node.name}")
        assert status == 200
        assert single["spec"]["features"] == [{"name": "SecurityGroupsForPods"}]
        await sim.event("remove_node", [node.name])
        assert (await ask(sim, f"{path}/{node.name}"))[0] == 404


@on_loop
async def test_what_a_reader_counts_of_every_mode_is_what_the_books_say() -> None:
    options = Options(startup=0.0, introspection="all")
    async with Simulation.living(0, options, scenario="modes") as sim:
        for _ in range(8):
            await sim.step(4)
            for number, node in enumerate(sim.cluster.expected):
                if node.machine.group in {"off", "socket"} or node.serving is None:
                    continue
                assert node.process is not None
                held = node.process.holding()
                assert held is not None
                read = counted(await asked(sim, number), sim.clock())
                assert {
                    (int(card), eni): (it.total, it.assigned, it.cooldown, it.prefixes, it.excluded)
                    for (card, eni), it in read.items()
                } == {
                    (it.card, it.id): (
                        it.attached,
                        it.assigned,
                        it.cooling,
                        it.prefixes,
                        it.excluded,
                    )
                    for it in held.enis
                }


@on_loop
async def test_a_nodes_zone_and_label_choose_its_eniconfig() -> None:
    options = Options(startup=0.0, introspection="all")
    async with Simulation.living(0, options, scenario="modes") as sim:
        told = {
            node.machine.group: json.loads(await asked(sim, number, "/v1/eni-configs"))
            for number, node in enumerate(sim.cluster.expected)
            if node.machine.group in {"prefix", "custom", "custom-secure"}
        }
        assert told == {"prefix": "default", "custom": ZONES[2], "custom-secure": "reserve"}
        old = next(
            n for n, node in enumerate(sim.cluster.expected) if node.machine.group == "plain"
        )
        configs = json.loads(await asked(sim, old, "/v1/eni-configs"))
        assert configs["MyENI"] == "default"
        assert set(configs["ENI"]) == {*ZONES, "reserve", "spare"}


@on_loop
async def test_people_can_detach_an_eni_or_take_its_places_at_any_time() -> None:
    async with Simulation.living(0, Options(startup=0.0), scenario="modes") as sim:
        assert isinstance(sim.story, Living)
        node, other = sim.story.world.group("forced")
        await sim.event("detach_in_use", [node.node.name])
        assert len(node.host.gone) == 1
        await sim.event("take_slots", [other.node.name])
        free = [len(eni.cidrs) + len(eni.strays) for eni in other.host.pool.enis]
        assert set(free) == {9}
