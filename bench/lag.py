"""How late an event loop wakes: what every measurement of loop lag here is made with."""

from __future__ import annotations

import asyncio

_PROBE_SECONDS = 0.005


async def probe(lags: list[float]) -> None:
    """Sleep a few milliseconds at a time for ever, and note how much later it woke, in seconds."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _PROBE_SECONDS
        await asyncio.sleep(_PROBE_SECONDS)
        lags.append(loop.time() - due)
