from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import scale
from bench.scale import COLUMNS, PAGE, Column, Course, Line, costs, line, table, text, written


def works(nodes: int, **others: object) -> dict[str, object]:
    """What grows as the nodes do."""
    return {
        "nodes": nodes,
        "cycles": [0.0003 * nodes, 0.0002 * nodes, 0.0004 * nodes],
        "surveys": [0.0004 * nodes],
        "refreshes": [0.000006 * nodes],
        "scrapes": [0.0009 * nodes, 0.000003 * nodes, 0.000001 * nodes],
        "publishes": [0.003, 0.006, 0.009],
        "series": 15 * nodes,
        "page_bytes": 1024 * nodes // 10,
        **others,
    }


FOUND: dict[str, Any] = {
    "works": [works(nodes) for nodes in (1_000, 5_000, 10_000)],
    "idle": {"nodes": 5_000, "seconds": 30.0, "cpu_seconds": 0.15},
    "peaks": {"1000": 130.0, "5000": 240.0, "10000": 310.0},
}
MACHINE = {"python": "3.11.7", "processor": "A", "cores": 2, "load_before": 0.1}
TOLD = {"scale": "full", "machine": MACHINE, "found": FOUND}


@given(
    st.integers(0, 1_000),
    st.integers(0, 1_000),
    st.lists(st.integers(1, 10_000), min_size=2, max_size=5, unique=True),
)
def test_points_on_a_line_give_that_line(base: int, each: int, at: list[int]) -> None:
    found = line([(x, base + each * x) for x in at])
    assert (found.base, found.each) == pytest.approx((base, each), abs=1e-6)


@given(
    st.lists(
        st.tuples(st.integers(1, 10_000), st.floats(0, 1_000)),
        min_size=1,
        max_size=5,
        unique_by=lambda it: it[0],
    )
)
def test_no_line_begins_below_zero_or_falls(points: list[tuple[float, float]]) -> None:
    found = line(points)
    assert found.base >= 0
    assert found.each >= 0


def test_a_line_that_would_begin_below_zero_begins_there() -> None:
    found = line([(1_000, 0.2), (10_000, 2.3)])
    assert found.base == 0.0
    assert found.each == pytest.approx(0.0002297, abs=1e-7)


def test_a_line_that_would_fall_is_level() -> None:
    assert line([(1_000, 4.0), (10_000, 2.0)]) == Line(3.0, 0.0)


def test_one_point_alone_is_taken_to_grow_from_nothing() -> None:
    assert line([(20_000, 1.8)]) == Line(0.0, 0.00009)


def test_a_size_that_was_measured_shows_what_was_and_others_what_the_line_says() -> None:
    course = Course({1_000: 1.0, 2_000: 4.0, 3_000: 4.0})
    assert [course.at(nodes) for nodes in (1_000, 2_000, 3_000)] == [1.0, 4.0, 4.0]
    assert course.at(4_000) == pytest.approx(6.0)


def test_the_table_has_what_was_measured_and_draws_it_out() -> None:
    columns = (
        Column(1_000, {}),
        Column(100_000, {}),
        Column(100_000, {"interval": "120"}),
    )
    assert (
        table(costs(FOUND), columns)
        == """\
|  | 1,000 nodes | 100,000 nodes (drawn out) | 100,000 nodes, `interval` 120 (drawn out) |
| --- | ---: | ---: | ---: |
| CPU of one cycle | 0.30 s | 30.00 s | 30.00 s |
| cycles, one an `interval` | 1.0 % | 100.0 % | 25.0 % |
| EC2's ENIs, once an `ec2_enis_interval` | 0.2 % | 22.2 % | 22.2 % |
| EC2's subnets, once an `ec2_subnets_interval` | < 0.1 % | 1.0 % | 1.0 % |
| the watches of the API server | 0.1 % | 10.0 % | 10.0 % |
| scrapes, one an `interval` | < 0.1 % | 1.0 % | 0.2 % |
| CloudWatch, where it is on | < 0.1 % | < 0.1 % | < 0.1 % |
| CPU in all | **1.4 %** | **134.2 %** | **58.5 %** |
| peak of resident memory | **130 MiB** | **2,097 MiB** | **2,097 MiB** |
| series in Prometheus | 15,000 | 1,500,000 | 1,500,000 |
| one scrape, gzipped | 100 KiB | 10,000 KiB | 10,000 KiB |
| calls of the API server at the start | 23 | 1,409 | 1,409 |
| heartbeats of nodes, a second | 3.3 | 333.3 | 333.3 |
| DescribeNetworkInterfaces, calls a survey | 4 | 400 | 400 |
| of its bucket of 100 | 4.0 % | 400.0 % | 400.0 % |
| of its 20 calls a second | 0.1 % | 11.1 % | 11.1 % |
| ENIs' figures at a second a call, at most | 184 s old | 820 s old | 820 s old |
| DescribeSubnets, of its 20 | 0.2 % | 0.2 % | 0.2 % |
| GetSubnetCidrReservations of 6 subnets, of its 20 | 0.1 % | 0.1 % | 0.1 % |
| CloudWatch, where it is on: us-east-1, a month of 30 days | $8.23 | $8.23 | $8.02 |
"""
    )


def test_every_size_that_was_not_measured_is_marked() -> None:
    heads = [it.head(costs(FOUND)) for it in COLUMNS]
    marked = {it.nodes for it, head in zip(COLUMNS, heads, strict=True) if "(drawn out)" in head}
    assert marked == {100, 100_000}


def test_the_page_has_the_columns_and_the_rows_of_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    made = written(page, text(TOLD))
    assert written(made, text(TOLD)) == made
    assert [row[0] for row in cells(page)] == [row[0] for row in cells(made)]
    assert cells(page)[0] == cells(made)[0]


def cells(page: str) -> list[list[str]]:
    """The table of a page, row by row."""
    rows = page.partition(scale.MARK)[2].partition(scale.END)[0].splitlines()
    return [row.split(" | ") for row in rows if row.startswith("|")]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["scale", *map(str, arguments)])
    scale.main()


def test_figures_of_a_busy_machine_are_printed_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    told = {**TOLD, "machine": {**MACHINE, "load_before": 2.5}}
    file.write_text(json.dumps(told))
    run(monkeypatch, file)
    out, err = capsys.readouterr()
    assert out == text(told)
    assert "Measured with Python 3.11.7, 2 cores of A, load 2.5 before. The image has" in out
    assert "was busy" in err


def test_without_a_full_run_nothing_is_printed_but_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, tmp_path / "figures.json")
    assert str(ended.value).endswith("`make bench` measures them all")
    assert capsys.readouterr() == ("", "")


def test_the_table_is_written_between_its_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, page = tmp_path / "figures.json", tmp_path / "SCALE.md"
    file.write_text(json.dumps(TOLD))
    page.write_text(f"before\n{scale.MARK}old\n{scale.END}after\n")
    monkeypatch.setattr(scale, "PAGE", page)
    run(monkeypatch, "--write", file)
    assert page.read_text() == f"before\n{scale.MARK}{text(TOLD)}{scale.END}after\n"
