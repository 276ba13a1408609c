"""`python -m bench`: every figure as one JSON object, with its budget beside it."""

from __future__ import annotations

import argparse
import json

from bench import cycles, enis, forecast, headroom, introspection, parse, render

# DESIGN section 7: seconds of a cycle and MiB at so many nodes.
_CYCLE_BUDGETS = {1_000: 0.5, 5_000: 2.5, 10_000: 5.0}
_MEMORY_BUDGETS = {1_000: 160, 5_000: 250, 10_000: 350}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="*", default=[1_000, 5_000])
    nodes = parser.parse_args().nodes
    figures = {
        "parse": {**parse.measure(), "budget_times_as_fast": 20},
        "introspection": {**introspection.measure(), "budget_milliseconds": 1.0},
        "headroom_milliseconds": headroom.measure(),
        "render": {
            **render.measure(),
            "budget_milliseconds_per_60000_lines": 80,
            "budget_times_as_fast": 8,
        },
        "enis": {
            **enis.measure(),
            "budget_cpu_seconds": 3.0,
            "budget_loop_lag_p99_seconds": 0.020,
            "budget_loop_lag_max_seconds": 0.060,
        },
        "forecast": forecast.measure(),
        "cycles": [
            {
                **cycles.measure(count),
                "budget_cycle_seconds": _CYCLE_BUDGETS.get(count),
                "budget_peak_resident_mib": _MEMORY_BUDGETS.get(count),
                "budget_loop_lag_p99_seconds": 0.020,
                "budget_loop_lag_max_seconds": 0.060,
            }
            for count in nodes
        ],
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
