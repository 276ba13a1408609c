from __future__ import annotations

import os
import socket

import pytest

from tests.conftest import NetworkRefused


@pytest.mark.parametrize(
    ("family", "host"),
    [
        pytest.param(socket.AF_INET, "192.0.2.1", id="IPv4"),
        pytest.param(socket.AF_INET6, "2001:db8::1", id="IPv6"),
        pytest.param(socket.AF_INET, "169.254.169.254", id="the instance metadata service"),
    ],
)
def test_a_test_cannot_connect_beyond_loopback(family: int, host: str) -> None:
    with socket.socket(family) as client, pytest.raises(NetworkRefused, match=host):
        client.connect((host, 80))


def test_a_test_cannot_look_up_a_name() -> None:
    with pytest.raises(NetworkRefused, match=r"example\.org"):
        socket.getaddrinfo("example.org", 80)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "localhost"])
def test_a_test_can_connect_to_loopback(host: str) -> None:
    with socket.create_server((host, 0)) as server:
        address = server.getsockname()
        with socket.create_connection(address, timeout=1) as client:
            assert client.getpeername() == address


def test_a_test_has_none_of_the_callers_settings() -> None:
    assert not [name for name in os.environ if name.startswith(("EXPORTER_", "AWS_"))]
