"""CloudWatch served over real HTTP from a thread of its own, and boto3's engine in each tongue."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.loaders import JSONFileLoader

from exporter.sim.cloudwatch_api import CloudWatchApi, Plan, Trouble
from exporter.sim.listener import Listener

NOW = 1_800_000_000.0
REGION = "eu-central-1"
TONGUES = ("json", "smithy-rpc-v2-cbor")


class _OneTongue(JSONFileLoader):  # type: ignore[misc]
    """Loads CloudWatch's description as if it spoke one protocol alone."""

    def __init__(self, tongue: str) -> None:
        self._tongue = tongue

    def load_file(self, file_path: str) -> Any:
        model = super().load_file(file_path)
        if "cloudwatch" in file_path and model and "metadata" in model:
            model["metadata"] |= {"protocol": self._tongue, "protocols": [self._tongue]}
        return model


@contextlib.contextmanager
def served(**more: Any) -> Iterator[tuple[CloudWatchApi, str]]:
    """Serve a CloudWatch on loopback for the length of a test; give it and its URL."""
    api = CloudWatchApi(REGION, **{"clock": lambda: NOW, **more})
    loop = asyncio.new_event_loop()
    listener = Listener(api.application())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(listener.start(), loop).result(5)
    try:
        yield api, listener.url
    finally:
        asyncio.run_coroutine_threadsafe(listener.stop(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@functools.cache
def _session(tongue: str) -> Any:
    session = botocore.session.Session()
    session.get_component("data_loader").file_loader = _OneTongue(tongue)
    session.set_credentials("AKIAIOSFODNN7EXAMPLE", "not-a-secret")
    return session


def client(url: str, tongue: str = "json", *, region: str = REGION, **limits: Any) -> Any:
    """Return a client that tries once and soon gives up."""
    config = Config(
        connect_timeout=2,
        read_timeout=1.5,
        retries={"total_max_attempts": 1, "mode": "standard"},
        **limits,
    )
    return _session(tongue).create_client(
        "cloudwatch", region_name=region, endpoint_url=url, config=config
    )


def refusal(url: str, tongue: str = "json", **request: Any) -> tuple[str, int]:
    """Return code and status of a call that is refused."""
    with pytest.raises(ClientError) as error:
        client(url, tongue).put_metric_data(**request)
    said = error.value.response
    assert said["Error"]["Message"]
    return said["Error"]["Code"], said["ResponseMetadata"]["HTTPStatusCode"]


def troubled(api: CloudWatchApi, trouble: str, **more: Any) -> None:
    """Give every call a trouble."""
    api.plan = Plan(Trouble(trouble), **more)
