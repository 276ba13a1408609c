"""How many more nodes start in a subnet and come to rest, against pools that really do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from exporter.core.headroom import FreshNode, nodes_that_fit
from exporter.core.pool import Limits, Rules, Settings
from tests.core.headroom_worlds import (
    LIMITS,
    Vpc,
    begun,
    crowded_vpcs,
    settings_of_ipamd,
)


def starts(vpc: Vpc, rules: Rules, subnets: tuple[str, ...], trunk: str) -> bool:
    """Start a node in `a`, and tell whether it comes to rest with nothing refused."""
    node = begun(vpc, rules, "a", subnets, trunk=trunk)
    return node is not None and not node.refusals()


@st.composite
def places(draw: st.DrawFn, settings: Settings) -> tuple[str, ...]:
    if settings.custom_networking:
        return (draw(st.sampled_from("ab")),)
    if settings.subnet_discovery:
        return draw(st.sampled_from((("a",), ("a", "b"), ("b", "c"), ("b",), ("c", "a", "b"))))
    return ("a",)


@budget(max_examples=150, deadline=None)
@given(crowded_vpcs(subnets=3), settings_of_ipamd(), LIMITS, st.data())
def test_as_many_nodes_start_and_come_to_rest_as_are_said_to_fit(
    vpc: Vpc, settings: Settings, limits: Limits, data: st.DataObject
) -> None:
    subnets = data.draw(places(settings))
    rules = Rules.of(settings, limits)
    trunk = rules.wants_trunk and data.draw(st.booleans())
    found = nodes_that_fit(FreshNode(rules, "a", subnets, trunk), vpc.rooms())

    of_trunk = (subnets[0] if settings.custom_networking else "a") if trunk else ""
    count = 0
    while starts(vpc, rules, subnets, of_trunk):
        count += 1
    assert found == count
