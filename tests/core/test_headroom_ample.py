"""The closed form for nodes that are refused nothing, against the strides that it spares."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from exporter.core.headroom import NodeRoom
from exporter.core.headroom.ample import ample
from exporter.core.headroom.filling import fill
from exporter.core.headroom.space import Space
from exporter.core.pool import Rules
from tests.core.headroom_worlds import LIMITS, settings_of_ipamd

SUBNETS = ("a", "b", "c")


@st.composite
def rooms(draw: st.DrawFn) -> NodeRoom:
    """A node in any state, one in which no pool ever was included."""
    rules = Rules.of(draw(settings_of_ipamd()), draw(LIMITS))
    cidrs = draw(st.integers(0, 30))
    return NodeRoom(
        rules=rules,
        pods=draw(st.sampled_from((0, 1, 7, 30, 110, 400))),
        warm=draw(st.integers(0, cidrs * rules.size)),
        cidrs=cidrs,
        unused=draw(st.integers(0, cidrs)),
        slots=tuple(
            (draw(st.sampled_from(SUBNETS)), draw(st.integers(0, rules.slots)))
            for _ in range(draw(st.integers(0, 3)))
        ),
        enis=draw(st.integers(0, 4)),
        subnets=draw(st.sampled_from((("a",), ("a",), SUBNETS, ()))),
    )


@st.composite
def spaces(draw: st.DrawFn) -> dict[str, Space]:
    most = draw(st.sampled_from((4000, 300, 30)))
    return {
        subnet: Space(16 * blocks + draw(st.integers(0, most)), blocks, draw(st.integers(0, 9)))
        for subnet in SUBNETS
        for blocks in (draw(st.integers(0, most // 16)),)
    }


@budget(max_examples=500, deadline=None)
@given(rooms(), spaces())
def test_a_node_that_is_refused_nothing_ends_the_same_by_either_way(
    node: NodeRoom, subnets: dict[str, Space]
) -> None:
    form = ample(node)
    assume(form is not None)
    assert form is not None
    by_form = {name: space.copy() for name, space in subnets.items()}
    by_strides = {name: space.copy() for name, space in subnets.items()}

    found = form.filled(node, by_form)
    assume(found is not None)

    assert found == fill(node, by_strides)
    assert by_form == by_strides
