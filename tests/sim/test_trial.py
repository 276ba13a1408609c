"""What a living cluster has room for, found out by trying."""

from __future__ import annotations

from collections import Counter

import pytest

from exporter.sim import Options, Simulation
from exporter.sim.living.trial import Trial, rest
from exporter.sim.living.world import World
from exporter.sim.vpc import NewEni
from tests.sim.client import on_loop, small
from tests.sim.living import SECONDARY, begun, held_by_pools, held_in_ec2, stepped
from tests.sim.test_control import Remote


def state(world: World) -> object:
    """All that pods and pools hold."""
    return (
        [(node.host.pool.enis, sorted(node.pods)) for node in world.nodes.values()],
        {subnet.id: subnet.available for subnet in world.vpc.subnets.values()},
    )


@pytest.fixture(scope="module")
def world() -> World:
    story, cluster = begun(6, env=SECONDARY)
    stepped(story, cluster, 5)
    rest(story.world)
    return story.world


def test_at_rest_no_pool_moves_and_all_agree_with_ec2(world: World) -> None:
    before = state(world)
    for seconds in (5, 31, 61, 121, 1000):
        world.time.now += seconds
        for node in world.nodes.values():
            node.live()
    assert state(world) == before
    for node in world.nodes.values():
        assert held_by_pools(node) == held_in_ec2(world, node)


def test_what_ipamd_says_at_rest_is_what_it_then_has(world: World) -> None:
    for node in world.nodes.values():
        assert node.ipamd is not None
        assert node.ipamd.page().facts.gauges == node.ipamd.state().gauges


def test_a_trial_leaves_the_world_as_it_was(world: World) -> None:
    before = state(world)
    Trial.of(world).told()
    assert state(world) == before


def test_no_node_takes_more_alone_than_max_pods_let_on_nor_scopes_more_than_their_nodes(
    world: World,
) -> None:
    trial = Trial.of(world)
    told = trial.told()
    for node, places in zip(trial.nodes, trial.places, strict=True):
        assert 0 < told["nodes"][node.node.name] <= places
    assert told["cluster"] <= sum(told["nodes"].values())
    assert told["cluster"] == sum(told["zones"].values())


def test_where_subnets_are_empty_nodes_have_what_is_warm_and_none_starts() -> None:
    story, cluster = begun(3, env=SECONDARY)
    stepped(story, cluster, 2)
    rest(story.world)
    for subnet in story.world.vpc.subnets.values():
        while subnet.available:
            story.world.vpc.create(NewEni(subnet=subnet.id))
    trial = Trial.of(story.world)
    told = trial.told()
    warm = {it.node.name: it.host.pool.attached - it.host.pool.assigned for it in trial.nodes}
    assert told["nodes"] == {
        it.node.name: min(warm[it.node.name], places)
        for it, places in zip(trial.nodes, trial.places, strict=True)
    }
    assert {count for types in told["subnets"].values() for count in types.values()} == {0}


def test_branch_enis_are_pods_too() -> None:
    story, cluster = begun(6, env={**SECONDARY, "ENABLE_POD_ENI": "true"})
    stepped(story, cluster, 30)
    rest(story.world)
    trial = Trial.of(story.world)
    branches = Counter(pod.node for node in trial.nodes for pod in node.pods.values() if pod.branch)
    assert branches
    for node, places in zip(trial.nodes, trial.places, strict=True):
        others = node.node.host_network_pods + branches[node.node.name]
        most = node.node.machine.max_pods - node.host.pool.assigned - others
        assert places <= most


@on_loop
async def test_a_simulation_comes_to_rest_and_tells_its_room() -> None:
    async with (
        Simulation.living(3, Options(startup=0.0, env=SECONDARY)) as sim,
        Remote(sim) as remote,
    ):
        before = sim.advanced_at
        assert await remote.call("POST", "/rest") == (200, {})
        assert sim.advanced_at > before
        status, found = await remote.call("GET", "/room")
        assert (status, found["nodes"].keys()) == (200, sim.cluster.nodes.keys())


@on_loop
async def test_a_fleet_has_no_pools() -> None:
    refused = 400, {"error": "ValueError: only a living cluster has pools"}
    async with small() as sim, Remote(sim) as remote:
        assert await remote.call("GET", "/room") == refused
        assert await remote.call("POST", "/rest") == refused
