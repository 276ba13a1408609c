"""The door against the simulated cluster: permissions, troubles, events, and faulty nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporter.core.model import Reason
from exporter.inputs.fetch import FetchFailed
from exporter.inputs.kube import Kube, KubeConfig, Timing, connect
from exporter.sim import Options, Simulation
from exporter.sim.faults import REASONS, Fault

NODES = 24


async def brief(seconds: float) -> None:
    await asyncio.sleep(min(seconds, 0.01))


@asynccontextmanager
async def discovering(
    folder: Path, profile: str = "full"
) -> AsyncIterator[tuple[Simulation, Kube]]:
    path = folder / "kubeconfig"
    options = Options(kubeconfig=path, profile=profile)
    timing = Timing(sleep=brief, request_seconds=1.0)
    async with (
        Simulation.fleet(NODES, options) as sim,
        connect(KubeConfig(kubeconfig=str(path)), timing=timing) as kube,
    ):
        running = asyncio.create_task(kube.run())
        try:
            yield sim, kube
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def until(kube: Kube, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await kube.changed()


def found(kube: Kube) -> set[str]:
    discovery = kube.discover()
    return {it.node.name for it in discovery.targets} if discovery else set()


def version(kube: Kube) -> str:
    discovery = kube.discover()
    return discovery.identity.kubernetes_version if discovery else ""


def expected(sim: Simulation) -> set[str]:
    return {node.name for node in sim.cluster.expected}


def up(kube: Kube) -> tuple[bool, ...]:
    return tuple(it.up for it in kube.sources())


@pytest.mark.parametrize(
    ("profile", "sources", "nodes_known"),
    [
        pytest.param("full", (True, True, True, True, True, True), True, id="everything"),
        pytest.param(
            "incumbent", (True, False, False, True, False, False), False, id="the incumbent's"
        ),
        pytest.param("no_nodes", (True, False, True, True, True, True), False, id="no nodes"),
        pytest.param(
            "no_daemonsets", (True, True, False, True, True, True), True, id="no DaemonSets"
        ),
        pytest.param(
            "own_pods_only", (True, True, True, False, True, True), True, id="own namespace"
        ),
    ],
)
def test_what_may_be_read_is_made_use_of(
    profile: str,
    sources: tuple[bool, ...],
    nodes_known: bool,
    tmp_path: Path,
) -> None:
    def may_read(kube: Kube) -> tuple[bool, ...]:
        return tuple(it.up for it in kube.sources())

    async def scenario() -> None:
        async with discovering(tmp_path, profile) as (sim, kube):
            await until(kube, lambda: may_read(kube) == sources and found(kube) == expected(sim))
            discovery = kube.discover()
            assert discovery is not None
            assert discovery.nodes_known is nodes_known
            assert all((it.node.addresses is not None) is nodes_known for it in discovery.targets)
            assert all(it.pod is not None for it in discovery.targets)
            assert {it.host_network_pods for it in discovery.targets} == {2}

    asyncio.run(scenario())


def test_without_any_permission_nothing_is_known_and_every_source_says_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with discovering(tmp_path, "nothing") as (_, kube):
            await until(kube, lambda: all("HTTP 403" in it.reason for it in kube.sources()))
            assert kube.discover() is None

    asyncio.run(scenario())


@pytest.mark.parametrize("trouble", ["drop_watches", "error_event", "compact", "expired_as_event"])
def test_after_something_happened_to_the_api_news_arrive_again(
    trouble: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with discovering(tmp_path) as (sim, kube):
            await until(kube, lambda: all(up(kube)) and found(kube) == expected(sim))
            await sim.event("join")
            await sim.api_trouble(trouble)
            await sim.api_trouble("drop_watches")
            await sim.event("join")
            await until(kube, lambda: all(up(kube)) and found(kube) == expected(sim))
            assert len(found(kube)) == len(expected(sim))

    asyncio.run(scenario())


@pytest.mark.parametrize("trouble", ["down", "error_500"])
def test_while_the_api_fails_the_last_state_stays_and_then_news_arrive(
    trouble: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with discovering(tmp_path) as (sim, kube):
            await until(kube, lambda: all(up(kube)) and version(kube) == "v1.33.4-eks-99d6cc0")
            before = kube.discover()
            await sim.api_trouble(trouble)
            await sim.api_trouble("drop_watches")
            await until(kube, lambda: not any(up(kube)))
            await sim.event("join")
            assert kube.discover() is before
            await sim.api_trouble(None)
            await until(kube, lambda: all(up(kube)) and found(kube) == expected(sim))

    asyncio.run(scenario())


def test_a_revoked_token_is_replaced_by_the_one_the_kubeconfig_has_now(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with discovering(tmp_path) as (sim, kube):
            await until(kube, lambda: all(up(kube)) and found(kube) == expected(sim))
            sim.rotate("full")
            await sim.api_trouble("drop_watches")
            await sim.event("join")
            await until(kube, lambda: all(up(kube)) and found(kube) == expected(sim))

    asyncio.run(scenario())


def test_the_subnets_of_eniconfigs_are_told_as_they_come_and_go(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with discovering(tmp_path) as (sim, kube):
            await until(kube, lambda: all(up(kube)) and found(kube) == expected(sim))
            for subnet in ("subnet-1", "subnet-2", None):
                sim.cluster.configure_enis("eu-central-1a", subnet)
                await until(kube, lambda: configured(kube) == sim.cluster.eni_configs)
            assert configured(kube) == {}

    asyncio.run(scenario())


def configured(kube: Kube) -> Mapping[str, str]:
    discovery = kube.discover()
    assert discovery is not None
    return discovery.eniconfigs


def test_a_node_without_its_pod_is_expected_with_one_pod_less(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with discovering(tmp_path) as (sim, kube):
            await until(kube, lambda: all(up(kube)) and found(kube) == expected(sim))
            name = sim.cluster.expected[0].name
            await sim.event("delete_pod", [name])
            await until(kube, lambda: (name, None, 1) in pods(kube))

    asyncio.run(scenario())


def pods(kube: Kube) -> set[tuple[str, str | None, int | None]]:
    discovery = kube.discover()
    assert discovery is not None
    return {
        (it.node.name, it.pod.name if it.pod else None, it.host_network_pods)
        for it in discovery.targets
    }


def test_a_node_that_leaves_is_expected_no_longer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with discovering(tmp_path) as (sim, kube):
            await until(kube, lambda: all(up(kube)) and found(kube) == expected(sim))
            gone = sim.cluster.expected[0].name
            await sim.event("remove_node", [gone])
            await until(kube, lambda: found(kube) == expected(sim))
            assert gone not in found(kube)

    asyncio.run(scenario())


# What shows only when the page is parsed is no failure of fetching it.
PARSED = {
    Fault.CUT_LINE,
    Fault.RUBBISH,
    Fault.RANDOM_BYTES,
    Fault.INCONSISTENT,
    Fault.MISSING_FAMILY,
    Fault.EMPTY,
}
SLOW = {Fault.HANG, Fault.HANG_CONNECT, Fault.DRIP}


@pytest.mark.parametrize("fault", [it for it in Fault if it not in PARSED])
def test_a_faulty_node_is_unread_through_the_pod_proxy(fault: Fault, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with discovering(tmp_path, "full_proxy") as (sim, kube):
            await until(kube, lambda: all(up(kube)) and found(kube) == expected(sim))
            discovery = kube.discover()
            assert discovery is not None
            faulty, healthy = discovery.targets[:2]
            await sim.set_fault([faulty.node.name], fault)
            fetch = kube.proxy_fetch(port=sim.ipamd_port, timeout=0.5 if fault in SLOW else 5.0)
            with pytest.raises(FetchFailed) as failed:
                await fetch(faulty)
            assert failed.value.reason in {Reason(it) for it in REASONS[fault]}
            assert b"awscni_eni_max" in await fetch(healthy)

    asyncio.run(scenario())
