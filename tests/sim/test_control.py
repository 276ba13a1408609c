import json
from typing import Any

import aiohttp
import pytest

from exporter.sim import Simulation
from exporter.sim.control import Control
from exporter.sim.listener import Listener
from exporter.sim.living.story import Living
from tests.sim.client import ask, name, on_loop, page, small


class Remote:
    """The control interface as a test in another process sees it."""

    def __init__(self, sim: Simulation) -> None:
        self._listener = Listener(Control(sim).application())

    async def __aenter__(self) -> "Remote":
        await self._listener.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listener.stop()

    async def call(self, method: str, path: str, **body: object) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self._listener.url + path, json=body or None) as reply,
        ):
            return reply.status, json.loads(await reply.text())


@on_loop
async def test_the_truth_over_http_is_the_truth() -> None:
    async with small(3) as sim, Remote(sim) as remote:
        await page(sim)
        status, found = await remote.call("GET", "/truth")
        here = json.loads(json.dumps(sim.truth()))
        assert status == 200
        assert {**found, "now": here["now"]} == here
        assert found["step"] == 1
        assert found["advanced_at"] <= found["now"]


@on_loop
async def test_a_step_moves_the_fleet_and_says_how_far() -> None:
    async with small(3) as sim, Remote(sim) as remote:
        before = sim.advanced_at
        assert await remote.call("POST", "/step") == (200, {"step": 2})
        assert await remote.call("POST", "/step", count=3) == (200, {"step": 5})
        assert sim.advanced_at > before


@on_loop
async def test_faults_are_set_on_some_on_all_or_on_a_share() -> None:
    async with small(4) as sim, Remote(sim) as remote:
        one = name(sim)
        call = remote.call
        assert await call("POST", "/faults", nodes=[one], fault="hang") == (200, {"nodes": [one]})
        assert [node.fault for node in sim.cluster.expected] == ["hang", None, None, None]
        await call("POST", "/faults", nodes="all", fault=None)
        assert not any(node.fault for node in sim.cluster.expected)
        _, spread = await call("POST", "/faults", share=0.5)
        assert len(spread["nodes"]) == 2


@on_loop
async def test_events_happen_to_the_nodes_named() -> None:
    async with small(2) as sim, Remote(sim) as remote:
        first = name(sim)
        status, _ = await remote.call("POST", "/events", event="remove_node", nodes=[first])
        _, joined = await remote.call("POST", "/events", event="join")
        _, state = await remote.call("GET", "/state")
        here = [node["name"] for node in state["nodes"]]
        assert status == 200
        assert first not in here
        assert joined["nodes"] == [here[-1]]


@on_loop
async def test_the_state_shows_every_node_with_its_pods_and_fault() -> None:
    async with small(1) as sim, Remote(sim) as remote:
        await remote.call("POST", "/faults", nodes=[name(sim)], fault="drip")
        _, state = await remote.call("GET", "/state")
        (node,) = sim.cluster.expected
        (pod,) = node.pods
        assert state["nodes"][0] == {
            "name": node.name,
            "address": node.address,
            "kind": "regular",
            "zone": node.machine.zone,
            "nodegroup": node.machine.group,
            "instance_type": node.machine.instance_type,
            "fault": "drip",
            "introspection": "closed",
            "pods": [
                {
                    "name": pod.name,
                    "uid": pod.uid,
                    "phase": "Running",
                    "version": pod.version,
                    "terminating": False,
                }
            ],
        }


@on_loop
async def test_the_api_is_troubled_and_healed() -> None:
    async with small(1) as sim, Remote(sim) as remote:
        await remote.call("POST", "/api", trouble="error_500")
        troubled, _ = await ask(sim, "/version")
        await remote.call("POST", "/api", trouble=None)
        healed, _ = await ask(sim, "/version")
        assert (troubled, healed) == (500, 200)


@on_loop
async def test_tokens_are_looked_up_issued_and_rotated() -> None:
    async with small(1) as sim, Remote(sim) as remote:
        _, current = await remote.call("POST", "/tokens", profile="incumbent")
        _, issued = await remote.call("POST", "/tokens", profile="incumbent", do="issue")
        _, rotated = await remote.call("POST", "/tokens", profile="incumbent", do="rotate")
        tokens = [answer["token"] for answer in (current, issued, rotated)]
        statuses = [(await ask(sim, "/api/v1/pods", token=token))[0] for token in tokens]
        assert statuses == [401, 401, 200]


@on_loop
async def test_requests_are_counted_until_cleared() -> None:
    async with small(1) as sim, Remote(sim) as remote:
        await page(sim)
        await ask(sim, "/api/v1/nodes")
        _, counted = await remote.call("GET", "/requests")
        await remote.call("POST", "/requests/clear")
        _, cleared = await remote.call("GET", "/requests")
        assert (counted["served_whole"], counted["lists"]) == ({name(sim): 1}, {"nodes": 1})
        assert not any(cleared.values())


@on_loop
async def test_the_books_forget_for_a_reader_that_starts_anew() -> None:
    async with small(1) as sim, Remote(sim) as remote:
        for _ in range(2):
            await page(sim)
            await sim.step()
        assert "vpc_cni_cluster_aws_api_duration_seconds_count" in sim.truth()["samples"]
        await remote.call("POST", "/books/forget")
        await page(sim)
        assert "vpc_cni_cluster_aws_api_duration_seconds_count" not in sim.truth()["samples"]


@on_loop
async def test_eniconfigs_are_set_changed_and_taken_away() -> None:
    async with small(1) as sim, Remote(sim) as remote:
        for subnet in ("subnet-1", "subnet-2"):
            answer = await remote.call("POST", "/eniconfigs", name="a", subnet=subnet)
            assert answer == (200, {"a": subnet})
        assert await remote.call("POST", "/eniconfigs", name="a", subnet=None) == (200, {})


@on_loop
async def test_a_deployment_is_scaled_by_so_many_pods_and_back() -> None:
    async with Simulation.living(4) as sim, Remote(sim) as remote:
        assert isinstance(sim.story, Living)
        deployed = sim.story.world.workload.deployments["vault"]
        found = []
        for extra in (0, 12, 0):
            status, told = await remote.call("POST", "/workload", deployment="vault", extra=extra)
            assert (status, told["vault"]) == (200, extra)
            await sim.step(seconds=5)
            found.append(len(deployed.pods))
        assert found[0] == found[2] == found[1] - 12 > 0
        status, _ = await remote.call("POST", "/workload", deployment="nobody", extra=1)
        assert status == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/faults", {"nodes": ["nobody"], "fault": "hang"}),
        ("/faults", {"nodes": "all", "fault": "rain"}),
        ("/events", {"nodes": "all", "event": "rain"}),
        ("/api", {"trouble": "rain"}),
        ("/tokens", {"profile": "king"}),
        ("/eniconfigs", {"name": "nobody", "subnet": None}),
        ("/eniconfigs", {"name": "eu-central-1a"}),
        ("/subnets", {"cidr": "10.9.0.0/24"}),
        ("/subnets/sweep", {}),
        ("/workload", {"deployment": "web", "extra": 1}),
        ("/rest", {}),
    ],
)
@on_loop
async def test_a_request_that_makes_no_sense_is_told_so(path: str, body: dict[str, object]) -> None:
    async with small(1) as sim, Remote(sim) as remote:
        status, answer = await remote.call("POST", path, **body)
        assert status == 400
        assert set(answer) == {"error"}
