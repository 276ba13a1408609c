"""Several nodes and the subnets they share, against pools that really take their pods."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

from hypothesis import assume, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from exporter.core.headroom import headrooms
from exporter.core.pool import Rules
from tests.core.headroom_worlds import (
    LIMITS,
    Node,
    Vpc,
    begun,
    settings_of_ipamd,
    take_some,
    vpcs,
)


@dataclass
class World:
    """Nodes at rest, the pods that max-pods lets on to each, and a group for each."""

    vpc: Vpc
    nodes: list[Node]
    pods: list[int]
    groups: list[str]

    def filled(self, members: list[int]) -> list[int]:
        """How many pods a greedy placement, the best of these nodes first, brings on to each."""
        world = deepcopy(self)
        alone = {n: world.alone(n) for n in members}
        order = sorted(members, key=lambda n: -alone[n])
        return [world.nodes[n].fill(world.pods[n]) for n in order]

    def alone(self, n: int) -> int:
        world = deepcopy(self)
        return world.nodes[n].fill(world.pods[n])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    vpc = draw(vpcs(subnets=2, most_blocks=draw(st.sampled_from((4, 8, 12)))))
    several = draw(st.sampled_from((False, False, True)))
    kinds = []
    for _ in range(draw(st.sampled_from((1, 2)))):
        limits = draw(LIMITS)
        kinds.append(Rules.of(draw(settings_of_ipamd(custom_networking=False)), limits))
    nodes = []
    for _ in range(draw(st.sampled_from((4, 3, 2)))):
        rules = draw(st.sampled_from(kinds))
        home = draw(st.sampled_from("aab"))
        other = ("b",) if home == "a" else ("a",)
        subnets = (home, *other) if several and rules.subnet_discovery else (home,)
        node = begun(vpc, rules, home, subnets)
        assume(node is not None)
        assert node is not None
        node.fill(draw(st.sampled_from((0, 1, 3))))
        nodes.append(node)
    take_some(draw, vpc)
    for node in nodes + nodes:
        node.settle()
    before = deepcopy(vpc.grounds)
    for node in nodes:
        node.settle()
    assume(not any(node.flapping for node in nodes) and vpc.grounds == before)
    return World(
        vpc,
        nodes,
        [draw(st.sampled_from((400, 400, 30, 7))) for _ in nodes],
        [draw(st.sampled_from(("blue", "green"))) for _ in nodes],
    )


@budget(max_examples=250, deadline=None)
@given(worlds())
def test_together_nodes_take_as_many_pods_as_a_greedy_placement_brings_on_to_them(
    world: World,
) -> None:
    rooms = [node.room(pods) for node, pods in zip(world.nodes, world.pods, strict=True)]
    found = headrooms(rooms, world.vpc.rooms(), [world.groups])
    everyone = list(range(len(world.nodes)))

    assert [it and it.pods for it in found.nodes] == [world.alone(n) for n in everyone]
    assert found.cluster is not None
    assert found.cluster.pods == sum(world.filled(everyone))
    assert {name: it and it.pods for name, it in found.groups[0].items()} == {
        name: sum(world.filled([n for n in everyone if world.groups[n] == name]))
        for name in set(world.groups)
    }
