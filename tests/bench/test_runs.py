"""Measurements of the real daemon over a small fleet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.notes import HOURLY, SURVEY
from bench.peers import OTHERS, Size, World, world
from bench.runs import load, works

pytestmark = pytest.mark.long
NODES = 12


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with world(Size.usual(NODES), folder, *OTHERS, core=None) as peers:
        yield peers


def test_each_kind_of_work_is_measured_as_often_as_is_asked_for(peers: World) -> None:
    found = works(peers, 2)
    kinds = (found.cycles, found.surveys, found.refreshes, found.publishes)
    assert [len(it) for it in kinds] == [2, 2, 2, 2]
    assert all(seconds > 0 for it in (*kinds, found.scrapes) for seconds in it)
    assert (found.nodes, found.enis, found.subnets) == (NODES, 4 * NODES, 3)
    assert found.series > 20 * found.subnets + 10 * NODES
    assert 0 < found.page_bytes < 20 * found.series


def test_under_load_the_hours_collection_is_waited_for_where_it_is_asked_for(peers: World) -> None:
    found = load(peers, 0.1, *OTHERS, full_every=8.0)
    assert sum(span.work == HOURLY for span in found.spans) >= 1
    assert sum(span.work == SURVEY for span in found.spans) >= 2
