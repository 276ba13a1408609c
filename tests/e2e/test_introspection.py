"""Page and introspection of a few nodes through the whole program, by either way to the nodes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from tests.e2e.world import Samples, key, parse
from tests.inputs.fake_kube import DAEMONSETS, NODES, PODS, FakeKube, fake_kube
from tests.inputs.kube_parts import a_daemonset, kubeconfig
from tests.inputs.servers import Reader, Server, Writer, length, nodes_at, says
from tests.test_app import _garbage_as_it_was, running

__all__ = ["_garbage_as_it_was"]

pytestmark = pytest.mark.usefixtures("_garbage_as_it_was")

Json = dict[str, Any]
# A page, introspection if it is reachable, and the environment of aws-node.
Nodes = Mapping[str, tuple[Server, Server | None, Mapping[str, str]]]


def page(assigned: int, attached: int, **changed: str) -> Server:
    gauges = {
        "eni_max": 3,
        "ip_max": 27,
        "eni_allocated": 1,
        "total_ip_addresses": attached,
        "assigned_ip_addresses": assigned,
    } | changed
    text = "".join(f"awscni_{name} {value}\n" for name, value in gauges.items()).encode()
    return says(length(len(text)), text)


def address(ip: str, *, pod: str = "", freed: float | None = None) -> Json:
    """An address that a pod has, or that was freed so many seconds ago, or neither."""
    at = datetime.now(UTC) - timedelta(seconds=freed or 0.0)
    time = "0001-01-01T00:00:00Z" if freed is None else at.isoformat()
    key = {"networkName": "aws-cni" if pod else "", "containerID": "", "ifName": ""}
    return {ip: {"Address": ip, "IPAMKey": key, "UnassignedTime": time}}


def body() -> bytes:
    """Two ENIs with five addresses: two assigned, one in cooldown, one free, one never used."""
    held = [
        address("10.0.1.11", pod="web-1"),
        address("10.0.1.12", freed=1.0),
        address("10.0.1.13", freed=60.0),
    ]
    other = [address("10.0.1.21", pod="web-2"), {"10.0.1.22": None}]
    enis = {
        name: {
            "ID": name,
            "DeviceNumber": number,
            "IsPrimary": number == 0,
            "AvailableIPv4Cidrs": {
                f"{ip}/32": {"IPAddresses": {ip: it} if it else {}}
                for part in parts
                for ip, it in part.items()
            },
            "IPv6Cidrs": {},
        }
        for number, (name, parts) in enumerate({"eni-0a1": held, "eni-0a2": other}.items())
    }
    return json.dumps({"0": {"TotalIPs": 99, "AssignedIPs": -1, "ENIs": enis}}).encode()


class Books:
    """Serves a body that is made when it is asked for, and counts how often it is."""

    def __init__(self, make: Callable[[], bytes] = body) -> None:
        self.make = make
        self.asked: list[str] = []

    async def __call__(self, reader: Reader, writer: Writer) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(request.split()[1].decode())
        what = b'"pods-a"' if self.asked[-1] == "/v1/eni-configs" else self.make()
        writer.write(length(len(what)) + what)
        writer.close()


def node(name: str, ip: str) -> Json:
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"topology.kubernetes.io/zone": "a"},
        },
        "spec": {},
        "status": {
            "addresses": [{"type": "InternalIP", "address": ip}],
            "capacity": {"pods": "29"},
        },
    }


def pod(name: str, ip: str, env: Mapping[str, str]) -> Json:
    variables = [{"name": key, "value": value} for key, value in env.items()]
    return {
        "metadata": {"name": f"aws-node-{name}", "namespace": "kube-system", "uid": f"uid-{name}"},
        "spec": {
            "nodeName": name,
            "hostNetwork": True,
            "containers": [{"name": "aws-node", "env": variables}],
        },
        "status": {"phase": "Running", "podIP": ip},
    }


@asynccontextmanager
async def exporter(folder: Path, nodes: Nodes, **flags: str) -> AsyncIterator[tuple[str, FakeKube]]:
    """The program over nodes with a page, an introspection if any, and an environment each."""
    ips = {name: f"127.0.8.{number}" for number, name in enumerate(nodes, start=1)}
    pages = {ips[name]: it for name, (it, _, _) in nodes.items()}
    bodies = {ips[name]: it for name, (_, it, _) in nodes.items() if it is not None}
    async with (
        fake_kube(FakeKube()) as fake,
        nodes_at(pages) as port,
        nodes_at(bodies) as introspection,
    ):
        fake.put(DAEMONSETS, a_daemonset())
        for name, (_, _, env) in nodes.items():
            fake.put(NODES, node(name, ips[name]))
            fake.put(PODS, pod(name, ips[name], env))
        config = kubeconfig(folder, fake.url, {"token": fake.token})
        given = {
            "sources": "ipamd",
            "interval": "0.05",
            "ipamd_metrics_port": str(port),
            "ipamd_introspection_port": str(introspection or 1),
            "introspection_interval": "0",
            "allow_loopback_targets": "yes",
        }
        async with running(config, **{**given, **flags}) as url:
            yield url, fake


async def scrape(url: str) -> Samples:
    async with ClientSession() as session, session.get(f"{url}/metrics") as answer:
        return parse(await answer.text())


async def when(url: str, told: Callable[[Samples], bool]) -> Samples:
    """The figures as soon as they are so."""
    while not told(found := await scrape(url)):
        pass
    return found


def addresses(samples: Samples, scope: str = "cluster", **labels: str) -> dict[str, float]:
    return {
        state: samples[key(f"vpc_cni_{scope}_ip_addresses", **labels, state=state)]
        for state in ("assigned", "warm", "cooldown")
        if key(f"vpc_cni_{scope}_ip_addresses", **labels, state=state) in samples
    }


def of(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get(key(f"vpc_cni_{name}", **labels))


@pytest.fixture(autouse=True)
def _told_where_it_listens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="exporter.app")


NODE_1 = {"node": "node-1"}


def test_where_introspection_answers_its_figures_are_published_beside_the_pages(
    tmp_path: Path,
) -> None:
    # The page of the first node is three addresses short, as after a forced ENI removal.
    nodes: Nodes = {
        "node-1": (page(2, 2), Books(), {}),
        "node-2": (page(5, 9), says(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), {}),
        "node-3": (page(1, 9), None, {}),
    }

    async def scenario() -> Samples:
        async with exporter(tmp_path, nodes) as (url, _):
            return await when(url, lambda it: of(it, "node_drift_ip_addresses", **NODE_1) == 3)

    found = asyncio.run(scenario())
    assert addresses(found, "node", node="node-1") == {"assigned": 2, "warm": 2, "cooldown": 1}
    assert addresses(found, "node", node="node-2") == {"assigned": 5, "warm": 4}
    assert addresses(found, "node", node="node-3") == {"assigned": 1, "warm": 8}
    for scope, labels in (
        ("cluster", {}),
        ("zone", {"zone": "a"}),
        ("nodegroup", {"nodegroup": "none"}),
    ):
        assert addresses(found, scope, **labels) == {"assigned": 8, "warm": 14, "cooldown": 1}
        assert of(found, f"{scope}_introspected_nodes", **labels) == 1
    assert of(found, "node_enis", node="node-1") == 2
    assert [name for name, _ in found if "drift" in name] == ["vpc_cni_node_drift_ip_addresses"]


def test_a_node_is_asked_no_more_often_than_set_and_its_books_stand_meanwhile(
    tmp_path: Path,
) -> None:
    introspection = Books()
    nodes: Nodes = {"node-1": (page(2, 5), introspection, {})}

    async def scenario() -> tuple[Samples, Samples]:
        async with exporter(tmp_path, nodes, introspection_interval="30") as (url, _):
            first = await when(url, lambda it: of(it, "cluster_introspected_nodes") == 1)
            name = "exporter_last_success_timestamp_seconds"
            began = of(first, name, source="ipamd") or 0.0
            later = await when(url, lambda it: (of(it, name, source="ipamd") or 0.0) > began + 0.5)
        return first, later

    for found in asyncio.run(scenario()):
        assert addresses(found, "node", node="node-1") == {"assigned": 2, "warm": 2, "cooldown": 1}
    assert introspection.asked == ["/v1/enis"]


def test_where_it_is_switched_off_nobody_is_asked(tmp_path: Path) -> None:
    off, disabled = Books(), Books()

    async def scenario(books: Books, env: Mapping[str, str], **flags: str) -> Samples:
        nodes: Nodes = {"node-1": (page(2, 2), books, env)}
        async with exporter(tmp_path, nodes, **flags) as (url, _):
            return await when(url, lambda it: bool(addresses(it)))

    for found in (
        asyncio.run(scenario(off, {}, introspection="off")),
        asyncio.run(scenario(disabled, {"DISABLE_INTROSPECTION": "true"})),
    ):
        assert addresses(found) == {"assigned": 2, "warm": 0}
        assert of(found, "cluster_introspected_nodes") == 0
    assert off.asked + disabled.asked == []


def test_a_node_that_stops_answering_is_told_by_its_page_from_then_on(tmp_path: Path) -> None:
    answers = [body(), body()]
    introspection = Books(lambda: answers.pop() if answers else b"{}")
    nodes: Nodes = {"node-1": (page(2, 2), introspection, {})}

    async def scenario() -> list[Samples]:
        async with exporter(tmp_path, nodes) as (url, _):
            asked = await when(url, lambda it: of(it, "cluster_introspected_nodes") == 1)
            return [asked, await when(url, lambda it: of(it, "cluster_introspected_nodes") == 0)]

    before, after = asyncio.run(scenario())
    assert "cooldown" in addresses(before)
    assert addresses(after, "node", node="node-1") == {"assigned": 2, "warm": 0}
    assert of(after, "node_drift_ip_addresses", **NODE_1) is None
    assert introspection.asked == ["/v1/enis"] * 3


def test_the_page_for_people_says_what_a_node_without_warm_addresses_has(tmp_path: Path) -> None:
    taken = {"10.0.1.13": "web-3", "10.0.1.22": "web-4"}

    def full() -> bytes:
        whole = json.loads(body())
        for eni in whole["0"]["ENIs"].values():
            for cidr, held in eni["AvailableIPv4Cidrs"].items():
                ip = cidr.removesuffix("/32")
                if ip in taken:
                    held["IPAddresses"] = address(ip, pod=taken[ip])
        return json.dumps(whole).encode()

    introspection = Books(full)
    env = {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"}
    nodes: Nodes = {"node-1": (page(4, 5), introspection, env)}

    async def scenario() -> str:
        async with exporter(tmp_path, nodes) as (url, _), ClientSession() as session:
            await when(url, lambda it: of(it, "cluster_introspected_nodes") == 1)
            async with session.get(url) as answer:
                return await answer.text()

    shown = asyncio.run(scenario())
    assert "blocked: cooldown, 1 in cooldown, ENIConfig pods-a" in shown
    assert "<b>1</b>in cooldown on 1 introspected nodes" in shown
    assert introspection.asked.count("/v1/eni-configs") == 1


def test_through_the_api_server_figures_are_the_same(tmp_path: Path) -> None:
    gauges = b"".join(
        b"awscni_%b %d\n" % it
        for it in (
            (b"eni_max", 3),
            (b"ip_max", 27),
            (b"eni_allocated", 1),
            (b"total_ip_addresses", 2),
            (b"assigned_ip_addresses", 2),
        )
    )

    async def answer(request: web.Request) -> web.StreamResponse:
        asked = request.path.endswith("/proxy/v1/enis")
        return web.Response(body=body() if asked else gauges)

    async def scenario() -> Samples:
        nodes: Nodes = {"node-1": (page(0, 0), None, {})}
        ways = {"scrape_via": "apiserver", "ipamd_metrics_port": "61678"}
        ways["ipamd_introspection_port"] = "61679"
        async with exporter(tmp_path, nodes, **ways) as (url, fake):
            pods = "/api/v1/namespaces/kube-system/pods/aws-node-node-1"
            for path in (":61678/proxy/metrics", ":61679/proxy/v1/enis"):
                fake.always[pods + path, "get"] = answer
            return await when(url, lambda it: of(it, "cluster_introspected_nodes") == 1)

    found = asyncio.run(scenario())
    assert addresses(found) == {"assigned": 2, "warm": 2, "cooldown": 1}
