import asyncio

import pytest

from exporter.sim import Simulation
from exporter.sim.events import EVENTS
from exporter.sim.nodes import Node
from tests.sim.client import name, on_loop, page, small


def pods(sim: Simulation) -> list[tuple[str, bool]]:
    return [(pod.phase.value, pod.terminating) for pod in sim.cluster.expected[0].pods]


def started(node: Node) -> float:
    assert node.process is not None
    return node.process.page().facts.started


@pytest.mark.parametrize(
    ("happens", "left"),
    [
        ("restart", [("Running", False)]),
        ("delete_pod", []),
        ("replace_pod", [("Running", False)]),
        ("pend", [("Pending", False)]),
        ("run", [("Running", False)]),
        ("begin_rollout", [("Running", True), ("Pending", False)]),
        ("begin_rollout run", [("Running", False)]),
        ("terminate", [("Running", True)]),
        ("terminate run", [("Running", False)]),
        ("leave_failed", [("Running", False), ("Failed", False)]),
        ("leave_succeeded run", [("Running", False), ("Succeeded", False)]),
        ("delete_pod run", [("Running", False)]),
    ],
)
@on_loop
async def test_an_event_leaves_these_pods(happens: str, left: list[tuple[str, bool]]) -> None:
    async with small(1) as sim:
        for event in happens.split():
            await sim.event(event, [name(sim)])
        assert pods(sim) == left


@pytest.mark.parametrize(
    ("event", "same_pod"), [("restart", True), ("replace_pod", False), ("run", True)]
)
@on_loop
async def test_a_new_process_starts_now_in_the_same_or_another_pod(
    event: str, same_pod: bool
) -> None:
    async with small(1) as sim:
        node = sim.cluster.expected[0]
        before, pod = sim.clock(), node.pods[0].uid
        await sim.event(event, [node.name])
        assert (node.pods[0].uid == pod) is same_pod
        assert before <= started(node) <= sim.clock() + 0.01
        assert "\nawscni_add_ip_req_count 0\n" in await page(sim)


@pytest.mark.parametrize("event", ["replace_pod", "join", "run"])
@on_loop
async def test_a_new_pod_is_pending_for_a_while_before_its_process_starts(event: str) -> None:
    async with small(1, startup=0.2) as sim:
        node = sim.cluster.expected[0]
        if event == "run":
            await sim.event("delete_pod", [node.name])
        happening = asyncio.create_task(sim.event(event, [node.name]))
        await asyncio.sleep(0.1)
        node = sim.cluster.expected[-1]
        assert [pod.phase for pod in node.pods] == ["Pending"]
        await happening
        assert [pod.phase for pod in node.pods] == ["Running"]
        assert started(node) >= node.pods[0].appeared + 0.2


@on_loop
async def test_an_event_nobody_knows_is_an_error() -> None:
    async with small(1) as sim:
        with pytest.raises(KeyError, match="rain"):
            await sim.event("rain", [name(sim)])
        assert "rain" not in EVENTS
