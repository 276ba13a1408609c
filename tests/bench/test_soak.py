from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.figures import Verdict
from bench.soak import Plan, Sample, Soaked, soak


def sample(cycle: int) -> Sample:
    return Sample(
        cycle=cycle,
        # Life goes up and down without end.
        resident_mib=100.0 + cycle % 5,
        objects=100_000 + 100 * (cycle % 7),
        tasks=14 + cycle % 2,
        threads=7,
        descriptors=24 - cycle % 3,
    )


def after_warming_up(cycle: int) -> Sample:
    """A start that takes its time to fill its caches."""
    usual = sample(cycle)
    return usual if cycle > 50 else replaced(usual, resident_mib=50.0 + cycle, tasks=3)


def replaced(usual: Sample, **others: float) -> Sample:
    return Sample(**{name: getattr(usual, name) for name in Sample.__slots__} | others)


def over(of: Callable[[int], Sample], wrong: list[tuple[int, str]] | None = None) -> list[str]:
    """What is over its limit after 200 such cycles."""
    soaked = Soaked([of(cycle) for cycle in range(1, 201)], wrong or [], 10)
    return [row.what.partition(":")[0] for row in soaked.rows() if row.verdict() is Verdict.OVER]


@pytest.mark.parametrize("usual", [sample, after_warming_up])
def test_what_goes_up_and_down_or_warms_up_does_not_grow(usual: Callable[[int], Sample]) -> None:
    assert over(usual) == []


@pytest.mark.parametrize(
    ("leak", "what"),
    [
        pytest.param(
            lambda it: replaced(sample(it), resident_mib=100.0 + it % 5 + 0.05 * it),
            "resident memory, MiB",
            id="50 KiB in each cycle",
        ),
        pytest.param(
            lambda it: replaced(sample(it), objects=100_000 + 40 * it), "objects", id="40 objects"
        ),
        pytest.param(
            lambda it: replaced(sample(it), tasks=14 + it // 20), "tasks", id="a task in twenty"
        ),
        pytest.param(
            lambda it: replaced(sample(it), threads=7 + it // 50), "threads", id="a thread in fifty"
        ),
        pytest.param(
            lambda it: replaced(sample(it), descriptors=24 + it // 50 - it % 3),
            "descriptors",
            id="a socket in fifty",
        ),
    ],
)
def test_what_each_cycle_leaves_behind_is_found_among_the_ups_and_downs(
    leak: Callable[[int], Sample], what: str
) -> None:
    assert over(leak) == [what]


def test_one_wrong_figure_is_one_too_many() -> None:
    assert over(sample, [(20, "vpc_cni_cluster_enis")]) == ["figures that are not the truth"]


@pytest.mark.long
def test_two_hundred_cycles_of_a_world_that_never_rests_leave_nothing_behind(
    tmp_path: Path,
) -> None:
    plan = Plan(cycles=200, nodes=100, checkpoints=4, cores=None)
    found = soak(plan, tmp_path)
    assert found.wrong == []
    assert {row.what: row.figure for row in found.rows() if row.verdict() is Verdict.OVER} == {}
    assert (len(found.samples), found.checked) == (200, 4)
