"""ipamd's introspection on every node: where it can be reached, what it answers, what counts."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from exporter.sim import Options, Simulation
from exporter.sim.connections import NodeSocket
from exporter.sim.facts import Facts
from exporter.sim.holdings import Holding
from exporter.sim.introspection_faults import WRONG, Reach
from exporter.sim.living.host import LivingIpamd
from exporter.sim.pages import Writer
from tests.sim.client import (
    AWS_NODE,
    address,
    ask,
    asked,
    dial,
    name,
    on_loop,
    page,
    raw,
    small,
    unchunked,
)
from tests.sim.introspection_reader import counted

POLLS = Path(__file__).parents[1] / "data" / "polls"
COMMANDS = {
    "/v1/enis",
    "/v1/eni-configs",
    "/v1/ipamd-env-settings",
    "/v1/networkutils-env-settings",
}


def open_everywhere(nodes: int = 3, **options: object) -> Simulation:
    return small(nodes, introspection="all", **options)


def held(sim: Simulation, number: int = 0) -> Holding:
    process = sim.cluster.expected[number].process
    assert process is not None
    found = process.holding()
    assert found is not None
    return found


def standing(sim: Simulation, number: int = 0) -> Holding | None:
    return sim.ledger.bodies.standing(sim.cluster.expected[number].pods[0].uid)


def refused(sim: Simulation, number: int = 0) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address(sim, number), sim.introspection_port)) != 0


@on_loop
async def test_nobody_can_ask_before_it_is_opened() -> None:
    async with small(2) as sim:
        assert sim.introspection_port not in {0, sim.ipamd_port}
        assert refused(sim)
        await sim.set_reach([name(sim)], "open")
        assert json.loads(await asked(sim))
        assert refused(sim, 1)
        await sim.set_reach([name(sim)], "closed")
        assert refused(sim)


@on_loop
async def test_closed_nodes_have_no_second_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    async def listen(self: NodeSocket) -> None:
        opened.append(type(self).__name__)

    monkeypatch.setattr(NodeSocket, "listen", listen)
    async with small(4):
        pass
    assert opened == ["NodeServer"] * 4


@pytest.mark.parametrize(("asked_for", "reached"), [("none", 0), ("half", 3), ("all", 6)])
@on_loop
async def test_the_start_says_on_how_many_nodes_it_can_be_reached(
    asked_for: str, reached: int
) -> None:
    async with small(6, introspection=asked_for) as sim:
        assert sum(not refused(sim, number) for number in range(6)) == reached


@on_loop
async def test_a_body_shows_what_the_page_says() -> None:
    async with open_everywhere() as sim:
        for number, node in enumerate(sim.cluster.expected):
            now = sim.clock()
            read = counted(await asked(sim, number), now + 0.5)
            assert node.process is not None
            gauges = node.process.page().facts.gauges
            assert gauges is not None
            assert sum(it.total for it in read.values()) == gauges.total
            assert sum(it.assigned for it in read.values()) == gauges.assigned
            assert sum(it.prefixes for it in read.values()) == gauges.prefixes
            assert len(read) == gauges.enis


@on_loop
async def test_what_a_reader_counts_is_what_the_books_say_however_the_fleet_moves() -> None:
    async with open_everywhere(6) as sim:
        cooling = 0
        for _ in range(4):
            await sim.step()
            for number in range(6):
                read = counted(await asked(sim, number), sim.clock())
                facts = {(str(it.card), it.id): it for it in held(sim, number).enis}
                assert {
                    eni: (it.total, it.assigned, it.cooldown, it.prefixes, it.primary, it.trunk)
                    for eni, it in read.items()
                } == {
                    eni: (it.attached, it.assigned, it.cooling, it.prefixes, it.primary, it.trunk)
                    for eni, it in facts.items()
                }
                cooling += sum(it.cooldown for it in read.values())
        assert cooling > 0


@on_loop
async def test_the_shape_is_that_of_the_nodes_release() -> None:
    async with open_everywhere(30) as sim:
        shapes: dict[str, set[str]] = {}
        for number, node in enumerate(sim.cluster.expected):
            top = set(json.loads(await asked(sim, number)))
            shapes.setdefault(node.pods[0].version, set()).update(top)
    assert shapes == {
        "v1.15.1-eksbuild.1": {"TotalIPs", "AssignedIPs", "ENIs"},
        "v1.23.1-eksbuild.1": {"0"},
    }


@pytest.mark.parametrize("path", ["/", "/v1/pods", "/v1/enis/", "/metrics"])
@on_loop
async def test_an_unknown_path_is_answered_with_those_there_are(path: str) -> None:
    async with open_everywhere(1) as sim:
        body = json.loads(await asked(sim, path=path))
        assert list(body) == ["AvailableCommands"]
        assert set(body["AvailableCommands"]) == COMMANDS
        assert sim.traffic.introspected == {path: 1}


@on_loop
async def test_the_settings_are_told_as_they_were_understood() -> None:
    env = {"WARM_ENI_TARGET": "-2", "WARM_IP_TARGET": "5", "ENABLE_SUBNET_DISCOVERY": "f"}
    async with open_everywhere(1, env=env) as sim:
        told = json.loads(await asked(sim, path="/v1/ipamd-env-settings"))
        assert told == {
            "AWS_MANAGE_ENIS_NON_SCHEDULABLE": False,
            "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": False,
            "ENABLE_SUBNET_DISCOVERY": False,
            "WARM_ENI_TARGET": 1,
            "WARM_IP_TARGET": 5,
        }
        network = json.loads(await asked(sim, path="/v1/networkutils-env-settings"))
        assert network["AWS_VPC_ENI_MTU"] == 9001
        assert json.loads(await asked(sim, path="/v1/eni-configs")) == "default"


@on_loop
async def test_a_long_answer_comes_in_chunks_and_without_a_line_end() -> None:
    async with open_everywhere(1) as sim:
        short = await raw(sim, path="/", port=sim.introspection_port)
        long = await raw(sim, path="/v1/enis", port=sim.introspection_port)
        assert int(short.headers["content-length"]) == len(short.body)
        assert long.headers["transfer-encoding"] == "chunked"
        assert unchunked(long)[-1:] == b"}"


@on_loop
async def test_an_idle_connection_is_closed_after_the_read_timeout() -> None:
    async with open_everywhere(1, idle=0.3) as sim:
        reader, writer = await dial(sim, port=sim.introspection_port)
        assert await reader.read() == b""
        writer.close()
        assert sim.traffic.idle_closed == 1


@pytest.mark.parametrize("state", [it for it in Reach if it not in {Reach.CLOSED, Reach.OPEN}])
@on_loop
async def test_nothing_wrong_counts_as_a_body(state: Reach) -> None:
    async with open_everywhere(1) as sim:
        await sim.set_reach([name(sim)], state)
        if state is Reach.HANG:
            reader, writer = await dial(sim, port=sim.introspection_port)
            writer.write(b"GET /v1/enis HTTP/1.1\r\nHost: node\r\n\r\n")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(), 0.2)
            writer.close()
        elif state is not Reach.HUGE:
            await raw(sim, path="/v1/enis", port=sim.introspection_port)
        assert standing(sim) is None
        assert sim.traffic.introspected_whole == {}
        await page(sim)
        assert sim.traffic.served_whole[name(sim)] == 1


def test_there_is_an_answer_for_everything_that_can_be_wrong() -> None:
    assert set(WRONG) == set(Reach) - {Reach.CLOSED, Reach.OPEN}


@on_loop
async def test_what_is_wrong_is_wrong_in_its_own_way() -> None:
    async with open_everywhere(1) as sim:

        async def answered(state: Reach) -> tuple[int, bytes]:
            await sim.set_reach([name(sim)], state)
            answer = await raw(sim, path="/v1/enis", port=sim.introspection_port)
            return answer.status, answer.body

        status, half = await answered(Reach.HALF)
        assert status == 200
        with pytest.raises(json.JSONDecodeError):
            json.loads(half)
        assert (await answered(Reach.STATUS_500))[0] == 500
        assert "AvailableCommands" in json.loads((await answered(Reach.COMMANDS))[1])
        assert "allocations" in json.loads((await answered(Reach.OTHER_SHAPE))[1])
        twice = json.loads((await answered(Reach.TWICE))[1])
        claimed = [c for eni in twice["0"]["ENIs"].values() for c in eni["AvailableIPv4Cidrs"]]
        assert len(claimed) == len(set(claimed)) + 1
        with pytest.raises(AssertionError):
            counted((await answered(Reach.OUTSIDE))[1], sim.clock())


@on_loop
async def test_a_huge_body_is_fifty_megabytes_of_json() -> None:
    async with open_everywhere(1) as sim:
        await sim.set_reach([name(sim)], Reach.HUGE)
        answer = await raw(sim, path="/v1/enis", port=sim.introspection_port)
        assert len(answer.body) == int(answer.headers["content-length"]) > 50_000_000
        assert set(json.loads(answer.body)) == {"0"}


@on_loop
async def test_a_body_stands_until_the_world_moves_on() -> None:
    async with open_everywhere(2) as sim:
        await asked(sim)
        assert standing(sim) == held(sim)
        assert standing(sim, 1) is None
        await sim.step()
        assert standing(sim) is None


@pytest.mark.parametrize("happens", ["closed", "status_500"])
@on_loop
async def test_a_body_stands_no_longer_once_its_node_answers_otherwise(happens: str) -> None:
    async with open_everywhere(1) as sim:
        await asked(sim)
        await sim.set_reach([name(sim)], happens)
        assert standing(sim) is None


@on_loop
async def test_a_restarted_reader_knows_no_bodies() -> None:
    async with open_everywhere(1) as sim:
        await asked(sim)
        sim.ledger.forget()
        assert standing(sim) is None


@pytest.mark.parametrize(
    "env",
    [
        {"DISABLE_INTROSPECTION": "true"},
        {"INTROSPECTION_BIND_ADDRESS": "unix:/var/run/aws-node/introspection.sock"},
    ],
)
@on_loop
async def test_a_node_that_is_set_to_tell_nothing_stays_closed(env: Mapping[str, str]) -> None:
    async with open_everywhere(1, env=env) as sim:
        assert refused(sim)


@on_loop
async def test_a_new_node_can_be_asked_like_the_others_and_a_gone_one_cannot() -> None:
    async with open_everywhere(1) as sim:
        await sim.event("join")
        last = len(sim.cluster.nodes) - 1
        assert json.loads(await asked(sim, last))
        gone = address(sim)
        await sim.event("remove_node", [name(sim)])
        with pytest.raises(OSError, match=r"refused|failed"):
            await asyncio.open_connection(gone, sim.introspection_port)


@on_loop
async def test_a_node_whose_pod_is_gone_answers_nothing() -> None:
    async with open_everywhere(1) as sim:
        await sim.event("delete_pod", [name(sim)])
        assert refused(sim)
        await sim.event("run", [name(sim)])
        assert json.loads(await asked(sim))


@pytest.mark.parametrize("loopback_only", [False, True])
@on_loop
async def test_a_body_comes_through_the_pod_proxy_where_it_is_open(loopback_only: bool) -> None:
    async with small(2, loopback_only=loopback_only) as sim:
        await sim.set_reach([name(sim)], "open")
        first, second = (node.pods[0].name for node in sim.cluster.expected)

        def path(pod: str) -> str:
            return f"{AWS_NODE}/{pod}:{sim.introspection_port}/proxy/v1/enis"

        status, body = await ask(sim, path(first), token=sim.token("full_proxy"))
        assert (status, set(body)) == (200, {"0"})
        assert standing(sim) == held(sim)
        status, body = await ask(sim, path(second), token=sim.token("full_proxy"))
        assert (status, body["reason"]) == (503, "ServiceUnavailable")


@on_loop
async def test_a_recording_has_no_bodies_to_show() -> None:
    options = Options(introspection="all")
    async with Simulation.replay(POLLS / "01_two_nodes_steady", options) as sim:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://{address(sim)}:{sim.introspection_port}/v1/enis"),
            ):
                pass


@on_loop
async def test_a_living_node_tells_its_pool() -> None:
    options = Options(startup=0.0, introspection="all")
    async with Simulation.living(6, options) as sim:
        cooling = 0
        for _ in range(4):
            await sim.step()
            for number, node in enumerate(sim.cluster.expected):
                assert isinstance(node.process, LivingIpamd)
                pool, now = node.process.host.pool, node.process.host.time.now
                read = counted(await asked(sim, number), sim.clock())
                states = pool.addresses(now, 30)
                total = sum(it.total for it in read.values())
                assigned = sum(it.assigned for it in read.values())
                cooldown = sum(it.cooldown for it in read.values())
                assert (total, assigned, cooldown) == (
                    states.attached,
                    states.assigned,
                    states.cooldown,
                )
                assert {eni for _, eni in read} == {eni.id for eni in pool.enis}
                cooling += cooldown
        assert cooling > 0


def reading(sim: Simulation) -> tuple[str, Facts]:
    node = sim.cluster.expected[0]
    assert isinstance(node.process, Writer)
    return node.pods[0].uid, node.process.page().facts


@on_loop
async def test_a_page_that_differs_from_the_body_in_two_polls_drifts() -> None:
    async with open_everywhere(1) as sim:
        uid, _ = reading(sim)
        process = sim.cluster.expected[0].process
        assert isinstance(process, Writer)
        ipamd = process.ipamd
        told = ipamd.gauges()
        eni = ipamd.enis[0]

        async def poll() -> int:
            await page(sim)
            await asked(sim)
            return sim.ledger.bodies.drift(uid)

        assert [await poll(), await poll()] == [0, 0]
        # The page stays what it was, while the body shows one address more.
        eni.cidrs["10.99.0.1/32"] = 0
        assert ipamd.gauges().total == told.total + 1
        assert [await poll(), await poll(), await poll()] == [0, 1, 1]
        del eni.cidrs["10.99.0.1/32"]
        assert [await poll(), await poll()] == [0, 0]


@on_loop
async def test_page_and_body_of_different_polls_are_not_compared() -> None:
    async with open_everywhere(1) as sim:
        uid, _ = reading(sim)
        process = sim.cluster.expected[0].process
        assert isinstance(process, Writer)
        await page(sim)
        process.ipamd.enis[0].cidrs["10.99.0.1/32"] = 0
        for _ in range(3):
            await sim.step()
            await asked(sim)
            await sim.step()
            await page(sim)
        assert sim.ledger.bodies.drift(uid) == 0
