from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.full_run import FullRunError, full_run
from bench.machine import described, machine, warning

WHOLE: dict[str, Any] = {
    "scale": "full",
    "found": {
        "works": [{"nodes": nodes} for nodes in (1_000, 5_000, 10_000)],
        "peaks": {"1000": 130.0, "5000": 240.0, "10000": 340.0},
        "idle": {"nodes": 5_000},
    },
}


def without(*names: str, **others: object) -> dict[str, Any]:
    found = {name: it for name, it in WHOLE["found"].items() if name not in names}
    return {**WHOLE, "found": {**found, **others}}


def test_what_a_full_run_has_written_is_returned(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    file.write_text(json.dumps(WHOLE))
    assert full_run(file) == WHOLE


@pytest.mark.parametrize(
    ("written", "trouble"),
    [
        pytest.param(None, "there are no figures", id="nothing"),
        pytest.param("{", "no figures can be read (Expecting", id="no JSON"),
        pytest.param("[1]", "no figures of the benchmarks", id="other JSON"),
        pytest.param(json.dumps({"cycles": 1}), "no figures of the benchmarks", id="a soak"),
        pytest.param(json.dumps({**WHOLE, "scale": "quick"}), "a run of scale quick", id="quick"),
        pytest.param(
            json.dumps({**WHOLE, "scale": "chosen"}), "a run of scale chosen", id="chosen"
        ),
        pytest.param(
            json.dumps(without("works")),
            "without works at 1,000 nodes, works at 5,000 nodes, works at 10,000 nodes",
            id="an older one",
        ),
        pytest.param(
            json.dumps(without(peaks={"1000": 130.0, "10000": 340.0})),
            "without the peak at 5,000 nodes",
            id="a peak is missing",
        ),
        pytest.param(json.dumps(without(idle=None)), "without watching", id="nothing watched"),
    ],
)
def test_anything_else_is_refused_with_what_to_do(
    written: str | None, trouble: str, tmp_path: Path
) -> None:
    file = tmp_path / "figures.json"
    if written is not None:
        file.write_text(written)
    with pytest.raises(FullRunError) as refused:
        full_run(file)
    text = str(refused.value)
    assert text.startswith(f"{file}: {trouble}")
    assert text.endswith("; `make bench` measures them all")


@pytest.mark.parametrize(
    ("load", "busy"),
    [pytest.param(0.3, False, id="quiet"), pytest.param(0.31, True, id="busy")],
)
def test_a_machine_that_was_busy_is_told_of(load: float, busy: bool) -> None:
    assert bool(warning({**machine(), "load_before": load})) is busy


def test_a_machine_is_described_by_what_makes_a_difference() -> None:
    told = {"python": "3.11.7", "kernel": "6", "processor": "A", "cores": 2, "load_before": 0.1}
    assert told.keys() == machine().keys()
    assert described(told) == "Python 3.11.7, 2 cores of A, load 0.1 before"


@pytest.mark.parametrize(
    ("slowed", "wanted"),
    [
        (1.0, ""),
        (1.1, ""),
        (
            1.25,
            "The machine became 25 % slower meanwhile: take no figure for a fact, and no growth.",
        ),
    ],
)
def test_a_machine_that_became_slower_is_told_of(slowed: float, wanted: str) -> None:
    assert warning({**machine(), "load_before": 0.0}, slowed) == wanted
