from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

import pytest

from exporter.app import Identified, run, selection, split_address
from exporter.core.model import Discovery, Identity
from exporter.outputs.prometheus import Format, NodeMetrics, Selection, Sheet
from exporter.settings import load
from tests.builders import target


@dataclass(frozen=True)
class Found:
    """A discoverer that knows one thing."""

    found: Discovery | None

    def discover(self) -> Discovery | None:
        return self.found


KNOWN = Identity("from-the-pods", "eu-west-1", "vpc-1", "1.33")


class TestTheIdentity:
    @pytest.mark.parametrize(
        ("cluster", "region", "wanted"),
        [
            pytest.param("", "", KNOWN, id="as discovered"),
            pytest.param(
                "prod", "", Identity("prod", "eu-west-1", "vpc-1", "1.33"), id="the name set"
            ),
            pytest.param(
                "",
                "us-east-1",
                Identity("from-the-pods", "us-east-1", "vpc-1", "1.33"),
                id="the region set",
            ),
        ],
    )
    def test_is_what_the_settings_say_and_else_what_is_discovered(
        self, cluster: str, region: str, wanted: Identity
    ) -> None:
        found = Discovery((target(),), nodes_known=True, identity=KNOWN)
        assert Identified(Found(found), cluster, region).discover() == Discovery(
            (target(),), nodes_known=True, identity=wanted
        )

    def test_waits_for_the_discovery(self) -> None:
        assert Identified(Found(None), "prod", "eu-west-1").discover() is None


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        pytest.param(":61681", None, 61681, id="all addresses"),
        pytest.param("127.0.0.1:0", "127.0.0.1", 0, id="IPv4"),
        pytest.param("[::1]:61681", "::1", 61681, id="IPv6"),
        pytest.param("localhost:80", "localhost", 80, id="a name"),
    ],
)
def test_an_address_is_a_host_and_a_port(address: str, host: str | None, port: int) -> None:
    assert split_address(address) == (host, port)


def test_the_settings_say_which_metrics_are_published() -> None:
    flags = {
        "metrics_allow": "a*,b",
        "metrics_deny": "c",
        "node_metrics": "problems",
        "legacy_metrics": "yes",
    }
    assert selection(load(flags, {}).settings) == Selection(
        allow=("a*", "b"), deny=("c",), nodes=NodeMetrics.PROBLEMS, legacy=True
    )
    assert selection(load({}, {}).settings) == Selection()


def test_a_port_that_is_taken_ends_the_run_with_an_error_of_the_system() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = load({"listen_address": address}, {}).settings
        with pytest.raises(OSError, match="address already in use"):
            asyncio.run(run(settings, asyncio.Event()))


def test_an_empty_sheet_is_what_is_shown_of_a_withdrawn_report() -> None:
    assert Sheet().block(Format.TEXT).plain == b""
