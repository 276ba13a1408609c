"""The exporter's daemon with a probe of its event loop: `python -m bench.daemon FILE [flags]`.

The probe sleeps a few milliseconds at a time and notes how much later it wakes; the lags are
written to FILE, in seconds as JSON, when the daemon ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from bench.lag import probe
from exporter import app, cli
from exporter.settings import Settings


def main() -> None:
    """Run the daemon as `vpc-cni-exporter run` does, with the probe beside it."""
    file, *flags = sys.argv[1:]
    lags: list[float] = []
    run = app.run

    async def probed(settings: Settings, stop: asyncio.Event) -> None:
        watch = asyncio.create_task(probe(lags))
        try:
            await run(settings, stop)
        finally:
            watch.cancel()

    app.run = probed
    try:
        cli.main(["run", *flags])
    finally:
        Path(file).write_text(json.dumps(lags))


if __name__ == "__main__":
    main()
