"""What holds for every test: no network but loopback, and nothing of the caller's settings."""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

_FOREIGN = ("EXPORTER_", "AWS_", "KUBERNETES_SERVICE_")
_HERE = Path(__file__).parent
_FOREIGN_NAMES = ("KUBECONFIG", "METRIC_UPDATE_INTERVAL", "USE_CLOUDWATCH", "USE_PROMETHEUS")


class ImageBuiltOnce(LoadScopeScheduling):
    """Each test goes to whoever is free; those of the image go to one, which builds it."""

    def _split_scope(self, nodeid: str) -> str:
        return "image" if nodeid.startswith("tests/image/") else nodeid


class NetworkRefused(Exception):
    """A test reached for something beyond loopback; not an OSError, so that nobody expects it."""


def pytest_configure(config: pytest.Config) -> None:
    for name in tuple(os.environ):
        if name.startswith(_FOREIGN) or name in _FOREIGN_NAMES:
            del os.environ[name]
    sys.addaudithook(_only_loopback)
    # A shared machine stalls now and then; how long an example takes says nothing here.
    hypothesis.settings.register_profile("tests", deadline=None)
    hypothesis.settings.load_profile("tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE / "e2e"):
            item.add_marker("long")
    items.sort(key=lambda item: item.get_closest_marker("early") is None)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    return ImageBuiltOnce(config, log) if config.getoption("dist") == "loadscope" else None


def _only_loopback(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.getaddrinfo" and not _may_be_named(arguments[0]):
        raise NetworkRefused(f"name look-up of {arguments[0]!r}")
    if event in ("socket.connect", "socket.sendto") and not _is_local(arguments[1]):
        raise NetworkRefused(f"connection to {arguments[1]!r}")


def _may_be_named(host: object) -> bool:
    return host is None or _is_address(host) or host in ("", b"", "localhost", b"localhost")


def _is_local(address: object) -> bool:
    if not isinstance(address, tuple):
        return True  # a Unix socket
    host = str(address[0]).partition("%")[0]
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: object) -> bool:
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
