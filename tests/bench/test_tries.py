"""How often `python -m bench` measures, and what it says in the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import __main__ as bench
from bench.found import Found
from bench.sizes import Scale

MACHINE = {"python": "3.11", "cores": 2, "processor": "a processor", "load_before": 0.0}


def found(times: float) -> Found:
    """Figures of which one counts, so many times as good as its baseline."""
    page = {
        "lines": 450,
        "pages_per_second": 10_000 * times,
        "prometheus_client_pages_per_second": 10_000,
    }
    return Found(scale="quick", machine=MACHINE, parts={"parse": page})


def ran(
    times: tuple[float, ...], *options: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[int, int]:
    """Return the exit status, and how often was measured."""
    left = list(times)

    def measure(_: Scale) -> Found:
        return found(left.pop(0))

    monkeypatch.setattr(bench, "measure", measure)
    monkeypatch.setattr(bench, "pin", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["bench", "--quick", "--out", str(folder), *options])
    status = bench.main()
    return status, len(times) - len(left)


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.plots.draw", lambda *_: True)


@pytest.mark.parametrize(
    ("times", "options", "wanted"),
    [
        pytest.param((25.0, 1.0), ("--tries", "3"), (0, 1), id="good at once"),
        pytest.param((19.0, 25.0, 1.0), ("--tries", "3"), (0, 2), id="good the second time"),
        pytest.param((19.0, 18.0, 25.0), ("--tries", "3"), (0, 3), id="good the last time"),
        pytest.param((19.0, 18.0, 17.0, 25.0), ("--tries", "3"), (1, 3), id="never good"),
        pytest.param((19.0, 25.0), (), (1, 1), id="once is enough unless it is said"),
    ],
)
def test_what_is_over_is_measured_again_as_often_as_it_is_said(
    times: tuple[float, ...],
    options: tuple[str, ...],
    wanted: tuple[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ran(times, *options, folder=tmp_path, monkeypatch=monkeypatch) == wanted
