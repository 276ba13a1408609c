"""How late an event loop wakes: what every measurement of loop lag here is made with.

`python -m bench.lag SECONDS` watches a loop that has nothing else to do, and prints its lags in
seconds: what the machine itself makes of it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence

import uvloop

PROBE_SECONDS = 0.005

Lag = tuple[float, float]


async def probe(lags: list[Lag]) -> None:
    """Sleep a few milliseconds at a time for ever, and note when and how much later it woke."""
    while True:
        # Not the loop's own time, which counts whole milliseconds where the loop is uvloop's.
        due = time.monotonic() + PROBE_SECONDS
        await asyncio.sleep(PROBE_SECONDS)
        lags.append((due, time.monotonic() - due))


def felt(lags: Sequence[float], period: float = PROBE_SECONDS) -> list[float]:
    """Return the waits of those who come every `period`, also while the loop stands still.

    The probe sleeps through a stall and notes it once, however long it was. Whoever would have
    come meanwhile waits for the rest of it: without them, long stalls would hardly count.
    """
    waits = []
    for lag in lags:
        waits.append(lag)
        waits += [lag - period * step for step in range(1, int(lag / period) + 1)]
    return waits


async def _idle(seconds: float) -> list[Lag]:
    lags: list[Lag] = []
    watch = asyncio.create_task(probe(lags))
    await asyncio.sleep(seconds)
    watch.cancel()
    return lags


if __name__ == "__main__":
    print(json.dumps([late for _, late in uvloop.run(_idle(float(sys.argv[1])))]))
