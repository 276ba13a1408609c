"""Every query of dashboards/grafana has an answer from a real Prometheus that saw the trouble."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from scripts.grafana import answers
from scripts.grafana.answers import Moment
from tests.e2e.world import eventually
from tests.real.boards_world import CLUSTER, World, troubled
from tests.real.test_boards_types import BOARDS
from tests.real.test_prometheus import query

pytestmark = pytest.mark.real

Panel = Mapping[str, Any]
# What goes on between two scrapes, and so differs by a moment.
_MOVING = {
    "Exporters",
    "First one runs out in",
    "First runs out in",
    "Oldest news",
    "Slowest collection",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with troubled(tmp_path_factory.mktemp("boards"), step_seconds=0.4) as found:
        yield found


def panels(*kinds: str) -> Iterator[tuple[str, Panel]]:
    for uid, board in BOARDS.items():
        for panel in board["panels"]:
            if panel["type"] != "row" and (not kinds or panel["type"] in kinds):
                yield f"{uid}, {panel['title']}", panel


def moment(world: World, end: float, **chosen: str) -> Moment:
    return Moment(end=end, seconds=end - world.began, step=1.0, chosen=chosen)


def asked(world: World, target: Panel, at: Moment) -> int:
    """How many series a query has: where there are lines, those that are not over yet."""
    if target["instant"]:
        return len(answers.instant(world.url, dict(target), at))
    found = answers.lines(world.url, dict(target), at)
    return sum(len(points) >= 2 for _, points in found)


@pytest.mark.parametrize("cluster", ["", CLUSTER, ".*"], ids=["no label", "one", "all"])
def test_every_query_has_an_answer(world: World, cluster: str) -> None:
    at = moment(world, world.end, cluster=cluster)
    empty = [
        (name, target["refId"])
        for name, panel in panels()
        for target in panel["targets"]
        if not asked(world, target, at)
    ]
    assert empty == []


def test_replicas_count_once(world: World) -> None:
    """Two scrapes without the label are one cluster, and tell what the one with it tells."""

    def told(cluster: str, end: float) -> dict[str, float]:
        at = moment(world, end, cluster=cluster)
        return {
            name: value
            for name, panel in panels("stat")
            if panel["title"] not in _MOVING and " in 15m" not in panel["title"]
            for _, value in answers.instant(world.url, panel["targets"][0], at)
        }

    def same() -> dict[str, float]:
        end = time.time()
        two, one = told("", end), told(CLUSTER, end)
        return two if two == pytest.approx(one) else {}

    assert len(eventually(same, "both tell the same")) > 15
    (up,) = query(world.url, 'count(vpc_cni_exporter_build_info{cluster=""})') or []
    assert up[1] == 2


def test_every_column_that_is_named_is_there_and_the_worst_comes_first(world: World) -> None:
    at = moment(world, world.end, cluster=CLUSTER)
    for name, panel in panels("table", "barchart"):
        columns, rows = answers.table(world.url, dict(panel), at)
        overrides = {it["matcher"]["options"] for it in panel["fieldConfig"]["overrides"]}
        (organized,) = (it["options"] for it in panel["transformations"] if it["id"] == "organize")
        named = [organized["renameByName"].get(it, it) for it in organized["indexByName"]]
        assert columns == named, name
        assert overrides <= set(columns), name
        sorting = [it["displayName"] for it in panel["options"].get("sortBy", ())]
        assert set(sorting) <= set(columns), name
        assert len(rows) > 1, name


def test_no_line_of_a_table_stands_twice(world: World) -> None:
    at = moment(world, world.end, cluster="")
    for name, panel in panels("table", "barchart"):
        _, rows = answers.table(world.url, dict(panel), at)
        told = [tuple(it for it in row.values() if isinstance(it, str)) for row in rows]
        assert len(told) == len(set(told)), name


def test_a_choice_leaves_the_others_out(world: World) -> None:
    everywhere = moment(world, world.end, cluster=CLUSTER)
    zone = moment(world, world.end, cluster=CLUSTER, zone="eu-central-1a")
    for title, least in (("Subnets, fullest first", 5), ("Blocked nodes and why", 5)):
        (panel,) = (
            it
            for name, it in panels("table")
            if name.endswith(title) and not name.startswith("vpc-cni-overview")
        )
        _, every = answers.table(world.url, dict(panel), everywhere)
        _, some = answers.table(world.url, dict(panel), zone)
        assert {row["Zone"] for row in some} == {"eu-central-1a"}
        assert some == [row for row in every if row["Zone"] == "eu-central-1a"]
        assert least <= len(some) < len(every)
