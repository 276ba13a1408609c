from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from exporter.core.model import Reason, SubnetRoom
from exporter.outputs.picture import GROUPS
from exporter.outputs.prometheus import Format, Selection, draw
from exporter.outputs.terminal import Figures, bar, screen, stacked, waiting
from tests.builders import (
    books,
    held,
    node,
    read,
    reading,
    report,
    subnet_usage,
    target,
    unread,
)

URL = "http://127.0.0.1:61681/"


def figures() -> Figures:
    """Two nodes of a zone and one of another, of which one is not read."""
    told = report(
        read(target(node("node-1", zone="zone-a", nodegroup="general"))),
        unread(target(node("node-2", zone="zone-a", nodegroup="general")), Reason.TIMEOUT),
        read(
            target(node("node-3", zone="zone-b", nodegroup="")),
            reading(assigned=1234, attached=1300),
        ),
    )
    page = draw(Selection().tables(), told, {}).block(Format.TEXT).plain.decode()
    up = 'vpc_cni_exporter_source_up{{source="{}"}} {}\n'.format
    return Figures.parse(page + up("ipamd", 1) + up("pods", 0))


def shown(what: RenderableType) -> list[str]:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    with console.capture() as captured:
        console.print(what)
    return [line.strip("│ ") for line in captured.get().splitlines()]


def test_a_sample_is_found_by_its_labels() -> None:
    found = figures()
    assert found.value("vpc_cni_cluster_nodes", state="read") == 2
    assert found.value("vpc_cni_cluster_nodes", state="asleep") is None
    assert found.value("vpc_cni_no_such_metric") is None
    assert found.sum("vpc_cni_cluster_nodes") == 3


def test_the_screen_shows_the_sums_beside_the_nodes_they_stand_for() -> None:
    lines = shown(screen(figures(), URL))
    headline = lines[1].split()
    assert headline[:3] == ["2", "of", "3"]
    assert "1,239" in headline


@pytest.mark.parametrize(
    ("name", "nodes"), [("zone-a", "1/2"), ("zone-b", "1/1"), ("general", "1/2"), ("none", "1/1")]
)
def test_the_screen_shows_each_zone_and_node_group(name: str, nodes: str) -> None:
    rows = {line.split()[0]: line.split() for line in shown(screen(figures(), URL)) if line}
    assert rows[name][1] == nodes


def test_the_screen_names_what_is_missing_and_why() -> None:
    lines = shown(screen(figures(), URL))
    start = next(number for number, line in enumerate(lines) if line.startswith("not read: "))
    assert lines[start : start + 2] == ["not read: timeout 1", "node-2"]
    assert "sources: ipamd  pods (down)" in lines


def test_the_screen_names_some_of_many_missing_nodes() -> None:
    told = report(*(unread(target(node(f"node-{n}"))) for n in range(1, 10)))
    page = draw(Selection().tables(), told, {}).block(Format.TEXT).plain.decode()
    lines = shown(screen(Figures.parse(page), URL))
    assert ", ".join(f"node-{n}" for n in range(1, 9)) + " and 1 more" in lines


def test_the_screen_names_the_nodes_that_are_blocked_and_by_what() -> None:
    told = report(
        *(read(target(node(f"node-{n}.compute", max_pods=3))) for n in range(1, 11)),
        read(target(node("node-0", max_pods=20)), reading(assigned=27, attached=27)),
        read("node-11"),
    )
    page = draw(Selection().tables(), told, {}).block(Format.TEXT).plain.decode()
    lines = shown(screen(Figures.parse(page), URL))
    start = next(number for number, line in enumerate(lines) if line.startswith("blocked: "))
    assert lines[start : start + 2] == [
        "blocked: max_pods 11, eni_limit 1",
        ", ".join(f"node-{n}" for n in range(1, 9)) + " and 3 more",
    ]


def test_the_screen_has_no_line_of_blocked_nodes_where_none_is() -> None:
    page = draw(Selection().tables(), report(read()), {}).block(Format.TEXT).plain.decode()
    assert not any("blocked" in line for line in shown(screen(Figures.parse(page), URL)))


@pytest.mark.parametrize(
    ("assigned", "warm", "capacity", "text"),
    [
        pytest.param(0, 0, 24, "░" * 24, id="nothing is attached"),
        pytest.param(6, 6, 24, "█" * 12 + "░" * 12, id="half is attached"),
        pytest.param(24, 0, 24, "█" * 24, id="all is assigned"),
        pytest.param(30, 30, 24, "█" * 24, id="more is attached than there is room for"),
        pytest.param(None, 0, 24, "", id="nobody tells"),
        pytest.param(0, 0, 0, "", id="there is no capacity"),
    ],
)
def test_a_bar_is_as_long_as_its_share(
    assigned: float | None, warm: float, capacity: float, text: str
) -> None:
    assert bar(assigned, warm, capacity).plain == text


def test_a_bar_tells_assigned_from_warm() -> None:
    drawn = bar(6, 12, 24)
    assert [(span.end - span.start, span.style) for span in drawn.spans] == [
        (6, "blue"),
        (12, "yellow"),
        (6, "bright_black"),
    ]


def test_a_bar_tells_what_is_in_cooldown_too() -> None:
    drawn = bar(6, 6, 24, 6)
    assert [(span.end - span.start, span.style) for span in drawn.spans] == [
        (6, "blue"),
        (6, "yellow"),
        (6, "cyan"),
        (6, "bright_black"),
    ]


def test_what_is_in_cooldown_is_shown_where_introspection_tells() -> None:
    what = reading(introspection=books(held(attached=18, assigned=5, cooldown=3)))
    told = report(
        read(target(node("node-1", zone="zone-a", nodegroup="general")), what),
        read(target(node("node-2", zone="zone-b", nodegroup="general"))),
    )
    page = draw(Selection().tables(), told, {}).block(Format.TEXT).plain.decode()
    lines = shown(screen(Figures.parse(page), URL))
    titles = lines[2].split("  ")
    assert [it.strip() for it in titles if it] == [
        "nodes read",
        "assigned",
        "warm",
        "cooldown",
        "capacity",
        "ENIs",
        "/28 prefixes",
    ]
    assert lines[1].split() == ["2", "of", "2", "10", "23", "3", "54", "3", "0"]
    rows = {line.split()[0]: line.split()[1:6] for line in lines if line}
    assert rows["zone-a"] == ["1/1", "5", "10", "3", "27"]
    assert rows["zone-b"] == ["1/1", "5", "13", "–", "27"]
    assert rows["general"] == ["2/2", "10", "23", "3", "54"]
    assert rows["zone"][:5] == ["nodes", "assigned", "warm", "cooldown", "capacity"]
    assert not any("cooldown" in line for line in shown(screen(figures(), URL)))


def test_the_screen_says_how_many_more_pods_fit_where_that_is_known() -> None:
    nodes = (
        read(target(node("node-1", instance_id="i-1", zone="zone-a", nodegroup="general"))),
        unread(target(node("node-2", zone="zone-b", nodegroup="general"))),
    )
    room = SubnetRoom(subnet_usage("subnet-a").subnet, 10)
    told = report(*nodes, subnets={"i-1": "subnet-a"}, rooms=[room])
    page = draw(Selection().tables(), told, {}).block(Format.TEXT).plain.decode()
    lines = shown(screen(Figures.parse(page), URL))
    assert "22 more pods fit, until every node is at its max-pods" in lines
    rows = {line.split()[0]: line.split()[1:6] for line in lines if line}
    assert rows["zone-a"] == ["1/1", "5", "13", "27", "22"]
    assert rows["zone-b"] == ["0/1", "–", "–", "–", "–"]
    assert "more pods" in next(line for line in lines if line.startswith("zone "))
    assert not any("more pods" in line for line in shown(screen(figures(), URL)))


def test_before_the_first_report_it_says_how_long_it_has_waited() -> None:
    assert "waiting for the first report (3 s)" in shown(waiting(URL, 3.0))


GOLDEN = Path(__file__).parents[1] / "golden" / "subnets.prom"


def test_the_screen_shows_each_subnet_and_who_holds_its_addresses() -> None:
    page = GOLDEN.read_text()
    told = Figures.parse(page)
    sizes = {labels["subnet_id"]: value for labels, value in told.all("vpc_cni_subnet_size")}
    names = {labels["subnet_id"]: labels["name"] for labels, _ in told.all("vpc_cni_subnet_info")}
    lines = shown(screen(told, URL))
    for subnet, size in sizes.items():
        row = next(line for line in lines if line.startswith(names[subnet] or subnet))
        assert f"{size:,.0f}" in row.split()


def test_a_subnet_whose_enis_are_not_known_says_so() -> None:
    bare = "\n".join(
        line
        for line in GOLDEN.read_text().splitlines()
        if "vpc_cni_subnet_ip_addresses" not in line
    )
    lines = shown(screen(Figures.parse(bare + "\n"), URL))
    assert any(line.endswith("its ENIs could not all be read") for line in lines)


def test_without_subnets_there_is_no_table_of_them() -> None:
    assert not any("who holds the addresses" in line for line in shown(screen(figures(), URL)))


def test_a_stacked_bar_is_as_long_as_the_subnet_and_its_parts_as_their_shares() -> None:
    groups = {name: 0.0 for name in GROUPS} | {"assigned": 64, "warm": 64, "free": 128}
    drawn = stacked(groups, 256)
    assert drawn.plain == "█" * 12 + "░" * 12
    assert [
        (span.end - span.start, span.style) for span in drawn.spans if span.end > span.start
    ] == [
        (6, "blue"),
        (6, "yellow"),
        (12, "default"),
    ]


def test_what_is_going_on_stands_below_the_picture() -> None:
    assert "checkout is scaled up" in shown(screen(figures(), URL, "checkout is scaled up"))
