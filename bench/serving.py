"""Serves one of AWS's services in a process of its own, as the peers of a measurement are."""

from __future__ import annotations

import asyncio
import json
import signal
import sys

from aiohttp import web

from exporter.sim.fleet import ZONES
from exporter.sim.listener import Listener, signing

REGION = ZONES[0][:-1]


async def serve(application: web.Application, variable: str) -> None:
    """Serve it on loopback, say so on one line, and end by SIGTERM or with standard input.

    `variable` is the one by which botocore finds the service.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    # Its standard input is a pipe that ends with whoever started it.
    loop.add_reader(sys.stdin.fileno(), stopped.set)
    listener = Listener(application)
    await listener.start()
    environment = {variable: listener.url, **signing(REGION)}
    print(json.dumps({"aws_environment": environment}), flush=True)
    await stopped.wait()
    await listener.stop()
