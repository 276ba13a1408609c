"""The simulated CloudWatch in a process of its own: `python -m bench.cloudwatch_server`."""

from __future__ import annotations

import asyncio
import time

from bench.serving import REGION, serve
from exporter.sim.cloudwatch_api import CloudWatchApi

if __name__ == "__main__":
    api = CloudWatchApi(REGION, time.time)
    asyncio.run(serve(api.application(), "AWS_ENDPOINT_URL_CLOUDWATCH"))
