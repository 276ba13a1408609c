"""What holds for every test: no network but loopback, and nothing of the caller's settings."""

from __future__ import annotations

import ipaddress
import os
import sys

import hypothesis
import pytest

_FOREIGN = ("EXPORTER_", "AWS_", "KUBERNETES_SERVICE_")
_FOREIGN_NAMES = ("KUBECONFIG", "METRIC_UPDATE_INTERVAL", "USE_CLOUDWATCH", "USE_PROMETHEUS")


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
