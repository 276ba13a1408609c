from __future__ import annotations

import pytest

from exporter.core.prefixes import (
    BlockState,
    Drain,
    Layout,
    block_states,
    counts,
    drains,
    fragmentation,
)

FREE, HELD, DELEGATED = BlockState.FREE, BlockState.FREE_RESERVED, BlockState.DELEGATED
FRAGMENTED, FULL, RESERVED = BlockState.FRAGMENTED, BlockState.FULL, BlockState.RESERVED


def taken(blocks: int, *offsets: int) -> bytes:
    """The addresses of some blocks with AWS's own and these taken."""
    aws = {0, 1, 2, 3, 16 * blocks - 1}
    return bytes(offset in aws or offset in offsets for offset in range(16 * blocks))


@pytest.mark.parametrize(
    ("layout", "states"),
    [
        pytest.param(Layout(taken=taken(1)), (FRAGMENTED,), id="smallest-subnet"),
        pytest.param(Layout(taken=taken(3)), (FRAGMENTED, FREE, FRAGMENTED), id="empty"),
        pytest.param(
            Layout(taken=taken(3, *range(4, 16))), (FULL, FREE, FRAGMENTED), id="first-full"
        ),
        pytest.param(
            Layout(taken=taken(3, 31)), (FRAGMENTED, FRAGMENTED, FRAGMENTED), id="one-taken"
        ),
        pytest.param(
            Layout(taken=taken(4, *range(16, 32)), delegated=(16,)),
            (FRAGMENTED, DELEGATED, FREE, FRAGMENTED),
            id="delegated",
        ),
        pytest.param(
            Layout(taken=taken(4), prefix=(range(16, 32),)),
            (FRAGMENTED, HELD, FREE, FRAGMENTED),
            id="prefix-reservation",
        ),
        pytest.param(
            Layout(taken=taken(4, 16), prefix=(range(64),)),
            (FRAGMENTED, FRAGMENTED, HELD, FRAGMENTED),
            id="all-reserved-for-prefixes",
        ),
        pytest.param(
            Layout(taken=taken(4, 16), explicit=(range(16, 32),)),
            (FRAGMENTED, RESERVED, FREE, FRAGMENTED),
            id="explicit-reservation-in-use",
        ),
        pytest.param(
            Layout(taken=taken(4), explicit=(range(28, 32), range(8, 10), range(32, 33))),
            (RESERVED, RESERVED, RESERVED, FRAGMENTED),
            id="small-explicit-reservations",
        ),
        pytest.param(
            Layout(taken=taken(4, *range(16, 32)), delegated=(16,), explicit=(range(16, 48),)),
            (FRAGMENTED, DELEGATED, RESERVED, FRAGMENTED),
            id="delegated-from-an-explicit-reservation",
        ),
    ],
)
def test_a_block_is_free_where_nothing_is_taken_or_reserved(
    layout: Layout, states: tuple[BlockState, ...]
) -> None:
    assert block_states(layout) == states
    assert counts(states) == {state: states.count(state) for state in BlockState}


@pytest.mark.parametrize(
    ("layout", "ratio"),
    [
        pytest.param(Layout(taken=taken(1)), None, id="one-block"),
        pytest.param(Layout(taken=taken(2)), None, id="two-blocks"),
        pytest.param(Layout(taken=taken(4)), 0.0, id="empty"),
        pytest.param(Layout(taken=taken(4, *range(16, 48))), None, id="full-between-the-ends"),
        pytest.param(Layout(taken=taken(4, 16, 32)), 1.0, id="one-in-each"),
        pytest.param(Layout(taken=taken(4, *range(16, 24))), 8 / 24, id="one-block-broken"),
        pytest.param(Layout(taken=taken(4), prefix=(range(64),)), 0.0, id="kept-for-prefixes"),
        pytest.param(
            Layout(taken=taken(4, *range(16, 24)), explicit=(range(32, 48),)), 1.0, id="explicit"
        ),
        pytest.param(
            Layout(taken=taken(4), explicit=(range(32, 40),)), 8 / 24, id="half-a-block-explicit"
        ),
    ],
)
def test_fragmented_are_the_free_addresses_that_no_free_block_contains(
    layout: Layout, ratio: float | None
) -> None:
    assert fragmentation(layout, block_states(layout)) == ratio


def test_a_node_is_ranked_by_the_blocks_that_it_alone_breaks() -> None:
    states = (FRAGMENTED, FULL, FRAGMENTED, FULL, FRAGMENTED, FULL, FREE, DELEGATED, FRAGMENTED)
    holders = ("node-d", "node-c", "node-b", "node-c", "node-a", "", None, "node-a", "node-c")
    assert drains(states, holders) == (
        Drain("node-c", 2),
        Drain("node-a", 1),
        Drain("node-b", 1),
    )


def test_a_reserved_block_is_not_freed_by_any_node() -> None:
    assert drains((FULL, RESERVED, FULL), ("node-a", "node-a", "node-a")) == ()
