"""The headroom against the pool model, which really gives the pods their addresses."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from exporter.core.headroom import Headroom, Limit, headrooms
from exporter.core.pool import Rules
from tests.core.headroom_worlds import (
    LIMITS,
    NO_BLOCK,
    Node,
    Pick,
    begun,
    by_chance,
    kind,
    settings_of_ipamd,
    take_some,
    vpcs,
)


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    """A node at rest, with pods and other people's addresses around it."""
    vpc = draw(vpcs(subnets=2))
    limits, settings = draw(LIMITS), draw(settings_of_ipamd())
    rules = Rules.of(settings, limits)
    if rules.custom_networking:
        subnets: tuple[str, ...] = (draw(st.sampled_from("ab")),)
    elif rules.subnet_discovery:
        subnets = draw(st.sampled_from((("a",), ("a", "b"), ("b",), ("b", "a"))))
    else:
        subnets = ("a",)
    trunk = draw(st.sampled_from(("", "a"))) if rules.wants_trunk else ""
    before = draw(st.sampled_from((settings, settings, draw(settings_of_ipamd()))))
    node = begun(vpc, Rules.of(before, limits), "a", subnets, trunk=trunk)
    assume(node is not None)
    assert node is not None
    node.fill(draw(st.sampled_from((0, 1, 2, 5, 17))))
    if before != settings:
        node.rules = rules
        node.restart()
    take_some(draw, vpc)
    if not rules.custom_networking and draw(st.sampled_from((False, False, False, True))):
        node.exclude(draw(st.sampled_from("ab")))
    node.settle()
    return node


@budget(max_examples=400, deadline=None)
@given(nodes(), st.sampled_from((400, 400, 20, 3, 0)))
def test_as_many_pods_find_an_address_as_the_headroom_says(node: Node, pods: int) -> None:
    found = headrooms([node.room(pods)], node.vpc.rooms()).nodes[0]
    assert found is not None

    placed = node.fill(pods)

    assert found == Headroom(placed, _limit(node, placed == pods))


def _limit(node: Node, at_max_pods: bool) -> Limit:
    if at_max_pods:
        return Limit.MAX_PODS
    refused = node.refusals()
    if not refused:
        return Limit.ENI
    return Limit.PREFIX if NO_BLOCK in refused else Limit.SUBNET


@budget(max_examples=150, deadline=None)
@given(nodes(), st.sampled_from((400, 400, 20)), st.sampled_from((kind, by_chance(1))))
def test_however_kindly_ec2_picks_addresses_no_fewer_pods_find_one(
    node: Node, pods: int, pick: Pick
) -> None:
    node.vpc.pick = pick
    found = headrooms([node.room(pods)], node.vpc.rooms()).nodes[0]
    assert found is not None
    assert node.fill(pods) >= found.pods
